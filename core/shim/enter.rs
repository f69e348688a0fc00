//! A further process in a container that has no shim: its namespaces are joined from outside, by a pidfd of its init.

use core::ffi::CStr;

use crate::doors::Doors;
use crate::fail::{At, Fail, Outcome, send};
use crate::launch::{self, word};
use crate::passed::Passed;
use crate::sys::{self, AT_FDCWD, Errno, Fd, Forked};
use crate::text::Text;
use crate::wire::{Enter, Header, Status, Step, fd};
use crate::{exec, init, label, limits, terminal, tuning, user};

/// Starts the process, tells its number, and ends: the process then is a child of the caller's subreaper.
#[inline(never)]
pub fn run(header: &Header, enter: Enter<'static>) -> Outcome {
    let _ = sys::set_signal_mask(u64::MAX);
    // Nobody inside may look into this process, which still knows the host (CVE-2016-9962).
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    let passed = Passed::receive(&enter.tuning)?;
    let doors = Doors::receive(&passed, enter.doors)?;
    // A move to another cgroup may take CPUs away and give others.
    tuning::set_affinity(enter.tuning.affinity.0)?;
    // By the host's trees, which are out of sight inside.
    enter_cgroups(&enter)?;
    if enter.awaited {
        launch::await_placement(sys::getpid())?;
    }
    tuning::set_affinity(enter.tuning.affinity.1)?;
    limits::set_score_unseen(&enter.process)?;
    if enter.mapped {
        limits::raise(&enter.process, limits::OWN)?;
    }
    let proc = label::host(&enter.process)?.map(|proc| passed.above(proc)).transpose()?;
    enter_namespaces(&enter, &doors)?;
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let theirs = passed.above(theirs)?;
    match sys::fork_plainly(0).step(Step::Clone)? {
        Forked::Child => become_process(&enter, &passed, theirs, proc),
        Forked::Parent { pid, .. } => {
            let _ = sys::close(theirs);
            let _ = sys::send(ours, &pid.to_ne_bytes());
            accompany(header, &enter, ours, pid)
        }
    }
}

fn enter_cgroups(enter: &Enter<'static>) -> Outcome {
    init::leave_real_time();
    for (dir, file) in
        enter.v1.iter().map(|dir| (dir, &b"/tasks"[..])).chain(enter.v2.map(|dir| (dir, &b"/cgroup.procs"[..])))
    {
        let mut path: Text<4096> = Text::of(&[dir.to_bytes(), file]);
        sys::put(AT_FDCWD, path.c(), b"0").at(Step::CgroupEnter, dir)?;
    }
    Ok(())
}

/// The root of the init, whose number was still its own when that was opened.
fn open_root(path: &'static CStr) -> Outcome<Fd> {
    let root = sys::openat(AT_FDCWD, path, sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::Enter)?;
    sys::pidfd_send_signal(fd::INSIDE, 0).step(Step::Enter).map(|()| root)
}

/// Its namespaces, and its root where that is in none of them.
fn enter_namespaces(enter: &Enter<'static>, doors: &Doors) -> Outcome {
    let root = enter.root.map(open_root).transpose()?;
    if enter.namespaces != 0 {
        sys::setns(fd::INSIDE, enter.namespaces).step(Step::Enter)?;
    }
    doors.enter()?;
    let Some(root) = root else { return Ok(()) };
    sys::fchdir(root).and_then(|()| sys::chroot(c".")).step(Step::Enter)?;
    sys::close(root).step(Step::Enter)
}

fn accompany(header: &Header, enter: &Enter<'static>, sync: Fd, pid: i32) -> Outcome {
    loop {
        let mut packet = [0];
        match sys::recv_fd(sync, &mut packet) {
            Ok((1, Some(master))) if packet[0] == word::TERMINAL => {
                terminal::hand_over(header, enter.console, master)?;
            }
            // It has told the caller.
            Ok((1, _)) => sys::exit(1),
            // Its end closes when it execs.
            Ok(_) => {
                send(&Status::Ready { init: pid, shim: sys::getpid() });
                sys::exit(0)
            }
            Err(errno) => return Err(Fail { step: Step::Died, errno, detail: b"" }),
        }
    }
}

fn become_process(enter: &Enter<'static>, passed: &Passed, sync: Fd, proc: Option<Fd>) -> ! {
    let failed = match set_up(enter, passed, sync, proc) {
        Ok(user) => exec::run(&enter.process, user.home),
        Err(failed) => failed,
    };
    failed.report();
    let _ = sys::send(sync, &[word::FAILED]);
    sys::exit(1)
}

/// Its own number, as it is outside.
fn told_pid(sync: Fd) -> Outcome<i32> {
    let mut pid = [0; 4];
    match sys::recv(sync, &mut pid, false) {
        Ok(4) => Ok(i32::from_ne_bytes(pid)),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

fn set_up(enter: &Enter<'static>, passed: &Passed, sync: Fd, proc: Option<Fd>) -> Outcome<user::User> {
    let process = &enter.process;
    let labels = label::open(proc, process)?;
    let listener = passed.listener(told_pid(sync)?)?;
    if enter.mapped {
        init::take_root()?;
    }
    let _ = sys::setsid();
    init::leave_keyring(&labels)?;
    let user = user::find(process)?;
    init::enter_directory(process)?;
    let slave = if process.tty { Some(terminal::make_inside(sync, None)?) } else { None };
    init::connect([fd::STDIN, fd::STDOUT, fd::STDERR], slave, user.uid)?;
    limits::set(process)?;
    tuning::apply(&enter.tuning)?;
    init::become_user(process, enter.mapped, &user, &labels, Some((passed, listener.as_ref())))?;
    Ok(user)
}

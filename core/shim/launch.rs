//! The shim's half of a start: makes the init, maps its ids, records it, lets it go, tells the host.

use core::ffi::CStr;

use crate::ahead::Ahead;
use crate::fail::{At, Fail, Outcome, send};
use crate::records::Moment;
use crate::supervise::{self, Running};
use crate::sys::{self, AT_FDCWD, Errno, Fd, Forked};
use crate::wire::{Header, Launch, Namespace, Status, Step, fd};
use crate::{control, early, events, fill, idmap, init, landlock, nested, shifted};

/// What init and shim say to each other, one byte a packet.
pub mod word {
    /// Shim to init: the id map is written.
    pub const MAPPED: u8 = b'm';
    /// Shim to init: the record is written, run the payload.
    pub const GO: u8 = b'g';
    /// Init to shim: the master of its terminal comes with this.
    pub const TERMINAL: u8 = b't';
    /// From a command to the shim, or from a started init to its caller: it is about to be executed.
    pub const READY: u8 = b'r';
    /// From who enters to an init that waits for its start: its namespaces are wanted. They come with the same.
    pub const DOORS: u8 = b'n';
    /// Shim to init: it is in its cgroup, or can go there.
    pub const PLACED: u8 = b'p';
    /// Init or command to shim: it failed, and has told the host.
    pub const FAILED: u8 = b'f';
}

/// Starts the container and stays until it has ended.
#[inline(never)]
pub fn run(header: &Header, launch: &'static Launch<'static>, ahead: Ahead) -> Outcome {
    become_shim();
    if launch.rootfs.tree().is_some() {
        landlock::keep_within()?;
    }
    if launch.cgroup.awaited {
        await_placement(sys::getpid())?;
    }
    let streams = supervise::prepare(launch, header)?;
    let ahead = ahead.suiting(launch)?;
    // One of version 2 is where the init is born.
    if launch.cgroup.late && launch.cgroup.v2.is_some() {
        await_word()?;
    }
    let born = bear(launch, ahead, streams.init)?;
    supervise::let_go(launch);
    // While the init is at work, so that it costs the start nothing.
    let listener = control::listen(launch);
    let started = release(launch, born.sync, born.pid, 0);
    let _ = sys::close(born.sync);
    match started {
        Ok((started_at, terminal)) => {
            // Before anybody who hears of the start can tell of what comes after it.
            events::tell(&launch.supervise, b"start", &[]);
            send(&Status::Ready { init: born.pid, shim: sys::getpid() });
            let init = Started { pid: born.pid, pidfd: born.pidfd, started_at, terminal };
            supervise::run(Running { launch, header: *header, init, streams, listener })
        }
        Err(failed) => {
            bury(&born);
            supervise::forget(launch);
            match failed {
                Some(fail) => Err(fail),
                // The init has told it.
                None => sys::exit(1),
            }
        }
    }
}

/// A payload that runs.
pub struct Started {
    /// The init, as this process sees it.
    pub pid: i32,
    /// The same.
    pub pidfd: Fd,
    /// When it was let go.
    pub started_at: Moment,
    /// The master of its terminal.
    pub terminal: Option<Fd>,
}

/// Starts the container for the `count`th time anew, in the place that the first start has made for it. What failed is
/// told, or was told on the status socket when that is `None`, and nothing is left of it.
pub fn again(launch: &Launch<'static>, streams: [Fd; 3], count: u32) -> Result<Started, Option<Fail>> {
    if launch.id_map.is_some() {
        // A plain user may map the ids of a process that can be dumped only. As at the first start, nothing of the
        // container runs that could make use of that.
        let _ = sys::prctl(sys::PR_SET_DUMPABLE, 1, 0);
    }
    let born = bear(launch, Ahead::NOTHING, streams).map_err(Some)?;
    let started = release(launch, born.sync, born.pid, count);
    let _ = sys::close(born.sync);
    match started {
        Ok((started_at, terminal)) => {
            events::tell(&launch.supervise, b"start", &[]);
            Ok(Started { pid: born.pid, pidfd: born.pidfd, started_at, terminal })
        }
        Err(failed) => {
            bury(&born);
            let _ = sys::close(born.pidfd);
            Err(failed)
        }
    }
}

/// An init that waits for our words.
struct Born {
    pid: i32,
    pidfd: Fd,
    sync: Fd,
}

/// Makes the init, which gets these streams; they are closed here.
fn bear(launch: &Launch<'static>, ahead: Ahead, streams: [Fd; 3]) -> Outcome<Born> {
    let states = fill::states(launch)?;
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let cgroup = launch.cgroup.v2.map(open_cgroup).transpose()?;
    streams.iter().for_each(|stream| shifted::give(launch, *stream));
    let forked = match (launch.rootfs.shifted, launch.rootfs.nested) {
        (true, _) => shifted::fork(launch, cgroup),
        (_, true) => nested::fork(launch, cgroup),
        _ => fork(launch, ahead, cgroup),
    };
    // One that was made and not told of ends by the end of its socket.
    let (pid, pidfd) =
        match forked.inspect_err(|_| close_all(&[ours, theirs])).inspect_err(|_| fill::close_states(states))? {
            (Forked::Child, entered) => {
                // Or a shim that is killed would leave it waiting for a word of its own end.
                let _ = sys::close(ours);
                init::run(launch, ahead, streams, theirs, cgroup.filter(|_| !entered), states)
            }
            (Forked::Parent { pid, pidfd }, _) => (pid, pidfd),
        };
    fill::close_states(states);
    close_all(&[theirs, cgroup.unwrap_or(-1), streams[0], streams[1], streams[2]]);
    Ok(Born { pid, pidfd, sync: ours })
}

/// Lets the init go on step by step; returns when it was let go and, once the payload runs, its terminal's master.
fn release(launch: &Launch<'static>, sync: Fd, pid: i32, count: u32) -> Result<(Moment, Option<Fd>), Option<Fail>> {
    place(launch, sync, count)?;
    if let Some(map) = &launch.id_map {
        if !launch.rootfs.nested {
            idmap::write(map, pid)?;
        }
        sys::send(sync, &[word::MAPPED]).step(Step::IdMap)?;
    }
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    let started_at = supervise::record(launch, pid, count)?;
    // An init that has failed already has told the host why; its word is read below.
    let mut gone = sys::send(sync, &[word::GO]).is_err();
    let mut terminal = None;
    loop {
        let mut packet = [0];
        match sys::recv_fd(sync, &mut packet) {
            Ok((1, fd)) if packet[0] == word::TERMINAL => terminal = fd,
            Ok((1, _)) => return Err(None),
            // It closed its end with our last word unread; its own last word may still lie here.
            Err(Errno::ECONNRESET) if !gone => gone = true,
            // Its end closes when it execs.
            Ok(_) if !gone => return Ok((started_at, terminal)),
            _ => return Err(Some(Fail { step: Step::Died, errno: Errno(0), detail: b"" })),
        }
    }
}

/// Lets the init enter its cgroups, which the host has made meanwhile for the first of all.
fn place(launch: &Launch<'static>, sync: Fd, count: u32) -> Outcome {
    let (late, into_v2) = (launch.cgroup.late, launch.cgroup.v2.is_some());
    if late && !into_v2 && count == 0 {
        await_word()?;
    }
    // An init that has failed already has told the host why.
    if late {
        let _ = sys::send(sync, &[word::PLACED]);
    }
    Ok(())
}

/// Waits until the host has put a process into its cgroup.
pub fn await_placement(pid: i32) -> Outcome {
    send(&Status::Born { pid });
    await_word()
}

/// Waits for the host's word that it has done what is to be done first.
fn await_word() -> Outcome {
    let mut packet = [0];
    match sys::recv(fd::STATUS, &mut packet, false) {
        Ok(1) if packet[0] == word::GO => Ok(()),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

/// Nothing may be left of a start that failed.
fn bury(born: &Born) {
    let _ = sys::pidfd_send_signal(born.pidfd, sys::SIGKILL);
    let _ = sys::wait(born.pid, false);
}

fn become_shim() {
    let _ = sys::setsid();
    let _ = sys::prctl(sys::PR_SET_CHILD_SUBREAPER, 1, 0);
    let _ = sys::prctl(sys::PR_SET_NAME, c"sampan-shim".as_ptr() as usize, 0);
    // A working directory would keep its file system busy as long as the container runs.
    let _ = sys::chdir(c"/");
    sys::umask(0o022);
}

pub fn open_cgroup(dir: &'static CStr) -> Outcome<Fd> {
    sys::openat(AT_FDCWD, dir, sys::O_RDONLY | sys::O_DIRECTORY, 0).at(Step::CgroupOpen, dir)
}

/// The init, and whether it was born in its v2 cgroup.
pub fn fork(launch: &Launch<'static>, ahead: Ahead, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    if !launch.namespaces.user {
        return fork_with_pids(launch, ahead, cgroup);
    }
    let left = early::join(launch, &Namespace::Host)?;
    let forked = fork_with_pids(launch, ahead, cgroup);
    match forked {
        Ok((Forked::Child, _)) => forked,
        Ok((Forked::Parent { pid, .. }, _)) => left.back().inspect_err(|_| end(pid)).and(forked),
        Err(failed) => left.back().and(Err(failed)),
    }
}

fn fork_with_pids(launch: &Launch<'static>, ahead: Ahead, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let Namespace::Join(path) = launch.namespaces.pid else { return fork_here(launch, ahead, cgroup) };
    // Joining one takes effect on children only. It is left again: further children are not the container's, and the
    // numbers of theirs that are told must be the host's.
    let own = sys::openat(AT_FDCWD, c"/proc/self/ns/pid", sys::O_RDONLY, 0).at(Step::JoinNamespace, path)?;
    init::join(path, sys::CLONE_NEWPID)?;
    let forked = fork_here(launch, ahead, cgroup)?;
    if let Forked::Parent { pid, .. } = forked.0 {
        sys::setns(own, sys::CLONE_NEWPID).at(Step::JoinNamespace, path).inspect_err(|_| end(pid))?;
    }
    let _ = sys::close(own);
    Ok(forked)
}

/// Of a child that nobody can be told of.
pub fn end(child: i32) {
    let _ = sys::kill(child, sys::SIGKILL);
    let _ = sys::wait(child, false);
}

fn fork_here(launch: &Launch<'static>, ahead: Ahead, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let forked = fork_with(namespaces(launch) & !ahead.namespaces(), cgroup)?;
    if let Forked::Parent { pid, .. } = forked.0 {
        ahead.leave().inspect_err(|_| end(pid))?;
    }
    Ok(forked)
}

/// With these flags of clone.
pub fn fork_with(flags: u64, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    if let Ok(forked) = sys::fork(flags, cgroup) {
        return Ok((forked, cgroup.is_some()));
    }
    // The kernel may be too old for the cgroup or refuse it: the init enters by itself, and says so when it can't.
    match sys::fork(flags, None) {
        // Hidden by a seccomp filter, which may say so in either way.
        Err(Errno::ENOSYS | Errno::EPERM) => sys::fork_by_clone(flags),
        other => other,
    }
    .step(Step::Clone)
    .map(|forked| (forked, false))
}

/// `CLONE_NEW*` of the init's new namespaces.
pub fn namespaces(launch: &Launch<'static>) -> u64 {
    let n = &launch.namespaces;
    let new = |which: &Namespace, flag| if *which == Namespace::New { flag } else { 0 };
    let user = if n.user { sys::CLONE_NEWUSER } else { 0 };
    let mounts = if launch.rootfs.tree().is_some() { 0 } else { sys::CLONE_NEWNS };
    mounts
        | user
        | new(&n.pid, sys::CLONE_NEWPID)
        | new(&n.net, sys::CLONE_NEWNET)
        | new(&n.ipc, sys::CLONE_NEWIPC)
        | new(&n.uts, sys::CLONE_NEWUTS)
}

fn close_all(fds: &[Fd]) {
    for fd in fds.iter().filter(|fd| **fd > 2) {
        let _ = sys::close(*fd);
    }
}

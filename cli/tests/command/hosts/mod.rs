//! Hosts that are poor, odd or hostile: the command runs there, or says in one sentence what is missing and leaves
//! nothing. Each is made for one process alone, between its fork and its exec.

mod chroot;
mod limits;
mod mounts;
mod places;
mod sandbox;
mod seccomp;
mod users;

use std::ffi::CString;
use std::io::{Error, Result};
use std::os::fd::AsRawFd;
use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

use crate::host::{Ended, Host, finish};

/// Most of these hosts can only be made by root.
pub fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs the command on a host that `prepare` makes of the child.
pub fn on(host: &Host, args: &[&str], prepare: impl FnMut() -> Result<()> + Send + Sync + 'static) -> Ended {
    finish(prepared(host.command(args), prepare))
}

pub fn prepared(mut command: Command, prepare: impl FnMut() -> Result<()> + Send + Sync + 'static) -> Command {
    // SAFETY: the closures make system calls; what little they allocate the C library allows after a fork.
    unsafe { command.pre_exec(prepare) };
    command
}

/// `run --rm` of a command that says `hi`.
pub const HI: [&str; 5] = ["run", "--rm", "box", "echo", "hi"];

#[track_caller]
pub fn says_hi(host: &Host, ended: &Ended, what: &str) {
    assert!(ended.code == 0 && ended.stdout == "hi\n", "{what}: {ended:?}");
    left_nothing(host, what);
}

/// One line with these words, the code of a run that could not be, and nothing left.
#[track_caller]
pub fn refuses(host: &Host, ended: &Ended, words: &[&str]) {
    assert_eq!(ended.code, 125, "{words:?}: {ended:?}");
    assert!(words.iter().all(|word| ended.stderr.contains(word)), "{words:?}: {ended:?}");
    assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    left_nothing(host, &words.join(" "));
}

#[track_caller]
pub fn left_nothing(host: &Host, what: &str) {
    let deadline = std::time::Instant::now() + std::time::Duration::from_secs(30);
    loop {
        let left: Vec<String> = ["containers", "names", "tmp", "volumes"].iter().flat_map(|d| names(host, d)).collect();
        if left.is_empty() {
            return;
        }
        // A shim that removes its container does so a moment after the word that the command heard.
        assert!(std::time::Instant::now() < deadline, "{what}: left {left:?}");
        std::thread::yield_now();
    }
}

fn names(host: &Host, dir: &str) -> Vec<String> {
    let entries = std::fs::read_dir(host.dir.path().join("root").join(dir)).into_iter().flatten().flatten();
    entries.map(|e| format!("{dir}/{}", e.file_name().display())).collect()
}

pub fn check(result: i32) -> Result<i32> {
    if result < 0 { Err(Error::last_os_error()) } else { Ok(result) }
}

/// A mount namespace whose mounts stay in it.
pub fn own_mounts() -> Result<()> {
    // SAFETY: integers, and strings that end in NUL.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWNS))?;
        check(libc::mount(
            std::ptr::null(),
            c"/".as_ptr(),
            std::ptr::null(),
            libc::MS_PRIVATE | libc::MS_REC,
            std::ptr::null(),
        ))?;
    }
    Ok(())
}

pub fn mount(source: &str, target: &str, kind: &str, flags: libc::c_ulong, data: &str) -> Result<()> {
    let [source, target, kind, data] = [source, target, kind, data].map(|s| CString::new(s).unwrap());
    // SAFETY: strings that end in NUL and outlive the call.
    let done = unsafe { libc::mount(source.as_ptr(), target.as_ptr(), kind.as_ptr(), flags, data.as_ptr().cast()) };
    check(done).map(drop)
}

/// The same directory again, with these flags.
pub fn bind(source: &str, target: &str, flags: libc::c_ulong) -> Result<()> {
    mount(source, target, "", libc::MS_BIND | libc::MS_REC, "")?;
    match flags {
        0 => Ok(()),
        _ => mount("", target, "", libc::MS_BIND | libc::MS_REMOUNT | flags, ""),
    }
}

/// From here on the child is PID 1 of a namespace with a /proc of its own; the process that was is its parent.
pub fn become_pid_1() -> Result<()> {
    own_mounts()?;
    // SAFETY: integers; after the fork the parent does nothing but wait.
    unsafe {
        check(libc::unshare(libc::CLONE_NEWPID))?;
        match check(libc::fork())? {
            0 => {}
            child => wait_in_its_place(child),
        }
    }
    mount("proc", "/proc", "proc", 0, "")
}

/// Ends as the child does. It holds nothing open meanwhile, or whoever reads the child's output would wait for it.
fn wait_in_its_place(child: i32) -> ! {
    let mut status = 0;
    // SAFETY: integers, and an int that the kernel writes.
    unsafe {
        libc::syscall(libc::SYS_close_range, 3, u32::MAX, 0);
        libc::waitpid(child, &raw mut status, 0);
        libc::_exit(if libc::WIFEXITED(status) { libc::WEXITSTATUS(status) } else { 128 + libc::WTERMSIG(status) })
    }
}

/// A command that another user executes, who need not be able to reach it by its path.
pub fn as_user(host: &Host, uid: u32, args: &[&str]) -> (Command, std::fs::File) {
    let program = std::fs::File::open(host.command(args).get_program()).unwrap();
    let mut command = Command::new(format!("/proc/self/fd/{}", program.as_raw_fd()));
    command.args(args).env_clear().env("PATH", "/usr/bin:/bin").env("HOME", host.dir.path());
    command.env("SAMPAN_ROOT", host.path("root")).env("SAMPAN_RUN", host.path("run")).current_dir("/");
    (prepared(command, move || change_user(uid)), program)
}

pub fn change_user(uid: u32) -> Result<()> {
    // SAFETY: integers, and an empty list.
    unsafe {
        check(libc::setgroups(0, std::ptr::null()))?;
        check(libc::setgid(uid))?;
        check(libc::setuid(uid))?;
        // Else what /proc has of it would be root's.
        check(libc::prctl(libc::PR_SET_DUMPABLE, 1, 0, 0, 0)).map(drop)
    }
}

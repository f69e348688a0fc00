//! What the command leaves behind where nobody buries orphans, as in a container whose PID 1 is a plain program.

use std::os::unix::process::CommandExt;
use std::process::Command;

use nix::libc;

use crate::host::{Ended, Host, finish};

/// What [`below_a_plain_program`] ends with when it has been left a zombie.
const ZOMBIE: i32 = 99;
/// Seconds after which it ends by a signal: what lives on then was to be gone with the command.
const TOO_LONG_S: u32 = 60;

/// Runs a command as the child of a process that orphans come to, and that waits for this one child alone.
fn below_a_plain_program(mut command: Command) -> Ended {
    // SAFETY: between fork and exec there are plain system calls only.
    unsafe { command.pre_exec(become_plain_program) };
    finish(command)
}

/// Comes back in a child, which is to execute the command.
fn become_plain_program() -> std::io::Result<()> {
    // SAFETY: plain calls; the pointers are to values of ours.
    unsafe {
        libc::prctl(libc::PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0);
        match libc::fork() {
            -1 => Err(std::io::Error::last_os_error()),
            0 => Ok(()),
            child => {
                let mut status = 0;
                libc::waitpid(child, &raw mut status, 0);
                let mut left: libc::siginfo_t = std::mem::zeroed();
                // Until none is left: one that lives on behind the command becomes a zombie when it ends.
                libc::alarm(TOO_LONG_S);
                let look = libc::WEXITED | libc::WNOWAIT | libc::__WALL;
                let is_one = libc::waitid(libc::P_ALL, 0, &raw mut left, look) == 0;
                libc::_exit(if is_one { ZOMBIE } else { libc::WEXITSTATUS(status) });
            }
        }
    }
}

#[test]
fn a_refused_line_leaves_no_zombie() {
    let host = Host::new();
    for (line, code) in [
        ("run --bad box true", 125),
        ("run --memory lots box true", 125),
        ("run --rm no/such:image true", 125),
        ("run --rm --name . box true", 125),
        ("run --rm box no-such-command", 127),
        ("run --rm box sh -c", 2),
        ("container run --cidfile / box true", 125),
    ] {
        let ended = below_a_plain_program(host.command(&line.split(' ').collect::<Vec<_>>()));
        assert_eq!(ended.code, code, "{line}: {ended:?}");
    }
}

#[test]
fn nor_does_what_is_done_in_the_foreground() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    host.ok(&["create", "--name", "d", "box", "true"]);
    let file = host.path("file");
    for line in ["run --rm box true", "start -a d", &format!("cp c:/bin/sh {file}"), "exec c true", "top c", "ps"] {
        let ended = below_a_plain_program(host.command(&line.split(' ').collect::<Vec<_>>()));
        assert_eq!(ended.code, 0, "{line}: {ended:?}");
    }
    // What tells of the process that the command is finds it unchanged.
    let told = below_a_plain_program(host.command(&["doctor"])).stdout;
    assert!(told.contains("neither PID 1 nor a subreaper"), "{told}");
}

//! The container's first process when the command is not to be it: buries orphans, passes signals on.

use crate::fail::Fail;
use crate::label::Labels;
use crate::sys::{self, Ended, Errno, Forked};
use crate::wire::{Process, Step, fd, shell_code};

/// Where there is no close_range (before Linux 5.9): no descriptor of ours is above it.
const OLD_LIMIT: i32 = 1024;

/// Comes back in the child, with `None`, and where there can be none, with the failure.
pub fn split(process: &Process<'static>, labels: &Labels) -> Option<Fail> {
    // What arrives from here on waits until it can be passed on.
    let _ = sys::set_signal_mask(u64::MAX);
    match sys::fork(0, None).or_else(|_| sys::fork_by_clone(0)) {
        Ok(Forked::Child) => {
            lead(process.tty);
            None
        }
        Ok(Forked::Parent { pid, .. }) => {
            let exe = sys::openat(sys::AT_FDCWD, c"/proc/self/exe", sys::O_RDONLY, 0);
            let sealed = exe.is_ok_and(sys::is_sealed);
            // It is no exec that does it here; the command ends with this process.
            if let Err(failed) = labels.enter() {
                failed.report();
                sys::exit(1);
            }
            // All that was the shim's goes, as by the exec in the child: the other ends of its streams too, which
            // would keep an input from ending.
            if sys::close_from(fd::STDERR + 1).is_err() {
                (fd::STDERR + 1..OLD_LIMIT).for_each(|fd| drop(sys::close(fd)));
            }
            if sealed {
                // No exec makes this process one that its user may join: without this a plain user's commands could not
                // be run beside it. What it gives away is its program, which must then be one that can't be written to.
                let _ = sys::prctl(sys::PR_SET_DUMPABLE, 1, 0);
            }
            stay(pid)
        }
        Err(errno) => Some(Fail { step: Step::Clone, errno, detail: b"" }),
    }
}

/// The command has the terminal, and what is typed there to stop it is sent to it alone.
fn lead(tty: bool) {
    const TIOCSPGRP: usize = 0x5410;
    let _ = sys::setpgid();
    if tty {
        let _ = sys::ioctl_with(fd::STDIN, TIOCSPGRP, &mut sys::getpid());
    }
    // Without process ids of its own the container does not end with its first process.
    let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
    let _ = sys::set_signal_mask(0);
}

fn stay(command: i32) -> ! {
    let Ok(signals) = sys::signalfd(u64::MAX) else { sys::exit(1) };
    // It is made so that it does not wait; here there is nothing else to do.
    let _ = sys::set_status_flags(signals, 0);
    loop {
        // A `struct signalfd_siginfo`, which begins with the number.
        let mut info = [0; 128];
        match sys::read(signals, &mut info) {
            Ok(_) => handle(i32::from_ne_bytes([info[0], info[1], info[2], info[3]]), command),
            Err(Errno::EINTR) => {}
            Err(_) => sys::exit(1),
        }
    }
}

fn handle(signal: i32, command: i32) {
    if signal != sys::SIGCHLD {
        let _ = sys::kill(command, signal);
        return;
    }
    while let Ok(Some(ended)) = sys::wait(-1, true) {
        if ended.pid == command {
            end(ended);
        }
    }
}

/// The first process of a PID namespace can't kill itself, so a signal becomes a number.
fn end(Ended { code, signal, .. }: Ended) -> ! {
    sys::exit(shell_code(code, signal))
}

//! The container's first process when the command is not to be it: buries orphans, passes signals on.

use crate::fail::Fail;
use crate::label::Labels;
use crate::sys::{self, AT_FDCWD, Ended, Errno, Forked};
use crate::wire::{Process, Step, fd, shell_code};

/// Where there is no close_range (before Linux 5.9): no descriptor of ours is above it.
const OLD_LIMIT: i32 = 1024;

/// Whether nobody in the container can write to the program that this process executes; asked as its root, which may what
/// any owner inside may.
pub fn is_program_kept() -> bool {
    let open = |flags| sys::openat(AT_FDCWD, c"/proc/self/exe", flags, 0);
    let Ok(exe) = open(sys::O_RDONLY) else { return false };
    let others_may_write = sys::fstat(exe).is_ok_and(|file| file.mode & 0o022 != 0);
    let sealed = sys::is_sealed(exe);
    let _ = sys::close(exe);
    sealed
        || match open(sys::O_WRONLY) {
            // The shim executes it for as long as there is a container. Linux 6.11 and 6.12 don't mind that.
            Err(Errno::ETXTBSY) => true,
            // It belongs to nobody inside.
            Err(Errno::EACCES) => !others_may_write,
            Err(_) => false,
            Ok(writable) => {
                let _ = sys::close(writable);
                false
            }
        }
}

/// Comes back in the child, with `None`, and where there can be none, with the failure. `kept`: as above.
pub fn split(process: &Process<'static>, labels: &Labels, kept: bool) -> Option<Fail> {
    // What arrives from here on waits until it can be passed on.
    let _ = sys::set_signal_mask(u64::MAX);
    match sys::fork_plainly(0) {
        Ok(Forked::Child) => {
            lead(process.tty);
            None
        }
        Ok(Forked::Parent { pid, .. }) => {
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
            let _ = sys::prctl(sys::PR_SET_NAME, c"sampan-init".as_ptr() as usize, 0);
            if kept {
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

//! Writing to a pipe whose reader may be gone.

use std::os::fd::AsFd;

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal};

/// `write(2)` without the signal: the kernel sends SIGPIPE to a thread that writes to a pipe without a reader,
/// which ends a host that has left the default action in place, as a program in C does.
pub fn write_quietly(to: impl AsFd, bytes: &[u8]) -> nix::Result<usize> {
    let pipe = SigSet::from(Signal::SIGPIPE);
    // One that waits already is the caller's, and stays.
    let waits = is_pending();
    let old = pipe.thread_swap_mask(SigmaskHow::SIG_BLOCK)?;
    let written = nix::unistd::write(to, bytes);
    if written == Err(Errno::EPIPE) && !waits {
        take_pending();
    }
    old.thread_set_mask()?;
    written
}

fn only_sigpipe() -> libc::sigset_t {
    *SigSet::from(Signal::SIGPIPE).as_ref()
}

fn is_pending() -> bool {
    let mut set = only_sigpipe();
    // SAFETY: the pointer is valid for the calls, and the set is initialised.
    unsafe { libc::sigpending(&mut set) == 0 && libc::sigismember(&set, libc::SIGPIPE) == 1 }
}

/// Takes the signal that the write has sent to this thread, if it did: one that is ignored may not be kept.
fn take_pending() {
    let (set, now) = (only_sigpipe(), libc::timespec { tv_sec: 0, tv_nsec: 0 });
    // SAFETY: both pointers are valid for the call; nothing is to be told of the signal.
    while unsafe { libc::sigtimedwait(&set, std::ptr::null_mut(), &now) } < 0 && Errno::last() == Errno::EINTR {}
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reader_that_is_gone_raises_no_signal() {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        assert_eq!(write_quietly(&write, b"some"), Ok(4));
        drop(read);
        // Blocked, so that what is raised is kept, whatever this process does about the signal.
        let old = SigSet::from(Signal::SIGPIPE).thread_swap_mask(SigmaskHow::SIG_BLOCK).unwrap();
        assert!(!is_pending());
        assert_eq!(write_quietly(&write, b"some"), Err(Errno::EPIPE));
        assert!(!is_pending());
        // One that is the caller's own stays.
        assert_eq!(nix::unistd::write(&write, b"some"), Err(Errno::EPIPE));
        assert_eq!(write_quietly(&write, b"some"), Err(Errno::EPIPE));
        assert!(is_pending());
        take_pending();
        old.thread_set_mask().unwrap();
    }
}

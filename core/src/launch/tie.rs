//! The owner tie: what tells a shim that the host is gone, however it went.

use std::os::fd::{FromRawFd, OwnedFd};
use std::ptr::null_mut;
use std::sync::atomic::{AtomicPtr, Ordering};

use nix::fcntl::OFlag;

use crate::error::{Context, Result};

/// Two signs, since neither is enough: a pidfd survives the host's own exec, a pipe its forked children.
pub(super) struct Tie {
    /// Read end; ends when the host has closed the other, by exit or exec.
    pub pipe: OwnedFd,
    /// A pidfd of the host.
    pub host: OwnedFd,
    _open_while_the_host_lives: OwnedFd,
    pid: u32,
}

static TIE: AtomicPtr<Tie> = AtomicPtr::new(null_mut());

/// The process's tie, made on first use and again in a forked child.
pub(super) fn tie() -> Result<&'static Tie> {
    let known = TIE.load(Ordering::Acquire);
    // SAFETY: what is stored comes from a Box that is never freed.
    if let Some(tie) = unsafe { known.as_ref() }.filter(|t| t.pid == std::process::id()) {
        return Ok(tie);
    }
    let made = Box::into_raw(Box::new(make()?));
    match TIE.compare_exchange(known, made, Ordering::AcqRel, Ordering::Acquire) {
        // SAFETY: never freed from here on.
        Ok(_) => Ok(unsafe { &*made }),
        Err(_) => {
            // SAFETY: made above and shared with nobody.
            drop(unsafe { Box::from_raw(made) });
            tie()
        }
    }
}

fn make() -> Result<Tie> {
    let (pipe, write) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("create owner tie", "")?;
    // SAFETY: a system call on numbers; the result is checked.
    let host = match unsafe { libc::syscall(libc::SYS_pidfd_open, std::process::id(), 0) } {
        -1 => return Err(std::io::Error::last_os_error()).context("create owner tie", ""),
        // SAFETY: a fresh descriptor that nobody else owns.
        fd => unsafe { OwnedFd::from_raw_fd(fd as i32) },
    };
    Ok(Tie { pipe, host, _open_while_the_host_lives: write, pid: std::process::id() })
}

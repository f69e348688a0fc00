//! Pidfds: a handle to a process that can't come to mean another one.

use std::os::fd::{AsFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::start_time;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};

/// A process, held.
#[derive(Debug)]
pub struct PidFd(OwnedFd);

impl From<OwnedFd> for PidFd {
    fn from(fd: OwnedFd) -> Self {
        PidFd(fd)
    }
}

impl AsFd for PidFd {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

impl PidFd {
    /// The process that has `pid` now; `None` when nobody has.
    pub fn open(pid: i32) -> Result<Option<PidFd>> {
        // SAFETY: takes two integers; the result is a new descriptor or an error.
        let fd = unsafe { libc::syscall(libc::SYS_pidfd_open, pid, 0) };
        match Errno::result(fd) {
            // SAFETY: the kernel has just given us this descriptor (close-on-exec by itself); nothing else owns it.
            Ok(fd) => Ok(Some(PidFd(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }))),
            Err(Errno::ESRCH | Errno::EINVAL) => Ok(None),
            Err(e) => Err(e).context("open pidfd", pid),
        }
    }

    /// The process that had `pid` and began at `start`; `None` when it is gone, though its number may be in use again.
    pub fn open_started(pid: i32, start: u64) -> Result<Option<PidFd>> {
        // Opened first: what `/proc` then shows under the number is the process we hold, or a later one.
        let held = PidFd::open(pid)?;
        Ok(held.filter(|_| start_time(pid) == Some(start)))
    }

    /// Sends a signal; false when the process has ended.
    pub fn signal(&self, signal: i32) -> Result<bool> {
        use std::os::fd::AsRawFd;
        // SAFETY: a descriptor we own, an integer, and the null info that stands for a plain kill.
        let done = unsafe {
            libc::syscall(
                libc::SYS_pidfd_send_signal,
                self.0.as_raw_fd(),
                signal,
                std::ptr::null::<libc::siginfo_t>(),
                0,
            )
        };
        match Errno::result(done) {
            Ok(_) => Ok(true),
            Err(Errno::ESRCH) => Ok(false),
            Err(e) => Err(e).context("send signal", signal),
        }
    }

    /// Waits for the process to end: true when it has, false when `timeout` ran out first.
    pub fn wait(&self, timeout: Option<Duration>, cancel: &Cancel) -> Result<bool> {
        let deadline = timeout.and_then(|t| Instant::now().checked_add(t));
        loop {
            cancel.check("wait for process", "")?;
            match self.poll_once(deadline, cancel) {
                Ok(true) => return Ok(true),
                Ok(false) if deadline.is_some_and(|d| Instant::now() >= d) => return Ok(false),
                Ok(false) | Err(Errno::EINTR) => {}
                Err(e) => return Err(Error::errno_in(e as i32, "wait for process", "").with_kind(Kind::System)),
            }
        }
    }

    fn poll_once(&self, deadline: Option<Instant>, cancel: &Cancel) -> nix::Result<bool> {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        // A millisecond more, or the rest of a millisecond would be spun away.
        let millis = left.map_or(-1, |l| i32::try_from(l.as_millis() + 1).unwrap_or(i32::MAX));
        let mut fds = vec![PollFd::new(self.0.as_fd(), PollFlags::POLLIN)];
        fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
        poll(&mut fds, PollTimeout::try_from(millis).unwrap_or(PollTimeout::NONE))?;
        Ok(fds[0].any().unwrap_or(false))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::{Command, Stdio};

    #[test]
    fn a_process_is_held_signalled_and_waited_for() {
        #[allow(clippy::disallowed_methods)]
        let mut child = Command::new("/bin/cat").stdin(Stdio::piped()).spawn().unwrap();
        let pid = child.id() as i32;
        let held = PidFd::open_started(pid, start_time(pid).unwrap()).unwrap().unwrap();
        assert!(PidFd::open_started(pid, 1).unwrap().is_none());
        assert!(!held.wait(Some(Duration::ZERO), &Cancel::new()).unwrap());
        assert!(held.signal(libc::SIGKILL).unwrap());
        assert!(held.wait(None, &Cancel::new()).unwrap());
        child.wait().unwrap();
        assert!(!held.signal(0).unwrap());
    }

    #[test]
    fn a_cancelled_wait_ends() {
        let me = PidFd::open(std::process::id() as i32).unwrap().unwrap();
        let cancel = Cancel::new();
        let other = cancel.clone();
        let thread = std::thread::spawn(move || other.cancel());
        assert_eq!(me.wait(None, &cancel).unwrap_err().kind(), Kind::Cancelled);
        thread.join().unwrap();
    }
}

//! A token that stops a call at once, whatever it waits for.

use std::os::fd::{AsFd, BorrowedFd};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::error::{Error, Kind, Result};

/// Cancels the calls it was given to, from any thread. Clones share one state.
///
/// The flag is for loops; the file descriptor, readable once cancelled, is for `poll`.
#[derive(Clone, Debug, Default)]
pub struct Cancel(Arc<State>);

#[derive(Debug, Default)]
struct State {
    set: AtomicBool,
    // Made on first use: most calls never wait, and a descriptor costs a system call.
    event: OnceLock<Option<EventFd>>,
}

impl Cancel {
    /// A token that is not cancelled.
    pub fn new() -> Self {
        Self::default()
    }

    /// Cancels; every call that holds a clone returns [`Kind::Cancelled`] soon.
    pub fn cancel(&self) {
        self.0.set.store(true, Ordering::SeqCst);
        if let Some(Some(event)) = self.0.event.get() {
            let _ = event.write(1);
        }
    }

    /// True once cancelled.
    pub fn is_cancelled(&self) -> bool {
        self.0.set.load(Ordering::SeqCst)
    }

    /// `Err` of kind [`Kind::Cancelled`] once cancelled.
    pub fn check(&self, operation: &'static str, subject: &str) -> Result<()> {
        match self.is_cancelled() {
            true => Err(Error::new(Kind::Cancelled, operation, subject).because("cancelled")),
            false => Ok(()),
        }
    }

    /// A descriptor that becomes readable on cancel; `None` when the process has no descriptors left.
    pub fn fd(&self) -> Option<BorrowedFd<'_>> {
        let event = self
            .0
            .event
            .get_or_init(|| EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK).ok());
        let event = event.as_ref()?;
        // A cancel between the flag's store and this point has written nothing yet.
        if self.is_cancelled() {
            let _ = event.write(1);
        }
        Some(event.as_fd())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

    fn readable(c: &Cancel) -> bool {
        let mut fds = [PollFd::new(c.fd().unwrap(), PollFlags::POLLIN)];
        poll(&mut fds, PollTimeout::ZERO).unwrap() == 1
    }

    #[test]
    fn fd_tells_whether_asked_before_or_after() {
        let (before, after) = (Cancel::new(), Cancel::new());
        assert!(!readable(&before));
        before.clone().cancel();
        after.cancel();
        assert!(readable(&before) && readable(&after));
        assert_eq!(before.check("pull", "x").unwrap_err().kind(), Kind::Cancelled);
    }
}

//! Waiting for more of a log.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::cancel::Cancel;
use crate::error::Result;
use crate::store::liveness;
use crate::sys::PidFd;

/// What is watched for more.
#[derive(Debug)]
pub(super) struct Follow {
    lock: PathBuf,
    shim: Option<PidFd>,
    /// `None` where the user's inotify instances are used up: then we look again every so often.
    changes: Option<Inotify>,
}

impl Follow {
    /// Watches the directory, not the log: that one is put aside, and another comes in its place.
    pub fn new(dir: &Path, lock: PathBuf, shim: Option<PidFd>) -> Self {
        let watch = || {
            let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            changes.add_watch(dir, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO).map(|_| changes)
        };
        Follow { lock, shim, changes: watch().ok() }
    }

    pub fn is_alive(&self) -> bool {
        liveness::is_held(&self.lock).unwrap_or(false)
    }

    pub fn wait(&self, cancel: &Cancel) -> Result<()> {
        let mut fds: Vec<PollFd> = Vec::new();
        fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
        fds.extend(self.changes.as_ref().map(|c| PollFd::new(c.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.shim.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
        let watched = self.changes.is_some() && self.shim.is_some();
        let timeout = PollTimeout::try_from(if watched { 5_000 } else { 50 }).unwrap_or(PollTimeout::ZERO);
        let _ = poll(&mut fds, timeout);
        if let Some(changes) = &self.changes {
            while changes.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        Ok(())
    }
}

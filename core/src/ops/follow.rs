//! Waiting for a change in a container's directory.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};
use std::time::Duration;

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::cancel::Cancel;
use crate::error::Result;
use crate::store::liveness;
use crate::sys::PidFd;

/// What is watched.
#[derive(Debug)]
pub struct Follow {
    lock: PathBuf,
    shim: Option<PidFd>,
    /// `None` where the user's inotify instances are used up: then we look again every so often.
    changes: Option<Inotify>,
}

impl Follow {
    /// Watches for more of a log: the directory, not the file, which is put aside, and another comes in its place.
    pub fn log(dir: &Path, lock: PathBuf, shim: Option<PidFd>) -> Self {
        Follow::new(dir, lock, shim, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO)
    }

    /// Watches for records, each of which is put in its place when it is whole.
    pub fn records(dir: &Path, lock: PathBuf, shim: Option<PidFd>) -> Self {
        Follow::new(dir, lock, shim, AddWatchFlags::IN_MOVED_TO)
    }

    fn new(dir: &Path, lock: PathBuf, shim: Option<PidFd>, what: AddWatchFlags) -> Self {
        let watch = || {
            let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            changes.add_watch(dir, what).map(|_| changes)
        };
        Follow { lock, shim, changes: watch().ok() }
    }

    /// Whether a shim holds the container.
    pub fn is_alive(&self) -> bool {
        liveness::is_held(&self.lock).unwrap_or(false)
    }

    /// Until there may be something new, or `left` is over.
    pub fn wait(&self, left: Option<Duration>, cancel: &Cancel) -> Result<()> {
        let mut fds: Vec<PollFd> = Vec::new();
        fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
        fds.extend(self.changes.as_ref().map(|c| PollFd::new(c.as_fd(), PollFlags::POLLIN)));
        fds.extend(self.shim.as_ref().map(|s| PollFd::new(s.as_fd(), PollFlags::POLLIN)));
        let watched = self.changes.is_some() && self.shim.is_some();
        let most = Duration::from_millis(if watched { 5_000 } else { 50 });
        // Rounded up, or the end of a wait would be a turn of zero, and then another.
        let span = left.map_or(most, |left| left.min(most)).as_micros().div_ceil(1000);
        let _ = poll(&mut fds, PollTimeout::try_from(span as i32).unwrap_or(PollTimeout::ZERO));
        if let Some(changes) = &self.changes {
            while changes.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
        Ok(())
    }
}

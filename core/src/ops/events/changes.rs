//! Waiting until something was written into a directory.

use std::os::fd::{AsFd, BorrowedFd};
use std::path::Path;

use jiff::Timestamp;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};

use crate::cancel::Cancel;

/// Where the user's inotify instances are used up we look again every so often.
const LOOK_AGAIN_MS: i32 = 50;

/// Tells of what is written into the files of a directory, and of files that come into it.
#[derive(Debug)]
pub(super) struct Changes(Option<Inotify>);

impl Changes {
    pub fn of(dir: &Path) -> Self {
        let watch = || {
            let changes = Inotify::init(InitFlags::IN_CLOEXEC | InitFlags::IN_NONBLOCK)?;
            changes.add_watch(dir, AddWatchFlags::IN_MODIFY | AddWatchFlags::IN_MOVED_TO).map(|_| changes)
        };
        Changes(watch().ok())
    }

    /// Returns when there may be more, at that moment at the latest, at a cancel, and when one of the others is ready.
    pub fn wait<'a>(&self, until: Option<Timestamp>, others: impl Iterator<Item = BorrowedFd<'a>>, cancel: &Cancel) {
        let mut fds: Vec<PollFd> = others.map(|fd| PollFd::new(fd, PollFlags::POLLIN)).collect();
        fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
        fds.extend(self.0.as_ref().map(|c| PollFd::new(c.as_fd(), PollFlags::POLLIN)));
        // A token without a descriptor is asked as often.
        let watched = self.0.is_some() && cancel.fd().is_some();
        let look_again = (!watched).then_some(LOOK_AGAIN_MS);
        let timeout = until.map(milliseconds_to).into_iter().chain(look_again).min();
        let timeout = timeout.map_or(PollTimeout::NONE, |ms| PollTimeout::try_from(ms).unwrap_or(PollTimeout::MAX));
        let _ = poll(&mut fds, timeout);
        if let Some(changes) = &self.0 {
            while changes.read_events().is_ok_and(|events| !events.is_empty()) {}
        }
    }
}

/// Rounded up, or the last part of one would be spent in a loop.
fn milliseconds_to(moment: Timestamp) -> i32 {
    let left = moment.as_millisecond().saturating_sub(Timestamp::now().as_millisecond()).saturating_add(1);
    left.clamp(0, i64::from(i32::MAX)) as i32
}

//! Shims that somebody may kill: then whoever waits for events tells of the end, as nobody else is there to.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::Duration;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::id::ContainerId;
use crate::ops::{Context, leftovers, wait};
use crate::store::containers;
use crate::sys::PidFd;

/// Most that are watched, by a descriptor each: what is beyond is told by who looks at the container next.
const MOST: usize = 256;

/// Those of the containers that run on this machine.
#[derive(Debug)]
pub(super) struct Shims(Vec<(ContainerId, PidFd)>);

impl Shims {
    /// All that there are.
    pub fn of(context: &Context) -> Self {
        let mut shims = Shims(Vec::new());
        for id in containers::ids(&context.paths).unwrap_or_default() {
            let _ = shims.look(context, id);
        }
        shims
    }

    /// One more, by its container's id.
    pub fn watch(&mut self, context: &Context, id: &str) {
        if let Ok(id) = id.parse() {
            let _ = self.look(context, id);
        }
    }

    fn look(&mut self, context: &Context, id: ContainerId) -> Result<()> {
        if self.0.len() < MOST
            && self.0.iter().all(|(known, _)| *known != id)
            && let Some(shim) = wait::shim(context, &id)?
        {
            self.0.push((id, shim));
            return Ok(());
        }
        tend(context, &id)
    }

    /// What to poll.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.0.iter().map(|(_, shim)| shim.as_fd())
    }

    /// Tells of those that were killed since, and forgets all that have ended.
    pub fn bury(&mut self, context: &Context) {
        let ended = |shim: &PidFd| shim.wait(Some(Duration::ZERO), &Cancel::new()).unwrap_or(true);
        for (id, _) in self.0.extract_if(.., |(_, shim)| ended(shim)) {
            let _ = tend(context, &id);
        }
    }
}

fn tend(context: &Context, id: &ContainerId) -> Result<()> {
    if let Some(container) = containers::load(&context.paths, id)? {
        leftovers::end_orphans(context, &container);
    }
    Ok(())
}

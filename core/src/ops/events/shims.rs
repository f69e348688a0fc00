//! Shims that somebody may kill: then whoever waits for events tells of the end, as nobody else is there to.

use std::os::fd::{AsFd, BorrowedFd};
use std::time::{Duration, Instant};

use jiff::Timestamp;

use crate::cancel::Cancel;
use crate::error::Result;
use crate::id::ContainerId;
use crate::ops::{Context, leftovers, wait};
use crate::store::containers;
use crate::sys::PidFd;

/// Most that are watched, by a descriptor each, of which a process may often have no more than 1024.
const MOST: usize = 256;
/// How often the others are looked at.
const LOOK_AGAIN: Duration = Duration::from_secs(1);

/// Those of the containers that run on this machine.
#[derive(Debug)]
pub(super) struct Shims {
    watched: Vec<(ContainerId, PidFd)>,
    others: Vec<ContainerId>,
    /// When those were looked at.
    looked: Instant,
}

impl Shims {
    /// All that there are.
    pub fn of(context: &Context) -> Self {
        let mut shims = Shims { watched: Vec::new(), others: Vec::new(), looked: Instant::now() };
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
        if !self.knows(&id)
            && let Some(shim) = wait::shim(context, &id)?
        {
            match self.watched.len() < MOST {
                true => self.watched.push((id, shim)),
                false => self.others.push(id),
            }
            return Ok(());
        }
        tend(context, &id)
    }

    fn knows(&self, id: &ContainerId) -> bool {
        self.watched.iter().any(|(known, _)| known == id) || self.others.contains(id)
    }

    /// What to poll.
    pub fn fds(&self) -> impl Iterator<Item = BorrowedFd<'_>> {
        self.watched.iter().map(|(_, shim)| shim.as_fd())
    }

    /// When one may have ended that no descriptor tells of.
    pub fn look_again(&self) -> Option<Timestamp> {
        let left = LOOK_AGAIN.saturating_sub(self.looked.elapsed());
        if self.others.is_empty() { None } else { Timestamp::now().checked_add(left).ok() }
    }

    /// Tells of those that were killed since, and forgets all that have ended, which makes room for others.
    pub fn bury(&mut self, context: &Context) {
        let ended = |shim: &PidFd| shim.wait(Some(Duration::ZERO), &Cancel::new()).unwrap_or(true);
        for (id, _) in self.watched.extract_if(.., |(_, shim)| ended(shim)) {
            let _ = tend(context, &id);
        }
        if !self.others.is_empty() && self.looked.elapsed() >= LOOK_AGAIN {
            for id in std::mem::take(&mut self.others) {
                let _ = self.look(context, id);
            }
            self.looked = Instant::now();
        }
    }
}

fn tend(context: &Context, id: &ContainerId) -> Result<()> {
    if let Some(container) = containers::load(&context.paths, id)? {
        leftovers::end_orphans(context, &container);
    }
    Ok(())
}

//! The shims of containers that this engine started, for what no record tells: how a container ended that
//! takes its records along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::wait;
use crate::api::ExitStatus;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::id::{ContainerId, Name};
use crate::launch::Launched;
use crate::store::containers::Record;

/// What is kept of each.
#[derive(Debug, Default)]
pub struct Shims(Mutex<HashMap<ContainerId, Kept>>);

#[derive(Clone, Debug)]
enum Kept {
    /// With the connection, and the name that it was started by.
    Running(Arc<Launched>, Name),
    /// Without: a descriptor is not held for the dead.
    Ended(ExitStatus),
}

impl Shims {
    /// Keeps the connection where it will be wanted.
    pub fn keep(&self, record: &Record, launched: Launched) {
        self.settle_ended();
        if record.spec.auto_remove {
            self.lock().insert(record.id.clone(), Kept::Running(Arc::new(launched), record.name.clone()));
        }
    }

    /// The connection, while it runs.
    fn running(&self, id: &ContainerId) -> Option<Arc<Launched>> {
        match self.lock().get(id) {
            Some(Kept::Running(launched, _)) => Some(launched.clone()),
            _ => None,
        }
    }

    /// Waits for the end of one that is kept; `None` when the records are to be asked.
    pub fn wait(&self, id: &ContainerId, deadline: Option<Instant>, cancel: &Cancel) -> Result<Option<ExitStatus>> {
        if let Some(launched) = self.running(id) {
            launched.wait_gone(cancel, deadline)?;
            self.settle(id);
        }
        match self.lock().get(id) {
            Some(Kept::Ended(exit)) => Ok(Some(exit.clone())),
            _ => Ok(None),
        }
    }

    /// A shim that is gone has said all that it will: one reader takes it, under the lock.
    fn settle(&self, id: &ContainerId) {
        let mut all = self.lock();
        let Some(Kept::Running(launched, name)) = all.get(id) else { return };
        match wait::said_by(name.as_str(), launched) {
            Some(exit) => drop(all.insert(id.clone(), Kept::Ended(exit))),
            None => drop(all.remove(id)),
        }
    }

    fn settle_ended(&self) {
        let is_gone = |kept: &Kept| matches!(kept, Kept::Running(launched, _) if launched.is_gone());
        let gone: Vec<ContainerId> = self.lock().iter().filter(|(_, k)| is_gone(k)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.settle(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

//! The shims of containers that this engine started, for what no record tells: how a container ended that
//! takes its records along.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Instant;

use super::wait;
use crate::api::{ExitStatus, Stdio};
use crate::cancel::Cancel;
use crate::error::{Kind, Result};
use crate::id::{ContainerId, Name};
use crate::launch::Launched;
use crate::spec::Restart;
use crate::store::containers::Record;

/// What is kept of each.
#[derive(Debug, Default)]
pub struct Shims(Mutex<HashMap<ContainerId, Kept>>);

#[derive(Clone, Debug)]
enum Kept {
    /// With the connection, and the name that it was started by.
    Running(Arc<Launched>, Name),
    /// With the connection that will tell of the first end alone: others may follow.
    Streamed(Arc<Launched>, Name),
    /// Without: a descriptor is not held for the dead.
    Ended(ExitStatus),
}

impl Shims {
    /// Keeps the connection where it will be wanted.
    pub fn keep(&self, record: &Record, launched: Launched, stdio: &Stdio) {
        self.settle_ended();
        if record.spec.auto_remove {
            self.lock().insert(record.id.clone(), Kept::Running(Arc::new(launched), record.name.clone()));
        } else if record.spec.restart != Restart::No && *stdio != Stdio::default() {
            self.lock().insert(record.id.clone(), Kept::Streamed(Arc::new(launched), record.name.clone()));
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

    /// Waits for the end of the run that the streams belong to which a container was started with; told once. `None` when
    /// there is none to tell.
    pub fn first_end(
        &self,
        id: &ContainerId,
        deadline: Option<Instant>,
        cancel: &Cancel,
    ) -> Result<Option<ExitStatus>> {
        let kept = self.lock().get(id).cloned();
        let Some(Kept::Streamed(launched, name)) = kept else { return Ok(None) };
        let exit = match launched.wait_exit(cancel, deadline) {
            Err(e) if matches!(e.kind(), Kind::Timeout | Kind::Cancelled) => return Err(e),
            // Another wait was told, or the shim was killed.
            exit => exit.ok().map(|exited| wait::status_of(name.as_str(), exited)),
        };
        self.lock().remove(id);
        Ok(exit)
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
        self.lock().retain(|_, kept| !matches!(kept, Kept::Streamed(launched, _) if launched.is_gone()));
        let gone: Vec<ContainerId> = self.lock().iter().filter(|(_, k)| is_gone(k)).map(|(id, _)| id.clone()).collect();
        gone.iter().for_each(|id| self.settle(id));
    }

    fn lock(&self) -> MutexGuard<'_, HashMap<ContainerId, Kept>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

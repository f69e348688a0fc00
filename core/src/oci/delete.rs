//! `kill` and `delete`.

use std::path::Path;
use std::time::Duration;

use super::start::wrong_stage;
use super::state::{self, Record, Status};
use super::{Runtime, hooks, process};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::plan::{self, names};

/// How long the kernel may take to take a killed process apart.
const PATIENCE: Duration = Duration::from_secs(10);

impl Runtime {
    /// Sends a signal, by name or number, to the container's first process, or to all of its processes.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it is stopped.
    pub fn kill(&self, id: &str, signal: &str, all: bool) -> Result<()> {
        let signal = names::signal(signal)?;
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        let first = record.process()?;
        if all {
            process::signal_all(&record.cgroups, signal)?;
        }
        match first {
            Some(first) if first.signal(signal)? => Ok(()),
            _ if all => Ok(()),
            _ => Err(Error::new(Kind::Conflict, "kill container", id).because("container not running")),
        }
    }

    /// Removes what is left of a container that has ended, or with `force` ends it first.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it runs.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let dir = match self.known(id) {
            Err(error) if force && error.kind() == Kind::NotFound => return Ok(()),
            other => other?,
        };
        let record = match Record::read(&dir) {
            // One that was killed on the way has nothing but its directory.
            Err(_) if force => return fs::remove_tree(&dir),
            other => other?,
        };
        end(&record, &dir, force)?;
        let config = state::config(&dir)?;
        let last = self.state(id)?;
        process::remove_cgroups(&record.cgroups)?;
        fs::remove_tree(&dir)?;
        hooks::run(&plan::oci::poststop(&config)?, &last, &self.helper)
    }
}

/// Only one that waits for its start may be ended without force: there is nothing of the payload's to lose.
fn end(record: &Record, dir: &Path, force: bool) -> Result<()> {
    match record.status(dir)? {
        Status::Stopped => return Ok(()),
        Status::Created => {}
        _ if force => {}
        other => return Err(wrong_stage("delete container", &record.id, other).hint("stop it first, or use --force")),
    }
    let Some(first) = record.process()? else { return Ok(()) };
    super::freeze::thaw(&record.cgroups)?;
    first.signal(libc::SIGKILL)?;
    first.wait(Some(PATIENCE), &Cancel::new()).map(drop)
}

//! `kill` and `delete`.

use std::path::Path;
use std::time::Duration;

use super::hold::{self, Held};
use super::start::wrong_stage;
use super::state::{self, Record, Status};
use super::{Runtime, groups, hooks, scope};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
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
        // Not held yet: what a start waits for may be what is to be killed.
        let told = record.process()?.map_or(Ok(false), |first| first.signal(signal))?;
        if !all {
            return if told { Ok(()) } else { Err(not_running(id)) };
        }
        // Held, so that its cgroups are not another container's by now.
        let held = Held::known(self, id)?;
        groups::signal(&Record::read(held.path())?.cgroups, signal)
    }

    /// Removes what is left of a container that has ended or never came to be, or with `force` ends it first.
    ///
    /// # Errors
    /// `NotFound`; `Conflict` when it runs, or when another call is at work on it.
    pub fn delete(&self, id: &str, force: bool) -> Result<()> {
        let absent = |error: &Error| force && error.kind() == Kind::NotFound;
        if force && let Ok(record) = Record::read(&self.dir(id)?) {
            // Not held yet, as above.
            kill(&record)?;
        }
        match Held::known(self, id) {
            Err(error) if absent(&error) => hold::sweep(self, id),
            held => self.delete_held(id, held?, force),
        }
    }

    fn delete_held(&self, id: &str, held: Held, force: bool) -> Result<()> {
        let record = match Record::read(held.path()) {
            // Its maker was killed before there was more than this directory.
            Err(error) if error.kind() == Kind::NotFound => return held.remove(),
            // A damaged one tells of nothing that could be ended; one of a newer version does, to who can read it.
            Err(error) if force && error.kind() == Kind::Store => return held.remove(),
            other => other?,
        };
        end(&record, held.path(), force)?;
        let config = state::config(held.path())?;
        let last = self.state(id)?;
        groups::remove(&record.cgroups)?;
        scope::stop(&record)?;
        held.remove()?;
        // One that fails keeps nothing from being gone (runtime.md, "Lifecycle").
        hooks::run_all(&plan::oci::poststop(&config)?, &last, &self.helper);
        Ok(())
    }
}

fn not_running(id: &str) -> Error {
    Error::new(Kind::Conflict, "kill container", id).because("container not running")
}

/// Only one that waits for its start may be ended without force: there is nothing of the payload's to lose.
fn end(record: &Record, dir: &Path, force: bool) -> Result<()> {
    match record.status(dir)? {
        // It is held by us, so nobody makes it any more.
        Status::Stopped | Status::Creating => Ok(()),
        Status::Created => kill(record),
        _ if force => kill(record),
        other => Err(wrong_stage("delete container", &record.id, other).hint("stop it first, or use --force")),
    }
}

fn kill(record: &Record) -> Result<()> {
    let Some(first) = record.process()? else { return Ok(()) };
    groups::thaw(&record.cgroups)?;
    first.signal(libc::SIGKILL)?;
    first.wait(Some(PATIENCE), &Cancel::new()).map(drop)
}

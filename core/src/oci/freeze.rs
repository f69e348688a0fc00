//! `pause` and `resume`.

use super::hold::Held;
use super::start::wrong_stage;
use super::state::{Record, Status};
use super::{Runtime, groups};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

impl Runtime {
    /// Freezes all processes of a container; returns once they stand still.
    ///
    /// # Errors
    /// `Conflict` when it does not run; `Unsupported` without a freezer.
    pub fn pause(&self, id: &str) -> Result<()> {
        self.set_frozen(id, true)
    }

    /// Lets a paused container go on.
    ///
    /// # Errors
    /// As [`Runtime::pause`].
    pub fn resume(&self, id: &str) -> Result<()> {
        self.set_frozen(id, false)
    }

    fn set_frozen(&self, id: &str, freeze: bool) -> Result<()> {
        let held = Held::known(self, id)?;
        let record = Record::read(held.path())?;
        let operation = if freeze { "pause container" } else { "resume container" };
        match (record.status(held.path())?, freeze) {
            (Status::Running | Status::Created, true) | (Status::Paused, false) => {}
            (other, _) => return Err(wrong_stage(operation, id, other)),
        }
        let freezer = groups::freezer(&record.cgroups).ok_or_else(|| {
            Error::new(Kind::Unsupported, operation, id).because("this host gives it no freezer cgroup")
        })?;
        if freeze { freezer.freeze(&Cancel::new()) } else { freezer.thaw() }
    }
}

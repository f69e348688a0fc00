//! `pause` and `resume`, by the freezer of either version.

use std::path::{Path, PathBuf};

use super::Runtime;
use super::start::wrong_stage;
use super::state::{Record, Status};
use crate::error::{Error, Kind, Result};
use crate::fs;

type Cgroups = [(String, String)];

/// The file, and its words for frozen and thawed.
fn switch(cgroups: &Cgroups) -> Option<(PathBuf, &'static str, &'static str)> {
    let dir = |name: &str| cgroups.iter().find(|(controller, _)| controller == name).map(|(_, dir)| Path::new(dir));
    let v1 = dir("freezer").map(|dir| (dir.join("freezer.state"), "FROZEN", "THAWED"));
    v1.or_else(|| dir("").map(|dir| (dir.join("cgroup.freeze"), "1", "0")))
}

pub(super) fn is_frozen(cgroups: &Cgroups) -> Result<bool> {
    let Some((file, frozen, _)) = switch(cgroups) else { return Ok(false) };
    let text = fs::read_if_exists(&file, 64)?.unwrap_or_default();
    let text = String::from_utf8_lossy(&text);
    Ok(text.trim() == frozen || text.trim() == "FREEZING")
}

pub(super) fn thaw(cgroups: &Cgroups) -> Result<()> {
    match switch(cgroups) {
        Some((file, _, thawed)) if fs::exists(&file)? => fs::write_kernel(&file, thawed),
        _ => Ok(()),
    }
}

impl Runtime {
    /// Freezes all processes of a container.
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
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        let operation = if freeze { "pause container" } else { "resume container" };
        match (record.status(&dir)?, freeze) {
            (Status::Running | Status::Created, true) | (Status::Paused, false) => {}
            (other, _) => return Err(wrong_stage(operation, id, other)),
        }
        let (file, frozen, thawed) = switch(&record.cgroups).ok_or_else(|| {
            Error::new(Kind::Unsupported, operation, id).because("this host gives it no freezer cgroup")
        })?;
        fs::write_kernel(&file, if freeze { frozen } else { thawed })
    }
}

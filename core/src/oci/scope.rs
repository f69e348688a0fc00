//! Cgroups that systemd makes, as scopes around a container's processes.

use std::path::Path;

use serde::{Deserialize, Serialize};

use super::groups;
use super::state::Record;
use crate::error::{Error, Kind, Result};
use crate::plan::oci::{Groups, ResourceWrite, Systemd, unit_properties};
use crate::systemd::{Manager, Starting, Whose};
use crate::{cgroup, fs, ops};

/// What is kept of a scope.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Kept {
    pub unit: String,
    pub whose: Whose,
}

/// The manager that is asked.
pub(super) fn manager() -> Result<Systemd> {
    let whose = ops::scoped::whose();
    Ok(Systemd { whose, about: Manager::connect(whose)?.about()? })
}

/// Starts the scope with the container's first process. What systemd does not know of is written after it.
pub(super) fn place(groups: &Groups, starting: &Starting, pid: i32) -> Result<()> {
    let Some(scope) = &groups.scope else { return Ok(()) };
    starting.start(&scope.properties, pid)?;
    require(&groups.by_controller, pid, &scope.unit)?;
    cgroup::enable(&groups.dirs, &groups.enable)?;
    cgroup::limit_all(&groups.dirs)
}

/// The process is where all that comes later looks for it.
fn require(cgroups: &groups::Cgroups, pid: i32, unit: &str) -> Result<()> {
    let text = fs::read_bounded(Path::new(&format!("/proc/{pid}/cgroup")), 1 << 20)?;
    let text = String::from_utf8_lossy(&text);
    let own = text.lines().find_map(|line| line.strip_prefix("0::")).unwrap_or_default();
    match cgroups.iter().any(|(_, dir)| dir.ends_with(own) && !own.is_empty()) {
        true => Ok(()),
        false => {
            Err(Error::new(Kind::Unsupported, "start scope", unit).because(format!("systemd has put it into {own}")))
        }
    }
}

/// Puts a further process into the container's cgroup; where this user may not by itself, systemd does.
pub(super) fn enter(record: &Record, pid: i32) -> Result<()> {
    let (Some(scope), Some((_, dir))) = (&record.scope, record.cgroups.first()) else { return Ok(()) };
    match fs::write_kernel(&Path::new(dir).join("cgroup.procs"), &pid.to_string()) {
        Err(error) if error.kind() == Kind::PermissionDenied => Manager::connect(scope.whose)?.attach(&scope.unit, pid),
        other => other,
    }
}

/// Tells systemd of limits that were written, so that it does not write others.
pub(super) fn update(record: &Record, writes: &[ResourceWrite]) -> Result<()> {
    let Some(scope) = &record.scope else { return Ok(()) };
    let mut manager = Manager::connect(scope.whose)?;
    let properties = unit_properties(writes, manager.about()?.version);
    if properties.is_empty() { Ok(()) } else { manager.set_properties(&scope.unit, &properties) }
}

/// Stops the scope of a container whose processes have ended. A systemd that is not there any more has none.
pub(super) fn stop(record: &Record) -> Result<()> {
    let Some(scope) = &record.scope else { return Ok(()) };
    match Manager::connect(scope.whose) {
        Err(error) if error.kind() == Kind::Unsupported => Ok(()),
        manager => manager?.stop(&scope.unit),
    }
}

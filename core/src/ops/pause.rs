//! `pause`, `unpause`.

use std::path::PathBuf;

use super::{Context, list};
use crate::api::Status;
use crate::cancel::Cancel;
use crate::cgroup::Freezer;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::plan::cgroup;
use crate::store::containers::{Container, Record};

/// Freezes a container's processes.
pub fn pause(context: &Context, id: &ContainerId, cancel: &Cancel) -> Result<()> {
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    match status(context, &container) {
        Status::Running => {}
        Status::Paused => return Err(conflict("pause container", name, "it is paused already")),
        _ => return Err(conflict("pause container", name, "it is not running")),
    }
    freezer(context, &container.record)?
        .ok_or_else(|| no_freezer(name))?
        .freeze(cancel)
        .map_err(|e| e.within("pause container", name))
}

/// Lets a container's processes go on.
pub fn unpause(context: &Context, id: &ContainerId) -> Result<()> {
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    match (status(context, &container), freezer(context, &container.record)?) {
        (Status::Paused, Some(freezer)) => freezer.thaw().map_err(|e| e.within("unpause container", name)),
        _ => Err(conflict("unpause container", name, "it is not paused")),
    }
}

/// A frozen process sees no signal, and on cgroup v1 doesn't even die of one.
pub(super) fn thaw_for_signal(context: &Context, container: &Container) -> Result<()> {
    match freezer(context, &container.record)?.filter(Freezer::is_frozen) {
        Some(freezer) => freezer.thaw(),
        None => Ok(()),
    }
}

/// Where a container is in its life, with a look at whether it stands still.
pub(super) fn status(context: &Context, container: &Container) -> Status {
    let frozen = || freezer(context, &container.record).ok().flatten().is_some_and(|f| f.is_frozen());
    match container.status() {
        Status::Running if frozen() => Status::Paused,
        status => status,
    }
}

/// `None` where the container has no cgroup that could be frozen.
fn freezer(context: &Context, record: &Record) -> Result<Option<Freezer>> {
    let facts = &context.facts()?.cgroups;
    let placement = cgroup::plan(&record.spec.limits, &record.id, facts)?.placement;
    if let Some(dir) = placement.v2 {
        return Ok(Some(Freezer::V2(PathBuf::from(dir))));
    }
    let base = facts.v1.get("freezer").map(|base| format!("{}/", base.trim_end_matches('/')));
    let dir = base.and_then(|base| placement.v1.into_iter().find(|dir| dir.starts_with(&base)));
    Ok(dir.map(|dir| Freezer::V1(PathBuf::from(dir))))
}

fn conflict(operation: &'static str, name: &str, because: &str) -> Error {
    Error::new(Kind::Conflict, operation, name).because(because)
}

fn no_freezer(name: &str) -> Error {
    Error::new(Kind::Unsupported, "pause container", name)
        .because("it has no cgroup that this user may freeze")
        .hint("run as root, or in a delegated cgroup v2 subtree (a systemd user session has one)")
}

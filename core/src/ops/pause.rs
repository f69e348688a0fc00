//! `pause`, `unpause`.

use std::path::PathBuf;

use super::{Context, events, list, placed};
use crate::api::Status;
use crate::cancel::Cancel;
use crate::cgroup::Freezer;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::store::containers::{Cgroups, Container};

/// Freezes a container's processes.
pub fn pause(context: &Context, id: &ContainerId, cancel: &Cancel) -> Result<()> {
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    match status(context, &container) {
        Status::Running => {}
        Status::Paused => return Err(conflict("pause container", name, "it is paused already")),
        _ => return Err(conflict("pause container", name, container.idle())),
    }
    freezer(context, &container)?
        .ok_or_else(|| no_freezer(name))?
        .freeze(cancel)
        .map_err(|e| e.within("pause container", name))?;
    events::tell(context, &container.record, "pause", &[]);
    Ok(())
}

/// Lets a container's processes go on.
pub fn unpause(context: &Context, id: &ContainerId) -> Result<()> {
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    match (status(context, &container), freezer(context, &container)?) {
        (Status::Paused, Some(freezer)) => freezer.thaw().map_err(|e| e.within("unpause container", name))?,
        _ => return Err(conflict("unpause container", name, "it is not paused")),
    }
    events::tell(context, &container.record, "unpause", &[]);
    Ok(())
}

/// A frozen process sees no signal, and on cgroup v1 doesn't even die of one. Whoever can't thaw it has sent the signal
/// all the same.
pub(super) fn thaw_for_signal(context: &Context, container: &Container) {
    if let Ok(groups) = placed::of(context, container) {
        thaw(groups);
    }
}

/// The same for one of which no more is known than its cgroups.
pub(super) fn thaw(groups: Cgroups) {
    if let Some(freezer) = freezer_of(groups).filter(Freezer::is_held) {
        let _ = freezer.thaw();
    }
}

/// Where a container is in its life, with a look at whether it stands still.
pub(super) fn status(context: &Context, container: &Container) -> Status {
    let frozen = || freezer(context, container).ok().flatten().is_some_and(|f| f.is_held());
    match container.status() {
        Status::Running if frozen() => Status::Paused,
        status => status,
    }
}

/// `None` where the container has no cgroup that could be frozen.
fn freezer(context: &Context, container: &Container) -> Result<Option<Freezer>> {
    placed::of(context, container).map(freezer_of)
}

fn freezer_of(mut groups: Cgroups) -> Option<Freezer> {
    let v1 = groups.v1.remove("freezer").map(|dir| Freezer::V1(PathBuf::from(dir)));
    groups.v2.map(|dir| Freezer::V2(PathBuf::from(dir))).or(v1)
}

fn conflict(operation: &'static str, name: &str, because: &str) -> Error {
    Error::new(Kind::Conflict, operation, name).because(because)
}

fn no_freezer(name: &str) -> Error {
    Error::new(Kind::Unsupported, "pause container", name)
        .because("it has no cgroup that this user may freeze")
        .hint("run as root, or in a delegated cgroup v2 subtree (a systemd user session has one)")
}

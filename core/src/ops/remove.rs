//! `rm`: out of sight first, then off the disk.

use std::path::Path;
use std::time::Duration;

use super::{Context, create, list, stop, wait};
use crate::api::*;
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::launch;
use crate::plan::cgroup;
use crate::store::containers::{self, Container, Record};
use crate::store::{liveness, tmp};
use crate::sys::{self, PidFd};

/// Removes a container.
pub fn remove(context: &Context, id: &ContainerId, options: &RemoveOptions) -> Result<()> {
    if containers::is_damaged(&context.paths, id) {
        return remove_damaged(context, id);
    }
    let container = list::load(context, id)?;
    if container.held && !options.force {
        return Err(Error::new(Kind::Conflict, "remove container", container.record.name.as_str())
            .because("it is running")
            .hint("stop it first, or force the removal"));
    }
    if container.held {
        stop::send(&container, libc::SIGKILL)?;
        wait::until_released(context, id, None, &Cancel::new())?;
    }
    // Its own shim, or a second caller, may have removed it meanwhile.
    let Some(container) = containers::load(&context.paths, id)? else { return Ok(()) };
    if container.status() == Status::Dead {
        bury(context, &container)?;
    }
    delete(context, &container.record)?;
    if options.volumes || container.record.spec.auto_remove {
        create::drop_volumes(context, &container.record);
    }
    Ok(())
}

/// Removes what can't be told of any more: its name becomes free with it, its volumes stay.
fn remove_damaged(context: &Context, id: &ContainerId) -> Result<()> {
    let at = context.paths.container(id);
    if liveness::is_held(&at.lock())? {
        return Err(Error::new(Kind::Conflict, "remove container", id.short())
            .because("it is running, and its record is damaged")
            .hint("end its processes first"));
    }
    match tmp::trash(&context.paths, at.dir())? {
        Some(trash) => remove_tree(context, &trash).map_err(|e| e.within("remove container", id.short())),
        None => Ok(()),
    }
}

/// Does what a killed shim left undone: its process was killed with it, and its cgroups are still there.
fn bury(context: &Context, container: &Container) -> Result<()> {
    const PATIENCE: Duration = Duration::from_secs(5);
    if let Some(state) = container.state.as_ref().filter(|s| s.boot_id == sys::boot_id())
        && let Some(process) = PidFd::open_started(state.pid, state.pid_start)?
    {
        process.wait(Some(PATIENCE), &Cancel::new())?;
    }
    // What they can't be planned on any more, as after a change of rung, they were not made on either.
    if let Ok(plan) = cgroup::plan(&container.record.spec.limits, &container.record.id, &context.facts()?.cgroups) {
        groups::remove(&plan.dirs);
    }
    Ok(())
}

/// Removes a container whose start failed, with its anonymous volumes.
pub(super) fn discard(context: &Context, record: &Record) -> Result<()> {
    wait::until_released(context, &record.id, None, &Cancel::new())?;
    if containers::load(&context.paths, &record.id)?.is_some() {
        delete(context, record)?;
    }
    create::drop_volumes(context, record);
    Ok(())
}

fn delete(context: &Context, record: &Record) -> Result<()> {
    match containers::unlist(&context.paths, record)? {
        Some(trash) => remove_tree(context, &trash).map_err(|e| e.within("remove container", record.name.as_str())),
        None => Ok(()),
    }
}

/// Removes a tree of the store. What subordinate ids own only their own user namespace may remove.
pub(super) fn remove_tree(context: &Context, path: &Path) -> Result<()> {
    match fs::remove_tree(path) {
        Err(e) if matches!(e.errno(), Some(libc::EACCES | libc::EPERM)) => match &context.facts()?.id_map {
            Some(map) => launch::remove_trees(Some(map), &[path.display().to_string()], &context.helper()),
            None => Err(e),
        },
        done => done,
    }
}

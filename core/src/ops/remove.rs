//! `rm`: out of sight first, then off the disk.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use super::{Context, create, events, leftovers, list, pause, stop, userns, wait};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::launch;
use crate::store::containers::{self, Container, Record, State};
use crate::store::liveness;
use crate::wire;

/// Removes a container.
pub fn remove(context: &Context, id: &ContainerId, options: &RemoveOptions) -> Result<()> {
    // Far more than a start takes.
    let deadline = Instant::now() + Duration::from_secs(20);
    loop {
        let container = match list::load(context, id) {
            Ok(container) => container,
            Err(e) => return remove_unusable(context, id, options.force, e),
        };
        let (lock, name) = (context.paths.container(id).lock(), container.record.name.as_str());
        match liveness::hold_after_copies(&lock, name, &Cancel::new()) {
            Ok(lock) => return remove_held(context, id, options.volumes, lock),
            // Its own shim, or a second caller, has removed it meanwhile.
            Err(e) if e.kind() == Kind::NotFound => return Ok(()),
            Err(e) if e.kind() == Kind::Conflict && Instant::now() < deadline => make_way(context, container, options)?,
            Err(e) => return Err(e),
        }
        if containers::load(&context.paths, id)?.is_none() {
            return Ok(());
        }
    }
}

/// Removes what can't be told of any more: its name becomes free with it, its volumes stay. `unread` is why it could not be
/// loaded, and the error where it can be used all the same.
fn remove_unusable(context: &Context, id: &ContainerId, force: bool, unread: Error) -> Result<()> {
    let Some(unusable) = containers::unusable(&context.paths, id) else { return Err(unread) };
    if liveness::is_held(&context.paths.container(id).lock())? && !(force && kill_unusable(context, id)?) {
        return Err(Error::new(Kind::Conflict, "remove container", id.short())
            .because(format!("it is running, and {}", unusable.why()))
            .hint(if force { "end its processes first" } else { "force the removal" }));
    }
    // So that nobody removes it at the same time.
    let _lock = match liveness::hold(&context.paths.container(id).lock(), id.short()) {
        Err(e) if e.kind() == Kind::NotFound => return Ok(()),
        lock => lock?,
    };
    leftovers::end_unusable(context, id)?;
    leftovers::refuse_occupied(context, id, None)?;
    match containers::unlist_unusable(&context.paths, id)? {
        Some(trash) => remove_tree(context, &trash).map_err(|e| e.within("remove container", id.short())),
        None => Ok(()),
    }
}

/// Kills what runs, told by its state alone; whether its shim has gone with it. Nobody knows whether a policy would have
/// it started again: then what is killed may not have been the last.
fn kill_unusable(context: &Context, id: &ContainerId) -> Result<bool> {
    let deadline = Instant::now() + Duration::from_secs(10);
    loop {
        let soon = Instant::now().checked_add(Duration::from_millis(500));
        let _ = launch::set_restart(context.paths.container(id).dir(), wire::Restart::No, &Cancel::new(), soon);
        if let Some(state) = containers::state(&context.paths, id)?.filter(State::is_here) {
            if let Some(process) = state.first_process()? {
                process.signal(libc::SIGKILL)?;
            }
            pause::thaw(state.cgroups.unwrap_or_default());
        }
        let soon = Instant::now().checked_add(Duration::from_millis(500));
        let released = wait::until_released(context, id, soon, &Cancel::new())?;
        if released || Instant::now() >= deadline {
            return Ok(released);
        }
    }
}

/// Somebody holds it: one that runs is killed if that is wanted; one that ends or is removed is waited for.
fn make_way(context: &Context, mut container: Container, options: &RemoveOptions) -> Result<()> {
    if container.is_alive() {
        if !options.force {
            return Err(Error::new(Kind::Conflict, "remove container", container.record.name.as_str())
                .because(format!("it is {}", container.status().word()))
                .hint("stop it first, or force the removal"));
        }
        let patience = Instant::now().checked_add(Duration::from_secs(2));
        container = stop::forgo(context, container, &Cancel::new(), patience)?;
        stop::send(context, &container, libc::SIGKILL)?;
        pause::thaw_for_signal(context, &container);
    }
    // One that is being started has no process to kill yet: it is met again as a running one.
    let patience = Instant::now().checked_add(Duration::from_millis(100));
    wait::until_released(context, &container.record.id, patience, &Cancel::new()).map(drop)
}

/// Removes a container whose lock is held, so that nobody starts it meanwhile.
pub(super) fn remove_held(context: &Context, id: &ContainerId, volumes: bool, lock: OwnedFd) -> Result<()> {
    let Some(container) = containers::load(&context.paths, id)? else { return Ok(()) };
    leftovers::end(context, &container)?;
    leftovers::refuse_occupied(context, id, Some(&container))?;
    events::tell_lost(context, &container);
    // Before the record that names them, or a kill in between would leave volumes that nobody knows of.
    let volumes = volumes || container.record.spec.auto_remove;
    match volumes {
        true => create::drop_volumes(context, &container.record),
        false => drop(create::leave_volumes(context, &container.record)),
    }
    delete(context, &container.record, volumes)?;
    drop(lock);
    Ok(())
}

/// Removes a container whose start failed, with its anonymous volumes.
pub(super) fn discard(context: &Context, record: &Record) -> Result<()> {
    wait::until_released(context, &record.id, None, &Cancel::new())?;
    create::drop_volumes(context, record);
    match containers::load(&context.paths, &record.id)? {
        Some(_) => delete(context, record, true),
        None => Ok(()),
    }
}

fn delete(context: &Context, record: &Record, volumes: bool) -> Result<()> {
    match containers::unlist(&context.paths, record)? {
        Some(trash) => {
            create::drop_volumes_again(context, record, volumes);
            userns::release(context, record);
            let removed = remove_tree(context, &trash);
            events::tell(context, record, "destroy", &[]);
            removed.map_err(|e| e.within("remove container", record.name.as_str()))
        }
        None => Ok(()),
    }
}

/// Removes a tree of the store. What subordinate ids own only their own user namespace may remove.
pub(super) fn remove_tree(context: &Context, path: &Path) -> Result<()> {
    match fs::remove_tree(path) {
        Err(e) if matches!(e.errno(), Some(libc::EACCES | libc::EPERM)) => match &context.facts()?.id_map {
            Some(map) => launch::remove_trees(Some(map), &[path.display().to_string()], &context.helper())
                .map_err(|e| with_cure(e, path)),
            None => Err(with_cure(e, path)),
        },
        done => done,
    }
}

/// Of files with ids that this user doesn't have, or has no more.
fn with_cure(error: Error, path: &Path) -> Error {
    match error.errno() {
        Some(libc::EACCES | libc::EPERM) => error
            .hint(format!("it has files of ids that this user does not have: have root run rm -rf {}", path.display())),
        _ => error,
    }
}

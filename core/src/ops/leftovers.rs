//! What killed processes left: a container's processes and cgroups without its shim, containers that were to
//! remove themselves, and containers that were never made to the end.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use super::{Context, events, pause, placed, remove, wait};
use crate::api::{Status, Tie};
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Name};
use crate::paths::ContainerPaths;
use crate::store::containers::{self, Cgroups, Container, Record, State, Whose};
use crate::store::liveness::{self, Marks};
use crate::sys::{self, PidFd};

const PATIENCE: Duration = Duration::from_secs(5);

/// Ends what is left of a container's last run, whose shim is gone; the caller holds its lock.
pub(super) fn end(context: &Context, container: &Container) -> Result<()> {
    if container.foreign {
        end_foreign(context, container)?;
    }
    let Some(state) = &container.state else {
        return end_untold(context, &container.record.id, &placed::of(context, container)?);
    };
    match state.whose(context.paths.container(&container.record.id).dir()) {
        Whose::Own => end_own(context, container, state),
        Whose::Moved(from) if !container.has_ended(state) => end_moved(state, &from, container.record.name.as_str()),
        Whose::Moved(_) | Whose::Anothers | Whose::Untold => Ok(()),
    }
}

/// The caller's lock is not that of who is told of.
fn end_foreign(context: &Context, container: &Container) -> Result<()> {
    let (id, name) = (&container.record.id, container.record.name.as_str());
    let Some(state) = containers::state(&context.paths, id)? else { return Ok(()) };
    match state.whose(context.paths.container(id).dir()) {
        Whose::Moved(from) if !container.has_ended(&state) => end_moved(&state, &from, name),
        _ => Ok(()),
    }
}

fn end_own(context: &Context, container: &Container, state: &State) -> Result<()> {
    let groups = placed::directories(&placed::of(context, container)?);
    groups::end_paths(groups.iter().map(PathBuf::as_path));
    // A shim that noted the end had ended all before.
    let unnoted = container.ended().is_none() && state.boot_id == sys::boot_id();
    if unnoted { end_processes(context, container, groups.is_empty()) } else { Ok(()) }
}

/// The same where the store was moved to another file system while it ran. Its cgroup may be that of another copy by now, so
/// what stands on its root alone is ended.
fn end_moved(state: &State, from: &ContainerPaths, name: &str) -> Result<()> {
    let groups = state.cgroups.clone().unwrap_or_default();
    if let Some(process) = state.first_process()? {
        process.signal(libc::SIGKILL)?;
        pause::thaw(groups.clone());
        process.wait(Some(PATIENCE), &Cancel::new())?;
    }
    kill_by_root(from, state.place.as_deref(), name)?;
    groups::remove_paths(&placed::directories(&groups));
    Ok(())
}

/// Refuses to forget a container whose cgroup has processes of which it is not told that they are another's.
pub(super) fn refuse_occupied(context: &Context, id: &ContainerId, known: Option<&Container>) -> Result<()> {
    let runs = |state: &State| known.is_none_or(|container| !container.has_ended(state));
    let Some(state) = containers::state(&context.paths, id)?.filter(runs) else { return Ok(()) };
    if !matches!(state.whose(context.paths.container(id).dir()), Whose::Moved(_) | Whose::Untold) {
        return Ok(());
    }
    match placed::directories(&state.cgroups.unwrap_or_default()).iter().find(|dir| groups::is_occupied(dir)) {
        None => Ok(()),
        Some(dir) => Err(Error::new(Kind::Conflict, "remove container", id.short())
            .because(format!(
                "its store was moved or copied while it ran, and processes are in its cgroup {} that may be its own",
                dir.display()
            ))
            .hint("stop the container of this id that runs from another copy of the store, or end these processes")),
    }
}

/// The same for one whose record can't be used. Its state tells where its processes are, and where that says nothing either,
/// the usual place and their root file system do.
pub(super) fn end_unusable(context: &Context, id: &ContainerId) -> Result<()> {
    let at = context.paths.container(id);
    let state = containers::state(&context.paths, id)?;
    match state.as_ref().map(|state| (state, state.whose(at.dir()))) {
        Some((state, Whose::Moved(from))) => end_moved(state, &from, id.short()),
        Some((_, Whose::Anothers | Whose::Untold)) => Ok(()),
        Some((State { cgroups: Some(known), .. }, Whose::Own)) => {
            groups::end_paths(placed::directories(known).iter().map(PathBuf::as_path));
            kill_by_root(&at, None, id.short())
        }
        // Without cgroups to tell that there is something, too.
        _ => end_on_root(context, id, &placed::directories(&placed::usual(context, id)?)),
    }
}

/// The same where no state tells whose the cgroups are: in a copy of the store, the path of the other's is the same. What
/// stands on this container's root is its own; what a killed shim was about to start dies with it.
fn end_untold(context: &Context, id: &ContainerId, cgroups: &Cgroups) -> Result<()> {
    let left = placed::directories(cgroups);
    let any = left.iter().any(|dir| fs::exists(dir).unwrap_or(false));
    if any { end_on_root(context, id, &left) } else { Ok(()) }
}

fn end_on_root(context: &Context, id: &ContainerId, left: &[PathBuf]) -> Result<()> {
    kill_by_root(&context.paths.container(id), None, id.short())?;
    groups::remove_paths(left);
    Ok(())
}

/// Where a shim was killed, its end is told by whoever looks at the container, and what runs on, as it shares the host's
/// process ids or its first process no longer asks to be killed with the shim, is ended: nobody else comes by. What can't be done now is left to the next.
pub(super) fn end_orphans(context: &Context, container: &Container) {
    let id = &container.record.id;
    if is_untended(context, container).unwrap_or(false)
        // Only where there is something to do. A start waits for it.
        && let Ok(_lock) = liveness::hold_files(&context.paths.container(id).lock(), "")
        && let Ok(Some(dead)) = containers::load(&context.paths, id)
        && dead.status() == Status::Dead
    {
        let _ = end(context, &dead);
        events::tell_lost(context, &dead);
    }
}

fn is_untended(context: &Context, container: &Container) -> Result<bool> {
    let dir = context.paths.container(&container.record.id);
    let own = |state: &State| state.is_here() && matches!(state.whose(dir.dir()), Whose::Own | Whose::Moved(_));
    Ok(container.status() == Status::Dead
        && container.state.as_ref().is_some_and(own)
        && (!fs::exists(&context.paths.container(&container.record.id).lost())?
            || may_have_orphans(context, container)?))
}

fn may_have_orphans(context: &Context, container: &Container) -> Result<bool> {
    if container.state.as_ref().map(State::first_process).transpose()?.flatten().is_some() {
        return Ok(true);
    }
    if !shares_pids(context, container)? {
        return Ok(false);
    }
    let groups = placed::directories(&placed::of(context, container)?);
    match groups.is_empty() {
        true => has_processes(context, container),
        false => Ok(groups.iter().any(|dir| fs::exists(dir).unwrap_or(false))),
    }
}

fn has_processes(context: &Context, container: &Container) -> Result<bool> {
    let at = context.paths.container(&container.record.id);
    let found = match container.state.as_ref().map(|state| (state, state.whose(at.dir()))) {
        Some((state, Whose::Moved(from))) => processes_on(&from, state.place.as_deref()),
        _ => processes_on(&at, None),
    };
    Ok(!found?.is_empty())
}

/// The host's process ids, or another container's.
fn shares_pids(context: &Context, container: &Container) -> Result<bool> {
    let sharing = &container.record.spec.namespaces;
    Ok(sharing.host_pid || sharing.joined.contains_key("pid") || !context.facts()?.fresh_proc)
}

/// The first process has asked to be killed with its shim, which it may have taken back, or have lost as it changed its user;
/// with it end all others of its PID namespace. Without one of its own, and without a cgroup to find them by, they are told by
/// the root file system that they stand on.
fn end_processes(context: &Context, container: &Container, no_cgroup: bool) -> Result<()> {
    let Some(state) = &container.state else { return Ok(()) };
    if let Some(process) = state.first_process()? {
        process.signal(libc::SIGKILL)?;
        process.wait(Some(PATIENCE), &Cancel::new())?;
    }
    if no_cgroup && shares_pids(context, container)? {
        kill_by_root(&context.paths.container(&container.record.id), None, container.record.name.as_str())?;
    }
    Ok(())
}

fn kill_by_root(of: &ContainerPaths, place: Option<&str>, name: &str) -> Result<()> {
    for _ in 0..16 {
        let found = processes_on(of, place)?;
        if found.is_empty() {
            return Ok(());
        }
        for process in &found {
            process.signal(libc::SIGKILL)?;
        }
        for process in found {
            process.wait(Some(PATIENCE), &Cancel::new())?;
        }
    }
    Err(Error::new(Kind::Conflict, "end container", name)
        .because("its shim was killed, it has neither a PID namespace nor a cgroup of its own, and its processes fork faster than they are killed")
        .hint("have root end them"))
}

/// The processes whose root is an overlay with this container's upper directory, or its tree. Where its directory is not
/// there any more, that is told by the `place` that it was.
fn processes_on(of: &ContainerPaths, place: Option<&str>) -> Result<Vec<PidFd>> {
    const MOST: u64 = 8 << 20;
    let mark = format!("upperdir={},", of.upper().display());
    let tree = fs::identity(&of.tree()).ok();
    let mut found = Vec::new();
    for pid in fs::list(Path::new("/proc"))?.iter().filter_map(|n| n.to_str()?.parse::<i32>().ok()) {
        let Some(process) = PidFd::open(pid)? else { continue };
        // Another user's process, or one that has just ended, tells nothing.
        let mounts = fs::read_bounded(&Path::new("/proc").join(pid.to_string()).join("mountinfo"), MOST);
        let root = |line: &str| line.split(' ').nth(4) == Some("/") && line.contains(&mark);
        let on_overlay = mounts.is_ok_and(|text| String::from_utf8_lossy(&text).lines().any(root));
        if on_overlay || is_in(tree.as_deref(), pid) || place.is_some_and(|place| is_below(place, pid)) {
            found.push(process);
        }
    }
    Ok(found)
}

/// Whether a process has a directory as its root that is in the one of this identity, which may have been removed.
fn is_below(place: &str, pid: i32) -> bool {
    as_it_would(pid, |process| fs::identity(&process.join("root/..")).is_ok_and(|above| above == place))
}

/// Whether a process has the directory of this identity as its root.
pub(super) fn is_in(tree: Option<&str>, pid: i32) -> bool {
    tree.is_some_and(|tree| {
        as_it_would(pid, |process| fs::identity_followed(&process.join("root")) == Some(tree.into()))
    })
}

/// What is asked of a process's `/proc`, and once more as the process's own user: root without CAP_SYS_PTRACE, as in a pod,
/// is told nothing of other users' processes.
fn as_it_would(pid: i32, ask: impl Fn(&Path) -> bool) -> bool {
    const SYS_PTRACE: u32 = 19;
    let process = Path::new("/proc").join(pid.to_string());
    let by_us = ask(&process);
    if by_us || !nix::unistd::geteuid().is_root() || sys::has_capability(SYS_PTRACE) {
        return by_us;
    }
    let owner = fs::owners(&process).filter(|(uid, _)| *uid != 0);
    owner.is_some_and(|(uid, gid)| sys::as_user(uid, gid, || ask(&process)))
}

/// Removes the containers that a killed process should have removed, and those whose owner is gone.
pub(super) fn sweep(context: &Context) -> Result<()> {
    for id in containers::ids(&context.paths)? {
        // A damaged one, or one that can't be removed, hides no other.
        if may_be_left(context, &id).unwrap_or(false) {
            let _ = remove_left(context, &id);
        }
    }
    Ok(())
}

/// A look at the lock file alone: most containers stay until they are removed by hand, and there may be many.
fn may_be_left(context: &Context, id: &ContainerId) -> Result<bool> {
    let lock = context.paths.container(id).lock();
    let marks = Marks::read(&lock)?;
    Ok((marks.half_made || marks.auto_remove || marks.tied) && !liveness::is_held(&lock)?)
}

/// Makes room for another of a container's name, where its owner is gone: its shim has been told of that, and is waited for.
pub(super) fn see_off(context: &Context, name: &Name, cancel: &Cancel) -> Result<()> {
    let Some(id) = containers::owner_of(&context.paths, name)? else { return Ok(()) };
    // What is damaged stays, and the name with it.
    if let Ok(Some(container)) = containers::load(&context.paths, &id)
        && container.state.as_ref().is_some_and(State::is_orphaned)
    {
        let patience = PATIENCE + Duration::from_millis(patience_of(&container));
        wait::until_released(context, &id, Instant::now().checked_add(patience), cancel)?;
    }
    if may_be_left(context, &id)? {
        // One that can't be removed keeps the name, which is told then.
        let _ = remove_left(context, &id);
    }
    Ok(())
}

fn patience_of(container: &Container) -> u64 {
    let Record { options, spec, .. } = &container.record;
    options.stop_timeout.map_or(0, |_| spec.stop_timeout_ms)
}

/// One that is to stay is not held for a look: who starts it at that instant would be told that it runs.
fn remove_left(context: &Context, id: &ContainerId) -> Result<()> {
    if !is_left(context, id)? {
        return Ok(());
    }
    match liveness::hold(&context.paths.container(id).lock(), id.short()) {
        // Somebody may have started it meanwhile.
        Ok(lock) if is_left(context, id)? => remove::remove_held(context, id, true, lock),
        Ok(_) => Ok(()),
        Err(e) if matches!(e.kind(), Kind::Conflict | Kind::NotFound) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Whether nobody will come for a container that nobody holds.
fn is_left(context: &Context, id: &ContainerId) -> Result<bool> {
    let Some(container) = containers::load(&context.paths, id)? else { return Ok(false) };
    if container.state.as_ref().is_some_and(|s| s.machine_id != sys::machine_id()) {
        return Ok(false);
    }
    match container.status() {
        Status::Dead | Status::Exited => {
            let spec = &container.record.spec;
            let orphaned = || container.state.as_ref().is_some_and(State::is_orphaned);
            Ok(spec.auto_remove || spec.tie == Tie::Host && orphaned())
        }
        Status::Created => Ok(Marks::read(&context.paths.container(id).lock())?.half_made),
        _ => Ok(false),
    }
}

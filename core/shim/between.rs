//! An init in a user namespace, borne by a process between it and the shim, whose child it is: who has joined such a
//! namespace can't come back, and what the kernel is to lock for the container has to be mounted by who is not in it
//! yet (`shelf.rs`).

use crate::fail::{At, Fail, Outcome};
use crate::shelf::{self, Made};
use crate::sys::{self, Errno, Fd, Forked};
use crate::wire::{Bundle, Launch, Namespace, Step};
use crate::{binds, early, init, launch, limits, rootfs};

/// What was made outside for the init, in it.
#[derive(Clone, Copy)]
pub enum Outside {
    /// Its root and its binds are attached where its root will be.
    Shelf,
    /// Detached binds, by their mounts' places in the plan; 0 for others.
    Binds(&'static [usize]),
}

impl Outside {
    /// Takes it.
    pub fn take(self, launch: &Launch<'static>) -> Outcome<Made> {
        match self {
            Outside::Shelf => shelf::take(launch),
            Outside::Binds(trees) => Ok(Made { root: None, trees }),
        }
    }
}

/// The init, whether it was born in its v2 cgroup, and what it finds.
pub fn fork(bundle: &Bundle<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool, Outside)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let (forked, has_mounts) = fork_between().step(Step::Clone)?;
    let (pid, pidfd) = match forked {
        Forked::Child => return go_between(bundle, cgroup, theirs, has_mounts),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let init = told(ours);
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    let pid = init.ok_or(SAID)?;
    let pidfd = sys::pidfd_open(pid).step(Step::Clone).inspect_err(|_| launch::end(pid))?;
    Ok((Forked::Parent { pid, pidfd }, false, Outside::Binds(&[])))
}

/// With a mount namespace of its own, which a plain user does not get outside of a user namespace. Who may have one and gets
/// none is told: without, nothing of the container's mounts would be locked.
fn fork_between() -> sys::Result<(Forked, bool)> {
    match sys::fork(sys::CLONE_NEWNS, None).or_else(|_| sys::fork_by_clone(sys::CLONE_NEWNS)) {
        Ok(forked) => Ok((forked, true)),
        Err(Errno::EPERM) => sys::fork(0, None).or_else(|_| sys::fork_by_clone(0)).map(|forked| (forked, false)),
        Err(failed) => Err(failed),
    }
}

/// The one in between has told the caller, or was killed.
const SAID: Fail = Fail { step: Step::Died, errno: Errno(0), detail: b"" };

fn told(ours: Fd) -> Option<i32> {
    let mut pid = [0; 4];
    (sys::recv(ours, &mut pid, false) == Ok(4)).then(|| i32::from_ne_bytes(pid))
}

/// Returns in the init alone.
fn go_between(
    bundle: &Bundle<'static>,
    cgroup: Option<Fd>,
    theirs: Fd,
    has_mounts: bool,
) -> Outcome<(Forked, bool, Outside)> {
    let born = prepare(&bundle.launch, has_mounts)
        .and_then(|outside| join_and_fork(bundle, cgroup).map(|(forked, entered)| (forked, entered, outside)));
    match born {
        Ok((Forked::Child, ..)) => {
            // Held here it would keep the shim from seeing the end of the one in between.
            let _ = sys::close(theirs);
            return born;
        }
        Ok((Forked::Parent { pid, .. }, ..)) => drop(sys::send(theirs, &pid.to_ne_bytes())),
        Err(failed) => failed.report(),
    }
    sys::exit(0)
}

fn prepare(launch: &Launch<'static>, has_mounts: bool) -> Outcome<Outside> {
    // All are opened before anything covers the place that they may lie below, and as the host's, whose mounts they
    // follow where that is asked for.
    let trees = binds::make_all(launch, true)?;
    if !has_mounts {
        return Ok(Outside::Binds(trees));
    }
    rootfs::detach_from_host()?;
    let root = rootfs::make(&launch.rootfs, launch.mount_label)?;
    shelf::fill(launch, root, trees)?;
    Ok(Outside::Shelf)
}

/// This process need not come back from where it goes.
fn join_and_fork(bundle: &Bundle<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let launch = &bundle.launch;
    if launch.id_map.is_none() {
        // Inherited by the init; one with maps has them from the shim, who writes those.
        limits::give(&launch.process, limits::OWN)?;
    }
    // Whichever namespace they belong to: the host's root may join them before, that of the user namespace afterwards.
    early::join(launch, &bundle.time)?;
    let pid = match launch.namespaces.pid {
        Namespace::Join(path) => Some(path),
        _ => None,
    };
    let early = pid.map_or(Ok(()), |path| init::join(path, sys::CLONE_NEWPID));
    match (bundle.user, pid) {
        (None, _) => early?,
        (Some(user), Some(path)) if early.is_err() => {
            init::join(user, sys::CLONE_NEWUSER)?;
            init::join(path, sys::CLONE_NEWPID)?;
        }
        (Some(user), _) => init::join(user, sys::CLONE_NEWUSER)?,
    }
    launch::fork_with(launch::namespaces(launch) | sys::CLONE_PARENT, cgroup)
}

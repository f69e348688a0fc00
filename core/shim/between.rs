//! An init in a user namespace, borne by a process between it and the shim, whose child it is: who has joined such a
//! namespace can't come back, and what the kernel is to lock for the container has to be mounted by who is not in it
//! yet (`shelf.rs`).

use crate::fail::{At, Outcome};
use crate::shelf::{self, Made};
use crate::sys::{self, Errno, Fd, Forked};
use crate::wire::{Bundle, Launch, Namespace, Step};
use crate::{binds, borne, early, init, launch, limits, rootfs};

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
    let (forked, (entered, outside)) = match forked {
        Forked::Child => {
            let _ = sys::close(ours);
            borne::born(&bundle.launch, theirs, bear(bundle, cgroup, has_mounts))?
        }
        Forked::Parent { pid, pidfd } => {
            let forked = borne::heard([ours, theirs], (pid, pidfd), |_| Ok(()))?;
            (forked, (false, Outside::Binds(&[])))
        }
    };
    Ok((forked, entered, outside))
}

/// With a mount namespace of its own, which a plain user does not get outside of a user namespace. Who may have one and gets
/// none is told: without, nothing of the container's mounts would be locked.
fn fork_between() -> sys::Result<(Forked, bool)> {
    match sys::fork_plainly(sys::CLONE_NEWNS) {
        Ok(forked) => Ok((forked, true)),
        Err(Errno::EPERM) => sys::fork_plainly(0).map(|forked| (forked, false)),
        Err(failed) => Err(failed),
    }
}

fn bear(bundle: &Bundle<'static>, cgroup: Option<Fd>, has_mounts: bool) -> Outcome<(Forked, (bool, Outside))> {
    let outside = prepare(&bundle.launch, has_mounts)?;
    let (forked, entered) = join_and_fork(bundle, cgroup)?;
    Ok((forked, (entered, outside)))
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

//! A plain user's container that may mount, with binds that are read-only: who may mount in the user namespace that they were
//! made in could make them writable. So they are made in one, and the container is born out of it in another, with the
//! same ids: the kernel locks what it copies from the one to the other (`shelf.rs`), whose root is nobody in the first.

use crate::fail::{At, Outcome};
use crate::init::{self, expect};
use crate::launch::{self, word};
use crate::sys::{self, Fd, Forked};
use crate::wire::{Launch, Step};
use crate::{binds, borne, idmap, rootfs, shelf};

/// The init, a child of the caller's, with its ids mapped. Returns in it and in the caller.
pub fn fork(launch: &Launch<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let forked = match launch::fork_with(sys::CLONE_NEWUSER | sys::CLONE_NEWNS, cgroup)? {
        (Forked::Child, entered) => {
            let _ = sys::close(ours);
            let cgroup = cgroup.filter(|_| !entered);
            borne::born(launch, theirs, prepare(launch, cgroup, theirs).and_then(|()| bear(launch)))?.0
        }
        (Forked::Parent { pid, pidfd }, _) => {
            borne::heard([ours, theirs], (pid, pidfd), |ours| map(launch, ours, pid))?
        }
    };
    // Where the one in between is: in its cgroup.
    Ok((forked, true))
}

fn map(launch: &Launch<'static>, to: Fd, pid: i32) -> Outcome {
    launch.id_map.iter().try_for_each(|map| idmap::write(map, pid))?;
    sys::send(to, &[word::MAPPED]).step(Step::IdMap).map(drop)
}

fn prepare(launch: &Launch<'static>, cgroup: Option<Fd>, sync: Fd) -> Outcome {
    expect(sync, word::MAPPED)?;
    // As the user still: its directory is his.
    if let Some(dir) = cgroup {
        init::leave_real_time();
        sys::put(dir, c"cgroup.procs", b"0").step(Step::CgroupEnter)?;
    }
    init::take_root()?;
    // Its child's maps can be written only if that can be looked into; nothing of the container runs yet that could.
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 1, 0);
    rootfs::detach_from_host()?;
    // All are opened before anything covers the place that they may lie below.
    let trees = binds::make_all(launch, true)?;
    let root = rootfs::make(&launch.rootfs, launch.mount_label)?;
    shelf::fill(launch, root, trees)
}

fn bear(launch: &Launch<'static>) -> Outcome<(Forked, ())> {
    let (forked, _) = launch::fork_with(launch::namespaces(launch) | sys::CLONE_PARENT, None)?;
    if let (Forked::Parent { pid, .. }, Some(map)) = (&forked, &launch.id_map) {
        // The same ids as here.
        idmap::write_same(map, *pid).inspect_err(|_| launch::end(*pid))?;
    }
    Ok((forked, ()))
}

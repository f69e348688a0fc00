//! A plain user's container that may mount, with binds that are read-only: who may mount in the user namespace that they were
//! made in could make them writable. So they are made in one, and the container is born out of it in another, with the
//! same ids: the kernel locks what it copies from the one to the other (`shelf.rs`), whose root is nobody in the first.

use crate::fail::{At, Outcome};
use crate::init::{self, expect};
use crate::launch::{self, word};
use crate::shifted::{tell, told};
use crate::sys::{self, Fd, Forked};
use crate::wire::{Launch, Step};
use crate::{binds, idmap, rootfs, shelf};

/// The init, a child of the caller's, with its ids mapped. Returns in it and in the caller.
pub fn fork(launch: &Launch<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let (pid, pidfd) = match launch::fork_with(sys::CLONE_NEWUSER | sys::CLONE_NEWNS, cgroup)? {
        (Forked::Child, entered) => {
            let _ = sys::close(ours);
            return go_between(launch, cgroup.filter(|_| !entered), theirs);
        }
        (Forked::Parent { pid, pidfd }, _) => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let init = map(launch, ours, pid).and_then(|()| told(ours));
    // Who was told nothing ends by this.
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    let pid = init?;
    let pidfd = sys::pidfd_open(pid).step(Step::Clone).inspect_err(|_| launch::end(pid))?;
    Ok((Forked::Parent { pid, pidfd }, true))
}

fn map(launch: &Launch<'static>, to: Fd, pid: i32) -> Outcome {
    launch.id_map.iter().try_for_each(|map| idmap::write(map, pid))?;
    sys::send(to, &[word::MAPPED]).step(Step::IdMap).map(drop)
}

/// Returns in the init alone, which is where this process is: in its cgroup.
fn go_between(launch: &Launch<'static>, cgroup: Option<Fd>, theirs: Fd) -> Outcome<(Forked, bool)> {
    let namespaces = launch::namespaces(launch) | sys::CLONE_PARENT;
    match prepare(launch, cgroup, theirs).and_then(|()| launch::fork_with(namespaces, None)) {
        Ok((Forked::Child, _)) => {
            // Held here it would keep the caller from seeing the end of the one in between.
            let _ = sys::close(theirs);
            return Ok((Forked::Child, true));
        }
        Ok((Forked::Parent { pid, .. }, _)) => match map_within(launch, pid) {
            Ok(()) => drop(sys::send(theirs, &pid.to_ne_bytes())),
            Err(failed) => {
                launch::end(pid);
                tell(launch, theirs, &failed);
            }
        },
        Err(failed) => tell(launch, theirs, &failed),
    }
    sys::exit(0)
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

/// The same ids as here.
fn map_within(launch: &Launch<'static>, pid: i32) -> Outcome {
    let Some(map) = &launch.id_map else { return Ok(()) };
    idmap::write_same(map, pid)
}

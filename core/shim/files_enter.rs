//! Entering a container's files: the mount namespace of one that runs, a mount namespace of our own with the same root for
//! one that doesn't.
//!
//! Nothing of the container's is executed or loaded here (CVE-2019-14271), and it sees nothing of this process: it is in
//! neither its process ids nor its cgroups. When the host is gone the socket ends, and this process with it.

use crate::fail::{At, Outcome, send};
use crate::files::Server;
use crate::scratch::Scratch;
use crate::shelf::Made;
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::wire::{Files, Launch, Status, Step, fd};
use crate::{chroot, fill, init, mounts, owners, rootfs, shifted};

/// Enters, tells so, and serves until the host has no more to ask.
#[inline(never)]
pub fn run(files: Files<'static>) -> Outcome {
    let _ = sys::set_signal_mask(u64::MAX);
    let _ = sys::prctl(sys::PR_SET_NAME, c"sampan-files".as_ptr() as usize, 0);
    let Some(launch) = files.launch else {
        let own = own_descriptors()?;
        // Nobody inside may look into this process, which still knows the host (CVE-2016-9962).
        let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
        join(files.mapped)?;
        return serve(own, false);
    };
    let (made, states) = (shifted::make(&launch)?, fill::states(&launch)?);
    let work = || {
        let own = own_descriptors()?;
        let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
        make_root(&launch, made, states)?;
        serve(own, launch.rootfs.tree().is_some() && launch.rootfs.readonly)
    };
    match &launch.id_map {
        _ if launch.rootfs.tree().is_some() => work(),
        Some(map) => owners::in_namespace(map, sys::CLONE_NEWUSER | sys::CLONE_NEWNS, work),
        None => sys::unshare(sys::CLONE_NEWNS).step(Step::Clone).and_then(|()| work()),
    }
}

/// By the host's /proc, which is out of sight inside: an opened place is opened anew for reading or writing there.
fn own_descriptors() -> Outcome<Fd> {
    sys::openat(AT_FDCWD, c"/proc/self/fd", sys::O_PATH | sys::O_DIRECTORY, 0).at(Step::Enter, c"/proc/self/fd")
}

fn join(mapped: bool) -> Outcome {
    let user = if mapped { sys::CLONE_NEWUSER } else { 0 };
    // A plain user can't be in another root than that of all mounts, as then he could make no user namespace.
    let _ = rootfs::go_to_top();
    let host = root()?;
    sys::setns(fd::INSIDE, sys::CLONE_NEWNS | user).step(Step::Enter)?;
    let _ = sys::close(fd::INSIDE);
    // An init that has not made its root yet has the host's mounts still.
    if root()? == host {
        return Err(Errno::EAGAIN).step(Step::Enter);
    }
    if !mapped {
        return Ok(());
    }
    init::take_root()?;
    // Whoever changes its user may be looked into again.
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    Ok(())
}

/// Which directory the root is, the same in any copy of its mounts.
fn root() -> Outcome<((u32, u32), u64)> {
    sys::statx(AT_FDCWD, c"/", 0).map(|root| (root.dev, root.ino)).step(Step::Enter)
}

/// As a start makes it, but for what only a process needs. The lock, held by us, keeps a start away meanwhile.
fn make_root(launch: &Launch<'static>, made: Made, states: &[usize]) -> Outcome {
    if launch.rootfs.tree().is_some() {
        return chroot::join(launch, None, fd::STATUS).map(drop);
    }
    rootfs::detach_from_host()?;
    let root = made.root.map_or_else(|| rootfs::make(&launch.rootfs, launch.mount_label), Ok)?;
    let mut scratch = Scratch::new(launch)?;
    rootfs::attach(root, &launch.rootfs)?;
    mounts::apply_all(root, launch, &mut scratch, made.trees, states)?;
    if launch.rootfs.readonly {
        rootfs::make_readonly(root)?;
    }
    rootfs::enter(root)
}

/// `kept` where the files are to stay as they are, and no mount holds them.
fn serve(own: Fd, kept: bool) -> Outcome {
    let root = sys::openat(AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::Enter)?;
    sys::umask(0);
    let mut server = Server::new(root, own, kept).step(Step::Enter)?;
    send(&Status::Ready { init: 0, shim: sys::getpid() });
    while server.turn(fd::STATUS) {}
    Ok(())
}

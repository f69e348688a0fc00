//! A container of root's in a user namespace of its own: its layers are root's on the disk, and its own root's in sight.
//!
//! Only the root of where a file system was mounted may map the ids of a mount, and before Linux 6.15 only attached mounts
//! can be layers of an overlay. So a child with a mount namespace of its own maps and attaches them, makes the overlay and
//! hands it over; nothing of that is ever seen by the host. The container's binds are made here too, since its root can't
//! go where the host's can (`binds.rs`).
//!
//! What runs a payload must not get detached mounts: the kernel would take them for the container's own, whose root could
//! take away what covers something of the host's below a bind, or make one writable that the host has read-only. So the
//! child attaches all of it, read-only as it is to be (`shelf.rs`), and the container's first process is born out of its
//! mount namespace.

use core::ffi::CStr;
use core::marker::PhantomData;

use crate::fail::{At, Fail, Outcome};
use crate::launch::{self, word};
use crate::shelf::{self, Made};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd, Forked, MountAttr};
use crate::text::Text;
use crate::wire::{Launch, List, MountIdMap, Namespace, RootfsKind, Step};
use crate::{binds, borne, early, idmap, limits, memory, rootfs, scratch};

/// The init, born where all that its root may not make is attached. Returns in it and in the caller.
pub fn fork(launch: &Launch<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    match sys::fork_plainly(sys::CLONE_NEWNS).step(Step::Clone)? {
        Forked::Child => {
            let _ = sys::close(ours);
            borne::born(launch, theirs, prepare(launch).and_then(|()| bear(launch, cgroup)))
        }
        Forked::Parent { pid, pidfd } => {
            borne::heard([ours, theirs], (pid, pidfd), |_| Ok(())).map(|forked| (forked, false))
        }
    }
}

fn bear(launch: &Launch<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    // Inherited by the init, which sets the same again: from within its user namespace it could neither raise itself
    // above other processes nor its limits above these.
    limits::give(&launch.process, limits::OWN)?;
    // This process need not come back.
    early::join(launch, &Namespace::Host)?;
    launch::fork_with(launch::namespaces(launch) | sys::CLONE_PARENT, cgroup)
}

/// All is attached on a shelf, where the container's root will be.
fn prepare(launch: &Launch<'static>) -> Outcome {
    // All are opened before anything covers the place that they may lie below.
    let trees = binds::make_all(launch, true)?;
    let root = build(launch)?;
    shelf::fill(launch, root, trees)
}

/// Makes what the container's root may not, for one of ours that runs nothing of the container's.
pub fn make(launch: &Launch<'static>) -> Outcome<Made> {
    if !launch.rootfs.shifted {
        return Ok(Made { root: None, trees: &[] });
    }
    let root = Some(overlay(launch)?);
    match binds::make_all(launch, true) {
        Ok(trees) => Ok(Made { root, trees }),
        Err(fail) => {
            Made { root, trees: &[] }.close();
            Err(fail)
        }
    }
}

/// Gives a pipe to the container's root: who may not open his own output anew can't write to /dev/stdout.
pub fn give(launch: &Launch<'static>, pipe: Fd) {
    let is_pipe = || sys::fstat(pipe).is_ok_and(|stat| stat.kind() == sys::S_IFIFO);
    if launch.rootfs.shifted && pipe >= 0 && is_pipe() {
        let _ = own(launch, pipe);
    }
}

fn own(launch: &Launch<'static>, file: Fd) -> sys::Result {
    let Some(map) = &launch.id_map else { return Ok(()) };
    let root = |extents: &List<'static, crate::wire::Extent>| {
        extents.iter().find(|(inside, ..)| *inside == 0).map_or(u32::MAX, |(_, outside, _)| outside)
    };
    sys::fchownat(file, c"", root(&map.uids), root(&map.gids), AT_EMPTY_PATH)
}

fn overlay(launch: &Launch<'static>) -> Outcome<Fd> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let (pid, pidfd) = match sys::fork_plainly(sys::CLONE_NEWNS).step(Step::Clone)? {
        Forked::Child => hand_over(launch, theirs, build(launch)),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let mut packet = [0; borne::PACKET];
    let received = sys::recv_fd(ours, &mut packet);
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    match received {
        Ok((1, Some(tree))) => Ok(tree),
        Ok((length, _)) => Err(borne::failure(&packet[..length])),
        Err(_) => Err(borne::failure(b"")),
    }
}

fn hand_over(launch: &Launch<'static>, to: Fd, built: Outcome<Fd>) -> ! {
    match built {
        Ok(tree) => drop(sys::send_fd(to, &[word::READY], tree)),
        Err(fail) => borne::tell(launch, to, &fail),
    }
    sys::exit(0)
}

/// The overlay, in a mount namespace of this process's own.
fn build(launch: &Launch<'static>) -> Outcome<Fd> {
    let RootfsKind::Overlay(lower, upper, work, _) = launch.rootfs.kind else {
        return Err(Fail { step: Step::Overlay, errno: Errno::EINVAL, detail: b"" });
    };
    rootfs::detach_from_host()?;
    let [upper, work] = [upper, work].map(|dir| sys::openat(AT_FDCWD, dir, sys::O_PATH | sys::O_DIRECTORY, 0));
    let (upper, work) = (upper.step(Step::Overlay)?, work.step(Step::Overlay)?);
    // Its owner is the owner of the container's root directory.
    own(launch, upper).step(Step::Overlay)?;
    // All are opened before anything covers the place that they may lie below.
    let layers = mapped(launch, &lower)?;
    let at = launch.rootfs.attach_at;
    let shelf = scratch::attach(at, None).step(Step::Overlay)?;
    for (at, layer) in layers.iter().enumerate() {
        shelf::put(shelf, shelf::number(at).c(), *layer as Fd).step(Step::Overlay)?;
    }
    let flags = if launch.rootfs.nodev { sys::MS_NODEV } else { 0 };
    let options = options(layers, upper, work, launch.mount_label).step(Step::Overlay)?;
    sys::mount(c"overlay", at, c"overlay", flags, { options }.c()).step(Step::Overlay)?;
    sys::open_tree_clone(AT_FDCWD, at, false, 0).step(Step::Overlay)
}

/// Detached mounts of the layers, with the container's ids.
fn mapped(launch: &Launch<'static>, lower: &List<'static, &'static CStr>) -> Outcome<&'static [usize]> {
    let Some(map) = &launch.id_map else { return Ok(&[]) };
    let map = MountIdMap { uids: map.uids, gids: map.gids, recursive: false, of: PhantomData };
    let namespace = idmap::namespace(&map)?;
    let attr = MountAttr { set: sys::MOUNT_ATTR_IDMAP, userns_fd: namespace as u64, ..MountAttr::default() };
    let layers = memory::words(lower.len()).step(Step::MapMount)?;
    for (layer, dir) in layers.iter_mut().zip(lower.iter()) {
        let tree = sys::open_tree_clone(AT_FDCWD, dir, false, 0).at(Step::MapMount, dir)?;
        sys::mount_setattr(tree, c"", AT_EMPTY_PATH, &attr).at(Step::MapMount, dir)?;
        *layer = tree as usize;
    }
    Ok(layers)
}

/// All options share one page: directories are named by short links to descriptors.
fn options(layers: &[usize], upper: Fd, work: Fd, label: Option<&CStr>) -> sys::Result<Text<4096>> {
    let mut options: Text<4096> = Text::new();
    let mut push = |key: &[u8], fd: Fd| {
        options.push(key).push(b"/proc/self/fd/").dec(fd as u64);
    };
    for (number, layer) in layers.iter().enumerate() {
        push(if number == 0 { b"lowerdir=" } else { b":" }, *layer as Fd);
    }
    push(b",upperdir=", upper);
    push(b",workdir=", work);
    if let Some(label) = label {
        // A label has commas, which end an option otherwise.
        options.push(b",context=\"").push(label.to_bytes()).push(b"\"");
    }
    if options.is_cut() { Err(Errno::E2BIG) } else { Ok(options) }
}

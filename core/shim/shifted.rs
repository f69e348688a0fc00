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

use crate::fail::{At, Fail, Outcome, keep};
use crate::launch::{self, word};
use crate::shelf::{self, Made};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd, Forked, MountAttr};
use crate::text::Text;
use crate::wire::{Launch, List, MountIdMap, Namespace, RootfsKind, Step};
use crate::{binds, early, idmap, limits, memory, rootfs, scratch};

/// The init, born where all that its root may not make is attached. Returns in it and in the caller.
pub fn fork(launch: &Launch<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let forked = sys::fork(sys::CLONE_NEWNS, None).or_else(|_| sys::fork_by_clone(sys::CLONE_NEWNS));
    let (pid, pidfd) = match forked.step(Step::Clone)? {
        Forked::Child => {
            let _ = sys::close(ours);
            return go_between(launch, cgroup, theirs);
        }
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let init = told(ours);
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    let pid = init?;
    let pidfd = sys::pidfd_open(pid).step(Step::Clone).inspect_err(|_| launch::end(pid))?;
    Ok((Forked::Parent { pid, pidfd }, false))
}

/// Returns in the init alone, which is the caller's child.
fn go_between(launch: &Launch<'static>, cgroup: Option<Fd>, theirs: Fd) -> Outcome<(Forked, bool)> {
    let forked = prepare(launch).and_then(|()| {
        // Inherited by the init, which sets the same again: from within its user namespace it could neither raise itself
        // above other processes nor its limits above these.
        limits::give(&launch.process, limits::OWN)?;
        // This process need not come back.
        early::join(launch, &Namespace::Host)?;
        launch::fork_with(launch::namespaces(launch) | sys::CLONE_PARENT, cgroup)
    });
    match forked {
        Ok((Forked::Child, entered)) => {
            // Held here it would keep the caller from seeing the end of the one in between.
            let _ = sys::close(theirs);
            return Ok((Forked::Child, entered));
        }
        Ok((Forked::Parent { pid, .. }, _)) => drop(sys::send(theirs, &pid.to_ne_bytes())),
        Err(failed) => tell(launch, theirs, &failed),
    }
    sys::exit(0)
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
    let forked = sys::fork(sys::CLONE_NEWNS, None).or_else(|_| sys::fork_by_clone(sys::CLONE_NEWNS));
    let (pid, pidfd) = match forked.step(Step::Clone)? {
        Forked::Child => hand_over(launch, theirs, build(launch)),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let mut packet = [0; PACKET];
    let received = sys::recv_fd(ours, &mut packet);
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    match received {
        Ok((1, Some(tree))) => Ok(tree),
        Ok((length, _)) => Err(failure(&packet[..length])),
        Err(_) => Err(failure(b"")),
    }
}

/// A step, an errno and what belongs to them, of which the host is told no more than this.
const PACKET: usize = 1024;

/// The init's number, from the one in between.
pub fn told(ours: Fd) -> Outcome<i32> {
    let mut packet = [0; PACKET];
    match sys::recv(ours, &mut packet, false) {
        Ok(4) => Ok(i32::from_ne_bytes([packet[0], packet[1], packet[2], packet[3]])),
        Ok(length) => Err(failure(&packet[..length])),
        Err(_) => Err(failure(b"")),
    }
}

/// What the child failed at; it may have been killed, too.
fn failure(packet: &[u8]) -> Fail {
    let [a, b, c, d, e, f, g, h, ref detail @ ..] = *packet else {
        return Fail { step: Step::Died, errno: Errno(0), detail: b"" };
    };
    let step = Step::from_number(u32::from_ne_bytes([a, b, c, d])).unwrap_or(Step::Died);
    let detail = keep(&Text::<PACKET>::of(&[detail]));
    Fail { step, errno: Errno(i32::from_ne_bytes([e, f, g, h])), detail }
}

/// Tells what was failed at.
pub fn tell(launch: &Launch<'static>, to: Fd, fail: &Fail) {
    let detail = if fail.detail.is_empty() { place(launch, fail.step).to_bytes() } else { fail.detail };
    let numbers = [(fail.step as u32).to_ne_bytes(), fail.errno.0.to_ne_bytes()];
    let packet: Text<PACKET> = Text::of(&[&numbers[0], &numbers[1], detail]);
    let _ = sys::send(to, packet.bytes());
}

fn place(launch: &Launch<'static>, step: Step) -> &'static CStr {
    match launch.rootfs.kind {
        RootfsKind::Overlay(lower, ..) if step == Step::MapMount => lower.iter().next().map_or(c"", |layer| layer),
        RootfsKind::Overlay(_, upper, ..) if step == Step::Overlay => upper,
        RootfsKind::Directory(path) | RootfsKind::Tree(path) => path,
        RootfsKind::Overlay(..) => c"",
    }
}

fn hand_over(launch: &Launch<'static>, to: Fd, built: Outcome<Fd>) -> ! {
    match built {
        Ok(tree) => drop(sys::send_fd(to, &[word::READY], tree)),
        Err(fail) => tell(launch, to, &fail),
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

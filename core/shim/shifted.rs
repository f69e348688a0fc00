//! A container of root's in a user namespace of its own: its layers are root's on the disk, and its own root's in sight.
//!
//! Only the root of where a file system was mounted may map the ids of a mount, and before Linux 6.15 only attached mounts
//! can be layers of an overlay. So a child with a mount namespace of its own maps and attaches them, makes the overlay and
//! hands over a detached mount of it; nothing of that is ever seen by the host. The container's binds are made here too,
//! since its root can't go where the host's can (`binds.rs`).

use core::ffi::CStr;
use core::marker::PhantomData;

use crate::fail::{At, Fail, Outcome};
use crate::launch::word;
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd, Forked, MountAttr};
use crate::text::Text;
use crate::wire::{Launch, List, MountIdMap, RootfsKind, Step};
use crate::{binds, idmap, memory, rootfs, scratch};

/// Trees that were made outside of the container; none for one that makes its own.
#[derive(Clone, Copy)]
pub struct Made {
    /// Its root.
    pub root: Option<Fd>,
    /// Binds, by their mounts' places in the plan; 0 for others.
    pub trees: &'static [usize],
}

impl Made {
    /// Lets go of what the container has by now.
    pub fn close(&self) {
        let trees = self.trees.iter().map(|tree| *tree as Fd).filter(|tree| *tree > 0);
        self.root.into_iter().chain(trees).for_each(|fd| drop(sys::close(fd)));
    }
}

/// Makes what the container's root may not.
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
        Forked::Child => hand_over(theirs, build(launch)),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let mut packet = [0; 8];
    let received = sys::recv_fd(ours, &mut packet);
    let _ = sys::close(ours);
    let _ = sys::wait(pid, false);
    match received {
        Ok((1, Some(tree))) => Ok(tree),
        Ok((8, _)) => Err(told(launch, &packet)),
        _ => Err(Fail { step: Step::Died, errno: Errno(0), detail: b"" }),
    }
}

/// What the child failed at.
fn told(launch: &Launch<'static>, packet: &[u8; 8]) -> Fail {
    let [a, b, c, d, e, f, g, h] = *packet;
    let step = Step::from_number(u32::from_ne_bytes([a, b, c, d])).unwrap_or(Step::Died);
    let path = match launch.rootfs.kind {
        RootfsKind::Overlay(lower, ..) if step == Step::MapMount => lower.iter().next().map_or(c"", |layer| layer),
        RootfsKind::Overlay(_, upper, ..) => upper,
        RootfsKind::Directory(path) | RootfsKind::Tree(path) => path,
    };
    Fail { step, errno: Errno(i32::from_ne_bytes([e, f, g, h])), detail: path.to_bytes() }
}

fn hand_over(to: Fd, built: Outcome<Fd>) -> ! {
    match built {
        Ok(tree) => drop(sys::send_fd(to, &[word::READY], tree)),
        Err(fail) => {
            let mut packet = [0; 8];
            packet[..4].copy_from_slice(&(fail.step as u32).to_ne_bytes());
            packet[4..].copy_from_slice(&fail.errno.0.to_ne_bytes());
            let _ = sys::send(to, &packet);
        }
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
    for (number, layer) in layers.iter().enumerate() {
        shelve(shelf, number, *layer as Fd).step(Step::Overlay)?;
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

fn shelve(shelf: Fd, number: usize, layer: Fd) -> sys::Result {
    let mut name: Text<24> = Text::new();
    name.dec(number as u64);
    sys::mkdirat(shelf, name.c(), 0o700)?;
    let place = sys::openat(shelf, name.c(), sys::O_PATH | sys::O_DIRECTORY, 0)?;
    sys::move_mount_onto(layer, place)?;
    sys::close(place)
}

/// All options share one page: directories are named by short links to descriptors.
fn options(layers: &[usize], upper: Fd, work: Fd, label: Option<&CStr>) -> sys::Result<Text<4096>> {
    let mut options: Text<4096> = Text::new();
    let mut push = |key: &[u8], fd: Fd| drop(options.push(key).push(b"/proc/self/fd/").dec(fd as u64));
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

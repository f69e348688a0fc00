//! Device nodes by number, where the kernel lets one be made; else the host's own node, bound.

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd};
use crate::target::{self, Missing};
use crate::text::Text;
use crate::wire::{Device, Step};

/// Makes one in the container with this root.
pub fn make(root: Fd, device: &Device<'static>) -> Outcome {
    match node(root, device) {
        // In a user namespace there is no node to be made, only one to be had.
        Err(Errno::EPERM) | Ok(Place::Bound) => bind(root, device),
        other => other.at(Step::Device, device.path).map(drop),
    }
}

/// What has the node's name now.
enum Place {
    Node,
    /// An empty file, such as a bind of an earlier run has left in the root.
    Bound,
}

fn node(root: Fd, device: &Device<'static>) -> sys::Result<Place> {
    let path = target::relative(device.path).to_bytes();
    let slash = path.iter().rposition(|b| *b == b'/');
    let mut name: Text<256> = Text::of(&[&path[slash.map_or(0, |at| at + 1)..]]);
    let parent = match slash {
        None => root,
        Some(slash) => {
            let mut parent: Text<4096> = Text::of(&[&path[..slash]]);
            target::directory(root, parent.c())?
        }
    };
    let made = node_in(parent, name.c(), device);
    if parent != root {
        let _ = sys::close(parent);
    }
    made
}

fn node_in(parent: Fd, name: &core::ffi::CStr, device: &Device<'static>) -> sys::Result<Place> {
    let (major, minor) = device.number;
    match sys::mknodat(parent, name, device.mode, number(major, minor)) {
        Err(Errno::EEXIST) => {}
        other => other?,
    }
    // What has the name by now may be anything, a link put there by who shares the directory too: it is opened once.
    let there = sys::openat(parent, name, sys::O_PATH | sys::O_NOFOLLOW, 0)?;
    let given = give(there, device);
    let _ = sys::close(there);
    given
}

/// Only the node that was wanted gets owner and permissions.
fn give(node: Fd, device: &Device<'static>) -> sys::Result<Place> {
    let stat = sys::fstat(node)?;
    let fifo = device.mode & sys::S_IFMT == sys::S_IFIFO;
    if !fifo && stat.kind() == sys::S_IFREG && stat.size == 0 {
        return Ok(Place::Bound);
    }
    if stat.kind() != device.mode & sys::S_IFMT || !fifo && stat.rdev != device.number {
        return Err(Errno::EEXIST);
    }
    let (uid, gid) = device.owner;
    sys::fchownat(node, c"", uid, gid, sys::AT_EMPTY_PATH | sys::AT_SYMLINK_NOFOLLOW)?;
    // The mask of this process may have taken permissions away.
    sys::chmod_opened(node, device.mode & 0o7777).map(|()| Place::Node)
}

/// As `makedev(3)` packs it.
fn number(major: u32, minor: u32) -> u64 {
    let (major, minor) = (u64::from(major), u64::from(minor));
    (minor & 0xff) | ((major & 0xfff) << 8) | ((minor & !0xff) << 12) | ((major & !0xfff) << 32)
}

fn bind(root: Fd, device: &Device<'static>) -> Outcome {
    let source = sys::openat(AT_FDCWD, device.path, sys::O_PATH | sys::O_NOFOLLOW, 0).at(Step::Device, device.path)?;
    let stat = sys::fstat(source).at(Step::Device, device.path)?;
    if stat.kind() != device.mode & sys::S_IFMT || stat.rdev != device.number {
        return Err(Fail { step: Step::Device, errno: Errno::EPERM, detail: device.path.to_bytes() });
    }
    let target = target::require(root, device.path, Missing::File, Step::Device)?;
    let bound = sys::open_tree_clone(source, c"", false, AT_EMPTY_PATH)
        .and_then(|tree| sys::move_mount_onto(tree, target).and_then(|()| sys::close(tree)));
    let _ = sys::close(target);
    let _ = sys::close(source);
    bound.at(Step::Device, device.path)
}

//! Where all that a container's root may not undo is attached, in a mount namespace that nobody else sees, before there is
//! a user namespace of the container's: the kernel locks what it copies from there into that one's mount namespace
//! (mount_namespaces(7), "Restrictions on mount namespaces"), and clones of it keep its locks.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd, MOUNT_ATTR_RDONLY};
use crate::text::Text;
use crate::wire::{Launch, Mount, MountSource, Step};
use crate::{memory, mounts, scratch};

/// Trees that were made outside of the container; none for one that makes its own.
#[derive(Clone, Copy)]
pub struct Made {
    /// Its root.
    pub root: Option<Fd>,
    /// Binds, by their mounts' places in the plan; 0 for others. Behind them those through which read-only ones are filled.
    pub trees: &'static [usize],
}

/// The container's root on the shelf; binds have the numbers of their places in [`Made::trees`].
const ROOT: &CStr = c"root";

impl Made {
    /// Lets go of what the container has by now.
    pub fn close(&self) {
        let trees = self.trees.iter().map(|tree| *tree as Fd).filter(|tree| *tree > 0);
        self.root.into_iter().chain(trees).for_each(|fd| drop(sys::close(fd)));
    }
}

/// Attaches the shelf where the container's root will be, with these trees: its root, and its binds by their mounts' places
/// in the plan, 0 for others.
pub fn fill(launch: &Launch<'static>, root: Fd, trees: &[usize]) -> Outcome {
    let shelf = scratch::attach(launch.rootfs.attach_at, None).step(Step::Overlay)?;
    put(shelf, ROOT, root).step(Step::AttachRoot)?;
    for (at, (tree, mount)) in trees.iter().zip(launch.mounts.iter()).enumerate().filter(|(_, (tree, _))| **tree > 0) {
        shelve_bind(shelf, (at, trees.len()), *tree as Fd, &mount)?;
    }
    Ok(())
}

/// With its attributes: what the container's root would set, it could take back.
fn shelve_bind(shelf: Fd, (at, count): (usize, usize), tree: Fd, mount: &Mount<'static>) -> Outcome {
    let recursive = matches!(mount.source, MountSource::Bind(_, true));
    if !mount.copy_up || mount.attributes & MOUNT_ATTR_RDONLY == 0 {
        mounts::set_attributes(tree, mount, recursive)?;
        return put(shelf, number(at).c(), tree).at(Step::MountAttach, mount.target);
    }
    put(shelf, number(count + at).c(), tree).at(Step::MountAttach, mount.target)?;
    let readonly = sys::open_tree_clone(shelf, number(count + at).c(), recursive, 0);
    shelve_bind(shelf, (at, count), readonly.at(Step::MountSource, mount.target)?, &Mount { copy_up: false, ..*mount })
}

/// In the init: what it was born with.
pub fn take(launch: &Launch<'static>) -> Outcome<Made> {
    let shelf =
        sys::openat(AT_FDCWD, launch.rootfs.attach_at, sys::O_PATH | sys::O_DIRECTORY, 0).step(Step::AttachRoot)?;
    let trees = memory::words(2 * launch.mounts.len()).step(Step::MapMount)?;
    for (at, tree) in trees.iter_mut().enumerate() {
        match sys::open_tree_clone(shelf, number(at).c(), true, 0) {
            Err(Errno::ENOENT) => {}
            taken => *tree = taken.step(Step::MountSource)? as usize,
        }
    }
    let root = sys::open_tree_clone(shelf, ROOT, true, 0).step(Step::AttachRoot)?;
    let _ = sys::close(shelf);
    Ok(Made { root: Some(root), trees })
}

/// Attaches a mount on the shelf, which has nothing of that name.
pub fn put(shelf: Fd, name: &CStr, mount: Fd) -> sys::Result {
    let place = match sys::fstat(mount)?.is_dir() {
        true => {
            sys::mkdirat(shelf, name, 0o700)?;
            sys::openat(shelf, name, sys::O_PATH | sys::O_DIRECTORY, 0)?
        }
        false => sys::openat(shelf, name, sys::O_CREAT | sys::O_EXCL | sys::O_WRONLY, 0o600)?,
    };
    sys::move_mount_onto(mount, place)?;
    sys::close(place)
}

/// The name of the one of that number.
pub fn number(n: usize) -> Text<24> {
    let mut name = Text::new();
    name.dec(n as u64);
    name
}

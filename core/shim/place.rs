//! A container without a mount namespace of its own: its process is in one that others are in, which are to see nothing of
//! its root and its mounts, and to keep nothing of them.
//!
//! All is made in a copy of that namespace, as ever. Then the process goes back, with a clone of the finished tree for its
//! root, which is in no namespace: the tree is its processes' alone, and gone with the last of them, however that ends.

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Fd};
use crate::wire::{Namespace, Step};

/// The mount namespace to be in at last.
#[derive(Clone, Copy)]
pub enum Place {
    /// The container's own.
    Own,
    /// That of the caller.
    Here(Fd),
    /// One by path.
    There(Fd),
}

impl Place {
    /// Opens it by the host's paths, with the host's rights.
    pub fn open(mount: &Namespace<'static>) -> Outcome<Place> {
        match mount {
            Namespace::New => Ok(Place::Own),
            Namespace::Host => {
                sys::openat(AT_FDCWD, c"/proc/self/ns/mnt", sys::O_RDONLY, 0).step(Step::Pivot).map(Place::Here)
            }
            Namespace::Join(path) => {
                sys::openat(AT_FDCWD, path, sys::O_RDONLY, 0).at(Step::JoinNamespace, path).map(Place::There)
            }
        }
    }

    /// From here on all paths are those of the namespace, and mounts those of a copy. Who is made has one of the caller's.
    pub fn copy(self) -> Outcome {
        match self {
            Place::Own | Place::Here(_) => Ok(()),
            Place::There(namespace) => {
                sys::setns(namespace, sys::CLONE_NEWNS).step(Step::JoinNamespace)?;
                sys::unshare(sys::CLONE_NEWNS).step(Step::Clone)
            }
        }
    }

    /// Takes the finished tree along into the namespace; false where there is nowhere to go.
    pub fn enter(self, root: Fd) -> Outcome<bool> {
        match self {
            Place::Own => Ok(false),
            Place::Here(namespace) | Place::There(namespace) => take_along(root, namespace).map(|()| true),
        }
    }
}

fn take_along(root: Fd, namespace: Fd) -> Outcome {
    let tree = sys::open_tree_clone(root, c"", true, AT_EMPTY_PATH).step(Step::Pivot)?;
    sys::setns(namespace, sys::CLONE_NEWNS).step(Step::JoinNamespace)?;
    let _ = sys::close(namespace);
    sys::fchdir(tree).and_then(|()| sys::chroot(c".")).step(Step::Pivot)?;
    // What was mounted stays together as long as somebody is in it.
    sys::close(tree).step(Step::Pivot)?;
    sys::chdir(c"/").step(Step::Pivot)
}

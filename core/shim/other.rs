//! A part of another container's tree, for one that shares a namespace with it.

use core::ffi::CStr;

use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, Errno, Fd};

/// A detached copy of the memory file system at this path in the mount namespace at that one. This process is in the
/// other namespace only for as long as it takes.
pub fn memory(namespace: &CStr, path: &CStr) -> sys::Result<Fd> {
    let own = sys::openat(AT_FDCWD, c"/proc/self/ns/mnt", sys::O_RDONLY, 0)?;
    let root = sys::openat(AT_FDCWD, c"/", sys::O_PATH | sys::O_DIRECTORY, 0)?;
    let theirs = sys::openat(AT_FDCWD, namespace, sys::O_RDONLY, 0)?;
    let copied = sys::setns(theirs, sys::CLONE_NEWNS).and_then(|()| copy(path));
    // The host's root need not be the top of its namespace, where joining it leads.
    sys::setns(own, sys::CLONE_NEWNS)?;
    sys::fchdir(root).and_then(|()| sys::chroot(c"."))?;
    [own, root, theirs].into_iter().for_each(|fd| drop(sys::close(fd)));
    copied
}

/// What the other container has put there instead may be anything, and lead anywhere.
fn copy(path: &CStr) -> sys::Result<Fd> {
    const TMPFS_MAGIC: u64 = 0x0102_1994;
    let how = sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS;
    let there = sys::openat2(AT_FDCWD, path, sys::O_PATH | sys::O_DIRECTORY, 0, how)?;
    let copied = match sys::fs_magic(there) {
        Ok(TMPFS_MAGIC) => sys::open_tree_clone(there, c"", false, AT_EMPTY_PATH),
        _ => Err(Errno::ENODEV),
    };
    let _ = sys::close(there);
    copied
}

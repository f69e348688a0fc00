//! The mount API by file descriptors, and the older calls that it does not replace.

use core::ffi::CStr;
use core::ptr::null;

use super::{AT_FDCWD, Fd, O_CLOEXEC, Result, syscall};

pub const MS_RDONLY: u64 = 1;
pub const MS_NOSUID: u64 = 2;
pub const MS_NODEV: u64 = 4;
pub const MS_NOEXEC: u64 = 8;
pub const MS_REMOUNT: u64 = 0x20;
pub const MS_BIND: u64 = 0x1000;
pub const MS_MOVE: u64 = 0x2000;
pub const MS_REC: u64 = 0x4000;
pub const MS_PRIVATE: u64 = 1 << 18;
pub const MS_SLAVE: u64 = 1 << 19;
pub const MS_SHARED: u64 = 1 << 20;
pub const MNT_DETACH: i32 = 2;

pub const MOUNT_ATTR_RDONLY: u64 = 1;
pub const MOUNT_ATTR_NOSUID: u64 = 2;
pub const MOUNT_ATTR_NODEV: u64 = 4;
pub const MOUNT_ATTR_NOEXEC: u64 = 8;
pub const MOUNT_ATTR_ATIME: u64 = 0x70;
pub const MOUNT_ATTR_IDMAP: u64 = 0x10_0000;

pub const AT_RECURSIVE: i32 = 0x8000;

pub fn mount(source: &CStr, target: &CStr, fstype: &CStr, flags: u64, data: &CStr) -> Result {
    syscall!(MOUNT, source.as_ptr(), target.as_ptr(), fstype.as_ptr(), flags, data.as_ptr()).map(drop)
}

pub fn umount2(target: &CStr, flags: i32) -> Result {
    syscall!(UMOUNT2, target.as_ptr(), flags).map(drop)
}

pub fn pivot_root(new: &CStr, old: &CStr) -> Result {
    syscall!(PIVOT_ROOT, new.as_ptr(), old.as_ptr()).map(drop)
}

/// A context to configure a new file system in.
pub fn fsopen(fstype: &CStr) -> Result<Fd> {
    const FSOPEN_CLOEXEC: i32 = 1;
    syscall!(FSOPEN, fstype.as_ptr(), FSOPEN_CLOEXEC).map(|fd| fd as Fd)
}

/// Sets an option; an empty value makes it a flag.
pub fn fsconfig_set(context: Fd, key: &CStr, value: &CStr) -> Result {
    const FSCONFIG_SET_FLAG: i32 = 0;
    const FSCONFIG_SET_STRING: i32 = 1;
    match value.is_empty() {
        true => syscall!(FSCONFIG, context, FSCONFIG_SET_FLAG, key.as_ptr(), null::<u8>(), 0).map(drop),
        false => syscall!(FSCONFIG, context, FSCONFIG_SET_STRING, key.as_ptr(), value.as_ptr(), 0).map(drop),
    }
}

/// Makes the superblock.
pub fn fsconfig_create(context: Fd) -> Result {
    const FSCONFIG_CMD_CREATE: i32 = 6;
    syscall!(FSCONFIG, context, FSCONFIG_CMD_CREATE, null::<u8>(), null::<u8>(), 0).map(drop)
}

/// A detached mount of the context's file system; the descriptor serves as its root directory.
pub fn fsmount(context: Fd, attributes: u64) -> Result<Fd> {
    const FSMOUNT_CLOEXEC: i32 = 1;
    syscall!(FSMOUNT, context, FSMOUNT_CLOEXEC, attributes).map(|fd| fd as Fd)
}

/// A detached copy of the mount at a path, of the subtree below that path; all mounts below too when `recursive`.
pub fn open_tree_clone(dir: Fd, path: &CStr, recursive: bool, flags: i32) -> Result<Fd> {
    const OPEN_TREE_CLONE: i32 = 1;
    let recursive = if recursive { AT_RECURSIVE } else { 0 };
    syscall!(OPEN_TREE, dir, path.as_ptr(), OPEN_TREE_CLONE | O_CLOEXEC | recursive | flags).map(|fd| fd as Fd)
}

/// Attaches a detached mount onto exactly the file that `target` is open on.
pub fn move_mount_onto(mount: Fd, target: Fd) -> Result {
    const F_EMPTY_PATH: i32 = 4;
    const T_EMPTY_PATH: i32 = 0x40;
    syscall!(MOVE_MOUNT, mount, c"".as_ptr(), target, c"".as_ptr(), F_EMPTY_PATH | T_EMPTY_PATH).map(drop)
}

/// Attaches a detached mount at a host path.
pub fn move_mount_at(mount: Fd, path: &CStr) -> Result {
    const F_EMPTY_PATH: i32 = 4;
    const T_SYMLINKS: i32 = 0x10;
    syscall!(MOVE_MOUNT, mount, c"".as_ptr(), AT_FDCWD, path.as_ptr(), F_EMPTY_PATH | T_SYMLINKS).map(drop)
}

/// What [`mount_setattr`] changes.
#[repr(C)]
#[derive(Clone, Copy, Debug, Default)]
pub struct MountAttr {
    /// `MOUNT_ATTR_*` to set.
    pub set: u64,
    /// `MOUNT_ATTR_*` to clear.
    pub clear: u64,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or 0.
    pub propagation: u64,
    /// For id-mapped mounts.
    pub userns_fd: u64,
}

/// Changes a mount; `flags`: `AT_EMPTY_PATH`, `AT_RECURSIVE`.
pub fn mount_setattr(dir: Fd, path: &CStr, flags: i32, attr: &MountAttr) -> Result {
    syscall!(MOUNT_SETATTR, dir, path.as_ptr(), flags, attr as *const MountAttr, size_of::<MountAttr>()).map(drop)
}

//! Extended attributes by descriptor.

use std::ffi::CStr;
use std::os::fd::{AsRawFd, BorrowedFd};

use nix::errno::Errno;

/// Sets one attribute.
pub fn set(fd: BorrowedFd<'_>, name: &CStr, value: &[u8]) -> nix::Result<()> {
    // SAFETY: the name ends with NUL, and the kernel reads exactly `len` bytes of the value.
    let result = unsafe { libc::fsetxattr(fd.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(result).map(drop)
}

/// Removes one attribute.
pub fn remove(fd: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
    // SAFETY: the name ends with NUL.
    Errno::result(unsafe { libc::fremovexattr(fd.as_raw_fd(), name.as_ptr()) }).map(drop)
}

/// The errors of a file system or a caller that can't have the attribute.
pub fn impossible(errno: Errno) -> bool {
    matches!(errno, Errno::EOPNOTSUPP | Errno::EPERM | Errno::EACCES | Errno::ENOSYS)
}

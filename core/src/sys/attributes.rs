//! Extended attributes of an opened file.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd};

/// The largest list, and the largest value (xattr(7)).
const MOST: usize = 64 << 10;

/// Those whose names are wanted; none where the file system has none.
pub fn attributes(file: BorrowedFd<'_>, wanted: impl Fn(&[u8]) -> bool) -> Vec<(Vec<u8>, Vec<u8>)> {
    let mut names = [0u8; 4096];
    // SAFETY: the buffer is that long. Most files have none, and few have more names than it holds.
    let n = unsafe { libc::flistxattr(file.as_raw_fd(), names.as_mut_ptr().cast(), names.len()) };
    let names = names[..usize::try_from(n).unwrap_or(0)].split(|b| *b == 0);
    names.filter(|name| wanted(name)).filter_map(|name| Some((name.to_vec(), value(file, name)?))).collect()
}

fn value(file: BorrowedFd<'_>, name: &[u8]) -> Option<Vec<u8>> {
    let name = CString::new(name).ok()?;
    let mut value = vec![0u8; MOST];
    // SAFETY: the name ends with NUL, and the buffer is that long.
    let n = unsafe { libc::fgetxattr(file.as_raw_fd(), name.as_ptr(), value.as_mut_ptr().cast(), MOST) };
    value.truncate(usize::try_from(n).ok()?);
    Some(value)
}

/// Sets one, where the file system has such and this user may.
pub fn set_attribute(file: BorrowedFd<'_>, name: &[u8], value: &[u8]) {
    let Ok(name) = CString::new(name) else { return };
    // SAFETY: the name ends with NUL, and the value is that long.
    unsafe { libc::fsetxattr(file.as_raw_fd(), name.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
}

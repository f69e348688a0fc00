//! System calls that `nix` lacks or wraps with less than we need.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

fn c_path(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn at(dir: Option<BorrowedFd<'_>>) -> RawFd {
    dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd())
}

/// `renameat2(RENAME_NOREPLACE)`; `EINVAL` or `ENOSYS` where the file system refuses the flag.
pub fn rename_noreplace_at(
    from_dir: Option<BorrowedFd<'_>>,
    from: &Path,
    to_dir: Option<BorrowedFd<'_>>,
    to: &Path,
) -> nix::Result<()> {
    let (from, to) = (c_path(from)?, c_path(to)?);
    // SAFETY: both paths are NUL-terminated and outlive the call.
    let done = unsafe {
        libc::syscall(
            libc::SYS_renameat2,
            at(from_dir),
            from.as_ptr(),
            at(to_dir),
            to.as_ptr(),
            libc::RENAME_NOREPLACE as libc::c_uint,
        )
    };
    Errno::result(done).map(drop)
}

/// Bytes from the kernel's random source.
pub fn random_bytes<const N: usize>() -> nix::Result<[u8; N]> {
    let mut bytes = [0u8; N];
    let mut filled = 0;
    while filled < N {
        // SAFETY: the pointer and the length describe the unfilled rest of `bytes`.
        let n = unsafe { libc::getrandom(bytes[filled..].as_mut_ptr().cast(), N - filled, 0) };
        match Errno::result(n) {
            Ok(n) => filled += n as usize,
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(e),
        }
    }
    Ok(bytes)
}

/// The magic number of the file system that `path` is on (`statfs(2)`).
pub fn fs_type(path: &Path) -> nix::Result<i64> {
    #[allow(clippy::unnecessary_cast)] // its width differs between architectures
    nix::sys::statfs::statfs(path).map(|s| s.filesystem_type().0 as i64)
}

/// Copies inside the kernel, from and to these offsets, which go along; 0 at the end.
pub fn copy_range(
    from: BorrowedFd<'_>,
    read: &mut i64,
    to: BorrowedFd<'_>,
    written: &mut i64,
    most: usize,
) -> nix::Result<usize> {
    // SAFETY: both offsets are valid for the call, and the kernel checks the rest.
    let n = unsafe { libc::copy_file_range(from.as_raw_fd(), read, to.as_raw_fd(), written, most, 0) };
    Errno::result(n).map(|n| n as usize)
}

/// The version of Landlock that the kernel has (landlock(7)): `ENOSYS` where it was built without, `EOPNOTSUPP` where it
/// was not enabled when the machine was started.
pub fn landlock_version() -> nix::Result<u32> {
    const CREATE_RULESET_VERSION: libc::c_uint = 1;
    // SAFETY: asked for the version, the kernel reads nothing.
    let version = unsafe {
        libc::syscall(libc::SYS_landlock_create_ruleset, std::ptr::null::<u8>(), 0usize, CREATE_RULESET_VERSION)
    };
    Errno::result(version).map(|version| version as u32)
}

#[cfg(test)]
mod tests {
    use super::*;
    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}

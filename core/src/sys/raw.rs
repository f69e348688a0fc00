//! System calls that `nix` lacks or wraps with less than we need.

use std::ffi::CString;
use std::os::fd::{AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use nix::errno::Errno;

/// `RESOLVE_*` flags of `openat2(2)`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Resolve(pub u64);

impl Resolve {
    /// No component may leave the starting directory; absolute symlinks fail.
    pub const BENEATH: Resolve = Resolve(libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS);
    /// The starting directory is the root: `..` and absolute symlinks stay in it.
    pub const IN_ROOT: Resolve = Resolve(libc::RESOLVE_IN_ROOT | libc::RESOLVE_NO_MAGICLINKS);
    /// As `BENEATH`, and no symlink at all.
    pub const NO_SYMLINKS: Resolve =
        Resolve(libc::RESOLVE_BENEATH | libc::RESOLVE_NO_MAGICLINKS | libc::RESOLVE_NO_SYMLINKS);
}

fn c_path(path: &Path) -> nix::Result<CString> {
    CString::new(path.as_os_str().as_bytes()).map_err(|_| Errno::EINVAL)
}

fn at(dir: Option<BorrowedFd<'_>>) -> RawFd {
    dir.map_or(libc::AT_FDCWD, |d| d.as_raw_fd())
}

/// `openat2`, close-on-exec. `EAGAIN` (a rename raced with `..`) is retried, as the manual asks.
pub fn openat2(dir: BorrowedFd<'_>, path: &Path, flags: i32, mode: u32, resolve: Resolve) -> nix::Result<OwnedFd> {
    let path = c_path(path)?;
    // SAFETY: `open_how` is plain integers; zero is a valid value of every field.
    let mut how: libc::open_how = unsafe { std::mem::zeroed() };
    how.flags = (flags | libc::O_CLOEXEC) as u64;
    how.mode = u64::from(mode);
    how.resolve = resolve.0;
    for _ in 0..64 {
        // SAFETY: the path is NUL-terminated, `how` outlives the call and its true size is passed.
        let fd = unsafe {
            libc::syscall(libc::SYS_openat2, dir.as_raw_fd(), path.as_ptr(), &raw const how, size_of_val(&how))
        };
        match Errno::result(fd) {
            // SAFETY: the kernel has just given us this descriptor; nothing else owns it.
            Ok(fd) => return Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) }),
            Err(Errno::EAGAIN | Errno::EINTR) => continue,
            Err(e) => return Err(e),
        }
    }
    Err(Errno::EAGAIN)
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

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn openat2_stays_beneath() {
        let dir = tempfile::tempdir().unwrap();
        std::os::unix::fs::symlink("/etc", dir.path().join("out")).unwrap();
        let root = nix::fcntl::open(dir.path(), nix::fcntl::OFlag::O_DIRECTORY, nix::sys::stat::Mode::empty()).unwrap();
        let open = |p: &str, r| openat2(root.as_fd(), Path::new(p), libc::O_RDONLY, 0, r);
        assert_eq!(open("out/passwd", Resolve::BENEATH).unwrap_err(), Errno::EXDEV);
        assert_eq!(open("../x", Resolve::BENEATH).unwrap_err(), Errno::EXDEV);
        assert_eq!(open("out", Resolve::NO_SYMLINKS).unwrap_err(), Errno::ELOOP);
        assert_eq!(open("out/passwd", Resolve::IN_ROOT).unwrap_err(), Errno::ENOENT);
    }

    #[test]
    fn random_bytes_differ() {
        assert_ne!(random_bytes::<32>().unwrap(), random_bytes::<32>().unwrap());
    }
}

//! The shim as something that can be executed: one sealed memfd per process, or what the host allows instead.

use std::ffi::{CStr, CString};
use std::io::{Error as IoError, Write};
use std::os::fd::{AsRawFd, FromRawFd, IntoRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

use crate::error::{Context, Error, Kind, Result};

static SHIM: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/sampan-shim"));

/// The shim as bytes: run as `/selftest` in an image of its own it writes `ok` and ends.
pub fn shim_image() -> &'static [u8] {
    SHIM
}

/// Where the shim may come from when the host refuses to execute a memfd.
#[derive(Clone, Debug, Default)]
pub struct HelperSource {
    /// An installed helper, used in place of the embedded one; never searched for.
    pub installed: Option<PathBuf>,
    /// Where an unnamed or unlinked temporary file is tried first; the usual places come after it.
    pub temp_dir: Option<PathBuf>,
}

// Atomics in place of a lock: a lock held by another thread during a fork of the host would never be freed
// in the child. The descriptor may also have been closed, and its number reused, by a host that closes all
// it doesn't know; so its file's identity is kept.
static FD: AtomicI32 = AtomicI32::new(-1);
static INODE: AtomicU64 = AtomicU64::new(0);
static DEVICE: AtomicU64 = AtomicU64::new(0);

/// A descriptor to execute. A container can get hold of the file that it is started by (CVE-2019-5736): only what
/// nobody can write to is executed for more than one.
pub(super) enum Executable {
    /// The process's memory file; it stays open for the life of the process.
    Shared(RawFd),
    /// A sealed memory file of the caller's own.
    Sealed(OwnedFd),
    /// A file for this one time, or one that belongs to somebody whom no container has.
    File(OwnedFd),
}

impl AsRawFd for Executable {
    fn as_raw_fd(&self) -> RawFd {
        match self {
            Executable::Shared(fd) => *fd,
            Executable::Sealed(fd) | Executable::File(fd) => fd.as_raw_fd(),
        }
    }
}

// Set once this host was found not to execute memory files, so that each start does not try anew.
static REFUSED: AtomicBool = AtomicBool::new(false);

/// The shim, made on first use.
pub(super) fn executable(source: &HelperSource) -> Result<Executable> {
    match (&source.installed, shared()) {
        (Some(path), _) => installed(path, source),
        (None, Some(fd)) if !REFUSED.load(Ordering::Acquire) => Ok(Executable::Shared(fd)),
        (None, _) => copy(SHIM, source).map(share),
    }
}

/// What belongs to this user or to root would be a container's to overwrite, which may have the same user: a copy of
/// it is executed.
fn installed(path: &Path, source: &HelperSource) -> Result<Executable> {
    let file = open(path, libc::O_RDONLY, 0).context("open helper", path.display())?;
    let owner = nix::sys::stat::fstat(&file).context("open helper", path.display())?.st_uid;
    let me = nix::unistd::geteuid();
    match me.is_root() || owner == me.as_raw() {
        true => copy(&content(path)?, source),
        false => Ok(Executable::File(file)),
    }
}

fn content(path: &Path) -> Result<Vec<u8>> {
    const MOST: u64 = 64 << 20;
    crate::fs::read_following(path, MOST)
}

fn copy(program: &[u8], source: &HelperSource) -> Result<Executable> {
    let sealed = match REFUSED.load(Ordering::Acquire) {
        true => Err(IoError::from_raw_os_error(libc::EACCES)),
        false => sealed_memfd(program).map(Executable::Sealed),
    };
    sealed.or_else(|refused| temporary(program, source).map(Executable::File).map_err(|_| refusal(refused)))
}

fn shared() -> Option<RawFd> {
    let fd = FD.load(Ordering::Acquire);
    let same = fd >= 0 && identity(fd) == Some((DEVICE.load(Ordering::Relaxed), INODE.load(Ordering::Relaxed)));
    same.then_some(fd)
}

/// Makes a sealed one the process's; when two threads made one at once, one wins and the other uses its own once.
fn share(made: Executable) -> Executable {
    let Executable::Sealed(fd) = made else { return made };
    let Some((device, inode)) = identity(fd.as_raw_fd()) else { return Executable::Sealed(fd) };
    let old = FD.load(Ordering::Acquire);
    if shared().is_some() || FD.compare_exchange(old, -1, Ordering::AcqRel, Ordering::Relaxed).is_err() {
        return Executable::Sealed(fd);
    }
    DEVICE.store(device, Ordering::Relaxed);
    INODE.store(inode, Ordering::Relaxed);
    let raw = fd.into_raw_fd();
    FD.store(raw, Ordering::Release);
    Executable::Shared(raw)
}

fn identity(fd: RawFd) -> Option<(u64, u64)> {
    // SAFETY: zero is a value of every field, and the pointer is valid for the call.
    let mut stat: libc::stat = unsafe { std::mem::zeroed() };
    // SAFETY: as above.
    (unsafe { libc::fstat(fd, &mut stat) } == 0).then_some((stat.st_dev, stat.st_ino))
}

/// Another one, where the host has made the memory file that was tried and then refused to execute it.
pub(super) fn instead(source: &HelperSource, tried: &Executable, refused: IoError) -> Result<Executable> {
    if matches!(tried, Executable::File(_)) {
        return Err(refusal(refused));
    }
    REFUSED.store(true, Ordering::Release);
    match &source.installed {
        Some(path) => copy(&content(path)?, source),
        None => copy(SHIM, source),
    }
}

fn refusal(refused: IoError) -> Error {
    let error = Error::errno_in(refused.raw_os_error().unwrap_or(0), "start helper", "");
    match refused.raw_os_error() {
        Some(libc::ENOSYS) => super::refusal::explain(error, libc::ENOSYS),
        Some(libc::EMFILE | libc::ENFILE | libc::ENOMEM | libc::ENOSPC) => error,
        _ => error
            .with_kind(Kind::PermissionDenied)
            .because("this host executes neither a memory file nor a temporary file")
            .hint("install the helper and name it in the engine's options"),
    }
}

fn sealed_memfd(program: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd(c"sampan-shim", libc::MFD_ALLOW_SEALING, MFD_EXEC)?;
    let mut file = std::io::BufWriter::with_capacity(0, FdWriter(&fd));
    file.write_all(program)?;
    drop(file);
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
    // SAFETY: a descriptor of our own; kernels before 6.3 don't know F_SEAL_EXEC and refuse the set.
    let sealed = unsafe {
        libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals | F_SEAL_EXEC) == 0
            || libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) == 0
    };
    if sealed { Ok(fd) } else { Err(IoError::last_os_error()) }
}

const MFD_EXEC: libc::c_uint = 0x10;
const MFD_NOEXEC_SEAL: libc::c_uint = 0x8;
const F_SEAL_EXEC: libc::c_int = 0x20;

/// A memfd; `modern` holds flags that kernels before 6.3 refuse.
fn memfd(name: &CStr, flags: libc::c_uint, modern: libc::c_uint) -> std::io::Result<OwnedFd> {
    // SAFETY: the name is NUL-terminated; the result is checked.
    let mut fd = unsafe { libc::memfd_create(name.as_ptr(), flags | modern | libc::MFD_CLOEXEC) };
    if fd < 0 && IoError::last_os_error().raw_os_error() == Some(libc::EINVAL) {
        // SAFETY: as above.
        fd = unsafe { libc::memfd_create(name.as_ptr(), flags | libc::MFD_CLOEXEC) };
    }
    match fd {
        -1 => Err(IoError::last_os_error()),
        // SAFETY: a fresh descriptor that nobody else owns.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

/// A memfd with this content, for the request.
pub fn memory_file(parts: [&[u8]; 2]) -> std::io::Result<OwnedFd> {
    let fd = memfd(c"sampan-request", 0, MFD_NOEXEC_SEAL)?;
    let mut writer = FdWriter(&fd);
    parts.into_iter().try_for_each(|part| writer.write_all(part))?;
    Ok(fd)
}

/// A memfd with this content, which nobody can change any more.
pub(super) fn sealed_file(content: &[u8]) -> std::io::Result<OwnedFd> {
    let fd = memfd(c"sampan-request", libc::MFD_ALLOW_SEALING, MFD_NOEXEC_SEAL)?;
    FdWriter(&fd).write_all(content)?;
    let seals = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW;
    // SAFETY: a descriptor of our own.
    match unsafe { libc::fcntl(fd.as_raw_fd(), libc::F_ADD_SEALS, seals) } {
        0 => Ok(fd),
        _ => Err(IoError::last_os_error()),
    }
}

struct FdWriter<'a>(&'a OwnedFd);

impl Write for FdWriter<'_> {
    fn write(&mut self, buf: &[u8]) -> std::io::Result<usize> {
        Ok(nix::unistd::write(self.0, buf)?)
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

/// The rungs below the memfd: a file without a name, then one whose name is removed at once; each in the first of
/// these directories that allows it.
fn temporary(program: &[u8], source: &HelperSource) -> std::io::Result<OwnedFd> {
    let usual = [std::env::temp_dir(), "/tmp".into(), "/var/tmp".into(), "/dev/shm".into()];
    let mut result = Err(IoError::from_raw_os_error(libc::ENOENT));
    for dir in source.temp_dir.iter().chain(&usual) {
        result = temporary_in(dir, program);
        if result.is_ok() {
            break;
        }
    }
    result
}

fn temporary_in(dir: &Path, program: &[u8]) -> std::io::Result<OwnedFd> {
    let written = open(dir, libc::O_TMPFILE | libc::O_RDWR, 0o700).or_else(|_| unlinked(dir))?;
    // The umask may have taken it away.
    nix::sys::stat::fchmod(&written, nix::sys::stat::Mode::S_IRWXU)?;
    if nix::sys::statvfs::fstatvfs(&written)?.flags().contains(nix::sys::statvfs::FsFlags::ST_NOEXEC) {
        return Err(IoError::from_raw_os_error(libc::EACCES));
    }
    FdWriter(&written).write_all(program)?;
    // The writer must be closed before an exec, or it is "text file busy".
    open(Path::new(&format!("/proc/self/fd/{}", written.as_raw_fd())), libc::O_RDONLY, 0)
}

fn unlinked(dir: &Path) -> std::io::Result<OwnedFd> {
    let path = dir.join(format!(".sampan-shim-{}-{:p}", std::process::id(), &dir));
    let fd = open(&path, libc::O_CREAT | libc::O_EXCL | libc::O_RDWR | libc::O_NOFOLLOW, 0o700)?;
    nix::unistd::unlink(&path)?;
    Ok(fd)
}

fn open(path: &Path, flags: libc::c_int, mode: libc::c_uint) -> std::io::Result<OwnedFd> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    // SAFETY: the path is NUL-terminated; the result is checked.
    match unsafe { libc::open(path.as_ptr(), flags | libc::O_CLOEXEC, mode) } {
        -1 => Err(IoError::last_os_error()),
        // SAFETY: a fresh descriptor that nobody else owns.
        fd => Ok(unsafe { OwnedFd::from_raw_fd(fd) }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_memfd_is_sealed_and_made_once() {
        let source = HelperSource::default();
        let first = executable(&source).unwrap().as_raw_fd();
        // SAFETY: plain fcntl on an open descriptor.
        let seals = unsafe { libc::fcntl(first, libc::F_GET_SEALS) };
        let all = libc::F_SEAL_WRITE | libc::F_SEAL_SHRINK | libc::F_SEAL_GROW | libc::F_SEAL_SEAL;
        assert_eq!(seals & all, all);
    }

    /// A container that got hold of it could change it for all that come after (CVE-2019-5736).
    #[test]
    fn what_is_not_sealed_is_executed_once() {
        let file = |source: &HelperSource| temporary(SHIM, source).map(Executable::File).unwrap();
        let before = shared();
        let once = share(file(&HelperSource::default()));
        assert!(matches!(once, Executable::File(_)));
        assert_eq!(shared(), before);
    }

    /// What belongs to this user, or to anybody where that is root, is a container's to write to as well.
    #[test]
    fn an_installed_helper_of_ones_own_is_copied() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("helper");
        crate::fs::write_executable(&path, b"a program").unwrap();
        let helper = installed(&path, &HelperSource::default()).unwrap();
        assert!(matches!(helper, Executable::Sealed(_)));
        let mut content = [0; 32];
        let n = nix::sys::uio::pread(
            open(Path::new(&format!("/proc/self/fd/{}", helper.as_raw_fd())), 0, 0).unwrap(),
            &mut content,
            0,
        );
        assert_eq!(&content[..n.unwrap()], b"a program");
        if !nix::unistd::geteuid().is_root() {
            let others = installed(Path::new("/bin/sh"), &HelperSource::default()).unwrap();
            assert!(matches!(others, Executable::File(_)));
        }
    }

    #[test]
    fn a_temporary_file_holds_the_same_program() {
        let fd = temporary(SHIM, &HelperSource::default()).unwrap();
        let mut content = vec![0; SHIM.len() + 1];
        let n = nix::sys::uio::pread(&fd, &mut content, 0).unwrap();
        assert_eq!(&content[..n], SHIM);
    }
}

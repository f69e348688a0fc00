//! Gives trees a label of SELinux: never through a link that is in them, which a container that has them may have made.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag, fstat};

use crate::error::{Context, Error, Kind, Result};

const NAME: &CStr = c"security.selinux";
const SEEN: OFlag = OFlag::O_PATH.union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);
const LISTED: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_CLOEXEC);
/// Directories are held open on the way down.
const MAX_DEPTH: usize = 128;

/// Labels a file, or a directory with all that is in it. A file system without labels is left as it is.
///
/// # Errors
/// `PermissionDenied` where this user or the policy may not, `LimitExceeded` for a tree of more than 128 levels.
pub fn relabel(path: &Path, label: &str) -> Result<()> {
    let top = OFlag::O_PATH | OFlag::O_CLOEXEC;
    let file = nix::fcntl::open(path, top, Mode::empty()).context("relabel", path.display())?;
    let value = CString::new(label).map_err(|_| Errno::EINVAL).context("relabel", path.display())?;
    match tree(file.as_fd(), &value, 0) {
        Err(Errno::EOPNOTSUPP) => Ok(()),
        Err(Errno::EMLINK) => Err(Error::new(Kind::LimitExceeded, "relabel", path.display().to_string())
            .because(format!("it has more than {MAX_DEPTH} directories one in the other"))),
        done => done.context("relabel", path.display()),
    }
}

/// The label that it has; `None` on a file system without labels.
pub fn label(path: &Path) -> Result<Option<String>> {
    let file = nix::fcntl::open(path, OFlag::O_PATH | OFlag::O_CLOEXEC, Mode::empty());
    let file = file.context("read label", path.display())?;
    match value_of(file.as_fd()) {
        Err(Errno::EOPNOTSUPP) => Ok(None),
        found => {
            found.map(|label| Some(String::from_utf8_lossy(&label).into_owned())).context("read label", path.display())
        }
    }
}

fn tree(file: BorrowedFd<'_>, label: &CStr, depth: usize) -> nix::Result<()> {
    set(file, label)?;
    if fstat(file)?.st_mode & SFlag::S_IFMT.bits() != SFlag::S_IFDIR.bits() {
        return Ok(());
    }
    if depth == MAX_DEPTH {
        return Err(Errno::EMLINK);
    }
    let mut entries = Dir::from_fd(openat(file, c".", LISTED, Mode::empty())?)?;
    for entry in entries.iter() {
        let entry = entry?;
        if let Some(child) = child(file, entry.file_name())? {
            tree(child.as_fd(), label, depth + 1)?;
        }
    }
    Ok(())
}

/// What has the name; `None` for what is gone, and for the directory itself and the one above it.
fn child(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<OwnedFd>> {
    if matches!(name.to_bytes(), b"." | b"..") {
        return Ok(None);
    }
    match openat(dir, name, SEEN, Mode::empty()) {
        Err(Errno::ENOENT) => Ok(None),
        opened => opened.map(Some),
    }
}

/// By a path that leads to nothing but what is open: a descriptor of this kind takes no attributes itself.
fn by_descriptor(file: BorrowedFd<'_>) -> CString {
    CString::new(format!("/proc/self/fd/{}", file.as_raw_fd())).unwrap_or_default()
}

fn set(file: BorrowedFd<'_>, label: &CStr) -> nix::Result<()> {
    if value_of(file).is_ok_and(|found| found == label.to_bytes()) {
        return Ok(());
    }
    let (path, value) = (by_descriptor(file), label.to_bytes());
    // SAFETY: both names end with NUL, and the value is that long.
    let done = unsafe { libc::setxattr(path.as_ptr(), NAME.as_ptr(), value.as_ptr().cast(), value.len(), 0) };
    Errno::result(done).map(drop)
}

/// Without the NUL that the kernel puts behind it.
fn value_of(file: BorrowedFd<'_>) -> nix::Result<Vec<u8>> {
    let (path, mut value) = (by_descriptor(file), vec![0u8; 4096]);
    // SAFETY: both names end with NUL, and the buffer is that long.
    let length = unsafe { libc::getxattr(path.as_ptr(), NAME.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(Errno::result(length)? as usize);
    while value.last() == Some(&0) {
        value.pop();
    }
    Ok(value)
}

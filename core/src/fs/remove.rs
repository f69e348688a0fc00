//! Removes trees: never through a symlink, at any depth, also where directories are read-only.

use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::path::Path;

use nix::dir::Dir;
use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat};
use nix::sys::stat::{FchmodatFlags, Mode, SFlag, fchmod, fchmodat, fstat, fstatat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use crate::error::{Context, Result};

const DIRECTORY: OFlag = OFlag::O_RDONLY.union(OFlag::O_DIRECTORY).union(OFlag::O_NOFOLLOW).union(OFlag::O_CLOEXEC);

/// Directories held open on the way down, two descriptors each. Deeper ones are moved up and removed afterwards, so a tree of
/// any depth takes a bounded number of descriptors and a bounded stack.
const MAX_DEPTH: usize = 32;

/// Directories that [`tree_size`] goes down.
const SIZED_DEPTH: usize = 128;

/// Removes a file or a whole tree; what is gone already is fine, also when another process removes it too.
pub fn remove_tree(path: &Path) -> Result<()> {
    let (Some(parent), Some(name)) = (path.parent(), path.file_name()) else {
        return Err(Errno::EINVAL).context("remove", path.display());
    };
    let top = match nix::fcntl::open(parent, DIRECTORY, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(()),
        top => top.context("remove", path.display())?,
    };
    let name = CString::new(name.as_encoded_bytes()).map_err(|_| Errno::EINVAL).context("remove", path.display())?;
    Removal { top, left: vec![name] }.run().context("remove", path.display())
}

/// As [`remove_tree`], of a name in an open directory.
pub fn remove_at(dir: BorrowedFd<'_>, name: &[u8]) -> nix::Result<()> {
    let name = CString::new(name).map_err(|_| Errno::EINVAL)?;
    Removal { top: step(dir, c".")?, left: vec![name] }.run()
}

/// Removes all that is in a directory.
pub fn empty(dir: OwnedFd) -> nix::Result<()> {
    let mut removal = Removal { top: step(dir.as_fd(), c".")?, left: Vec::new() };
    removal.remove_children(&dir, 0)?;
    removal.run()
}

fn step(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    openat(dir, name, DIRECTORY, Mode::empty())
}

/// What is left to remove, all of it directly in `top`.
struct Removal {
    top: OwnedFd,
    left: Vec<CString>,
}

impl Removal {
    fn run(mut self) -> nix::Result<()> {
        let top = self.top.try_clone().map_err(|_| Errno::EMFILE)?;
        while let Some(name) = self.left.pop() {
            self.remove_at(top.as_fd(), &name, 0)?;
        }
        Ok(())
    }

    fn remove_at(&mut self, dir: BorrowedFd<'_>, name: &CStr, depth: usize) -> nix::Result<()> {
        match unlinkat(dir, name, UnlinkatFlags::NoRemoveDir) {
            Err(Errno::EISDIR) => {}
            done => return gone_is_fine(done),
        }
        match unlinkat(dir, name, UnlinkatFlags::RemoveDir) {
            Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
            done => return gone_is_fine(done),
        }
        let Some(opened) = open_writable(dir, name)? else { return Ok(()) };
        if depth >= MAX_DEPTH {
            return self.move_up(dir, name);
        }
        self.remove_children(&opened, depth)?;
        gone_is_fine(unlinkat(dir, name, UnlinkatFlags::RemoveDir))
    }

    fn remove_children(&mut self, opened: &OwnedFd, depth: usize) -> nix::Result<()> {
        let mut entries = Dir::from_fd(opened.try_clone().map_err(|_| Errno::EMFILE)?)?;
        for entry in entries.iter() {
            let entry = match entry {
                // The directory itself was removed by someone else while we read it.
                Err(Errno::ENOENT) => return Ok(()),
                entry => entry?,
            };
            let name = entry.file_name();
            if !matches!(name.to_bytes(), b"." | b"..") {
                self.remove_at(opened.as_fd(), name, depth + 1)?;
            }
        }
        Ok(())
    }

    fn move_up(&mut self, dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<()> {
        let random = u128::from_ne_bytes(crate::sys::random_bytes()?);
        let moved = CString::new(format!("deep-{random:032x}")).map_err(|_| Errno::EINVAL)?;
        gone_is_fine(nix::fcntl::renameat(dir, name, &self.top, moved.as_c_str()))?;
        self.left.push(moved);
        Ok(())
    }
}

/// Opens a directory that we may have to make readable and writable first: we own it, or the remover does.
fn open_writable(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<Option<OwnedFd>> {
    let opened = match step(dir, name) {
        Err(Errno::EACCES) => open_closed(dir, name),
        opened => opened,
    };
    let opened = match opened {
        Err(Errno::ENOENT) => return Ok(None),
        opened => opened?,
    };
    if fstat(&opened)?.st_mode & 0o700 != 0o700 {
        let _ = fchmod(&opened, Mode::S_IRWXU);
    }
    Ok(Some(opened))
}

/// One that may not be read, by a descriptor: its name may be a link by the next call.
fn open_closed(dir: BorrowedFd<'_>, name: &CStr) -> nix::Result<OwnedFd> {
    let seen = openat(dir, name, DIRECTORY | OFlag::O_PATH, Mode::empty())?;
    let path = format!("/proc/self/fd/{}", seen.as_raw_fd());
    fchmodat(AT_FDCWD, path.as_str(), Mode::S_IRWXU, FchmodatFlags::FollowSymlink).map_err(|_| Errno::EACCES)?;
    step(seen.as_fd(), c".")
}

fn gone_is_fine(done: nix::Result<()>) -> nix::Result<()> {
    match done {
        Err(Errno::ENOENT) => Ok(()),
        done => done,
    }
}

/// Bytes of the regular files in a tree, without following symlinks; a file with several links counts
/// once a link. What can't be read counts as nothing.
pub fn tree_size(path: &Path) -> u64 {
    let Ok(dir) = nix::fcntl::open(path, DIRECTORY, Mode::empty()) else {
        return super::file_size(path).ok().flatten().unwrap_or(0);
    };
    size_of(dir, 0)
}

fn size_of(dir: OwnedFd, depth: usize) -> u64 {
    let Ok(at) = dir.try_clone() else { return 0 };
    let Ok(mut entries) = Dir::from_fd(dir) else { return 0 };
    let mut total = 0;
    for entry in entries.iter().flatten() {
        let name = entry.file_name();
        if matches!(name.to_bytes(), b"." | b"..") {
            continue;
        }
        let Ok(stat) = fstatat(&at, name, AtFlags::AT_SYMLINK_NOFOLLOW) else { continue };
        match SFlag::from_bits_truncate(stat.st_mode & SFlag::S_IFMT.bits()) {
            SFlag::S_IFREG => total += stat.st_size as u64,
            SFlag::S_IFDIR if depth < SIZED_DEPTH => {
                total += openat(&at, name, DIRECTORY, Mode::empty()).map_or(0, |d| size_of(d, depth + 1));
            }
            _ => {}
        }
    }
    total
}

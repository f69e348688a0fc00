//! Directories of the layer, by descriptor: finding the parent of an entry without ever leaving the root.
//!
//! An entry may go through a symlink that the layer itself made (`lib -> usr/lib`, then `lib/x`). Such
//! links are followed here, step by step and within the root, as containerd does; the kernel follows none.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;
use std::rc::Rc;

use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, OpenHow, ResolveFlag, openat, openat2, readlinkat};
use nix::sys::stat::{FileStat, Mode, SFlag, fstatat, mkdirat};
use nix::unistd::{UnlinkatFlags, unlinkat};

use super::name;
use crate::sys;

/// Directories kept open: an archive lists a directory's files together.
const KEPT: usize = 16;
/// Symlinks followed in one name, as in the kernel.
const MOST_LINKS: u32 = 40;
/// Directories made for one name: more than a path can name, of which the symlinks that it goes through may each add some.
const MOST_IMPLIED: usize = 4096;

/// Mode of a directory until the end, when all its files are in it: no group, and the owner can write.
pub const WORKING_MODE: Mode = Mode::S_IRWXU;

/// An open directory (`O_PATH`).
pub struct Dir {
    /// The descriptor.
    pub fd: OwnedFd,
    /// Where it is below the root; no part of it is a symlink.
    pub path: Vec<u8>,
}

/// A directory that no entry had told of yet, but that a later path needs.
pub struct Implied {
    /// Where it is; no part is a symlink.
    pub path: Vec<u8>,
    /// It took the place of a whiteout, so it hides what is below.
    pub opaque: bool,
}

/// Why a directory can't be had.
#[derive(Debug)]
pub enum Failure {
    /// The archive is to blame.
    Refused(&'static str),
    /// The system refused.
    System(Errno),
}

impl From<Errno> for Failure {
    fn from(errno: Errno) -> Self {
        Failure::System(errno)
    }
}

/// What is to be done about missing directories.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// Make them.
    Make,
    /// Fail with `ENOENT`.
    Fail,
}

/// The layer's files.
pub struct Tree {
    root: Rc<Dir>,
    kept: Vec<(Vec<u8>, Rc<Dir>)>,
    oldest: usize,
}

impl Tree {
    /// The tree below `root`.
    pub fn new(root: OwnedFd) -> Self {
        Tree { root: Rc::new(Dir { fd: root, path: Vec::new() }), kept: Vec::with_capacity(KEPT), oldest: 0 }
    }

    /// The directory that `asked` (a clean path) leads to; what had to be made is added to `implied`.
    pub fn dir(&mut self, asked: &[u8], missing: Missing, implied: &mut Vec<Implied>) -> Result<Rc<Dir>, Failure> {
        if asked.is_empty() {
            return Ok(self.root.clone());
        }
        if let Some((_, dir)) = self.kept.iter().find(|(path, _)| path == asked) {
            return Ok(dir.clone());
        }
        let dir = Rc::new(match open(self.root.fd.as_fd(), asked, OFlag::O_PATH) {
            Ok(fd) => Dir { fd, path: asked.to_vec() },
            // A symlink, a missing part, or a kernel or sandbox without openat2: step by step tells.
            Err(_) => Walk::new(&self.root, asked, missing, implied)?.finish()?,
        });
        self.keep(asked, dir.clone());
        Ok(dir)
    }

    fn keep(&mut self, asked: &[u8], dir: Rc<Dir>) {
        let entry = (asked.to_vec(), dir);
        match self.kept.len() < KEPT {
            true => self.kept.push(entry),
            false => {
                self.kept[self.oldest] = entry;
                self.oldest = (self.oldest + 1) % KEPT;
            }
        }
    }

    /// Closes the directories kept open. To be called when anything was removed: a name may lead elsewhere now.
    pub fn forget(&mut self) {
        self.kept.clear();
        self.oldest = 0;
    }

    /// Opens the directory at `path`, which must hold no symlink, for listing and attributes.
    pub fn reopen(&self, path: &[u8]) -> nix::Result<OwnedFd> {
        match open(self.root.fd.as_fd(), path, OFlag::O_RDONLY) {
            Err(Errno::ENOSYS | Errno::EPERM) => descend(self.root.fd.as_fd(), path, OFlag::O_RDONLY),
            other => other,
        }
    }
}

fn open(root: BorrowedFd<'_>, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    let path = if path.is_empty() { b"." } else { path };
    let how = OpenHow::new()
        .flags(flags | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC)
        .resolve(ResolveFlag::RESOLVE_BENEATH | ResolveFlag::RESOLVE_NO_SYMLINKS);
    openat2(root, path, how)
}

fn step(dir: BorrowedFd<'_>, part: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    openat(dir, part, flags | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC, Mode::empty())
}

/// Opens `path` part by part, where openat2 can't be used.
fn descend(root: BorrowedFd<'_>, path: &[u8], flags: OFlag) -> nix::Result<OwnedFd> {
    let mut at = step(root, b".", flags)?;
    for part in path.split(|b| *b == b'/').filter(|part| !part.is_empty()) {
        at = step(at.as_fd(), part, flags)?;
    }
    Ok(at)
}

/// A walk from the root along parts that may be symlinks or missing.
struct Walk<'a> {
    root: &'a Dir,
    at: OwnedFd,
    real: Vec<u8>,
    /// Parts still to go, the next one last.
    todo: Vec<Vec<u8>>,
    links: u32,
    missing: Missing,
    implied: &'a mut Vec<Implied>,
}

impl<'a> Walk<'a> {
    fn new(root: &'a Dir, asked: &[u8], missing: Missing, implied: &'a mut Vec<Implied>) -> nix::Result<Self> {
        let at = step(root.fd.as_fd(), b".", OFlag::O_PATH)?;
        let mut walk = Walk { root, at, real: Vec::new(), todo: Vec::new(), links: 0, missing, implied };
        walk.prepend(asked);
        Ok(walk)
    }

    fn prepend(&mut self, path: &[u8]) {
        let parts = path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b"."));
        self.todo.extend(parts.rev().map(<[u8]>::to_vec));
    }

    fn finish(mut self) -> Result<Dir, Failure> {
        while let Some(part) = self.todo.pop() {
            match part.as_slice() {
                b".." => self.up()?,
                part => self.down(part)?,
            }
        }
        Ok(Dir { fd: self.at, path: self.real })
    }

    /// `..` in a symlink's target; at the root it stays there. What moves something in the tree
    /// (`clear`, which takes what is too deep upwards) makes it forget all that is open, so it leads to what `real` says.
    fn up(&mut self) -> Result<(), Failure> {
        if !self.real.is_empty() {
            let parent = name::split(&self.real).0.len();
            self.real.truncate(parent);
            self.at = step(self.at.as_fd(), b"..", OFlag::O_PATH)?;
        }
        Ok(())
    }

    fn down(&mut self, part: &[u8]) -> Result<(), Failure> {
        let dir = match step(self.at.as_fd(), part, OFlag::O_PATH) {
            Ok(dir) => dir,
            Err(Errno::ENOENT) if self.missing == Missing::Make => self.make(part, false)?,
            Err(Errno::ELOOP | Errno::ENOTDIR) => match self.other(part)? {
                Some(dir) => dir,
                None => return Ok(()),
            },
            Err(errno) => return Err(errno.into()),
        };
        name::push(&mut self.real, part);
        self.at = dir;
        Ok(())
    }

    /// What to do with a part that is no directory: a symlink is followed (and `None` returned).
    fn other(&mut self, part: &[u8]) -> Result<Option<OwnedFd>, Failure> {
        let stat = stat(self.at.as_fd(), part)?;
        if self.missing == Missing::Make && hides(self.at.as_fd(), part, &stat) {
            unlinkat(&self.at, part, UnlinkatFlags::NoRemoveDir)?;
            return self.make(part, true).map(Some);
        }
        match is_a(&stat, SFlag::S_IFLNK) {
            true => self.follow(part).map(|()| None),
            false => Err(Failure::Refused("a part of the path is no directory")),
        }
    }

    fn follow(&mut self, part: &[u8]) -> Result<(), Failure> {
        self.links += 1;
        if self.links > MOST_LINKS {
            return Err(Failure::Refused("the path goes through too many symlinks"));
        }
        let target = readlinkat(&self.at, part)?.into_vec();
        if target.starts_with(b"/") {
            self.real.clear();
            self.at = step(self.root.fd.as_fd(), b".", OFlag::O_PATH)?;
        }
        self.prepend(&target);
        Ok(())
    }

    fn make(&mut self, part: &[u8], opaque: bool) -> Result<OwnedFd, Failure> {
        let path = name::join(&self.real, part);
        name::fits(&path).map_err(Failure::Refused)?;
        if self.implied.len() >= MOST_IMPLIED {
            return Err(Failure::Refused("the path goes through more than 4096 missing directories"));
        }
        mkdirat(&self.at, part, WORKING_MODE)?;
        self.implied.push(Implied { path, opaque });
        Ok(step(self.at.as_fd(), part, OFlag::O_PATH)?)
    }
}

/// The file itself, never what a symlink leads to.
pub fn stat(dir: BorrowedFd<'_>, name: &[u8]) -> nix::Result<FileStat> {
    fstatat(dir, name, AtFlags::AT_SYMLINK_NOFOLLOW)
}

/// True when the file is of that type.
pub fn is_a(stat: &FileStat, kind: SFlag) -> bool {
    stat.st_mode & SFlag::S_IFMT.bits() == kind.bits()
}

/// True for a 0/0 device. All of them are ours, since an archive's own are refused.
pub fn is_whiteout(stat: &FileStat) -> bool {
    is_a(stat, SFlag::S_IFCHR) && stat.st_rdev == 0
}

/// True for what stands for a hidden file: such a device or, where the file system has none, a file with overlay's attribute.
pub fn hides(dir: BorrowedFd<'_>, name: &[u8], stat: &FileStat) -> bool {
    if !is_a(stat, SFlag::S_IFREG) || stat.st_size > 0 {
        return is_whiteout(stat);
    }
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    openat(dir, name, flags, Mode::empty()).is_ok_and(|file| is_marked(file.as_fd()))
}

/// Whether a file has that attribute.
pub fn is_marked(file: BorrowedFd<'_>) -> bool {
    !sys::attributes(file, |name| is_overlays(name) && name.ends_with(b".whiteout")).is_empty()
}

/// Whether an attribute of this name is overlayfs's own.
pub fn is_overlays(name: &[u8]) -> bool {
    name.starts_with(b"trusted.overlay.") || name.starts_with(b"user.overlay.")
}

//! The host's files, as a tree and as a place to copy to. What comes from a container is never followed.

use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::ffi::OsStringExt;

use nix::errno::Errno;
use nix::fcntl::{AT_FDCWD, AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{Mode, SFlag, UtimensatFlags, fchmod, fstat, futimens, mkdirat, mknodat, utimensat};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, UnlinkatFlags, Whence, fchown, fchownat, ftruncate, linkat, lseek64, symlinkat, unlinkat};

use super::COPY;
use super::inside::is_carried;
use super::tree::{Found, Item, Sink, Tree};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::sys;

/// The host's files.
pub struct Outside;

fn failed(errno: Errno, name: &[u8]) -> Error {
    Error::errno_in(errno as i32, COPY, String::from_utf8_lossy(name))
}

impl Tree for Outside {
    fn find(&mut self, path: &[u8], follow: bool) -> Result<Option<Found>> {
        look(AT_FDCWD, path, if follow { OFlag::empty() } else { OFlag::O_NOFOLLOW })
    }

    fn look(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Found>> {
        look(dir, name, OFlag::O_NOFOLLOW)
    }
}

/// Looked at first, then opened as exactly what was looked at: a pipe would wait for a writer, a device might act.
fn look(dir: BorrowedFd<'_>, name: &[u8], flags: OFlag) -> Result<Option<Found>> {
    let place = match openat(dir, name, OFlag::O_PATH | OFlag::O_CLOEXEC | flags, Mode::empty()) {
        Err(Errno::ENOENT) => return Ok(None),
        place => place.map_err(|e| failed(e, name))?,
    };
    let stat = fstat(&place).map_err(|e| failed(e, name))?;
    let kind = stat.st_mode & libc::S_IFMT;
    let link = match kind {
        libc::S_IFLNK => readlinkat(&place, c"").map_err(|e| failed(e, name))?.into_vec(),
        _ => Vec::new(),
    };
    let fd = match kind {
        libc::S_IFREG | libc::S_IFDIR => Some(reopen(&place).map_err(|e| failed(e, name))?),
        _ => None,
    };
    let device = (nix::sys::stat::major(stat.st_rdev) as u32, nix::sys::stat::minor(stat.st_rdev) as u32);
    let item = Item {
        mode: stat.st_mode,
        owner: (stat.st_uid, stat.st_gid),
        mtime: (stat.st_mtime, stat.st_mtime_nsec as u32),
        size: stat.st_size as u64,
        link,
        device,
        xattrs: fd.as_ref().map_or_else(Vec::new, |fd| sys::attributes(fd.as_fd(), is_carried)),
    };
    let (high, low) = ((stat.st_dev >> 32) as u32, stat.st_dev as u32);
    let shared = (kind == libc::S_IFREG && stat.st_nlink > 1).then_some((high, low, stat.st_ino));
    Ok(Some(Found { item, fd, shared }))
}

fn reopen(place: &OwnedFd) -> nix::Result<OwnedFd> {
    let path = format!("/proc/self/fd/{}", place.as_raw_fd());
    let flags = OFlag::O_RDONLY | OFlag::O_NONBLOCK | OFlag::O_NOCTTY | OFlag::O_CLOEXEC;
    openat(AT_FDCWD, path.as_str(), flags, Mode::empty())
}

/// Copies so much of a file that may grow or shrink meanwhile; holes stay holes.
pub fn copy_data(from: BorrowedFd<'_>, to: BorrowedFd<'_>, size: u64, cancel: &Cancel) -> Result<()> {
    let mut at = 0;
    while at < size {
        let (data, end) = stretch(from, at, size);
        copy_stretch(from, to, (data, end), cancel)?;
        at = end;
    }
    ftruncate(to, size as i64).context("set size", "")
}

/// The next data: from where to where. A file system that doesn't tell has no holes.
fn stretch(from: BorrowedFd<'_>, at: u64, size: u64) -> (u64, u64) {
    let data = match lseek64(from, at as i64, Whence::SeekData) {
        Ok(data) => (data as u64).min(size),
        Err(Errno::ENXIO) => size,
        Err(_) => at,
    };
    let hole = lseek64(from, data as i64, Whence::SeekHole).map_or(size, |hole| hole as u64);
    (data, if hole > data { hole.min(size) } else { size })
}

fn copy_stretch(from: BorrowedFd<'_>, to: BorrowedFd<'_>, (start, end): (u64, u64), cancel: &Cancel) -> Result<()> {
    const AT_ONCE: u64 = 8 << 20;
    let (mut read, mut written) = (start as i64, start as i64);
    let mut by_kernel = true;
    while (read as u64) < end {
        cancel.check(COPY, "")?;
        let most = (end - read as u64).min(AT_ONCE) as usize;
        if by_kernel {
            match sys::copy_range(from, &mut read, to, &mut written, most) {
                Ok(1..) => continue,
                // Not between these file systems; or the end, which a read tells for sure.
                Ok(_)
                | Err(Errno::EXDEV | Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP | Errno::EPERM | Errno::EIO) => {
                    by_kernel = false;
                }
                Err(Errno::EINTR) => continue,
                Err(e) => return Err(e).context("write", ""),
            }
        }
        match copy_piece(from, to, read, most.min(256 << 10))? {
            // It has become shorter.
            0 => return Ok(()),
            n => (read, written) = (read + n as i64, written + n as i64),
        }
    }
    Ok(())
}

fn copy_piece(from: BorrowedFd<'_>, to: BorrowedFd<'_>, at: i64, most: usize) -> Result<usize> {
    use nix::sys::uio::{pread, pwrite};
    let mut buffer = vec![0; most];
    let n = pread(from, &mut buffer, at).context("read", "")?;
    let mut done = 0;
    while done < n {
        done += pwrite(to, &buffer[done..n], at + done as i64).context("write", "")?;
    }
    Ok(n)
}

/// A directory of the host that files are copied to.
pub struct OutsideSink<'a> {
    /// The directories that we are in; the first is where it began.
    dirs: Vec<OwnedFd>,
    items: Vec<Item>,
    archive: bool,
    cancel: &'a Cancel,
}

impl<'a> OutsideSink<'a> {
    /// Files go to `dir`, and keep their owners with `archive`, where this user may give them; else they are this user's.
    pub fn new(dir: OwnedFd, archive: bool, cancel: &'a Cancel) -> Self {
        OutsideSink { dirs: vec![dir], items: Vec::new(), archive, cancel }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.dirs[self.dirs.len() - 1].as_fd()
    }

    /// Makes something at a name, taking away what has it, but for a directory.
    fn anew<T>(&self, name: &[u8], make: impl Fn(BorrowedFd<'_>) -> nix::Result<T>) -> Result<T> {
        let made = match make(self.here()) {
            Err(Errno::EEXIST) => match unlinkat(self.here(), name, UnlinkatFlags::NoRemoveDir) {
                Err(Errno::EISDIR | Errno::EPERM) if self.is_dir(name) => Err(Errno::EISDIR),
                Err(e) => Err(e),
                Ok(()) => make(self.here()),
            },
            made => made,
        };
        made.map_err(|e| match e {
            Errno::EISDIR => {
                failed(e, name).because("a directory can't be replaced by a file").with_kind(Kind::InvalidArgument)
            }
            e => failed(e, name),
        })
    }

    fn is_dir(&self, name: &[u8]) -> bool {
        let stat = nix::sys::stat::fstatat(self.here(), name, AtFlags::AT_SYMLINK_NOFOLLOW);
        stat.is_ok_and(|s| s.st_mode & libc::S_IFMT == libc::S_IFDIR)
    }

    /// Owner, attributes, permissions, time, in this order. Set-id bits stand for an owner: they go along with it only.
    fn dress(&self, file: BorrowedFd<'_>, item: &Item) -> nix::Result<()> {
        let kept = self.archive && give(|uid, gid| fchown(file, uid, gid), item)?;
        let capability = |name: &[u8]| name == b"security.capability";
        for (name, value) in item.xattrs.iter().filter(|(name, _)| kept || !capability(name)) {
            sys::set_attribute(file, name, value);
        }
        let mode = item.mode & if kept { 0o7777 } else { 0o1777 };
        fchmod(file, Mode::from_bits_truncate(mode))?;
        let time = timespec(item);
        futimens(file, &time, &time)
    }
}

/// True when it has that owner now; a plain user can't give files away.
fn give(chown: impl FnOnce(Option<Uid>, Option<Gid>) -> nix::Result<()>, item: &Item) -> nix::Result<bool> {
    match chown(Some(Uid::from_raw(item.owner.0)), Some(Gid::from_raw(item.owner.1))) {
        Ok(()) => Ok(true),
        Err(Errno::EPERM | Errno::EINVAL | Errno::EOPNOTSUPP) => Ok(false),
        Err(e) => Err(e),
    }
}

fn timespec(item: &Item) -> TimeSpec {
    TimeSpec::new(item.mtime.0, item.mtime.1.into())
}

impl Sink for OutsideSink<'_> {
    fn enter(&mut self, name: &[u8], item: &Item) -> Result<()> {
        match mkdirat(self.here(), name, Mode::S_IRWXU) {
            Ok(()) | Err(Errno::EEXIST) => {}
            Err(e) => return Err(failed(e, name)),
        }
        let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let dir = openat(self.here(), name, flags, Mode::empty()).map_err(|e| match e {
            Errno::ENOTDIR | Errno::ELOOP => failed(Errno::ENOTDIR, name)
                .because("a file can't be replaced by a directory")
                .with_kind(Kind::InvalidArgument),
            e => failed(e, name),
        })?;
        self.dirs.push(dir);
        self.items.push(item.clone());
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        match (self.dirs.pop(), self.items.pop()) {
            (Some(dir), Some(item)) => self.dress(dir.as_fd(), &item).context(COPY, ""),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: &[u8], item: &Item, data: BorrowedFd<'_>) -> Result<()> {
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let made = self.anew(name, |dir| openat(dir, name, flags, Mode::S_IRUSR | Mode::S_IWUSR))?;
        let file = File::from(made);
        copy_data(data, file.as_fd(), item.size, self.cancel)
            .map_err(|e| e.within(COPY, String::from_utf8_lossy(name)))
            .and_then(|()| self.dress(file.as_fd(), item).map_err(|e| failed(e, name)))
            // One that was cut short is worse than none.
            .inspect_err(|_| {
                let _ = unlinkat(self.here(), name, UnlinkatFlags::NoRemoveDir);
            })
    }

    fn again(&mut self, name: &[u8], _: &Item, first: &[u8]) -> Result<()> {
        let (parent, last) =
            first.iter().rposition(|b| *b == b'/').map_or((&b"."[..], first), |at| (&first[..at], &first[at + 1..]));
        let dir = beneath(self.dirs[0].as_fd(), parent).map_err(|e| failed(e, first))?;
        self.anew(name, |here| linkat(&dir, last, here, name, AtFlags::empty()))
    }

    /// Devices are left out: one that a container has made would be one of the host's.
    fn other(&mut self, name: &[u8], item: &Item) -> Result<()> {
        match item.kind() {
            libc::S_IFLNK => self.anew(name, |dir| symlinkat(item.link.as_slice(), dir, name))?,
            libc::S_IFIFO => {
                let mode = Mode::from_bits_truncate(item.mode & 0o777);
                self.anew(name, |dir| mknodat(dir, name, SFlag::S_IFIFO, mode, 0))?;
            }
            _ => return Ok(()),
        }
        if self.archive {
            let chown = |uid, gid| fchownat(self.here(), name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW);
            give(chown, item).map_err(|e| failed(e, name))?;
        }
        let time = timespec(item);
        utimensat(self.here(), name, &time, &time, UtimensatFlags::NoFollowSymlink).map_err(|e| failed(e, name))
    }
}

/// Through no link: all of it was made by this copy.
fn beneath(root: BorrowedFd<'_>, path: &[u8]) -> nix::Result<OwnedFd> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut at = openat(root, c".", flags, Mode::empty())?;
    for part in path.split(|b| *b == b'/').filter(|part| !matches!(*part, b"" | b".")) {
        at = openat(&at, part, flags, Mode::empty())?;
    }
    Ok(at)
}

//! Layers copied into one tree, for where nothing can be mounted: what overlayfs would show, as files of its own.
//!
//! Whiteouts are read off the sidecars, which have them on every file system. Devices are left out: the tree is on no mount
//! that would keep them from working. Directories are opened by their paths within the root, through no link, one at a time,
//! since an image may nest them deeper than there are descriptors.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Seek, SeekFrom};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::dir::Dir as Listing;
use nix::errno::Errno;
use nix::fcntl::{AtFlags, OFlag, openat, readlinkat};
use nix::sys::stat::{
    FchmodatFlags, FileStat, Mode, SFlag, UtimensatFlags, fchmod, fchmodat, fstat, futimens, mkdirat, mknodat,
    utimensat,
};
use nix::sys::time::TimeSpec;
use nix::unistd::{Gid, Uid, fchown, fchownat, linkat, symlinkat};

use super::tree::{self, Tree, WORKING_MODE, is_a, is_whiteout};
use super::{FILES, SIDECAR, entry, name};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Result};
use crate::fs;
use crate::sys;

/// What an image has there is hidden in every container.
const DEVICES: &[u8] = b"dev";

/// Copies layers (their directories, lowest first) into the empty directory `into`, and makes an empty `/dev` there.
///
/// # Errors
/// Of the file systems; what was copied by then is left for the caller to remove.
pub fn merge(layers: &[PathBuf], into: BorrowedFd<'_>, cancel: &Cancel) -> Result<()> {
    let to = Tree::new(into.try_clone_to_owned().context("copy layers", "")?);
    layers.iter().try_for_each(|layer| {
        hide(layer, &to).map_err(|errno| failed(SIDECAR.as_bytes(), errno))?;
        Merge { from: open(layer)?, to: &to, names: HashMap::new(), cancel }.run()
    })?;
    let made = mkdirat(into, DEVICES, Mode::from_bits_truncate(0o755));
    made.and_then(|()| fchmodat(into, DEVICES, Mode::from_bits_truncate(0o755), FchmodatFlags::NoFollowSymlink))
        .map_err(|errno| failed(DEVICES, errno))
}

fn failed(path: &[u8], errno: Errno) -> Error {
    Error::errno_in(errno as i32, "copy layer", entry::shown(path))
}

fn open(layer: &Path) -> Result<Tree> {
    let flags = OFlag::O_RDONLY | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(&layer.join(FILES), flags, Mode::empty()).map(Tree::new).context("open layer", layer.display())
}

/// An open path that leads nowhere: what is to be hidden is not there.
fn absent(errno: Errno) -> bool {
    matches!(errno, Errno::ENOENT | Errno::ENOTDIR | Errno::ELOOP)
}

/// Removes what a layer hides of those below.
fn hide(layer: &Path, to: &Tree) -> nix::Result<()> {
    let flags = OFlag::O_RDONLY | OFlag::O_CLOEXEC;
    let sidecar = File::from(nix::fcntl::open(&layer.join(SIDECAR), flags, Mode::empty())?);
    for record in BufReader::new(sidecar).split(0) {
        match record.map_err(|e| errno_of(&e))?.as_slice() {
            [b'w', b' ', path @ ..] => remove(to, path)?,
            [b'q', b' ', path @ ..] => empty(to, path)?,
            _ => {}
        }
    }
    Ok(())
}

fn remove(to: &Tree, path: &[u8]) -> nix::Result<()> {
    let (parent, last) = name::split(path);
    match to.reopen(parent).and_then(|dir| fs::remove_at(dir.as_fd(), last)) {
        Err(errno) if absent(errno) => Ok(()),
        done => done,
    }
}

fn empty(to: &Tree, path: &[u8]) -> nix::Result<()> {
    match to.reopen(path) {
        Err(errno) if absent(errno) => Ok(()),
        dir => fs::empty(dir?),
    }
}

fn errno_of(e: &io::Error) -> Errno {
    e.raw_os_error().map_or(Errno::EIO, Errno::from_raw)
}

/// What is still to be done.
enum Step {
    /// Copy what is in a directory.
    Fill(Vec<u8>),
    /// Give it its owner, mode and times, now that nothing is written there any more.
    Dress(Vec<u8>),
}

/// One layer on its way.
struct Merge<'a> {
    from: Tree,
    to: &'a Tree,
    /// Files with several names: where the first one was copied to.
    names: HashMap<(u64, u64), Vec<u8>>,
    cancel: &'a Cancel,
}

/// A file of a layer, and where it goes.
struct Place<'a> {
    from: BorrowedFd<'a>,
    to: BorrowedFd<'a>,
    name: &'a [u8],
    path: Vec<u8>,
    stat: FileStat,
}

impl Merge<'_> {
    fn run(mut self) -> Result<()> {
        let mut todo = vec![Step::Dress(Vec::new()), Step::Fill(Vec::new())];
        while let Some(step) = todo.pop() {
            self.cancel.check("copy layers", "")?;
            match step {
                Step::Fill(path) => self.fill(&path, &mut todo)?,
                Step::Dress(path) => self.dress(&path).map_err(|errno| failed(&path, errno))?,
            }
        }
        Ok(())
    }

    fn fill(&mut self, path: &[u8], todo: &mut Vec<Step>) -> Result<()> {
        let both = self.from.reopen(path).and_then(|from| Ok((from, self.to.reopen(path)?)));
        let (from, to) = both.map_err(|errno| failed(path, errno))?;
        for name in names(&from).map_err(|errno| failed(path, errno))? {
            let inside = name::join(path, &name);
            let place = |stat| Place { from: from.as_fd(), to: to.as_fd(), name: &name, path: inside.clone(), stat };
            let copied = tree::stat(from.as_fd(), &name).and_then(|stat| self.copy(&place(stat)));
            if copied.map_err(|errno| failed(&inside, errno))? {
                todo.extend([Step::Dress(inside.clone()), Step::Fill(inside)]);
            }
        }
        Ok(())
    }

    /// Copies one; true for a directory, which is still to be filled.
    fn copy(&mut self, at: &Place<'_>) -> nix::Result<bool> {
        let is = |kind| is_a(&at.stat, kind);
        if at.path == DEVICES || is_whiteout(&at.stat) || is(SFlag::S_IFCHR) || is(SFlag::S_IFBLK) {
            return Ok(false);
        }
        if is(SFlag::S_IFDIR) {
            return at.directory().map(|()| true);
        }
        match () {
            () if is(SFlag::S_IFREG) => self.regular(at)?,
            () if is(SFlag::S_IFLNK) => at.symlink()?,
            () if is(SFlag::S_IFIFO) => at.fifo()?,
            () => {}
        }
        Ok(false)
    }

    fn dress(&self, path: &[u8]) -> nix::Result<()> {
        let (from, to) = (self.from.reopen(path)?, self.to.reopen(path)?);
        dress(from.as_fd(), to.as_fd(), &fstat(&from)?)
    }

    fn regular(&mut self, at: &Place<'_>) -> nix::Result<()> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let source = File::from(openat(at.from, at.name, flags, Mode::empty())?);
        if at.stat.st_size == 0 && tree::is_marked(source.as_fd()) {
            return Ok(());
        }
        at.clear()?;
        let key = (at.stat.st_dev, at.stat.st_ino);
        if at.stat.st_nlink > 1 {
            if let Some(first) = self.names.get(&key) {
                let (parent, last) = name::split(first);
                return linkat(self.to.reopen(parent)?, last, at.to, at.name, AtFlags::empty());
            }
            self.names.insert(key, at.path.clone());
        }
        let flags = OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let target = File::from(openat(at.to, at.name, flags, Mode::from_bits_truncate(0o600))?);
        content(&source, &target, at.stat.st_size).map_err(|e| errno_of(&e))?;
        dress(source.as_fd(), target.as_fd(), &at.stat)
    }
}

impl Place<'_> {
    /// What a lower layer has under this name.
    fn clear(&self) -> nix::Result<()> {
        match fs::remove_at(self.to, self.name) {
            Err(Errno::ENOENT) => Ok(()),
            done => done,
        }
    }

    fn directory(&self) -> nix::Result<()> {
        match tree::stat(self.to, self.name) {
            Ok(there) if is_a(&there, SFlag::S_IFDIR) => return Ok(()),
            Ok(_) => self.clear()?,
            Err(Errno::ENOENT) => {}
            Err(errno) => return Err(errno),
        }
        mkdirat(self.to, self.name, WORKING_MODE)
    }

    fn symlink(&self) -> nix::Result<()> {
        self.clear()?;
        symlinkat(readlinkat(self.from, self.name)?.as_os_str(), self.to, self.name)?;
        self.dress_node()
    }

    fn fifo(&self) -> nix::Result<()> {
        self.clear()?;
        mknodat(self.to, self.name, SFlag::S_IFIFO, Mode::empty(), 0)?;
        self.dress_node()?;
        fchmodat(self.to, self.name, mode(&self.stat), FchmodatFlags::FollowSymlink)
    }

    fn dress_node(&self) -> nix::Result<()> {
        let (uid, gid) = owner(&self.stat);
        fchownat(self.to, self.name, uid, gid, AtFlags::AT_SYMLINK_NOFOLLOW)?;
        let time = changed(&self.stat);
        utimensat(self.to, self.name, &time, &time, UtimensatFlags::NoFollowSymlink)
    }
}

fn names(dir: &OwnedFd) -> nix::Result<Vec<Vec<u8>>> {
    let mut listing = Listing::from_fd(dir.try_clone().map_err(|_| Errno::last())?)?;
    let names = listing.iter().map(|entry| entry.map(|e| e.file_name().to_bytes().to_vec()));
    let names = names.collect::<nix::Result<Vec<_>>>()?;
    Ok(names.into_iter().filter(|name| !matches!(name.as_slice(), b"." | b"..")).collect())
}

/// Data by data, so that holes stay holes; by sharing blocks, where the file system can.
fn content(mut from: &File, mut to: &File, size: i64) -> io::Result<()> {
    let mut at = 0;
    while let Some((start, end)) = data(from, at, size)? {
        from.seek(SeekFrom::Start(start as u64))?;
        to.seek(SeekFrom::Start(start as u64))?;
        io::copy(&mut io::Read::take(from, (end - start) as u64), &mut to)?;
        at = end;
    }
    to.set_len(size as u64)
}

/// The next stretch of data from there on.
fn data(from: &File, at: i64, size: i64) -> io::Result<Option<(i64, i64)>> {
    use nix::unistd::{Whence, lseek};
    if at >= size {
        return Ok(None);
    }
    match lseek(from, at, Whence::SeekData) {
        Ok(start) => Ok(Some((start, lseek(from, start, Whence::SeekHole)?))),
        Err(Errno::ENXIO) => Ok(None),
        // A file system that doesn't tell.
        Err(_) => Ok(Some((at, size))),
    }
}

/// The owner first, since a change of it takes set-user-id bits and capabilities away; times last.
fn dress(from: BorrowedFd<'_>, to: BorrowedFd<'_>, stat: &FileStat) -> nix::Result<()> {
    let (uid, gid) = owner(stat);
    fchown(to, uid, gid)?;
    for (name, value) in sys::attributes(from, |name| !tree::is_overlays(name) && name != b"security.selinux") {
        sys::set_attribute(to, &name, &value);
    }
    fchmod(to, mode(stat))?;
    let time = changed(stat);
    futimens(to, &time, &time)
}

fn owner(stat: &FileStat) -> (Option<Uid>, Option<Gid>) {
    (Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))
}

fn mode(stat: &FileStat) -> Mode {
    Mode::from_bits_truncate(stat.st_mode & 0o7777)
}

fn changed(stat: &FileStat) -> TimeSpec {
    TimeSpec::new(stat.st_mtime, stat.st_mtime_nsec)
}

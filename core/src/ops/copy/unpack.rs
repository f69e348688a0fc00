//! A tar archive into a directory of a container. What it says is anybody's: a name that leaves the directory is refused,
//! links of the container are followed within the container, and a hard link leads through none.

use std::io::{self, Read};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::uio::pwrite;
use nix::unistd::ftruncate;

use super::COPY;
use super::inside::{Inside, is_carried};
use super::tree::Item;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::layer::{self, Entry, EntryKind, TarReader};

/// Unpacks all of an archive.
pub fn unpack(inside: &Inside, dir: OwnedFd, from: BorrowedFd<'_>, cancel: &Cancel) -> Result<()> {
    let (stopped, stop) = nix::unistd::pipe2(OFlag::O_CLOEXEC).context("create pipe", "")?;
    let source = Source { from, stopped: stopped.as_fd(), cancel };
    let mut unpacker = Unpacker { inside, root: dir, last: None, directories: Vec::new(), cancel };
    let done = layer::read_archive(source, cancel, |reader| {
        let done = unpacker.all(reader);
        // Whoever feeds us may be waiting for what nobody wants any more.
        drop(stop);
        done
    });
    // Whatever a cancel was met by, it is a cancel.
    done.and_then(|()| unpacker.finish()).map_err(|e| match (cancel.check(COPY, ""), e.kind()) {
        (Err(cancelled), _) => cancelled,
        (Ok(()), Kind::InvalidImage) => e.with_kind(Kind::InvalidArgument),
        (Ok(()), _) => e,
    })
}

/// A descriptor that is read from until a cancel, or until nobody wants more.
struct Source<'a> {
    from: BorrowedFd<'a>,
    stopped: BorrowedFd<'a>,
    cancel: &'a Cancel,
}

impl Read for Source<'_> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        loop {
            let mut fds = vec![PollFd::new(self.from, PollFlags::POLLIN), PollFd::new(self.stopped, PollFlags::POLLIN)];
            fds.extend(self.cancel.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, PollTimeout::NONE) {
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(e.into()),
            }
            if fds[1..].iter().any(|fd| fd.any() == Some(true)) {
                return Err(io::ErrorKind::ConnectionAborted.into());
            }
            match nix::unistd::read(self.from, buffer) {
                Err(Errno::EINTR | Errno::EAGAIN) => {}
                read => return Ok(read?),
            }
        }
    }
}

struct Unpacker<'a> {
    inside: &'a Inside,
    root: OwnedFd,
    /// The directory of the last entry: those of one stand together.
    last: Option<(Vec<u8>, OwnedFd)>,
    /// Directories by their paths, to get their times when all is in them.
    directories: Vec<(Vec<u8>, Item)>,
    cancel: &'a Cancel,
}

impl Unpacker<'_> {
    fn all(&mut self, reader: &mut TarReader) -> Result<()> {
        let (mut entry, mut path) = (Entry::default(), Vec::new());
        while reader.next(&mut entry)? {
            self.cancel.check(COPY, "")?;
            layer::clean_name(&entry.name, &mut path).map_err(|why| refused(&entry.name, why))?;
            self.one(&path, &entry, reader)?;
        }
        Ok(())
    }

    fn one(&mut self, path: &[u8], entry: &Entry, reader: &mut TarReader) -> Result<()> {
        let (parent, name) =
            path.iter().rposition(|b| *b == b'/').map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let item = item(entry);
        if name.is_empty() {
            // The directory itself is the caller's.
            return Ok(());
        }
        let dir = self.directory(parent)?;
        match entry.kind {
            EntryKind::Directory => {
                let made = self.inside.make(dir.as_fd(), name, &item)?;
                made.map_or(Ok(()), |made| self.inside.dress(made.as_fd(), name, &item))?;
                self.directories.push((path.to_vec(), item));
                self.last = None;
                Ok(())
            }
            EntryKind::File => self.file(dir, name, &item, entry, reader),
            EntryKind::HardLink => {
                let mut first = Vec::new();
                layer::clean_name(&entry.link, &mut first).map_err(|why| refused(&entry.link, why))?;
                self.inside.link(self.root.as_fd(), &first, dir.as_fd(), name)
            }
            // As in any copy, devices are left out.
            EntryKind::CharDevice | EntryKind::BlockDevice => Ok(()),
            EntryKind::Symlink | EntryKind::Fifo => self.inside.make(dir.as_fd(), name, &item).map(drop),
        }
    }

    fn file(&self, dir: OwnedFd, name: &[u8], item: &Item, entry: &Entry, reader: &mut TarReader) -> Result<()> {
        let Some(file) = self.inside.make(dir.as_fd(), name, item)? else { return Ok(()) };
        self.write(file.as_fd(), name, entry, reader)
            .and_then(|()| self.inside.dress(file.as_fd(), name, item))
            .inspect_err(|_| self.inside.undo(dir.as_fd(), name, file.as_fd()))
    }

    fn write(&self, file: BorrowedFd<'_>, name: &[u8], entry: &Entry, reader: &mut TarReader) -> Result<()> {
        let whole = [(0, entry.stored)];
        let map = entry.sparse.as_ref().map_or(&whole[..], |sparse| &sparse.map);
        for (mut at, mut left) in map.iter().copied() {
            while left > 0 {
                self.cancel.check(COPY, "")?;
                let data = reader.data()?;
                let n = data.len().min(usize::try_from(left).unwrap_or(data.len()));
                let written = pwrite(file, &data[..n], at as i64).context(COPY, String::from_utf8_lossy(name))?;
                reader.consume(written);
                (at, left) = (at + written as u64, left - written as u64);
            }
        }
        if let Some(sparse) = &entry.sparse {
            ftruncate(file, sparse.size as i64).context(COPY, String::from_utf8_lossy(name))?;
        }
        Ok(())
    }

    /// A directory below the root, links followed within the container; made when it is missing.
    fn directory(&mut self, path: &[u8]) -> Result<OwnedFd> {
        let known = self.last.take().filter(|(known, _)| known == path);
        let dir = match known {
            Some((_, dir)) => dir,
            None => self.find(path)?,
        };
        self.last = Some((path.to_vec(), dir.try_clone().context("copy descriptor", "")?));
        Ok(dir)
    }

    fn find(&self, path: &[u8]) -> Result<OwnedFd> {
        if path.is_empty() {
            return self.root.try_clone().context("copy descriptor", "");
        }
        if let Some(dir) = self.inside.directory(self.root.as_fd(), path)? {
            return Ok(dir);
        }
        let (parent, name) =
            path.iter().rposition(|b| *b == b'/').map_or((&b""[..], path), |at| (&path[..at], &path[at + 1..]));
        let parent = self.find(parent)?;
        let item = Item { mode: libc::S_IFDIR | 0o755, mtime: now(), ..Item::default() };
        let made = self.inside.make(parent.as_fd(), name, &item)?;
        let made = made.ok_or_else(|| refused(path, "it can't be made"))?;
        self.inside.dress(made.as_fd(), name, &item)?;
        Ok(made)
    }

    fn finish(&self) -> Result<()> {
        for (path, item) in self.directories.iter().rev() {
            // One that a later entry has replaced, or the container, has a time of its own.
            if let Ok(Some(dir)) = self.inside.directory(self.root.as_fd(), path) {
                self.inside.dress(dir.as_fd(), path, item)?;
            }
        }
        Ok(())
    }
}

fn now() -> (i64, u32) {
    let now = jiff::Timestamp::now();
    (now.as_second(), now.subsec_nanosecond().unsigned_abs())
}

fn refused(name: &[u8], why: &str) -> Error {
    Error::new(Kind::InvalidArgument, "unpack archive", String::from_utf8_lossy(name)).because(why)
}

fn item(entry: &Entry) -> Item {
    let kind = match entry.kind {
        EntryKind::Directory => libc::S_IFDIR,
        EntryKind::Symlink => libc::S_IFLNK,
        EntryKind::Fifo => libc::S_IFIFO,
        _ => libc::S_IFREG,
    };
    let meta = entry.meta;
    Item {
        mode: kind | meta.mode & 0o7777,
        owner: (meta.uid, meta.gid),
        mtime: (meta.mtime.seconds, meta.mtime.nanoseconds),
        size: entry.stored,
        link: if entry.kind == EntryKind::Symlink { entry.link.clone() } else { Vec::new() },
        device: entry.device,
        xattrs: entry.xattrs.iter().filter(|(name, _)| is_carried(name)).cloned().collect(),
    }
}

//! A container's files, as a tree and as a place to copy to.

use std::fs::File;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::fcntl::OFlag;

use super::outside::copy_data;
use super::rules;
use super::tree::{Found, Item, Sink, Tree};
use super::{COPY, kernel};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::launch::files::{Answered, Files, Question};
use crate::wire::{self, FileStep};

/// Files of a container, by their helper.
pub struct Inside(Files);

impl Inside {
    /// By a helper that has entered them.
    pub fn new(files: Files) -> Self {
        Inside(files)
    }

    fn ask(&self, step: FileStep, question: &Question<'_>, fds: &[BorrowedFd<'_>]) -> Result<Answered> {
        self.0.ask(step, question, fds, COPY)
    }

    /// Opens a regular file; one that is made is made where a link leads.
    pub fn open(&mut self, path: &str, flags: OFlag) -> Result<File> {
        match self.open_at(path.as_bytes(), flags) {
            // The name is a link's that leads nowhere yet.
            Err(e) if e.errno() == Some(libc::EEXIST) && !flags.contains(OFlag::O_EXCL) => {
                let end = rules::end_of_links(self, path.as_bytes())?;
                self.open_at(&end, flags)
            }
            opened => opened,
        }
    }

    fn open_at(&self, path: &[u8], flags: OFlag) -> Result<File> {
        let question = Question { path, flags: flags.bits() as u32, mode: 0o644, ..Question::default() };
        let path = String::from_utf8_lossy(path);
        let opened = self.0.ask(FileStep::Open, &question, &[], "open").map_err(|e| match e.errno() {
            Some(libc::ENXIO) => Error::new(Kind::InvalidArgument, "open", path).because("it is no regular file"),
            Some(libc::EISDIR) => e.with_kind(Kind::InvalidArgument),
            _ => e,
        })?;
        opened.fd.map(File::from).ok_or_else(|| self.missing())
    }

    fn missing(&self) -> Error {
        Error::new(Kind::Launch, COPY, "").because("the helper answered without a descriptor")
    }

    fn found(&self, dir: Option<BorrowedFd<'_>>, path: &[u8], flags: u32) -> Result<Option<Found>> {
        let question = Question { path, flags: flags | wire::READ, ..Question::default() };
        let answered = match self.ask(FileStep::Look, &question, dir.as_slice()) {
            Err(e) if e.errno() == Some(libc::ENOENT) => return Ok(None),
            answered => answered?,
        };
        let stat = answered.stat;
        let (kind, mut fd) = (stat.mode & libc::S_IFMT, answered.fd);
        let opened = matches!(kind, libc::S_IFREG | libc::S_IFDIR);
        let xattrs = match &fd {
            Some(file) if opened => self.attributes(file.as_fd())?,
            _ => Vec::new(),
        };
        fd.take_if(|file| !opened || dir.is_some_and(|dir| begins_the_kernel_s(dir, file.as_fd())));
        let item = Item {
            mode: stat.mode,
            owner: stat.owner,
            mtime: stat.mtime,
            size: stat.size,
            link: answered.text,
            device: stat.device,
            xattrs,
        };
        let shared = (kind == libc::S_IFREG && stat.nlink > 1).then_some(stat.identity);
        Ok(Some(Found { item, fd, shared }))
    }

    /// The user's own, and the capabilities that a program gives; others are the file system's.
    fn attributes(&self, file: BorrowedFd<'_>) -> Result<Vec<(Vec<u8>, Vec<u8>)>> {
        let names = match self.ask(FileStep::ListAttributes, &Question::default(), &[file]) {
            // A file system without them.
            Err(e) if e.errno().is_some() => return Ok(Vec::new()),
            answered => answered?.text,
        };
        let mut all = Vec::new();
        for name in names.split(|b| *b == 0).filter(|name| is_carried(name)) {
            let question = Question { text: name, ..Question::default() };
            match self.ask(FileStep::Attribute, &question, &[file]) {
                // Gone meanwhile, or not for us.
                Err(e) if e.errno().is_some() => {}
                answered => all.push((name.to_vec(), answered?.text)),
            }
        }
        Ok(all)
    }

    /// A directory in a directory, all of its links followed within the container; `None` when there is nothing.
    pub fn directory(&self, dir: BorrowedFd<'_>, path: &[u8]) -> Result<Option<OwnedFd>> {
        let question = Question { path, flags: wire::FOLLOW | wire::READ, ..Question::default() };
        match self.ask(FileStep::Look, &question, &[dir]) {
            Err(e) if e.errno() == Some(libc::ENOENT) => Ok(None),
            Err(e) => Err(e),
            Ok(found) if found.stat.mode & libc::S_IFMT == libc::S_IFDIR => Ok(found.fd),
            Ok(_) => Err(Error::errno_in(libc::ENOTDIR, COPY, String::from_utf8_lossy(path))),
        }
    }

    /// Makes something; its descriptor when it is a file or a directory.
    pub fn make(&self, dir: BorrowedFd<'_>, name: &[u8], item: &Item) -> Result<Option<OwnedFd>> {
        let question = Question {
            path: name,
            flags: wire::KEEP,
            mode: item.mode,
            owner: item.owner,
            mtime: item.mtime,
            text: &item.link,
            ..Question::default()
        };
        self.ask(FileStep::Make, &question, &[dir]).map(|made| made.fd).map_err(|e| match e.errno() {
            Some(libc::EISDIR) => e.because("a directory can't be replaced by a file").with_kind(Kind::InvalidArgument),
            Some(libc::ENOTDIR) => {
                e.because("a file can't be replaced by a directory").with_kind(Kind::InvalidArgument)
            }
            _ => e,
        })
    }

    /// Attributes, permissions, time: what is written later would take some of it away.
    pub fn dress(&self, file: BorrowedFd<'_>, name: &[u8], item: &Item) -> Result<()> {
        for (attribute, value) in &item.xattrs {
            let question = Question { text: attribute, value, ..Question::default() };
            match self.ask(FileStep::SetAttribute, &question, &[file]) {
                Err(e) if matches!(e.errno(), Some(libc::ENOSPC | libc::EDQUOT)) => return Err(e),
                // A file system that has none, or not these.
                Err(e) if e.errno().is_some() => {}
                answered => drop(answered?),
            }
        }
        let question = Question { path: name, mode: item.mode, mtime: item.mtime, ..Question::default() };
        self.ask(FileStep::Finish, &question, &[file]).map(drop)
    }

    /// Takes away a file that was cut short: there is no saying what whoever finds it makes of it.
    pub fn undo(&self, dir: BorrowedFd<'_>, name: &[u8], file: BorrowedFd<'_>) {
        let question = Question { path: name, ..Question::default() };
        let _ = self.ask(FileStep::Undo, &question, &[dir, file]);
    }

    /// Gives the file at `first` below `root`, a path through no link, another name.
    pub fn link(&self, root: BorrowedFd<'_>, first: &[u8], dir: BorrowedFd<'_>, name: &[u8]) -> Result<()> {
        let question = Question { path: first, ..Question::default() };
        let found = self.ask(FileStep::Look, &question, &[root])?;
        if found.stat.mode & libc::S_IFMT == libc::S_IFDIR {
            return Err(Error::new(Kind::InvalidArgument, COPY, String::from_utf8_lossy(first))
                .because("a directory can't have another name"));
        }
        let file = found.fd.ok_or_else(|| self.missing())?;
        let question = Question { path: name, ..Question::default() };
        self.ask(FileStep::Link, &question, &[dir, file.as_fd()]).map(drop)
    }
}

/// Whether a directory in another is where the kernel tells of itself: its files are no content, and many can't be read.
fn begins_the_kernel_s(parent: BorrowedFd<'_>, dir: BorrowedFd<'_>) -> bool {
    kernel::owns(dir) && !kernel::owns(parent)
}

/// Whether a copy has an extended attribute of that name.
pub fn is_carried(name: &[u8]) -> bool {
    name.starts_with(b"user.") || name == b"security.capability"
}

impl Tree for Inside {
    fn find(&mut self, path: &[u8], follow: bool) -> Result<Option<Found>> {
        self.found(None, path, if follow { wire::FOLLOW } else { 0 })
    }

    fn look(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Found>> {
        self.found(Some(dir), name, 0)
    }
}

/// A directory of a container that files are copied to.
pub struct InsideSink<'a> {
    inside: &'a Inside,
    /// The directories that we are in; the first is where it began.
    dirs: Vec<OwnedFd>,
    items: Vec<(Vec<u8>, Item)>,
    archive: bool,
    cancel: &'a Cancel,
}

impl<'a> InsideSink<'a> {
    /// Files go to `dir`, and keep their owners with `archive`; else they are root's.
    pub fn new(inside: &'a Inside, dir: OwnedFd, archive: bool, cancel: &'a Cancel) -> Self {
        InsideSink { inside, dirs: vec![dir], items: Vec::new(), archive, cancel }
    }

    fn here(&self) -> BorrowedFd<'_> {
        self.dirs[self.dirs.len() - 1].as_fd()
    }

    fn owned(&self, item: &Item) -> Item {
        let mut item = item.clone();
        if !self.archive && item.owner != (0, 0) {
            item.owner = (0, 0);
            // They stand for whom it belonged to.
            if !item.is_dir() {
                item.mode &= !0o6000;
            }
        }
        item
    }
}

impl Sink for InsideSink<'_> {
    fn enter(&mut self, name: &[u8], item: &Item) -> Result<()> {
        let item = self.owned(item);
        let made = self.inside.make(self.here(), name, &item)?;
        self.dirs.push(made.ok_or_else(|| self.inside.missing())?);
        self.items.push((name.to_vec(), item));
        Ok(())
    }

    fn leave(&mut self) -> Result<()> {
        match (self.dirs.pop(), self.items.pop()) {
            (Some(dir), Some((name, item))) => self.inside.dress(dir.as_fd(), &name, &item),
            _ => Ok(()),
        }
    }

    fn file(&mut self, name: &[u8], item: &Item, data: BorrowedFd<'_>) -> Result<()> {
        let item = self.owned(item);
        let made = self.inside.make(self.here(), name, &item)?.ok_or_else(|| self.inside.missing())?;
        copy_data(data, made.as_fd(), item.size, self.cancel)
            .map_err(|e| e.within(COPY, String::from_utf8_lossy(name)))
            .and_then(|()| self.inside.dress(made.as_fd(), name, &item))
            .inspect_err(|_| self.inside.undo(self.here(), name, made.as_fd()))
    }

    fn again(&mut self, name: &[u8], _: &Item, first: &[u8]) -> Result<()> {
        self.inside.link(self.dirs[0].as_fd(), first, self.here(), name)
    }

    /// Devices are left out: in a container they would not work.
    fn other(&mut self, name: &[u8], item: &Item) -> Result<()> {
        match item.kind() {
            libc::S_IFCHR | libc::S_IFBLK => Ok(()),
            _ => self.inside.make(self.here(), name, &self.owned(item)).map(drop),
        }
    }
}

//! From a tree of files to somewhere else, one after the other, by descriptors.

use std::collections::HashMap;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::dir::Dir;
use nix::errno::Errno;

use super::{COPY, kernel};
use crate::cancel::Cancel;
use crate::error::{Error, Result};

/// Two descriptors a level must fit into the usual limit of 1024.
const DEPTH_MAX: usize = 256;

/// What a file is, but for its data.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Item {
    /// Kind and permissions, as of `stat(2)`.
    pub mode: u32,
    /// Owner and group.
    pub owner: (u32, u32),
    /// Seconds and nanoseconds of its last change.
    pub mtime: (i64, u32),
    /// Bytes when it was looked at.
    pub size: u64,
    /// Target of a symbolic link.
    pub link: Vec<u8>,
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Extended attributes.
    pub xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

impl Item {
    /// `S_IFREG` and the like.
    pub fn kind(&self) -> u32 {
        self.mode & libc::S_IFMT
    }

    /// Whether it is a directory.
    pub fn is_dir(&self) -> bool {
        self.kind() == libc::S_IFDIR
    }
}

/// A file, looked at; regular files and directories are opened for reading.
#[derive(Debug)]
pub struct Found {
    /// What it is.
    pub item: Item,
    /// Its data, or its entries.
    pub fd: Option<OwnedFd>,
    /// Set when it has more than one name: what all of them have in common.
    pub shared: Option<(u32, u32, u64)>,
}

/// Where files come from.
pub trait Tree {
    /// What is at a path; `follow`: where its last link leads. `None` when nothing is there.
    fn find(&mut self, path: &[u8], follow: bool) -> Result<Option<Found>>;
    /// What has the name in a directory, through no link. `None` when it is gone.
    fn look(&mut self, dir: BorrowedFd<'_>, name: &[u8]) -> Result<Option<Found>>;
}

/// Where they go. A directory stays the place of all that follows until it is left.
pub trait Sink {
    /// A directory begins.
    fn enter(&mut self, name: &[u8], item: &Item) -> Result<()>;
    /// The innermost one ends.
    fn leave(&mut self) -> Result<()>;
    /// A regular file with its data.
    fn file(&mut self, name: &[u8], item: &Item, data: BorrowedFd<'_>) -> Result<()>;
    /// Another name of a file that was given; its path is that within the copy.
    fn again(&mut self, name: &[u8], item: &Item, first: &[u8]) -> Result<()>;
    /// A link, a pipe, or a device.
    fn other(&mut self, name: &[u8], item: &Item) -> Result<()>;
}

/// Copies a file, or a directory with all that is in it, under a name.
pub fn copy(tree: &mut dyn Tree, found: Found, name: &[u8], sink: &mut dyn Sink, cancel: &Cancel) -> Result<()> {
    Walk { tree, sink, cancel, seen: HashMap::new(), path: Vec::new() }.one(found, name, 0)
}

/// Copies what is in a directory.
pub fn copy_contents(tree: &mut dyn Tree, found: Found, sink: &mut dyn Sink, cancel: &Cancel) -> Result<()> {
    Walk { tree, sink, cancel, seen: HashMap::new(), path: Vec::new() }.children(&found, 0)
}

struct Walk<'a> {
    tree: &'a mut dyn Tree,
    sink: &'a mut dyn Sink,
    cancel: &'a Cancel,
    /// First names of files that have several.
    seen: HashMap<(u32, u32, u64), Vec<u8>>,
    path: Vec<u8>,
}

impl Walk<'_> {
    fn one(&mut self, found: Found, name: &[u8], depth: usize) -> Result<()> {
        self.cancel.check(COPY, "")?;
        let before = self.path.len();
        if !self.path.is_empty() {
            self.path.push(b'/');
        }
        self.path.extend_from_slice(name);
        let done = self.put(found, name, depth);
        self.path.truncate(before);
        done
    }

    fn put(&mut self, found: Found, name: &[u8], depth: usize) -> Result<()> {
        let item = &found.item;
        match (item.kind(), &found.fd) {
            (libc::S_IFDIR, _) => {
                self.sink.enter(name, item)?;
                self.children(&found, depth)?;
                self.sink.leave()
            }
            (libc::S_IFREG, Some(data)) => match found.shared.and_then(|key| self.seen.get(&key)) {
                Some(first) => self.sink.again(name, item, first),
                None => {
                    self.file(name, item, data.as_fd())?;
                    found.shared.map(|key| self.seen.insert(key, self.path.clone()));
                    Ok(())
                }
            },
            // It belongs to whoever listens there.
            (libc::S_IFSOCK, _) => Ok(()),
            _ => self.sink.other(name, item),
        }
    }

    fn file(&mut self, name: &[u8], item: &Item, data: BorrowedFd<'_>) -> Result<()> {
        if !kernel::owns(data) {
            return self.sink.file(name, item, data);
        }
        let read = kernel::read_out(data, self.cancel);
        let (data, size) = read.map_err(|e| e.within(COPY, String::from_utf8_lossy(&self.path)))?;
        self.sink.file(name, &Item { size, ..item.clone() }, data.as_fd())
    }

    fn children(&mut self, found: &Found, depth: usize) -> Result<()> {
        let Some(dir) = &found.fd else { return Ok(()) };
        if depth >= DEPTH_MAX {
            return Err(self.failed(Errno::ELOOP).because(format!("it is more than {DEPTH_MAX} directories deep")));
        }
        for name in names(dir.as_fd()).map_err(|e| self.failed(e))? {
            // What has gone since the directory was read is gone.
            if let Some(child) = self.tree.look(dir.as_fd(), &name)? {
                self.one(child, &name, depth + 1)?;
            }
        }
        Ok(())
    }

    fn failed(&self, errno: Errno) -> Error {
        Error::errno_in(errno as i32, COPY, String::from_utf8_lossy(&self.path))
    }
}

/// The entries of an opened directory, in order.
fn names(dir: BorrowedFd<'_>) -> nix::Result<Vec<Vec<u8>>> {
    let own = dir.try_clone_to_owned().map_err(|_| Errno::last())?;
    let mut listing = Dir::from_fd(own)?;
    let entries = listing.iter().map(|entry| entry.map(|e| e.file_name().to_bytes().to_vec()));
    let mut names = entries.collect::<nix::Result<Vec<_>>>()?;
    names.retain(|name| !matches!(name.as_slice(), b"." | b".."));
    names.sort_unstable();
    Ok(names)
}

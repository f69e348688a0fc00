//! Deleting directory trees of any depth, in little memory and with few descriptors; no symlink is
//! followed, and nothing beyond a mount point is touched.
//!
//! A directory that is not empty is entered; once it is emptied the walk goes back to its parent and reads
//! on there. The nearest ancestors stay open. Farther ones are found again by `..` and read from their
//! beginning: what stood there before is deleted, so the walk needs to remember no names.

use core::ffi::CStr;

use crate::dirs::{DT_DIR, Entries, Entry};
use crate::sys::{self, AT_REMOVEDIR, Errno, Fd, O_DIRECTORY, O_NOFOLLOW, O_RDONLY};

/// Ancestors that stay open.
const KEPT: usize = 24;
const SEEK_SET: i32 = 0;
const SEEK_CUR: i32 = 1;
const DIR_FLAGS: i32 = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

/// Deletes a file or a whole tree; that there is none is no failure.
pub fn remove(dir: Fd, name: &CStr) -> sys::Result {
    match sys::unlinkat(dir, name, 0) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        // Linux says EISDIR for a directory, and a read-only parent may hide that.
        Err(Errno::EISDIR | Errno::EPERM | Errno::EACCES) => {}
        Err(e) => return Err(e),
    }
    match sys::unlinkat(dir, name, AT_REMOVEDIR) {
        Ok(()) | Err(Errno::ENOENT) => return Ok(()),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => {}
        Err(e) => return Err(e),
    }
    loop {
        empty(open_child(dir, name)?)?;
        match sys::unlinkat(dir, name, AT_REMOVEDIR) {
            // Some file systems lose their place when entries before it are deleted.
            Err(Errno::ENOTEMPTY) => {}
            other => return other,
        }
    }
}

/// Deletes what is in a directory, and closes it.
fn empty(root: Fd) -> sys::Result {
    let mut walk = Walk::new(root)?;
    let result = walk.run();
    walk.close();
    result
}

/// What became of one entry.
enum Met {
    Gone,
    /// A directory that isn't empty; opened.
    Full(Fd),
}

/// A directory by its device and number.
type Identity = ((u32, u32), u64);

struct Walk {
    /// The directory that is being emptied.
    here: Fd,
    /// Behind which entry it is read; 0 at the beginning.
    position: i64,
    /// The directory that it all begins with.
    root: Identity,
    depth: usize,
    /// Ancestors by depth modulo their number, -1 where the descriptor was given up.
    kept: [Fd; KEPT],
    entries: Entries,
    /// Something was deleted since the last directory was entered.
    progress: bool,
    /// How often nothing was.
    stalls: u32,
}

impl Walk {
    fn new(root: Fd) -> sys::Result<Walk> {
        let (kept, entries) = ([-1; KEPT], Entries::new());
        let root_identity = identity(root)?;
        Ok(Walk { here: root, position: 0, root: root_identity, depth: 0, kept, entries, progress: false, stalls: 0 })
    }

    /// Empties the root.
    fn run(&mut self) -> sys::Result {
        loop {
            match self.empty_here()? {
                Some(child) => self.descend(child),
                None if self.depth == 0 => return Ok(()),
                None => self.ascend()?,
            }
        }
    }

    /// Deletes entries up to the first directory that isn't empty, and stays in front of that one: when it
    /// is met again it can be deleted.
    fn empty_here(&mut self) -> sys::Result<Option<Fd>> {
        while let Some(entry) = self.entries.next(self.here)? {
            if let Met::Full(child) = meet(self.here, &entry)? {
                sys::lseek(self.here, self.position, SEEK_SET)?;
                return Ok(Some(child));
            }
            self.position = entry.next;
            self.progress = true;
        }
        Ok(None)
    }

    fn descend(&mut self, child: Fd) {
        let slot = &mut self.kept[self.depth % KEPT];
        if *slot >= 0 {
            let _ = sys::close(*slot);
        }
        *slot = self.here;
        self.depth += 1;
        self.progress = false;
        self.enter(child, 0);
    }

    /// Goes back to the parent. Should somebody have moved us meanwhile, `..` leads elsewhere: but from
    /// wherever in the tree it comes through the root, which stops it.
    fn ascend(&mut self) -> sys::Result {
        self.stalled()?;
        self.depth -= 1;
        let slot = &mut self.kept[self.depth % KEPT];
        let (parent, position) = match *slot {
            -1 => (sys::openat(self.here, c"..", DIR_FLAGS, 0)?, 0),
            open => (open, sys::lseek(open, 0, SEEK_CUR)? as i64),
        };
        *slot = -1;
        let _ = sys::close(self.here);
        self.enter(parent, position);
        match identity(parent)? == self.root {
            true => self.at_root(),
            false if self.depth == 0 => return Err(Errno::ELOOP),
            false => {}
        }
        Ok(())
    }

    fn enter(&mut self, dir: Fd, position: i64) {
        (self.here, self.position) = (dir, position);
        self.entries.forget();
    }

    /// A directory that lists nothing and yet isn't empty would be entered for ever.
    fn stalled(&mut self) -> sys::Result {
        const ENOUGH: u32 = 100;
        if !self.progress {
            self.stalls += 1;
        }
        self.progress = true;
        if self.stalls > ENOUGH { Err(Errno::ENOTEMPTY) } else { Ok(()) }
    }

    fn at_root(&mut self) {
        self.depth = 0;
        for kept in self.kept.iter_mut().filter(|fd| **fd >= 0) {
            let _ = sys::close(*kept);
            *kept = -1;
        }
    }

    fn close(mut self) {
        self.at_root();
        let _ = sys::close(self.here);
    }
}

fn identity(dir: Fd) -> sys::Result<Identity> {
    sys::fstat(dir).map(|s| (s.dev, s.ino))
}

/// Deletes an entry, or opens it when it is a directory with something in it. A mount point is busy, and
/// ends the walk.
fn meet(dir: Fd, entry: &Entry) -> sys::Result<Met> {
    let kind = if entry.kind == DT_DIR { AT_REMOVEDIR } else { 0 };
    match unlink(dir, entry.name, kind) {
        Ok(()) | Err(Errno::ENOENT) => Ok(Met::Gone),
        Err(Errno::ENOTEMPTY | Errno::EEXIST) => open_child(dir, entry.name).map(Met::Full),
        // The type was unknown, or another file has taken the name.
        Err(Errno::EISDIR | Errno::EPERM) if kind == 0 && is_dir(dir, entry.name) => meet(dir, &entry.as_dir()),
        Err(e) => Err(e),
    }
}

/// Unlinks; in a directory that its own owner may not write to, makes it writable first.
fn unlink(dir: Fd, name: &CStr, flags: i32) -> sys::Result {
    match sys::unlinkat(dir, name, flags) {
        Err(Errno::EACCES) => {
            sys::fchmod(dir, 0o700)?;
            sys::unlinkat(dir, name, flags)
        }
        other => other,
    }
}

fn is_dir(dir: Fd, name: &CStr) -> bool {
    sys::statx(dir, name, sys::AT_SYMLINK_NOFOLLOW).is_ok_and(|s| s.is_dir())
}

/// Opens a directory; one that its own owner may not read is made readable first, by a descriptor: its name may be a link by
/// the next call.
fn open_child(dir: Fd, name: &CStr) -> sys::Result<Fd> {
    match sys::openat(dir, name, DIR_FLAGS, 0) {
        Err(Errno::EACCES) => {}
        other => return other,
    }
    let seen = sys::openat(dir, name, DIR_FLAGS | sys::O_PATH, 0)?;
    // Where there is no call for it and no /proc either, it was not for a lack of the directory.
    let opened =
        sys::chmod_opened(seen, 0o700).map_err(|_| Errno::EACCES).and_then(|()| sys::openat(seen, c".", DIR_FLAGS, 0));
    let _ = sys::close(seen);
    opened
}

//! What belongs to one user of a tree goes to another, all of it.

use core::ffi::CStr;

use crate::dirs::Entries;
use crate::owners;
use crate::sys::{self, Errno, Fd, Stat};

/// User and group: of whom, and to whom.
pub type Move = ((u32, u32), (u32, u32));

const CAPABILITIES: &CStr = c"security.capability";
/// For `chown(2)`: stays as it is.
const SAME: u32 = u32::MAX;
/// Ancestors that stay open, however deep the tree.
const KEPT: usize = 24;
/// Levels of a tree, more than a path can name.
const DEPTH_MAX: usize = 4096;

/// The directory and all that is below it. A file that has several names is met as often, to which it is the same. What is open
/// after a failure is the process's, which ends.
pub fn run(root: Fd, which: Move) -> sys::Result {
    let here = sys::openat(root, c".", DIR_FLAGS, 0)?;
    let places = sys::map_anonymous(DEPTH_MAX * size_of::<i64>())?;
    let mut walk = Walk { here, depth: 0, kept: [-1; KEPT], places, entries: Entries::new() };
    give((here, c"."), here, &sys::fstat(here)?, which)?;
    walk.run(which)?;
    sys::close(walk.here)
}

const DIR_FLAGS: i32 = sys::O_RDONLY | sys::O_DIRECTORY | sys::O_NOFOLLOW;

struct Walk {
    /// The directory that is being read.
    here: Fd,
    depth: usize,
    /// Ancestors by depth modulo their number, -1 where the descriptor was given up: such are found again by `..`.
    kept: [Fd; KEPT],
    /// Behind which entry each ancestor is read on: 8 bytes a level.
    places: &'static mut [u8],
    entries: Entries,
}

impl Walk {
    fn run(&mut self, which: Move) -> sys::Result {
        loop {
            match self.read_on(which)? {
                Some((child, next)) => self.descend(child, next)?,
                None if self.depth == 0 => return Ok(()),
                None => self.ascend()?,
            }
        }
    }

    /// Gives entries away up to the first directory, which is opened, and tells where to read on behind it.
    fn read_on(&mut self, which: Move) -> sys::Result<Option<(Fd, i64)>> {
        while let Some(entry) = self.entries.next(self.here)? {
            let at = (self.here, entry.name);
            let is_dir = with(sys::openat(at.0, at.1, sys::O_PATH | sys::O_NOFOLLOW, 0)?, |file| {
                let stat = sys::fstat(file)?;
                give(at, file, &stat, which).map(|()| stat.is_dir())
            })?;
            if is_dir {
                return sys::openat(at.0, at.1, DIR_FLAGS, 0).map(|child| Some((child, entry.next)));
            }
        }
        Ok(None)
    }

    fn place(&mut self) -> sys::Result<&mut [u8]> {
        self.places.chunks_exact_mut(size_of::<i64>()).nth(self.depth).ok_or(Errno::ELOOP)
    }

    fn descend(&mut self, child: Fd, next: i64) -> sys::Result {
        self.place()?.copy_from_slice(&next.to_ne_bytes());
        let farther = core::mem::replace(&mut self.kept[self.depth % KEPT], self.here);
        if farther >= 0 {
            sys::close(farther)?;
        }
        (self.here, self.depth) = (child, self.depth + 1);
        self.entries.forget();
        Ok(())
    }

    fn ascend(&mut self) -> sys::Result {
        const SEEK_SET: i32 = 0;
        self.depth -= 1;
        let parent = match core::mem::replace(&mut self.kept[self.depth % KEPT], -1) {
            -1 => sys::openat(self.here, c"..", DIR_FLAGS, 0)?,
            open => open,
        };
        let next = i64::from_ne_bytes(self.place()?.try_into().unwrap_or_default());
        sys::lseek(parent, next, SEEK_SET)?;
        sys::close(self.here)?;
        self.here = parent;
        self.entries.forget();
        Ok(())
    }
}

/// A change of owner takes capabilities away; they are put back.
fn give((dir, name): (Fd, &CStr), file: Fd, stat: &Stat, (from, to): Move) -> sys::Result {
    let uid = if stat.uid == from.0 { to.0 } else { SAME };
    let gid = if stat.gid == from.1 { to.1 } else { SAME };
    match stat.kind() {
        _ if (uid, gid) == (SAME, SAME) => Ok(()),
        sys::S_IFREG => {
            let flags = sys::O_RDONLY | sys::O_NOFOLLOW | sys::O_NONBLOCK;
            with(sys::openat(dir, name, flags, 0)?, |file| {
                let mut value = [0; 64];
                let capable = sys::fgetxattr(file, CAPABILITIES, &mut value);
                owners::give(file, uid, gid)?;
                capable.map_or(Ok(()), |n| sys::fsetxattr(file, CAPABILITIES, &value[..n]))
            })
        }
        _ => owners::give(file, uid, gid),
    }
}

/// Closes what it was given after the work.
fn with<T>(fd: Fd, work: impl FnOnce(Fd) -> sys::Result<T>) -> sys::Result<T> {
    let done = work(fd);
    let _ = sys::close(fd);
    done
}

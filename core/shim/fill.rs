//! Filling a new volume, or a new file system, with what an image has at its place: a tree of any depth, in little memory and
//! with few descriptors.
//!
//! Several containers that start at once may find a volume empty, and who fills it may be killed. So a file in it tells that it
//! is not whole, and is locked as long as somebody fills it: who finds it waits, and what nobody has finished begins anew.

use core::ffi::CStr;

use crate::copy::{self, with};
use crate::dirs::Entries;
use crate::memory;
use crate::sys::{self, AT_EMPTY_PATH, AT_SYMLINK_NOFOLLOW, Errno, Fd, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, Stat};
use crate::tree;

/// In a volume that is not whole.
const FILLING: &CStr = c".sampan-filling";
const DIR_FLAGS: i32 = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
/// Ancestors that stay open, two descriptors each.
const KEPT: usize = 24;
/// Levels of a tree, more than a path can name.
const DEPTH_MAX: usize = 4096;

/// Fills a new file system, which is nobody else's, when it is empty. Both may have been opened as mere paths.
pub fn fresh(to: Fd, from: Fd) -> sys::Result {
    opened(to, from, |to, from| match is_empty(to)? {
        true => copy_all(from, to).map(drop),
        false => Ok(()),
    })
}

/// Fills a volume that is empty, or that somebody has filled in part. One that can't be filled is empty again.
pub fn volume(to: Fd, from: Fd) -> sys::Result {
    opened(to, from, |to, from| {
        // Most images have nothing there.
        if is_empty(from)? && is_empty(to)? {
            return copy_all(from, to).map(drop);
        }
        while is_empty(to)? || is_marked(to) {
            match mark(to) {
                // Somebody else has just finished.
                Err(Errno::ENOENT) => {}
                mark => {
                    if with(mark?, |mark| try_fill(mark, to, from))? {
                        break;
                    }
                }
            }
        }
        Ok(())
    })
}

fn opened(to: Fd, from: Fd, work: impl FnOnce(Fd, Fd) -> sys::Result) -> sys::Result {
    with(sys::openat(from, c".", DIR_FLAGS, 0)?, |from| with(sys::openat(to, c".", DIR_FLAGS, 0)?, |to| work(to, from)))
}

fn is_empty(dir: Fd) -> sys::Result<bool> {
    rewind(dir)?;
    Entries::new().next(dir).map(|entry| entry.is_none())
}

fn rewind(dir: Fd) -> sys::Result {
    const SEEK_SET: i32 = 0;
    sys::lseek(dir, 0, SEEK_SET).map(drop)
}

fn is_marked(dir: Fd) -> bool {
    sys::statx(dir, FILLING, AT_SYMLINK_NOFOLLOW).is_ok()
}

/// The mark, made or opened. What has its name may be a device that somebody who shares the volume has put there: opening one
/// can do something already.
fn mark(dir: Fd) -> sys::Result<Fd> {
    match sys::openat(dir, FILLING, sys::O_RDWR | sys::O_CREAT | sys::O_EXCL | O_NOFOLLOW, 0o600) {
        Err(Errno::EEXIST) => {}
        made => return made,
    }
    with(sys::openat(dir, FILLING, sys::O_PATH | O_NOFOLLOW, 0)?, |there| match sys::fstat(there)?.kind() {
        sys::S_IFREG => sys::reopen(there, sys::O_RDWR),
        _ => Err(Errno::EEXIST),
    })
}

/// False when somebody else has filled it meanwhile.
fn try_fill(mark: Fd, to: Fd, from: Fd) -> sys::Result<bool> {
    const LOCK_EX: i32 = 2;
    loop {
        match sys::flock(mark, LOCK_EX) {
            Err(Errno::EINTR) => {}
            // Where nothing can be locked, nobody else is waited for.
            Ok(()) | Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => break,
            Err(e) => return Err(e),
        }
    }
    if sys::fstat(mark)?.nlink == 0 {
        return Ok(false);
    }
    let filled = clear(to, true).and_then(|()| fill(to, from));
    if filled.is_err() {
        let _ = clear(to, false);
    }
    filled.map(|()| true)
}

fn fill(to: Fd, from: Fd) -> sys::Result {
    let stat = copy_all(from, to)?;
    sys::unlinkat(to, FILLING, 0)?;
    sys::utimensat(to, c"", [stat.atime, stat.mtime], AT_EMPTY_PATH)
}

/// Removes all that is in a directory, but for the mark if it is to stay.
fn clear(dir: Fd, marked: bool) -> sys::Result {
    // Some file systems lose their place when entries before it are deleted; somebody else may add some, but not for ever.
    for _ in 0..100 {
        let (mut entries, mut met) = (Entries::new(), false);
        rewind(dir)?;
        while let Some(entry) = entries.next(dir)? {
            if !(marked && entry.name == FILLING) {
                met = true;
                tree::remove(dir, entry.name)?;
            }
        }
        if !met {
            return Ok(());
        }
    }
    Err(Errno::ENOTEMPTY)
}

/// Copies all that is in a directory, then its own attributes, which are returned. What is open after a failure is the
/// process's, which ends.
fn copy_all(from: Fd, to: Fd) -> sys::Result<Stat> {
    let (stat, flags) = (sys::fstat(from)?, DIR_FLAGS);
    let pair = Pair { from: sys::openat(from, c".", flags, 0)?, to: sys::openat(to, c".", flags, 0)? };
    let levels = memory::words(DEPTH_MAX * Level::WORDS)?;
    let mut walk = Walk { here: pair, depth: 0, kept: [None; KEPT], levels, entries: Entries::new() };
    walk.note(&stat)?;
    walk.run()?;
    walk.here.close()?;
    // At the end: what is written into a directory changes its time, and it may be read-only.
    copy::dress(from, to, &stat).map(|()| stat)
}

/// A directory and its copy.
#[derive(Clone, Copy)]
struct Pair {
    from: Fd,
    to: Fd,
}

impl Pair {
    fn close(self) -> sys::Result {
        sys::close(self.from).and(sys::close(self.to))
    }
}

/// What is remembered of a directory whose copy is under way.
struct Level<'a>(&'a mut [usize]);

impl Level<'_> {
    const WORDS: usize = 5;
    /// Behind which entry it is read on.
    const NEXT: usize = 0;
    /// Its number, and its copy's: `..` must lead to them.
    const FROM: usize = 1;
    const TO: usize = 2;
    /// When it was last read, before this: seconds and nanoseconds.
    const SECONDS: usize = 3;
    const NANOSECONDS: usize = 4;
}

struct Walk {
    here: Pair,
    depth: usize,
    /// Ancestors by depth modulo their number; those that were given up are found again by `..`.
    kept: [Option<Pair>; KEPT],
    /// A [`Level`] for each directory that leads here.
    levels: &'static mut [usize],
    entries: Entries,
}

impl Walk {
    fn run(&mut self) -> sys::Result {
        loop {
            match self.copy_on()? {
                Some((child, stat)) => self.descend(child, &stat)?,
                None if self.depth == 0 => return Ok(()),
                None => self.ascend()?,
            }
        }
    }

    /// Copies entries up to the first directory, which is made and opened.
    fn copy_on(&mut self) -> sys::Result<Option<(Pair, Stat)>> {
        let Pair { from, to } = self.here;
        while let Some(entry) = self.entries.next(from)? {
            let stat = sys::statx(from, entry.name, AT_SYMLINK_NOFOLLOW)?;
            if stat.is_dir() {
                let (name, next) = (entry.name, entry.next);
                sys::mkdirat(to, name, 0o700)?;
                let child =
                    Pair { from: sys::openat(from, name, DIR_FLAGS, 0)?, to: sys::openat(to, name, DIR_FLAGS, 0)? };
                self.level()?.0[Level::NEXT] = next as usize;
                return Ok(Some((child, stat)));
            }
            copy::entry(from, to, entry.name, &stat)?;
        }
        Ok(None)
    }

    fn level(&mut self) -> sys::Result<Level<'_>> {
        let words = self.levels.chunks_exact_mut(Level::WORDS).nth(self.depth);
        words.map(Level).ok_or(Errno::ELOOP)
    }

    fn note(&mut self, stat: &Stat) -> sys::Result {
        let to = sys::fstat(self.here.to)?.ino;
        let Level(words) = self.level()?;
        (words[Level::FROM], words[Level::TO]) = (stat.ino as usize, to as usize);
        (words[Level::SECONDS], words[Level::NANOSECONDS]) = (stat.atime.0 as usize, stat.atime.1 as usize);
        Ok(())
    }

    fn descend(&mut self, child: Pair, stat: &Stat) -> sys::Result {
        if let Some(farther) = self.kept[self.depth % KEPT].replace(self.here) {
            farther.close()?;
        }
        (self.here, self.depth) = (child, self.depth + 1);
        self.entries.forget();
        self.note(stat)
    }

    fn ascend(&mut self) -> sys::Result {
        const SEEK_SET: i32 = 0;
        let (child, stat) = (self.here, self.stat()?);
        self.depth -= 1;
        self.here = match self.kept[self.depth % KEPT].take() {
            Some(open) => open,
            None => self.above()?,
        };
        copy::dress(child.from, child.to, &stat)?;
        child.close()?;
        let next = self.level()?.0[Level::NEXT];
        sys::lseek(self.here.from, next as i64, SEEK_SET)?;
        self.entries.forget();
        Ok(())
    }

    /// Of the directory that has been copied, as it was before.
    fn stat(&mut self) -> sys::Result<Stat> {
        let stat = sys::fstat(self.here.from)?;
        let Level(words) = self.level()?;
        Ok(Stat { atime: (words[Level::SECONDS] as i64, words[Level::NANOSECONDS] as u32), ..stat })
    }

    /// The parents. Somebody else who has the volume may have moved the copy to where they are others.
    fn above(&mut self) -> sys::Result<Pair> {
        let up = |dir| sys::openat(dir, c"..", DIR_FLAGS, 0);
        let pair = Pair { from: up(self.here.from)?, to: up(self.here.to)? };
        let numbers = (sys::fstat(pair.from)?.ino as usize, sys::fstat(pair.to)?.ino as usize);
        let Level(words) = self.level()?;
        if numbers == (words[Level::FROM], words[Level::TO]) { Ok(pair) } else { Err(Errno::ELOOP) }
    }
}

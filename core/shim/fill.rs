//! Filling a new volume, or a new file system, with what an image has at its place: a tree of any depth, in little memory and
//! with few descriptors.
//!
//! Several containers that start at once may find a volume empty, and who fills it may be killed. So a file beside it, where
//! no container comes, is locked as long as somebody looks whether it is to be filled, and fills it; its length is the
//! [`State`] of the volume.

use core::ffi::CStr;

use crate::copy::{self, with};
use crate::dirs::Entries;
use crate::fail::{At, Outcome};
use crate::memory;
use crate::sys::{self, AT_FDCWD, AT_SYMLINK_NOFOLLOW, Errno, Fd, O_DIRECTORY, O_NOFOLLOW, O_RDONLY, Stat};
use crate::text::Text;
use crate::tree;
use crate::wire::{Launch, MountSource, Step};

const DIR_FLAGS: i32 = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;
/// Ancestors that stay open, two descriptors each.
const KEPT: usize = 24;
/// Levels of a tree, more than a path can name.
const DEPTH_MAX: usize = 4096;

/// Of a volume; the lengths of the file that tells it (`store/volumes.rs`).
struct State;

impl State {
    /// Nothing was ever copied there. What is in it all the same was put there by somebody.
    const NEW: u64 = 0;
    /// Somebody fills it for the first time, or was killed over it: no container has it, and what is in it is a part.
    const PART: u64 = 1;
    /// Containers have it. What is in it is theirs, and nothing of it is ever removed.
    const USED: u64 = 2;
}

/// Opens what tells the volumes' states, by their mounts' places in the plan; 0 for other mounts. Before there is a
/// container, whose root may be somebody else and could not.
pub fn states(launch: &Launch<'static>) -> Outcome<&'static [usize]> {
    let is_volume = |source: &MountSource<'static>| matches!(source, MountSource::Bind(..));
    if !launch.mounts.iter().any(|mount| mount.copy_up && is_volume(&mount.source)) {
        return Ok(&[]);
    }
    let states = memory::words(launch.mounts.len()).step(Step::CopyUp)?;
    for (state, mount) in states.iter_mut().zip(launch.mounts.iter()).filter(|(_, mount)| mount.copy_up) {
        if let MountSource::Bind(path, _) = mount.source {
            *state = open_state(path).at(Step::CopyUp, path)?;
        }
    }
    Ok(states)
}

/// Lets go of them.
pub fn close_states(states: &[usize]) {
    states.iter().filter(|state| **state > 0).for_each(|state| drop(sys::close(*state as Fd)));
}

fn open_state(volume: &CStr) -> sys::Result<usize> {
    let mut path = Text::<4096>::of(&[volume.to_bytes(), b".filling"]);
    if path.is_cut() {
        return Err(Errno::ENAMETOOLONG);
    }
    match sys::openat(AT_FDCWD, path.c(), sys::O_RDWR | sys::O_CREAT | O_NOFOLLOW, 0o600) {
        // The mount itself tells what is missing; where nothing can be written, nothing is filled.
        Err(Errno::ENOENT | Errno::EROFS) => Ok(0),
        opened => opened.map(|state| state as usize),
    }
}

/// Fills a new file system, which is nobody else's, when it is empty. Both may have been opened as mere paths.
pub fn fresh(to: Fd, from: Fd) -> sys::Result {
    opened(to, from, if_empty)
}

/// Fills a volume that is empty, or that somebody has filled in part. A new one that can't be filled is empty again.
pub fn volume(state: Option<Fd>, to: Fd, from: Fd) -> sys::Result {
    let Some(state) = state else { return opened(to, from, if_empty) };
    lock(state)?;
    let filled = opened(to, from, |to, from| match sys::fstat(state)?.size {
        State::NEW if is_empty(to)? => anew(state, to, from),
        State::PART => clear(to).and_then(|()| anew(state, to, from)),
        _ => if_empty(to, from),
    });
    // Then containers have it, also one that another version has filled.
    let noted = filled.and_then(|()| sys::ftruncate(state, State::USED));
    // Other processes have the open file, which keeps a lock until the last has closed it.
    let _ = sys::flock(state, LOCK_UN);
    noted
}

const LOCK_EX: i32 = 2;
const LOCK_NB: i32 = 4;
const LOCK_UN: i32 = 8;
/// Milliseconds that a volume may be filled by somebody else.
const PATIENCE: u64 = 5 * 60_000;

fn lock(state: Fd) -> sys::Result {
    let deadline = sys::now_ms() + PATIENCE;
    loop {
        match sys::flock(state, LOCK_EX | LOCK_NB) {
            Err(Errno::EAGAIN) if sys::now_ms() < deadline => drop(sys::poll(&mut [], Some(10))),
            Err(Errno::EAGAIN) => return Err(Errno::ETIMEDOUT),
            Err(Errno::EINTR) => {}
            // Where nothing can be locked, nobody else is waited for.
            Err(Errno::EOPNOTSUPP | Errno::ENOSYS) => return Ok(()),
            locked => return locked,
        }
    }
}

fn if_empty(to: Fd, from: Fd) -> sys::Result {
    match is_empty(to)? {
        true => copy_all(from, to),
        false => Ok(()),
    }
}

/// An empty volume that no container has had.
fn anew(state: Fd, to: Fd, from: Fd) -> sys::Result {
    sys::ftruncate(state, State::PART)?;
    let filled = copy_all(from, to);
    if filled.is_err() {
        clear(to)?;
        sys::ftruncate(state, State::NEW)?;
    }
    filled
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

/// Removes all that is in a directory.
fn clear(dir: Fd) -> sys::Result {
    // Some file systems lose their place when entries before it are deleted.
    for _ in 0..100 {
        let (mut entries, mut met) = (Entries::new(), false);
        rewind(dir)?;
        while let Some(entry) = entries.next(dir)? {
            met = true;
            tree::remove(dir, entry.name)?;
        }
        if !met {
            return Ok(());
        }
    }
    Err(Errno::ENOTEMPTY)
}

/// Copies all that is in a directory, then its own attributes. What is open after a failure is the
/// process's, which ends.
fn copy_all(from: Fd, to: Fd) -> sys::Result {
    let (stat, flags) = (sys::fstat(from)?, DIR_FLAGS);
    let pair = Pair { from: sys::openat(from, c".", flags, 0)?, to: sys::openat(to, c".", flags, 0)? };
    let levels = memory::words(DEPTH_MAX * Level::WORDS)?;
    let mut walk = Walk { here: pair, depth: 0, kept: [None; KEPT], levels, entries: Entries::new() };
    walk.note(&stat)?;
    walk.run()?;
    walk.here.close()?;
    // At the end: what is written into a directory changes its time, and it may be read-only.
    copy::dress(from, to, &stat)
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

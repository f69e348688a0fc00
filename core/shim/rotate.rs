//! The log's files: the one that is written, and the full ones before it, of which `log.1` is the latest.
//!
//! Who reads while they move finds each: the newest is always in its place, and the others only ever move to
//! the next number, so one that looks from `log` upwards meets every file at least once.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd, Slice};
use crate::text::Text;
use crate::wire::{Launch, Step};

const APPEND: i32 = sys::O_WRONLY | sys::O_APPEND | sys::O_CREAT | sys::O_NOFOLLOW;

/// The open log and its rule.
pub struct Files {
    path: &'static CStr,
    file: Fd,
    /// Bytes in it.
    size: u64,
    /// The most that it may hold; 0 for no limit.
    most: u64,
    /// How many files there may be, the open one among them.
    count: u32,
}

impl Files {
    /// Opens what the plan names; `None` when that is nothing.
    pub fn open(launch: &Launch<'static>) -> Outcome<Option<Files>> {
        let s = &launch.supervise;
        if s.log.is_empty() {
            return Ok(None);
        }
        let file = sys::openat(AT_FDCWD, s.log, APPEND, 0o600).at(Step::Streams, s.log)?;
        let size = sys::fstat(file).map_or(0, |stat| stat.size);
        Ok(Some(Files { path: s.log, file, size, most: s.log_max_size, count: s.log_max_files }))
    }

    /// Whether so many more bytes, after those that wait to be written, would make it too long. A line that is longer
    /// than a file may be has one of its own.
    pub fn is_full(&self, waiting: usize, more: usize) -> bool {
        let size = self.size + waiting as u64;
        self.most > 0 && size > 0 && size + more as u64 > self.most
    }

    /// Begins a new file when the open one has no room for so much. Where none can be made the old one goes on.
    pub fn make_room(&mut self, more: usize) {
        if self.is_full(0, more) {
            let _ = self.rotate();
        }
    }

    fn rotate(&mut self) -> sys::Result {
        let mut new = Text::<4096>::of(&[self.path.to_bytes(), b".new"]);
        let file = sys::openat(AT_FDCWD, new.c(), APPEND | sys::O_TRUNC, 0o600)?;
        let moved = self.shift().and_then(|()| sys::renameat2(AT_FDCWD, new.c(), AT_FDCWD, self.path, 0));
        if moved.is_err() {
            let _ = sys::unlinkat(AT_FDCWD, new.c(), 0);
            return sys::close(file).and(moved);
        }
        let _ = sys::close(self.file);
        (self.file, self.size) = (file, 0);
        Ok(())
    }

    /// Gives the open file its number too, after all others have got the next; the last one goes.
    fn shift(&self) -> sys::Result {
        for n in (1..self.count.saturating_sub(1)).rev() {
            match sys::renameat2(AT_FDCWD, self.name(n).c(), AT_FDCWD, self.name(n + 1).c(), 0) {
                Ok(()) | Err(Errno::ENOENT) => {}
                failed => return failed,
            }
        }
        if self.count < 2 {
            return Ok(());
        }
        let mut first = self.name(1);
        let _ = sys::unlinkat(AT_FDCWD, first.c(), 0);
        match sys::linkat(AT_FDCWD, self.path, AT_FDCWD, first.c(), 0) {
            Ok(()) => Ok(()),
            // A file system without hard links: for a moment there is no `log`, and a reader waits for the next.
            Err(_) => sys::renameat2(AT_FDCWD, self.path, AT_FDCWD, first.c(), 0),
        }
    }

    fn name(&self, n: u32) -> Text<4096> {
        let mut name = Text::of(&[self.path.to_bytes(), b"."]);
        name.dec(n.into());
        name
    }

    /// Appends all of this or nothing: a torn line would spoil those after it.
    pub fn write(&mut self, pieces: &[Slice], bytes: usize) -> sys::Result {
        match sys::writev(self.file, pieces) {
            Ok(n) if n == bytes => {
                self.size += n as u64;
                Ok(())
            }
            Ok(n) => {
                self.take_back(n as u64);
                Err(Errno::ENOSPC)
            }
            Err(e) => Err(e),
        }
    }

    fn take_back(&mut self, torn: u64) {
        const SEEK_END: i32 = 2;
        if let (1.., Ok(end)) = (torn, sys::lseek(self.file, 0, SEEK_END)) {
            let _ = sys::ftruncate(self.file, end.saturating_sub(torn));
        }
    }
}

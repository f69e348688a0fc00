//! Reading directories.

use core::ffi::CStr;

use crate::sys::{self, Fd};

/// The entries of one directory, in the order in which the kernel gives them.
pub struct Entries {
    buffer: [u8; 2048],
    at: usize,
    end: usize,
}

/// One of them.
pub struct Entry<'a> {
    /// Its name.
    pub name: &'a CStr,
    /// Where to seek to, to read on behind it.
    pub next: i64,
    /// `DT_*`, where the file system tells.
    pub kind: u8,
}

pub const DT_DIR: u8 = 4;

impl Entries {
    /// At the beginning.
    pub const fn new() -> Self {
        Entries { buffer: [0; 2048], at: 0, end: 0 }
    }

    /// The next entry but `.` and `..`.
    pub fn next(&mut self, fd: Fd) -> sys::Result<Option<Entry<'_>>> {
        loop {
            if self.at == self.end {
                (self.at, self.end) = (0, sys::getdents64(fd, &mut self.buffer)?);
                if self.end == 0 {
                    return Ok(None);
                }
            }
            let start = self.at;
            self.at += usize::from(u16::from_ne_bytes([self.buffer[start + 16], self.buffer[start + 17]]));
            if !matches!(&self.buffer[start + 19..start + 22], [b'.', 0, _] | b"..\0") {
                return Ok(Some(Entry::of(&self.buffer[start..self.at])));
            }
        }
    }

    /// Reads on where the descriptor stands.
    pub fn forget(&mut self) {
        (self.at, self.end) = (0, 0);
    }
}

impl<'a> Entry<'a> {
    fn of(record: &'a [u8]) -> Entry<'a> {
        let next = i64::from_ne_bytes(record[8..16].try_into().unwrap_or_default());
        Entry { name: CStr::from_bytes_until_nul(&record[19..]).unwrap_or(c""), next, kind: record[18] }
    }

    /// The same, taken for a directory.
    pub fn as_dir(&self) -> Entry<'a> {
        Entry { kind: DT_DIR, ..*self }
    }
}

//! The log: one line of text becomes `TIME stdout F text`, as Kubernetes' runtimes write it; a part of a
//! line is marked `P` in place of `F`. Nothing of the container's output is changed or lost, so every byte
//! of it, NUL and broken UTF-8 too, comes back out.

use crate::sys::{self, Errno, Fd, Slice};
use crate::time;

/// Longer lines are split, so that a reader's buffer can be bounded.
pub const LINE_MAX: usize = 16 * 1024;
const HEAD: usize = time::LENGTH + b" stdout F ".len();
/// Pieces of one `writev`; a line takes two, a part of one takes three.
const PIECES: usize = 96;

/// An open log, or the place where one would be.
pub struct Log {
    file: Option<Fd>,
    /// The first failure to write to it; what could not be written is dropped.
    pub error: Option<Errno>,
}

impl Log {
    /// Appends to this file.
    pub fn new(file: Option<Fd>) -> Self {
        Log { file, error: None }
    }

    /// Writes the whole lines at the beginning of `text`, and the rest too when `all`; tells how much that was.
    pub fn append(&mut self, stream: &[u8; 6], text: &[u8], all: bool) -> usize {
        let Some(file) = self.file else { return text.len() };
        let heads = Heads::new(stream);
        let mut batch = Batch { pieces: [Slice::new(b""); PIECES], used: 0, bytes: 0 };
        let mut done = 0;
        while let Some((length, whole)) = line(&text[done..], all) {
            if batch.used + 3 > PIECES {
                self.write(file, &mut batch);
            }
            batch.add(if whole { &heads.full } else { &heads.part });
            batch.add(&text[done..done + length]);
            if !whole {
                batch.add(b"\n");
            }
            done += length;
        }
        self.write(file, &mut batch);
        done
    }

    fn write(&mut self, file: Fd, batch: &mut Batch) {
        if batch.used > 0 {
            let written = sys::writev(file, &batch.pieces[..batch.used]);
            if written != Ok(batch.bytes) {
                self.failed(file, written);
            }
        }
        (batch.used, batch.bytes) = (0, 0);
    }

    /// A torn line would spoil those after it, so what was written of the batch is taken back.
    fn failed(&mut self, file: Fd, written: sys::Result<usize>) {
        const SEEK_END: i32 = 2;
        let (torn, error) = match written {
            Ok(n) => (n as u64, Errno::ENOSPC),
            Err(e) => (0, e),
        };
        if let (1.., Ok(end)) = (torn, sys::lseek(file, 0, SEEK_END)) {
            let _ = sys::ftruncate(file, end.saturating_sub(torn));
        }
        self.error.get_or_insert(error);
    }
}

/// What stands before each line of one batch: they came in one read and share its time.
struct Heads {
    full: [u8; HEAD],
    part: [u8; HEAD],
}

impl Heads {
    fn new(stream: &[u8; 6]) -> Self {
        let mut full = *b"                                      F ";
        full[..time::LENGTH].copy_from_slice(&time::now());
        full[time::LENGTH + 1..time::LENGTH + 7].copy_from_slice(stream);
        let mut part = full;
        part[HEAD - 2] = b'P';
        Heads { full, part }
    }
}

struct Batch<'a> {
    pieces: [Slice<'a>; PIECES],
    used: usize,
    bytes: usize,
}

impl<'a> Batch<'a> {
    fn add(&mut self, piece: &'a [u8]) {
        self.pieces[self.used] = Slice::new(piece);
        self.used += 1;
        self.bytes += piece.len();
    }
}

/// The length of the next line with its newline, or of a part of it, and which of the two; `None` when one
/// has to wait for more.
fn line(text: &[u8], all: bool) -> Option<(usize, bool)> {
    let window = &text[..text.len().min(LINE_MAX)];
    match newline(window) {
        Some(at) => Some((at + 1, true)),
        None if window.len() == LINE_MAX || (all && !window.is_empty()) => Some((window.len(), false)),
        None => None,
    }
}

/// Where the first newline is: eight bytes at a time, since all output passes through here.
fn newline(text: &[u8]) -> Option<usize> {
    const ONES: u64 = 0x0101_0101_0101_0101;
    const HIGHS: u64 = ONES << 7;
    let mut at = 0;
    for word in text.chunks_exact(8) {
        // A newline is now a zero byte; the lowest bit that this sets is in the first one.
        let x = u64::from_le_bytes(word.try_into().unwrap_or_default()) ^ (ONES * b'\n' as u64);
        let zeros = x.wrapping_sub(ONES) & !x & HIGHS;
        if zeros != 0 {
            return Some(at + zeros.trailing_zeros() as usize / 8);
        }
        at += 8;
    }
    text[at..].iter().position(|b| *b == b'\n').map(|i| at + i)
}

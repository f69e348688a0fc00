//! The log: what the container writes, line by line, in one of two forms.
//!
//! In ours, one line of text becomes `TIME stdout F text`, as Kubernetes' runtimes write it; a part of a line is
//! marked `P` in place of `F`. Nothing of the container's output is changed or lost, so every byte of it, NUL
//! and broken UTF-8 too, comes back out. The other is Docker's, see `log_json`.

use crate::log_json;
use crate::rotate::Files;
use crate::sys::{self, Errno, Slice};
use crate::time;

/// Longer lines are split, so that a reader's buffer can be bounded.
pub const LINE_MAX: usize = 16 * 1024;
const HEAD: usize = time::LENGTH + b" stdout F ".len();
/// Pieces of one `writev`; a line takes two, a part of one takes three.
const PIECES: usize = 96;

/// An open log, or the place where one would be.
pub struct Log {
    files: Option<Files>,
    /// Room for lines in Docker's form, when that is wanted.
    json: Option<&'static mut [u8]>,
    /// The first failure to write to it; what could not be written is dropped.
    pub error: Option<Errno>,
}

impl Log {
    /// Appends to these files.
    pub fn new(files: Option<Files>, json: bool) -> sys::Result<Self> {
        let room = if json { Some(sys::map_anonymous(log_json::ROOM)?) } else { None };
        Ok(Log { files, json: room, error: None })
    }

    /// Writes the whole lines at the beginning of `text`, and the rest too when `all`; tells how much that was.
    pub fn append(&mut self, stream: &[u8; 6], text: &[u8], all: bool) -> usize {
        let Some(files) = &mut self.files else { return text.len() };
        match &mut self.json {
            Some(room) => log_json::append(files, room, stream, text, all, &mut self.error),
            None => append(files, stream, text, all, &mut self.error),
        }
    }
}

fn append(files: &mut Files, stream: &[u8; 6], text: &[u8], all: bool, error: &mut Option<Errno>) -> usize {
    let heads = Heads::new(stream);
    let mut batch = Batch { pieces: [Slice::new(b""); PIECES], used: 0, bytes: 0 };
    let mut done = 0;
    while let Some((length, whole)) = line(&text[done..], all) {
        let size = HEAD + length + !whole as usize;
        if batch.used + 3 > PIECES || files.is_full(batch.bytes, size) || batch.bytes == 0 {
            batch.write(files, error);
            files.make_room(size);
        }
        batch.add(if whole { &heads.full } else { &heads.part });
        batch.add(&text[done..done + length]);
        if !whole {
            batch.add(b"\n");
        }
        done += length;
    }
    batch.write(files, error);
    done
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

    fn write(&mut self, files: &mut Files, error: &mut Option<Errno>) {
        if self.used > 0
            && let Err(e) = files.write(&self.pieces[..self.used], self.bytes)
        {
            error.get_or_insert(e);
        }
        (self.used, self.bytes) = (0, 0);
    }
}

/// The length of the next line with its newline, or of a part of it, and which of the two; `None` when one
/// has to wait for more.
pub fn line(text: &[u8], all: bool) -> Option<(usize, bool)> {
    let window = &text[..text.len().min(LINE_MAX)];
    match newline(window) {
        Some(at) => Some((at + 1, true)),
        None if window.len() == LINE_MAX => Some((whole_characters(window), false)),
        None if all && !window.is_empty() => Some((window.len(), false)),
        None => None,
    }
}

/// How much of it is there without a character that goes on behind it: a form that knows only text would
/// otherwise lose both halves.
fn whole_characters(window: &[u8]) -> usize {
    for (back, byte) in window.iter().rev().take(3).enumerate() {
        match byte {
            0x80..=0xbf => {}
            0xc0.. if byte.leading_ones() as usize > back + 1 => return window.len() - back - 1,
            _ => break,
        }
    }
    window.len()
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

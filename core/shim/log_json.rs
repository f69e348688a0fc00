//! The log in the form of Docker's `json-file`: `{"log":"text\n","stream":"stdout","time":"…"}`, a part of a line
//! being one whose text has no line's end. It is a form of text: what is no UTF-8 becomes U+FFFD.

use crate::log::{LINE_MAX, line};
use crate::rotate::Files;
use crate::sys::{self, Errno, Slice};
use crate::text::Text;
use crate::time;

/// What stands around the text.
const AROUND: usize = 96;
/// A byte becomes at most `\u0000`.
const WORST: usize = 6 * LINE_MAX + AROUND;
/// Room for the longest line, and then for many of the usual ones.
pub const ROOM: usize = 128 * 1024;
const PAGE: usize = 4096;

/// As `Log::append`.
pub fn append(
    files: &mut Files,
    room: &mut [u8],
    stream: &[u8; 6],
    text: &[u8],
    all: bool,
    error: &mut Option<Errno>,
) -> usize {
    let tail = Text::<AROUND>::of(&[b"\",\"stream\":\"", stream, b"\",\"time\":\"", &time::now(), b"\"}\n"]);
    let (mut done, mut used, mut most) = (0, 0, 0);
    while let Some((length, _)) = line(&text[done..], all) {
        let begun = used;
        put(room, &mut used, b"{\"log\":\"");
        escape(room, &mut used, &text[done..done + length]);
        put(room, &mut used, tail.bytes());
        if files.is_full(begun, used - begun) || begun == 0 {
            write(files, &room[..begun], error);
            files.make_room(used - begun);
            room.copy_within(begun..used, 0);
            used -= begun;
        }
        most = most.max(begun + used);
        if used + WORST > room.len() {
            write(files, &room[..used], error);
            used = 0;
        }
        done += length;
    }
    write(files, &room[..used], error);
    if most > PAGE {
        sys::forget_pages(&mut room[PAGE..]);
    }
    done
}

fn write(files: &mut Files, bytes: &[u8], error: &mut Option<Errno>) {
    if !bytes.is_empty()
        && let Err(e) = files.write(&[Slice::new(bytes)], bytes.len())
    {
        error.get_or_insert(e);
    }
}

/// Appends bytes to what is in use of the room.
pub fn put(room: &mut [u8], used: &mut usize, bytes: &[u8]) {
    room[*used..*used + bytes.len()].copy_from_slice(bytes);
    *used += bytes.len();
}

/// Appends text as JSON has it.
pub fn escape(room: &mut [u8], used: &mut usize, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        let mut rest = chunk.valid().as_bytes();
        while let Some(plain) = rest.iter().position(|b| matches!(b, 0..0x20 | b'"' | b'\\')) {
            put(room, used, &rest[..plain]);
            escape_one(room, used, rest[plain]);
            rest = &rest[plain + 1..];
        }
        put(room, used, rest);
        if !chunk.invalid().is_empty() {
            put(room, used, b"\\ufffd");
        }
    }
}

fn escape_one(room: &mut [u8], used: &mut usize, byte: u8) {
    const DIGITS: &[u8; 16] = b"0123456789abcdef";
    match byte {
        b'"' => put(room, used, b"\\\""),
        b'\\' => put(room, used, b"\\\\"),
        b'\n' => put(room, used, b"\\n"),
        b'\r' => put(room, used, b"\\r"),
        b'\t' => put(room, used, b"\\t"),
        _ => {
            put(room, used, b"\\u00");
            put(room, used, &[DIGITS[usize::from(byte >> 4)], DIGITS[usize::from(byte & 15)]]);
        }
    }
}

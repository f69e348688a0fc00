//! Events that only the shim sees: one call, one line of JSON, appended as the host's processes append theirs
//! (`core/src/store/events.rs`). What keeps one from being written is nobody's failure.

use core::ffi::CStr;

use crate::records::read_file;
use crate::sys::{self, AT_FDCWD, Fd, Stat};
use crate::text::Text;
use crate::time;
use crate::wire::{EVENT_SUBJECT, EVENTS_FULL, EVENTS_MOST, Supervise};

/// With what is never left out of one.
const SUBJECT: usize = EVENT_SUBJECT + 1024;
const RENAMED: usize = 2 * SUBJECT;

const LOCK_SH: i32 = 1;
const LOCK_EX: i32 = 2;
const LOCK_NB: i32 = 4;

/// Tells what happened to the container: `die`, with further attributes such as `exitCode`. Names and values are JSON
/// text without need of escapes.
pub fn tell(supervise: &Supervise, action: &[u8], attributes: &[(&[u8], &[u8])]) {
    if !supervise.events.is_empty() {
        Renamed::of(supervise).tell(supervise, action, attributes);
    }
}

/// What a rename has left in the container's directory, for the shim that was started by another name: the claim of the
/// new one, a NUL, and what events are about from then on. Kept beyond the directory for the last of them.
pub struct Renamed {
    bytes: [u8; RENAMED],
    /// 0 as long as the container has the name that it was started by.
    length: usize,
}

impl Renamed {
    /// Reads it.
    pub fn of(supervise: &Supervise) -> Renamed {
        let mut renamed = Renamed { bytes: [0; RENAMED], length: 0 };
        let mut path = Text::<4096>::of(&[supervise.dir.to_bytes(), b"/renamed"]);
        match read_file(path.c(), &mut renamed.bytes) {
            // What fills it may be cut.
            Ok(n @ 1..RENAMED) => Renamed { length: n, ..renamed },
            _ => renamed,
        }
    }

    /// The claim of the name that the container has now, when it is another.
    pub fn claim(&self) -> Option<&CStr> {
        CStr::from_bytes_until_nul(&self.bytes[..self.length]).ok()
    }

    /// As [`tell`].
    pub fn tell(&self, supervise: &Supervise, action: &[u8], attributes: &[(&[u8], &[u8])]) {
        let subject = match self.claim() {
            Some(claim) => &self.bytes[claim.count_bytes() + 1..self.length],
            None => supervise.event_subject.to_bytes(),
        };
        if !supervise.events.is_empty() {
            say(supervise.events, action, subject, attributes);
        }
    }
}

/// Tells that a volume, the directory at this path, went with the container.
pub fn tell_destroyed_volume(supervise: &Supervise, path: &CStr) {
    if supervise.events.is_empty() {
        return;
    }
    // Both names are of letters, digits, `_`, `.` and `-`.
    let mut subject = Text::<SUBJECT>::of(&[b"\"kind\":\"volume\",\"id\":\"", name(path)]);
    subject.push(b"\",\"attributes\":{\"container\":\"").push(name(supervise.dir)).push(b"\"");
    say(supervise.events, b"destroy", subject.bytes(), &[]);
}

fn name(path: &CStr) -> &[u8] {
    path.to_bytes().rsplit(|b| *b == b'/').next().unwrap_or_default()
}

fn say(file: &CStr, action: &[u8], subject: &[u8], attributes: &[(&[u8], &[u8])]) {
    let mut line = Text::<{ 2 * SUBJECT }>::of(&[b"{\"time\":\"", &time::now(), b"\",\"action\":\"", action, b"\","]);
    line.push(subject);
    for (name, value) in attributes {
        line.push(b",\"").push(name).push(b"\":\"").push(value).push(b"\"");
    }
    line.push(b"}}\n");
    if !line.is_cut() {
        append(file, line.bytes());
    }
}

fn append(path: &CStr, line: &[u8]) {
    const TRIES: u32 = 3;
    for n in 0..TRIES {
        let Ok(file) = open(path) else { return };
        // Whoever puts the file aside holds it alone for an instant, unless he was stopped in it.
        let locked = sys::flock(file, LOCK_SH | LOCK_NB).is_ok();
        let stat = sys::fstat(file).unwrap_or_default();
        let held = locked && is_still(&stat, path);
        let size = if held || n + 1 == TRIES { write(file, stat.size, line) } else { 0 };
        let _ = sys::close(file);
        if held && size >= EVENTS_FULL {
            put_aside(path);
        }
        if size > 0 {
            return;
        }
    }
}

fn open(path: &CStr) -> sys::Result<Fd> {
    sys::openat(AT_FDCWD, path, sys::O_RDWR | sys::O_APPEND | sys::O_CREAT | sys::O_NOFOLLOW, 0o600)
}

/// Whether the path names this file, which another may have put aside since it was opened.
fn is_still(open: &Stat, path: &CStr) -> bool {
    let there = sys::statx(AT_FDCWD, path, sys::AT_SYMLINK_NOFOLLOW);
    there.is_ok_and(|there| (open.dev, open.ino) == (there.dev, there.ino))
}

/// One write to a file of that size. Returns the size from then on.
fn write(file: Fd, size: u64, line: &[u8]) -> u64 {
    let size = size + line.len() as u64;
    if size <= EVENTS_MOST {
        let _ = sys::write(file, line);
    }
    size
}

fn put_aside(path: &CStr) {
    let Ok(file) = open(path) else { return };
    let locked = sys::flock(file, LOCK_EX | LOCK_NB).is_ok();
    let stat = sys::fstat(file).unwrap_or_default();
    if locked && stat.size >= EVENTS_FULL && is_still(&stat, path) {
        let mut first = Text::<4096>::of(&[path.to_bytes(), b".1"]);
        let _ = sys::renameat2(AT_FDCWD, path, AT_FDCWD, first.c(), 0);
    }
    let _ = sys::close(file);
}

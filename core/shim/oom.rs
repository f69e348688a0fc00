//! What the kernel's out-of-memory killer did in a container's cgroup, read before the cgroup goes.

use core::ffi::CStr;

use crate::ending;
use crate::records::read_file;
use crate::sys::{Ended, SIGKILL};
use crate::text::{Text, parse_dec};
use crate::wire::{Cgroup, Oom};

/// v1 has no word for no limit: it is the largest number of pages.
const UNLIMITED: u64 = 1 << 60;

/// All of it; zeros where nothing was killed, or nothing is counted.
pub fn look(cgroup: &Cgroup) -> Oom {
    let Some(path) = cgroup.oom else { return Oom::default() };
    match kills(cgroup) {
        0 => Oom::default(),
        kills => Oom { kills, ..limits(path) },
    }
}

/// How many processes it has killed: the v1 and the v2 file both have a line `oom_kill N`.
pub fn kills(cgroup: &Cgroup) -> u64 {
    cgroup.oom.map_or(0, |path| line(path, b"oom_kill "))
}

/// Whether a process may have ended by it: by its signal, or with the code that a shell makes of that in a child.
pub fn is_possible(ended: &Ended) -> bool {
    ending::status(ended) == 128 + SIGKILL
}

/// The limit and how it was met, by the files beside the one that counts.
fn limits(path: &CStr) -> Oom {
    let (dir, name) = split(path.to_bytes());
    let number = |file: &[u8]| {
        let mut path = Text::<4096>::of(&[dir, file]);
        let mut text = [0; 32];
        let n = read_file(path.c(), &mut text).unwrap_or(0);
        parse_dec(text[..n].trim_ascii()).filter(|n| *n < UNLIMITED).unwrap_or(0)
    };
    let (limit, peak, hits) = match name {
        b"memory.events" => (number(b"memory.max"), number(b"memory.peak"), line(path, b"oom ")),
        // What fails at a limit of memory and swap together is not counted by every kernel; that memory's own is full tells.
        _ => {
            let (limit, peak) = (number(b"memory.limit_in_bytes"), number(b"memory.max_usage_in_bytes"));
            let counted = number(b"memory.failcnt").max(number(b"memory.memsw.failcnt"));
            (limit, peak, counted.max((limit > 0 && peak >= limit) as u64))
        }
    };
    Oom { kills: 0, limit, peak, hits }
}

/// A path's directory with its slash, and the name.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let at = path.iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    path.split_at(at)
}

/// The number in the line that begins so.
fn line(path: &CStr, name: &[u8]) -> u64 {
    let mut text = [0; 512];
    let n = read_file(path, &mut text).unwrap_or(0);
    let mut lines = text[..n].split(|b| *b == b'\n');
    lines.find_map(|line| line.strip_prefix(name)).and_then(parse_dec).unwrap_or(0)
}

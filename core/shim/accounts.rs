//! Lines in the container's files about users, for who has no name there otherwise.
//!
//! They go into what the container writes, as if somebody inside had added them: the image stays as it is, and a program
//! that puts another file in the place of the whole still can. A file that is missing, that a link stands for, or
//! that is mounted is the image's or the caller's to fill.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use crate::user;
use crate::wire::{Launch, Step};

/// Longer lines are no account's.
const MOST_LINE: usize = 4096;

/// All of a plan, before its root is made read-only.
pub fn add_all(root: Fd, launch: &Launch<'static>) -> Outcome {
    launch.accounts.iter().try_for_each(|(path, line)| add(root, path, line.to_bytes()).at(Step::Account, path))
}

fn add(root: Fd, path: &CStr, line: &[u8]) -> sys::Result {
    // To be read first: what is only opened for writing is copied up already.
    let Some(file) = open(root, path, sys::O_RDONLY)? else { return Ok(()) };
    let there = user::read_open(file);
    let _ = sys::close(file);
    let there = match there {
        Err(Errno::EFBIG) => return Ok(()),
        there => there?,
    };
    if there.split(|b| *b == b'\n').any(|other| is_same(other, line)) {
        return Ok(());
    }
    let Some(file) = open(root, path, sys::O_WRONLY | sys::O_APPEND)? else { return Ok(()) };
    let begin: &[u8] = if there.last().is_some_and(|last| *last != b'\n') { b"\n" } else { b"" };
    let text: Text<MOST_LINE> = Text::of(&[begin, line, b"\n"]);
    let written = if text.is_cut() { Ok(()) } else { sys::write_all(file, text.bytes()) };
    let _ = sys::close(file);
    written
}

/// Through no link and onto no mount. Nothing where there is no such file of the container's own.
fn open(root: Fd, path: &CStr, flags: i32) -> sys::Result<Option<Fd>> {
    let how = sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_SYMLINKS | sys::RESOLVE_NO_MAGICLINKS | sys::RESOLVE_NO_XDEV;
    // O_NONBLOCK: a pipe in its place must not stop the start.
    let fd = match sys::openat2(root, path, flags | sys::O_NONBLOCK | sys::O_NOCTTY, 0, how) {
        Err(
            Errno::ENOENT | Errno::ENOTDIR | Errno::EISDIR | Errno::ELOOP | Errno::EXDEV | Errno::EACCES | Errno::ENXIO,
        ) => {
            return Ok(None);
        }
        other => other?,
    };
    if sys::fstat(fd)?.kind() == sys::S_IFREG {
        return Ok(Some(fd));
    }
    sys::close(fd).map(|()| None)
}

/// By the name or the number, the first and the third field of passwd(5) and group(5).
fn is_same(one: &[u8], other: &[u8]) -> bool {
    let [one, other] = [one, other].map(|line| {
        let mut fields = line.split(|b| *b == b':');
        (fields.next().unwrap_or_default(), fields.nth(1).and_then(user::id))
    });
    one.0 == other.0 || one.1.is_some() && one.1 == other.1
}

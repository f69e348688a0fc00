//! Paths in the container, resolved once to a descriptor that then stands for them.
//!
//! The image's files are hostile: every path is walked with the container's root as its root, through no
//! magic link, and what is missing is made one component at a time from a directory already held open.

use core::ffi::CStr;

use crate::fail::{Fail, Outcome};
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use crate::wire::Step;

/// What to make where nothing is.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Missing {
    /// A directory, with its parents.
    Directory,
    /// An empty file, with its parents.
    File,
    /// Nothing: the path stays missing.
    Nothing,
}

/// An `O_PATH` descriptor of a path in the container; `None` when it is missing and stays so.
pub fn open(root: Fd, path: &'static CStr, missing: Missing, step: Step) -> Outcome<Option<Fd>> {
    let fail =
        |errno| Fail { step: if errno == Errno::ELOOP { Step::Hostile } else { step }, errno, detail: path.to_bytes() };
    match sys::openat2(root, relative(path), sys::O_PATH, 0, how(path)) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::ENOENT | Errno::ENOTDIR) if missing == Missing::Nothing => Ok(None),
        Err(Errno::ENOENT) => make(root, path, missing).map(Some).map_err(fail),
        Err(errno) => Err(fail(errno)),
    }
}

/// The same, for a path that has to exist or be made.
pub fn require(root: Fd, path: &'static CStr, missing: Missing, step: Step) -> Outcome<Fd> {
    open(root, path, missing, step)?.ok_or(Fail { step, errno: Errno::ENOENT, detail: path.to_bytes() })
}

/// What `statfs(2)` calls a /proc.
pub const PROC_SUPER_MAGIC: u64 = 0x9fa0;

/// A link of the image or of a volume must not lead a mount onto what the kernel says in /proc.
pub fn check_place(target: Fd, path: &'static CStr) -> Outcome {
    match is_own(path) || sys::fs_magic(target) != Ok(PROC_SUPER_MAGIC) {
        true => Ok(()),
        false => Err(Fail { step: Step::Hostile, errno: Errno::ELOOP, detail: path.to_bytes() }),
    }
}

/// An `O_PATH` descriptor of a directory in the container, made when it is missing.
pub fn directory(root: Fd, path: &CStr) -> sys::Result<Fd> {
    match sys::openat2(root, relative(path), sys::O_PATH | sys::O_DIRECTORY, 0, how(path)) {
        Err(Errno::ENOENT) => make(root, path, Missing::Directory),
        other => other,
    }
}

/// Without the slashes at the beginning; `.` for the root itself.
pub fn relative(path: &CStr) -> &CStr {
    let bytes = path.to_bytes_with_nul();
    let slashes = bytes.iter().take_while(|b| **b == b'/').count();
    match CStr::from_bytes_with_nul(&bytes[slashes..]) {
        Ok(rest) if !rest.is_empty() => rest,
        _ => c".",
    }
}

/// Whether the container's own file systems belong there.
pub fn is_own(path: &CStr) -> bool {
    let inside = relative(path).to_bytes();
    let below = |dir: &[u8]| inside.strip_prefix(dir).is_some_and(|rest| rest.is_empty() || rest[0] == b'/');
    below(b"proc") || below(b"dev") || below(b"sys")
}

/// There the image may have no link at all.
fn how(path: &CStr) -> u64 {
    sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS | if is_own(path) { sys::RESOLVE_NO_SYMLINKS } else { 0 }
}

/// Links that lead nowhere are followed by hand, inside the root, so that what they name can be made.
const MOST_LINKS: u32 = 8;

fn make(root: Fd, path: &CStr, missing: Missing) -> sys::Result<Fd> {
    match make_last(root, path, missing) {
        // More of it is missing, a link has the name, or it ends in a slash.
        Err(Errno::ENOENT | Errno::EEXIST | Errno::EINVAL) => make_all(root, path, missing),
        done => done,
    }
}

/// The common case: only the last component is missing.
fn make_last(root: Fd, path: &CStr, missing: Missing) -> sys::Result<Fd> {
    let (dir, name) = split(path);
    let parent = if dir.is_empty() { root } else { open_directory(root, dir, how(path))? };
    let made = make_in(parent, name, missing);
    close_below(root, parent);
    made
}

/// The directory's path inside the root, empty for the root itself, and the last component.
pub fn split(path: &CStr) -> (&[u8], &[u8]) {
    let inside = relative(path).to_bytes();
    match inside.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&inside[..slash], &inside[slash + 1..]),
        None => (b"", inside),
    }
}

/// An `O_PATH` descriptor of a directory in the container; the root's own for an empty path.
pub fn parent(root: Fd, dir: &[u8]) -> sys::Result<Fd> {
    if dir.is_empty() { Ok(root) } else { open_directory(root, dir, sys::RESOLVE_IN_ROOT) }
}

/// The same, where the container's own file systems belong.
pub fn parent_of_own(root: Fd, dir: &[u8]) -> sys::Result<Fd> {
    open_directory(root, dir, sys::RESOLVE_IN_ROOT | sys::RESOLVE_NO_MAGICLINKS | sys::RESOLVE_NO_SYMLINKS)
}

fn open_directory(root: Fd, dir: &[u8], how: u64) -> sys::Result<Fd> {
    let mut dir: Text<4096> = Text::of(&[dir]);
    sys::openat2(root, dir.c(), sys::O_PATH | sys::O_DIRECTORY, 0, how)
}

fn make_all(root: Fd, path: &CStr, missing: Missing) -> sys::Result<Fd> {
    let mut path: Text<4096> = Text::of(&[relative(path).to_bytes()]);
    for _ in 0..MOST_LINKS {
        if path.is_cut() {
            return Err(Errno::ENAMETOOLONG);
        }
        match walk(root, &mut path, missing)? {
            Some(made) => return Ok(made),
            None => continue,
        }
    }
    Err(Errno::ELOOP)
}

/// Walks down, making what is missing; `None` when a link was met, which `path` now goes around.
fn walk(root: Fd, path: &mut Text<4096>, missing: Missing) -> sys::Result<Option<Fd>> {
    let (mut at, length, how) = (root, path.bytes().len(), how(path.c()));
    for end in (0..length).filter(|i| path.bytes()[*i] == b'/').chain([length]) {
        let mut prefix: Text<4096> = Text::of(&[&path.bytes()[..end]]);
        let start = prefix.bytes().iter().rposition(|b| *b == b'/').map_or(0, |slash| slash + 1);
        if start == end {
            continue;
        }
        let (last, name) = (end == length, &path.bytes()[start..end]);
        let flags = if last { sys::O_PATH } else { sys::O_PATH | sys::O_DIRECTORY };
        let next = match sys::openat2(root, prefix.c(), flags, 0, how) {
            Err(Errno::ENOENT) => make_in(at, name, if last { missing } else { Missing::Directory }),
            other => other,
        };
        if next == Err(Errno::EEXIST) && how & sys::RESOLVE_NO_SYMLINKS == 0 {
            let around = around(at, path.bytes(), start, end);
            close_below(root, at);
            *path = around?;
            return Ok(None);
        }
        close_below(root, at);
        at = next.map_err(|e| if e == Errno::EEXIST { Errno::ELOOP } else { e })?;
    }
    Ok(Some(at))
}

fn close_below(root: Fd, at: Fd) {
    if at != root {
        let _ = sys::close(at);
    }
}

/// The path with the link at `start..end` replaced by what it says.
fn around(parent: Fd, path: &[u8], start: usize, end: usize) -> sys::Result<Text<4096>> {
    let mut name: Text<256> = Text::of(&[&path[start..end]]);
    let mut link = [0; 1024];
    let n = sys::readlinkat(parent, name.c(), &mut link)?;
    let before = if link[0] == b'/' { &b""[..] } else { &path[..start] };
    let said: Text<4096> = Text::of(&[before, &link[..n], &path[end..], b"\0"]);
    let inside = CStr::from_bytes_until_nul(said.bytes()).map_err(|_| Errno::EINVAL)?;
    Ok(Text::of(&[relative(inside).to_bytes()]))
}

/// Makes what is missing in a directory; where a name is taken, by a link too, that is an error.
pub fn make_in(parent: Fd, name: &[u8], missing: Missing) -> sys::Result<Fd> {
    let mut name: Text<256> = Text::of(&[name]);
    if name.is_cut() || matches!(name.bytes(), b"" | b"." | b"..") {
        return Err(Errno::EINVAL);
    }
    let name = name.c();
    // A link that leads nowhere has the name already: EEXIST, and nothing is made through it here.
    let made = match missing {
        Missing::File => sys::mknodat(parent, name, sys::S_IFREG | 0o644, 0),
        _ => sys::mkdirat(parent, name, 0o755),
    };
    made?;
    sys::openat(parent, name, sys::O_PATH | sys::O_NOFOLLOW, 0)
}

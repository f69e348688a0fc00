//! Names in an archive: cleaned, checked, and told apart from whiteout marks.

use std::ops::Range;

/// Longest file name of every file system that a store may be on.
pub const NAME_MAX: usize = 255;
/// Longest path that a system call takes, its NUL aside.
const PATH_MAX: usize = 4095;

const WHITEOUT: &[u8] = b".wh.";
const WHITEOUT_META: &[u8] = b".wh..wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";

/// Why a name is refused.
pub type Refusal = &'static str;

/// Writes `raw` as `a/b/c` into `clean`: no leading slash, no `.` and no empty parts. The root is empty.
pub fn clean(raw: &[u8], clean: &mut Vec<u8>) -> Result<(), Refusal> {
    clean.clear();
    if raw.contains(&0) {
        return Err("the name contains a NUL byte");
    }
    for part in raw.split(|b| *b == b'/') {
        match part {
            b"" | b"." => continue,
            b".." => return Err("the name contains '..'"),
            _ if part.len() > NAME_MAX => return Err("a part of the name is longer than 255 bytes"),
            _ => push(clean, part),
        }
    }
    match clean.len() > PATH_MAX {
        true => Err("the name is longer than 4095 bytes"),
        false => Ok(()),
    }
}

/// Refuses a place that no system call could name: symlinks of the layer can lead to far deeper ones than names do.
pub fn fits(place: &[u8]) -> Result<(), Refusal> {
    match place.len() > PATH_MAX {
        true => Err("through the layer's symlinks it lies at a path of more than 4095 bytes"),
        false => Ok(()),
    }
}

/// Appends `part` to `path`.
pub fn push(path: &mut Vec<u8>, part: &[u8]) {
    if !path.is_empty() {
        path.push(b'/');
    }
    path.extend_from_slice(part);
}

/// The path of `name` within `parent`.
pub fn join(parent: &[u8], name: &[u8]) -> Vec<u8> {
    let mut path = Vec::with_capacity(parent.len() + 1 + name.len());
    path.extend_from_slice(parent);
    push(&mut path, name);
    path
}

/// A clean path's parent and last part.
pub fn split(path: &[u8]) -> (&[u8], &[u8]) {
    match path.iter().rposition(|b| *b == b'/') {
        Some(slash) => (&path[..slash], &path[slash + 1..]),
        None => (b"", path),
    }
}

/// What a clean path means in a layer (OCI image-spec, layer.md, "Representing Changes").
#[derive(Debug, PartialEq, Eq)]
pub enum Meaning {
    /// A file of that name.
    File,
    /// The name in this range of the path is deleted from the layers below.
    Whiteout(Range<usize>),
    /// The parent directory hides what the layers below have in it.
    Opaque,
    /// AUFS's own bookkeeping, which old images carry: to be skipped.
    Bookkeeping,
}

/// Tells what `path` means.
pub fn meaning(path: &[u8]) -> Result<Meaning, Refusal> {
    // Nearly every path of every image ends here.
    if !contains(path, WHITEOUT) {
        return Ok(Meaning::File);
    }
    let (parent, name) = split(path);
    for part in parent.split(|b| *b == b'/') {
        match part {
            _ if part.starts_with(WHITEOUT_META) => return Ok(Meaning::Bookkeeping),
            _ if part.starts_with(WHITEOUT) => return Err("a whiteout is used as a directory"),
            _ => {}
        }
    }
    match name {
        OPAQUE => Ok(Meaning::Opaque),
        _ if name.starts_with(WHITEOUT_META) => Ok(Meaning::Bookkeeping),
        _ if name.starts_with(WHITEOUT) => hidden(path, name),
        _ => Ok(Meaning::File),
    }
}

fn hidden(path: &[u8], name: &[u8]) -> Result<Meaning, Refusal> {
    match &name[WHITEOUT.len()..] {
        b"" | b"." | b".." => Err("a whiteout names no file"),
        name => Ok(Meaning::Whiteout(path.len() - name.len()..path.len())),
    }
}

fn contains(haystack: &[u8], needle: &[u8]) -> bool {
    haystack.windows(needle.len()).any(|w| w == needle)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cleaned(raw: &[u8]) -> Result<String, Refusal> {
        let mut out = Vec::new();
        clean(raw, &mut out).map(|()| String::from_utf8(out).unwrap())
    }

    #[test]
    fn names_are_made_relative_and_plain() {
        assert_eq!(cleaned(b"./a//b/./c/").unwrap(), "a/b/c");
        assert_eq!(cleaned(b"/etc/passwd").unwrap(), "etc/passwd");
        for root in [&b""[..], b".", b"/", b"./", b"/./."] {
            assert_eq!(cleaned(root).unwrap(), "", "{root:?}");
        }
    }

    #[test]
    fn what_could_leave_the_root_is_refused() {
        for bad in [&b".."[..], b"../x", b"a/../b", b"/..", b"a/..", b"a\0b"] {
            assert!(cleaned(bad).is_err(), "{bad:?}");
        }
        assert!(cleaned(&[b'x'; 255]).is_ok());
        assert!(cleaned(&[b'x'; 256]).is_err());
        assert!(cleaned(&b"x/".repeat(2048)).is_ok());
        assert!(cleaned(&b"xy/".repeat(2048)).is_err());
    }

    #[test]
    fn whiteouts_are_told_apart() {
        let m = |p: &str| meaning(p.as_bytes());
        assert_eq!(m("a/.wh.b"), Ok(Meaning::Whiteout(6..7)));
        assert_eq!(m(".wh..b"), Ok(Meaning::Whiteout(4..6)));
        assert_eq!(m("a/.wh..wh..opq"), Ok(Meaning::Opaque));
        assert_eq!(m(".wh..wh.plnk/1.2"), Ok(Meaning::Bookkeeping));
        assert_eq!(m("a/.wh..wh.aufs"), Ok(Meaning::Bookkeeping));
        assert_eq!(m("a/b.wh.c"), Ok(Meaning::File));
        for bad in [".wh.", "a/.wh..", "a/.wh...", ".wh.a/b"] {
            assert!(m(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn split_and_join_are_inverse() {
        for path in [&b"a"[..], b"a/b", b"a/b/c"] {
            let (parent, name) = split(path);
            assert_eq!(join(parent, name), path);
        }
    }
}

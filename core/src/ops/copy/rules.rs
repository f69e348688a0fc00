//! Where a copy goes: the rules of `docker cp`.

use std::os::fd::OwnedFd;

use nix::fcntl::OFlag;

use super::COPY;
use super::tree::{Found, Tree};
use crate::error::{Error, Kind, Result};

/// So many links are followed in one path, as in the kernel.
const MOST_LINKS: u32 = 40;

/// What of the source a copy has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Name {
    /// All of it, under this name.
    Whole(Vec<u8>),
    /// What is in the directory.
    Contents,
}

impl Name {
    /// Of a source's path: `a/b/.`, `.`, `..` and `/` are their contents.
    pub fn of(path: &str) -> Name {
        match last(path) {
            "" | "." | ".." => Name::Contents,
            name => Name::Whole(name.as_bytes().to_vec()),
        }
    }
}

fn last(path: &str) -> &str {
    let path = path.trim_end_matches('/');
    path.rsplit('/').next().unwrap_or(path)
}

/// Whether only a directory can be meant.
pub fn asserts_directory(path: &str) -> bool {
    path.ends_with('/') || path.ends_with("/.") || path == "."
}

/// Where a copy goes.
#[derive(Debug)]
pub enum Place {
    /// A directory, opened.
    Directory(OwnedFd),
    /// A name in a directory; something else than a directory has it, or nothing has.
    Named { parent: OwnedFd, name: Vec<u8>, existing: bool },
}

/// The place that a destination's path leads to, through all links.
pub fn place(tree: &mut dyn Tree, path: &str) -> Result<Place> {
    if path.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, COPY, "").because("the destination path is empty"));
    }
    let mut path = path.as_bytes().to_vec();
    for _ in 0..MOST_LINKS {
        if let Some(Found { item, fd: Some(fd), .. }) = tree.find(&path, true)?.filter(|f| f.item.is_dir()) {
            debug_assert!(item.is_dir());
            return Ok(Place::Directory(fd));
        }
        let (parent, name) = split(&path);
        let at_name = [parent, name].concat();
        match tree.find(&at_name, false)? {
            // Where it leads there is no directory, or nothing yet.
            Some(found) if !found.item.link.is_empty() => path = join(parent, &found.item.link),
            found => {
                let (parent, name) = (open_parent(tree, parent)?, name.to_vec());
                return Ok(Place::Named { parent, name, existing: found.is_some() });
            }
        }
    }
    Err(Error::errno_in(libc::ELOOP, COPY, String::from_utf8_lossy(&path)))
}

/// The path of what a path's last name leads to, link after link; there may be nothing yet.
pub fn end_of_links(tree: &mut dyn Tree, path: &[u8]) -> Result<Vec<u8>> {
    let mut path = path.to_vec();
    for _ in 0..MOST_LINKS {
        let (parent, name) = split(&path);
        match tree.find(&[parent, name].concat(), false)? {
            Some(found) if !found.item.link.is_empty() => path = join(parent, &found.item.link),
            _ => return Ok(path),
        }
    }
    Err(Error::errno_in(libc::ELOOP, COPY, String::from_utf8_lossy(&path)))
}

/// The parent with its slash, and the last name without one.
fn split(path: &[u8]) -> (&[u8], &[u8]) {
    let end = path.iter().rposition(|b| *b != b'/').map_or(0, |at| at + 1);
    let start = path[..end].iter().rposition(|b| *b == b'/').map_or(0, |at| at + 1);
    path[..end].split_at(start)
}

fn join(parent: &[u8], link: &[u8]) -> Vec<u8> {
    if link.starts_with(b"/") { link.to_vec() } else { [parent, link].concat() }
}

fn open_parent(tree: &mut dyn Tree, parent: &[u8]) -> Result<OwnedFd> {
    let path = if parent.is_empty() { b"." } else { parent };
    let failed = |errno| Error::errno_in(errno, COPY, String::from_utf8_lossy(path));
    match tree.find(path, true)? {
        Some(Found { item, fd: Some(fd), .. }) if item.is_dir() => Ok(fd),
        Some(_) => Err(failed(libc::ENOTDIR).with_kind(Kind::InvalidArgument)),
        None => Err(failed(libc::ENOENT).hint("make the directory first")),
    }
}

/// The `open(2)` flags of a mode as of `fopen(3)`: `r`, `r+`, `w`, `w+`, `a`, `a+`, and `x` as in `wx` or `x`.
pub fn open_flags(mode: &str) -> Result<OFlag> {
    let plain: String = mode.chars().filter(|c| !matches!(c, 'b' | 't' | 'e')).collect();
    let update = plain.contains('+');
    let access = |alone: OFlag| if update { OFlag::O_RDWR } else { alone };
    let flags = match plain.replace('+', "").as_str() {
        "r" => access(OFlag::O_RDONLY),
        "w" => access(OFlag::O_WRONLY) | OFlag::O_CREAT | OFlag::O_TRUNC,
        "a" => access(OFlag::O_WRONLY) | OFlag::O_CREAT | OFlag::O_APPEND,
        "x" | "wx" => access(OFlag::O_WRONLY) | OFlag::O_CREAT | OFlag::O_EXCL,
        "ax" => access(OFlag::O_WRONLY) | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_APPEND,
        _ => {
            return Err(Error::new(Kind::InvalidArgument, "read mode", format!("{mode:?}"))
                .because("expected one of: r r+ w w+ a a+ x x+ ax ax+"));
        }
    };
    Ok(flags)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_docker_s() {
        let whole = |name: &str| Name::Whole(name.as_bytes().to_vec());
        for (path, name) in [("/a/b", whole("b")), ("a/", whole("a")), ("a//", whole("a")), ("/a/b/.", Name::Contents)]
        {
            assert_eq!(Name::of(path), name, "{path}");
        }
        for path in ["/", ".", "..", "./", "/a/.."] {
            assert_eq!(Name::of(path), Name::Contents, "{path}");
        }
    }

    #[test]
    fn paths_are_cut_at_their_last_name() {
        assert_eq!(split(b"/a/b"), (&b"/a/"[..], &b"b"[..]));
        assert_eq!(split(b"a/b//"), (&b"a/"[..], &b"b"[..]));
        assert_eq!(split(b"a"), (&b""[..], &b"a"[..]));
        assert_eq!(join(b"/a/", b"b"), b"/a/b");
        assert_eq!(join(b"/a/", b"/b"), b"/b");
    }

    #[test]
    fn modes_are_fopen_s() {
        assert_eq!(open_flags("rb").unwrap(), OFlag::O_RDONLY);
        assert_eq!(open_flags("r+").unwrap(), OFlag::O_RDWR);
        assert_eq!(open_flags("xb").unwrap(), OFlag::O_WRONLY | OFlag::O_CREAT | OFlag::O_EXCL);
        for bad in ["", "q", "rw", "b"] {
            assert_eq!(open_flags(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad}");
        }
    }
}

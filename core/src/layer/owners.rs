//! The owners that a plain user's layer lacks, read back from its sidecar.

use std::collections::HashMap;
use std::io::Read;
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;

use super::tree::{self, Missing, Tree};
use super::{FILES, SIDECAR, name};
use crate::error::{Context, Error, Kind, Result};

/// A file's owner.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Owner {
    /// Below [`FILES`]; `.` for the root itself. No part is a symlink, but for the last.
    pub path: Vec<u8>,
    /// User, as in the image.
    pub uid: u32,
    /// Group, as in the image.
    pub gid: u32,
}

/// What a layer just unpacked into `into` says of owners other than root, of files that are there.
pub fn owners(into: BorrowedFd<'_>) -> Result<Vec<Owner>> {
    let mut text = Vec::new();
    let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let file = openat(into, SIDECAR, flags, Mode::empty()).context("read sidecar", "")?;
    std::fs::File::from(file).read_to_end(&mut text).context("read sidecar", "")?;
    let last = last_words(&text).ok_or_else(|| Error::new(Kind::Store, "read sidecar", "").because("it is damaged"))?;
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
    let mut files = Tree::new(openat(into, FILES, flags, Mode::empty()).context("read layer", "")?);
    let mut owners = Vec::new();
    for (path, (uid, gid)) in last.into_iter().filter(|(_, ids)| *ids != (0, 0)) {
        if path.is_empty() || is_there(&mut files, path).context("read layer", path.escape_ascii())? {
            owners.push(Owner { path: if path.is_empty() { b"." } else { path }.to_vec(), uid, gid });
        }
    }
    owners.sort();
    Ok(owners)
}

type Ids = (u32, u32);

fn last_words(text: &[u8]) -> Option<HashMap<&[u8], Ids>> {
    let mut records = text.strip_suffix(b"\0")?.split(|b| *b == 0);
    if records.next()? != b"sampan-layer 1" {
        return None;
    }
    records.filter_map(|r| r.strip_prefix(b"o ")).map(owner).collect()
}

fn owner(record: &[u8]) -> Option<(&[u8], Ids)> {
    let mut words = record.splitn(4, |b| *b == b' ');
    let mut id = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let ids = (id()?, id()?);
    words.next()?;
    Some((words.next()?, ids))
}

/// A later entry may have taken the file away, or put something else where its directory was.
fn is_there(files: &mut Tree, path: &[u8]) -> nix::Result<bool> {
    let (parent, last) = name::split(path);
    let Ok(dir) = files.dir(parent, Missing::Fail, &mut Vec::new()) else { return Ok(false) };
    match tree::stat(dir.fd.as_fd(), last) {
        Ok(_) => Ok(dir.path == parent),
        Err(Errno::ENOENT) => Ok(false),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_path_counts() {
        let text = b"sampan-layer 1\0o 1 2 100644 a b\0w x\0o 3 4 40755 d\0o 0 0 40755 d\0o 5 6 40755 \0";
        let all = last_words(text).unwrap();
        assert_eq!((all[&b"a b"[..]], all[&b"d"[..]], all[&b""[..]]), ((1, 2), (0, 0), (5, 6)));
        for bad in [&b""[..], b"sampan-layer 2\0", b"sampan-layer 1\0o 1 x 7 p\0", b"sampan-layer 1\0o 1 2\0"] {
            assert!(last_words(bad).is_none());
        }
    }
}

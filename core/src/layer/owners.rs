//! The owners and capabilities that a plain user's layer lacks, read back from its sidecar.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag};

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

/// What a plain user's process could not give to files.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Owed {
    /// Owners; root only where another may have been given.
    pub owners: Vec<Owner>,
    /// Paths below [`FILES`] and values of `security.capability`.
    pub capabilities: Vec<(Vec<u8>, Vec<u8>)>,
}

/// Bytes of the sidecar that are read at once: millions of files must not be held in memory.
pub(super) const BATCH: usize = 512 << 10;

/// What a layer just unpacked into `into` says of files that are there.
pub fn owed(into: BorrowedFd<'_>) -> Result<Debts> {
    Debts::open(into, BATCH)
}

/// What is owed, some files at a time. A file may come again: what is said of it later counts.
pub struct Debts {
    sidecar: BufReader<File>,
    files: Tree,
    batch: usize,
    text: Vec<u8>,
    /// Some has been given: what is root's after all may have got another's owner.
    begun: bool,
}

impl Debts {
    pub(super) fn open(into: BorrowedFd<'_>, batch: usize) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(into, SIDECAR, flags, Mode::empty()).context("read sidecar", "")?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let files = Tree::new(openat(into, FILES, flags, Mode::empty()).context("read layer", "")?);
        let mut debts = Debts { sidecar: BufReader::new(file.into()), files, batch, text: Vec::new(), begun: false };
        debts.record()?;
        match debts.text.as_slice() {
            b"sampan-layer 1\0" => Ok(debts),
            _ => Err(damaged()),
        }
    }

    /// Adds a record to the text; false at the end.
    fn record(&mut self) -> Result<bool> {
        let n = self.sidecar.read_until(0, &mut self.text).context("read sidecar", "")?;
        match n > 0 && self.text.last() != Some(&0) {
            true => Err(damaged()),
            false => Ok(n > 0),
        }
    }

    /// The next; `None` at the end.
    pub fn next(&mut self) -> Result<Option<Owed>> {
        self.text.clear();
        while self.text.len() < self.batch && self.record()? {}
        if self.text.is_empty() {
            return Ok(None);
        }
        let last = last_words(&self.text).ok_or_else(damaged)?;
        let owed = look_up(&mut self.files, last, self.begun)?;
        self.begun = true;
        Ok(Some(owed))
    }
}

fn damaged() -> Error {
    Error::new(Kind::Store, "read sidecar", "").because("it is damaged")
}

/// Of what is said, what holds for files that are there; of what is root's only `with_root_s`.
fn look_up(files: &mut Tree, said: HashMap<&[u8], Word>, with_root_s: bool) -> Result<Owed> {
    let mut owed = Owed::default();
    let counts = |word: &Word| word.ids.is_some_and(|ids| with_root_s || ids != (0, 0));
    for (path, word) in said.into_iter().filter(|(_, word)| counts(word) || word.capability.is_some()) {
        let found = find(files, path).context("read layer", path.escape_ascii())?;
        let Some(is_file) = found else { continue };
        if let (true, Some((uid, gid))) = (counts(&word), word.ids) {
            owed.owners.push(Owner { path: if path.is_empty() { b"." } else { path }.to_vec(), uid, gid });
        }
        owed.capabilities.extend(word.capability.filter(|_| is_file).map(|value| (path.to_vec(), value)));
    }
    owed.owners.sort();
    owed.capabilities.sort();
    Ok(owed)
}

/// The last word on a path.
#[derive(Debug, Default, PartialEq, Eq)]
struct Word {
    /// `None` when no owner was told, which is root's unless it was told before.
    ids: Option<(u32, u32)>,
    capability: Option<Vec<u8>>,
}

fn last_words(text: &[u8]) -> Option<HashMap<&[u8], Word>> {
    let mut words = HashMap::<&[u8], Word>::new();
    for record in text.strip_suffix(b"\0")?.split(|b| *b == 0) {
        match record {
            [b'o', b' ', rest @ ..] => {
                let (path, ids) = owner(rest)?;
                // A new file has come there, without the capabilities of the one before.
                words.insert(path, Word { ids: Some(ids), capability: None });
            }
            [b'c', b' ', rest @ ..] => {
                let at = rest.iter().position(|b| *b == b' ')?;
                words.entry(&rest[at + 1..]).or_default().capability = Some(unhex(&rest[..at])?);
            }
            _ => {}
        }
    }
    Some(words)
}

fn owner(record: &[u8]) -> Option<(&[u8], (u32, u32))> {
    let mut words = record.splitn(4, |b| *b == b' ');
    let mut id = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let ids = (id()?, id()?);
    words.next()?;
    Some((words.next()?, ids))
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

/// Whether a file is there, and a regular one: a later entry may have taken it away, or put something else
/// where its directory was.
fn find(files: &mut Tree, path: &[u8]) -> nix::Result<Option<bool>> {
    let (parent, last) = name::split(path);
    if path.is_empty() {
        return Ok(Some(false));
    }
    let Ok(dir) = files.dir(parent, Missing::Fail, &mut Vec::new()) else { return Ok(None) };
    match tree::stat(dir.fd.as_fd(), last) {
        Ok(stat) => Ok((dir.path == parent).then(|| tree::is_a(&stat, SFlag::S_IFREG))),
        Err(Errno::ENOENT) => Ok(None),
        Err(errno) => Err(errno),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_word_on_a_path_counts() {
        let text = b"o 1 2 100644 a b\0w x\0c 01ff a b\0o 3 4 40755 d\0o 0 0 40755 d\0o 5 6 40755 \0\
            c 02 p q\0o 0 0 100644 p q\0";
        let all = last_words(text).unwrap();
        let word = |ids, capability: Option<&[u8]>| Word { ids: Some(ids), capability: capability.map(<[u8]>::to_vec) };
        assert_eq!(all[&b"a b"[..]], word((1, 2), Some(&[1, 255])));
        assert_eq!((&all[&b"d"[..]], &all[&b""[..]]), (&word((0, 0), None), &word((5, 6), None)));
        assert_eq!(all[&b"p q"[..]], word((0, 0), None));
        for bad in [&b""[..], b"o 1 x 7 p\0", b"o 1 2\0", b"c 01\0", b"c 0x p\0"] {
            assert!(last_words(bad).is_none());
        }
    }
}

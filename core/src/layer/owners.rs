//! The owners and capabilities that a plain user's layer lacks, read back from its sidecar.

use std::collections::HashMap;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::fcntl::{OFlag, openat};
use nix::sys::stat::{Mode, SFlag};

use super::spill::{BOUNDS, Sorted, Spill};
use super::tree::{self, Failure, Missing, Tree};
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

/// What is owed, some files at a time: first owners, of which what is said of a file later counts, then capabilities, since
/// the kernel takes those of a file that is given an owner by any of its names.
pub struct Debts {
    sidecar: BufReader<File>,
    files: Tree,
    batch: usize,
    text: Vec<u8>,
    /// Some has been given: what is root's after all may have got another's owner.
    begun: bool,
    capabilities: Capabilities,
}

impl Debts {
    pub(super) fn open(into: BorrowedFd<'_>, batch: usize) -> Result<Self> {
        let flags = OFlag::O_RDONLY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let file = openat(into, SIDECAR, flags, Mode::empty()).context("read sidecar", "")?;
        let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_NOFOLLOW | OFlag::O_CLOEXEC;
        let files = Tree::new(openat(into, FILES, flags, Mode::empty()).context("read layer", "")?);
        let noted = Capabilities::Noted { words: Spill::new(into, BOUNDS).context("read sidecar", "")?, any: false };
        let sidecar = BufReader::new(file.into());
        let mut debts = Debts { sidecar, files, batch, text: Vec::new(), begun: false, capabilities: noted };
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
            return self.next_capabilities();
        }
        self.capabilities.note(&self.text)?;
        let last = last_owners(&self.text).ok_or_else(damaged)?;
        let owners = look_up(&mut self.files, last, self.begun)?;
        self.begun = true;
        Ok(Some(Owed { owners, capabilities: Vec::new() }))
    }

    fn next_capabilities(&mut self) -> Result<Option<Owed>> {
        let (mut owed, mut size, mut ended) = (Owed::default(), 0, false);
        while size < self.batch && !ended {
            match self.capabilities.next()? {
                Some((path, value)) => {
                    size += path.len() + value.len();
                    // Only a regular file has any.
                    if found(&mut self.files, &path)? == Some(true) {
                        owed.capabilities.push((path, value));
                    }
                }
                None => ended = true,
            }
        }
        Ok((size > 0).then_some(owed))
    }
}

fn damaged() -> Error {
    Error::new(Kind::Store, "read sidecar", "").because("it is damaged")
}

/// Capabilities by path, of which the last word counts: nothing when a new file has come there without any.
enum Capabilities {
    /// Words as they come; owners are among them only once there is a capability that one could take.
    Noted {
        words: Spill,
        any: bool,
    },
    Sorted {
        words: Sorted,
        next: Option<(Vec<u8>, Vec<u8>)>,
    },
}

impl Capabilities {
    fn note(&mut self, text: &[u8]) -> Result<()> {
        let Capabilities::Noted { words, any } = self else { return Ok(()) };
        for record in text.split(|b| *b == 0) {
            let word = match record {
                [b'c', b' ', rest @ ..] => capability(rest).ok_or_else(damaged).map(Some)?,
                [b'o', b' ', rest @ ..] if *any => owner(rest).map(|(path, _)| (path, Vec::new())),
                _ => None,
            };
            let Some((path, value)) = word else { continue };
            *any = true;
            words.push(path, &value).context("sort capabilities", "")?;
        }
        Ok(())
    }

    /// Path and value of the next; `None` at the end.
    fn next(&mut self) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
        if let Capabilities::Noted { words, .. } = self {
            let mut words = words.sorted().context("sort capabilities", "")?;
            let next = following(&mut words)?;
            *self = Capabilities::Sorted { words, next };
        }
        let Capabilities::Sorted { words, next } = self else { return Ok(None) };
        while let Some((path, value)) = next.take() {
            *next = following(words)?;
            let is_last = next.as_ref().is_none_or(|(other, _)| *other != path);
            if is_last && !value.is_empty() {
                return Ok(Some((path, value)));
            }
        }
        Ok(None)
    }
}

fn following(words: &mut Sorted) -> Result<Option<(Vec<u8>, Vec<u8>)>> {
    let word = words.next().context("sort capabilities", "")?;
    Ok(word.map(|(path, value)| (path.to_vec(), value.to_vec())))
}

/// Of what is said, what holds for files that are there; of what is root's only `with_root_s`.
fn look_up(files: &mut Tree, said: HashMap<&[u8], (u32, u32)>, with_root_s: bool) -> Result<Vec<Owner>> {
    let mut owners = Vec::new();
    for (path, (uid, gid)) in said.into_iter().filter(|(_, ids)| with_root_s || *ids != (0, 0)) {
        if found(files, path)?.is_some() {
            owners.push(Owner { path: if path.is_empty() { b"." } else { path }.to_vec(), uid, gid });
        }
    }
    owners.sort();
    Ok(owners)
}

/// The last word on each path.
fn last_owners(text: &[u8]) -> Option<HashMap<&[u8], (u32, u32)>> {
    let records = text.strip_suffix(b"\0")?.split(|b| *b == 0);
    records.filter_map(|record| record.strip_prefix(b"o ")).map(owner).collect()
}

fn owner(record: &[u8]) -> Option<(&[u8], (u32, u32))> {
    let mut words = record.splitn(4, |b| *b == b' ');
    let mut id = || std::str::from_utf8(words.next()?).ok()?.parse().ok();
    let ids = (id()?, id()?);
    words.next()?;
    Some((words.next()?, ids))
}

fn capability(record: &[u8]) -> Option<(&[u8], Vec<u8>)> {
    let at = record.iter().position(|b| *b == b' ')?;
    Some((&record[at + 1..], unhex(&record[..at])?))
}

fn unhex(digits: &[u8]) -> Option<Vec<u8>> {
    let byte = |pair: &[u8]| u8::from_str_radix(std::str::from_utf8(pair).ok()?, 16).ok();
    digits.chunks(2).map(byte).collect()
}

fn found(files: &mut Tree, path: &[u8]) -> Result<Option<bool>> {
    find(files, path).context("read layer", path.escape_ascii())
}

/// Whether a file is there, and a regular one: a later entry may have taken it away, or put something else
/// where its directory was.
fn find(files: &mut Tree, path: &[u8]) -> nix::Result<Option<bool>> {
    let (parent, last) = name::split(path);
    if path.is_empty() {
        return Ok(Some(false));
    }
    let dir = match files.dir(parent, Missing::Fail, &mut Vec::new()) {
        Err(Failure::System(Errno::EACCES)) => return UNSEEN,
        Err(_) => return Ok(None),
        Ok(dir) => dir,
    };
    match tree::stat(dir.fd.as_fd(), last) {
        Ok(stat) => Ok((dir.path == parent).then(|| tree::is_a(&stat, SFlag::S_IFREG))),
        Err(Errno::ENOENT) => Ok(None),
        Err(Errno::EACCES) => UNSEEN,
        Err(errno) => Err(errno),
    }
}

/// In a directory that is closed to this user, by its mode or since it has its owner by now: as good as found. Who gives the
/// owners is root there, and passes over what is not as it is told (`core/shim/owners.rs`).
const UNSEEN: nix::Result<Option<bool>> = Ok(Some(true));

#[cfg(test)]
mod tests {
    use super::*;
    use crate::layer::spill::Bounds;

    const TEXT: &[u8] = b"o 1 2 100644 a b\0w x\0c 01ff a b\0o 3 4 40755 d\0o 0 0 40755 d\0o 5 6 40755 \0\
        c 02 p q\0o 0 0 100644 p q\0c 03 r\0c 04 r\0c 05 s\0";

    #[test]
    fn the_last_word_on_a_path_counts() {
        let all = last_owners(TEXT).unwrap();
        assert_eq!(
            (all[&b"a b"[..]], all[&b"d"[..]], all[&b""[..]], all[&b"p q"[..]]),
            ((1, 2), (0, 0), (5, 6), (0, 0))
        );
        assert_eq!(all.len(), 4);
        for bad in [&b""[..], b"o 1 x 7 p\0", b"o 1 2\0"] {
            assert!(last_owners(bad).is_none());
        }
    }

    #[test]
    fn so_it_does_on_capabilities_however_many_there_are() {
        let dir = tempfile::tempdir().unwrap();
        let into = File::open(dir.path()).unwrap();
        let noting = |bounds| Capabilities::Noted { words: Spill::new(into.as_fd(), bounds).unwrap(), any: false };
        for run in [32, BOUNDS.run] {
            let mut all = noting(Bounds { run, ..BOUNDS });
            TEXT.split_inclusive(|b| *b == 0).for_each(|record| all.note(record).unwrap());
            let told: Vec<_> = std::iter::from_fn(|| all.next().unwrap()).collect();
            assert_eq!(told, [(b"s".to_vec(), vec![5]), (b"r".to_vec(), vec![4]), (b"a b".to_vec(), vec![1, 255])]);
        }
        for bad in [&b"c 01\0"[..], b"c 0x p\0"] {
            assert!(noting(BOUNDS).note(bad).is_err());
        }
    }
}

//! More records than memory should hold, put in order: sorted runs in a file without a name, merged at the end.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;

use nix::fcntl::{OFlag, openat};
use nix::sys::stat::Mode;
use nix::unistd::{UnlinkatFlags, unlinkat};

/// How much is held.
#[derive(Clone, Copy, Debug)]
pub struct Bounds {
    /// Bytes of records in memory.
    pub run: usize,
    /// Runs in the file; beyond these all are merged into one.
    pub runs: usize,
    /// Bytes read at once of a run.
    pub buffer: usize,
}

/// A few MiB, whatever comes.
pub const BOUNDS: Bounds = Bounds { run: 2 << 20, runs: 64, buffer: 16 << 10 };

/// Records of a key and a value, as they come.
pub struct Spill {
    bounds: Bounds,
    /// Where the file is made, once it is needed.
    dir: OwnedFd,
    /// Lengths of key and value, then both; of each record.
    held: Vec<u8>,
    /// Where each begins.
    starts: Vec<u32>,
    spilled: Option<Spilled>,
}

/// Runs in a file, one behind the other.
struct Spilled {
    file: File,
    /// Where each ends.
    ends: Vec<u64>,
}

/// A record's two lengths.
const LENGTHS: usize = 8;

impl Spill {
    /// Holds records; what is too much goes into a file of `dir`'s file system.
    pub fn new(dir: BorrowedFd<'_>, bounds: Bounds) -> io::Result<Self> {
        let dir = dir.try_clone_to_owned()?;
        Ok(Spill { bounds, dir, held: Vec::new(), starts: Vec::new(), spilled: None })
    }

    /// Adds a record.
    pub fn push(&mut self, key: &[u8], value: &[u8]) -> io::Result<()> {
        if self.held.len() + LENGTHS + key.len() + value.len() > self.bounds.run {
            self.spill()?;
        }
        self.starts.push(self.held.len() as u32);
        append(&mut self.held, key, value);
        Ok(())
    }

    /// Writes what is held as a run, if anything is.
    fn spill(&mut self) -> io::Result<()> {
        if self.starts.is_empty() {
            return Ok(());
        }
        let full = self.spilled.as_ref().is_some_and(|s| s.ends.len() >= self.bounds.runs);
        if full {
            self.spilled = self.spilled.take().map(|s| self.merged(s)).transpose()?;
        }
        self.sort();
        let mut spilled = match self.spilled.take() {
            Some(spilled) => spilled,
            None => Spilled::new(self.dir.as_fd())?,
        };
        spilled.write(self.starts.iter().map(|start| whole(&self.held, *start)))?;
        self.held.clear();
        self.starts.clear();
        self.spilled = Some(spilled);
        Ok(())
    }

    /// The same records in one run of a new file.
    fn merged(&self, old: Spilled) -> io::Result<Spilled> {
        let mut new = Spilled::new(self.dir.as_fd())?;
        let mut merge = Merge::new(old, self.bounds.buffer)?;
        let (mut at, mut record) = (0, Vec::new());
        let mut out = io::BufWriter::with_capacity(self.bounds.buffer, &new.file);
        while let Some((key, value)) = merge.next()? {
            record.clear();
            append(&mut record, key, value);
            out.write_all(&record)?;
            at += record.len() as u64;
        }
        out.flush()?;
        drop(out);
        new.ends.push(at);
        Ok(new)
    }

    /// Descending by key; records of one key as they came.
    fn sort(&mut self) {
        let held = &self.held;
        self.starts.sort_by(|a, b| parts(held, *b).0.cmp(parts(held, *a).0));
    }

    /// Takes all records: keys descending, records of one key as they came.
    pub fn sorted(&mut self) -> io::Result<Sorted> {
        if self.spilled.is_some() {
            self.spill()?;
        }
        self.sort();
        let (held, starts) = (std::mem::take(&mut self.held), std::mem::take(&mut self.starts));
        match self.spilled.take() {
            Some(spilled) => Ok(Sorted::Merged(Merge::new(spilled, self.bounds.buffer)?)),
            None => Ok(Sorted::Held { held, starts: starts.into_iter() }),
        }
    }
}

/// Records in order.
pub enum Sorted {
    /// There were few.
    Held { held: Vec<u8>, starts: std::vec::IntoIter<u32> },
    /// There were many.
    Merged(Merge),
}

impl Sorted {
    /// Key and value of the next; `None` at the end.
    pub fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        match self {
            Sorted::Held { held, starts } => Ok(starts.next().map(|start| parts(held, start))),
            Sorted::Merged(merge) => merge.next(),
        }
    }
}

fn append(to: &mut Vec<u8>, key: &[u8], value: &[u8]) {
    to.extend_from_slice(&(key.len() as u32).to_ne_bytes());
    to.extend_from_slice(&(value.len() as u32).to_ne_bytes());
    to.extend_from_slice(key);
    to.extend_from_slice(value);
}

/// Lengths of key and value.
fn lengths(record: &[u8]) -> (usize, usize) {
    let at = |i: usize| u32::from_ne_bytes([record[i], record[i + 1], record[i + 2], record[i + 3]]) as usize;
    (at(0), at(4))
}

/// The bytes of the record that begins there.
fn whole(held: &[u8], start: u32) -> &[u8] {
    let record = &held[start as usize..];
    let (key, value) = lengths(record);
    &record[..LENGTHS + key + value]
}

fn parts(held: &[u8], start: u32) -> (&[u8], &[u8]) {
    let record = whole(held, start);
    record[LENGTHS..].split_at(lengths(record).0)
}

impl Spilled {
    fn new(dir: BorrowedFd<'_>) -> io::Result<Self> {
        Ok(Spilled { file: nameless(dir)?, ends: Vec::new() })
    }

    fn write<'a>(&mut self, records: impl Iterator<Item = &'a [u8]>) -> io::Result<()> {
        let mut at = self.ends.last().copied().unwrap_or(0);
        let mut out = io::BufWriter::with_capacity(64 << 10, &self.file);
        for record in records {
            out.write_all(record)?;
            at += record.len() as u64;
        }
        out.flush()?;
        drop(out);
        self.ends.push(at);
        Ok(())
    }
}

/// A file that goes with its last descriptor.
fn nameless(dir: BorrowedFd<'_>) -> io::Result<File> {
    const NAME: &str = ".spill";
    let mode = Mode::S_IRUSR | Mode::S_IWUSR;
    let flags = OFlag::O_RDWR | OFlag::O_CLOEXEC;
    if let Ok(file) = openat(dir, ".", flags | OFlag::O_TMPFILE, mode) {
        return Ok(file.into());
    }
    // NFS and some other file systems know no such file.
    let file = openat(dir, NAME, flags | OFlag::O_CREAT | OFlag::O_EXCL | OFlag::O_NOFOLLOW, mode)?;
    unlinkat(dir, NAME, UnlinkatFlags::NoRemoveDir)?;
    Ok(file.into())
}

/// Takes the records of all runs in order.
pub struct Merge {
    file: File,
    runs: Vec<Run>,
    heads: BinaryHeap<Head>,
    /// What was taken last; its run's next record goes into the same buffers.
    taken: Option<Head>,
}

/// What is left of a run.
struct Run {
    at: u64,
    end: u64,
    buffer: Vec<u8>,
    /// Where in the buffer the next record begins.
    next: usize,
}

/// The next record of a run: the greatest key first, of equal ones that of the earliest run.
#[derive(Default, PartialEq, Eq)]
struct Head {
    key: Vec<u8>,
    run: usize,
    value: Vec<u8>,
}

impl Ord for Head {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        (&self.key, Reverse(self.run)).cmp(&(&other.key, Reverse(other.run)))
    }
}

impl PartialOrd for Head {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Merge {
    fn new(spilled: Spilled, buffer: usize) -> io::Result<Self> {
        let starts = std::iter::once(&0).chain(&spilled.ends);
        let run = |(at, end): (&u64, &u64)| Run { at: *at, end: *end, buffer: Vec::with_capacity(buffer), next: 0 };
        let runs: Vec<_> = starts.zip(&spilled.ends).map(run).collect();
        let heads = BinaryHeap::with_capacity(runs.len());
        let mut merge = Merge { file: spilled.file, runs, heads, taken: None };
        (0..merge.runs.len()).try_for_each(|run| merge.refill(Head { run, ..Head::default() }))?;
        Ok(merge)
    }

    fn next(&mut self) -> io::Result<Option<(&[u8], &[u8])>> {
        if let Some(taken) = self.taken.take() {
            self.refill(taken)?;
        }
        self.taken = self.heads.pop();
        Ok(self.taken.as_ref().map(|head| (&head.key[..], &head.value[..])))
    }

    fn refill(&mut self, mut head: Head) -> io::Result<()> {
        if self.runs[head.run].read(&self.file, &mut head)? {
            self.heads.push(head);
        }
        Ok(())
    }
}

impl Run {
    fn read(&mut self, file: &File, head: &mut Head) -> io::Result<bool> {
        if !self.holds(file, LENGTHS)? {
            return Ok(false);
        }
        let (key, value) = lengths(&self.buffer[self.next..]);
        if !self.holds(file, LENGTHS + key + value)? {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let record = &self.buffer[self.next + LENGTHS..][..key + value];
        head.key.clear();
        head.key.extend_from_slice(&record[..key]);
        head.value.clear();
        head.value.extend_from_slice(&record[key..]);
        self.next += LENGTHS + key + value;
        Ok(true)
    }

    /// Reads on until so many bytes are at hand; false at the end.
    fn holds(&mut self, file: &File, wanted: usize) -> io::Result<bool> {
        if self.buffer.len() - self.next >= wanted {
            return Ok(true);
        }
        self.buffer.drain(..self.next);
        self.next = 0;
        let had = self.buffer.len();
        let room = self.buffer.capacity().max(wanted) - had;
        let more = (self.end - self.at).min(room as u64) as usize;
        self.buffer.resize(had + more, 0);
        file.read_exact_at(&mut self.buffer[had..], self.at)?;
        self.at += more as u64;
        Ok(self.buffer.len() >= wanted)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Small enough that a few records spill, and a few dozen are merged on the way.
    const TINY: Bounds = Bounds { run: 64, runs: 3, buffer: 16 };

    fn sorted(records: &[(Vec<u8>, Vec<u8>)], bounds: Bounds) -> Vec<(Vec<u8>, Vec<u8>)> {
        let dir = tempfile::tempdir().unwrap();
        let opened = File::open(dir.path()).unwrap();
        let mut spill = Spill::new(opened.as_fd(), bounds).unwrap();
        records.iter().for_each(|(key, value)| spill.push(key, value).unwrap());
        let (mut sorted, mut out) = (spill.sorted().unwrap(), Vec::new());
        while let Some((key, value)) = sorted.next().unwrap() {
            out.push((key.to_vec(), value.to_vec()));
        }
        assert_eq!(std::fs::read_dir(dir.path()).unwrap().count(), 0, "the file has no name");
        out
    }

    #[test]
    fn spilled_or_not_the_order_is_the_same() {
        for count in [0, 1, 2, 3, 40, 500] {
            // A fixed walk over few keys, so that most come several times; some are empty, some larger than a buffer.
            let key = |n: usize| format!("{:0>1$}", n * 7919 % 61, n * 31 % 40).into_bytes();
            let records: Vec<_> = (0..count).map(|n| (key(n), n.to_string().into_bytes())).collect();
            let mut expected = records.clone();
            expected.sort_by(|a, b| b.0.cmp(&a.0));
            assert_eq!(sorted(&records, BOUNDS), expected);
            assert_eq!(sorted(&records, TINY), expected, "{count} records");
        }
    }

    #[test]
    fn what_is_larger_than_memory_may_be_is_held_alone() {
        let large = [(vec![b'x'; 300], vec![b'y'; 300]), (vec![b'z'; 300], Vec::new())];
        assert_eq!(sorted(&large, TINY), [large[1].clone(), large[0].clone()]);
    }

    #[test]
    fn a_full_disk_is_told() {
        // A directory that is gone takes no file.
        let dir = tempfile::tempdir().unwrap();
        let opened = File::open(dir.path()).unwrap();
        let mut spill = Spill::new(opened.as_fd(), TINY).unwrap();
        drop(dir);
        let error = (0..9).find_map(|_| spill.push(&[b'k'; 30], b"v").err()).unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::ENOENT));
    }
}

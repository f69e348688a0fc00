//! The files of a log as one: those that were put aside, the oldest first, then the one that is written.

use std::io::{Read, Seek, SeekFrom};
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use crate::error::{Context as _, Result};
use crate::fs;

/// Open files; one that is put aside or deleted meanwhile is read to its end.
#[derive(Debug, Default)]
pub(in crate::ops) struct Chain {
    path: PathBuf,
    count: u32,
    files: Vec<fs::File>,
    /// The one that is read.
    at: usize,
}

impl Chain {
    /// Opens what there is of the log at this path, which may have so many files.
    pub fn open(path: &Path, count: u32) -> Result<Chain> {
        let mut chain = Chain { path: path.to_owned(), count, ..Chain::default() };
        chain.files = chain.newer_than(None)?;
        Ok(chain)
    }

    /// Reads what comes next; 0 at the end of all that is open.
    pub fn read(&mut self, chunk: &mut [u8]) -> Result<usize> {
        while let Some(file) = self.files.get_mut(self.at) {
            let n = file.read(chunk).context("read", self.path.display())?;
            if n > 0 || self.at + 1 == self.files.len() {
                return Ok(n);
            }
            self.at += 1;
        }
        Ok(0)
    }

    /// Opens what was begun since; true when there is any. What is read next is the rest of the file before: it may
    /// have got more until it was put aside.
    pub fn extend(&mut self) -> Result<bool> {
        self.files.drain(..self.at);
        self.at = 0;
        let newer = self.newer_than(self.files.last())?;
        let any = !newer.is_empty();
        self.files.extend(newer);
        Ok(any)
    }

    /// The files after this one, or all. They only ever move to the next number, so that one that is looked for from
    /// `log` upwards is met, perhaps twice.
    fn newer_than(&self, last: Option<&fs::File>) -> Result<Vec<fs::File>> {
        let last = last.map(identity).transpose()?;
        let mut found: Vec<(Identity, fs::File)> = Vec::new();
        for number in 0..self.count.max(1) {
            let file = match fs::open(&self.numbered(number)) {
                Err(e) if e.errno() == Some(libc::ENOENT) => continue,
                file => file?,
            };
            let identity = identity(&file)?;
            if Some(identity) == last {
                break;
            }
            if found.iter().all(|(other, _)| *other != identity) {
                found.push((identity, file));
            }
        }
        Ok(found.into_iter().rev().map(|(_, file)| file).collect())
    }

    fn numbered(&self, number: u32) -> PathBuf {
        let mut path = self.path.clone().into_os_string();
        if number > 0 {
            path.push(format!(".{number}"));
        }
        path.into()
    }

    /// These.
    #[cfg(test)]
    pub fn of(files: Vec<fs::File>) -> Chain {
        Chain { files, ..Chain::default() }
    }

    /// The file that the last byte was read from.
    pub fn current(&self) -> usize {
        self.at
    }

    /// Goes on behind all that there is.
    pub fn skip_all(&mut self) -> Result<()> {
        self.at = self.files.len().saturating_sub(1);
        let skip = |file: &mut fs::File| file.seek(SeekFrom::End(0)).map(drop);
        self.files.iter_mut().try_for_each(skip).context("read", self.path.display())
    }

    /// Goes on from there: a file, and a byte in it.
    pub fn seek(&mut self, file: usize, byte: u64) -> Result<()> {
        self.at = file;
        for (n, open) in self.files.iter_mut().enumerate().skip(file) {
            let to = if n == file { byte } else { 0 };
            open.seek(SeekFrom::Start(to)).context("read", self.path.display())?;
        }
        Ok(())
    }
}

type Identity = (u64, u64);

/// No other file can have it while this one is open.
fn identity(file: &fs::File) -> Result<Identity> {
    let data = file.metadata().context("read", "log")?;
    Ok((data.dev(), data.ino()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn text(chain: &mut Chain) -> String {
        let (mut all, mut chunk) = (Vec::new(), [0; 3]);
        while let n @ 1.. = chain.read(&mut chunk).unwrap() {
            all.extend_from_slice(&chunk[..n]);
        }
        String::from_utf8(all).unwrap()
    }

    /// As the shim does it, step by step.
    struct Log(tempfile::TempDir);

    impl Log {
        fn new(files: &[(&str, &str)]) -> Log {
            let log = Log(tempfile::tempdir().unwrap());
            files.iter().for_each(|(name, text)| fs::write_new(&log.path(name), text.as_bytes()).unwrap());
            log
        }

        fn path(&self, name: &str) -> PathBuf {
            self.0.path().join(name)
        }

        fn rename(&self, from: &str, to: &str) {
            fs::rename(&self.path(from), &self.path(to)).unwrap();
        }

        fn append(&self, name: &str, text: &str) {
            use std::io::Write;
            let mut options = std::fs::OpenOptions::new();
            options.append(true).open(self.path(name)).unwrap().write_all(text.as_bytes()).unwrap();
        }

        fn chain(&self) -> Chain {
            Chain::open(&self.path("log"), 3).unwrap()
        }
    }

    #[test]
    fn all_files_are_read_the_oldest_first() {
        let log = Log::new(&[("log.3", "not ours"), ("log.2", "one "), ("log.1", "two "), ("log", "three")]);
        assert_eq!(text(&mut log.chain()), "one two three");
        log.rename("log.2", "elsewhere");
        assert_eq!(text(&mut log.chain()), "two three");
    }

    #[test]
    fn what_is_put_aside_is_read_to_its_end_before_the_next() {
        let log = Log::new(&[("log.1", "one "), ("log", "two ")]);
        let mut chain = log.chain();
        assert_eq!(text(&mut chain), "one two ");
        assert!(!chain.extend().unwrap());
        log.append("log", "and more ");
        log.rename("log.1", "log.2");
        log.rename("log", "log.1");
        // Between the two steps there is no log.
        assert!(!chain.extend().unwrap());
        fs::write_new(&log.path("log"), b"three").unwrap();
        assert!(chain.extend().unwrap());
        assert_eq!(text(&mut chain), "and more three");
        assert!(!chain.extend().unwrap() && text(&mut chain).is_empty());
    }

    #[test]
    fn a_reader_that_was_overtaken_goes_on_with_the_oldest_that_is_left() {
        let log = Log::new(&[("log", "one ")]);
        let mut chain = log.chain();
        assert_eq!(text(&mut chain), "one ");
        fs::remove_file(&log.path("log")).unwrap();
        for (name, text) in [("log.2", "two "), ("log.1", "three "), ("log", "four")] {
            fs::write_new(&log.path(name), text.as_bytes()).unwrap();
        }
        assert!(chain.extend().unwrap());
        assert_eq!(text(&mut chain), "two three four");
    }

    #[test]
    fn a_file_that_is_met_twice_is_read_once() {
        let log = Log::new(&[("log", "one ")]);
        // The full one has its number already, and is still in its place.
        std::fs::hard_link(log.path("log"), log.path("log.1")).unwrap();
        assert_eq!(text(&mut log.chain()), "one ");
    }

    #[test]
    fn a_log_that_is_not_there_yet_is_found_later() {
        let log = Log::new(&[]);
        let mut chain = log.chain();
        assert_eq!(text(&mut chain), "");
        fs::write_new(&log.path("log"), b"one").unwrap();
        assert!(chain.extend().unwrap());
        assert_eq!(text(&mut chain), "one");
    }
}

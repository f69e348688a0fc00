//! The machine: its files, and the programs that are started on it.

use std::path::{Component, Path, PathBuf};

use super::Start;
use crate::error::{Error, Kind, Result};
use crate::fs;

/// The largest file of the machine's that is read: accounts may be many.
const MOST: u64 = 64 << 20;

/// Where the system's own programs are; PATH is the caller's to forge.
const PROGRAMS: [&str; 5] = ["/usr/sbin", "/sbin", "/usr/bin", "/bin", "/run/current-system/sw/bin"];

pub(super) struct Host<'a> {
    pub root: &'a Path,
    pub start: &'a Start<'a>,
}

impl Host<'_> {
    /// Where a path of the machine's is.
    pub fn at(&self, path: &str) -> PathBuf {
        self.root.join(path.trim_start_matches('/'))
    }

    /// Whether anything is there.
    pub fn has(&self, path: &str) -> bool {
        fs::owner_and_mode(&self.at(path)).is_ok_and(|found| found.is_some())
    }

    /// A file's content; `None` when it is missing.
    pub fn bytes(&self, path: &str) -> Result<Option<Vec<u8>>> {
        match fs::read_following(&self.at(path), MOST) {
            Ok(bytes) => Ok(Some(bytes)),
            Err(e) if matches!(e.errno(), Some(libc::ENOENT | libc::ENOTDIR)) => Ok(None),
            Err(e) => Err(e),
        }
    }

    /// A file's text; empty when it is missing.
    pub fn text(&self, path: &str) -> Result<String> {
        Ok(String::from_utf8_lossy(&self.bytes(path)?.unwrap_or_default()).into_owned())
    }

    /// The text of one of the kernel's files, which one that may not be read has none of.
    pub fn kernel(&self, path: &str) -> String {
        self.text(path).unwrap_or_default()
    }

    /// A program of the system's own.
    pub fn program(&self, name: &str) -> Option<PathBuf> {
        let places = PROGRAMS.iter().map(|dir| self.at(dir).join(name));
        places.into_iter().find(|path| fs::executable(path))
    }

    /// Whether systemd runs this machine (sd_booted(3)).
    pub fn systemd_runs(&self) -> bool {
        self.has("/run/systemd/system")
    }

    /// Runs a program of the system's own to its end.
    pub fn run(&self, name: &str, arguments: &[&str]) -> Result<()> {
        let missing = || Error::new(Kind::NotFound, "run", name).because("it is not installed");
        let path = self.program(name).ok_or_else(missing)?;
        (self.start)(&path, arguments).map_err(|said| Error::new(Kind::System, "run", name).because(said))
    }

    /// Why a program at a path could be another one soon: others than root can write to it or to a directory above it, or
    /// the path is not the one that it lies at. In a directory with the sticky bit only a file's owner can replace it.
    pub fn replaceable(&self, program: &str) -> Result<Option<String>> {
        if Path::new(program).components().any(|part| part == Component::ParentDir) {
            return Ok(Some("its path must have no .. in it".into()));
        }
        for path in Path::new(program).ancestors() {
            let (dir, at) = (path.display(), self.at(&path.to_string_lossy()));
            if path.parent().is_some() && fs::read_link(&at)?.is_some() {
                return Ok(Some(format!("{dir} is a symbolic link; name the place that it leads to")));
            }
            let Some((owner, mode)) = fs::owner_and_mode(&at)? else { continue };
            if owner != 0 || (mode & 0o022 != 0 && mode & libc::S_ISVTX == 0) {
                return Ok(Some(format!(
                    "{dir} can be written by others than root, who could put any program there; install it in /usr/local/bin"
                )));
            }
        }
        Ok(None)
    }

    /// Removes a directory in which nothing is; one that somebody else has put something into stays.
    pub fn remove_empty(&self, path: &str) -> Result<()> {
        match fs::remove_dir(&self.at(path)) {
            Err(e) if matches!(e.errno(), Some(libc::ENOTEMPTY | libc::EEXIST | libc::EBUSY)) => Ok(()),
            done => done.map(drop),
        }
    }
}

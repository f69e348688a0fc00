//! Who runs a container: the holder of its lock.
//!
//! An open-file-description lock (`fcntl(2)`, F_OFD_SETLK) rather than a `flock`: it passes to the shim
//! with the descriptor in the same way and dies with it, and it can be asked about without being taken,
//! so that a look never makes a start fail.
//!
//! Who runs a container holds all of the file. Who must keep others from running it, but doesn't, as a copy of its files,
//! holds all but the first byte, and the look is at that. A shim that rests between two runs holds that byte alone.

use std::os::fd::OwnedFd;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::lock;
use crate::wire;

/// First byte and number of bytes; 0 for all that follow.
type Range = (libc::off_t, libc::off_t);
const ALL: Range = (0, 0);
const RUNS: Range = (wire::LOCK_RUNS, 1);
const FILES: Range = (wire::LOCK_FILES, 0);

fn exclusive((l_start, l_len): Range) -> libc::flock {
    libc::flock { l_type: libc::F_WRLCK as i16, l_whence: libc::SEEK_SET as i16, l_start, l_len, l_pid: 0 }
}

/// Takes the lock; an error of kind [`Kind::Conflict`] when another shim has it. The descriptor is given to the shim.
pub fn hold(path: &Path, subject: &str) -> Result<OwnedFd> {
    hold_range(path, subject, ALL)
}

/// As [`hold`], for a copy of the files of a container that doesn't run, or rests: it goes on not running.
pub fn hold_files(path: &Path, subject: &str) -> Result<OwnedFd> {
    hold_range(path, subject, FILES)
}

/// As [`hold`], but waits for copies to end, if they don't take too long.
pub fn hold_after_copies(path: &Path, subject: &str, cancel: &Cancel) -> Result<OwnedFd> {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match hold(path, subject) {
            Err(e) if e.kind() == Kind::Conflict && Instant::now() < deadline && !is_held(path)? => {}
            held => return held,
        }
        lock::rest(LOOK_AGAIN, Some(cancel));
        cancel.check("wait for a copy of files", subject)?;
    }
}

/// How long others who copy are waited for.
pub const PATIENCE: Duration = Duration::from_secs(20);
/// Between two looks at who holds a container.
pub const LOOK_AGAIN: Duration = Duration::from_millis(5);

fn hold_range(path: &Path, subject: &str, range: Range) -> Result<OwnedFd> {
    let removed = || Error::new(Kind::NotFound, "find container", subject).because("it was removed meanwhile");
    let file = fs::open_or_create(path).map_err(|e| if e.errno() == Some(libc::ENOENT) { removed() } else { e })?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&exclusive(range))) {
        Ok(_) if lock::is_still(&file, path)? => Ok(file.into()),
        Ok(_) => Err(removed()),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(Error::new(Kind::Conflict, "start container", subject)
            .because("it is running, or is being started, removed or copied by another process")),
        Err(e) => Err(e).context("lock", path.display()),
    }
}

// The lock file's text tells a sweep whether a container may be one to remove, so that it need not read the records
// of all others. Its parts have fixed places: each is changed by one write that no kill can cut.
const HALF_MADE: &[u8] = b"half-made";
const MADE: &[u8] = b"made     ";
const AUTO_REMOVE: &[u8] = b" auto-remove";
const TIED: &[u8] = b" tied";

/// What takes a container away that has run.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Goes {
    /// Somebody who removes it.
    Never,
    /// The end of the process that it is tied to.
    WithItsOwner,
    /// Its own end.
    ByItself,
}

/// What a container's lock file says at first.
pub fn text(goes: Goes) -> Vec<u8> {
    let word = match goes {
        Goes::Never => b"",
        Goes::WithItsOwner => TIED,
        Goes::ByItself => AUTO_REMOVE,
    };
    [MADE, word].concat()
}

/// As [`hold`], for a container that is started by the call that creates it: one whose maker dies in between
/// is half-made, not created.
pub fn hold_half_made(path: &Path, subject: &str) -> Result<OwnedFd> {
    let lock = hold(path, subject)?;
    nix::sys::uio::pwrite(&lock, HALF_MADE, 0).context("mark", path.display())?;
    Ok(lock)
}

/// The container is started by a call of its own: from now on it is its user's.
pub fn settle(lock: &OwnedFd) -> Result<()> {
    let mut text = [0; HALF_MADE.len()];
    let read = nix::sys::uio::pread(lock, &mut text, 0).context("settle lock", "")?;
    // One that says nothing must not come to say that it is not to be removed.
    match text[..read] == *HALF_MADE {
        true => nix::sys::uio::pwrite(lock, MADE, 0).map(drop).context("settle lock", ""),
        false => Ok(()),
    }
}

/// What a lock file tells of a container that nobody holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Marks {
    /// Unless it has run, it was never made to the end.
    pub half_made: bool,
    /// Once it has run, it is to go. Also where the file doesn't tell, as one of an older library or one that a
    /// crash emptied: then the record does.
    pub auto_remove: bool,
    /// Once it has run, it goes with its owner.
    pub tied: bool,
}

impl Marks {
    /// Reads them; none when the file is gone.
    pub fn read(path: &Path) -> Result<Marks> {
        let Some(text) = fs::read_if_exists(path, 64)? else {
            return Ok(Marks { half_made: false, auto_remove: false, tied: false });
        };
        let (made, half_made) = (text.starts_with(MADE), text.starts_with(HALF_MADE));
        let auto_remove = !(made || half_made) || text.ends_with(AUTO_REMOVE);
        Ok(Marks { half_made, auto_remove, tied: text.ends_with(TIED) })
    }
}

/// Whether a shim has the lock, or who starts or removes the container; false when the file is gone.
pub fn is_held(path: &Path) -> Result<bool> {
    let file = match fs::open(path) {
        Err(e) if e.errno() == Some(libc::ENOENT) => return Ok(false),
        file => file?,
    };
    let mut lock = exclusive(RUNS);
    fcntl(&file, FcntlArg::F_OFD_GETLK(&mut lock)).context("ask for lock", path.display())?;
    Ok(lock.l_type != libc::F_UNLCK as i16)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lock_is_seen_without_being_taken_and_goes_with_its_descriptor() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        assert!(!is_held(&path).unwrap());
        let held = hold(&path, "c").unwrap();
        assert!(is_held(&path).unwrap() && is_held(&path).unwrap());
        assert_eq!(hold(&path, "c").unwrap_err().kind(), Kind::Conflict);
        let passed_on = held.try_clone().unwrap();
        drop(held);
        assert!(is_held(&path).unwrap());
        drop(passed_on);
        assert!(!is_held(&path).unwrap());
    }

    #[test]
    fn one_that_was_removed_meanwhile_is_not_found() {
        let dir = tempfile::tempdir().unwrap();
        for hold in [hold, hold_files] {
            let error = hold(&dir.path().join("gone/lock"), "c").unwrap_err();
            assert_eq!(
                (error.kind(), error.to_string()),
                (Kind::NotFound, "find container c: it was removed meanwhile".into())
            );
        }
    }

    #[test]
    fn a_copy_keeps_others_away_and_is_not_seen_as_a_run() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let copies = hold_files(&path, "c").unwrap();
        assert!(!is_held(&path).unwrap());
        for hold in [hold, hold_files] {
            assert_eq!(hold(&path, "c").unwrap_err().kind(), Kind::Conflict);
        }
        let cancelled = Cancel::new();
        cancelled.cancel();
        assert_eq!(hold_after_copies(&path, "c", &cancelled).unwrap_err().kind(), Kind::Cancelled);
        let starts = std::thread::spawn({
            let path = path.clone();
            move || hold_after_copies(&path, "c", &Cancel::new())
        });
        drop(copies);
        let runs = starts.join().unwrap().unwrap();
        assert!(is_held(&path).unwrap());
        assert_eq!(hold_files(&path, "c").unwrap_err().kind(), Kind::Conflict);
        assert_eq!(hold_after_copies(&path, "c", &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
        drop(runs);
    }

    #[test]
    fn marks_change_without_harm_to_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let marks = || Marks::read(&path).map(|m| (m.half_made, m.auto_remove, m.tied)).unwrap();
        assert_eq!(marks(), (false, false, false));
        for goes in [Goes::Never, Goes::WithItsOwner, Goes::ByItself] {
            let (auto_remove, tied) = (goes == Goes::ByItself, goes == Goes::WithItsOwner);
            let _ = fs::remove_file(&path);
            fs::write_new(&path, &text(goes)).unwrap();
            assert_eq!(marks(), (false, auto_remove, tied));
            let lock = hold_half_made(&path, "c").unwrap();
            assert_eq!(marks(), (true, auto_remove, tied));
            settle(&lock).unwrap();
            assert_eq!(marks(), (false, auto_remove, tied));
        }
    }

    #[test]
    fn a_lock_file_that_says_nothing_leaves_it_to_the_record() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        for torn in [&b""[..], &[0; 21]] {
            let _ = fs::remove_file(&path);
            fs::write_new(&path, torn).unwrap();
            settle(&hold(&path, "c").unwrap()).unwrap();
            assert_eq!(Marks::read(&path).unwrap(), Marks { half_made: false, auto_remove: true, tied: false });
        }
    }
}

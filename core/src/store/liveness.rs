//! Who runs a container: the holder of its lock.
//!
//! An open-file-description lock (`fcntl(2)`, F_OFD_SETLK) rather than a `flock`: it passes to the shim
//! with the descriptor in the same way and dies with it, and it can be asked about without being taken,
//! so that a look never makes a start fail.

use std::os::fd::OwnedFd;
use std::path::Path;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::lock;

fn whole_file(kind: i32) -> libc::flock {
    libc::flock { l_type: kind as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 }
}

/// Takes the lock; an error of kind [`Kind::Conflict`] when another shim has it. The descriptor is given to the shim.
pub fn hold(path: &Path, subject: &str) -> Result<OwnedFd> {
    let file = fs::open_or_create(path)?;
    match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole_file(libc::F_WRLCK))) {
        Ok(_) if lock::is_still(&file, path)? => Ok(file.into()),
        Ok(_) => Err(Error::new(Kind::NotFound, "find container", subject).because("it was removed meanwhile")),
        Err(Errno::EAGAIN | Errno::EACCES) => Err(Error::new(Kind::Conflict, "start container", subject)
            .because("it is running, or is being started or removed by another process")),
        Err(e) => Err(e).context("lock", path.display()),
    }
}

// The lock file's text tells a sweep whether a container may be one to remove, so that it need not read the records
// of all others. Its parts have fixed places: each is changed by one write that no kill can cut.
const HALF_MADE: &[u8] = b"half-made";
const MADE: &[u8] = b"made     ";
const AUTO_REMOVE: &[u8] = b" auto-remove";

/// What a container's lock file says at first.
pub fn text(auto_remove: bool) -> Vec<u8> {
    [MADE, if auto_remove { AUTO_REMOVE } else { b"" }].concat()
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
}

impl Marks {
    /// Reads them; none when the file is gone.
    pub fn read(path: &Path) -> Result<Marks> {
        let Some(text) = fs::read_if_exists(path, 64)? else {
            return Ok(Marks { half_made: false, auto_remove: false });
        };
        let (made, half_made) = (text.starts_with(MADE), text.starts_with(HALF_MADE));
        Ok(Marks { half_made, auto_remove: !(made || half_made) || text.ends_with(AUTO_REMOVE) })
    }
}

/// Whether a shim has the lock; false when the file is gone.
pub fn is_held(path: &Path) -> Result<bool> {
    let file = match fs::open(path) {
        Err(e) if e.errno() == Some(libc::ENOENT) => return Ok(false),
        file => file?,
    };
    let mut lock = whole_file(libc::F_WRLCK);
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
    fn marks_change_without_harm_to_each_other() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        let marks = || Marks::read(&path).map(|m| (m.half_made, m.auto_remove)).unwrap();
        assert_eq!(marks(), (false, false));
        for auto_remove in [false, true] {
            let _ = fs::remove_file(&path);
            fs::write_new(&path, &text(auto_remove)).unwrap();
            assert_eq!(marks(), (false, auto_remove));
            let lock = hold_half_made(&path, "c").unwrap();
            assert_eq!(marks(), (true, auto_remove));
            settle(&lock).unwrap();
            assert_eq!(marks(), (false, auto_remove));
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
            assert_eq!(Marks::read(&path).unwrap(), Marks { half_made: false, auto_remove: true });
        }
    }
}

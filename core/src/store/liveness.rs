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

/// What the lock file says while a container's creation and its start are one call, until a later start.
const HALF_MADE: &[u8] = b"half-made";

/// As [`hold`], for a container that is started by the call that creates it: one whose maker dies in between
/// is half-made, not created.
pub fn hold_half_made(path: &Path, subject: &str) -> Result<OwnedFd> {
    let lock = hold(path, subject)?;
    nix::unistd::write(&lock, HALF_MADE).context("mark", path.display())?;
    Ok(lock)
}

/// The container is started by a call of its own: from now on it is its user's.
pub fn settle(lock: &OwnedFd) -> Result<()> {
    nix::unistd::ftruncate(lock, 0).context("settle lock", "")
}

/// Whether the container, which nobody holds and which has not run, was never made to the end.
pub fn is_half_made(path: &Path) -> Result<bool> {
    Ok(fs::read_if_exists(path, 64)?.is_some_and(|text| text == HALF_MADE))
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
}

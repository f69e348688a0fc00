//! Locks by `flock`: they die with the process.
//!
//! A lock belongs to the open file, not to the process: a descriptor that a child has inherited keeps it
//! after we have closed ours. Ours are close-on-exec, so only a fork without exec can do that.

use std::os::fd::AsRawFd;
use std::os::unix::fs::MetadataExt;
use std::path::Path;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, File};

/// Who else may hold the lock at the same time.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Mode {
    /// Others that share it.
    Shared,
    /// Nobody.
    Exclusive,
}

/// How long to wait for a lock.
#[derive(Clone, Copy, Debug)]
pub struct Wait<'a> {
    /// At most so long; for ever when absent.
    pub timeout: Option<Duration>,
    /// Ends the wait.
    pub cancel: Option<&'a Cancel>,
}

impl<'a> Wait<'a> {
    /// Until it is free.
    pub const FOREVER: Wait<'static> = Wait { timeout: None, cancel: None };

    /// Until it is free or the call is cancelled.
    pub fn cancellable(cancel: &'a Cancel) -> Self {
        Wait { timeout: None, cancel: Some(cancel) }
    }
}

/// A lock held; dropping it lets go.
#[derive(Debug)]
pub struct Lock(File);

impl Lock {
    /// The file that is locked.
    pub fn file(&self) -> &File {
        &self.0
    }

    /// Takes the lock file at `path`, making it when missing.
    pub fn take(path: &Path, mode: Mode, wait: Wait<'_>) -> Result<Lock> {
        loop {
            let file = fs::open_or_create(path)?;
            flock_wait(&file, path, mode, wait)?;
            if is_still(&file, path)? {
                return Ok(Lock(file));
            }
        }
    }

    /// Takes the lock file at `path` if it is free now, making it when missing.
    pub fn try_take(path: &Path, mode: Mode) -> Result<Option<Lock>> {
        loop {
            let file = fs::open_or_create(path)?;
            if !flock_now(&file, mode).context("lock", path.display())? {
                return Ok(None);
            }
            if is_still(&file, path)? {
                return Ok(Some(Lock(file)));
            }
        }
    }

    /// Locks a file or directory that exists and is open, if it is free and still what `path` names.
    ///
    /// A file is locked after it was made, so a sweeper may have come first; then the answer is `None`.
    pub fn try_open(file: File, path: &Path, mode: Mode) -> Result<Option<Lock>> {
        let got = flock_now(&file, mode).context("lock", path.display())?;
        Ok((got && is_still(&file, path)?).then_some(Lock(file)))
    }
}

/// Takes the lock file at `path` alone, waiting until it is free.
pub fn exclusive(path: &Path) -> Result<Lock> {
    Lock::take(path, Mode::Exclusive, Wait::FOREVER)
}

/// Takes the lock file at `path` beside others who share it, waiting until it is free.
pub fn shared(path: &Path) -> Result<Lock> {
    Lock::take(path, Mode::Shared, Wait::FOREVER)
}

fn flock(file: &File, operation: i32) -> nix::Result<()> {
    // SAFETY: an open descriptor that we own and an integer.
    Errno::result(unsafe { libc::flock(file.as_raw_fd(), operation) }).map(drop)
}

fn flock_now(file: &File, mode: Mode) -> nix::Result<bool> {
    let operation = match mode {
        Mode::Shared => libc::LOCK_SH,
        Mode::Exclusive => libc::LOCK_EX,
    };
    match flock(file, operation | libc::LOCK_NB) {
        Ok(()) => Ok(true),
        Err(Errno::EWOULDBLOCK) => Ok(false),
        Err(e) => Err(e),
    }
}

/// A blocking `flock` can't be interrupted without a signal, so this asks again and again, ever more
/// slowly up to 20 ms; the cancel token ends a pause at once.
fn flock_wait(file: &File, path: &Path, mode: Mode, wait: Wait<'_>) -> Result<()> {
    let deadline = wait.timeout.and_then(|t| Instant::now().checked_add(t));
    let mut pause = Duration::from_micros(50);
    loop {
        if flock_now(file, mode).context("lock", path.display())? {
            return Ok(());
        }
        if deadline.is_some_and(|d| Instant::now() >= d) {
            return Err(
                Error::new(Kind::Timeout, "lock", path.display().to_string()).because("another process holds it")
            );
        }
        rest(pause, wait.cancel);
        if let Some(cancel) = wait.cancel {
            cancel.check("lock", &path.display().to_string())?;
        }
        pause = (pause * 2).min(Duration::from_millis(20));
    }
}

/// Waits so long, or until the call is cancelled.
pub fn rest(pause: Duration, cancel: Option<&Cancel>) {
    match cancel.and_then(Cancel::fd) {
        Some(fd) if pause >= Duration::from_millis(1) => {
            let mut fds = [PollFd::new(fd, PollFlags::POLLIN)];
            let _ = poll(&mut fds, PollTimeout::try_from(pause).unwrap_or(PollTimeout::ZERO));
        }
        _ => std::thread::sleep(pause),
    }
}

/// Whether `path` still names the file that was locked: lock files are deleted when nobody holds them, so it may
/// have been removed between its opening and its locking.
pub fn is_still(file: &File, path: &Path) -> Result<bool> {
    let held = file.metadata().context("lock", path.display())?;
    match nix::sys::stat::lstat(path) {
        #[allow(clippy::unnecessary_cast)] // their widths differ between architectures
        Ok(now) => Ok((now.st_dev as u64, now.st_ino as u64) == (held.dev(), held.ino())),
        Err(Errno::ENOENT) => Ok(false),
        Err(e) => Err(e).context("lock", path.display()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lock_file() -> (tempfile::TempDir, std::path::PathBuf) {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("lock");
        (dir, path)
    }

    fn is_free(path: &Path) -> bool {
        Lock::try_take(path, Mode::Exclusive).unwrap().is_some()
    }

    #[test]
    fn exclusive_excludes_and_shared_shares() {
        let (_dir, path) = lock_file();
        let one = shared(&path).unwrap();
        let two = Lock::try_take(&path, Mode::Shared).unwrap().unwrap();
        assert!(!is_free(&path));
        drop((one, two));
        let alone = exclusive(&path).unwrap();
        assert!(Lock::try_take(&path, Mode::Shared).unwrap().is_none());
        drop(alone);
        assert!(is_free(&path));
    }

    #[test]
    fn a_passed_descriptor_keeps_the_lock() {
        let (_dir, path) = lock_file();
        let lock = exclusive(&path).unwrap();
        let passed = lock.0.try_clone().unwrap();
        drop(lock);
        assert!(!is_free(&path));
        drop(passed);
        assert!(is_free(&path));
    }

    #[test]
    fn waiting_ends_by_time_and_by_cancel() {
        let (_dir, path) = lock_file();
        let _held = Lock::try_take(&path, Mode::Exclusive).unwrap().unwrap();
        let soon = Wait { timeout: Some(Duration::from_millis(1)), cancel: None };
        assert_eq!(Lock::take(&path, Mode::Exclusive, soon).unwrap_err().kind(), Kind::Timeout);
        let cancel = Cancel::new();
        cancel.cancel();
        let end = Lock::take(&path, Mode::Shared, Wait::cancellable(&cancel)).unwrap_err();
        assert_eq!(end.kind(), Kind::Cancelled);
    }

    #[test]
    fn a_deleted_lock_file_is_no_lock() {
        let (_dir, path) = lock_file();
        let file = fs::open_or_create(&path).unwrap();
        fs::remove_file(&path).unwrap();
        assert!(Lock::try_open(file, &path, Mode::Exclusive).unwrap().is_none());
    }
}

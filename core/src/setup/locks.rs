//! The locks of the files of accounts, so that no `useradd` or `usermod` writes at the same time.
//!
//! Those take two: one on `/etc/.pwd.lock` (lckpwdf(3)) and, since not every C library has that one, a file `NAME.lock`
//! that holds the number of who made it. A lock of a process that is gone is taken over, as they do it.

use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, fcntl};

use super::host::Host;
use crate::error::{Context, Error, Kind, Result};
use crate::fs::{self, File};

/// As long as lckpwdf(3) waits.
const PATIENCE: Duration = Duration::from_secs(15);

/// Held until it is dropped.
pub(super) struct AccountsLock {
    lock: PathBuf,
    _passwords: File,
}

impl AccountsLock {
    /// For one file, such as `/etc/subuid`.
    pub fn take(host: &Host<'_>, file: &str) -> Result<AccountsLock> {
        let deadline = Instant::now() + PATIENCE;
        let passwords = passwords(&host.at("/etc/.pwd.lock"), deadline)?;
        let (dir, name) = file.rsplit_once('/').unwrap_or_default();
        let (lock, own) = (host.at(&format!("{file}.lock")), host.at(&format!("{dir}/.{name}.lock.sampan")));
        until(deadline, &lock, || put(&lock, &own))?;
        Ok(AccountsLock { lock, _passwords: passwords })
    }
}

impl Drop for AccountsLock {
    fn drop(&mut self) {
        let _ = fs::remove_file(&self.lock);
    }
}

fn passwords(path: &Path, deadline: Instant) -> Result<File> {
    let file = fs::open_or_create(path)?;
    let whole =
        libc::flock { l_type: libc::F_WRLCK as i16, l_whence: libc::SEEK_SET as i16, l_start: 0, l_len: 0, l_pid: 0 };
    until(deadline, path, || match fcntl(&file, FcntlArg::F_OFD_SETLK(&whole)) {
        Ok(_) => Ok(true),
        Err(Errno::EAGAIN | Errno::EACCES) => Ok(false),
        Err(e) => Err(e).context("lock", path.display()),
    })?;
    Ok(file)
}

fn until(deadline: Instant, path: &Path, mut take: impl FnMut() -> Result<bool>) -> Result<()> {
    while !take()? {
        if Instant::now() >= deadline {
            return Err(Error::new(Kind::Timeout, "lock", path.display().to_string())
                .because("another program that changes accounts holds it")
                .hint("wait for its end (useradd, usermod, vipw)"));
        }
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// Puts a file that says who we are in the lock's place. One of a process that is gone is removed first.
fn put(lock: &Path, own: &Path) -> Result<bool> {
    fs::remove_file(own)?;
    fs::write_new(own, std::process::id().to_string().as_bytes())?;
    let done = fs::rename_noreplace(own, lock);
    fs::remove_file(own)?;
    match done? {
        true => Ok(true),
        false => {
            if !is_held(lock)? {
                fs::remove_file(lock)?;
            }
            Ok(false)
        }
    }
}

fn is_held(lock: &Path) -> Result<bool> {
    let text = fs::read_if_exists(lock, 64)?.unwrap_or_default();
    // One that says nothing is just being made.
    let Ok(pid) = String::from_utf8_lossy(&text).trim_matches(['\0', '\n', ' ']).parse() else { return Ok(true) };
    Ok(nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), None) != Err(Errno::ESRCH))
}

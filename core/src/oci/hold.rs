//! A container's directory, held: verbs that change a container take turns.

use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Runtime;
use crate::error::{Error, Kind, Result};
use crate::lock::{Lock, Mode, Wait};
use crate::{fs, lock};

/// A hook may keep another verb at work; longer than this the caller does better to ask again.
const PATIENCE: Duration = Duration::from_secs(10);

/// Of whatever a container is in, nothing changes it but the holder.
pub(super) struct Held {
    path: PathBuf,
    _lock: Lock,
}

impl Held {
    /// The directory of a container that exists.
    pub fn known(runtime: &Runtime, id: &str) -> Result<Held> {
        let path = runtime.known(id)?;
        let wait = Wait { timeout: Some(PATIENCE), cancel: None };
        match Lock::take(&path.join("lock"), Mode::Exclusive, wait) {
            Ok(lock) => Ok(Held { path, _lock: lock }),
            // Deleted while we waited.
            Err(e) if e.kind() == Kind::NotFound => Err(super::not_found(id)),
            Err(e) if e.kind() == Kind::Timeout => Err(Error::new(Kind::Conflict, "change container", id)
                .because("another call is at work on it")
                .hint("try again, or end that call")),
            Err(e) => Err(e),
        }
    }

    /// A new one, which nobody has seen unheld.
    pub fn new(runtime: &Runtime, id: &str) -> Result<Held> {
        let path = runtime.dir(id)?;
        fs::make_dirs(&runtime.root)?;
        sweep(runtime, id)?;
        if !fs::make_dir(&path)? {
            return Err(Error::new(Kind::AlreadyExists, "create container", id)
                .because("container with that id exists already"));
        }
        let lock = lock::exclusive(&path.join("lock"))?;
        Ok(Held { path, _lock: lock })
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Removes it. Out of sight first: who waits for the lock must not make another one in it meanwhile.
    pub fn remove(self) -> Result<()> {
        let gone = gone(&self.path);
        // Of a call that was killed here.
        fs::remove_tree(&gone)?;
        fs::rename(&self.path, &gone)?;
        fs::remove_tree(&gone)
    }
}

/// Removes what a delete that was killed has left.
pub(super) fn sweep(runtime: &Runtime, id: &str) -> Result<()> {
    fs::remove_tree(&gone(&runtime.dir(id)?))
}

/// No id begins with a dot.
fn gone(path: &Path) -> PathBuf {
    let mut name = OsString::from(".gone-");
    name.push(path.file_name().unwrap_or_default());
    path.with_file_name(name)
}

//! Volumes: directories that outlive containers.

use std::path::PathBuf;
use std::time::Duration;

use super::{crash, tmp};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Name};
use crate::lock::{Lock, Mode, Wait};
use crate::paths::Paths;

/// The directory that a volume's files are in.
pub fn data(paths: &Paths, name: &Name) -> PathBuf {
    paths.volume(name).join("_data")
}

/// Makes a volume unless it is there; true when it was not.
pub fn make(paths: &Paths, name: &Name) -> Result<bool> {
    let made = !fs::exists(&paths.volume(name))?;
    fs::make_dirs(&data(paths, name))?;
    crash::point("volume made");
    Ok(made)
}

/// Notes that a container has a volume without filling it: nothing of it is removed any more.
///
/// # Errors
///
/// The volume holds a part of what a container was to fill it with, or is filled for five minutes; or the wait for that was
/// cancelled.
pub fn use_as_it_is(paths: &Paths, name: &Name, cancel: &Cancel) -> Result<()> {
    // The lengths of the file tell how far a volume is (`core/shim/fill.rs`).
    const NEW: u64 = 0;
    const PART: u64 = 1;
    const USED: u64 = 2;
    let path = paths.volume(name).join("_data.filling");
    let wait = Wait { timeout: Some(Duration::from_secs(300)), cancel: Some(cancel) };
    let lock = Lock::take(&path, Mode::Exclusive, wait).map_err(|e| match e.kind() {
        Kind::Timeout => e.within("use volume", name.as_str()).hint("end the container whose start fills it"),
        _ => e.within("use volume", name.as_str()),
    })?;
    match lock.file().metadata().context("look at", path.display())?.len() {
        NEW => lock.file().set_len(USED).context("write", path.display()),
        PART => Err(Error::new(Kind::Conflict, "use volume", name.as_str())
            .because("it holds a part of an image's files: who filled it was killed")
            .hint("start a container that has it without nocopy, which fills it anew, or remove the volume")),
        _ => Ok(()),
    }
}

/// Who has a volume without a name of its own in common with others: an empty file for each container. The shim knows the
/// name too, since it removes volumes.
fn users(paths: &Paths, name: &Name) -> PathBuf {
    paths.volume(name).join("_users")
}

/// Whether that is noted of a container.
pub fn is_shared_by(paths: &Paths, name: &Name, id: &ContainerId) -> Result<bool> {
    fs::exists(&users(paths, name).join(id.as_str()))
}

/// Notes that a container has a volume in common with others.
pub fn share(paths: &Paths, name: &Name, id: &ContainerId) -> Result<()> {
    let users = users(paths, name);
    fs::make_dirs(&users)?;
    match fs::write_new(&users.join(id.as_str()), b"") {
        Err(e) if e.errno() == Some(libc::EEXIST) => Ok(()),
        done => done,
    }
}

/// The reverse; false when others still have it.
pub fn leave(paths: &Paths, name: &Name, id: &ContainerId) -> bool {
    let users = users(paths, name);
    let _ = fs::remove_file(&users.join(id.as_str()));
    fs::remove_dir(&users).is_ok()
}

/// As [`leave`] once more, for a container that is gone; true when it was noted again, and nobody else is.
pub fn leave_again(paths: &Paths, name: &Name, id: &ContainerId) -> bool {
    let users = users(paths, name);
    fs::remove_file(&users.join(id.as_str())).is_ok_and(|noted| noted) && fs::remove_dir(&users).is_ok()
}

/// Takes a volume out of sight and returns what to delete; `None` when there is none.
pub fn unlist(paths: &Paths, name: &Name) -> Result<Option<PathBuf>> {
    let trash = tmp::trash(paths, &paths.volume(name));
    crash::point("volume unlinked");
    trash
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_volume_that_cannot_be_noted_as_used_is_told_by_its_cause_alone() {
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        let name: Name = "v".parse().unwrap();
        fs::make_dirs(&paths.volume(&name).join("_data.filling")).unwrap();
        let error = use_as_it_is(&paths, &name, &Cancel::new()).unwrap_err();
        assert_eq!((error.errno(), error.hint_text()), (Some(libc::EISDIR), None), "{error}");
    }
}

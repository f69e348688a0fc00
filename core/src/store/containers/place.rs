//! Whose a state is: this directory's, or that of one which this is a copy of. One directory may have several identities, as by
//! two mounts of what a server exports, and another one when it is mounted again.

use std::path::{Path, PathBuf};

use super::State;
use crate::fs;
use crate::paths::ContainerPaths;
use crate::store::liveness;
use crate::sys::{self, PidFd};

/// Whose a state is that is read in some directory.
#[derive(Clone, Debug)]
pub enum Whose {
    /// That directory's.
    Own,
    /// Its shim is gone, and so is the directory that it names: what is left of it stands on that, and is this one's.
    Moved(ContainerPaths),
    /// That of the directory that it names, or of a shim that lives.
    Anothers,
    /// It is not told where the other directory is, and the shim is gone.
    Untold,
}

impl State {
    /// Whose it is, when nobody runs the container in `dir`.
    pub fn whose(&self, dir: &Path) -> Whose {
        if self.is_of(dir) {
            return Whose::Own;
        }
        if !self.is_here() || self.may_have_shim() {
            return Whose::Anothers;
        }
        let Some(former) = &self.dir else { return Whose::Untold };
        let is_this = fs::is_same(former, dir).unwrap_or(false) || is_seen(dir, former);
        let moved = is_this || !self.is_there(former);
        if moved { Whose::Moved(ContainerPaths::at(former.clone())) } else { Whose::Anothers }
    }

    /// One that has ended may not have been reaped yet.
    fn may_have_shim(&self) -> bool {
        match PidFd::open_started(self.shim_pid, self.shim_start) {
            Ok(shim) => shim.is_some() && !sys::is_zombie(self.shim_pid),
            Err(_) => true,
        }
    }

    /// Whether its directory is where it was, or somebody runs from one that took its place.
    fn is_there(&self, former: &Path) -> bool {
        self.is_of(former) || liveness::is_held(&ContainerPaths::at(former.to_owned()).lock()).unwrap_or(true)
    }
}

/// Whether the shim that a state names is who holds the lock in a directory, so that the state is of that, whatever place it
/// names.
pub(super) fn is_of_holder(state: &State, at: &ContainerPaths) -> bool {
    state.is_here()
        && matches!(PidFd::open_started(state.shim_pid, state.shim_start), Ok(Some(_)))
        && has_open(state.shim_pid, at)
}

/// Whether a process has the lock open: that very file, or one beside which it sees what is here.
fn has_open(pid: i32, at: &ContainerPaths) -> bool {
    let process = Path::new("/proc").join(pid.to_string());
    let open = fs::list(&process.join("fd")).unwrap_or_default();
    open.iter().map(|number| process.join("fd").join(number)).any(|open| {
        fs::is_same(&open, &at.lock()).unwrap_or(false)
            || beside(&process, &open, &at.lock()).is_some_and(|dir| is_seen(at.dir(), &dir))
    })
}

/// The directory that a lock was opened in, as its process sees it.
fn beside(process: &Path, open: &Path, lock: &Path) -> Option<PathBuf> {
    let named = PathBuf::from(fs::read_link(open).ok()??);
    let dir = named.parent().filter(|_| named.file_name() == lock.file_name())?;
    Some(process.join("root").join(dir.strip_prefix("/").ok()?))
}

/// Whether two paths lead to one directory, whatever its identity by each is: what is made in one is then in the other. A name
/// that was never asked for is in no cache.
pub(super) fn is_seen(dir: &Path, other: &Path) -> bool {
    let Ok(random) = sys::random_bytes::<16>() else { return false };
    let name = format!(".seen-{:032x}", u128::from_ne_bytes(random));
    if !matches!(fs::create_new(&dir.join(&name)), Ok(Some(_))) {
        return false;
    }
    let seen = fs::exists(&other.join(&name)).unwrap_or(false);
    let _ = fs::remove_file(&dir.join(&name));
    seen
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_copy_is_told_from_another_way_to_the_same() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| dir.path().join(name);
        fs::make_dirs(&at("one")).unwrap();
        fs::make_dirs(&at("copy")).unwrap();
        assert!(fs::symlink_new("one", &at("other way")).unwrap());
        assert!(is_seen(&at("one"), &at("other way")) && is_seen(&at("other way"), &at("one")));
        assert!(!is_seen(&at("one"), &at("copy")) && !is_seen(&at("one"), &at("nothing")));
        assert_eq!(fs::list(&at("one")).unwrap(), Vec::<std::ffi::OsString>::new());
    }

    #[test]
    fn who_has_the_lock_open_is_found_by_any_way_to_it() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| ContainerPaths::at(dir.path().join(name));
        for name in ["one", "copy"] {
            fs::make_dirs(at(name).dir()).unwrap();
            fs::write_new(&at(name).lock(), b"").unwrap();
        }
        let own = std::process::id() as i32;
        assert!(!has_open(own, &at("one")));
        let lock = fs::open(&at("one").lock()).unwrap();
        assert!(has_open(own, &at("one")) && !has_open(own, &at("copy")));
        // As by another mount: the same directory, and another file.
        let process = Path::new("/proc/self");
        let open = process.join("fd").join(std::os::fd::AsRawFd::as_raw_fd(&lock).to_string());
        let beside = beside(process, &open, &at("one").lock()).unwrap();
        assert!(is_seen(at("one").dir(), &beside) && !is_seen(at("copy").dir(), &beside));
    }
}

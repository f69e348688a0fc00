//! Ends what is in a container's cgroups and removes them: what its shim does, done by the host when there is
//! no shim any more.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::make::{Directory, is_occupied};
use super::members;
use crate::fs;

/// Pauses of 1, 2, 4 … milliseconds: about two seconds in all.
const TRIES: u32 = 11;
/// A cgroup is no deeper than this unless somebody nests them to make trouble.
const DEPTH: u32 = 32;

/// Kills the processes in these cgroups and removes them with all below; those that are gone are fine. What
/// doesn't go in about two seconds stays for a later call.
pub fn end(directories: &[Directory]) {
    end_paths(directories.iter().map(|dir| Path::new(&dir.path)));
}

/// The same by their paths.
pub fn end_paths<'a>(directories: impl DoubleEndedIterator<Item = &'a Path> + Clone) {
    // On v1 nothing that is frozen dies, in whichever hierarchy it is found.
    for directory in directories.clone() {
        let _ = fs::write_kernel(&directory.join("freezer.state"), "THAWED");
    }
    directories.rev().for_each(end_one);
}

/// Removes cgroups in which nobody is any more, with all below. What has been killed is a while in being taken apart: about
/// half a second is waited for it.
pub fn remove_paths(directories: &[PathBuf]) {
    // Those below that nobody is in may be somebody's, too.
    let is_busy = |dir: &PathBuf| {
        is_occupied(dir) || {
            fs::directories_below(dir).iter().for_each(|below| drop(fs::remove_dir(below)));
            fs::remove_dir(dir).is_err_and(|e| e.errno() == Some(libc::EBUSY))
        }
    };
    for attempt in 0..TRIES - 2 {
        if directories.iter().filter(|dir| is_busy(dir)).count() == 0 {
            return;
        }
        std::thread::sleep(Duration::from_millis(1 << attempt));
    }
}

fn end_one(dir: &Path) {
    for attempt in 0..TRIES {
        match fs::remove_dir(dir) {
            Err(e) if e.errno() == Some(libc::EBUSY) => {}
            _ => return,
        }
        empty(dir, DEPTH);
        // A killed process is a while in being taken apart; the first look comes without a pause.
        if fs::remove_dir(dir).is_ok() {
            return;
        }
        std::thread::sleep(Duration::from_millis(1 << attempt));
    }
}

/// Kills what is in a cgroup, and removes those below it.
fn empty(dir: &Path, depth: u32) {
    // v2, since Linux 5.14: the kernel kills all below at once, and what forks meanwhile too.
    if fs::write_kernel(&dir.join("cgroup.kill"), "1").is_err() {
        kill_each(dir);
    }
    let Some(deeper) = depth.checked_sub(1) else { return };
    for name in fs::list(dir).unwrap_or_default() {
        let below = dir.join(name);
        // Files of the kernel's are most of what is here.
        if fs::open_dir(&below).is_ok() {
            empty(&below, deeper);
            let _ = fs::remove_dir(&below);
        }
    }
}

/// v1 has no kill: frozen, so that nothing forks faster than it is killed, where the freezer is this hierarchy's.
fn kill_each(dir: &Path) {
    let state = dir.join("freezer.state");
    let frozen = fs::write_kernel(&state, "FROZEN").is_ok();
    let _ = members::signal(dir, libc::SIGKILL);
    if frozen {
        let _ = fs::write_kernel(&state, "THAWED");
    }
}

//! The processes in a cgroup, and signals to them.

use std::path::Path;

use crate::error::Result;
use crate::fs;
use crate::sys::PidFd;

const MOST: u64 = 16 << 20;

/// The processes in a cgroup, without those that can't be seen from here; none where it is gone.
pub fn members(dir: &Path) -> Vec<i32> {
    let text = fs::read_bounded(&dir.join("cgroup.procs"), MOST).unwrap_or_default();
    String::from_utf8_lossy(&text).lines().filter_map(|l| l.parse().ok()).filter(|pid| *pid > 0).collect()
}

/// The processes in a cgroup and in those below it, in order.
pub fn members_below(dir: &Path) -> Vec<i32> {
    let mut all = members(dir);
    all.extend(fs::directories_below(dir).iter().flat_map(|below| members(below)));
    all.sort_unstable();
    all
}

/// Sends a signal to each process that is in a cgroup itself.
///
/// # Errors
/// The first that could not be sent; the others are sent all the same.
pub fn signal(dir: &Path, signal: i32) -> Result<()> {
    let told: Vec<Result<()>> = members(dir).into_iter().map(|pid| signal_one(dir, pid, signal)).collect();
    told.into_iter().collect()
}

/// The same, and to those in the cgroups below it.
///
/// # Errors
/// As [`signal`].
pub fn signal_below(dir: &Path, signal: i32) -> Result<()> {
    let below = fs::directories_below(dir);
    let dirs = below.iter().map(|path| path.as_path()).chain([dir]);
    let told: Vec<Result<()>> = dirs.map(|dir| self::signal(dir, signal)).collect();
    told.into_iter().collect()
}

/// Held before the second look, so that a number that has come to mean another process is left alone.
fn signal_one(dir: &Path, pid: i32, signal: i32) -> Result<()> {
    match PidFd::open(pid)? {
        Some(process) if members(dir).contains(&pid) => process.signal(signal).map(drop),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn those_below_count_and_those_out_of_sight_do_not() {
        let tmp = tempfile::tempdir().unwrap();
        let deep = tmp.path().join("a/b");
        fs::make_dirs(&deep).unwrap();
        fs::write_new(&tmp.path().join("cgroup.procs"), b"7\n0\n").unwrap();
        fs::write_new(&deep.join("cgroup.procs"), b"3\n").unwrap();
        assert_eq!((members(tmp.path()), members_below(tmp.path())), (vec![7], vec![3, 7]));
        assert_eq!(members(&tmp.path().join("gone")), Vec::<i32>::new());
    }
}

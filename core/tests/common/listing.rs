//! All that a container may leave, listed: before and after must be equal.

#![allow(dead_code)]

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

/// What belongs to the store below one directory, and to cgroups below one parent.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Listing {
    /// Processes with a file of it open, or a root file system on it.
    pub processes: BTreeSet<String>,
    /// Mounts of this mount namespace on it.
    pub mounts: BTreeSet<String>,
    /// Cgroups below the parent.
    pub cgroups: BTreeSet<PathBuf>,
    /// Files that come and go with containers.
    pub files: BTreeSet<PathBuf>,
    /// Held locks on its files.
    pub locks: BTreeSet<String>,
}

impl Listing {
    pub fn of(dir: &Path, cgroup_parent: &str) -> Listing {
        let files = files(dir);
        Listing {
            processes: processes(dir),
            mounts: mounts(dir, "self"),
            cgroups: cgroups(cgroup_parent),
            locks: locks(&files),
            files: files.into_iter().filter(|p| !is_kept(p)).collect(),
        }
    }
}

/// A listing, and what belongs to this process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Standing {
    pub listing: Listing,
    /// Open descriptors of this process.
    pub descriptors: usize,
}

impl Standing {
    pub fn of(dir: &Path, cgroup_parent: &str) -> Standing {
        let descriptors = std::fs::read_dir("/proc/self/fd").map_or(0, Iterator::count);
        Standing { listing: Listing::of(dir, cgroup_parent), descriptors }
    }
}

/// Removes a test's own parent of cgroups, where it is empty.
pub fn remove_parent(parent: &str) {
    for point in hierarchies() {
        let _ = std::fs::remove_dir(point.join(parent));
    }
}

/// Images, the lock files that stay for the next one, and events that have made room for others: one such file, however
/// many there were.
fn is_kept(path: &Path) -> bool {
    let text = path.display().to_string();
    if text.contains("/events/") && text.ends_with(".1") {
        return true;
    }
    ["/blobs", "/layers", "/refs", "/locks", "/index.json", "/oci-layout", "/run/"].iter().any(|p| text.contains(p))
}

fn processes(dir: &Path) -> BTreeSet<String> {
    let entries = std::fs::read_dir("/proc").unwrap().flatten();
    let pids = entries.filter_map(|e| e.file_name().to_str()?.parse::<u32>().ok());
    pids.filter(|pid| *pid != std::process::id() && uses(*pid, dir))
        .map(|pid| {
            let line = std::fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
            format!("{pid} {}", String::from_utf8_lossy(&line).replace('\0', " "))
        })
        .collect()
}

fn uses(pid: u32, dir: &Path) -> bool {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    open.filter_map(|e| std::fs::read_link(e.path()).ok()).any(|target| target.starts_with(dir))
        || std::fs::read_link(format!("/proc/{pid}/root")).is_ok_and(|root| root.starts_with(dir))
        || mounts(dir, &pid.to_string()).iter().any(|line| line.split(' ').nth(4) == Some("/"))
}

fn mounts(dir: &Path, pid: &str) -> BTreeSet<String> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/mountinfo")).unwrap_or_default();
    let within = format!("{}/", dir.display());
    text.lines().filter(|l| l.contains(&within)).map(str::to_owned).collect()
}

/// The mount points of cgroup hierarchies that containers are put into.
pub fn hierarchies() -> Vec<PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|l| l.contains(" - cgroup")).filter_map(|l| l.split(' ').nth(4));
    points.map(PathBuf::from).collect()
}

fn cgroups(parent: &str) -> BTreeSet<PathBuf> {
    let parents = hierarchies().into_iter().map(|point| point.join(parent));
    let entries = parents.flat_map(|dir| std::fs::read_dir(dir).into_iter().flatten().flatten());
    entries.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).map(|e| e.path()).collect()
}

fn files(dir: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let mut left = vec![dir.to_owned()];
    while let Some(dir) = left.pop() {
        for entry in std::fs::read_dir(&dir).into_iter().flatten().flatten() {
            // What is in layers does not change, and is much.
            if entry.file_type().is_ok_and(|t| t.is_dir()) && !entry.path().ends_with("root/layers") {
                left.push(entry.path());
            }
            found.insert(entry.path());
        }
    }
    found
}

/// `/proc/locks` names a file by device and inode.
fn locks(files: &BTreeSet<PathBuf>) -> BTreeSet<String> {
    use std::os::unix::fs::MetadataExt;
    let inodes = files.iter().filter_map(|f| Some((format!(":{} ", f.symlink_metadata().ok()?.ino()), f)));
    let text = std::fs::read_to_string("/proc/locks").unwrap_or_default();
    let held = |inode: &String| text.lines().any(|line| line.contains(inode.as_str()));
    inodes.filter(|(inode, _)| held(inode)).map(|(_, file)| file.display().to_string()).collect()
}

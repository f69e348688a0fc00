//! Where the numbers come from, and that the machine is as it was before when they are in.

use std::collections::BTreeSet;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};

use super::listing::hierarchies;

fn text(path: &str) -> String {
    std::fs::read_to_string(path).unwrap_or_default().trim().to_owned()
}

/// Prints the machine and what lies under the store.
pub fn describe(store: &Path, cgroups: &str) {
    let cpus = std::thread::available_parallelism().map_or(0, |n| n.get());
    let model = text("/proc/cpuinfo");
    let model =
        model.lines().find_map(|l| l.strip_prefix("model name")?.split_once(": ")).map_or("unknown", |(_, m)| m);
    println!("Linux {}, {cpus} CPUs ({model}), cgroups {cgroups}", text("/proc/sys/kernel/osrelease"));
    println!("stores of all in {} on {}", store.display(), file_system(store));
}

/// The file system of the longest mount point above a path.
fn file_system(path: &Path) -> String {
    let mounts = text("/proc/self/mounts");
    let all = mounts.lines().filter_map(|l| {
        let mut words = l.split(' ').skip(1);
        Some((words.next()?, words.next()?))
    });
    let above = all.filter(|(point, _)| path.starts_with(point));
    above.max_by_key(|(point, _)| point.len()).map_or("unknown", |(_, kind)| kind).to_owned()
}

/// The machine's load, to be judged beside the numbers.
pub fn load(when: &str) {
    let load = text("/proc/loadavg");
    println!("load {when}: {}", load.split(' ').take(3).collect::<Vec<_>>().join(" "));
}

/// Cgroups of the peers and of the floor, which one that was killed leaves behind.
pub struct Guard {
    before: BTreeSet<PathBuf>,
}

impl Guard {
    /// Notes those that are there.
    pub fn new() -> Guard {
        Guard { before: of_peers() }
    }
}

impl Drop for Guard {
    fn drop(&mut self) {
        for dir in of_peers().difference(&self.before) {
            remove(dir);
            if dir.exists() {
                println!("left behind, since processes are in it: {}", dir.display());
            }
        }
    }
}

fn of_peers() -> BTreeSet<PathBuf> {
    let entries = hierarchies().into_iter().flat_map(|h| std::fs::read_dir(h).into_iter().flatten().flatten());
    let peers = ["floor", "crun", "libpod_parent", "conmon", "bench-"];
    let named = |name: &str| peers.iter().any(|p| name.starts_with(p));
    entries.filter(|e| e.file_name().to_str().is_some_and(named)).map(|e| e.path()).collect()
}

/// Cgroups below first; their files need no removal.
fn remove(dir: &Path) {
    let below = std::fs::read_dir(dir).into_iter().flatten().flatten();
    below.filter(|e| e.file_type().is_ok_and(|t| t.is_dir())).for_each(|e| remove(&e.path()));
    let _ = std::fs::remove_dir(dir);
}

/// Bytes of a file, NaN when it can't be told.
pub fn size(path: &Path) -> f64 {
    path.metadata().map_or(f64::NAN, |m| m.size() as f64)
}

//! `update`: other limits for a container, running or not.

use std::path::{Path, PathBuf};

use super::{Context, list};
use crate::api::{RunOptions, UpdateOptions};
use crate::cgroup::Directory;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::plan::{cgroup, resolve};
use crate::store::containers;

/// Changes limits, in the kernel when it runs and in its record.
pub fn update(context: &Context, id: &ContainerId, options: &UpdateOptions) -> Result<()> {
    let container = list::load(context, id)?;
    let mut record = container.record.clone();
    let name = record.name.to_string();
    merge(&mut record.options, options);
    let limits = resolve::limits(&record.options)?;
    let facts = &context.facts()?.cgroups;
    let old = cgroup::plan(&record.spec.limits, id, facts)?;
    let new = cgroup::plan(&limits, id, facts)?;
    if container.held && new.placement != old.placement {
        return Err(Error::new(Kind::Unsupported, "update container", name)
            .because("it runs outside of the cgroup that this limit needs")
            .hint("stop it first"));
    }
    if container.held {
        apply(&old.dirs, &new.dirs).map_err(|e| e.within("update container", name))?;
    }
    (record.spec.limits, record.unenforced) = (limits, new.unenforced);
    containers::update(&context.paths, &record)
}

fn merge(options: &mut RunOptions, update: &UpdateOptions) {
    let UpdateOptions { memory, memory_swap, memory_reservation, cpus, cpu_shares, cpuset_cpus, pids_limit } =
        update.clone();
    options.memory = memory.or(options.memory);
    options.memory_swap = memory_swap.or(options.memory_swap);
    options.memory_reservation = memory_reservation.or(options.memory_reservation);
    options.cpus = cpus.or(options.cpus);
    options.cpu_shares = cpu_shares.or(options.cpu_shares);
    options.cpuset_cpus = cpuset_cpus.or_else(|| options.cpuset_cpus.take());
    options.pids_limit = pids_limit.or(options.pids_limit);
}

/// Writes what differs; when a value is refused, what was written before it is taken back.
fn apply(old: &[Directory], new: &[Directory]) -> Result<()> {
    let mut undo: Vec<(PathBuf, String)> = Vec::new();
    for dir in new {
        let before: Vec<&Write> = old.iter().filter(|d| d.path == dir.path).flat_map(all).collect();
        let changes: Vec<_> = all(dir).filter(|write| !before.contains(write)).collect();
        // The kernel wants memory below memory and swap at any moment: growing, the latter goes first.
        for change in in_order(Path::new(&dir.path), changes) {
            let (file, value) = change;
            let path = Path::new(&dir.path).join(file);
            let was = fs::read_bounded(&path, 4096).unwrap_or_default();
            match fs::write_kernel(&path, value) {
                Ok(()) => undo.push((path, String::from_utf8_lossy(&was).trim().to_owned())),
                // Nobody asked for it, and the kernel may lack it.
                Err(_) if dir.if_possible.contains(change) => {}
                Err(error) => {
                    undo.iter().rev().for_each(|(path, was)| drop(fs::write_kernel(path, was)));
                    return Err(error);
                }
            }
        }
    }
    for (gone, dir) in old.iter().flat_map(|d| d.writes.iter().map(move |w| (w, d))) {
        let named = new.iter().any(|d| d.path == dir.path && d.writes.iter().any(|(file, _)| *file == gone.0));
        if !named && let Some(none) = unlimited(&gone.0) {
            fs::write_kernel(&Path::new(&dir.path).join(&gone.0), none)?;
        }
    }
    Ok(())
}

type Write = (String, String);

fn all(dir: &Directory) -> impl Iterator<Item = &Write> {
    dir.writes.iter().chain(&dir.if_possible)
}

fn in_order<'a>(dir: &Path, mut changes: Vec<&'a Write>) -> Vec<&'a Write> {
    const MEMORY: &str = "memory.limit_in_bytes";
    let now = fs::read_bounded(&dir.join(MEMORY), 64).unwrap_or_default();
    let now = String::from_utf8_lossy(&now).trim().parse::<u64>().unwrap_or(0);
    let grows = changes.iter().any(|(file, value)| file == MEMORY && value.parse::<u64>().is_ok_and(|v| v > now));
    if grows {
        changes.reverse();
    }
    changes
}

/// What a file says when there is no limit; only limits that `update` can take away.
fn unlimited(file: &str) -> Option<&'static str> {
    match file {
        "pids.max" | "memory.max" | "memory.swap.max" => Some("max"),
        "memory.limit_in_bytes" | "memory.memsw.limit_in_bytes" | "cpu.cfs_quota_us" => Some("-1"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(path: &Path, writes: &[(&str, &str)]) -> Vec<Directory> {
        let writes = writes.iter().map(|(file, value)| (file.to_string(), value.to_string())).collect();
        vec![Directory { path: path.display().to_string(), writes, ..Directory::default() }]
    }

    #[test]
    fn what_differs_is_written_and_a_refusal_takes_all_back() {
        let tmp = tempfile::tempdir().unwrap();
        let at = |file: &str| tmp.path().join(file);
        for (file, value) in [("pids.max", "10"), ("cpu.shares", "512")] {
            fs::write_new(&at(file), value.as_bytes()).unwrap();
        }
        let read = |file: &str| String::from_utf8(fs::read_bounded(&at(file), 100).unwrap()).unwrap();
        let old = dir(tmp.path(), &[("pids.max", "10"), ("cpu.shares", "512")]);
        apply(&old, &dir(tmp.path(), &[("pids.max", "20"), ("cpu.shares", "512")])).unwrap();
        assert_eq!((read("pids.max").as_str(), read("cpu.shares").as_str()), ("20", "512"));
        let refused = dir(tmp.path(), &[("pids.max", "30"), ("memory.nothing", "1")]);
        assert!(apply(&old, &refused).is_err());
        assert_eq!(read("pids.max"), "20");
        apply(&old, &dir(tmp.path(), &[("cpu.shares", "512")])).unwrap();
        assert_eq!(&read("pids.max")[..3], "max");
    }
}

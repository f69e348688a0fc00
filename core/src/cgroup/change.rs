//! Other limits for cgroups that processes are in.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use super::file::{explain, lacks, target};
use super::make::Directory;
use crate::error::Result;
use crate::fs;

/// One write.
#[derive(Debug, PartialEq, Eq)]
struct Change<'a> {
    /// The limit's name.
    file: &'a str,
    /// Where it is on this kernel.
    path: PathBuf,
    value: Cow<'a, str>,
    /// The same in the limit's own words.
    asked: &'a str,
    /// Nobody asked for it, and the kernel may lack it.
    if_possible: bool,
    /// It was asked for as far as the kernel has it.
    may_lack: bool,
}

/// What was written, with what was there before.
#[derive(Default)]
struct Done {
    undo: Vec<(PathBuf, String)>,
    lacking: Vec<(String, String)>,
}

/// Writes what differs between the limits that `old` says are in force and `new`, and lifts those that `new` has no
/// more; when a value is refused, what was written before it is taken back. Returns those writes that the kernel has
/// nothing for, where that is no error.
pub fn change(old: &[Directory], new: &[Directory]) -> Result<Vec<(String, String)>> {
    let mut done = Done::default();
    for dir in old {
        let changes = changes(dir, new.iter().find(|n| n.path == dir.path));
        // The kernel holds some against others, so that either may have to come first.
        let later: Vec<&Change> = changes.iter().filter(|change| done.put(change).is_err()).collect();
        if let Err(error) = later.into_iter().try_for_each(|change| done.put(change)) {
            done.undo.iter().rev().for_each(|(path, was)| drop(fs::write_kernel(path, was)));
            return Err(error);
        }
    }
    Ok(done.lacking)
}

impl Done {
    fn put(&mut self, change: &Change) -> Result<()> {
        let was = before(&change.path);
        let refused = fs::write_kernel(&change.path, &change.value);
        match refused.map_err(|error| explain(error, change.file, &change.value)) {
            Ok(()) => self.undo.push((change.path.clone(), was)),
            Err(_) if change.if_possible => {}
            refused if change.may_lack && lacks(&refused) => {
                self.lacking.push((change.file.to_owned(), change.asked.to_owned()));
            }
            refused => return refused,
        }
        Ok(())
    }
}

/// The value in force; a file with values of devices begins with the one of all others.
fn before(path: &Path) -> String {
    let text = text(path);
    // A write of nothing would be none.
    text.lines().next().map_or_else(|| "\n".to_owned(), str::to_owned)
}

fn changes<'a>(old: &'a Directory, new: Option<&'a Directory>) -> Vec<Change<'a>> {
    let dir = Path::new(&old.path);
    let mut all: Vec<Change> = Vec::new();
    for (file, value, if_possible) in new.into_iter().flat_map(writes) {
        let differs = !writes(old).any(|(f, v, _)| (f, v) == (file, value));
        let (asked, (path, value)) = (value, target(dir, file, value));
        let may_lack = new.is_some_and(|new| new.may_lack);
        all.extend(differs.then_some(Change { file, path, value, asked, if_possible, may_lack }));
    }
    for (file, value, if_possible) in writes(old) {
        let gone = !new.into_iter().flat_map(writes).any(|(f, ..)| f == file);
        let (path, _) = target(dir, file, value);
        let lifted = if gone { unlimited(&path, old) } else { None };
        let lifted = lifted.filter(|lifted| lifted != value);
        all.extend(lifted.map(|value| Change { file, path, value, asked: "", if_possible, may_lack: old.may_lack }));
    }
    in_order(dir, all)
}

fn writes(dir: &Directory) -> impl Iterator<Item = (&str, &str, bool)> {
    let asked = dir.writes.iter().map(|(file, value)| (file.as_str(), value.as_str(), false));
    asked.chain(dir.if_possible.iter().map(|(file, value)| (file.as_str(), value.as_str(), true)))
}

const MEMSW: &str = "memory.memsw.limit_in_bytes";

/// v1 wants memory at or below memory and swap together at every moment: the latter goes first when it grows, and last
/// when it shrinks.
fn in_order<'a>(dir: &Path, mut changes: Vec<Change<'a>>) -> Vec<Change<'a>> {
    // -1, no limit, is the largest number then.
    let number = |text: &str| text.trim().parse::<i64>().map_or(0, |n| n as u64);
    let grows = changes.iter().any(|c| c.file == MEMSW && number(&c.value) >= number(&text(&dir.join(MEMSW))));
    changes.sort_by_key(|change| match change.file {
        MEMSW if grows => 0,
        MEMSW => 2,
        _ => 1,
    });
    changes
}

/// What a file says when there is no limit: what the kernel has in a new cgroup.
fn unlimited(path: &Path, dir: &Directory) -> Option<Cow<'static, str>> {
    let value = match path.file_name()?.to_str()? {
        "memory.limit_in_bytes" | MEMSW | "memory.soft_limit_in_bytes" | "cpu.cfs_quota_us" => "-1",
        "memory.max" | "memory.swap.max" | "pids.max" => "max",
        "memory.low" | "cpu.rt_runtime_us" => "0",
        "cpu.max" => "max 100000",
        "cpu.cfs_period_us" => "100000",
        "cpu.rt_period_us" => "1000000",
        "cpu.shares" => "1024",
        "cpu.weight" | "blkio.bfq.weight" | "io.bfq.weight" | "io.weight" => "100",
        "blkio.weight" => "500",
        // v1 knows no such word: all that the parent has.
        "cpuset.cpus" | "cpuset.mems" if dir.inherits_cpuset => {
            let above = Path::new(&dir.path).parent()?.join(path.file_name()?);
            return Some(text(&above).into());
        }
        // An empty line.
        "cpuset.cpus" | "cpuset.mems" => "\n",
        _ => return None,
    };
    Some(value.into())
}

fn text(path: &Path) -> String {
    String::from_utf8_lossy(&fs::read_bounded(path, 4096).unwrap_or_default()).trim().to_owned()
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn dir(path: &Path, writes: &[(&str, &str)], if_possible: &[(&str, &str)]) -> Directory {
        let own = |all: &[(&str, &str)]| all.iter().map(|(f, v)| (f.to_string(), v.to_string())).collect();
        let (writes, if_possible) = (own(writes), own(if_possible));
        Directory { path: path.display().to_string(), writes, if_possible, ..Directory::default() }
    }

    fn put(path: &Path, files: &[(&str, &str)]) {
        files.iter().for_each(|(file, value)| std::fs::write(path.join(file), value).unwrap());
    }

    fn planned(old: &Directory, new: Option<&Directory>) -> Vec<(String, String)> {
        changes(old, new).into_iter().map(|c| (c.file.to_owned(), c.value.into_owned())).collect()
    }

    fn pairs(all: &[(&str, &str)]) -> Vec<(String, String)> {
        all.iter().map(|(f, v)| (f.to_string(), v.to_string())).collect()
    }

    #[test]
    fn what_differs_is_written_and_a_refusal_takes_all_back() {
        let tmp = tempfile::tempdir().unwrap();
        let read = |file: &str| text(&tmp.path().join(file));
        put(tmp.path(), &[("pids.max", "10"), ("cpu.shares", "512")]);
        let old = dir(tmp.path(), &[("pids.max", "10"), ("cpu.shares", "512")], &[]);
        let new = dir(tmp.path(), &[("pids.max", "20"), ("cpu.shares", "512")], &[]);
        assert_eq!(planned(&old, Some(&new)), pairs(&[("pids.max", "20")]));
        let refused = dir(tmp.path(), &[("pids.max", "30"), ("memory.nothing", "1")], &[]);
        let error = change(std::slice::from_ref(&old), &[refused]).unwrap_err();
        assert_eq!((error.kind(), read("pids.max").as_str()), (Kind::UnenforceableLimit, "10"));
        let lacking = dir(tmp.path(), &[("pids.max", "30"), ("cpu.shares", "512")], &[("memory.nothing", "1")]);
        assert!(change(std::slice::from_ref(&old), &[lacking]).unwrap().is_empty());
        assert_eq!(read("pids.max"), "30");
        let tried = dir(tmp.path(), &[("pids.max", "31"), ("cpu.shares", "512"), ("io.max", "8:0 rbps=1")], &[]);
        assert_eq!(
            change(&[old], &[Directory { may_lack: true, ..tried }]).unwrap(),
            pairs(&[("io.max", "8:0 rbps=1")])
        );
    }

    #[test]
    fn what_is_gone_is_lifted_on_both_versions() {
        let tmp = tempfile::tempdir().unwrap();
        let v2 = dir(
            tmp.path(),
            &[("memory.max", "9"), ("cpu.max", "1 2"), ("cpu.weight", "3"), ("cpuset.cpus", "0"), ("pids.max", "4")],
            &[("memory.swap.max", "9"), ("memory.low", "5")],
        );
        let lifted = [("memory.max", "max"), ("cpu.max", "max 100000"), ("cpu.weight", "100"), ("cpuset.cpus", "\n")];
        let rest = [("pids.max", "max"), ("memory.swap.max", "max"), ("memory.low", "0")];
        assert_eq!(planned(&v2, None), pairs(&[&lifted[..], &rest].concat()));
        let v1 = dir(
            tmp.path(),
            &[
                ("memory.limit_in_bytes", "9"),
                ("memory.soft_limit_in_bytes", "5"),
                ("cpu.cfs_period_us", "100000"),
                ("cpu.cfs_quota_us", "7"),
                ("cpu.shares", "8"),
            ],
            &[(MEMSW, "18")],
        );
        put(tmp.path(), &[(MEMSW, "18\n")]);
        let lifted = [(MEMSW, "-1"), ("memory.limit_in_bytes", "-1"), ("memory.soft_limit_in_bytes", "-1")];
        let rest = [("cpu.cfs_quota_us", "-1"), ("cpu.shares", "1024")];
        assert_eq!(planned(&v1, None), pairs(&[&lifted[..], &rest].concat()));
    }

    #[test]
    fn a_v1_cpuset_gets_its_parents_back() {
        let tmp = tempfile::tempdir().unwrap();
        put(tmp.path(), &[("cpuset.cpus", "0-3\n")]);
        let below = tmp.path().join("below");
        let old = Directory { inherits_cpuset: true, ..dir(&below, &[("cpuset.cpus", "1")], &[]) };
        assert_eq!(planned(&old, None), pairs(&[("cpuset.cpus", "0-3")]));
    }

    #[test]
    fn memory_stays_at_or_below_memory_and_swap() {
        let tmp = tempfile::tempdir().unwrap();
        let of = |memory: &str, both: &str| dir(tmp.path(), &[("memory.limit_in_bytes", memory), (MEMSW, both)], &[]);
        put(tmp.path(), &[(MEMSW, "200\n")]);
        let first = |new: &Directory| planned(&of("100", "200"), Some(new)).remove(0).0;
        assert_eq!(first(&of("150", "300")), MEMSW);
        assert_eq!(first(&of("50", "-1")), MEMSW);
        assert_eq!(first(&of("50", "100")), "memory.limit_in_bytes");
        assert_eq!(first(&of("150", "180")), "memory.limit_in_bytes");
    }
}

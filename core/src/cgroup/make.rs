//! Makes a container's cgroups with their limits; what was made is removed again unless it is kept.

use std::path::Path;

use serde::Serialize;

use super::devices::{self, DeviceRule};
use super::end::end;
use super::file::{explain, lacks, target};
use crate::error::{Error, Kind, Result};
use crate::fs;

/// One directory and what is written into it.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Directory {
    /// The directory.
    pub path: String,
    /// The directory above it that exists and is ours to write; v2 controllers are handed down from there.
    pub base: String,
    /// v1 cpuset: copy the parent's `cpuset.cpus` and `cpuset.mems` first, without which it holds no process.
    pub inherits_cpuset: bool,
    /// `(file, value)`.
    pub writes: Vec<(String, String)>,
    /// `(file, value)` that this kernel may lack: limits that nobody asked for by name.
    pub if_possible: Vec<(String, String)>,
    /// v2: which devices may be used; v1 has files for that.
    pub devices: Vec<DeviceRule>,
    /// What can't be held to them runs all the same.
    #[serde(skip)]
    pub devices_may_lack: bool,
    /// What this kernel lacks of `writes` is left out and told, and no error.
    #[serde(skip)]
    pub may_lack: bool,
}

/// Cgroups that go away with this value, until [`Made::keep`].
#[derive(Debug, Default)]
pub struct Made<'a> {
    directories: &'a [Directory],
    /// Of `writes` those that the kernel has nothing for, where that is no error.
    pub lacking: Vec<(String, String)>,
}

impl Made<'_> {
    /// Leaves them to the shim.
    pub fn keep(mut self) {
        self.directories = &[];
    }
}

impl Drop for Made<'_> {
    fn drop(&mut self) {
        end(self.directories);
    }
}

/// Makes the directories in order. `enable` are the v2 controllers to hand down on the way.
///
/// # Errors
/// `Conflict` when processes are in one already: what ends this container would end them.
pub fn make<'a>(directories: &'a [Directory], enable: &[String]) -> Result<Made<'a>> {
    make_with(directories, enable, refuse_occupied)
}

/// The same where the caller has named the cgroups, and may have put others in.
pub fn make_or_share<'a>(directories: &'a [Directory], enable: &[String]) -> Result<Made<'a>> {
    make_with(directories, enable, |_| Ok(()))
}

fn make_with<'a>(
    directories: &'a [Directory],
    enable: &[String],
    check: impl Fn(&Path) -> Result<()>,
) -> Result<Made<'a>> {
    let mut made = Made::default();
    for (count, directory) in directories.iter().enumerate() {
        if !make_one(directory, enable)? {
            check(Path::new(&directory.path))?;
        }
        made.directories = &directories[..=count];
        limit(directory, &mut made.lacking)?;
    }
    Ok(made)
}

/// Whether processes are in a cgroup or below it, also those that can't be seen from here, which are told as 0.
pub fn is_occupied(dir: &Path) -> bool {
    let occupied =
        |dir: &Path| fs::read_bounded(&dir.join("cgroup.procs"), 16 << 20).is_ok_and(|text| !text.is_empty());
    occupied(dir) || fs::directories_below(dir).iter().any(|below| occupied(below))
}

/// An error where processes are in a cgroup that a container is about to have for its own.
pub fn refuse_occupied(dir: &Path) -> Result<()> {
    match is_occupied(dir) {
        false => Ok(()),
        true => Err(Error::new(Kind::Conflict, "make cgroup", dir.display().to_string())
            .because("processes are in it: a container with the same id runs from another store, of which this is a copy, or the other way round")
            .hint("stop that one first, or create this one anew")),
    }
}

/// Lets everyone look into a container's own directories: ids of a container's own are nobody's here.
pub fn open_to_all(directories: &[Directory]) -> Result<()> {
    directories.iter().try_for_each(|directory| fs::open_to_all(Path::new(&directory.path)))
}

/// False where it is there already.
fn make_one(directory: &Directory, enable: &[String]) -> Result<bool> {
    let path = Path::new(&directory.path);
    // The parents exist after the first container: one system call then.
    if enable.is_empty()
        && !directory.inherits_cpuset
        && let Ok(made) = fs::make_dir(path)
    {
        return Ok(made);
    }
    for parent in parents(directory) {
        // The kernel looks up the way to a container's cgroup by the rights of its ids, where it has its own. What somebody
        // else has made stays as closed as he wants it.
        if fs::make_dir(parent)? {
            fs::open_to_all(parent)?;
        }
        match directory.inherits_cpuset {
            true if parent != Path::new(&directory.base) => inherit_cpuset(parent)?,
            true => {}
            false => hand_down(parent, enable)?,
        }
    }
    let made = fs::make_dir(path)?;
    if directory.inherits_cpuset {
        inherit_cpuset(path).inspect_err(|_| drop(fs::remove_dir(path)))?;
    }
    Ok(made)
}

/// From the base down to the directory's parent.
fn parents(directory: &Directory) -> Vec<&Path> {
    let base = Path::new(&directory.base);
    let mut parents: Vec<&Path> =
        Path::new(&directory.path).ancestors().skip(1).take_while(|p| p.starts_with(base)).collect();
    parents.reverse();
    parents
}

/// Hands controllers down, only those that aren't yet: the write takes a lock that all of the host shares.
pub fn hand_down(parent: &Path, enable: &[String]) -> Result<()> {
    if enable.is_empty() {
        return Ok(());
    }
    let file = parent.join("cgroup.subtree_control");
    let have = String::from_utf8_lossy(&fs::read_bounded(&file, 4096)?).into_owned();
    let missing = enable.iter().filter(|c| !have.split_whitespace().any(|h| h == c.as_str()));
    let words: Vec<String> = missing.map(|c| format!("+{c}")).collect();
    match words.is_empty() {
        true => Ok(()),
        false => fs::write_kernel(&file, &words.join(" ")).map_err(|e| busy(e, parent)),
    }
}

/// Writes the limits of cgroups that somebody else has made.
pub fn limit_all(directories: &[Directory]) -> Result<()> {
    directories.iter().try_for_each(|directory| limit(directory, &mut Vec::new()))
}

/// Hands controllers down to cgroups that are there already, for limits that were not thought of when they were made.
pub fn enable(directories: &[Directory], controllers: &[String]) -> Result<()> {
    directories.iter().flat_map(parents).try_for_each(|parent| hand_down(parent, controllers))
}

fn busy(error: Error, parent: &Path) -> Error {
    match error.errno() {
        Some(libc::EBUSY) => Error::new(Kind::UnenforceableLimit, "enable controllers", parent.display().to_string())
            .because("processes are in that cgroup, so it can't hand its controllers down (no internal process rule)")
            .hint("start Sampan in a cgroup below it, or name a cgroup_parent"),
        _ => error,
    }
}

/// v1: gives a cgroup the processors and the memory of the one above it, without which it holds no process.
pub fn inherit_cpuset(dir: &Path) -> Result<()> {
    for file in ["cpuset.cpus", "cpuset.mems"] {
        let own = dir.join(file);
        if !fs::read_bounded(&own, 4096)?.trim_ascii().is_empty() {
            continue;
        }
        let Some(above) = dir.parent() else { continue };
        let value = fs::read_bounded(&above.join(file), 4096)?;
        fs::write_kernel(&own, String::from_utf8_lossy(&value).trim())?;
    }
    Ok(())
}

fn limit(directory: &Directory, lacking: &mut Vec<(String, String)>) -> Result<()> {
    let dir = Path::new(&directory.path);
    for write @ (file, value) in &directory.writes {
        let (path, value) = target(dir, file, value);
        match fs::write_kernel(&path, &value).map_err(|e| explain(e, file, &value)) {
            refused if directory.may_lack && lacks(&refused) => lacking.push(write.clone()),
            done => done?,
        }
    }
    for (file, value) in &directory.if_possible {
        let _ = fs::write_kernel(&dir.join(file), value);
    }
    match directory.devices.is_empty() {
        true => Ok(()),
        false => devices::attach(dir, &directory.devices, directory.devices_may_lack),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn dir(base: &str, path: &str) -> Directory {
        Directory { base: base.into(), path: path.into(), ..Directory::default() }
    }

    #[test]
    fn parents_go_from_the_base_down() {
        let directory = dir("/cg", "/cg/a/b/c");
        let parents: Vec<_> = parents(&directory).iter().map(|p| p.display().to_string()).collect();
        assert_eq!(parents, ["/cg", "/cg/a", "/cg/a/b"]);
    }

    #[test]
    fn a_controller_is_handed_down_where_it_is_missing() {
        let tmp = tempfile::tempdir().unwrap();
        let base = tmp.path().display().to_string();
        let files = ["cgroup.subtree_control", "sampan/cgroup.subtree_control"].map(|file| tmp.path().join(file));
        fs::make_dirs(&tmp.path().join("sampan/x")).unwrap();
        for (file, has) in files.iter().zip([&b"memory cpuset\n"[..], b"memory\n"]) {
            fs::write_new(file, has).unwrap();
        }
        enable(&[dir(&base, &format!("{base}/sampan/x"))], &["memory".into(), "cpuset".into()]).unwrap();
        let now = files.map(|file| String::from_utf8(fs::read_bounded(&file, 100).unwrap()).unwrap());
        assert_eq!(now[0], "memory cpuset\n");
        assert!(now[1].starts_with("+cpuset"), "{}", now[1]);
    }

    #[test]
    fn what_was_made_goes_unless_it_is_kept() {
        let tmp = tempfile::tempdir().unwrap();
        let base = tmp.path().display().to_string();
        let path = format!("{base}/sampan/x");
        drop(make(&[dir(&base, &path)], &[]).unwrap());
        assert!(!Path::new(&path).exists());
        make(&[dir(&base, &path)], &[]).unwrap().keep();
        assert!(Path::new(&path).exists());
    }

    #[test]
    fn what_could_not_be_made_to_the_end_is_not_left() {
        let tmp = tempfile::tempdir().unwrap();
        let base = tmp.path().display().to_string();
        let path = format!("{base}/x");
        // Its parent has no processors to give, as no hierarchy has that is not the kernel's.
        let directory = Directory { inherits_cpuset: true, ..dir(&base, &path) };
        assert!(make(&[directory], &[]).is_err());
        assert!(!Path::new(&path).exists());
    }

    #[test]
    fn a_limit_that_the_kernel_lacks_is_told_and_undone() {
        let tmp = tempfile::tempdir().unwrap();
        let base = tmp.path().display().to_string();
        let path = format!("{base}/sampan/x");
        let writes = vec![("memory.max".to_string(), "1".to_string())];
        let implied = Directory { if_possible: writes.clone(), ..dir(&base, &path) };
        drop(make(&[implied], &[]).unwrap());
        let limited = Directory { writes, ..dir(&base, &path) };
        let error = make(&[limited], &[]).unwrap_err();
        assert_eq!(error.kind(), Kind::UnenforceableLimit);
        assert!(error.to_string().contains("memory.max") && !Path::new(&path).exists());
    }
}

//! The cgroups of a container, as its record has them: controller and directory, the empty name for v2.

use std::path::Path;

use super::Runtime;
use super::state::Record;
use crate::cgroup::{self, Directory, Freezer};
use crate::error::{Error, Kind, Result};
use crate::{fs, lock};

pub(super) type Cgroups = [(String, String)];

pub(super) fn is_v2(cgroups: &Cgroups) -> bool {
    cgroups.iter().any(|(controller, _)| controller.is_empty())
}

pub(super) fn freezer(cgroups: &Cgroups) -> Option<Freezer> {
    let dir = |name: &str| cgroups.iter().find(|(controller, _)| controller == name).map(|(_, dir)| dir.into());
    dir("freezer").map(Freezer::V1).or_else(|| dir("").map(Freezer::V2))
}

pub(super) fn thaw(cgroups: &Cgroups) -> Result<()> {
    match freezer(cgroups) {
        Some(freezer) if freezer.is_held() => freezer.thaw(),
        _ => Ok(()),
    }
}

/// All hierarchies hold the same processes; one is enough.
fn any(cgroups: &Cgroups) -> Option<&Path> {
    cgroups.first().map(|(_, dir)| Path::new(dir))
}

/// The processes in them and below.
pub(super) fn members(cgroups: &Cgroups) -> Vec<i32> {
    any(cgroups).map(cgroup::members_below).unwrap_or_default()
}

/// Sends a signal to all of them.
pub(super) fn signal(cgroups: &Cgroups, signal: i32) -> Result<()> {
    any(cgroups).map_or(Ok(()), |dir| cgroup::signal_below(dir, signal))
}

/// Each directory once.
fn directories(cgroups: &Cgroups) -> Vec<Directory> {
    let mut dirs: Vec<Directory> = Vec::new();
    for (_, path) in cgroups {
        if !dirs.iter().any(|known| known.path == *path) {
            dirs.push(Directory { path: path.clone(), ..Directory::default() });
        }
    }
    dirs
}

/// Ends what is left in them, and removes them.
pub(super) fn remove(cgroups: &Cgroups) -> Result<()> {
    let dirs = directories(cgroups);
    cgroup::end(&dirs);
    match dirs.into_iter().find(|dir| fs::exists(Path::new(&dir.path)).unwrap_or(false)) {
        None => Ok(()),
        Some(left) => {
            Err(Error::new(Kind::Conflict, "remove cgroup", left.path).because("a process in it does not end"))
        }
    }
}

/// Writes the record of a container whose cgroups are nobody's. One call after the other: of two that want the same, the
/// second has to find the record of the first.
pub(super) fn claim(runtime: &Runtime, record: &Record, dir: &Path) -> Result<()> {
    let _turn = match record.cgroups.is_empty() {
        true => None,
        // No id begins with a dot.
        false => Some(lock::exclusive(&runtime.root.join(".cgroups"))?),
    };
    require_vacant(runtime, &record.id, &record.cgroups)?;
    record.write(dir)
}

/// A cgroup that is somebody's would be limited, frozen and ended with the container.
fn require_vacant(runtime: &Runtime, id: &str, cgroups: &Cgroups) -> Result<()> {
    for dir in directories(cgroups) {
        let path = Path::new(&dir.path);
        if !fs::exists(path)? {
            continue;
        }
        let refused = |because: String| {
            Err(Error::new(Kind::Conflict, "create container", id)
                .because(format!("its cgroup {} {because}", dir.path))
                .hint("give linux.cgroupsPath another path"))
        };
        if let Some(owner) = owner(runtime, id, &dir.path) {
            return refused(format!("belongs to container {owner}"));
        }
        match cgroup::members_below(path).len() {
            0 => {}
            count => return refused(format!("holds processes already ({count})")),
        }
    }
    Ok(())
}

/// Another container of this runtime, be it that its processes have ended.
fn owner(runtime: &Runtime, id: &str, path: &str) -> Option<String> {
    let ids = fs::list(&runtime.root).ok()?;
    let record = |other: &str| Record::read(&runtime.dir(other).ok()?).ok();
    let mut others = ids.iter().filter_map(|other| other.to_str()).filter(|other| *other != id).filter_map(record);
    others.find(|other| other.cgroups.iter().any(|(_, dir)| dir == path)).map(|other| other.id)
}

//! Where the container's cgroups are, and what is written into them (config-linux.md, "Control groups").

use oci_spec::runtime::Spec;

use super::resources::{self, Write};
use super::scope::{self, Scope, Systemd};
use super::{invalid, unsupported};
use crate::cgroup::Directory;
use crate::error::Result;
use crate::plan::facts::{Cgroups, Facts};
use crate::plan::launch::CgroupPlacement;
use crate::systemd::Whose;

/// Control groups of one container.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Groups {
    /// Directories to make, with what is written into them.
    pub dirs: Vec<Directory>,
    /// v2: controllers to enable along the way down.
    pub enable: Vec<String>,
    /// For the shim.
    pub placement: CgroupPlacement,
    /// v1: controller and its directory; v2: the empty name and the directory.
    pub by_controller: Vec<(String, String)>,
    /// Made by systemd, with the container's first process in it.
    pub scope: Option<Scope>,
}

/// Plans them, as a scope where systemd is asked. A host that gives none is fine unless something is asked of them.
///
/// # Errors
/// `InvalidArgument` and `Unsupported`, with the field.
pub fn groups(spec: &Spec, id: &str, host: &Facts, systemd: Option<&Systemd>) -> Result<Groups> {
    let facts = &host.cgroups;
    let linux = spec.linux().clone().unwrap_or_default();
    let path = linux.cgroups_path().as_deref().and_then(|path| path.to_str());
    let v2 = facts.mode == "v2";
    let writes = linux.resources().as_ref().map_or(Ok(Vec::new()), |resources| resources::writes(resources, v2))?;
    let mut groups = match (systemd, &facts.v2, facts.v1.is_empty()) {
        (Some(systemd), ..) => scope_groups(Scope::read(spec, path, id, systemd)?, facts, &writes, systemd)?,
        (None, Some(base), _) => v2_groups(base, &self::path(path, id)?, facts),
        (None, None, false) => v1_groups(facts, &self::path(path, id)?),
        (None, None, true) => self::path(path, id).map(|_| Groups::default())?,
    };
    // In a user namespace no device can be made that works, so there is nothing to rule.
    if let (true, false, Some(dir), Some(resources)) =
        (v2, host.in_user_namespace, groups.dirs.first_mut(), linux.resources())
    {
        dir.devices = resources::devices(resources)?;
    }
    for write in writes {
        place(&mut groups, write, v2)?;
    }
    Ok(groups)
}

fn path(given: Option<&str>, id: &str) -> Result<String> {
    let path = given.filter(|path| !path.is_empty()).unwrap_or(id).trim_matches('/').to_owned();
    match path.is_empty() || path.split('/').any(|part| part == ".." || part.is_empty()) {
        true => Err(invalid("linux.cgroupsPath", format!("{path:?} is not a path below the root of the cgroups"))),
        false => Ok(path),
    }
}

fn v2_groups(base: &str, path: &str, facts: &Cgroups) -> Groups {
    let dir = format!("{base}/{path}");
    Groups {
        dirs: vec![Directory { path: dir.clone(), base: base.to_owned(), ..Directory::default() }],
        enable: facts.v2_controllers.clone(),
        placement: CgroupPlacement { v2: Some(dir.clone()), ..CgroupPlacement::default() },
        by_controller: vec![(String::new(), dir)],
        scope: None,
    }
}

/// What systemd does not know of is handed down and written by us; for a plain user it hands down what there is.
fn scope_groups(
    (mut scope, path): (Scope, String),
    facts: &Cgroups,
    writes: &[Write],
    systemd: &Systemd,
) -> Result<Groups> {
    let (Some(top), "v2") = (&facts.top, facts.mode.as_str()) else {
        return Err(unsupported("linux.cgroupsPath", "systemd is asked for cgroups of version 2 alone"));
    };
    let dir = format!("{top}{path}");
    let is_system = systemd.whose == Whose::System;
    scope.properties.extend(scope::properties(writes, systemd.about.version));
    scope.properties.extend(scope::oom_policy(writes, systemd.about.version));
    let base = if is_system { top.clone() } else { dir.clone() };
    Ok(Groups {
        dirs: vec![Directory { path: dir.clone(), base, ..Directory::default() }],
        enable: if is_system { facts.v2_controllers.clone() } else { Vec::new() },
        placement: CgroupPlacement { awaited: true, ..CgroupPlacement::default() },
        by_controller: vec![(String::new(), dir)],
        scope: Some(scope),
    })
}

/// One directory in each hierarchy, of which several controllers may share one.
fn v1_groups(facts: &Cgroups, path: &str) -> Groups {
    let mut groups = Groups::default();
    for (controller, base) in &facts.v1 {
        let dir = format!("{base}/{path}");
        groups.by_controller.push((controller.clone(), dir.clone()));
        match groups.dirs.iter_mut().find(|known| known.path == dir) {
            Some(known) => known.inherits_cpuset |= controller == "cpuset",
            None => groups.dirs.push(Directory {
                path: dir.clone(),
                base: base.clone(),
                inherits_cpuset: controller == "cpuset",
                ..Directory::default()
            }),
        }
    }
    groups.placement.v1 = groups.dirs.iter().map(|dir| dir.path.clone()).collect();
    groups
}

/// The part of the configuration that a v1 controller is for.
fn field(controller: &str) -> &str {
    match controller {
        "blkio" => "blockIO",
        "cpuset" => "cpu",
        "hugetlb" => "hugepageLimits",
        "net_cls" | "net_prio" => "network",
        same => same,
    }
}

fn place(groups: &mut Groups, write: Write, v2: bool) -> Result<()> {
    let controller = if v2 { "" } else { write.controller };
    let dir = groups.by_controller.iter().find(|(name, _)| name == controller).map(|(_, dir)| dir.clone());
    match groups.dirs.iter_mut().find(|known| Some(&known.path) == dir.as_ref()) {
        Some(known) => known.writes.push((write.file, write.value)),
        // Without cgroups there is nothing to keep a device from; the nodes themselves are ours.
        None if write.controller == "devices" => {}
        None => {
            let why = format!("this host gives no cgroup controller {}", write.controller);
            return Err(unsupported(format!("linux.resources.{}", field(write.controller)), why));
        }
    }
    Ok(())
}

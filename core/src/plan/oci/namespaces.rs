//! Namespaces and id maps.

use std::collections::BTreeMap;

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType, LinuxTimeOffset};

use super::{invalid, unsupported};
use crate::error::Result;
use crate::plan::launch::{Extent, IdMap, Namespace, Namespaces};

/// Those of any container, and two more.
#[derive(Default)]
pub(super) struct Chosen {
    pub namespaces: Namespaces,
    /// A user namespace that exists.
    pub user: Option<String>,
    pub time: Namespace,
    pub mount: Namespace,
}

/// Reads the list; what is not in it is the runtime's own.
pub(super) fn read(linux: &Linux) -> Result<Chosen> {
    let list = linux.namespaces().clone().unwrap_or_default();
    let mut chosen = Chosen::default();
    let mut seen = Vec::new();
    for namespace in &list {
        if seen.contains(&namespace.typ()) {
            return Err(invalid("linux.namespaces", format!("{} is there twice", namespace.typ())));
        }
        seen.push(namespace.typ());
        take(&mut chosen, namespace)?;
    }
    let mapped = chosen.namespaces.user || chosen.user.is_some();
    match mapped && chosen.mount != Namespace::New {
        true => Err(unsupported(
            "linux.namespaces",
            "who is in a user namespace can't go back to a mount namespace that isn't its own: a container with the one \
             needs a new one of the other",
        )),
        false => Ok(chosen),
    }
}

fn take(all: &mut Chosen, namespace: &LinuxNamespace) -> Result<()> {
    let namespaces = &mut all.namespaces;
    let name = || format!("linux.namespaces.{}", namespace.typ());
    let chosen = match namespace.path().as_deref().map(|path| path.to_str()) {
        None | Some(Some("")) => Namespace::New,
        Some(Some(path)) if path.starts_with('/') => Namespace::Join(path.to_owned()),
        _ => return Err(invalid(name(), "its path is not absolute")),
    };
    match namespace.typ() {
        LinuxNamespaceType::Pid => namespaces.pid = chosen,
        LinuxNamespaceType::Network => namespaces.net = chosen,
        LinuxNamespaceType::Ipc => namespaces.ipc = chosen,
        LinuxNamespaceType::Uts => namespaces.uts = chosen,
        LinuxNamespaceType::Cgroup => namespaces.cgroup = chosen,
        LinuxNamespaceType::Time => all.time = chosen,
        LinuxNamespaceType::User => match chosen {
            Namespace::Join(path) => all.user = Some(path),
            _ => namespaces.user = true,
        },
        LinuxNamespaceType::Mount => all.mount = chosen,
    }
    Ok(())
}

/// The maps of a new user namespace.
pub(super) fn id_map(linux: &Linux, namespaces: &Namespaces, joined: bool) -> Result<Option<IdMap>> {
    let maps = |list: &Option<Vec<LinuxIdMapping>>| list.iter().flatten().map(extent).collect::<Vec<_>>();
    let (uids, gids) = (maps(linux.uid_mappings()), maps(linux.gid_mappings()));
    match (namespaces.user, uids.is_empty() || gids.is_empty()) {
        // Those of one that exists are its own; engines repeat them.
        (false, _) if joined || (uids.is_empty() && gids.is_empty()) => Ok(None),
        (false, _) => {
            Err(invalid("linux.uidMappings", "without a user namespace in linux.namespaces there is nothing to map"))
        }
        (true, true) => Err(invalid("linux.uidMappings", "a new user namespace needs maps of user and group ids")),
        (true, false) => Ok(Some(IdMap { uids, gids, helpers: None })),
    }
}

/// Offsets of a new time namespace's clocks, as `/proc/PID/timens_offsets` takes them (time_namespaces(7)).
pub(super) fn time_offsets(linux: &Linux, time: &Namespace) -> Result<String> {
    let offsets: BTreeMap<_, _> = linux.time_offsets().iter().flatten().collect();
    if !offsets.is_empty() && *time != Namespace::New {
        return Err(invalid("linux.timeOffsets", "they are of a new time namespace, and there is none"));
    }
    let line = |(clock, offset): (&String, &LinuxTimeOffset)| match clock.as_str() {
        "monotonic" | "boottime" => {
            Ok(format!("{clock} {} {}\n", offset.secs().unwrap_or(0), offset.nanosecs().unwrap_or(0)))
        }
        other => {
            Err(invalid(format!("linux.timeOffsets.{other}"), "a namespace has the clocks monotonic and boottime"))
        }
    };
    offsets.into_iter().map(line).collect()
}

pub(super) fn extent(mapping: &LinuxIdMapping) -> Extent {
    Extent { inside: mapping.container_id(), outside: mapping.host_id(), length: mapping.size() }
}

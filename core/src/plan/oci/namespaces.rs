//! Namespaces and id maps.

use oci_spec::runtime::{Linux, LinuxIdMapping, LinuxNamespace, LinuxNamespaceType};

use super::{invalid, unsupported};
use crate::error::Result;
use crate::plan::launch::{Extent, IdMap, Namespace, Namespaces};

/// Reads the list; what is not in it is the runtime's own.
pub(super) fn read(linux: &Linux) -> Result<Namespaces> {
    let list = linux.namespaces().clone().unwrap_or_default();
    let mut namespaces = Namespaces::default();
    let mut seen = Vec::new();
    for namespace in &list {
        if seen.contains(&namespace.typ()) {
            return Err(invalid("linux.namespaces", format!("{} is there twice", namespace.typ())));
        }
        seen.push(namespace.typ());
        take(&mut namespaces, namespace)?;
    }
    match seen.contains(&LinuxNamespaceType::Mount) {
        true => Ok(namespaces),
        false => Err(unsupported(
            "linux.namespaces",
            "without a mount namespace of its own the container's root would be the host's",
        )),
    }
}

fn take(namespaces: &mut Namespaces, namespace: &LinuxNamespace) -> Result<()> {
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
        LinuxNamespaceType::User if chosen == Namespace::New => namespaces.user = true,
        LinuxNamespaceType::Mount if chosen == Namespace::New => {}
        LinuxNamespaceType::Time => return Err(unsupported(name(), "time namespaces are not made by this version")),
        _ => return Err(unsupported(name(), "one that exists can't be joined by this version")),
    }
    Ok(())
}

/// The maps of a new user namespace.
pub(super) fn id_map(linux: &Linux, namespaces: &Namespaces) -> Result<Option<IdMap>> {
    let maps = |list: &Option<Vec<LinuxIdMapping>>| list.iter().flatten().map(extent).collect::<Vec<_>>();
    let (uids, gids) = (maps(linux.uid_mappings()), maps(linux.gid_mappings()));
    match (namespaces.user, uids.is_empty() || gids.is_empty()) {
        (false, _) => Ok(None),
        (true, true) => Err(invalid("linux.uidMappings", "a new user namespace needs maps of user and group ids")),
        (true, false) => Ok(Some(IdMap { uids, gids, helpers: None })),
    }
}

fn extent(mapping: &LinuxIdMapping) -> Extent {
    Extent { inside: mapping.container_id(), outside: mapping.host_id(), length: mapping.size() }
}

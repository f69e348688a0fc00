//! What may be set only in a namespace of the container: elsewhere it would be the host's.

use oci_spec::runtime::{Linux, Spec};

use super::invalid;
use crate::error::Result;
use crate::plan::launch::{Namespace, Namespaces};

/// System V IPC's; POSIX queues' begin with `fs.mqueue.`.
const OF_IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const OF_UTS: [&str; 2] = ["kernel.domainname", "kernel.hostname"];

/// Names of the host.
pub(super) fn check_names(spec: &Spec, namespaces: &Namespaces) -> Result<()> {
    let named = |name: &Option<String>| name.as_deref().is_some_and(|name| !name.is_empty());
    for (field, is_named) in [("hostname", named(spec.hostname())), ("domainname", named(spec.domainname()))] {
        if is_named && namespaces.uts == Namespace::Host {
            return Err(invalid(field, "without a UTS namespace in linux.namespaces it would be the host's"));
        }
    }
    Ok(())
}

/// In their order, for the same plan of the same configuration.
pub(super) fn sysctls(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    let mut all: Vec<(String, String)> = linux.sysctl().iter().flatten().map(|(k, v)| (k.clone(), v.clone())).collect();
    all.sort_unstable();
    all.iter().try_for_each(|(key, _)| check_sysctl(key, namespaces))?;
    Ok(all)
}

fn check_sysctl(key: &str, namespaces: &Namespaces) -> Result<()> {
    let refused = |because: &str| Err(invalid(format!("linux.sysctl.{key}"), because));
    let dotted = key.replace('/', ".");
    let namespace = match dotted.as_str() {
        _ if dotted.contains("..") || dotted.starts_with('.') => return refused("it is not the name of one"),
        name if name.starts_with("net.") => &namespaces.net,
        name if name.starts_with("fs.mqueue.") || OF_IPC.contains(&name) => &namespaces.ipc,
        name if OF_UTS.contains(&name) => &namespaces.uts,
        _ => return refused("it belongs to no namespace of the container, so it would be the host's"),
    };
    match namespace {
        Namespace::Host => refused("the namespace that it belongs to is the host's"),
        _ => Ok(()),
    }
}

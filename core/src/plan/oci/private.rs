//! What may be set only in a namespace of the container: elsewhere it would be the host's.

use oci_spec::runtime::{Linux, Spec};

use super::invalid;
use crate::error::Result;
use crate::plan::launch::{Namespace, Namespaces};
use crate::plan::sysctl;

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
    let namespace = match sysctl::namespace(&key.replace('/', ".")) {
        Some(sysctl::Of::Net) => &namespaces.net,
        Some(sysctl::Of::Ipc) => &namespaces.ipc,
        Some(sysctl::Of::Uts) => &namespaces.uts,
        None => return refused("it belongs to no namespace of the container, so it would be the host's"),
    };
    match namespace {
        Namespace::Host => refused("the namespace that it belongs to is the host's"),
        _ => Ok(()),
    }
}

//! Namespaces by path that are the runtime's own.

use oci_spec::runtime::{LinuxNamespace, LinuxNamespaceType, Spec};

/// The configuration without those: joining one changes nothing, so that it is the host's, as if it were not in the
/// list, and what is allowed only in a namespace of the container's (`linux.sysctl`, `hostname`) is refused.
pub(super) fn without_own(mut config: Spec) -> Spec {
    let namespaces = config.linux_mut().as_mut().and_then(|linux| linux.namespaces_mut().as_mut());
    if let Some(namespaces) = namespaces {
        namespaces.retain(|namespace| !is_own(namespace));
    }
    config
}

fn is_own(namespace: &LinuxNamespace) -> bool {
    let name = match namespace.typ() {
        LinuxNamespaceType::Pid => "pid",
        LinuxNamespaceType::Network => "net",
        LinuxNamespaceType::Ipc => "ipc",
        LinuxNamespaceType::Uts => "uts",
        LinuxNamespaceType::Cgroup => "cgroup",
        LinuxNamespaceType::Time => "time",
        LinuxNamespaceType::User => "user",
        LinuxNamespaceType::Mount => "mnt",
    };
    let identity = |path: &std::path::Path| nix::sys::stat::stat(path).ok().map(|stat| (stat.st_dev, stat.st_ino));
    let named = namespace.path().as_deref().and_then(identity);
    named.is_some() && named == identity(format!("/proc/self/ns/{name}").as_ref())
}

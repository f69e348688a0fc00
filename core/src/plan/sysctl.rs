//! Which sysctls belong to a namespace; the rest are the host's (namespaces(7), and as runc knows them).

/// Whose a sysctl is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Of {
    /// The network namespace's.
    Net,
    /// The IPC namespace's: System V's limits and POSIX queues'.
    Ipc,
    /// The UTS namespace's.
    Uts,
}

const IPC: [&str; 8] = [
    "kernel.msgmax",
    "kernel.msgmnb",
    "kernel.msgmni",
    "kernel.sem",
    "kernel.shmall",
    "kernel.shmmax",
    "kernel.shmmni",
    "kernel.shm_rmid_forced",
];
const UTS: [&str; 2] = ["kernel.domainname", "kernel.hostname"];

/// The namespace of a name with dots; `None` for what would be the host's, and for what climbs out of `/proc/sys`.
pub fn namespace(name: &str) -> Option<Of> {
    match name {
        _ if name.contains("..") || name.starts_with('.') => None,
        _ if name.starts_with("net.") => Some(Of::Net),
        _ if name.starts_with("fs.mqueue.") || IPC.contains(&name) => Some(Of::Ipc),
        _ if UTS.contains(&name) => Some(Of::Uts),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sysctl_is_a_namespaces_or_the_hosts() {
        let all = ["net.core.somaxconn", "fs.mqueue.msg_max", "kernel.sem", "kernel.hostname", "kernel.panic", "net"];
        assert_eq!(all.map(namespace), [Some(Of::Net), Some(Of::Ipc), Some(Of::Ipc), Some(Of::Uts), None, None]);
        assert_eq!(["net...kernel.panic", ".net.a", ""].map(namespace), [None; 3]);
    }
}

//! What a container has of the host's or of another container's: namespaces, device nodes.

use std::collections::BTreeMap;

use super::resolve::{invalid, normal};
use crate::api::RunOptions;
use crate::error::{Error, Kind, Result};
use crate::spec::Sharing;

/// The kinds of namespaces, as `/proc/PID/ns` names them, with their options.
fn wanted(options: &RunOptions) -> [(&'static str, &'static str, Option<&str>); 5] {
    [
        ("net", "network", options.network.as_deref()),
        ("pid", "pid", options.pid.as_deref()),
        ("ipc", "ipc", options.ipc.as_deref()),
        ("uts", "uts", options.uts.as_deref()),
        ("cgroup", "cgroupns", options.cgroupns.as_deref()),
    ]
}

/// Reads the options; another container is named as the caller named it.
pub fn namespaces(options: &RunOptions) -> Result<Sharing> {
    let (mut host, mut joined) = (Vec::new(), BTreeMap::new());
    for (kind, option, value) in wanted(options) {
        match value.unwrap_or_default() {
            "" => {}
            "host" => host.push(kind),
            "none" if kind == "net" => {}
            "private" if kind != "net" => {}
            "shareable" | "none" if kind == "ipc" => {}
            other => match other.split_once(':') {
                Some(("container", name)) if !name.is_empty() => drop(joined.insert(kind.to_owned(), name.to_owned())),
                _ => return Err(unknown(option, other)),
            },
        }
    }
    let is_host = |kind| host.contains(&kind);
    let [host_net, host_pid, host_ipc, host_uts, host_cgroup] = ["net", "pid", "ipc", "uts", "cgroup"].map(is_host);
    let ipc = |word| options.ipc.as_deref() == Some(word);
    let (no_shm, private_ipc) = (ipc("none"), ipc("private") || ipc("none"));
    Ok(Sharing { host_net, host_pid, host_ipc, host_uts, host_cgroup, no_shm, private_ipc, joined })
}

fn unknown(option: &str, value: &str) -> Error {
    match option {
        "network" => Error::new(Kind::Unsupported, "read option", option)
            .because(format!("there is no network {value:?} in this version"))
            .hint("use 'none', 'host' or 'container:NAME'"),
        _ => invalid(option, format!("{value:?} is neither 'private' nor 'host' nor 'container:NAME'")),
    }
}

/// `HOST[:CONTAINER[:PERMISSIONS]]`. A node can be read and written or not be had at all: what a mount does to a
/// device leaves its content alone.
pub fn devices(options: &RunOptions) -> Result<Vec<(String, String)>> {
    options.devices.iter().map(|text| device(text)).collect()
}

fn device(text: &str) -> Result<(String, String)> {
    let parts: Vec<&str> = text.split(':').collect();
    let permissions = |p: &str| !p.is_empty() && p.bytes().all(|b| b"rwm".contains(&b));
    let (host, inside, allowed) = match parts[..] {
        [host] => (host, host, "rwm"),
        [host, allowed] if permissions(allowed) => (host, host, allowed),
        [host, inside] => (host, inside, "rwm"),
        [host, inside, allowed] if permissions(allowed) => (host, inside, allowed),
        _ => return Err(invalid("devices", format!("{text:?} is not HOST[:CONTAINER[:rwm]]"))),
    };
    match allowed.contains('r') && allowed.contains('w') {
        true => Ok((normal("devices", host)?, normal("devices", inside)?)),
        false => Err(Error::new(Kind::Unsupported, "read option", "devices")
            .because(format!("{text:?}: a device is given to be read and written, or not at all"))
            .hint("leave the permissions out")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_in_dockers_words() {
        let read = |text: &str| device(text).ok();
        let pair = |a: &str, b: &str| Some((a.to_owned(), b.to_owned()));
        assert_eq!(read("/dev/fuse"), pair("/dev/fuse", "/dev/fuse"));
        assert_eq!(read("/dev/fuse:rwm"), pair("/dev/fuse", "/dev/fuse"));
        assert_eq!(read("/dev/sdc:/dev/disk"), pair("/dev/sdc", "/dev/disk"));
        assert_eq!(read("/dev/sdc:/dev/disk:rw"), pair("/dev/sdc", "/dev/disk"));
        for bad in ["", "fuse", "/dev/../etc", "/dev/sdc:/dev/disk:r", "/dev/sdc:/dev/disk:x", "/a:/b:rw:c"] {
            assert_eq!(read(bad), None, "{bad}");
        }
    }

    #[test]
    fn namespaces_in_dockers_words() {
        let options = RunOptions {
            network: Some("container:web".into()),
            pid: Some("host".into()),
            ipc: Some("private".into()),
            ..RunOptions::default()
        };
        let sharing = namespaces(&options).unwrap();
        assert!(sharing.host_pid && !sharing.host_net && !sharing.host_ipc);
        assert_eq!(sharing.joined, BTreeMap::from([("net".to_string(), "web".to_string())]));
        for bad in ["container:", "shared", "none"] {
            assert!(namespaces(&RunOptions { uts: Some(bad.into()), ..RunOptions::default() }).is_err(), "{bad}");
        }
    }
}

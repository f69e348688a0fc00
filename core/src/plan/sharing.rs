//! What a container shares with the host or with another container: namespaces.

use std::collections::BTreeMap;

use super::resolve::invalid;
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

#[cfg(test)]
mod tests {
    use super::*;

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

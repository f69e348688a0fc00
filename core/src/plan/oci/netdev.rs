//! Network devices of the host that the container gets (config-linux.md, "Network Devices").

use oci_spec::runtime::Linux;

use super::invalid;
use crate::error::Result;
use crate::plan::launch::{Namespace, Namespaces};

/// Name on the host and name in the container, in their order.
pub(super) fn read(linux: &Linux, namespaces: &Namespaces) -> Result<Vec<(String, String)>> {
    let renamed = |name: &Option<String>| name.clone().filter(|name| !name.is_empty());
    let devices = linux.net_devices().iter().flatten();
    let mut all: Vec<(String, String)> =
        devices.map(|(name, device)| (name.clone(), renamed(device.name()).unwrap_or_else(|| name.clone()))).collect();
    all.sort_unstable();
    if !all.is_empty() && namespaces.net == Namespace::Host {
        return Err(invalid(
            "linux.netDevices",
            "without a network namespace in linux.namespaces they stay the host's",
        ));
    }
    for (at, (name, inside)) in all.iter().enumerate() {
        let refused = |because: String| Err(invalid(format!("linux.netDevices.{name}"), because));
        if let Some(bad) = [name, inside].into_iter().find(|name| !is_name(name)) {
            return refused(format!("{bad:?} is not the name of a device"));
        }
        if all[..at].iter().any(|(_, other)| other == inside) {
            return refused(format!("{inside} is the name of another in the container"));
        }
    }
    Ok(all)
}

/// As the kernel takes them; a template, which has a percent sign, would be a name that nobody knows.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_graphic() && !b"/:%".contains(&byte);
    !matches!(name, "" | "." | "..") && name.len() < 16 && name.bytes().all(plain)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_the_kernels() {
        assert!(["eth0", "a.b-c_d", "fifteen-letters"].iter().all(|name| is_name(name)));
        assert!(["", ".", "..", "a/b", "a b", "a:b", "eth%d", "sixteen-letters-"].iter().all(|name| !is_name(name)));
    }
}

//! Containers without namespaces: what they can't have is refused, and what is left of a start.

use super::facts::Facts;
use super::launch::{LaunchPlan, MountStep, Namespaces, Rootfs, RootfsKind};
use super::mounts;
use super::start::Places;
use crate::api::RunOptions;
use crate::capability;
use crate::error::{Error, Kind, Result};
use crate::spec::Spec;

/// Those of Docker's that reach no further than the container's own files and processes: not CAP_SYS_CHROOT, which leads
/// out of a root directory, nor CAP_MKNOD, CAP_NET_RAW and CAP_SETFCAP.
pub const CAPABILITIES: [&str; 10] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "AUDIT_WRITE",
];

/// Of the capabilities that there are, those that such a container may have.
pub fn capabilities(there: u64) -> u64 {
    CAPABILITIES.iter().filter_map(|name| capability::bit(name)).fold(0, |all, bit| all | bit) & there
}

/// Takes the spec for what can be: all namespaces are the host's, and what the image has at its volumes is in its own files.
///
/// # Errors
/// `Unsupported` for the first option that needs what there is not.
pub fn settle(spec: &mut Spec, options: &RunOptions) -> Result<()> {
    match refused(options).into_iter().find(|(_, asked, _)| *asked) {
        Some((option, _, why)) => return Err(refusal(option, why)),
        None => spec.mounts.clear(),
    }
    let sharing = &mut spec.namespaces;
    for of_host in [
        &mut sharing.host_net,
        &mut sharing.host_pid,
        &mut sharing.host_ipc,
        &mut sharing.host_uts,
        &mut sharing.host_cgroup,
    ] {
        *of_host = true;
    }
    Ok(())
}

/// Why an option can't be had, and what to do about it.
pub(super) fn refusal(option: &str, why: &str) -> Error {
    Error::new(Kind::Unsupported, "read option", option)
        .because(format!("on the rung `chroot` {why}"))
        .hint("leave it out, or run where user namespaces are allowed (`sampan doctor` tells)")
}

const NO_MOUNTS: &str = "nothing can be mounted: copy files into the container and out of it (`sampan cp`)";
const HOSTS_NETWORK: &str = "a container is in the host's network, and nothing keeps it from there: say `host`";
const NO_NAMESPACES: &str = "a container has no namespaces of its own, nor another's: say `host`";
const HOSTS_NAMES: &str = "a container is called as the host is";
const NO_DEVICES: &str = "there are no devices but those that every container has";
/// Of capabilities.
pub(super) const BOUNDED: &str = "more capabilities would lead out of the container";
const NO_LABELS: &str = "a container stays under the profile and the label of whoever starts it";
const ON_DISK: &str = "/dev/shm is a directory on the disk, without a size of its own";

fn refused(options: &RunOptions) -> [(&'static str, bool, &'static str); 17] {
    let other = |value: &Option<String>| value.as_deref().is_some_and(|value| !matches!(value, "" | "host"));
    let label = |option: &String| ["apparmor", "label"].iter().any(|kind| option.starts_with(kind));
    [
        ("mounts", !options.mounts.is_empty(), NO_MOUNTS),
        ("volumes_from", !options.volumes_from.is_empty(), NO_MOUNTS),
        ("network", other(&options.network), HOSTS_NETWORK),
        ("pid", other(&options.pid), NO_NAMESPACES),
        ("ipc", other(&options.ipc), NO_NAMESPACES),
        ("uts", other(&options.uts), NO_NAMESPACES),
        ("cgroupns", other(&options.cgroupns), NO_NAMESPACES),
        ("userns", other(&options.userns), NO_NAMESPACES),
        ("hostname", options.hostname.is_some(), HOSTS_NAMES),
        ("domainname", options.domainname.is_some(), HOSTS_NAMES),
        ("sysctls", !options.sysctls.is_empty(), "the kernel's parameters are the host's"),
        ("devices", !options.devices.is_empty(), NO_DEVICES),
        ("device_cgroup_rules", !options.device_cgroup_rules.is_empty(), NO_DEVICES),
        ("privileged", options.privileged, BOUNDED),
        ("cap_add", !options.cap_add.is_empty(), BOUNDED),
        ("security_opt", options.security_opt.iter().any(label), NO_LABELS),
        ("shm_size", options.shm_size.is_some(), ON_DISK),
    ]
}

/// A start without a namespace and a mount: of all that is mounted elsewhere, files with a content of their own are written into the tree.
pub(super) fn bare(plan: LaunchPlan, spec: &Spec, facts: &Facts, places: &Places) -> LaunchPlan {
    let kind = RootfsKind::Tree { path: format!("{}/tree", places.dir) };
    LaunchPlan {
        namespaces: Namespaces::default(),
        hostname: None,
        domainname: None,
        rootfs: Rootfs { kind, attach_at: String::new(), readonly: spec.read_only, ..Rootfs::default() },
        mounts: mounts::identity_files(spec, facts)
            .into_iter()
            .map(|file| MountStep { attributes: 0, ..file })
            .collect(),
        symlinks: Vec::new(),
        masked_paths: Vec::new(),
        readonly_paths: Vec::new(),
        ..plan
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Mount;

    fn settled(options: RunOptions) -> Result<Spec> {
        let mut spec = Spec::default();
        settle(&mut spec, &options).map(|()| spec)
    }

    #[test]
    fn all_namespaces_are_the_hosts() {
        let host = || Some("host".to_owned());
        let options = RunOptions { network: host(), pid: host(), ..RunOptions::default() };
        let sharing = settled(options).unwrap().namespaces;
        assert!(sharing.host_net && sharing.host_pid && sharing.host_ipc && sharing.host_uts && sharing.host_cgroup);
    }

    #[test]
    fn what_can_t_be_is_refused_with_its_option_and_a_cure() {
        let some = || Some("x".to_owned());
        let all = [
            RunOptions { mounts: vec![Mount::default()], ..RunOptions::default() },
            RunOptions { network: Some("none".into()), ..RunOptions::default() },
            RunOptions { hostname: some(), ..RunOptions::default() },
            RunOptions { privileged: true, ..RunOptions::default() },
            RunOptions { cap_add: vec!["NET_ADMIN".into()], ..RunOptions::default() },
            RunOptions { security_opt: vec!["label=disable".into()], ..RunOptions::default() },
            RunOptions { shm_size: Some(1), ..RunOptions::default() },
        ];
        let options = ["mounts", "network", "hostname", "privileged", "cap_add", "security_opt", "shm_size"];
        for (asked, option) in all.into_iter().zip(options) {
            let error = settled(asked).unwrap_err();
            assert!(error.kind() == Kind::Unsupported && error.hint_text().is_some(), "{error}");
            assert!(error.to_string().contains(option), "{option}: {error}");
        }
    }

    #[test]
    fn no_capability_leads_out() {
        let all = capabilities(u64::MAX);
        for name in ["SYS_CHROOT", "MKNOD", "SYS_ADMIN", "SYS_PTRACE", "DAC_READ_SEARCH", "NET_RAW", "SETFCAP"] {
            assert_eq!(all & capability::bit(name).unwrap(), 0, "{name}");
        }
        assert_eq!(capabilities(1), 1);
    }
}

//! A resolved container and the host's facts in, the launch plan out.

use std::collections::BTreeMap;

use super::accounts::{self, Account};
use super::cgroup::CgroupPlan;
use super::facts::Facts;
use super::launch::*;
use super::{chroot, labels, life, mounts, security, userns};
use crate::api::{Rung, Tie};
use crate::error::Result;
use crate::spec::Spec;
use crate::store::containers::Cgroups;

/// Where things of this container are on disk.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Places {
    /// The container's directory.
    pub dir: String,
    /// Which directory that is, whatever its path: see `State::place`.
    pub place: String,
    /// A directory to attach the root at, in the container's mount namespace: what is below it is hidden there.
    pub attach_at: String,
    /// Its layers' file systems, topmost first.
    pub lower: Vec<String>,
    /// The store's volumes.
    pub volumes: String,
    /// Where `dir` is moved before it is deleted.
    pub trash: String,
    /// The claim of its name.
    pub name_claim: String,
    /// The claim of its ids, when they are its own.
    pub ids_claim: Option<String>,
    /// Where events are written.
    pub events: String,
    /// What its events are about, in JSON.
    pub event_subject: String,
    /// The namespaces of other containers that it joins: kind to path.
    pub joined: BTreeMap<String, String>,
    /// Who starts it, for one that has his id.
    pub account: Option<Account>,
    /// Who starts it, in JSON, when it is tied to that.
    pub owner: Option<String>,
    /// Its user has said how long a stop may take.
    pub patient: bool,
}

/// Plans one start.
pub fn plan(spec: &Spec, facts: &Facts, cgroup: &CgroupPlan, places: &Places) -> Result<LaunchPlan> {
    let groups = cgroup.groups(&facts.cgroups);
    // Nodes that it makes itself may work where rules say which.
    let devices = mounts::is_mighty(spec, facts) || cgroup.rules_devices() && !spec.device_rules.is_empty();
    let label = labels::of_container(spec, facts)?.map(|labels| labels.file);
    let mounts = with_label(mounts::plan(spec, facts, &groups.v1, places, devices)?, label.as_deref());
    let nested = userns::is_nested(spec, facts, &mounts);
    let plan = LaunchPlan {
        namespaces: namespaces(spec, facts, places),
        id_map: spec.ids.as_ref().map(|ids| userns::id_map(ids, facts)).or_else(|| facts.id_map.clone()),
        cgroup: cgroup.placement.clone(),
        rootfs: Rootfs { nodev: !devices, nested, ..rootfs(spec, facts, places) },
        mounts,
        symlinks: mounts::symlinks(),
        accounts: accounts::lines(spec, facts, places.account.as_ref()),
        masked_paths: list(spec, &mounts::MASKED),
        readonly_paths: list(spec, &mounts::READONLY),
        sysctls: spec.sysctls.clone().into_iter().collect(),
        hostname: own_name(spec, places, &spec.hostname),
        domainname: own_name(spec, places, &spec.domainname),
        process: process(spec, facts)?,
        mount_label: label.clone(),
        supervise: supervise(spec, facts, places, &groups),
    };
    Ok(if facts.rung == Rung::Chroot { chroot::bare(plan, spec, facts, places) } else { plan })
}

/// New file systems are labelled as a whole.
fn with_label(mut mounts: Vec<MountStep>, label: Option<&str>) -> Vec<MountStep> {
    for mount in &mut mounts {
        if let MountSource::Fs { fstype, options } = &mut mount.source {
            options.extend(labels::option_of(fstype, label));
        }
    }
    mounts
}

fn list(spec: &Spec, paths: &[&str]) -> Vec<String> {
    match spec.privileged || spec.bare_system_paths {
        true => Vec::new(),
        false => paths.iter().map(|p| p.to_string()).collect(),
    }
}

fn namespaces(spec: &Spec, facts: &Facts, places: &Places) -> Namespaces {
    let choose = |host: bool, kind: &str| match places.joined.get(kind) {
        Some(path) => Namespace::Join(path.clone()),
        None if host => Namespace::Host,
        None => Namespace::New,
    };
    let sharing = &spec.namespaces;
    Namespaces {
        user: spec.ids.is_some() || facts.id_map.is_some(),
        // Without a fresh /proc the host's would show other ids than the processes have.
        pid: choose(sharing.host_pid || !facts.fresh_proc, "pid"),
        net: choose(sharing.host_net, "net"),
        ipc: choose(sharing.host_ipc, "ipc"),
        uts: choose(sharing.host_uts, "uts"),
        cgroup: choose(sharing.host_cgroup || facts.cgroups.mode == "none", "cgroup"),
    }
}

/// A name of the container's own UTS namespace.
fn own_name(spec: &Spec, places: &Places, name: &str) -> Option<String> {
    let shared = spec.namespaces.host_uts || places.joined.contains_key("uts");
    (!shared && !name.is_empty()).then(|| name.to_owned())
}

fn rootfs(spec: &Spec, facts: &Facts, places: &Places) -> Rootfs {
    let kind = RootfsKind::Overlay {
        lower: places.lower.clone(),
        upper: format!("{}/upper", places.dir),
        work: format!("{}/work", places.dir),
        userxattr: facts.id_map.is_some() || facts.in_user_namespace,
    };
    let attach_at = places.attach_at.clone();
    Rootfs {
        kind,
        attach_at,
        readonly: spec.read_only,
        nodev: true,
        shifted: userns::is_roots(spec, facts),
        nested: false,
    }
}

/// The process of a container.
pub(super) fn process(spec: &Spec, facts: &Facts) -> Result<Process> {
    let capabilities = spec.capabilities & facts.capabilities;
    Ok(Process {
        args: spec.args.clone(),
        env: with_hostname(spec),
        cwd: spec.workdir.clone(),
        user: spec.user.clone(),
        groups: spec.groups.clone(),
        umask: 0o022,
        tty: spec.tty,
        init: spec.init,
        capabilities: Capabilities {
            bounding: capabilities,
            effective: capabilities,
            permitted: capabilities,
            inheritable: 0,
            ambient: 0,
        },
        // Landlock asks it of who may not administer the machine.
        no_new_privs: spec.no_new_privs || facts.rung == Rung::Chroot,
        rlimits: spec.rlimits.clone(),
        oom_score_adj: spec.oom_score_adj,
        seccomp: security::filter(spec, facts)?,
        seccomp_flags: 0,
        apparmor: security::apparmor(spec, facts)?,
        selinux: labels::of_container(spec, facts)?.map(|labels| labels.process),
    })
}

/// Docker sets HOSTNAME unless the image or the caller did.
fn with_hostname(spec: &Spec) -> Vec<String> {
    let mut env = spec.env.clone();
    if !env.iter().any(|e| e.starts_with("HOSTNAME=")) {
        env.push(format!("HOSTNAME={}", spec.hostname));
    }
    env
}

/// What the host knows of the state that the shim writes.
fn state(facts: &Facts, places: &Places, groups: &Cgroups) -> String {
    let known = format!(
        "\"version\":1,\"boot_id\":\"{}\",\"machine_id\":\"{}\",\"place\":\"{}\",\"dir\":{},\"cgroups\":{}",
        facts.boot_id,
        facts.machine_id,
        places.place,
        serde_json::json!(places.dir),
        serde_json::json!(groups)
    );
    places.owner.iter().fold(known, |known, owner| format!("{known},\"owner\":{owner}"))
}

fn supervise(spec: &Spec, facts: &Facts, places: &Places, groups: &Cgroups) -> Supervise {
    let volumes = spec.mounts.iter().filter(|m| m.anonymous);
    let volumes = volumes.map(|m| format!("{}/{}", places.volumes, m.mount.source));
    let claims = std::iter::once(&places.name_claim).chain(&places.ids_claim);
    Supervise {
        dir: places.dir.clone(),
        state_prefix: state(facts, places, groups),
        log: if spec.log { format!("{}/log", places.dir) } else { String::new() },
        log_json: spec.log_json,
        log_max_size: spec.log_max_size,
        log_max_files: spec.log_max_files,
        tie_host: spec.tie == Tie::Host,
        auto_remove: spec.auto_remove,
        trash: places.trash.clone(),
        remove_also: claims.cloned().chain(volumes).collect(),
        stop_signal: spec.stop_signal,
        // Nobody is left who would wait for it, and another may want its name.
        stop_timeout_ms: if places.patient { spec.stop_timeout_ms } else { 0 },
        keep_stdin: spec.interactive,
        direct: false,
        events: places.events.clone(),
        event_subject: places.event_subject.clone(),
        restart: life::rule(spec.restart),
        health: spec.health.clone(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ImageInfo, Mount, MountKind, RunOptions};
    use crate::id::ContainerId;
    use crate::plan::facts::Cgroups;
    use crate::plan::{cgroup, resolve};

    fn id() -> ContainerId {
        ContainerId::from_random([0xab; 32])
    }

    fn places() -> Places {
        Places {
            dir: "/store/containers/abab".into(),
            place: "7:99".into(),
            attach_at: "/run/sampan".into(),
            lower: vec!["/store/layers/root/2/fs".into(), "/store/layers/root/1/fs".into()],
            volumes: "/store/volumes".into(),
            trash: "/store/tmp/abab".into(),
            name_claim: "/store/names/db".into(),
            ids_claim: None,
            events: "/store/events/machine".into(),
            event_subject: "\"kind\":\"container\"".into(),
            joined: BTreeMap::new(),
            account: None,
            owner: None,
            patient: true,
        }
    }

    fn root() -> Facts {
        let v1 =
            ["memory", "cpu", "cpuacct", "pids", "freezer"].map(|c| (c.to_string(), format!("/sys/fs/cgroup/{c}")));
        Facts {
            capabilities: crate::capability::ALL & !(1 << 24),
            cgroups: Cgroups { mode: "hybrid".into(), v1: v1.into(), ..Cgroups::default() },
            fresh_proc: true,
            kernel: (6, 1),
            boot_id: "boot".into(),
            machine_id: "machine".into(),
            ..Facts::default()
        }
    }

    fn single() -> Facts {
        let one = |outside| vec![Extent { inside: 0, outside, length: 1 }];
        Facts {
            rung: Rung::SingleId,
            id_map: Some(IdMap { uids: one(1000), gids: one(1000), helpers: None }),
            cgroups: Cgroups { mode: "v2".into(), ..Cgroups::default() },
            ..root()
        }
    }

    fn planned(options: RunOptions, facts: &Facts) -> LaunchPlan {
        let image = ImageInfo { command: vec!["sh".into()], volumes: vec!["/data".into()], ..ImageInfo::default() };
        let spec = resolve::resolve(&options, &image, &id(), &[]).unwrap();
        let cgroup = cgroup::plan(&spec.limits, &id(), &facts.cgroups).unwrap();
        plan(&spec, facts, &cgroup, &places()).unwrap()
    }

    /// A snapshot shows the length of the filter, which is the processor's.
    fn as_on_x86_64(mut plan: LaunchPlan, length: usize) -> LaunchPlan {
        if cfg!(not(target_arch = "x86_64")) {
            plan.process.seccomp = plan.process.seccomp.map(|_| vec![0; length * 8].into());
        }
        plan
    }

    #[test]
    fn a_default_container_as_root() {
        insta::assert_json_snapshot!(as_on_x86_64(planned(RunOptions::default(), &root()), 438));
    }

    #[test]
    fn the_host_network_in_a_single_id_namespace() {
        let options = RunOptions { network: Some("host".into()), read_only: true, ..RunOptions::default() };
        insta::assert_json_snapshot!(as_on_x86_64(planned(options, &single()), 438));
    }

    #[test]
    fn a_user_namespace_of_its_own() {
        let image = ImageInfo { command: vec!["sh".into()], volumes: vec!["/data".into()], ..ImageInfo::default() };
        let mut spec = resolve::resolve(&RunOptions::default(), &image, &id(), &[]).unwrap();
        spec.ids = Some(userns::ids(100_000, 200_000, 65_536));
        let cgroup = cgroup::plan(&spec.limits, &id(), &root().cgroups).unwrap();
        let places = Places { ids_claim: Some("/ids/claim".into()), ..places() };
        let plan = plan(&spec, &root(), &cgroup, &places).unwrap();
        assert!(plan.supervise.remove_also.contains(&"/ids/claim".to_owned()));
        assert!(plan.namespaces.user && plan.rootfs.shifted && plan.rootfs.nodev);
        assert!(matches!(plan.rootfs.kind, RootfsKind::Overlay { userxattr: false, .. }));
        let map = plan.id_map.unwrap();
        assert_eq!((map.uids[0].outside, map.gids[0].outside, map.helpers), (100_000, 200_000, None));
        // The volume holds its ids as they are; what is the host's stays the host's.
        let at = |target: &str| plan.mounts.iter().find(|mount| mount.target == target).unwrap();
        assert_eq!(at("/data").id_map.as_ref().unwrap().uids, map.uids);
        assert!(at("/dev/null").id_map.is_none() && at("/sys").id_map.is_none());
    }

    #[test]
    fn a_plain_user_who_may_mount_has_a_second_user_namespace_for_what_is_read_only() {
        let bind = |read_only| Mount { source: "/h".into(), target: "/h".into(), read_only, ..Mount::default() };
        let nested = |mounts: &[Mount], cap_add: &[&str], facts: &Facts| {
            let cap_add = cap_add.iter().map(|name| (*name).to_owned()).collect();
            planned(RunOptions { mounts: mounts.to_vec(), cap_add, ..RunOptions::default() }, facts).rootfs.nested
        };
        assert!(nested(&[bind(true)], &["SYS_ADMIN"], &single()));
        assert!(!nested(&[bind(true)], &[], &single()));
        assert!(!nested(&[bind(false)], &["SYS_ADMIN"], &single()));
        assert!(!nested(&[bind(true)], &["SYS_ADMIN"], &root()));
        let tmpfs = Mount { kind: MountKind::Tmpfs, source: String::new(), ..bind(true) };
        assert!(!nested(&[tmpfs], &["SYS_ADMIN"], &single()));
    }

    #[test]
    fn nothing_is_made_without_namespaces() {
        let facts = Facts { rung: Rung::Chroot, fresh_proc: false, ..root() };
        insta::assert_json_snapshot!(as_on_x86_64(planned(RunOptions::default(), &facts), 764));
    }

    #[test]
    fn a_callers_mount_replaces_a_default_one() {
        let shm = Mount {
            kind: MountKind::Tmpfs,
            target: "/dev/shm".into(),
            options: vec!["size=1m".into(), "exec".into()],
            ..Mount::default()
        };
        let plan = planned(RunOptions { mounts: vec![shm], ..RunOptions::default() }, &root());
        let at: Vec<_> = plan.mounts.iter().filter(|m| m.target == "/dev/shm").collect();
        assert_eq!(at.len(), 1);
        assert_eq!(at[0].attributes & mounts::NOEXEC, 0);
        assert!(matches!(&at[0].source, MountSource::Fs { options, .. } if options[0] == ("size".into(), "1m".into())));
    }

    #[test]
    fn every_writable_mount_but_the_terminals_is_nodev() {
        for facts in [root(), single()] {
            let plan = planned(RunOptions::default(), &facts);
            assert!(plan.rootfs.nodev);
            let open = plan.mounts.iter().filter(|m| m.attributes & mounts::NODEV == 0);
            for mount in open {
                let device = matches!(&mount.source, MountSource::Bind { path, .. } if path.starts_with("/dev/"));
                let file = matches!(mount.source, MountSource::File { .. });
                assert!(device || file || mount.target == "/dev/pts", "{mount:?}");
            }
        }
    }
}

//! The mounts of a container: Docker's defaults, then the caller's.

use std::collections::BTreeMap;

use super::facts::Facts;
use super::launch::{MountSource, MountStep};
use super::start::Places;
use super::userns;
use crate::api::{Mount, MountKind, Rung};
use crate::error::{Error, Kind, Result};
use crate::spec::{Spec, SpecMount};

/// `MOUNT_ATTR_RDONLY`, as of `mount_setattr(2)`; the kernel has the same numbers for all of these.
pub const RDONLY: u64 = 1;
/// Set-user-id bits do nothing.
pub const NOSUID: u64 = 2;
/// Device nodes do nothing.
pub const NODEV: u64 = 4;
/// Nothing can be executed.
pub const NOEXEC: u64 = 8;
const NOATIME: u64 = 0x10;
const STRICTATIME: u64 = 0x20;
const NODIRATIME: u64 = 0x80;

const DEVICES: [&str; 6] = ["null", "zero", "full", "random", "urandom", "tty"];
const QUIET: u64 = NOSUID | NODEV | NOEXEC;

/// Hidden by default (moby's oci/defaults.go).
pub const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
/// Read-only by default (moby's oci/defaults.go).
pub const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Links in `/dev`.
pub fn symlinks() -> Vec<(String, String)> {
    [
        ("/dev/fd", "/proc/self/fd"),
        ("/dev/stdin", "/proc/self/fd/0"),
        ("/dev/stdout", "/proc/self/fd/1"),
        ("/dev/stderr", "/proc/self/fd/2"),
        ("/dev/core", "/proc/kcore"),
        ("/dev/ptmx", "pts/ptmx"),
    ]
    .map(|(link, target)| (link.to_owned(), target.to_owned()))
    .to_vec()
}

fn fs(fstype: &str, target: &str, attributes: u64, options: &[(&str, &str)]) -> MountStep {
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    let source = MountSource::Fs { fstype: fstype.to_owned(), options };
    MountStep { attributes, ..step(source, target) }
}

fn bind(path: &str, target: &str, attributes: u64) -> MountStep {
    let source = MountSource::Bind { path: path.to_owned(), recursive: false };
    MountStep { attributes, ..step(source, target) }
}

/// Read-only does not hold for what is written to a device, but for its mode and owner, which are the host's, and
/// for what could be made in a directory of devices.
fn device(host: &str, inside: &str) -> MountStep {
    bind(host, inside, NOSUID | NOEXEC | RDONLY)
}

fn step(source: MountSource, target: &str) -> MountStep {
    MountStep { source, target: target.to_owned(), ..MountStep::default() }
}

/// All mounts of a container in order: parents before children. `devices`: nodes in `/dev` work.
pub fn plan(
    spec: &Spec,
    facts: &Facts,
    cgroup_dirs: &BTreeMap<String, String>,
    places: &Places,
    devices: bool,
) -> Result<Vec<MountStep>> {
    let dead = if devices { 0 } else { NODEV };
    let (volumes, joined) = (places.volumes.as_str(), &places.joined);
    let mut steps =
        vec![proc(spec, facts), fs("tmpfs", "/dev", NOSUID | dead | STRICTATIME, &[("mode", "755"), ("size", "64m")])];
    steps.push(devpts(facts));
    // A device node is the host's own, bound: a `mknod` in the container gives nothing, see `Rootfs::nodev`.
    steps.extend(DEVICES.iter().map(|d| device(&format!("/dev/{d}"), &format!("/dev/{d}"))));
    steps.extend(spec.devices.iter().map(|(host, inside)| device(host, inside)));
    steps.extend(shm(spec, joined));
    steps.push(MountStep { optional: true, ..fs("mqueue", "/dev/mqueue", QUIET, &[]) });
    steps.push(sys(spec, facts));
    steps.extend(cgroups(spec, facts, cgroup_dirs));
    steps.extend(identity_files(spec, facts));
    for mount in &spec.mounts {
        let id_map = userns::mount_map(spec, facts).filter(|_| mount.is_volume());
        let target_owner = userns::volume_owner(spec, facts).filter(|_| mount.is_volume());
        steps.push(MountStep { id_map, target_owner, ..user_mount(mount, volumes)? });
    }
    Ok(override_defaults(steps))
}

/// What the caller mounts at a default's place replaces it, as in Docker.
fn override_defaults(steps: Vec<MountStep>) -> Vec<MountStep> {
    let last = |target: &str| steps.iter().rposition(|s| s.target == target);
    let keep: Vec<bool> = steps.iter().enumerate().map(|(i, s)| last(&s.target) == Some(i)).collect();
    steps.into_iter().zip(keep).filter_map(|(s, keep)| keep.then_some(s)).collect()
}

/// Whether all that is the host's is there: for a privileged container of root's. A user namespace gives no more than it
/// has.
pub fn is_mighty(spec: &Spec, facts: &Facts) -> bool {
    spec.privileged && facts.rung == Rung::Root
}

fn writable(spec: &Spec, facts: &Facts) -> u64 {
    if is_mighty(spec, facts) { 0 } else { RDONLY }
}

fn proc(spec: &Spec, facts: &Facts) -> MountStep {
    match facts.fresh_proc && !spec.namespaces.host_pid {
        true => fs("proc", "/proc", QUIET, &[]),
        // With the host's process ids a fresh one would show the same; in a restricted pod it is impossible.
        false => MountStep { attributes: QUIET, ..step(host_tree("/proc"), "/proc") },
    }
}

fn host_tree(path: &str) -> MountSource {
    MountSource::Bind { path: path.to_owned(), recursive: true }
}

fn devpts(facts: &Facts) -> MountStep {
    let mut options = vec![("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")];
    // Group tty must exist in the id map, or the kernel refuses the option.
    if facts.rung != Rung::SingleId {
        options.push(("gid", "5"));
    }
    fs("devpts", "/dev/pts", NOSUID | NOEXEC, &options)
}

/// Who shares System V IPC shares this too. `joined` has the namespaces of other containers, by their paths.
fn shm(spec: &Spec, joined: &BTreeMap<String, String>) -> Option<MountStep> {
    let target = "/dev/shm";
    if let Some(ipc) = joined.get("ipc") {
        let namespace = format!("{}/mnt", ipc.trim_end_matches("/ipc"));
        let source = MountSource::Memory { namespace, path: target.into() };
        return Some(MountStep { attributes: QUIET, ..step(source, target) });
    }
    match (spec.namespaces.host_ipc, spec.namespaces.no_shm) {
        (true, _) => Some(bind(target, target, QUIET)),
        (false, true) => None,
        (false, false) => Some(fs("tmpfs", target, QUIET, &[("mode", "1777"), ("size", &spec.shm_size.to_string())])),
    }
}

fn sys(spec: &Spec, facts: &Facts) -> MountStep {
    let attributes = QUIET | writable(spec, facts);
    match spec.namespaces.host_net && facts.id_map.is_some() {
        // sysfs belongs to the network namespace's owner, which a user namespace of ours is not here.
        true => MountStep { attributes, recursive_attributes: true, ..step(host_tree("/sys"), "/sys") },
        false => MountStep { fallback: Some("/sys".into()), ..fs("sysfs", "/sys", attributes, &[]) },
    }
}

/// v2: the container's own tree by its namespace. v1: a directory per controller, read-only (CVE-2022-0492).
fn cgroups(spec: &Spec, facts: &Facts, dirs: &BTreeMap<String, String>) -> Vec<MountStep> {
    let target = "/sys/fs/cgroup";
    if facts.cgroups.mode == "v2" && !spec.namespaces.host_cgroup && facts.cgroups.v2.is_some() {
        return vec![fs("cgroup2", target, QUIET | writable(spec, facts), &[])];
    }
    if facts.cgroups.mode == "v2" || dirs.is_empty() {
        return Vec::new();
    }
    let root = fs("tmpfs", target, QUIET, &[("mode", "755")]);
    let one = |(name, dir): (&String, &String)| bind(dir, &format!("{target}/{name}"), QUIET | writable(spec, facts));
    std::iter::once(root).chain(dirs.iter().map(one)).collect()
}

/// `/etc/hosts`, `/etc/hostname` and `/etc/resolv.conf`, in memory, so that no image diff shows them.
pub(super) fn identity_files(spec: &Spec, facts: &Facts) -> Vec<MountStep> {
    let file = |target: &str, content: String| step(MountSource::File { content, mode: 0o644 }, target);
    let (hosts, resolv) = match spec.namespaces.host_net {
        true => (facts.hosts.clone(), facts.resolv_conf.clone()),
        false => (own_hosts(&spec.hostname, &spec.domainname), String::new()),
    };
    vec![
        file("/etc/hosts", hosts),
        file("/etc/hostname", format!("{}\n", spec.hostname)),
        file("/etc/resolv.conf", resolv),
    ]
}

/// With a domain, the name has a line of its own, on which the whole name comes first: that is what `hostname -f` tells.
fn own_hosts(hostname: &str, domain: &str) -> String {
    let (beside, own) = match domain {
        "" => (format!(" {hostname}"), String::new()),
        domain => (String::new(), format!("127.0.1.1\t{hostname}.{domain} {hostname}\n")),
    };
    format!("127.0.0.1\tlocalhost{beside}\n::1\tlocalhost ip6-localhost ip6-loopback\n{own}")
}

fn user_mount(spec: &SpecMount, volumes: &str) -> Result<MountStep> {
    let mount = &spec.mount;
    let words = Words::parse(mount)?;
    let source = match mount.kind {
        MountKind::Tmpfs => return Ok(tmpfs(mount, words)),
        MountKind::Bind => host_path(&mount.source, words.recursive),
        MountKind::Volume => host_path(&format!("{volumes}/{}/_data", mount.source), false),
    };
    Ok(MountStep {
        attributes: words.set | NODEV | if mount.read_only { RDONLY } else { 0 },
        recursive_attributes: mount.kind == MountKind::Bind && words.recursive,
        propagation: words.propagation,
        copy_up: spec.is_volume() && !words.no_copy,
        ..step(source, &mount.target)
    })
}

fn host_path(path: &str, recursive: bool) -> MountSource {
    MountSource::Bind { path: path.to_owned(), recursive }
}

fn tmpfs(mount: &Mount, words: Words) -> MountStep {
    let mut data = words.data;
    if !data.iter().any(|(key, _)| key == "mode") {
        data.push(("mode".into(), "1777".into()));
    }
    let read_only = if mount.read_only { RDONLY } else { 0 };
    // Docker's default for --tmpfs; `exec`, `suid` and `dev` take a bit away again.
    let attributes = (QUIET & !words.cleared) | NODEV | words.set | read_only;
    let source = MountSource::Fs { fstype: "tmpfs".into(), options: data };
    MountStep { attributes, ..step(source, &mount.target) }
}

/// The words of a mount's options, sorted by what the kernel takes them as.
#[derive(Default)]
struct Words {
    set: u64,
    cleared: u64,
    propagation: u64,
    recursive: bool,
    no_copy: bool,
    data: Vec<(String, String)>,
}

impl Words {
    fn parse(mount: &Mount) -> Result<Words> {
        let start = Words { recursive: true, ..Words::default() };
        mount.options.iter().try_fold(start, |words, word| words.take(mount, word))
    }

    fn take(mut self, mount: &Mount, word: &str) -> Result<Words> {
        match word {
            "ro" => self.set |= RDONLY,
            "rw" | "z" | "Z" | "relatime" | "consistent" | "cached" | "delegated" | "copy" => {}
            "nocopy" => self.no_copy = true,
            "nosuid" => self.set |= NOSUID,
            "noexec" => self.set |= NOEXEC,
            "nodev" => self.set |= NODEV,
            "noatime" => self.set |= NOATIME,
            "nodiratime" => self.set |= NODIRATIME,
            "strictatime" => self.set |= STRICTATIME,
            "suid" => self.cleared |= NOSUID,
            "exec" => self.cleared |= NOEXEC,
            "bind" => self.recursive = false,
            "rbind" => self.recursive = true,
            _ if mount.kind == MountKind::Bind && propagation(word).is_some() => {
                self.propagation = propagation(word).unwrap_or(0);
            }
            _ => self.data.push(data(mount, word)?),
        }
        Ok(self)
    }
}

fn propagation(word: &str) -> Option<u64> {
    match word {
        "shared" | "rshared" => Some(libc::MS_SHARED),
        "slave" | "rslave" => Some(libc::MS_SLAVE),
        "private" | "rprivate" => Some(libc::MS_PRIVATE),
        _ => None,
    }
}

/// As of tmpfs(5).
fn tmpfs_takes(key: &str, value: &str) -> bool {
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit());
    let bare = value.strip_suffix(['k', 'm', 'g', 't', 'p', 'e', 'K', 'M', 'G', 'T', 'P', 'E']).unwrap_or(value);
    match key {
        "size" => digits(bare) || value.strip_suffix('%').is_some_and(digits),
        "nr_inodes" | "nr_blocks" => digits(bare),
        "mode" => u32::from_str_radix(value, 8).is_ok_and(|mode| mode <= 0o7777),
        "uid" | "gid" => value.parse::<u32>().is_ok(),
        "huge" => ["never", "always", "within_size", "advise"].contains(&value),
        _ => false,
    }
}

/// Refuses a mount whose options make no sense, or that covers what the kernel says.
pub fn check(mount: &Mount) -> Result<()> {
    Words::parse(mount)?;
    let host_proc = mount.kind == MountKind::Bind && mount.source == "/proc";
    match covers_proc(&mount.target, host_proc) {
        true => Err(Error::new(Kind::InvalidArgument, "read option", "mount").because(OVER_PROC)),
        false => Ok(()),
    }
}

/// Why a mount over /proc is refused.
pub const OVER_PROC: &str = "nothing may be mounted over /proc, which programs in the container rely on";

/// Figures of the machine, which monitors of resources replace; as in runc.
const FIGURES: [&str; 11] = [
    "cpuinfo",
    "diskstats",
    "loadavg",
    "meminfo",
    "net/dev",
    "slabinfo",
    "stat",
    "swaps",
    "sys/crypto/fips_enabled",
    "sys/kernel/ns_last_pid",
    "uptime",
];

/// True for a target in /proc whose content would then be somebody else's (CVE-2019-16884, CVE-2019-19921); `is_proc`
/// when it is a file system of that kind.
pub fn covers_proc(target: &str, is_proc: bool) -> bool {
    let parts: Vec<&str> = target.split('/').filter(|part| !matches!(*part, "" | ".")).collect();
    match parts[..] {
        ["proc"] => !is_proc,
        ["proc", ref below @ ..] => !FIGURES.contains(&below.join("/").as_str()),
        _ => false,
    }
}

/// A `key=value` that tmpfs takes; nothing else goes to the kernel unread.
fn data(mount: &Mount, word: &str) -> Result<(String, String)> {
    let (key, value) = word.split_once('=').unwrap_or((word, ""));
    match mount.kind == MountKind::Tmpfs && tmpfs_takes(key, value) {
        true => Ok((key.to_owned(), value.to_owned())),
        false => Err(Error::new(Kind::InvalidArgument, "read option", "mount").because(format!(
            "{word:?} is not an option of a {} mount at {}",
            mount.kind.word(),
            mount.target
        ))),
    }
}

//! A container as it was resolved from its options and its image, once, when it was created.
//!
//! Pure data: it is part of the record on disk, and all that a later start needs beside the host's facts.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::api::{CgroupManager, Mount, MountKind, Tie};

/// The resolved container.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Spec {
    /// Entrypoint and command together; never empty.
    pub args: Vec<String>,
    /// `KEY=value`, sorted as set: the image's, then the caller's.
    pub env: Vec<String>,
    /// Working directory, absolute.
    pub workdir: String,
    /// `user[:group]` as given; empty for root.
    pub user: String,
    /// Supplementary groups as given.
    pub groups: Vec<String>,
    /// Host name.
    pub hostname: String,
    /// NIS domain name; empty for the kernel's default.
    pub domainname: String,
    /// The image's labels and the caller's.
    pub labels: BTreeMap<String, String>,
    /// Mounts beside the default ones, by target.
    pub mounts: Vec<SpecMount>,
    /// Namespaces.
    pub namespaces: Sharing,
    /// The ids of a user namespace of its own; `None` for that of the rung.
    pub ids: Option<Ids>,
    /// Limits that the cgroup enforces.
    pub limits: Limits,
    /// Bounding, permitted and effective capabilities, bit n for capability n.
    pub capabilities: u64,
    /// Nothing masked, nothing read-only.
    pub privileged: bool,
    /// The same, with all else as it is by default.
    pub bare_system_paths: bool,
    /// Read-only root file system.
    pub read_only: bool,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// The filter of its system calls.
    pub seccomp: Seccomp,
    /// The AppArmor profile that it enters; `None` for the default.
    pub apparmor: Option<String>,
    /// The SELinux labels that it has.
    pub selinux: Labels,
    /// `(RLIMIT_*, soft, hard)`.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// Devices: a node of the host, and where it is in the container.
    pub devices: Vec<(String, String)>,
    /// What may be done with those of them that may not be read and written: letters by the place in the container.
    pub device_access: BTreeMap<String, String>,
    /// Rules on further devices: `c 42:* rwm`.
    pub device_rules: Vec<String>,
    /// A first process of ours beside the command.
    pub init: bool,
    /// Kernel parameters.
    pub sysctls: BTreeMap<String, String>,
    /// Size of `/dev/shm` in bytes.
    pub shm_size: u64,
    /// OOM score adjustment.
    pub oom_score_adj: Option<i32>,
    /// Give it a terminal.
    pub tty: bool,
    /// Keep standard input open.
    pub interactive: bool,
    /// Number of the signal that asks it to stop.
    pub stop_signal: i32,
    /// Milliseconds from that to SIGKILL.
    pub stop_timeout_ms: u64,
    /// Remove it when it has ended.
    pub auto_remove: bool,
    /// What ends it besides itself.
    pub tie: Tie,
    /// Whether it has a log.
    pub log: bool,
    /// The log is in the form of Docker's `json-file`.
    pub log_json: bool,
    /// Bytes after which a log is put aside and another begun; 0 for never.
    pub log_max_size: u64,
    /// How many logs there may be, the open one among them; 0 is as 1.
    pub log_max_files: u32,
    /// What follows its end.
    pub restart: Restart,
    /// How its health is found out.
    pub health: Option<Health>,
}

/// A health check.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Health {
    /// The command.
    pub args: Vec<String>,
    /// From the end of one probe to the next.
    pub interval_ms: u64,
    /// From the start of a probe to its kill.
    pub timeout_ms: u64,
    /// For so long after the container's start failures don't count.
    pub start_period_ms: u64,
    /// In place of the interval, as long as that is and no probe has succeeded.
    pub start_interval_ms: u64,
    /// Failures in a row that make it unhealthy.
    pub retries: u32,
}

/// Which of a container's ends are followed by another start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Restart {
    /// None.
    #[default]
    No,
    /// Those with another code than 0, at most so often; 0 for no limit.
    OnFailure { most: u32 },
    /// All but those that were asked for.
    Always,
    /// The same: without a daemon nothing is started when the machine comes up.
    UnlessStopped,
}

/// Which system calls a container may make.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Seccomp {
    /// Those of the built-in profile.
    #[default]
    Default,
    /// All.
    Unconfined,
    /// Those of this profile, the text of which is kept: a later start reads no file.
    Profile(String),
}

/// What was asked about the SELinux labels of a container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Labels {
    /// It has none of its own.
    pub disabled: bool,
    /// Parts of them, each with the value that it has in the place of the policy's.
    pub parts: Vec<(String, String)>,
    /// Two categories that tell it from others.
    pub categories: (u16, u16),
}

/// The id maps of a user namespace that is a container's own.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ids {
    /// User ids.
    pub uids: Vec<IdRange>,
    /// Group ids.
    pub gids: Vec<IdRange>,
}

/// Ids in a row.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct IdRange {
    /// The first in the container.
    pub inside: u32,
    /// The first of the host's.
    pub outside: u32,
    /// How many.
    pub length: u32,
}

/// A mount with what is known of its source.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SpecMount {
    /// As resolved: a volume's source is its name.
    pub mount: Mount,
    /// The volume belongs to this container, and goes with it, or with the last of those that have it in common.
    pub anonymous: bool,
    /// The id of the container that it has it from, by `--volumes-from`; else empty.
    pub from: String,
}

impl SpecMount {
    /// True for a volume of the store.
    pub fn is_volume(&self) -> bool {
        self.mount.kind == MountKind::Volume
    }
}

/// What is shared with the host instead of made new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Sharing {
    /// The host's network; else a new one with nothing but loopback.
    pub host_net: bool,
    /// The host's process ids.
    pub host_pid: bool,
    /// The host's System V IPC.
    pub host_ipc: bool,
    /// The host's host name.
    pub host_uts: bool,
    /// The host's view of cgroups.
    pub host_cgroup: bool,
    /// Nothing at `/dev/shm`.
    pub no_shm: bool,
    /// Nobody joins its System V IPC.
    pub private_ipc: bool,
    /// Another container's: a kind (`net`, `pid`, `ipc`, `uts` or `cgroup`) to its id.
    pub joined: BTreeMap<String, String>,
}

impl Sharing {
    /// The network is new with the container.
    pub fn has_own_net(&self) -> bool {
        !self.host_net && !self.joined.contains_key("net")
    }

    /// System V IPC is new with the container.
    pub fn has_own_ipc(&self) -> bool {
        !self.host_ipc && !self.joined.contains_key("ipc")
    }
}

/// Limits that the cgroup enforces.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Limits {
    /// Bytes.
    pub memory: Option<i64>,
    /// Bytes of memory and swap together; -1 for no limit.
    pub memory_swap: Option<i64>,
    /// Bytes to be left with.
    pub memory_reservation: Option<i64>,
    /// Microseconds of CPU in each 100 ms.
    pub cpu_quota: Option<i64>,
    /// Relative weight.
    pub cpu_shares: Option<u64>,
    /// CPU list.
    pub cpuset_cpus: Option<String>,
    /// Processes.
    pub pids: Option<i64>,
    /// Microseconds of CPU in each period, -1 for no limit; never beside `cpu_quota`, which is of a number of CPUs.
    pub quota: Option<i64>,
    /// That period in microseconds.
    pub period: Option<u64>,
    /// List of memory nodes.
    pub cpuset_mems: Option<String>,
    /// Microseconds of real-time schedulers in each of their periods.
    pub rt_runtime: Option<u64>,
    /// That period in microseconds.
    pub rt_period: Option<u64>,
    /// Relative weight of block I/O.
    pub blkio_weight: Option<u32>,
    /// Limits of block devices.
    pub devices: Vec<DeviceLimit>,
    /// 0 to 100.
    pub swappiness: Option<u32>,
    /// Processes wait for memory instead of being killed for it.
    pub oom_kill_disable: bool,
    /// Go on when one can't be enforced.
    pub best_effort: bool,
    /// Who makes its cgroups.
    #[serde(default)]
    pub manager: CgroupManager,
    /// Parent cgroup.
    pub parent: Option<String>,
}

/// What is limited of a block device.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum OfDevice {
    /// Its share beside others.
    #[default]
    Weight,
    /// Bytes read a second.
    ReadBps,
    /// Bytes written a second.
    WriteBps,
    /// Reads a second.
    ReadIops,
    /// Writes a second.
    WriteIops,
}

/// A limit of one block device. It has its number from the host at each start: that may change with a boot.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct DeviceLimit {
    /// The node.
    pub path: String,
    /// What is limited.
    pub of: OfDevice,
    /// To how much.
    pub value: u64,
}

//! What a caller may ask for: strings and numbers as given, no system call needed to build one.

use std::cell::Cell;
use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

macro_rules! options {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)* })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default, deny_unknown_fields)]
        pub struct $name { $($(#[$fmeta])* #[serde(skip_serializing_if = "is_left_out")] pub $field: $ty,)* }
    )+};
}

thread_local! {
    static SPARSE: Cell<bool> = const { Cell::new(false) };
}

/// What `write` encodes on this thread has only those options that differ from the default: an older version that reads
/// it refuses fields that it does not know.
pub(crate) fn sparsely<T>(write: impl FnOnce() -> T) -> T {
    let before = SPARSE.replace(true);
    let written = write();
    SPARSE.set(before);
    written
}

fn is_left_out<T: Default + PartialEq>(value: &T) -> bool {
    SPARSE.get() && *value == T::default()
}

macro_rules! words {
    ($($(#[$meta:meta])* pub enum $name:ident { $($(#[$vmeta:meta])* $variant:ident = $word:literal,)+ })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
        pub enum $name { $($(#[$vmeta])* #[serde(rename = $word)] $variant,)+ }

        impl $name {
            /// The word of every language and of the command line.
            pub fn word(self) -> &'static str {
                match self { $(Self::$variant => $word,)+ }
            }
        }

        impl std::str::FromStr for $name {
            type Err = crate::error::Error;
            fn from_str(s: &str) -> crate::error::Result<Self> {
                match s {
                    $($word => Ok(Self::$variant),)+
                    _ => Err(crate::error::Error::new(crate::error::Kind::InvalidArgument, "read option", format!("{s:?}"))
                        .because(concat!("expected one of:" $(, " ", $word)+))),
                }
            }
        }
    )+};
}
pub(crate) use words;

options! {
    /// How to open an engine.
    pub struct EngineOptions {
        /// The store; `$SAMPAN_ROOT`, or `/var/lib/sampan` for root, `$XDG_DATA_HOME/sampan` (`~/.local/share/sampan`) else.
        pub root: Option<String>,
        /// Sockets and leases that need not outlive a boot; `$SAMPAN_RUN`, `/run/sampan` or `$XDG_RUNTIME_DIR/sampan`.
        pub run: Option<String>,
        /// Force a rung of the rootless ladder instead of the best that works; `$SAMPAN_RUNG`.
        pub rung: Option<Rung>,
        /// Keep compressed blobs after unpacking (push and save need them); on by default.
        pub keep_blobs: Option<bool>,
        /// Read-only stores that are searched after this one.
        pub additional_stores: Vec<String>,
        /// An installed helper (`sampan setup --helper`), executed in place of the one that the library carries.
        pub helper: Option<String>,
        /// Registries (`host:port`) whose certificate is not checked, and that may speak without TLS; loopback may anyhow.
        pub insecure_registries: Vec<String>,
        /// Refuse images that unpack to more bytes than this; 64 GiB by default.
        pub max_unpacked_bytes: Option<u64>,
        /// Refuse images with more files than this; 4,000,000 by default.
        pub max_entries: Option<u64>,
        /// Set `no_new_privs` in every container.
        pub no_new_privileges: bool,
        /// Who makes the cgroups of containers: `$SAMPAN_CGROUP_MANAGER`, or `cgroupfs`; systemd often is a plain user's only way to limits.
        pub cgroup_manager: Option<CgroupManager>,
    }

    /// How to pull an image.
    pub struct PullOptions {
        /// `os/arch[/variant]`; this host's by default.
        pub platform: Option<String>,
        /// Layers fetched at once; 3 by default.
        pub max_downloads: Option<u32>,
    }

    /// A bind mount, tmpfs or volume.
    pub struct Mount {
        /// What kind of mount it is.
        pub kind: MountKind,
        /// Host path of a bind mount, name of a volume (empty: a new anonymous one), empty for tmpfs.
        pub source: String,
        /// Absolute path in the container.
        pub target: String,
        /// Mount it read-only.
        pub read_only: bool,
        /// Further words as of `mount -o`: `nosuid`, `noexec`, `size=64m`, `mode=1777`, `rshared`, ….
        pub options: Vec<String>,
    }

    /// A resource limit of the process, as of `setrlimit(2)`.
    pub struct Ulimit {
        /// `nofile`, `nproc`, `core`, ….
        pub name: String,
        /// Soft limit; -1 for no limit.
        pub soft: i64,
        /// Hard limit; -1 for no limit.
        pub hard: i64,
    }

    /// How much of a block device's time a container gets beside others.
    pub struct DeviceWeight {
        /// The device, a whole disk: `/dev/sda`.
        pub path: String,
        /// 10 to 1000.
        pub weight: u32,
    }

    /// How fast a container may use a block device.
    pub struct DeviceRate {
        /// The device, a whole disk: `/dev/sda`.
        pub path: String,
        /// Bytes or operations a second, 1 or more.
        pub rate: u64,
    }

    /// How to create and run a container. Fields are named as the words of `docker run`.
    pub struct RunOptions {
        /// The image: reference or id.
        pub image: String,
        /// The command and its arguments; the image's by default.
        pub command: Vec<String>,
        /// Replaces the image's entrypoint; `[""]` clears it.
        pub entrypoint: Option<Vec<String>>,
        /// A name; a random one by default.
        pub name: Option<String>,
        /// Environment on top of the image's.
        pub env: BTreeMap<String, String>,
        /// Working directory; made when missing.
        pub workdir: Option<String>,
        /// `user[:group]` by name or number.
        pub user: Option<String>,
        /// Supplementary groups by name or number.
        pub group_add: Vec<String>,
        /// Host name; the short id by default.
        pub hostname: Option<String>,
        /// Labels on top of the image's.
        pub labels: BTreeMap<String, String>,
        /// Mounts.
        pub mounts: Vec<Mount>,
        /// `none`, `host` or `container:NAME`; `none` by default.
        pub network: Option<String>,
        /// Memory limit in bytes.
        pub memory: Option<i64>,
        /// Memory and swap together in bytes; -1 for no limit. By default twice the memory, where the kernel counts swap.
        pub memory_swap: Option<i64>,
        /// Memory to be left with under pressure, in bytes.
        pub memory_reservation: Option<i64>,
        /// CPUs as a fraction: 1.5 is one and a half.
        pub cpus: Option<f64>,
        /// Relative CPU weight; 1024 is the usual. Less than 2 is 2, and more than 262144 is that.
        pub cpu_shares: Option<u64>,
        /// CPUs to run on: `0-2,4`.
        pub cpuset_cpus: Option<String>,
        /// Largest number of processes; -1 for no limit.
        pub pids_limit: Option<i64>,
        /// Run even when a limit can't be enforced; it is then listed as unenforced.
        pub best_effort: bool,
        /// Parent of the container's cgroup.
        pub cgroup_parent: Option<String>,
        /// Capabilities to add: `NET_ADMIN` or `CAP_NET_ADMIN`, `ALL`.
        pub cap_add: Vec<String>,
        /// Capabilities to drop.
        pub cap_drop: Vec<String>,
        /// All capabilities, nothing masked. Not a security boundary.
        pub privileged: bool,
        /// Make the root file system read-only.
        pub read_only: bool,
        /// `no-new-privileges`, `seccomp=unconfined`, `seccomp=FILE` with a profile in the form of Docker's.
        pub security_opt: Vec<String>,
        /// Limits of the process.
        pub ulimits: Vec<Ulimit>,
        /// Kernel parameters of the container's namespaces.
        pub sysctls: BTreeMap<String, String>,
        /// Size of `/dev/shm` in bytes; 64 MiB by default.
        pub shm_size: Option<u64>,
        /// Adjusts the OOM killer's choice, -1000 to 1000.
        pub oom_score_adj: Option<i32>,
        /// Give the process a terminal.
        pub tty: bool,
        /// Keep standard input open when no descriptor is given for it; else it ends with the descriptor's.
        pub interactive: bool,
        /// Bytes for standard input, which is then closed; for `run` only.
        pub stdin: Option<Vec<u8>>,
        /// Signal that asks it to stop: `SIGTERM`, `TERM` or `15`.
        pub stop_signal: Option<String>,
        /// Seconds from the stop signal to SIGKILL; 10 by default. What is tied to a process and loses that has as long only
        /// when this is given, and else no time at all.
        pub stop_timeout: Option<f64>,
        /// Remove it, and its anonymous volumes, when it has ended.
        pub auto_remove: bool,
        /// What ends the container besides itself.
        pub tie: Tie,
        /// When to pull the image.
        pub pull: PullPolicy,
        /// `os/arch[/variant]` to pull; this host's by default.
        pub platform: Option<String>,
        /// PID namespace: `private`, `host` or `container:NAME`.
        pub pid: Option<String>,
        /// IPC namespace: `private`, `host` or `container:NAME`; `/dev/shm` is never another container's.
        pub ipc: Option<String>,
        /// UTS namespace: `private`, `host` or `container:NAME`.
        pub uts: Option<String>,
        /// Cgroup namespace: `private`, `host` or `container:NAME`.
        pub cgroupns: Option<String>,
        /// Devices of the host: `/dev/fuse`, or `/dev/sdc:/dev/disk` under another name; with some of `r`, `w` and `m` behind
        /// another colon what may be done with it.
        pub devices: Vec<String>,
        /// Run a small first process that buries orphans and passes signals on to the command.
        pub init: bool,
        /// What becomes of its output: `local`, `json-file` (a file in Docker's form) or `none`.
        pub log_driver: Option<String>,
        /// `max-size` (`10m`) after which a log is put aside, and `max-file`, how many there may be: one alone
        /// begins anew.
        pub log_opt: BTreeMap<String, String>,
        /// `no`, `on-failure[:MAX]`, `always` or `unless-stopped`: which of its ends are followed by another start, as long as
        /// the machine is up; a stop, a removal, a kill or the end of its owner ends that too. `no` by default, and for
        /// one that joins another container's namespaces.
        pub restart: Option<String>,
        /// A shell command that tells by its code whether the container is healthy, 0 for yes; the image's check by default.
        pub health_cmd: Option<String>,
        /// Seconds between two checks; 30 by default.
        pub health_interval: Option<f64>,
        /// Seconds after which a check is killed, and has failed; 30 by default.
        pub health_timeout: Option<f64>,
        /// Failures in a row that make it unhealthy; 3 by default.
        pub health_retries: Option<u32>,
        /// Seconds from its start in which failures don't count; 0 by default.
        pub health_start_period: Option<f64>,
        /// Seconds between two checks in that time, until one succeeds; 5 by default.
        pub health_start_interval: Option<f64>,
        /// Don't check its health, whatever the image says.
        pub no_healthcheck: bool,
        /// Microseconds of CPU in each period, at least 1000; -1 for no limit. Not beside `cpus`.
        pub cpu_quota: Option<i64>,
        /// The period of `cpu_quota` in microseconds, 1000 to 1000000; 100000 by default.
        pub cpu_period: Option<u64>,
        /// Memory nodes to allocate from: `0-1`.
        pub cpuset_mems: Option<String>,
        /// Microseconds for processes of real-time schedulers in each of their periods; cgroup v1, where the cgroup above has
        /// as much.
        pub cpu_rt_runtime: Option<u64>,
        /// The period of `cpu_rt_runtime` in microseconds, up to 1000000; that is the usual. cgroup v1.
        pub cpu_rt_period: Option<u64>,
        /// Relative weight of its block I/O, 10 to 1000, where the kernel's scheduler keeps weights; 100 or 500 is the usual.
        pub blkio_weight: Option<u32>,
        /// Such weights for single devices.
        pub blkio_weight_device: Vec<DeviceWeight>,
        /// Bytes a second that it may read from devices.
        pub device_read_bps: Vec<DeviceRate>,
        /// Bytes a second that it may write to devices.
        pub device_write_bps: Vec<DeviceRate>,
        /// Reads a second from devices, at most 4294967295.
        pub device_read_iops: Vec<DeviceRate>,
        /// Writes a second to devices, at most 4294967295.
        pub device_write_iops: Vec<DeviceRate>,
        /// How readily its memory is swapped out, 0 to 100; -1 for the host's way. cgroup v1.
        pub memory_swappiness: Option<i64>,
        /// When its memory is all used its processes wait for some instead of one being killed. cgroup v1.
        pub oom_kill_disable: bool,
        /// NIS domain name, which `hostname -f` tells after the host name.
        pub domainname: Option<String>,
        /// Notes for other programs, kept and shown by `inspect`.
        pub annotations: BTreeMap<String, String>,
        /// Devices that the container may make and use: `c 42:* rwm`.
        pub device_cgroup_rules: Vec<String>,
        /// Other containers whose volumes and binds it has too, at the same places: `NAME`, or `NAME:ro` to read them only.
        pub volumes_from: Vec<String>,
        /// User namespace: `host` for that of the rung, which is the default; for root `auto`, or `auto:size=NUMBER`, for one of
        /// its own with ids that no other container has; for a plain user with subordinate ids `keep-id`, to be himself inside.
        pub userns: Option<String>,
    }

    /// A command to run in a running container. Fields are named as the words of `docker exec`.
    pub struct ExecOptions {
        /// The command and its arguments; the first is looked up in the container's PATH.
        pub command: Vec<String>,
        /// Environment on top of the container's.
        pub env: BTreeMap<String, String>,
        /// Working directory; the container's by default.
        pub workdir: Option<String>,
        /// `user[:group]` by name or number; the container's by default.
        pub user: Option<String>,
        /// All capabilities. Not a security boundary.
        pub privileged: bool,
        /// Give it a terminal.
        pub tty: bool,
        /// Rows of its terminal.
        pub rows: Option<u32>,
        /// Columns of its terminal.
        pub columns: Option<u32>,
        /// Give it an input that is written to by the handle.
        pub interactive: bool,
        /// Bytes for standard input, which is then closed; for a command that is waited for only.
        pub stdin: Option<Vec<u8>>,
        /// Its output goes nowhere.
        pub detach: bool,
        /// Seconds after which it is killed; never by default.
        pub timeout: Option<f64>,
    }

    /// Limits, and what follows its end, to change. Fields are named as the words of `docker update`.
    pub struct UpdateOptions {
        /// Memory limit in bytes.
        pub memory: Option<i64>,
        /// Memory and swap together in bytes; -1 for no limit.
        pub memory_swap: Option<i64>,
        /// Memory to be left with under pressure, in bytes.
        pub memory_reservation: Option<i64>,
        /// CPUs as a fraction: 1.5 is one and a half.
        pub cpus: Option<f64>,
        /// Relative CPU weight; 1024 is the usual. Less than 2 is 2, and more than 262144 is that.
        pub cpu_shares: Option<u64>,
        /// CPUs to run on: `0-2,4`; for a container that was created with such a list.
        pub cpuset_cpus: Option<String>,
        /// Largest number of processes; -1 for no limit.
        pub pids_limit: Option<i64>,
        /// `no`, `on-failure[:MAX]`, `always` or `unless-stopped`: which of its ends are followed by another start.
        pub restart: Option<String>,
        /// Microseconds of CPU in each period, at least 1000; -1 for no limit. Not beside `cpus`.
        pub cpu_quota: Option<i64>,
        /// The period of `cpu_quota` in microseconds, 1000 to 1000000; 100000 by default.
        pub cpu_period: Option<u64>,
        /// Memory nodes to allocate from: `0-1`; for a container that was created with such a list, or one of CPUs.
        pub cpuset_mems: Option<String>,
        /// Microseconds for processes of real-time schedulers in each of their periods; cgroup v1, where the cgroup above has
        /// as much.
        pub cpu_rt_runtime: Option<u64>,
        /// The period of `cpu_rt_runtime` in microseconds, up to 1000000; that is the usual. cgroup v1.
        pub cpu_rt_period: Option<u64>,
        /// Relative weight of its block I/O, 10 to 1000, where the kernel's scheduler keeps weights; 100 or 500 is the usual.
        pub blkio_weight: Option<u32>,
    }

    /// Which containers to list.
    pub struct ListOptions {
        /// Also those that don't run.
        pub all: bool,
        /// `id=`, `name=`, `label=KEY[=VALUE]`, `status=`, `ancestor=IMAGE`, `exited=CODE`; those of one key are alternatives.
        pub filters: Vec<String>,
    }

    /// How to stop a container.
    pub struct StopOptions {
        /// Seconds to wait before SIGKILL; the container's own by default.
        pub timeout: Option<f64>,
        /// Another signal than the container's stop signal.
        pub signal: Option<String>,
    }

    /// How to remove a container.
    pub struct RemoveOptions {
        /// Kill it first when it runs.
        pub force: bool,
        /// Also remove its anonymous volumes.
        pub volumes: bool,
    }

    /// How to remove an image.
    pub struct RemoveImageOptions {
        /// Also when containers that don't run use it, or several tags point to it.
        pub force: bool,
    }

    /// Which part of a log to read.
    pub struct LogOptions {
        /// Go on until the container ends.
        pub follow: bool,
        /// Only lines that were begun at or after this: RFC 3339, Unix seconds, or a span back from now (`10m`).
        pub since: Option<String>,
        /// Only lines that were begun before this.
        pub until: Option<String>,
        /// Only the last so many lines.
        pub tail: Option<u64>,
        /// Leave standard output out.
        pub no_stdout: bool,
        /// Leave standard error out.
        pub no_stderr: bool,
        /// Each entry is a whole line, which is waited for, or as much of one as fits into a mebibyte. Without it a line that
        /// was written with a pause comes in parts, each as soon as it is there.
        pub whole_lines: bool,
    }

    /// Which events to read.
    pub struct EventOptions {
        /// Also those that are kept, from this time on: RFC 3339, Unix seconds, or a span back from now (`10m`). By default only
        /// those from now on.
        pub since: Option<String>,
        /// The end: those before this time. Without it, events are waited for until the call is cancelled.
        pub until: Option<String>,
        /// `container=`, `image=`, `volume=`, `type=`, `event=`, `label=KEY[=VALUE]`; those of one key are alternatives, labels
        /// must all be there.
        pub filters: Vec<String>,
    }

    /// How to copy files into a container or out of it. Fields are named as the words of `docker cp`.
    pub struct CopyOptions {
        /// Files keep their owners; else they are root's in the container, and this user's here.
        pub archive: bool,
        /// Copy what a link leads to when the source is a link.
        pub follow_link: bool,
    }

    /// Descriptors that the container's standard streams are copied from and to while it runs.
    ///
    /// They are duplicated during the call and stay the caller's. Absent: standard input is empty,
    /// output goes to the log alone.
    pub struct Stdio {
        /// Read for the container's standard input.
        pub stdin: Option<i32>,
        /// Gets the container's standard output.
        pub stdout: Option<i32>,
        /// Gets the container's standard error.
        pub stderr: Option<i32>,
    }
}

words! {
    /// Who makes the cgroups of containers.
    pub enum CgroupManager {
        /// This library, in the file system of cgroups.
        #[default]
        Cgroupfs = "cgroupfs",
        /// systemd, as a scope around each container: the machine's as root, the user's own else. Version 2 alone.
        Systemd = "systemd",
    }

    /// A rung of the rootless ladder, best first.
    pub enum Rung {
        /// The process is root.
        #[default]
        Root = "root",
        /// A user namespace with subordinate id ranges.
        SubIds = "subids",
        /// A user namespace with the one id of the user.
        SingleId = "single-id",
        /// A root directory of its own and Landlock, without namespaces: not a security boundary, and chosen by name only.
        Chroot = "chroot",
    }

    /// What kind of mount it is.
    pub enum MountKind {
        /// A path of the host.
        #[default]
        Bind = "bind",
        /// A fresh file system in memory.
        Tmpfs = "tmpfs",
        /// A volume of the store.
        Volume = "volume",
    }

    /// What ends the container besides itself.
    pub enum Tie {
        /// Nothing: it goes on after its owner.
        #[default]
        Detached = "detached",
        /// It is stopped and removed when the process that started it is gone.
        Host = "host",
    }

    /// When to pull the image.
    pub enum PullPolicy {
        /// When the store does not have it.
        #[default]
        Missing = "missing",
        /// Always ask the registry.
        Always = "always",
        /// Never.
        Never = "never",
    }
}

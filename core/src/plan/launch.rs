//! The launch plan: all that the shim does, as data.
//!
//! `plan` computes it, `launch` encodes it for the shim, `--dry-run` prints it, and snapshot tests hold
//! it. Host paths are absolute; paths "in the container" are absolute in the container's root and are
//! resolved there with `RESOLVE_IN_ROOT`, once.

use std::sync::Arc;

use serde::{Serialize, Serializer};

use crate::seccomp::Filter;
use crate::spec::Health;
use crate::wire::Restart;

/// One container start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct LaunchPlan {
    /// Namespaces of the init.
    pub namespaces: Namespaces,
    /// Id maps, when a user namespace is made.
    pub id_map: Option<IdMap>,
    /// Where the init is put and what is removed after it.
    pub cgroup: CgroupPlacement,
    /// The root file system.
    pub rootfs: Rootfs,
    /// Mounts in order, before `pivot_root`.
    pub mounts: Vec<MountStep>,
    /// `(link in the container, target)`: /dev/fd, /dev/stdin, /dev/ptmx, ….
    pub symlinks: Vec<(String, String)>,
    /// Paths in the container to hide: a directory under an empty read-only one, a file under /dev/null. Missing ones are skipped.
    pub masked_paths: Vec<String>,
    /// Paths in the container to make read-only, recursively. Missing ones are skipped.
    pub readonly_paths: Vec<String>,
    /// `(net.ipv4.ip_forward, 1)`.
    pub sysctls: Vec<(String, String)>,
    /// Host name, when the UTS namespace is new.
    pub hostname: Option<String>,
    /// NIS domain name, likewise.
    pub domainname: Option<String>,
    /// File in the container, a line that it gets unless it has the name or the number of that; where it is missing, a link
    /// or mounted, it stays so.
    #[serde(skip_serializing_if = "is_default")]
    pub accounts: Vec<(String, String)>,
    /// SELinux label of what is on file systems of the container's own: its overlay, what hides paths, and those mounts that
    /// name it.
    #[serde(skip_serializing_if = "is_default")]
    pub mount_label: Option<String>,
    /// The process.
    pub process: Process,
    /// What the shim does besides: log, records, tie, removal.
    pub supervise: Supervise,
}

/// Which namespace the init gets.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub enum Namespace {
    /// The shim's own.
    #[default]
    Host,
    /// A new one.
    New,
    /// The one at this host path (`/proc/PID/ns/net`).
    Join(String),
}

/// One choice per kind; the mount namespace is always new.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Namespaces {
    /// A new user namespace; then `id_map` is set.
    pub user: bool,
    /// Process ids.
    pub pid: Namespace,
    /// Network. A new one gets its loopback brought up.
    pub net: Namespace,
    /// System V IPC and POSIX queues.
    pub ipc: Namespace,
    /// Host and domain name.
    pub uts: Namespace,
    /// Cgroups; unshared by the init after it has entered its cgroup, so that it is the root there.
    pub cgroup: Namespace,
}

/// `inside outside length` of one extent.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Extent {
    /// First id in the container.
    pub inside: u32,
    /// First id in the parent namespace.
    pub outside: u32,
    /// How many.
    pub length: u32,
}

/// How the id maps are written, by the shim, from outside.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct IdMap {
    /// User ids.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
    /// Absolute paths of newuidmap and newgidmap; `None`: write the maps directly (`setgroups` denied unless root).
    pub helpers: Option<(String, String)>,
}

/// Cgroups are made, and limits written, by the host: before the launch, or while the shim makes the init.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct CgroupPlacement {
    /// v1: directories whose `tasks` the init writes `0` into.
    pub v1: Vec<String>,
    /// v2: directory for `CLONE_INTO_CGROUP` (falling back to `cgroup.procs`).
    pub v2: Option<String>,
    /// Directories to remove once the container has ended, deepest first.
    pub remove: Vec<String>,
    /// v1 `memory.oom_control` or v2 `memory.events` to read `oom_kill N` from at the end.
    pub oom: Option<String>,
    /// The host puts it into its cgroup, once it has been told of it.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub awaited: bool,
    /// The host makes its cgroups while the shim makes the init, which waits for them.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub late: bool,
}

/// The root file system.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum RootfsKind {
    /// An overlay; `lower` is topmost first. `userxattr` for mounts inside a user namespace.
    Overlay { lower: Vec<String>, upper: String, work: String, userxattr: bool },
    /// A directory, bound onto itself.
    Directory { path: String },
    /// A directory that is entered by chroot, without a mount, and confined by Landlock.
    Tree { path: String },
}

impl Default for RootfsKind {
    fn default() -> Self {
        RootfsKind::Directory { path: String::new() }
    }
}

/// The root file system and how it is mounted.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Rootfs {
    /// Where its files come from.
    pub kind: RootfsKind,
    /// An existing host directory to attach it at, in the init's mount namespace only.
    pub attach_at: String,
    /// Made read-only after everything is mounted.
    pub readonly: bool,
    /// Devices inside it don't work (`nodev`): with device nodes bound from the host one by one, a
    /// `mknod` in the container gives nothing, with or without a device cgroup.
    pub nodev: bool,
    /// The shim makes it, and the binds, as the host's root: files of its layers are seen with the ids of the container's
    /// user namespace, which are not theirs on the disk.
    #[serde(skip_serializing_if = "is_default")]
    pub shifted: bool,
    /// The shim makes it, and the binds, in one user namespace and the container in another below that, with the same ids:
    /// who may mount there may not undo what is read-only.
    #[serde(skip_serializing_if = "is_default")]
    pub nested: bool,
}

/// What a mount step mounts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub enum MountSource {
    /// A new file system: `proc`, `tmpfs`, `sysfs`, `devpts`, `mqueue`, `cgroup2`; options as for `fsconfig` (an empty value is a flag).
    Fs { fstype: String, options: Vec<(String, String)> },
    /// A host path, or a part of the host's tree with everything below it.
    Bind { path: String, recursive: bool },
    /// A small file with this content, in a memory file system made for the purpose.
    File { content: String, mode: u32 },
    /// The memory file system at this path in another container, whose mount namespace is at this host path.
    Memory { namespace: String, path: String },
}

impl Default for MountSource {
    fn default() -> Self {
        MountSource::Bind { path: String::new(), recursive: false }
    }
}

/// One mount.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MountStep {
    /// What is mounted.
    pub source: MountSource,
    /// Where, in the container; made when missing, as a directory or a file as the source is.
    pub target: String,
    /// `MOUNT_ATTR_*` to set (`RDONLY` 1, `NOSUID` 2, `NODEV` 4, `NOEXEC` 8, `RELATIME` 0, `NOATIME` 0x10 …).
    pub attributes: u64,
    /// `MOUNT_ATTR_*` that a source may have and the mount does not.
    #[serde(skip_serializing_if = "is_default")]
    pub cleared: u64,
    /// `MOUNT_ATTR_*` to set and to clear on the mount and everything below, after those.
    #[serde(skip_serializing_if = "is_default")]
    pub below: (u64, u64),
    /// Files have other owners by this mount.
    #[serde(skip_serializing_if = "is_default")]
    pub id_map: Option<MountIdMap>,
    /// The attributes hold for everything below too (`AT_RECURSIVE`).
    pub recursive_attributes: bool,
    /// `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE` or 0 for the default (private).
    pub propagation: u64,
    /// Skip the step silently when it fails (mqueue on a kernel without it).
    pub optional: bool,
    /// When it fails, bind this host path in its place (sysfs and proc in a restricted user namespace).
    pub fallback: Option<String>,
    /// Before binding an empty directory, copy what the image has at the target into it (a new volume).
    pub copy_up: bool,
    /// User and group that the target is given when it is missing and made as a directory.
    #[serde(skip_serializing_if = "is_default")]
    pub target_owner: Option<(u32, u32)>,
}

/// Owners of files as they are, and as a mount shows them.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct MountIdMap {
    /// User ids: `inside` is the file system's, `outside` what is seen.
    pub uids: Vec<Extent>,
    /// Group ids.
    pub gids: Vec<Extent>,
    /// Of all mounts below too.
    pub recursive: bool,
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// A capability set, bit n for capability n.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Capabilities {
    /// What can ever be gained.
    pub bounding: u64,
    /// In force.
    pub effective: u64,
    /// What may be put in force.
    pub permitted: u64,
    /// Kept over an exec by files that allow it; always empty by default (CVE-2022-29162).
    pub inheritable: u64,
    /// Kept over an exec of any file.
    pub ambient: u64,
}

/// The process.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Process {
    /// Its arguments; the first is looked up in the container's PATH.
    pub args: Vec<String>,
    /// `KEY=value`; the shim adds HOME from /etc/passwd when it is missing.
    pub env: Vec<String>,
    /// Working directory; made when missing, verified after the chdir (CVE-2024-21626).
    pub cwd: String,
    /// `user[:group]`, names resolved in the container's /etc/passwd and /etc/group; empty for root.
    pub user: String,
    /// Supplementary groups by name or number.
    pub groups: Vec<String>,
    /// File mode creation mask.
    pub umask: u32,
    /// Give it a terminal as standard streams and controlling terminal.
    pub tty: bool,
    /// A first process of ours buries orphans and passes signals on to it.
    pub init: bool,
    /// Capabilities. Permitted and effective become empty for a user other than root, as in Docker.
    pub capabilities: Capabilities,
    /// `PR_SET_NO_NEW_PRIVS`.
    pub no_new_privs: bool,
    /// `(RLIMIT_*, soft, hard)`.
    pub rlimits: Vec<(u32, u64, u64)>,
    /// `/proc/self/oom_score_adj`.
    pub oom_score_adj: Option<i32>,
    /// A compiled seccomp filter (array of `struct sock_filter`).
    #[serde(serialize_with = "instructions")]
    pub seccomp: Option<Arc<Filter>>,
    /// `SECCOMP_FILTER_FLAG_*` of it.
    #[serde(skip_serializing_if = "is_default")]
    pub seccomp_flags: u32,
    /// AppArmor profile that its exec enters; `None` stays with that of who starts it.
    #[serde(skip_serializing_if = "is_default")]
    pub apparmor: Option<String>,
    /// SELinux label that its exec gives it; `None` for what the policy makes of it.
    #[serde(skip_serializing_if = "is_default")]
    pub selinux: Option<String>,
}

/// A program says nothing to a reader; its length does.
fn instructions<S: Serializer>(filter: &Option<Arc<Filter>>, serializer: S) -> Result<S::Ok, S::Error> {
    filter.as_ref().map(|program| format!("{} instructions", program.len() / 8)).serialize(serializer)
}

fn words<S: Serializer>(restart: &Restart, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&format_args!("{restart:?}"))
}

/// A command in a running container.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct ExecPlan {
    /// Its process; what the container's own is given and denied holds for it too.
    pub process: Process,
    /// Its input comes from who asked for it; else there is none.
    pub stdin: bool,
    /// Its output goes nowhere.
    pub detach: bool,
    /// Milliseconds until it is killed; 0 for never.
    pub timeout_ms: u64,
    /// Size of its terminal; 0 for the kernel's default.
    pub rows: u32,
    /// The same.
    pub columns: u32,
    /// Its name in events.
    pub id: String,
}

/// What the shim does besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Supervise {
    /// The container's directory: `state.json` and `exit.json` are written there by rename.
    pub dir: String,
    /// Members that begin `state.json`, as JSON without braces: `"version":1,"boot_id":"…"`. The shim adds `"pid"`, `"pid_start"`, `"shim_pid"`, `"shim_start"`, `"started_at"`.
    pub state_prefix: String,
    /// The log file, appended to; empty: none. Lines as of CRI: `TIME stdout F text`.
    pub log: String,
    /// Lines as of Docker's `json-file` instead.
    pub log_json: bool,
    /// Bytes after which it becomes `log.1` and another is begun; 0 for never.
    pub log_max_size: u64,
    /// How many of them there may be.
    pub log_max_files: u32,
    /// Stop and remove the container when the host process is gone.
    pub tie_host: bool,
    /// Remove the container's directory after the exit.
    pub auto_remove: bool,
    /// Where `dir` is renamed to before it is deleted (the store's `tmp/<id>`).
    pub trash: String,
    /// Further files to unlink and directory trees to delete on removal: the name's claim, anonymous volumes.
    pub remove_also: Vec<String>,
    /// Signal that asks it to stop when the host is gone.
    pub stop_signal: i32,
    /// Milliseconds from it to SIGKILL.
    pub stop_timeout_ms: u64,
    /// Standard input is open, and stays so, where the launching host gives none: its own is the input of the first run,
    /// and its end that one's end.
    pub keep_stdin: bool,
    /// The container gets the host's descriptors themselves: nothing is copied, and nothing logged.
    pub direct: bool,
    /// Where events are written; empty: nowhere.
    pub events: String,
    /// Members that all events of the container share, as JSON that is open at the end for further attributes:
    /// `"kind":"container","id":"…","attributes":{"image":"…"`.
    pub event_subject: String,
    /// Which of its ends are followed by another start.
    #[serde(serialize_with = "words")]
    pub restart: Restart,
    /// Its health check.
    pub health: Option<Health>,
}

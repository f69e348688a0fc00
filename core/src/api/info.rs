//! What the engine tells.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::options::{Mount, RunOptions, Rung, words};

macro_rules! infos {
    ($($(#[$meta:meta])* pub struct $name:ident { $($(#[$fmeta:meta])* pub $field:ident: $ty:ty,)* })+) => {$(
        $(#[$meta])*
        #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
        #[serde(default)]
        pub struct $name { $($(#[$fmeta])* pub $field: $ty,)* }
    )+};
}

words! {
    /// Where a container is in its life.
    pub enum Status {
        /// It has not been started.
        #[default]
        Created = "created",
        /// Its process runs.
        Running = "running",
        /// Its process is frozen.
        Paused = "paused",
        /// Its process has ended.
        Exited = "exited",
        /// Its record is damaged, or its shim was killed before it could tell how the process ended.
        Dead = "dead",
        /// Its process has ended, and is started again after a pause.
        Restarting = "restarting",
    }

    /// One of the two output streams.
    pub enum Stream {
        /// Standard output.
        #[default]
        Stdout = "stdout",
        /// Standard error.
        Stderr = "stderr",
    }

    /// What a container's health check has found.
    pub enum HealthStatus {
        /// Nothing yet.
        #[default]
        Starting = "starting",
        /// It is well.
        Healthy = "healthy",
        /// Too many checks have failed in a row, or it does not run.
        Unhealthy = "unhealthy",
    }

    /// How a check of `doctor` went.
    pub enum CheckStatus {
        /// As it should be.
        #[default]
        Ok = "ok",
        /// Works, with less.
        Warn = "warn",
        /// Something does not work.
        Fail = "fail",
    }
}

infos! {
    /// Where an engine stands.
    pub struct EngineInfo {
        /// The library's version.
        pub version: String,
        /// The store.
        pub root: String,
        /// The run directory.
        pub run: String,
        /// The rung of the rootless ladder.
        pub rung: Rung,
        /// `v1`, `hybrid`, `v2` or `none`.
        pub cgroup: String,
        /// Kernel release.
        pub kernel: String,
        /// Containers in the store.
        pub containers: u64,
        /// Images in the store.
        pub images: u64,
    }

    /// What is at a path of a container.
    pub struct PathStat {
        /// Its name: the last one of the path, `.` for what is in a directory.
        pub name: String,
        /// Bytes.
        pub size: u64,
        /// Kind and permissions, as of `stat(2)`.
        pub mode: u32,
        /// RFC 3339.
        pub mtime: String,
        /// Where it leads, when it is a symbolic link.
        pub link_target: Option<String>,
    }

    /// An image in the store.
    pub struct ImageInfo {
        /// Digest of its config: the image id.
        pub id: String,
        /// Digest of its manifest.
        pub digest: String,
        /// Full references that point to it.
        pub tags: Vec<String>,
        /// When it was made, as its config says.
        pub created: Option<String>,
        /// Bytes of its unpacked layers.
        pub size: u64,
        /// `linux`.
        pub os: String,
        /// `amd64`, `arm64`, ….
        pub architecture: String,
        /// `v8`, ….
        pub variant: Option<String>,
        /// Diff ids of its layers, lowest first.
        pub layers: Vec<String>,
        /// Environment, `KEY=value`.
        pub env: Vec<String>,
        /// Entrypoint.
        pub entrypoint: Vec<String>,
        /// Default command.
        pub command: Vec<String>,
        /// Working directory.
        pub workdir: String,
        /// Default user.
        pub user: String,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Ports it says it serves, `5432/tcp`.
        pub exposed_ports: Vec<String>,
        /// Paths it wants volumes at.
        pub volumes: Vec<String>,
        /// Signal that asks it to stop.
        pub stop_signal: Option<String>,
        /// Its health check.
        pub healthcheck: Option<Healthcheck>,
        /// The shell of a check that is a shell's command; `/bin/sh -c` when there is none.
        pub shell: Vec<String>,
    }

    /// The health check of an image, in seconds; 0 stands for the default.
    pub struct Healthcheck {
        /// `CMD` and arguments, `CMD-SHELL` and a command of the shell's, or `NONE`.
        pub test: Vec<String>,
        /// Between two checks.
        pub interval: f64,
        /// After which one is killed.
        pub timeout: f64,
        /// From the start, in which failures don't count.
        pub start_period: f64,
        /// Between two checks in that time.
        pub start_interval: f64,
        /// Failures in a row that make it unhealthy.
        pub retries: u32,
    }

    /// One run of a health check.
    pub struct Probe {
        /// When it began.
        pub started_at: String,
        /// When it ended.
        pub finished_at: String,
        /// Its exit code; -1 when it was killed for its time, or could not be run.
        pub exit_code: i32,
        /// The first 4096 bytes that it wrote, or what kept it from ending by itself.
        pub output: String,
    }

    /// A container's health.
    pub struct Health {
        /// Where it stands.
        pub status: HealthStatus,
        /// Failures in a row.
        pub failing_streak: u32,
        /// The last five checks, oldest first.
        pub log: Vec<Probe>,
    }

    /// One step of removing an image.
    pub struct RemovedImage {
        /// A tag that was removed.
        pub untagged: Option<String>,
        /// The id of an image that was deleted.
        pub deleted: Option<String>,
    }

    /// How a container's process ended.
    pub struct ExitStatus {
        /// Its exit code; 128+n when signal n ended it.
        pub code: i32,
        /// The signal that ended it.
        pub signal: Option<i32>,
        /// The kernel killed it, or a process that it started, for want of memory.
        pub oom_killed: bool,
        /// When it ended.
        pub finished_at: String,
        /// A sentence on what the code does not tell: that memory ran out and by which limit, that its log is incomplete, that
        /// its output could not be written, that its shim was killed.
        pub error: Option<String>,
    }

    /// What a container that was run to its end has written and returned.
    pub struct Output {
        /// The container's id.
        pub id: String,
        /// How it ended.
        pub exit: ExitStatus,
        /// All of its standard output.
        pub stdout: Vec<u8>,
        /// All of its standard error.
        pub stderr: Vec<u8>,
    }

    /// What a command in a container has written and returned.
    pub struct ExecOutput {
        /// Its exit code; 128+n when signal n ended it.
        pub code: i32,
        /// The signal that ended it.
        pub signal: Option<i32>,
        /// All of its standard output; with a terminal, of both.
        pub stdout: Vec<u8>,
        /// All of its standard error.
        pub stderr: Vec<u8>,
        /// The kernel killed it, or a process beside it, for want of memory.
        pub oom_killed: bool,
        /// A sentence on that, with the limit.
        pub error: Option<String>,
    }

    /// A process of a container, as this host sees it.
    pub struct ProcessInfo {
        /// Its process id in the host's namespace.
        pub pid: i32,
        /// Its parent's.
        pub ppid: i32,
        /// The host's number of its user.
        pub uid: u32,
        /// `R`, `S`, `D`, `T`, `Z`, ….
        pub state: String,
        /// Its terminal, `pts/0`; `?` for none.
        pub tty: String,
        /// When it began.
        pub started_at: String,
        /// Seconds of processor time that it has used.
        pub cpu_seconds: f64,
        /// Bytes of memory that it has in use.
        pub memory: u64,
        /// Its arguments; its name in brackets when it has none.
        pub command: String,
    }

    /// What a container uses at one moment. What this host doesn't count is absent.
    pub struct ContainerStats {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// When it was read.
        pub time: String,
        /// Nanoseconds of processor time that all its processes have used.
        pub cpu_nanoseconds: Option<u64>,
        /// Processors of this host.
        pub cpus: u32,
        /// Bytes of memory, without the page cache that would be given back first.
        pub memory: Option<u64>,
        /// The limit of that; without one, all that this host has.
        pub memory_limit: u64,
        /// Processes and threads.
        pub pids: Option<u64>,
        /// Bytes read from block devices.
        pub block_read: Option<u64>,
        /// Bytes written to them.
        pub block_written: Option<u64>,
        /// Bytes received on all interfaces of its own but loopback.
        pub network_received: Option<u64>,
        /// Bytes sent on them.
        pub network_sent: Option<u64>,
        /// How many of its processes the kernel has killed for want of memory.
        pub oom_kills: Option<u64>,
    }

    /// A container.
    pub struct ContainerInfo {
        /// Its id.
        pub id: String,
        /// Its name.
        pub name: String,
        /// The image as it was asked for.
        pub image: String,
        /// The id of that image.
        pub image_id: String,
        /// Entrypoint and command together.
        pub command: Vec<String>,
        /// Where it is in its life.
        pub status: Status,
        /// Process id in the host's namespace, while it runs.
        pub pid: Option<i32>,
        /// Process id of its shim, while it runs.
        pub shim_pid: Option<i32>,
        /// When it was created.
        pub created_at: String,
        /// When it was last started.
        pub started_at: Option<String>,
        /// How it last ended.
        pub exit: Option<ExitStatus>,
        /// Labels.
        pub labels: BTreeMap<String, String>,
        /// Environment, `KEY=value`.
        pub env: Vec<String>,
        /// Working directory.
        pub workdir: String,
        /// User as asked for.
        pub user: String,
        /// Host name.
        pub hostname: String,
        /// `none` or `host`.
        pub network: String,
        /// Mounts beside the default ones.
        pub mounts: Vec<Mount>,
        /// Signal that asks it to stop.
        pub stop_signal: String,
        /// The rung that it was created on.
        pub rung: Rung,
        /// Limits that were asked for and are not enforced.
        pub unenforced: Vec<String>,
        /// Its log file.
        pub log_path: String,
        /// The options that it was created with.
        pub options: RunOptions,
        /// How many of its processes the kernel has killed for want of memory since it was last started; absent where that
        /// is not counted.
        pub oom_kills: Option<u64>,
        /// How often it was started again, by its restart policy, since it was last started.
        pub restart_count: u32,
        /// What its health check has found; absent without one, or before its first start.
        pub health: Option<Health>,
        /// The user ids of a user namespace of its own, `INSIDE:OUTSIDE:COUNT` each; none when it has that of the rung.
        pub uid_map: Vec<String>,
        /// The same of group ids.
        pub gid_map: Vec<String>,
    }

    /// One line of a log, or a part of a line.
    pub struct LogEntry {
        /// When it was read from the container, with nanoseconds.
        pub time: String,
        /// Which stream it came from.
        pub stream: Stream,
        /// The bytes, with the line's end when it had one.
        pub data: Vec<u8>,
    }

    /// Something that happened in the store, in Docker's words.
    pub struct EngineEvent {
        /// When, with nanoseconds.
        pub time: String,
        /// What it happened to: `container`, `image` or `volume`.
        pub kind: String,
        /// What happened: `create`, `start`, `die`, `exec_create: sh -c ls`, `health_status: healthy`, ….
        pub action: String,
        /// The container's id, the image's id or reference, the volume's name.
        pub id: String,
        /// More of it. Of a container `image`, `name` and its labels; `exitCode`, `signal`, `oldName`, `execID` where they belong.
        pub attributes: BTreeMap<String, String>,
    }

    /// What was removed because nothing used it.
    pub struct PruneReport {
        /// What was removed: ids and digests.
        pub removed: Vec<String>,
        /// Bytes freed.
        pub bytes: u64,
        /// Records that can't be read, and why. What they use is not known, so no image's content was removed.
        pub unread: Vec<String>,
    }

    /// One check of `doctor`.
    pub struct Check {
        /// What was checked: `user namespace`.
        pub name: String,
        /// How it went.
        pub status: CheckStatus,
        /// What was found.
        pub detail: String,
        /// What would better it.
        pub hint: Option<String>,
    }

    /// What this host allows.
    pub struct DoctorReport {
        /// True when containers can run.
        pub ok: bool,
        /// The rung that is chosen.
        pub rung: Rung,
        /// Why not a better one.
        pub reason: String,
        /// Every check.
        pub checks: Vec<Check>,
        /// Milliseconds that the self-test container took from start to removal.
        pub self_test_ms: Option<f64>,
    }
}

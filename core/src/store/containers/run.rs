//! What a container is doing: the shim's records, and what comes of them and of the lock.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::{Owner, Record};
use crate::api::Status;
use crate::error::Result;
use crate::fs;
use crate::sys::{self, PidFd};
use crate::wire;

/// `state.json`: which processes run it.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct State {
    /// See [`super::VERSION`].
    pub version: u32,
    /// The boot that the process ids belong to.
    pub boot_id: String,
    /// The machine that they belong to.
    pub machine_id: String,
    /// The container's first process; 0 between two runs.
    pub pid: i32,
    /// Its start time in clock ticks since boot; 0 between two runs.
    pub pid_start: u64,
    /// The shim.
    pub shim_pid: i32,
    /// The shim's start time.
    pub shim_start: u64,
    /// RFC 3339.
    pub started_at: String,
    /// The container's directory, as [`fs::identity`] tells it: what is told in a copy of that, or of the store, is of another
    /// container. `None` from a library that didn't write it yet.
    #[serde(default)]
    pub place: Option<String>,
    /// The path of that directory; `None` from a library that didn't write it yet.
    #[serde(default)]
    pub dir: Option<PathBuf>,
    /// Where its processes are; `None` from a library that didn't write it yet.
    #[serde(default)]
    pub cgroups: Option<Cgroups>,
    /// How often its shim has started it again.
    #[serde(default)]
    pub restart_count: u32,
    /// Its process has ended, and the shim waits to start it again.
    #[serde(default)]
    pub restarting: bool,
    /// The process that it is tied to.
    #[serde(default)]
    pub owner: Option<Owner>,
}

impl State {
    /// Whether its process ids are of this machine since it came up.
    pub fn is_here(&self) -> bool {
        self.boot_id == sys::boot_id() && self.machine_id == sys::machine_id()
    }

    /// Whether it tells of the container in this directory, and not of one that this is a copy of.
    pub fn is_of(&self, dir: &Path) -> bool {
        self.place.as_ref().is_none_or(|place| fs::identity(dir).is_ok_and(|own| own == *place))
    }

    /// The container's first process, on the machine that it [is of](Self::is_here); `None` when it has ended. Between two
    /// runs there is none, whatever number is written.
    pub fn first_process(&self) -> Result<Option<PidFd>> {
        match self.restarting {
            true => Ok(None),
            false => PidFd::open_started(self.pid, self.pid_start),
        }
    }
}

/// The cgroups that a container was put in. Who asks later may be in another one, or see other mounts, and would
/// work out others.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Cgroups {
    /// v1: controller to directory.
    #[serde(default)]
    pub v1: BTreeMap<String, String>,
    /// v2: the one directory.
    #[serde(default)]
    pub v2: Option<String>,
}

/// `exit.json`: how it ended.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Exit {
    /// See [`super::VERSION`].
    pub version: u32,
    /// Exit code; 128+n for signal n.
    pub code: i32,
    /// The signal that ended it.
    pub signal: Option<i32>,
    /// The kernel killed a process of it for want of memory.
    #[serde(default)]
    pub oom_killed: bool,
    /// More of that; `None` from a shim that didn't write it yet.
    #[serde(default)]
    pub oom: Option<Oom>,
    /// RFC 3339.
    pub finished_at: String,
    /// The errno that cut its log short.
    #[serde(default)]
    pub log_error: Option<i32>,
    /// The errno with which the standard output or error of who started it took no more.
    #[serde(default)]
    pub unwritten: Option<i32>,
    /// Which of its shim's runs ended so; see [`State::restart_count`].
    #[serde(default)]
    pub restart_count: u32,
    /// The step that kept it from being started again.
    #[serde(default)]
    pub failed_step: Option<u32>,
    /// Its errno.
    #[serde(default)]
    pub failed_errno: Option<i32>,
    /// The path or command that it failed on, or nothing.
    #[serde(default)]
    pub failed_on: String,
}

/// What the kernel's out-of-memory killer did in a container's cgroup.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Oom {
    /// Processes that it killed.
    pub kills: u64,
    /// The limit in bytes; 0 for none.
    pub limit: u64,
    /// The most that was in use, in bytes; 0 where that is not counted.
    pub peak: u64,
    /// How often the limit was hit: v1's `memory.failcnt`, `oom` of v2's `memory.events`.
    pub hits: u64,
}

impl From<wire::Oom> for Oom {
    fn from(wire::Oom { kills, limit, peak, hits }: wire::Oom) -> Self {
        Oom { kills, limit, peak, hits }
    }
}

/// A container as it is on disk at one moment.
#[derive(Clone, Debug)]
pub struct Container {
    /// What it was created as.
    pub record: Record,
    /// Who runs it, or ran it last.
    pub state: Option<State>,
    /// How it last ended.
    pub exit: Option<Exit>,
    /// A shim holds its lock.
    pub held: bool,
    /// State or exit are there, and say nothing: a crash of the machine cut them short.
    pub damaged: bool,
    /// A state is there, and not of who holds the lock.
    pub foreign: bool,
}

impl Container {
    /// Where it is in its life. (A frozen one is told apart by its cgroup, not here.)
    pub fn status(&self) -> Status {
        match (self.held, &self.state, self.ended()) {
            (true, Some(state), _) if state.restarting => Status::Restarting,
            (true, Some(_), None) => Status::Running,
            (false, _, Some(_)) => Status::Exited,
            (false, Some(_), None) => Status::Dead,
            // Held without a state: being started. Held with an exit: its shim is about to go.
            (true, _, Some(_)) => Status::Exited,
            (false, None, None) if self.damaged => Status::Dead,
            (true, None, None) if self.damaged => Status::Running,
            (_, None, None) => Status::Created,
        }
    }

    /// How it ended, unless it was started again since.
    pub fn ended(&self) -> Option<&Exit> {
        let run = self.state.as_ref().map_or(0, |state| state.restart_count);
        self.exit.as_ref().filter(|exit| exit.restart_count >= run)
    }

    /// Whether the end of the run that a state tells of was noted.
    pub fn has_ended(&self, state: &State) -> bool {
        self.exit.as_ref().is_some_and(|exit| exit.restart_count >= state.restart_count)
    }

    /// Why nothing can be done with the processes of one that doesn't run.
    pub fn idle(&self) -> &'static str {
        match self.status() {
            Status::Restarting => "it is restarting: between two runs it has no process",
            _ => "it is not running",
        }
    }

    /// A shim that is told to stop can be told more: it runs, or will run again.
    pub fn is_alive(&self) -> bool {
        matches!(self.status(), Status::Running | Status::Restarting)
    }
}

//! The tie to the host process: when it is gone the container is asked to stop, then killed.

use crate::freezer;
use crate::sys::{self, Fd};
use crate::wire::Cgroup;

/// What has been done about the container so far.
enum Stage {
    /// The host lives.
    Tied,
    /// Asked; killed at this time.
    Asked(u64),
    /// Killed.
    Killed,
}

/// The owner's fate and what follows from it.
pub struct Tie {
    /// A pidfd of the host, which tells of its death; -1 without a tie.
    pub host: Fd,
    /// A pipe that the host holds with close-on-exec, which tells of its exec too.
    pub pipe: Fd,
    signal: i32,
    timeout_ms: u64,
    stage: Stage,
    /// Thawed with each signal, or a paused container would outlive the host.
    cgroup: Cgroup<'static>,
}

impl Tie {
    /// A tie by these descriptors, either of which may be missing.
    pub fn new(host: Fd, pipe: Fd, signal: i32, timeout_ms: u64, cgroup: Cgroup<'static>) -> Self {
        Tie { host, pipe, signal, timeout_ms, stage: Stage::Tied, cgroup }
    }

    /// The host is gone: asks the init to stop. The descriptors stay readable, so they are let go.
    pub fn cut(&mut self, init: i32) {
        (self.host, self.pipe) = (-1, -1);
        if let Stage::Tied = self.stage {
            let _ = sys::kill(init, self.signal);
            freezer::thaw(&self.cgroup);
            self.stage = Stage::Asked(sys::now_ms().saturating_add(self.timeout_ms));
        }
    }

    /// The host is gone after the init.
    pub fn lose(&mut self) {
        (self.host, self.pipe) = (-1, -1);
        self.stage = Stage::Killed;
    }

    /// Kills the init once its time is over.
    pub fn tick(&mut self, init: i32) {
        if self.wait_ms() == Some(0) {
            let _ = sys::kill(init, sys::SIGKILL);
            freezer::thaw(&self.cgroup);
            self.stage = Stage::Killed;
        }
    }

    /// Until the next [`Tie::tick`] is due.
    pub fn wait_ms(&self) -> Option<u64> {
        match self.stage {
            Stage::Asked(at) => Some(at.saturating_sub(sys::now_ms())),
            _ => None,
        }
    }

    /// True once the host is gone.
    pub fn is_cut(&self) -> bool {
        !matches!(self.stage, Stage::Tied)
    }
}

//! The process that a container is tied to, as its state tells.

use std::path::Path;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use super::State;
use crate::cancel::Cancel;
use crate::fs;
use crate::sys::{self, PidFd};

/// Whose a tied container is.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Owner {
    /// Its number in its namespace.
    pid: i32,
    /// Its start time in clock ticks since boot.
    start: u64,
    /// The namespace: from another one nothing can be told of it.
    namespace: String,
}

impl Owner {
    /// This process; `None` where `/proc` tells nothing of it.
    pub fn own() -> Option<Owner> {
        let pid = std::process::id().try_into().ok()?;
        Some(Owner { pid, start: sys::start_time(pid)?, namespace: own_namespace()? })
    }

    fn is_gone(&self) -> bool {
        own_namespace().as_ref() == Some(&self.namespace)
            && match PidFd::open_started(self.pid, self.start) {
                Ok(None) => true,
                // One that was not buried yet has ended all the same.
                Ok(Some(held)) => held.wait(Some(Duration::ZERO), &Cancel::new()).unwrap_or(false),
                Err(_) => false,
            }
    }
}

fn own_namespace() -> Option<String> {
    fs::read_link(Path::new("/proc/self/ns/pid")).ok().flatten()
}

impl State {
    /// Whether the process that it was tied to is gone, as far as that can be told from here.
    pub fn is_orphaned(&self) -> bool {
        let Some(owner) = &self.owner else { return false };
        self.machine_id == sys::machine_id() && (self.boot_id != sys::boot_id() || owner.is_gone())
    }
}

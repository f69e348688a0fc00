//! Starting the shim and talking to it: the only way in which this library runs anything.
//!
//! The host spawns nothing by itself: the shim is executed from a sealed memfd by a grandchild that shares
//! the host's memory for microseconds, so the host sees no SIGCHLD and its size costs nothing.

mod bounds;
pub mod bundle;
mod control;
mod early;
mod encode;
pub mod files;
mod helper;
mod modes;
mod refusal;
mod sentence;
mod spawn;
mod status;
mod tie;

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

pub use control::{Attachment, Command, attach, exec, receive, resize, set_restart};
pub use early::Early;
pub use helper::{HelperSource, memory_file, shim_image};
pub use modes::{HostProgram, run_program};
pub use modes::{Move, apply_owners, remove_trees};
pub use refusal::APPARMOR_CURE;
pub use sentence::failure;
pub use status::told;
pub use status::{Exit, Launched};

use crate::error::Result;
use crate::plan::launch::LaunchPlan;
use crate::wire::{Kind, fd};
use spawn::Shim;

/// What the host passes on to the shim.
#[derive(Debug)]
pub struct LaunchFds<'a> {
    /// Open file with the container's lock, by which the shim holds it as long as it lives.
    pub lock: OwnedFd,
    /// Where the container's standard input comes from; `None`: nothing to read.
    pub stdin: Option<BorrowedFd<'a>>,
    /// Where its standard output is copied to; `None`: only to the log.
    pub stdout: Option<BorrowedFd<'a>>,
    /// Where its standard error is copied to; `None`: only to the log.
    pub stderr: Option<BorrowedFd<'a>>,
}

/// Starts a container; returns once its payload runs.
pub fn launch(plan: &LaunchPlan, fds: LaunchFds<'_>, shim: Early) -> Result<Launched> {
    launch_placed(plan, fds, shim, &|_| Ok(()))
}

/// The same; `make` makes the cgroups, which the plan says are late: the shim makes the init meanwhile. What fails leaves no
/// process.
pub fn launch_late(
    plan: &LaunchPlan,
    fds: LaunchFds<'_>,
    shim: Early,
    make: &dyn Fn() -> Result<()>,
) -> Result<Launched> {
    Launched::await_made(ask(plan, fds, shim)?, make)
}

/// The same; `place` puts the shim into a cgroup, where the plan says that it waits for that.
pub fn launch_placed(
    plan: &LaunchPlan,
    fds: LaunchFds<'_>,
    shim: Early,
    place: &dyn Fn(i32) -> Result<()>,
) -> Result<Launched> {
    Launched::await_ready(ask(plan, fds, shim)?, place)
}

fn ask(plan: &LaunchPlan, fds: LaunchFds<'_>, shim: Early) -> Result<Shim> {
    let tie = plan.supervise.tie_host.then(tie::tie).transpose()?;
    let mut passed = vec![(fd::LOCK, fds.lock.as_fd())];
    passed.extend(fds.stdin.map(|f| (fd::STDIN, f)));
    passed.extend(fds.stdout.map(|f| (fd::STDOUT, f)));
    passed.extend(fds.stderr.map(|f| (fd::STDERR, f)));
    if let Some(tie) = &tie {
        passed.extend([(fd::TIE, tie.pipe.as_fd()), (fd::HOST, tie.host.as_fd())]);
    }
    let body = encode::launch(plan)?;
    shim.ask(Kind::Launch, body, &passed)
}

#[cfg(test)]
mod cgroup_tests;
#[cfg(test)]
mod fill_tests;
#[cfg(test)]
mod log_tests;
#[cfg(test)]
mod moves_tests;
#[cfg(test)]
mod supervise_tests;
#[cfg(test)]
mod tests;

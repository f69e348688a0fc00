//! Looking after the running container: a minimal loop for now.

use crate::fail::{Fail, Outcome, send};
use crate::sys::{self, Errno, Fd};
use crate::wire::{ApplyOwners, Header, Launch, RemoveTrees, Status, Step};

/// The init's ends of its standard streams, and what the shim keeps of them; -1 for none.
pub struct Streams {
    /// Standard input, output and error of the init; all -1 with a terminal.
    pub init: [Fd; 3],
    /// The other ends: where input is written to, where output and error are read from.
    pub ours: [Fd; 3],
}

/// A container whose payload runs.
pub struct Running {
    /// What was asked for.
    pub launch: Launch<'static>,
    /// Which descriptors the host passed.
    pub header: Header,
    /// The init, as this process sees it.
    pub pid: i32,
    /// The same.
    pub pidfd: Fd,
    /// Its standard streams.
    pub streams: Streams,
    /// The master of its terminal.
    pub terminal: Option<Fd>,
}

/// Before the init is made: its standard streams.
pub fn prepare(_launch: &Launch<'static>, _header: &Header) -> Outcome<Streams> {
    Ok(Streams { init: [0, 1, 2], ours: [-1; 3] })
}

/// The init exists and waits: the record that makes the container visible.
pub fn record(_launch: &Launch<'static>, _pid: i32) -> Outcome {
    Ok(())
}

/// The start failed after [`record`]: takes the record back.
pub fn forget(_launch: &Launch<'static>) {}

/// From the payload's first instruction to its end, and what is to be done then.
pub fn run(running: Running) -> ! {
    if let Ok(Some(end)) = sys::wait(running.pid, false) {
        send(&Status::Exited { code: end.code, signal: end.signal, oom_killed: false });
    }
    sys::exit(0)
}

pub fn apply_owners(_request: ApplyOwners<'static>) -> Outcome {
    Err(Fail { step: Step::Owners, errno: Errno::ENOSYS, detail: b"" })
}

pub fn remove_trees(_request: RemoveTrees<'static>) -> Outcome {
    Err(Fail { step: Step::Remove, errno: Errno::ENOSYS, detail: b"" })
}

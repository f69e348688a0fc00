//! `wait`: the shim's lock, then the exit record, from any process.

use std::time::{Duration, Instant};

use super::follow::Follow;
use super::witness::Witness;
use super::{Context, leftovers, list, oom};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch::{self, Launched};
use crate::lock;
use crate::plan::resolve::milliseconds;
use crate::store::containers::{self, Container, State};
use crate::store::liveness;
use crate::sys::PidFd;

/// Waits until a container has ended.
pub fn wait(context: &Context, id: &ContainerId, timeout: Option<f64>, cancel: &Cancel) -> Result<ExitStatus> {
    let deadline = match timeout {
        Some(seconds) => Instant::now().checked_add(Duration::from_millis(milliseconds("timeout", seconds)?)),
        None => None,
    };
    let still_runs = || {
        Error::new(Kind::Timeout, "wait for container", id.short())
            .because(format!("it still runs after {} s", timeout.unwrap_or_default()))
    };
    // One that removes itself, or is removed, takes its records along.
    let mut witness = Witness::new(context, id);
    match context.shims.wait(id, deadline, cancel) {
        Ok(Some(exit)) => return Ok(exit),
        Ok(None) => {}
        Err(e) if e.kind() == Kind::Timeout => return Err(still_runs()),
        Err(e) => return Err(e),
    }
    match end(context, id, &mut witness, deadline, cancel) {
        Ok(Some(exit)) => Ok(exit),
        Err(e) if e.kind() == Kind::NotFound => witness.told().ok_or(e),
        Ok(None) => Err(still_runs()),
        Err(e) if e.kind() == Kind::Timeout => Err(still_runs()),
        Err(e) => Err(e),
    }
}

/// By its records; `None` when the deadline came first.
fn end(
    context: &Context,
    id: &ContainerId,
    witness: &mut Witness,
    deadline: Option<Instant>,
    cancel: &Cancel,
) -> Result<Option<ExitStatus>> {
    if witness.restarts {
        let first = context.shims.first_end(id, deadline, cancel)?;
        let next = if first.is_some() { first } else { next_end(context, id, witness, deadline, cancel)? };
        if next.is_none() || !is_last(context, id)? {
            return Ok(next);
        }
    }
    match until_released(context, id, deadline, cancel)? {
        true => exit_status(context, id).map(Some),
        false => Ok(None),
    }
}

/// Whether the end that was told of is not followed by another start: then the shim goes too.
fn is_last(context: &Context, id: &ContainerId) -> Result<bool> {
    Ok(containers::load(&context.paths, id)?.is_none_or(|c| !c.is_alive()))
}

/// Waits for the next end of a container that is started again after it; `None` when the deadline came first.
fn next_end(
    context: &Context,
    id: &ContainerId,
    witness: &mut Witness,
    deadline: Option<Instant>,
    cancel: &Cancel,
) -> Result<Option<ExitStatus>> {
    let mut seen: Option<Seen> = None;
    loop {
        cancel.check("wait for container", id.short())?;
        witness.look();
        let container = list::load(context, id)?;
        let (Some(state), true) = (&container.state, container.held) else { break };
        // Another shim has taken over: somebody has stopped and started the container.
        seen.take_if(|seen| !seen.is_by(state));
        let Some(seen) = &seen else {
            // Then it is looked at once more, for what happened before it was watched.
            let new = Seen::new(context, id, state)?;
            witness.first_run = new.run;
            seen = Some(new);
            continue;
        };
        if let Some(exit) = container.exit.as_ref().filter(|exit| exit.restart_count >= seen.run) {
            return Ok(Some(list::with_log(context, &container, list::noted(container.record.name.as_str(), exit))));
        }
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if left.is_some_and(|l| l.is_zero()) {
            return Ok(None);
        }
        seen.follow.wait(left, cancel)?;
    }
    match until_released(context, id, deadline, cancel)? {
        true => exit_status(context, id).map(Some),
        false => Ok(None),
    }
}

/// What a wait for the next end began with.
struct Seen {
    follow: Follow,
    shim: (i32, u64),
    /// The first run whose end is the next.
    run: u32,
}

impl Seen {
    fn new(context: &Context, id: &ContainerId, state: &State) -> Result<Seen> {
        let at = context.paths.container(id);
        let follow = Follow::records(at.dir(), at.lock(), shim(context, id)?);
        let run = state.restart_count + u32::from(state.restarting);
        Ok(Seen { follow, shim: (state.shim_pid, state.shim_start), run })
    }

    fn is_by(&self, state: &State) -> bool {
        self.shim == (state.shim_pid, state.shim_start)
    }
}

fn exit_status(context: &Context, id: &ContainerId) -> Result<ExitStatus> {
    let container = list::load(context, id)?;
    leftovers::end_orphans(context, &container);
    list::told_exit(context, &container)
        .ok_or_else(|| Error::new(Kind::Conflict, "wait for container", id.short()).because("it has not been started"))
}

/// Waits until no shim holds the container's lock; false when the deadline came first.
pub(super) fn until_released(
    context: &Context,
    id: &ContainerId,
    deadline: Option<Instant>,
    cancel: &Cancel,
) -> Result<bool> {
    let lock = context.paths.container(id).lock();
    let mut pause = Duration::from_millis(1);
    while liveness::is_held(&lock)? {
        cancel.check("wait for container", id.short())?;
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if left.is_some_and(|l| l.is_zero()) {
            return Ok(false);
        }
        match shim(context, id)? {
            Some(shim) => drop(shim.wait(left, cancel)?),
            // Being started, or run on another machine or in another pid namespace: nothing to wait on but the lock.
            None => {
                lock::rest(left.map_or(pause, |left| left.min(pause)), Some(cancel));
                pause = (pause * 2).min(Duration::from_millis(250));
            }
        }
    }
    Ok(true)
}

/// The container's shim, when it can be seen from here. Its state tells, also where the record is damaged.
pub(super) fn shim(context: &Context, id: &ContainerId) -> Result<Option<PidFd>> {
    match containers::state(&context.paths, id)?.filter(State::is_here) {
        Some(state) => PidFd::open_started(state.shim_pid, state.shim_start),
        None => Ok(None),
    }
}

/// Waits for a container of our own, of this name, by its shim's status socket.
pub(super) fn of_launched(name: &str, launched: &Launched, cancel: &Cancel) -> Result<ExitStatus> {
    let exited = launched.wait_exit(cancel, None)?;
    // Its removal is a part of the run that the caller waits for.
    launched.wait_gone(cancel, None)?;
    Ok(status_of(name, exited))
}

/// How a container ended whose shim is gone; `None` when the shim was killed before it could tell.
pub(super) fn said_by(name: &str, launched: &Launched) -> Option<ExitStatus> {
    launched.wait_exit(&Cancel::new(), Some(Instant::now())).ok().map(|exited| status_of(name, exited))
}

pub(super) fn status_of(name: &str, exited: launch::Exit) -> ExitStatus {
    ExitStatus { finished_at: jiff::Timestamp::now().to_string(), ..ended(&format!("container {name}"), exited) }
}

/// How something ended, as far as its shim tells.
pub(super) fn ended(what: &str, exited: launch::Exit) -> ExitStatus {
    ExitStatus {
        code: exited.status(),
        signal: (exited.signal != 0).then_some(exited.signal),
        oom_killed: exited.oom.kills > 0,
        error: oom::sentence(what, exited.status(), &exited.oom).or_else(|| unwritten(what, exited.unwritten)),
        ..ExitStatus::default()
    }
}

/// Why a part of its output did not get to who started it.
pub(super) fn unwritten(what: &str, errno: i32) -> Option<String> {
    (errno != 0).then(|| Error::errno_in(errno, "write the output of", what).to_string())
}

/// The process that a container's record names, when it is that process still.
pub(super) fn process(container: &Container) -> Result<Option<PidFd>> {
    let Some(state) = container.state.as_ref().filter(|_| container.held) else { return Ok(None) };
    if !state.is_here() {
        return Err(Error::new(Kind::Unsupported, "signal container", container.record.name.as_str())
            .because("it runs on another machine")
            .hint("call from there"));
    }
    state.first_process()
}

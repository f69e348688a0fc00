//! `stop`, `restart`, `kill`.

use std::time::{Duration, Instant};

use super::{Context, events, leftovers, list, pause, start, wait};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::plan::{names, resolve};
use crate::store::containers::{self, Container};
use crate::store::liveness;

/// Sends the stop signal, waits, kills.
pub fn stop(context: &Context, id: &ContainerId, options: &StopOptions, cancel: &Cancel) -> Result<()> {
    let container = list::load(context, id)?;
    let spec = &container.record.spec;
    let signal = options.signal.as_deref().map_or(Ok(spec.stop_signal), names::signal)?;
    let patience = options.timeout.map_or(Ok(spec.stop_timeout_ms), |t| resolve::milliseconds("timeout", t))?;
    if !send(context, &container, signal)? {
        // Not running: Docker's `stop` is content. A shim may still be writing its records.
        wait::until_released(context, id, None, cancel)?;
        return end_leftovers(context, id);
    }
    // Only what runs can see the signal.
    pause::thaw_for_signal(context, &container);
    let deadline = Instant::now().checked_add(Duration::from_millis(patience));
    if !wait::until_released(context, id, deadline, cancel)? {
        let container = list::load(context, id)?;
        send(context, &container, libc::SIGKILL)?;
        pause::thaw_for_signal(context, &container);
        wake_shim(context, id)?;
        wait::until_released(context, id, None, cancel)?;
    }
    events::tell(context, &container.record, "stop", &[]);
    Ok(())
}

/// One that somebody has stopped would never tell of the end.
fn wake_shim(context: &Context, id: &ContainerId) -> Result<()> {
    match wait::shim(context, id)? {
        Some(shim) => shim.signal(libc::SIGCONT).map(drop),
        None => Ok(()),
    }
}

/// What shared the host's process ids with a shim that was killed may run on.
fn end_leftovers(context: &Context, id: &ContainerId) -> Result<()> {
    let Some(container) = containers::load(&context.paths, id)? else { return Ok(()) };
    if container.status() != Status::Dead {
        return Ok(());
    }
    match liveness::hold(&context.paths.container(id).lock(), container.record.name.as_str()) {
        Ok(_lock) => leftovers::end(context, &container),
        // It is being removed, or started again: not by us.
        Err(e) if matches!(e.kind(), Kind::Conflict | Kind::NotFound) => Ok(()),
        Err(e) => Err(e),
    }
}

/// Stops and starts.
pub fn restart(context: &Context, id: &ContainerId, options: &StopOptions, cancel: &Cancel) -> Result<()> {
    stop(context, id, options, cancel)?;
    start::start(context, id, &Stdio::default(), cancel)?;
    events::tell(context, &list::load(context, id)?.record, "restart", &[]);
    Ok(())
}

/// Sends one signal.
pub fn kill(context: &Context, id: &ContainerId, signal: &str) -> Result<()> {
    let number = names::signal(signal)?;
    let container = list::load(context, id)?;
    match send(context, &container, number)? {
        true => {
            // The older freezer holds even what is killed.
            if number == libc::SIGKILL {
                pause::thaw_for_signal(context, &container);
            }
            Ok(())
        }
        false => {
            Err(Error::new(Kind::Conflict, "kill container", container.record.name.as_str())
                .because("it is not running"))
        }
    }
}

/// False when there is no process to send it to.
pub(super) fn send(context: &Context, container: &Container, signal: i32) -> Result<bool> {
    let Some(process) = wait::process(container)? else { return Ok(false) };
    // Before what comes of it.
    events::tell(context, &container.record, "kill", &[("signal", &signal.to_string())]);
    process.signal(signal).map_err(|e| e.within("signal container", container.record.name.as_str()))
}

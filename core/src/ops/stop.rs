//! `stop`, `restart`, `kill`.

use std::time::{Duration, Instant};

use super::{Context, events, leftovers, list, pause, start, wait};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch;
use crate::plan::{names, resolve};
use crate::spec::Restart;
use crate::store::containers::{self, Container};
use crate::store::liveness;
use crate::wire;

/// Sends the stop signal, waits, kills.
pub fn stop(context: &Context, id: &ContainerId, options: &StopOptions, cancel: &Cancel) -> Result<()> {
    let container = list::load(context, id)?;
    let spec = &container.record.spec;
    let signal = options.signal.as_deref().map_or(Ok(spec.stop_signal), names::signal)?;
    let patience = options.timeout.map_or(Ok(spec.stop_timeout_ms), |t| resolve::milliseconds("timeout", t))?;
    let deadline = Instant::now().checked_add(Duration::from_millis(patience));
    if let Some(container) = ask(context, forgo(context, container, cancel, deadline)?, signal, cancel)? {
        // Only what runs can see the signal.
        pause::thaw_for_signal(context, &container);
        if !wait::until_released(context, id, deadline, cancel)? {
            kill_for_good(context, id, cancel)?;
        }
        events::tell(context, &container.record, "stop", &[]);
    }
    // The shim may have been killed, before or meanwhile.
    end_leftovers(context, id)
}

/// Sends the signal; `None` for one that doesn't run, with which Docker's `stop` is content, and will not: a shim may
/// still be writing its records, or have heard too late and start the container once more, which then is asked, too.
fn ask(context: &Context, mut container: Container, signal: i32, cancel: &Cancel) -> Result<Option<Container>> {
    while !send(context, &container, signal)? {
        let id = &container.record.id;
        let soon = || Instant::now().checked_add(Duration::from_secs(1));
        let most = most_without_signal(&container);
        if wait::until_released(context, id, most.and_then(|m| Instant::now().checked_add(m)), cancel)? {
            return Ok(None);
        }
        if container.foreign && list::load(context, id)?.foreign {
            return Err(unknown_holder(&container));
        }
        wake_shim(context, id)?;
        container = forgo(context, list::load(context, id)?, cancel, soon())?;
    }
    Ok(Some(container))
}

/// How long the end of one is awaited that could not be signalled. Who starts a copy puts the other's state away at once.
fn most_without_signal(container: &Container) -> Option<Duration> {
    match container.record.spec.restart {
        _ if container.foreign => Some(Duration::from_secs(5)),
        Restart::No => None,
        _ => Some(Duration::from_secs(1)),
    }
}

fn unknown_holder(container: &Container) -> Error {
    let shim =
        "somebody runs it, and its state names a shim that can't be seen from here, or that has another container";
    Error::new(Kind::Conflict, "stop container", container.record.name.as_str())
        .because(shim)
        .hint("stop it where it was started, by the same mount of the store")
}

/// Until it is gone: a shim that heard too late of it may have started the container once more.
fn kill_for_good(context: &Context, id: &ContainerId, cancel: &Cancel) -> Result<()> {
    loop {
        // Its shim may have been stopped by somebody, and answers nothing.
        let soon = Instant::now().checked_add(Duration::from_millis(100));
        let container = forgo(context, list::load(context, id)?, cancel, soon)?;
        send(context, &container, libc::SIGKILL)?;
        pause::thaw_for_signal(context, &container);
        wake_shim(context, id)?;
        // Without a policy once is enough, however long the kernel takes.
        let once = container.record.spec.restart == Restart::No;
        let most = if once { None } else { Instant::now().checked_add(Duration::from_secs(1)) };
        if wait::until_released(context, id, most, cancel)? {
            return Ok(());
        }
    }
}

/// No other start follows its end, whatever its policy says; the container as it is from then on. A shim that doesn't
/// answer in time hears it all the same before it starts anything.
pub(super) fn forgo(
    context: &Context,
    container: Container,
    cancel: &Cancel,
    deadline: Option<Instant>,
) -> Result<Container> {
    if container.record.spec.restart == Restart::No || !container.held {
        return Ok(container);
    }
    let id = &container.record.id;
    match launch::set_restart(context.paths.container(id).dir(), wire::Restart::No, cancel, deadline) {
        // It has ended, or is being started.
        Err(e) if matches!(e.kind(), Kind::Conflict | Kind::Launch | Kind::Timeout) => {}
        told => told?,
    }
    list::load(context, id)
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
    let mut container = list::load(context, id)?;
    let would_run = container.is_alive() && container.record.spec.restart != Restart::No;
    if ends(number) || number == container.record.spec.stop_signal {
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        container = forgo(context, container, &Cancel::new(), deadline)?;
    }
    match send(context, &container, number)? {
        // Its last run is over, and with this word it stays so.
        false if would_run => Ok(()),
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

/// Whether somebody who sends this wants an end. (What is left are signals that many programs have a use for.)
fn ends(signal: i32) -> bool {
    matches!(signal, libc::SIGKILL | libc::SIGTERM | libc::SIGINT | libc::SIGQUIT)
}

/// False when there is no process to send it to.
pub(super) fn send(context: &Context, container: &Container, signal: i32) -> Result<bool> {
    let Some(process) = wait::process(container)? else { return Ok(false) };
    // Before what comes of it.
    events::tell(context, &container.record, "kill", &[("signal", &signal.to_string())]);
    process.signal(signal).map_err(|e| e.within("signal container", container.record.name.as_str()))
}

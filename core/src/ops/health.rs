//! A container's health: what its shim has found, and waiting for it to be good.

use std::time::{Duration, Instant};

use serde::Deserialize;

use super::follow::Follow;
use super::{Context, list, wait};
use crate::api::{Health, HealthStatus, Probe, Status};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch;
use crate::plan::resolve::milliseconds;
use crate::store::containers::{self, Container};

/// `health.json`, as the shim writes it.
#[derive(Deserialize)]
struct Found {
    status: String,
    failing_streak: u32,
    log: Vec<Entry>,
}

#[derive(Deserialize)]
struct Entry {
    started_at: String,
    finished_at: String,
    exit_code: i32,
    #[serde(default)]
    failed_step: Option<u32>,
    #[serde(default)]
    failed_errno: Option<i32>,
    output: String,
}

/// What is known of a container's health; `None` for one without a check, or that never ran.
pub(super) fn of(context: &Context, container: &Container) -> Option<Health> {
    container.record.spec.health.as_ref()?;
    container.state.as_ref()?;
    let found = containers::health::<Found>(&context.paths, &container.record.id).ok().flatten();
    let mut health = found.map_or_else(Health::default, Health::from);
    // As Docker has it: what doesn't run is not healthy.
    if container.status() != Status::Running && health.status == HealthStatus::Healthy {
        health.status = HealthStatus::Unhealthy;
    }
    Some(health)
}

impl From<Found> for Health {
    fn from(found: Found) -> Health {
        let status = found.status.parse().unwrap_or_default();
        Health { status, failing_streak: found.failing_streak, log: found.log.into_iter().map(Probe::from).collect() }
    }
}

impl From<Entry> for Probe {
    fn from(entry: Entry) -> Probe {
        let Entry { started_at, finished_at, exit_code, .. } = entry;
        let output = match entry.failed_step {
            Some(step) => launch::failure(step, entry.failed_errno.unwrap_or(0), entry.output.as_bytes()).to_string(),
            None => entry.output,
        };
        Probe { started_at, finished_at, exit_code, output }
    }
}

/// Waits until a container is healthy.
pub fn wait_healthy(context: &Context, id: &ContainerId, timeout: Option<f64>, cancel: &Cancel) -> Result<()> {
    let span = timeout.map(|seconds| milliseconds("timeout", seconds)).transpose()?;
    let deadline = span.and_then(|ms| Instant::now().checked_add(Duration::from_millis(ms)));
    let at = context.paths.container(id);
    // Before the first look, so that nothing comes in between.
    let follow = Follow::records(at.dir(), at.lock(), wait::shim(context, id)?);
    loop {
        cancel.check("wait for container", id.short())?;
        let container = list::load(context, id)?;
        if is_healthy(context, &container)? {
            return Ok(());
        }
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if left.is_some_and(|left| left.is_zero()) {
            let late = format!("it is not healthy after {} s", timeout.unwrap_or_default());
            return Err(failed(&container, Kind::Timeout, late));
        }
        follow.wait(left, cancel)?;
    }
}

/// An error where waiting makes no sense any more.
fn is_healthy(context: &Context, container: &Container) -> Result<bool> {
    if container.record.spec.health.is_none() {
        return Err(failed(container, Kind::InvalidArgument, "it has no health check".into())
            .hint("give one, `health_cmd`, when it is created"));
    }
    let health = of(context, container).unwrap_or_default();
    match (container.status(), health.status) {
        (Status::Restarting, _) => Ok(false),
        (Status::Running, HealthStatus::Healthy) => Ok(true),
        (Status::Running, HealthStatus::Starting) => Ok(false),
        (Status::Running, HealthStatus::Unhealthy) => {
            let said = health.log.last().map(|probe| format!(": {:?}", probe.output.trim())).unwrap_or_default();
            Err(failed(container, Kind::Conflict, format!("it is unhealthy{said}")))
        }
        // Held without a state: it is being started.
        (Status::Created, _) if container.held => Ok(false),
        (status, _) => Err(failed(container, Kind::Conflict, format!("it is not running but {}", status.word()))
            .hint("start it first")),
    }
}

fn failed(container: &Container, kind: Kind, because: String) -> Error {
    Error::new(kind, "wait for health", container.record.name.as_str()).because(because)
}

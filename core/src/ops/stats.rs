//! `stats`: the counters of a container's cgroups and of its network.

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Context, list, placed, wait};
use crate::api::{ContainerStats, Status};
use crate::cancel::Cancel;
use crate::cgroup as groups;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::plan::resolve::milliseconds;
use crate::store::containers::Container;
use crate::store::liveness;

/// Reads what a container uses.
pub fn stats(context: &Context, id: &ContainerId) -> Result<ContainerStats> {
    let container = list::load(context, id)?;
    let record = &container.record;
    if container.status() != Status::Running {
        return Err(Error::new(Kind::Conflict, "read statistics", record.name.as_str()).because(container.idle()));
    }
    let usage = groups::usage(&placed::counters(context, &container)?);
    let network = network(&container);
    Ok(ContainerStats {
        id: record.id.to_string(),
        name: record.name.to_string(),
        time: jiff::Timestamp::now().to_string(),
        cpu_nanoseconds: usage.cpu_ns,
        cpus: std::thread::available_parallelism().map_or(1, |n| n.get() as u32),
        memory: usage.memory,
        memory_limit: usage.memory_limit.unwrap_or_else(memory_of_host),
        oom_kills: usage.oom_kills,
        pids: usage.pids,
        block_read: usage.read,
        block_written: usage.written,
        network_received: network.map(|(received, _)| received),
        network_sent: network.map(|(_, sent)| sent),
    })
}

/// Readings at intervals.
pub struct Reader {
    context: Arc<Context>,
    id: ContainerId,
    interval: Duration,
    /// When the next one is due; nothing before the first.
    due: Option<Instant>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("id", &self.id).field("interval", &self.interval).finish_non_exhaustive()
    }
}

/// Opens a stream of readings.
pub fn stream(context: &Arc<Context>, id: &ContainerId, interval: f64) -> Result<Reader> {
    let interval = Duration::from_millis(milliseconds("interval", interval)?);
    list::load(context, id)?;
    Ok(Reader { context: Arc::clone(context), id: id.clone(), interval, due: None })
}

impl Reader {
    /// The next reading; none once the container has ended, and will not run again by its policy.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<ContainerStats>> {
        loop {
            cancel.check("read statistics", self.id.short())?;
            let now = Instant::now();
            let due = self.due.unwrap_or(now);
            if wait::until_released(&self.context, &self.id, Some(due), cancel)? {
                return Ok(None);
            }
            // Now only, or a wait that is cancelled would cost an interval.
            self.due = due.max(now).checked_add(self.interval);
            match stats(&self.context, &self.id) {
                // Between two runs, or its shim is about to go: there is nothing to read then.
                Err(e) if e.kind() == Kind::Conflict => self.due = self.due.max(now.checked_add(liveness::LOOK_AGAIN)),
                // It was removed since.
                Err(e) if e.kind() == Kind::NotFound => return Ok(None),
                other => return other.map(Some),
            }
        }
    }
}

/// Received and sent; `None` with the host's network, whose traffic is not the container's.
fn network(container: &Container) -> Option<(u64, u64)> {
    let state = container.state.as_ref().filter(|_| !container.record.spec.namespaces.host_net)?;
    let process = wait::process(container).ok()??;
    let text = fs::read_bounded(Path::new(&format!("/proc/{}/net/dev", state.pid)), 256 << 10).ok()?;
    // As long as it lives nobody else has its number.
    process.signal(0).ok().filter(|lives| *lives)?;
    Some(traffic(&String::from_utf8_lossy(&text)))
}

/// `eth0: RECEIVED … (eight fields) SENT …`, after two lines of headings (proc(5)).
fn traffic(text: &str) -> (u64, u64) {
    let interfaces =
        text.lines().skip(2).filter_map(|line| line.split_once(':')).filter(|(name, _)| name.trim() != "lo");
    interfaces.fold((0, 0), |(received, sent), (_, fields)| {
        let field = |n| fields.split_whitespace().nth(n).and_then(|f| f.parse::<u64>().ok()).unwrap_or(0);
        (received + field(0), sent + field(8))
    })
}

fn memory_of_host() -> u64 {
    let text = fs::read_bounded(Path::new("/proc/meminfo"), 64 << 10).unwrap_or_default();
    let text = String::from_utf8_lossy(&text).into_owned();
    let total = text.lines().find_map(|l| l.strip_prefix("MemTotal:")?.trim().strip_suffix("kB")?.trim().parse().ok());
    total.unwrap_or(0u64) * 1024
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn traffic_is_that_of_all_interfaces_but_loopback() {
        let text = "Inter-|   Receive\n face |bytes\n    lo: 5 0 0 0 0 0 0 0 5 0\n  eth0: 10 1 0 0 0 0 0 0 20 1\n eth1:1 0 0 0 0 0 0 0 2 0\n";
        assert_eq!(traffic(text), (11, 22));
        assert_eq!(traffic(""), (0, 0));
        assert!(memory_of_host() > 1 << 20);
    }
}

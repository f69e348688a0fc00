//! `events`: what a container uses, and when the kernel ends one of its processes for want of memory, in runc's form.

use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::start::wrong_stage;
use super::state::{Record, Status};
use super::{Runtime, groups};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::fs;

/// How often the kernel's count of such ends is looked at.
const LOOK: Duration = Duration::from_millis(200);

impl Runtime {
    /// What a container uses now.
    ///
    /// # Errors
    /// `Conflict` when it has ended.
    pub fn stats(&self, id: &str) -> Result<Value> {
        let record = self.living(id)?;
        Ok(json!({"type": "stats", "id": id, "data": Group(&record.cgroups).data()}))
    }

    /// Hands over its statistics every `interval`, and each end for want of memory, until it has ended.
    ///
    /// # Errors
    /// As [`Runtime::stats`]; those of `take` end it.
    pub fn events(&self, id: &str, interval: Duration, mut take: impl FnMut(&Value) -> Result<()>) -> Result<()> {
        let record = self.living(id)?;
        let group = Group(&record.cgroups);
        let (mut killed, mut next) = (group.oom_kills(), Instant::now() + interval);
        let Some(first) = record.process()? else { return Ok(()) };
        loop {
            let pause = LOOK.min(next.saturating_duration_since(Instant::now()));
            let ended = first.wait(Some(pause), &Cancel::new())?;
            let now = group.oom_kills();
            (killed..now).try_for_each(|_| take(&json!({"type": "oom", "id": id})))?;
            killed = killed.max(now);
            if ended {
                return Ok(());
            }
            if Instant::now() >= next {
                take(&json!({"type": "stats", "id": id, "data": group.data()}))?;
                next = Instant::now() + interval;
            }
        }
    }

    fn living(&self, id: &str) -> Result<Record> {
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        match record.status(&dir)? {
            Status::Created | Status::Running | Status::Paused => Ok(record),
            other => Err(wrong_stage("read events of container", id, other)),
        }
    }
}

struct Group<'a>(&'a groups::Cgroups);

impl Group<'_> {
    fn text(&self, controller: &str, file: &str) -> String {
        let name = if groups::is_v2(self.0) { "" } else { controller };
        let dir = self.0.iter().find(|(known, _)| known == name).map(|(_, dir)| Path::new(dir));
        let bytes = dir.and_then(|dir| fs::read_bounded(&dir.join(file), 1 << 20).ok()).unwrap_or_default();
        String::from_utf8_lossy(&bytes).into_owned()
    }

    /// `max` is no limit, which runc writes as the largest number.
    fn number(&self, controller: &str, file: &str) -> u64 {
        let text = self.text(controller, file);
        if text.trim() == "max" { u64::MAX } else { text.trim().parse().unwrap_or(0) }
    }

    fn field(&self, controller: &str, file: &str, name: &str) -> u64 {
        let text = self.text(controller, file);
        let mut lines = text.lines().filter_map(|line| line.split_once(' '));
        lines.find(|(key, _)| *key == name).and_then(|(_, value)| value.trim().parse().ok()).unwrap_or(0)
    }

    fn fields(&self, controller: &str, file: &str) -> Value {
        let text = self.text(controller, file);
        let pairs = text.lines().filter_map(|line| line.split_once(' '));
        pairs.filter_map(|(key, value)| Some((key.to_owned(), json!(value.trim().parse::<u64>().ok()?)))).collect()
    }

    fn oom_kills(&self) -> u64 {
        let file = if groups::is_v2(self.0) { "memory.events" } else { "memory.oom_control" };
        self.field("memory", file, "oom_kill")
    }

    fn data(&self) -> Value {
        json!({
            "cpu": {"usage": self.cpu(), "throttling": self.throttling()},
            "memory": self.memory(),
            "pids": {"current": self.number("pids", "pids.current"), "limit": self.pids_limit()},
            "blkio": self.io(),
            "hugetlb": {},
        })
    }

    fn cpu(&self) -> Value {
        if groups::is_v2(self.0) {
            let ns = |name| self.field("cpu", "cpu.stat", name).saturating_mul(1000);
            return json!({"total": ns("usage_usec"), "kernel": ns("system_usec"), "user": ns("user_usec")});
        }
        let each = self.text("cpuacct", "cpuacct.usage_percpu");
        let each: Vec<u64> = each.split_whitespace().filter_map(|n| n.parse().ok()).collect();
        let (user, kernel) = self.cpu_each();
        json!({
            "total": self.number("cpuacct", "cpuacct.usage"), "percpu": each, "percpu_user": user, "percpu_kernel": kernel,
            "kernel": self.number("cpuacct", "cpuacct.usage_sys"), "user": self.number("cpuacct", "cpuacct.usage_user"),
        })
    }

    /// Nanoseconds of each CPU in user and kernel mode, under a heading: `cpu user system`.
    fn cpu_each(&self) -> (Vec<u64>, Vec<u64>) {
        let row = |line: &str| -> Option<(u64, u64)> {
            let mut words = line.split(' ').skip(1).map(|word| word.parse().ok());
            Some((words.next()??, words.next()??))
        };
        self.text("cpuacct", "cpuacct.usage_all").lines().skip(1).filter_map(row).unzip()
    }

    fn throttling(&self) -> Value {
        let field = |name| self.field("cpu", "cpu.stat", name);
        let ns = match groups::is_v2(self.0) {
            true => field("throttled_usec").saturating_mul(1000),
            false => field("throttled_time"),
        };
        json!({"periods": field("nr_periods"), "throttledPeriods": field("nr_throttled"), "throttledTime": ns})
    }

    fn memory(&self) -> Value {
        let number = |file| self.number("memory", file);
        let raw = self.fields("memory", "memory.stat");
        let (cache, usage, swap) = match groups::is_v2(self.0) {
            true => (
                "file",
                json!({"limit": number("memory.max"), "usage": number("memory.current"), "max": number("memory.peak"),
                    "failcnt": self.field("memory", "memory.events", "max")}),
                json!({"limit": number("memory.swap.max"), "usage": number("memory.swap.current"), "failcnt": 0}),
            ),
            false => ("cache", self.memory_v1("memory"), self.memory_v1("memory.memsw")),
        };
        let mut all = json!({"cache": raw[cache].as_u64().unwrap_or(0), "usage": usage, "swap": swap, "raw": raw});
        // v2 counts these with the rest.
        if !groups::is_v2(self.0) {
            all["kernel"] = self.memory_v1("memory.kmem");
            all["kernelTCP"] = self.memory_v1("memory.kmem.tcp");
        }
        all
    }

    fn memory_v1(&self, prefix: &str) -> Value {
        let number = |file: &str| self.number("memory", &format!("{prefix}.{file}"));
        json!({"limit": number("limit_in_bytes"), "usage": number("usage_in_bytes"),
            "max": number("max_usage_in_bytes"), "failcnt": number("failcnt")})
    }

    /// runc writes 0 for none.
    fn pids_limit(&self) -> u64 {
        Some(self.number("pids", "pids.max")).filter(|limit| *limit != u64::MAX).unwrap_or(0)
    }

    fn io(&self) -> Value {
        let entries: Vec<Value> = match groups::is_v2(self.0) {
            true => self.text("io", "io.stat").lines().flat_map(io_v2).collect(),
            false => self.text("blkio", "blkio.throttle.io_service_bytes").lines().filter_map(io_v1).collect(),
        };
        json!({ "ioServiceBytesRecursive": entries })
    }
}

fn entry(device: &str, op: &str, value: &str) -> Option<Value> {
    let (major, minor) = device.split_once(':')?;
    let number = |text: &str| text.parse::<u64>().ok();
    Some(json!({"major": number(major)?, "minor": number(minor)?, "op": op, "value": number(value)?}))
}

/// `8:0 Read 4096`.
fn io_v1(line: &str) -> Option<Value> {
    let mut words = line.split(' ');
    entry(words.next()?, words.next()?, words.next()?)
}

/// `8:0 rbytes=4096 wbytes=0 …`.
fn io_v2(line: &str) -> Vec<Value> {
    let Some((device, rest)) = line.split_once(' ') else { return Vec::new() };
    let pairs = rest.split(' ').filter_map(|pair| pair.split_once('='));
    let named = pairs.filter_map(|(key, value)| match key {
        "rbytes" => entry(device, "Read", value),
        "wbytes" => entry(device, "Write", value),
        _ => None,
    });
    named.collect()
}

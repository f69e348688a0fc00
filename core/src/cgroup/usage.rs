//! What the processes of a cgroup have used, in Docker's arithmetic.

use std::path::{Path, PathBuf};

use crate::fs;

/// The directories that hold the counters; `None` where there is no such controller.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// v1 `cpuacct`.
    pub cpuacct: Option<PathBuf>,
    /// v1 `memory`.
    pub memory: Option<PathBuf>,
    /// v1 `pids`.
    pub pids: Option<PathBuf>,
    /// v1 `blkio`.
    pub blkio: Option<PathBuf>,
    /// The v2 directory, which has them all.
    pub v2: Option<PathBuf>,
}

/// Usage at one moment; `None` for what is not counted here.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    /// Nanoseconds of processor time.
    pub cpu_ns: Option<u64>,
    /// Bytes, without the page cache that would be given back first.
    pub memory: Option<u64>,
    /// The limit of that in bytes; `None` for no limit.
    pub memory_limit: Option<u64>,
    /// Processes that the kernel has killed for want of memory.
    pub oom_kills: Option<u64>,
    /// Processes and threads.
    pub pids: Option<u64>,
    /// Bytes read from block devices.
    pub read: Option<u64>,
    /// Bytes written to them.
    pub written: Option<u64>,
}

const MOST: u64 = 256 << 10;

/// Reads the counters.
pub fn usage(counters: &Counters) -> Usage {
    match &counters.v2 {
        Some(dir) => Usage { oom_kills: oom_kills(counters), ..v2(dir) },
        None => v1(counters),
    }
}

/// How many processes the kernel has killed for want of memory; `None` where that is not counted.
pub fn oom_kills(counters: &Counters) -> Option<u64> {
    let (dir, file) = match (&counters.v2, &counters.memory) {
        (Some(dir), _) => (dir, "memory.events"),
        (None, Some(dir)) => (dir, "memory.oom_control"),
        (None, None) => return None,
    };
    field(dir, file, "oom_kill")
}

fn v1(c: &Counters) -> Usage {
    let number = |dir: &Option<PathBuf>, file| dir.as_ref().and_then(|dir| number(dir, file));
    let cache = c.memory.as_ref().and_then(|dir| field(dir, "memory.stat", "total_inactive_file")).unwrap_or(0);
    let io = c.blkio.as_ref().and_then(|dir| service_bytes(dir));
    let blkio = |operation| io.as_ref().map(|text| blkio_bytes(text, operation));
    Usage {
        cpu_ns: number(&c.cpuacct, "cpuacct.usage"),
        memory: number(&c.memory, "memory.usage_in_bytes").map(|all| all.saturating_sub(cache)),
        memory_limit: number(&c.memory, "memory.limit_in_bytes").filter(|limit| *limit < UNLIMITED),
        oom_kills: oom_kills(c),
        pids: number(&c.pids, "pids.current"),
        read: blkio("Read"),
        written: blkio("Write"),
    }
}

/// What passed the block devices' queues, with that of cgroups below where the kernel adds it.
fn service_bytes(dir: &Path) -> Option<String> {
    let files = ["blkio.throttle.io_service_bytes_recursive", "blkio.throttle.io_service_bytes"];
    files.into_iter().find(|file| fs::exists(&dir.join(file)).unwrap_or(false)).map(|file| text(dir, file))
}

/// v1 has no word for no limit: it is the largest number of pages.
const UNLIMITED: u64 = 1 << 60;

fn v2(dir: &Path) -> Usage {
    let cache = field(dir, "memory.stat", "inactive_file").unwrap_or(0);
    let io = fs::exists(&dir.join("io.stat")).unwrap_or(false).then(|| text(dir, "io.stat"));
    Usage {
        cpu_ns: field(dir, "cpu.stat", "usage_usec").map(|us| us.saturating_mul(1000)),
        memory: number(dir, "memory.current").map(|all| all.saturating_sub(cache)),
        memory_limit: number(dir, "memory.max"),
        oom_kills: None,
        pids: number(dir, "pids.current"),
        read: io.as_ref().map(|io| io_bytes(io, "rbytes=")),
        written: io.as_ref().map(|io| io_bytes(io, "wbytes=")),
    }
}

fn text(dir: &Path, file: &str) -> String {
    String::from_utf8_lossy(&fs::read_bounded(&dir.join(file), MOST).unwrap_or_default()).into_owned()
}

fn number(dir: &Path, file: &str) -> Option<u64> {
    text(dir, file).trim().parse().ok()
}

/// `name value`, one a line.
fn field(dir: &Path, file: &str, name: &str) -> Option<u64> {
    text(dir, file).lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' ')?.parse().ok())
}

/// `8:0 Read 4096`, of all devices.
fn blkio_bytes(text: &str, operation: &str) -> u64 {
    let of = |line: &str| {
        let mut words = line.split_whitespace().skip(1);
        (words.next() == Some(operation)).then(|| words.next()?.parse::<u64>().ok()).flatten()
    };
    text.lines().filter_map(of).sum()
}

/// `8:0 rbytes=4096 wbytes=0 …`, of all devices.
fn io_bytes(text: &str, key: &str) -> u64 {
    text.split_whitespace().filter_map(|word| word.strip_prefix(key)?.parse::<u64>().ok()).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counters_of_v2_are_read() {
        let dir = tempfile::tempdir().unwrap();
        let write = |file: &str, text: &str| fs::write_new(&dir.path().join(file), text.as_bytes()).unwrap();
        write("cpu.stat", "usage_usec 1500\nuser_usec 1000\n");
        write("memory.current", "9000\n");
        write("memory.stat", "anon 1\ninactive_file 1000\n");
        write("memory.max", "max\n");
        write("memory.events", "low 0\noom 2\noom_kill 1\noom_group_kill 0\n");
        write("pids.current", "3\n");
        write("io.stat", "8:0 rbytes=10 wbytes=1 rios=1\n8:16 rbytes=5 wbytes=2\n");
        let usage = usage(&Counters { v2: Some(dir.path().into()), ..Counters::default() });
        assert_eq!((usage.cpu_ns, usage.memory, usage.memory_limit), (Some(1_500_000), Some(8000), None));
        assert_eq!((usage.pids, usage.read, usage.written), (Some(3), Some(15), Some(3)));
        assert_eq!(usage.oom_kills, Some(1));
    }

    #[test]
    fn counters_of_v1_are_read_and_what_is_missing_is_none() {
        assert_eq!(usage(&Counters::default()), Usage::default());
        let dir = tempfile::tempdir().unwrap();
        let counters = Counters { blkio: Some(dir.path().into()), ..Counters::default() };
        let write = |file: &str, text: &str| fs::write_new(&dir.path().join(file), text.as_bytes()).unwrap();
        let counted = || (usage(&counters).read, usage(&counters).written);
        assert_eq!(counted(), (None, None));
        write("blkio.throttle.io_service_bytes", "8:0 Read 10\n8:0 Write 1\nTotal 11\n");
        assert_eq!(counted(), (Some(10), Some(1)));
        write("blkio.throttle.io_service_bytes_recursive", "8:0 Read 12\n8:0 Write 3\nTotal 15\n");
        assert_eq!(counted(), (Some(12), Some(3)));
        let text = "8:0 Read 10\n8:0 Write 1\n8:16 Read 5\nTotal 16\n";
        assert_eq!((blkio_bytes(text, "Read"), blkio_bytes(text, "Write")), (15, 1));
    }
}

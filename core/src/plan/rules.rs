//! What is written for a limit into files of cgroups, on both versions (cgroup-v1/*.rst and cgroup-v2.rst of the kernel).

use std::collections::BTreeMap;

use super::resolve::invalid;
use crate::error::Result;
use crate::spec::{DeviceLimit, Limits, OfDevice};

const CPU_PERIOD: &str = "100000";

/// `(file, value)`, in the order in which the kernel takes them.
pub(super) type Writes = Vec<(&'static str, String)>;

/// One limit, on both versions.
pub(super) struct Rule {
    /// The option that asks for it.
    pub option: &'static str,
    /// The controller of v1.
    pub controller: &'static str,
    pub v1: Writes,
    /// `None` where that version has no such setting.
    pub v2: Option<Writes>,
    /// Nobody asked for it: not told where it can't be had.
    pub implied: bool,
}

impl Rule {
    fn new(option: &'static str, controller: &'static str, v1: Writes, v2: Option<Writes>) -> Rule {
        Rule { option, controller, v1, v2, implied: false }
    }

    /// The controller of v2.
    pub fn controller_v2(&self) -> &'static str {
        if self.controller == "blkio" { "io" } else { self.controller }
    }
}

/// Numbers of block devices, by path.
pub(super) type Numbers = BTreeMap<String, (u32, u32)>;

/// All rules of these limits.
///
/// # Errors
/// `InvalidArgument` when two limits of a kind are of the same device.
pub(super) fn rules(limits: &Limits, numbers: &Numbers) -> Result<Vec<Rule>> {
    once_each(&limits.devices, numbers)?;
    let mut rules = memory(limits);
    rules.extend(processors(limits));
    rules.extend(limits.pids.map(|most| same("pids_limit", "pids", "pids.max", most)));
    rules.extend(limits.blkio_weight.map(|weight| {
        let write = |file| vec![(file, weight.to_string())];
        Rule::new("blkio_weight", "blkio", write("blkio.weight"), Some(write("io.bfq.weight")))
    }));
    rules.extend(limits.devices.iter().map(|limit| device(limit, numbers)));
    Ok(rules)
}

/// A limit that has the same name on both versions.
fn same(option: &'static str, controller: &'static str, file: &'static str, value: impl ToString) -> Rule {
    let writes = vec![(file, value.to_string())];
    Rule::new(option, controller, writes.clone(), Some(writes))
}

fn memory(limits: &Limits) -> Vec<Rule> {
    let mut rules = Vec::new();
    let mut rule = |option, v1: (&'static str, String), v2: Option<(&'static str, String)>| {
        let v2 = v2.map(|write| vec![write]);
        rules.push(Rule { implied: option == IMPLIED_SWAP, ..Rule::new(option, "memory", vec![v1], v2) })
    };
    if let Some(bytes) = limits.memory {
        rule("memory", ("memory.limit_in_bytes", bytes.to_string()), Some(("memory.max", bytes.to_string())));
    }
    if let Some((option, total)) = swap(limits) {
        // v2 counts swap alone.
        let alone = if total < 0 { "max".into() } else { (total - limits.memory.unwrap_or(0)).max(0).to_string() };
        rule(option, ("memory.memsw.limit_in_bytes", total.to_string()), Some(("memory.swap.max", alone)));
    }
    if let Some(bytes) = limits.memory_reservation {
        let value = bytes.to_string();
        rule("memory_reservation", ("memory.soft_limit_in_bytes", value.clone()), Some(("memory.low", value)));
    }
    if let Some(swappiness) = limits.swappiness {
        rule("memory_swappiness", ("memory.swappiness", swappiness.to_string()), None);
    }
    if limits.oom_kill_disable {
        rule("oom_kill_disable", ("memory.oom_control", "1".into()), None);
    }
    rules
}

fn processors(limits: &Limits) -> Vec<Rule> {
    let mut rules = Vec::new();
    rules.extend(bandwidth(limits));
    if let Some(shares) = limits.cpu_shares {
        let weight = weight(shares).to_string();
        let v2 = Some(vec![("cpu.weight", weight)]);
        rules.push(Rule::new("cpu_shares", "cpu", vec![("cpu.shares", shares.to_string())], v2));
    }
    // The period first: the kernel holds the time against it.
    let real_time = [
        ("cpu_rt_period", "cpu.rt_period_us", limits.rt_period),
        ("cpu_rt_runtime", "cpu.rt_runtime_us", limits.rt_runtime),
    ];
    for (option, file, value) in real_time {
        rules.extend(value.map(|value| Rule::new(option, "cpu", vec![(file, value.to_string())], None)));
    }
    rules.extend(limits.cpuset_cpus.as_ref().map(|list| same("cpuset_cpus", "cpuset", "cpuset.cpus", list)));
    rules.extend(limits.cpuset_mems.as_ref().map(|list| same("cpuset_mems", "cpuset", "cpuset.mems", list)));
    rules
}

/// Time in each period, in the words of `cpus` or in the kernel's own.
fn bandwidth(limits: &Limits) -> Option<Rule> {
    let option = match (limits.cpu_quota, limits.quota, limits.period) {
        (Some(_), ..) => "cpus",
        (_, Some(_), _) => "cpu_quota",
        (.., Some(_)) => "cpu_period",
        _ => return None,
    };
    let quota = limits.cpu_quota.or(limits.quota);
    let period = limits.period.map_or(CPU_PERIOD.to_owned(), |period| period.to_string());
    let most = quota.map_or("max".to_owned(), |quota| quota.to_string());
    let v2 = vec![("cpu.max", format!("{most} {period}"))];
    let v1 = [Some(("cpu.cfs_period_us", period)), quota.map(|quota| ("cpu.cfs_quota_us", quota.to_string()))];
    Some(Rule::new(option, "cpu", v1.into_iter().flatten().collect(), Some(v2)))
}

fn device(limit: &DeviceLimit, numbers: &Numbers) -> Rule {
    let (option, v1, v2) = match limit.of {
        OfDevice::Weight => ("blkio_weight_device", "blkio.weight_device", ""),
        OfDevice::ReadBps => ("device_read_bps", "blkio.throttle.read_bps_device", "rbps="),
        OfDevice::WriteBps => ("device_write_bps", "blkio.throttle.write_bps_device", "wbps="),
        OfDevice::ReadIops => ("device_read_iops", "blkio.throttle.read_iops_device", "riops="),
        OfDevice::WriteIops => ("device_write_iops", "blkio.throttle.write_iops_device", "wiops="),
    };
    let Some((major, minor)) = numbers.get(&limit.path) else {
        return Rule::new(option, "blkio", Vec::new(), Some(Vec::new()));
    };
    let file = if limit.of == OfDevice::Weight { "io.bfq.weight" } else { "io.max" };
    let write = |word: &str| format!("{major}:{minor} {word}{}", limit.value);
    Rule::new(option, "blkio", vec![(v1, write(""))], Some(vec![(file, write(v2))]))
}

/// The kernel would keep the last of several, whichever was meant.
fn once_each(devices: &[DeviceLimit], numbers: &Numbers) -> Result<()> {
    let number = |limit: &DeviceLimit| numbers.get(&limit.path);
    for (at, limit) in devices.iter().enumerate() {
        let before = devices[..at].iter().find(|other| {
            other.of == limit.of
                && (other.path == limit.path || (number(limit).is_some() && number(other) == number(limit)))
        });
        let Some(before) = before else { continue };
        let said = match before.path == limit.path {
            true => format!("{} is named twice", limit.path),
            false => format!("{} and {} are the same device", before.path, limit.path),
        };
        return Err(invalid(device(limit, numbers).option, said).hint("give it one limit of a kind"));
    }
    Ok(())
}

/// v2's weight for v1's shares: the curve through both scales' least, usual and most (2, 1024 and 262144 are 1, 100
/// and 10000), as runc and crun have it since 2025. The straight line before made 39 of what is usual.
pub(super) fn weight(shares: u64) -> u64 {
    match shares {
        0..=2 => 1,
        3..=262_143 => {
            let log = (shares as f64).log2();
            10f64.powf((log * log + 125.0 * log) / 612.0 - 7.0 / 34.0).ceil() as u64
        }
        _ => 10_000,
    }
}

const IMPLIED_SWAP: &str = "memory_swap by default";

/// Memory and swap together. As in Docker, a limit of memory alone lets as much again be swapped out: without
/// it, what does not fit would be swapped without end.
fn swap(limits: &Limits) -> Option<(&'static str, i64)> {
    let twice = limits.memory.and_then(|memory| memory.checked_mul(2));
    limits.memory_swap.map(|total| ("memory_swap", total)).or(twice.map(|total| (IMPLIED_SWAP, total)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_as_in_runc() {
        let pairs =
            [(0, 1), (2, 1), (3, 2), (10, 4), (100, 17), (512, 59), (1024, 100), (2048, 174), (262_144, 10_000)];
        for (shares, expected) in pairs {
            assert_eq!(weight(shares), expected, "{shares}");
        }
    }

    fn limit(path: &str, of: OfDevice) -> DeviceLimit {
        DeviceLimit { path: path.into(), of, value: 7 }
    }

    #[test]
    fn the_same_device_by_two_names_is_told() {
        let numbers: Numbers =
            [("/dev/a", (8, 0)), ("/dev/b", (8, 16)), ("/dev/link", (8, 0))].map(|(p, n)| (p.to_owned(), n)).into();
        let of =
            |paths: &[&str], of| Limits { devices: paths.iter().map(|p| limit(p, of)).collect(), ..Limits::default() };
        for (paths, word) in [
            (["/dev/a", "/dev/link"], "the same device"),
            (["/dev/a", "/dev/a"], "/dev/a is named twice"),
            (["/dev/new", "/dev/new"], "/dev/new is named twice"),
        ] {
            let error = rules(&of(&paths, OfDevice::ReadBps), &numbers).err().unwrap().to_string();
            assert!(error.contains("device_read_bps") && error.contains(word), "{error}");
        }
        assert_eq!(rules(&of(&["/dev/a", "/dev/b", "/dev/new"], OfDevice::Weight), &numbers).unwrap().len(), 3);
        let both = [limit("/dev/a", OfDevice::ReadBps), limit("/dev/a", OfDevice::ReadIops)];
        assert_eq!(rules(&Limits { devices: both.into(), ..Limits::default() }, &numbers).unwrap().len(), 2);
    }
}

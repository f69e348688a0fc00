//! Limits as writes into files of cgroups (config-linux.md; cgroup-v1/*.rst and cgroup-v2.rst of the kernel).

use oci_spec::runtime::{
    LinuxBlockIo, LinuxCpu, LinuxDeviceCgroup, LinuxDeviceType, LinuxMemory, LinuxNetwork, LinuxRdma, LinuxResources,
    LinuxThrottleDevice,
};

use super::{invalid, unsupported};
use crate::cgroup::devices::DeviceRule;
use crate::error::Result;
use crate::plan::{devices as rules_of, rules};

/// One write.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Write {
    /// The v1 controller that it belongs to.
    pub controller: &'static str,
    /// The file.
    pub file: String,
    /// What is written.
    pub value: String,
}

fn write(controller: &'static str, file: impl Into<String>, value: impl ToString) -> Write {
    Write { controller, file: file.into(), value: value.to_string() }
}

/// All writes, in the order in which the kernel takes them.
pub fn writes(resources: &LinuxResources, v2: bool) -> Result<Vec<Write>> {
    if v2 {
        refuse_on_v2(resources)?;
    }
    let mut all = Vec::new();
    // Docker writes 0 for what nobody has asked for.
    let asked = |write: &Write| write.value != "0" || ZERO_COUNTS.contains(&write.file.as_str());
    if let Some(memory) = resources.memory() {
        all.extend(if v2 { memory_v2(memory)? } else { memory_v1(memory) });
    }
    if let Some(cpu) = resources.cpu() {
        all.extend(if v2 { cpu_v2(cpu) } else { cpu_v1(cpu) });
    }
    all.retain(asked);
    if let Some(limit) = resources.pids().as_ref().map(|pids| pids.limit()) {
        all.push(write("pids", "pids.max", limit_or_max(limit)));
    }
    if let Some(io) = resources.block_io() {
        let writes = if v2 { io_v2(io) } else { io_v1(io) };
        all.extend(writes.into_iter().filter(asked));
    }
    for page in resources.hugepage_limits().iter().flatten() {
        let file = if v2 { "max" } else { "limit_in_bytes" };
        all.push(write("hugetlb", format!("hugetlb.{}.{file}", page.page_size()), page.limit()));
    }
    all.extend(rdma(resources));
    if let (Some(network), false) = (resources.network(), v2) {
        all.extend(self::network(network));
    }
    if !v2 {
        all.extend(devices_v1(&devices(resources)?));
    }
    all.extend(unified(resources, v2)?);
    Ok(all)
}

/// What cgroups of version 2 have nothing for. Docker writes 0 and false for what nobody has asked for.
fn refuse_on_v2(resources: &LinuxResources) -> Result<()> {
    let memory = resources.memory().as_ref();
    let cpu = resources.cpu().as_ref();
    let io = resources.block_io().as_ref();
    let network = resources.network().as_ref();
    let devices = io.and_then(|io| io.weight_device().as_ref());
    let asked = [
        ("memory.swappiness", memory.is_some_and(|memory| memory.swappiness().is_some())),
        ("memory.disableOOMKiller", memory.is_some_and(|memory| memory.disable_oom_killer() == Some(true))),
        ("memory.kernelTCP", memory.is_some_and(|memory| memory.kernel_tcp().unwrap_or(0) != 0)),
        ("cpu.realtimePeriod", cpu.is_some_and(|cpu| cpu.realtime_period().unwrap_or(0) != 0)),
        ("cpu.realtimeRuntime", cpu.is_some_and(|cpu| cpu.realtime_runtime().unwrap_or(0) != 0)),
        ("blockIO.leafWeight", io.is_some_and(|io| io.leaf_weight().unwrap_or(0) != 0)),
        ("blockIO.weightDevice.leafWeight", devices.into_iter().flatten().any(|device| device.leaf_weight().is_some())),
        ("network.classID", network.is_some_and(|network| network.class_id().unwrap_or(0) != 0)),
        ("network.priorities", network.is_some_and(|network| network.priorities().iter().flatten().count() > 0)),
    ];
    match asked.into_iter().find(|(_, asked)| *asked) {
        Some((name, _)) => Err(unsupported(
            format!("linux.resources.{name}"),
            "this host's cgroups are those of version 2, which have none",
        )),
        None => Ok(()),
    }
}

/// Files in which 0 is a value like any other.
const ZERO_COUNTS: [&str; 9] = [
    "memory.swappiness",
    "memory.low",
    "memory.swap.max",
    "cpu.idle",
    "cpu.cfs_burst_us",
    "cpu.max.burst",
    "cpu.rt_runtime_us",
    "cpuset.cpus",
    "cpuset.mems",
];

fn limit_or_max(limit: i64) -> String {
    if limit <= 0 { "max".into() } else { limit.to_string() }
}

fn memory_v1(memory: &LinuxMemory) -> Vec<Write> {
    let value = |file: &str, value: Option<i64>| value.map(|bytes| write("memory", file, bytes));
    let mut all: Vec<Write> = [
        value("memory.limit_in_bytes", memory.limit()),
        value("memory.memsw.limit_in_bytes", memory.swap()),
        value("memory.soft_limit_in_bytes", memory.reservation()),
    ]
    .into_iter()
    .flatten()
    .collect();
    // `kernel` is what no kernel limits any more; this one is left.
    all.extend(value("memory.kmem.tcp.limit_in_bytes", memory.kernel_tcp()));
    if let Some(swappiness) = memory.swappiness() {
        all.push(write("memory", "memory.swappiness", swappiness));
    }
    if memory.disable_oom_killer() == Some(true) {
        all.push(write("memory", "memory.oom_control", 1));
    }
    all
}

/// v2 counts swap alone, the specification swap and memory together.
fn memory_v2(memory: &LinuxMemory) -> Result<Vec<Write>> {
    let mut all = Vec::new();
    if let Some(limit) = memory.limit() {
        all.push(write("memory", "memory.max", limit_or_max(limit)));
    }
    if let Some(total) = memory.swap() {
        let swap = match memory.limit().unwrap_or(0) {
            _ if total < 0 => "max".to_owned(),
            limit if limit <= total => (total - limit).to_string(),
            limit => {
                return Err(invalid(
                    "linux.resources.memory.swap",
                    format!("{total} is less than the memory limit {limit}, which it includes"),
                ));
            }
        };
        all.push(write("memory", "memory.swap.max", swap));
    }
    if let Some(reservation) = memory.reservation() {
        all.push(write("memory", "memory.low", reservation.max(0)));
    }
    Ok(all)
}

fn cpu_v1(cpu: &LinuxCpu) -> Vec<Write> {
    let mut all = Vec::new();
    let mut put = |file: &str, value: Option<String>| all.extend(value.map(|value| write("cpu", file, value)));
    put("cpu.shares", cpu.shares().map(|n| n.to_string()));
    // The period first: the kernel holds the quota against it.
    put("cpu.cfs_period_us", cpu.period().map(|n| n.to_string()));
    put("cpu.cfs_quota_us", cpu.quota().map(|n| n.to_string()));
    put("cpu.cfs_burst_us", cpu.burst().map(|n| n.to_string()));
    put("cpu.rt_period_us", cpu.realtime_period().map(|n| n.to_string()));
    put("cpu.rt_runtime_us", cpu.realtime_runtime().map(|n| n.to_string()));
    put("cpu.idle", cpu.idle().map(|n| n.to_string()));
    all.extend(cpuset(cpu));
    all
}

fn cpu_v2(cpu: &LinuxCpu) -> Vec<Write> {
    const PERIOD: u64 = 100_000;
    let mut all = Vec::new();
    all.extend(
        cpu.shares().filter(|shares| *shares > 0).map(|shares| write("cpu", "cpu.weight", rules::weight(shares))),
    );
    let period = cpu.period().filter(|period| *period > 0);
    if cpu.quota().is_some_and(|quota| quota != 0) || period.is_some() {
        let quota = cpu.quota().filter(|quota| *quota > 0).map_or("max".to_owned(), |quota| quota.to_string());
        all.push(write("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(PERIOD))));
    }
    all.extend(cpu.burst().map(|burst| write("cpu", "cpu.max.burst", burst)));
    all.extend(cpu.idle().map(|idle| write("cpu", "cpu.idle", idle)));
    all.extend(cpuset(cpu));
    all
}

fn cpuset(cpu: &LinuxCpu) -> Vec<Write> {
    let list = |file: &str, list: &Option<String>| {
        list.as_deref().filter(|list| !list.is_empty()).map(|list| write("cpuset", file, list))
    };
    [list("cpuset.cpus", cpu.cpus()), list("cpuset.mems", cpu.mems())].into_iter().flatten().collect()
}

fn io_v1(io: &LinuxBlockIo) -> Vec<Write> {
    let mut all = Vec::new();
    all.extend(io.weight().map(|weight| write("blkio", "blkio.weight", weight)));
    all.extend(io.leaf_weight().map(|weight| write("blkio", "blkio.leaf_weight", weight)));
    for device in io.weight_device().iter().flatten() {
        let of = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        all.extend(device.weight().map(|weight| write("blkio", "blkio.weight_device", of(weight))));
        all.extend(device.leaf_weight().map(|weight| write("blkio", "blkio.leaf_weight_device", of(weight))));
    }
    for (kind, devices) in throttles(io) {
        let file = format!("blkio.throttle.{}", kind.1);
        let of = |d: &LinuxThrottleDevice| format!("{}:{} {}", d.major(), d.minor(), d.rate());
        all.extend(devices.iter().flatten().map(|device| write("blkio", &file, of(device))));
    }
    all
}

fn io_v2(io: &LinuxBlockIo) -> Vec<Write> {
    let mut all = Vec::new();
    all.extend(io.weight().filter(|weight| *weight > 0).map(|weight| write("blkio", "io.bfq.weight", weight)));
    for device in io.weight_device().iter().flatten() {
        let of = |weight| format!("{}:{} {weight}", device.major(), device.minor());
        all.extend(device.weight().map(|weight| write("blkio", "io.bfq.weight", of(weight))));
    }
    for (kind, devices) in throttles(io) {
        let of = |d: &LinuxThrottleDevice| format!("{}:{} {}={}", d.major(), d.minor(), kind.0, d.rate());
        all.extend(devices.iter().flatten().map(|device| write("blkio", "io.max", of(device))));
    }
    all
}

type Throttles<'a> = [((&'static str, &'static str), &'a Option<Vec<LinuxThrottleDevice>>); 4];

/// The word of v2 and the file of v1, with the devices.
fn throttles(io: &LinuxBlockIo) -> Throttles<'_> {
    [
        (("rbps", "read_bps_device"), io.throttle_read_bps_device()),
        (("wbps", "write_bps_device"), io.throttle_write_bps_device()),
        (("riops", "read_iops_device"), io.throttle_read_iops_device()),
        (("wiops", "write_iops_device"), io.throttle_write_iops_device()),
    ]
}

/// The same file in both versions, a line a device.
fn rdma(resources: &LinuxResources) -> Vec<Write> {
    let mut all: Vec<_> = resources.rdma().iter().flatten().collect();
    all.sort_unstable_by_key(|(device, _)| *device);
    let line = |(device, limits): (&String, &LinuxRdma)| {
        let one = |name: &str, limit: Option<u32>| limit.map(|limit| format!(" {name}={limit}")).unwrap_or_default();
        let values = one("hca_handle", limits.hca_handles()) + &one("hca_object", limits.hca_objects());
        (!values.is_empty()).then(|| write("rdma", "rdma.max", format!("{device}{values}")))
    };
    all.into_iter().filter_map(line).collect()
}

fn network(network: &LinuxNetwork) -> Vec<Write> {
    let class = network.class_id().map(|id| write("net_cls", "net_cls.classid", id));
    let priorities = network.priorities().iter().flatten();
    let priorities =
        priorities.map(|p| write("net_prio", "net_prio.ifpriomap", format!("{} {}", p.name(), p.priority())));
    class.into_iter().chain(priorities).collect()
}

/// The rules on devices, those that always hold at the end; none where the configuration has none.
pub fn devices(resources: &LinuxResources) -> Result<Vec<DeviceRule>> {
    let rules = resources.devices().as_deref().unwrap_or_default();
    let mut all = rules.iter().map(device).collect::<Result<Vec<_>>>()?;
    if !rules.is_empty() {
        all.extend(rules_of::always());
    }
    Ok(all)
}

fn device(rule: &LinuxDeviceCgroup) -> Result<DeviceRule> {
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    let bits = rules_of::access(access)
        .ok_or_else(|| invalid("linux.resources.devices.access", format!("{access:?} is not of r, w and m")))?;
    let number = |n: Option<i64>| n.and_then(|n| u32::try_from(n).ok());
    let any = rule.typ().unwrap_or(LinuxDeviceType::A) == LinuxDeviceType::A;
    Ok(DeviceRule {
        allow: rule.allow(),
        block: (!any).then(|| rule.typ() == Some(LinuxDeviceType::B)),
        major: number(rule.major()).filter(|_| !any),
        minor: number(rule.minor()).filter(|_| !any),
        access: bits,
    })
}

fn devices_v1(rules: &[DeviceRule]) -> impl Iterator<Item = Write> {
    rules.iter().map(rules_of::v1_write).map(|(file, value)| write("devices", file, value))
}

fn unified(resources: &LinuxResources, v2: bool) -> Result<Vec<Write>> {
    let entries = resources.unified().iter().flatten();
    let one = |(file, value): (&String, &String)| match v2 {
        _ if file.contains('/') => {
            Err(invalid("linux.resources.unified", format!("{file:?} is not the name of a file")))
        }
        false => Err(invalid("linux.resources.unified", "this host's cgroups are those of version 1")),
        true => Ok(write("unified", file.clone(), value)),
    };
    entries.map(one).collect()
}

//! Limits as they were asked for, checked by Docker's rules.

use crate::api::{CgroupManager, DeviceRate, DeviceWeight, RunOptions};
use crate::error::Result;
use crate::id::Name;
use crate::spec::{DeviceLimit, Limits, OfDevice};

use super::resolve::{invalid, no_nul};

const CPU_PERIOD_US: f64 = 100_000.0;
const MIN_MEMORY: i64 = 6 << 20;
/// A second: what the kernel has in a new cgroup.
const RT_PERIOD_US: u64 = 1_000_000;

/// The limits of a container with these options.
///
/// # Errors
/// `InvalidArgument`, with the option.
pub fn limits(options: &RunOptions) -> Result<Limits> {
    memory(options)?;
    processors(options)?;
    real_time(options)?;
    Ok(Limits {
        memory: options.memory.filter(|m| *m > 0),
        memory_swap: options.memory_swap.filter(|s| *s != 0),
        memory_reservation: options.memory_reservation.filter(|r| *r > 0),
        cpu_quota: options.cpus.filter(|c| *c != 0.0).map(cpu_quota).transpose()?,
        // The kernel takes less for the least, and more for the most.
        cpu_shares: options.cpu_shares.filter(|s| *s != 0).map(|s| s.clamp(2, 262_144)),
        cpuset_cpus: list("cpuset_cpus", "CPUs", &options.cpuset_cpus)?,
        pids: options.pids_limit.filter(|p| *p > 0),
        quota: options.cpu_quota.filter(|q| *q > 0),
        period: options.cpu_period.filter(|p| *p != 0),
        cpuset_mems: list("cpuset_mems", "memory nodes", &options.cpuset_mems)?,
        rt_runtime: options.cpu_rt_runtime.filter(|r| *r != 0),
        rt_period: options.cpu_rt_period.filter(|p| *p != 0),
        blkio_weight: options.blkio_weight.filter(|w| *w != 0).map(|w| weight("blkio_weight", w)).transpose()?,
        devices: devices(options)?,
        swappiness: swappiness(options)?,
        oom_kill_disable: options.oom_kill_disable,
        best_effort: options.best_effort,
        // The engine's to say.
        manager: CgroupManager::default(),
        parent: options.cgroup_parent.clone().filter(|p| !p.is_empty()).map(cgroup_parent).transpose()?,
    })
}

fn memory(options: &RunOptions) -> Result<()> {
    if let Some(memory) = options.memory.filter(|m| *m != 0 && *m < MIN_MEMORY) {
        return Err(invalid("memory", format!("{memory} bytes are too few; the least is 6 MiB")));
    }
    if options.memory_reservation.is_some_and(|r| r < 0) {
        return Err(invalid("memory_reservation", "it is a number of bytes"));
    }
    if let (Some(memory @ 1..), Some(kept)) = (options.memory, options.memory_reservation)
        && kept > memory
    {
        return Err(invalid(
            "memory_reservation",
            "it is what is left under pressure, so it can't be more than memory",
        ));
    }
    memory_swap(options)
}

fn memory_swap(options: &RunOptions) -> Result<()> {
    if options.memory_swap.is_some_and(|s| s < -1) {
        return Err(invalid("memory_swap", "it is a number of bytes, or -1 for no limit"));
    }
    if options.memory_swap.is_some_and(|s| s > 0) && options.memory.is_none_or(|m| m <= 0) {
        return Err(invalid("memory_swap", "it counts memory and swap together, so memory must be limited too"));
    }
    if options.memory_swap.is_some_and(|s| s > 0 && s < options.memory.unwrap_or(0)) {
        return Err(invalid("memory_swap", "it counts memory and swap together, so it can't be less than memory"));
    }
    Ok(())
}

fn processors(options: &RunOptions) -> Result<()> {
    if let Some(quota) = options.cpu_quota.filter(|q| !matches!(q, -1 | 0 | 1000..)) {
        return Err(invalid("cpu_quota", format!("{quota} is not a number of microseconds from 1000 up, nor -1")));
    }
    if let Some(period) = options.cpu_period.filter(|p| !matches!(p, 0 | 1000..=1_000_000)) {
        return Err(invalid("cpu_period", format!("{period} is not a number of microseconds from 1000 to 1000000")));
    }
    let counted = options.cpus.is_some_and(|c| c != 0.0);
    let by_period = [
        ("cpu_quota", options.cpu_quota.is_some_and(|q| q > 0)),
        ("cpu_period", options.cpu_period.is_some_and(|p| p != 0)),
    ];
    match by_period.into_iter().find(|(_, given)| counted && *given) {
        Some((option, _)) => {
            Err(invalid(option, "cpus says the same in other words, so one of them is given")
                .hint("leave out the other"))
        }
        None => Ok(()),
    }
}

fn real_time(options: &RunOptions) -> Result<()> {
    let period = options.cpu_rt_period.filter(|p| *p != 0).unwrap_or(RT_PERIOD_US);
    if i32::try_from(period).is_err() {
        return Err(invalid("cpu_rt_period", format!("{period} microseconds are more than the kernel counts")));
    }
    match options.cpu_rt_runtime.filter(|runtime| *runtime > period) {
        Some(runtime) => Err(invalid(
            "cpu_rt_runtime",
            format!("{runtime} microseconds are more than there are in each period, {period}"),
        )),
        None => Ok(()),
    }
}

fn cpu_quota(cpus: f64) -> Result<i64> {
    match cpus.is_finite() && (0.01..=10_000.0).contains(&cpus) {
        true => Ok((cpus * CPU_PERIOD_US).round() as i64),
        false => Err(invalid("cpus", format!("{cpus} is not a number of CPUs from 0.01 up"))),
    }
}

fn list(option: &str, of: &str, given: &Option<String>) -> Result<Option<String>> {
    let number = |s: &str| s.parse::<u32>().ok();
    let range = |part: &str| match part.split_once('-') {
        Some((a, b)) => number(a).zip(number(b)).is_some_and(|(a, b)| a <= b),
        None => number(part).is_some(),
    };
    match given.as_deref().filter(|list| !list.is_empty()) {
        Some(list) if !list.split(',').all(range) => {
            Err(invalid(option, format!("{list:?} is not a list of {of} such as '0-2,4'")))
        }
        list => Ok(list.map(str::to_owned)),
    }
}

fn swappiness(options: &RunOptions) -> Result<Option<u32>> {
    match options.memory_swappiness {
        None | Some(-1) => Ok(None),
        Some(n @ 0..=100) => Ok(Some(n as u32)),
        Some(n) => Err(invalid("memory_swappiness", format!("{n} is not within 0 and 100, nor -1 for the host's"))),
    }
}

fn weight(option: &str, weight: u32) -> Result<u32> {
    match weight {
        10..=1000 => Ok(weight),
        _ => Err(invalid(option, format!("the weight goes from 10 to 1000, and {weight} was given"))),
    }
}

fn devices(options: &RunOptions) -> Result<Vec<DeviceLimit>> {
    let rates = [
        ("device_read_bps", OfDevice::ReadBps, &options.device_read_bps),
        ("device_write_bps", OfDevice::WriteBps, &options.device_write_bps),
        ("device_read_iops", OfDevice::ReadIops, &options.device_read_iops),
        ("device_write_iops", OfDevice::WriteIops, &options.device_write_iops),
    ];
    let weights = options.blkio_weight_device.iter().map(device_weight);
    let rates =
        rates.into_iter().flat_map(|(option, of, all)| all.iter().map(move |rate| device_rate(option, of, rate)));
    weights.chain(rates).collect()
}

fn device_weight(of: &DeviceWeight) -> Result<DeviceLimit> {
    let path = device_path("blkio_weight_device", &of.path)?;
    Ok(DeviceLimit { path, of: OfDevice::Weight, value: weight("blkio_weight_device", of.weight)?.into() })
}

fn device_rate(option: &str, of: OfDevice, given: &DeviceRate) -> Result<DeviceLimit> {
    let path = device_path(option, &given.path)?;
    // More operations the kernel cuts off to 32 bits, of which nothing may be left.
    let most = match of {
        OfDevice::ReadIops | OfDevice::WriteIops => u64::from(u32::MAX),
        _ => i64::MAX as u64,
    };
    match given.rate {
        rate if (1..=most).contains(&rate) => Ok(DeviceLimit { path, of, value: rate }),
        rate => Err(invalid(option, format!("{path}: {rate} a second is not within 1 and {most}"))),
    }
}

fn device_path(option: &str, path: &str) -> Result<String> {
    no_nul(option, path)?;
    match path.starts_with('/') {
        true => Ok(path.to_owned()),
        false => {
            Err(invalid(option, format!("{path:?} is not an absolute path of a device")).hint("name it as /dev/sda"))
        }
    }
}

/// A parent of several components, each a name, so that nothing climbs out of the cgroup tree.
fn cgroup_parent(parent: String) -> Result<String> {
    let trimmed = parent.trim_matches('/');
    match trimmed.split('/').all(|part| part.parse::<Name>().is_ok()) {
        true => Ok(trimmed.to_owned()),
        false => Err(invalid("cgroup_parent", format!("{parent:?} is not a path of plain names"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn rates(rate: u64) -> Vec<DeviceRate> {
        vec![DeviceRate { path: "/dev/sda".into(), rate }]
    }

    #[track_caller]
    fn refused(options: RunOptions, option: &str) {
        let error = limits(&options).unwrap_err();
        assert_eq!(error.kind(), Kind::InvalidArgument);
        assert!(error.to_string().contains(option) && !error.to_string().contains('\n'), "{option}: {error}");
    }

    #[test]
    fn what_is_out_of_bounds_names_its_option() {
        let d = RunOptions::default;
        for quota in [-2, i64::MIN, 1, 999] {
            refused(RunOptions { cpu_quota: Some(quota), ..d() }, "cpu_quota");
        }
        for period in [1, 999, 1_000_001, u64::MAX] {
            refused(RunOptions { cpu_period: Some(period), ..d() }, "cpu_period");
        }
        refused(RunOptions { cpus: Some(1.0), cpu_quota: Some(5000), ..d() }, "cpu_quota");
        refused(RunOptions { cpus: Some(1.0), cpu_period: Some(1000), ..d() }, "cpu_period");
        refused(RunOptions { cpu_rt_runtime: Some(1_000_001), ..d() }, "cpu_rt_runtime");
        refused(RunOptions { cpu_rt_runtime: Some(2), cpu_rt_period: Some(1), ..d() }, "cpu_rt_runtime");
        refused(RunOptions { cpu_rt_period: Some(u64::MAX), ..d() }, "cpu_rt_period");
        for swappiness in [-2, 101, i64::MIN, i64::MAX] {
            refused(RunOptions { memory_swappiness: Some(swappiness), ..d() }, "memory_swappiness");
        }
        for weight in [1, 9, 1001, u32::MAX] {
            refused(RunOptions { blkio_weight: Some(weight), ..d() }, "blkio_weight");
        }
        for weight in [0, 9, 1001] {
            let device = DeviceWeight { path: "/dev/sda".into(), weight };
            refused(RunOptions { blkio_weight_device: vec![device], ..d() }, "blkio_weight_device");
        }
        refused(RunOptions { device_read_bps: rates(0), ..d() }, "device_read_bps");
        refused(RunOptions { device_write_bps: rates(u64::MAX), ..d() }, "device_write_bps");
        refused(RunOptions { device_read_iops: rates(1 << 32), ..d() }, "device_read_iops");
        refused(RunOptions { device_write_iops: rates(0), ..d() }, "device_write_iops");
        for path in ["", "sda", "/dev/s\0da"] {
            let device = DeviceRate { path: path.into(), rate: 1 };
            refused(RunOptions { device_read_bps: vec![device], ..d() }, "device_read_bps");
        }
        refused(RunOptions { cpuset_mems: Some("0,".into()), ..d() }, "cpuset_mems");
    }

    #[test]
    fn a_weight_of_the_processors_beyond_the_kernel_s_bounds_is_the_nearest() {
        let weight =
            |shares| limits(&RunOptions { cpu_shares: Some(shares), ..RunOptions::default() }).unwrap().cpu_shares;
        assert_eq!(
            [0, 1, 2, 1024, 262_145, u64::MAX].map(weight),
            [None, Some(2), Some(2), Some(1024), Some(262_144), Some(262_144)]
        );
    }

    #[test]
    fn docker_s_words_for_no_limit_are_none() {
        let options = RunOptions {
            cpus: Some(0.0),
            cpu_quota: Some(-1),
            cpu_period: Some(0),
            cpuset_mems: Some(String::new()),
            cpu_rt_runtime: Some(0),
            cpu_rt_period: Some(0),
            blkio_weight: Some(0),
            memory_swappiness: Some(-1),
            ..RunOptions::default()
        };
        assert_eq!(limits(&options).unwrap(), Limits::default());
    }

    #[test]
    fn devices_are_listed_with_what_is_limited() {
        let options = RunOptions {
            blkio_weight_device: vec![DeviceWeight { path: "/dev/sda".into(), weight: 300 }],
            device_write_iops: rates(u32::MAX.into()),
            device_read_bps: rates(i64::MAX as u64),
            ..RunOptions::default()
        };
        let found = limits(&options).unwrap().devices;
        let found: Vec<_> = found.iter().map(|d| (d.of, d.value)).collect();
        let (bytes, operations) = (i64::MAX as u64, u64::from(u32::MAX));
        assert_eq!(found, [(OfDevice::Weight, 300), (OfDevice::ReadBps, bytes), (OfDevice::WriteIops, operations)]);
    }
}

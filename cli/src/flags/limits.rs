//! Limits, which a container is made with; some of them `update` changes.

use clap::Args;
use sampan::{DeviceRate, DeviceWeight, RunOptions, UpdateOptions};

use super::size;

/// Those that `update` changes.
#[derive(Debug, Args)]
pub struct Limits {
    /// Memory limit: 512m, 2g
    #[arg(short, long, value_name = "SIZE", value_parser = size::bytes)]
    memory: Option<i64>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_or_unlimited, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Memory to be left with under pressure
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    memory_reservation: Option<i64>,
    /// Number of CPUs: 1.5
    #[arg(long, value_name = "N")]
    cpus: Option<f64>,
    /// Microseconds of CPU in each period, in place of --cpus; -1 for no limit
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_quota: Option<i64>,
    /// That period, 1000 to 1000000; 100000 by default
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_period: Option<u64>,
    /// Relative CPU weight
    #[arg(short, long, value_name = "N")]
    cpu_shares: Option<u64>,
    /// Microseconds for real-time schedulers in each of their periods; cgroup v1
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_rt_runtime: Option<u64>,
    /// That period; cgroup v1
    #[arg(long, value_name = "MICROSECONDS", allow_hyphen_values = true)]
    cpu_rt_period: Option<u64>,
    /// CPUs to run on: 0-2,4
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    /// Memory nodes to allocate from: 0-1
    #[arg(long, value_name = "NODES")]
    cpuset_mems: Option<String>,
    /// Largest number of processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
    /// Relative weight of block I/O, 10 to 1000
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    blkio_weight: Option<u32>,
}

/// Those that it doesn't.
#[derive(Debug, Args)]
pub struct Fixed {
    /// The same for one device: /dev/sda:200
    #[arg(long, value_name = "DEVICE:N", value_parser = device_weight)]
    blkio_weight_device: Vec<DeviceWeight>,
    /// Most that is read from a device a second: /dev/sda:1mb
    #[arg(long, value_name = "DEVICE:SIZE", value_parser = device_bytes)]
    device_read_bps: Vec<DeviceRate>,
    /// Most that is written to a device a second: /dev/sda:1mb
    #[arg(long, value_name = "DEVICE:SIZE", value_parser = device_bytes)]
    device_write_bps: Vec<DeviceRate>,
    /// Most reads from a device a second: /dev/sda:1000
    #[arg(long, value_name = "DEVICE:N", value_parser = device_operations)]
    device_read_iops: Vec<DeviceRate>,
    /// Most writes to a device a second: /dev/sda:1000
    #[arg(long, value_name = "DEVICE:N", value_parser = device_operations)]
    device_write_iops: Vec<DeviceRate>,
    /// How readily memory is swapped out, 0 to 100; -1 for the host's way; cgroup v1
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    memory_swappiness: Option<i64>,
    /// Let processes wait for memory when all is used, instead of killing one; cgroup v1
    #[arg(long)]
    oom_kill_disable: bool,
}

impl Limits {
    pub fn fill(&self, options: &mut RunOptions) {
        options.memory = self.memory;
        options.memory_swap = self.memory_swap;
        options.memory_reservation = self.memory_reservation;
        options.cpus = self.cpus;
        options.cpu_quota = self.cpu_quota;
        options.cpu_period = self.cpu_period;
        options.cpu_shares = self.cpu_shares;
        options.cpu_rt_runtime = self.cpu_rt_runtime;
        options.cpu_rt_period = self.cpu_rt_period;
        options.cpuset_cpus = self.cpuset_cpus.clone();
        options.cpuset_mems = self.cpuset_mems.clone();
        options.pids_limit = self.pids_limit;
        options.blkio_weight = self.blkio_weight;
    }

    pub fn changes(&self) -> UpdateOptions {
        UpdateOptions {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            pids_limit: self.pids_limit,
            restart: None,
            cpu_quota: self.cpu_quota,
            cpu_period: self.cpu_period,
            cpuset_mems: self.cpuset_mems.clone(),
            cpu_rt_runtime: self.cpu_rt_runtime,
            cpu_rt_period: self.cpu_rt_period,
            blkio_weight: self.blkio_weight,
        }
    }
}

impl Fixed {
    pub fn fill(&self, options: &mut RunOptions) {
        options.blkio_weight_device = self.blkio_weight_device.clone();
        options.device_read_bps = self.device_read_bps.clone();
        options.device_write_bps = self.device_write_bps.clone();
        options.device_read_iops = self.device_read_iops.clone();
        options.device_write_iops = self.device_write_iops.clone();
        options.memory_swappiness = self.memory_swappiness;
        options.oom_kill_disable = self.oom_kill_disable;
    }
}

/// A path may have colons of its own: the last one counts.
fn parts(text: &str) -> Result<(String, &str), String> {
    match text.rsplit_once(':') {
        Some((path, value)) if !path.is_empty() && !value.is_empty() => Ok((path.to_owned(), value)),
        _ => Err(format!("{text:?} is not a device and a value: /dev/sda:200")),
    }
}

fn number<T: std::str::FromStr>(text: &str, value: &str) -> Result<T, String> {
    value.parse().map_err(|_| format!("{text:?}: {value:?} is not a number of that kind"))
}

fn device_weight(text: &str) -> Result<DeviceWeight, String> {
    parts(text).and_then(|(path, value)| Ok(DeviceWeight { path, weight: number(text, value)? }))
}

fn device_operations(text: &str) -> Result<DeviceRate, String> {
    parts(text).and_then(|(path, value)| Ok(DeviceRate { path, rate: number(text, value)? }))
}

fn device_bytes(text: &str) -> Result<DeviceRate, String> {
    parts(text).and_then(|(path, value)| Ok(DeviceRate { path, rate: size::unsigned(value)? }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn devices_have_a_value_behind_the_last_colon() {
        let rate = |path: &str, rate| Ok(DeviceRate { path: path.into(), rate });
        assert_eq!(device_bytes("/dev/sda:1mb"), rate("/dev/sda", 1 << 20));
        assert_eq!(
            device_bytes("/dev/disk/by-path/pci-0000:00:1f.2:5k"),
            rate("/dev/disk/by-path/pci-0000:00:1f.2", 5120)
        );
        assert_eq!(device_operations("/dev/sda:1000"), rate("/dev/sda", 1000));
        assert_eq!(device_weight("/dev/sda:200"), Ok(DeviceWeight { path: "/dev/sda".into(), weight: 200 }));
        for bad in
            ["", ":", "/dev/sda", "/dev/sda:", ":5", "/dev/sda:x", "/dev/sda:-1", "/dev/sda:99999999999999999999999"]
        {
            let refused = [device_bytes(bad).err(), device_operations(bad).err(), device_weight(bad).err()];
            assert!(
                refused.iter().all(|error| error.as_ref().is_some_and(|e| !e.contains('\n'))),
                "{bad}: {refused:?}"
            );
        }
        assert!(device_operations("/dev/sda:1k").is_err());
    }
}

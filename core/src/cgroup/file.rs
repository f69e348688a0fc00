//! The files of limits: what they are called on this kernel, and why one takes no value.

use std::borrow::Cow;
use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs;

/// Where a limit is written, and what: weights of block I/O have one name or another, with the scheduler that keeps them.
pub fn target<'a>(dir: &Path, file: &str, value: &'a str) -> (PathBuf, Cow<'a, str>) {
    let plain = dir.join(file);
    let has = |path: &Path| fs::exists(path).unwrap_or(false);
    if let Some(rest) = file.strip_prefix("blkio.weight")
        && !has(&plain)
    {
        return (dir.join(format!("blkio.bfq.weight{rest}")), value.into());
    }
    let general = dir.join("io.weight");
    match file == "io.bfq.weight" && !has(&plain) && has(&general) {
        true => (general, general_weight(value).into()),
        false => (plain, value.into()),
    }
}

/// A weight of 1 to 1000, alone or after a device, as one of 1 to 10000: the line through both scales' least and most, as
/// runc and crun have it.
fn general_weight(value: &str) -> String {
    let (device, weight) = value.rsplit_once(' ').unwrap_or(("", value));
    let weight = weight.parse::<u64>().unwrap_or(0).clamp(10, 1000);
    format!("{device} {}", 1 + (weight - 10) * 9999 / 990).trim_start().to_owned()
}

/// Says why the kernel refused a value.
pub(super) fn explain(error: Error, file: &str, value: &str) -> Error {
    let told = |kind, because: String, hint: &'static str| {
        let told = Error::new(kind, "set limit", file.to_owned()).because(because);
        if hint.is_empty() { told } else { told.hint(hint) }
    };
    let device = value.split_once(' ').map(|(device, _)| device).filter(|device| device.contains(':'));
    match (error.errno(), device) {
        (Some(libc::EOPNOTSUPP), Some(device)) if file.contains("weight") => told(
            Kind::UnenforceableLimit,
            format!("the I/O scheduler of device {device} keeps no weights"),
            "write bfq into queue/scheduler of the disk in /sys/block",
        ),
        (Some(libc::ENODEV | libc::ENXIO), Some(device)) => told(
            Kind::InvalidArgument,
            format!("the device {device} is gone, or is a part of a disk and no disk"),
            "name a whole disk (lsblk lists them)",
        ),
        (Some(libc::ENOENT | libc::EOPNOTSUPP), _) => {
            told(Kind::UnenforceableLimit, "this kernel does not have it".into(), cure_of_lack(file))
        }
        (Some(libc::EINVAL), _) if file.starts_with("cpu.rt_") => told(
            Kind::UnenforceableLimit,
            format!("the cgroup above has not as much time for real-time schedulers as {value}"),
            "write it into that cgroup's cpu.rt_runtime_us first, or name a cgroup_parent that has it",
        ),
        (Some(libc::EINVAL | libc::ERANGE), _) => {
            told(Kind::InvalidArgument, format!("the kernel does not take the value {value}"), cure_of_value(file))
        }
        (Some(libc::EBUSY), _) => told(
            Kind::Conflict,
            format!("more than {value} is in use, and can't be taken away"),
            "choose a larger limit",
        ),
        _ => error,
    }
}

fn cure_of_lack(file: &str) -> &'static str {
    match file {
        "memory.memsw.limit_in_bytes" | "memory.swap.max" => {
            "leave the limit out, or boot the host with swap accounting (swapaccount=1)"
        }
        _ => "leave the limit out, or set best_effort to go on without",
    }
}

fn cure_of_value(file: &str) -> &'static str {
    match file {
        "cpu.cfs_quota_us" | "cpu.cfs_period_us" => "choose less, and no more than the cgroup above it has",
        "cpuset.cpus" | "cpuset.mems" => "name those that this host, and the cgroup above, has",
        _ => "",
    }
}

/// Whether a refusal says that the kernel lacks the setting.
pub(super) fn lacks(refused: &Result<()>) -> bool {
    refused.as_ref().is_err_and(|error| error.kind() == Kind::UnenforceableLimit)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(files: &[&str], file: &str, value: &str) -> String {
        let tmp = tempfile::tempdir().unwrap();
        files.iter().for_each(|name| fs::write_new(&tmp.path().join(name), b"").unwrap());
        let (path, value) = target(tmp.path(), file, value);
        format!("{} {value}", path.file_name().unwrap().display())
    }

    #[test]
    fn weights_are_written_where_the_kernel_keeps_them() {
        assert_eq!(found(&["blkio.weight"], "blkio.weight", "300"), "blkio.weight 300");
        assert_eq!(found(&[], "blkio.weight", "300"), "blkio.bfq.weight 300");
        assert_eq!(found(&[], "blkio.weight_device", "8:0 300"), "blkio.bfq.weight_device 8:0 300");
        assert_eq!(found(&["io.weight", "io.bfq.weight"], "io.bfq.weight", "300"), "io.bfq.weight 300");
        assert_eq!(found(&["io.weight"], "io.bfq.weight", "10"), "io.weight 1");
        assert_eq!(found(&["io.weight"], "io.bfq.weight", "500"), "io.weight 4950");
        assert_eq!(found(&["io.weight"], "io.bfq.weight", "8:0 1000"), "io.weight 8:0 10000");
        assert_eq!(found(&[], "io.bfq.weight", "10"), "io.bfq.weight 10");
        assert_eq!(found(&["io.weight"], "io.max", "8:0 rbps=1"), "io.max 8:0 rbps=1");
    }

    #[test]
    fn a_refusal_has_a_kind_and_a_cure() {
        let said = |errno, file, value| {
            let error = explain(Error::errno_in(errno, "write", "x"), file, value);
            (error.kind(), error.to_string())
        };
        let (kind, text) = said(libc::ENODEV, "io.max", "8:1 rbps=9");
        assert!(kind == Kind::InvalidArgument && text.contains("8:1") && text.contains("part of a disk"), "{text}");
        let (kind, text) = said(libc::EOPNOTSUPP, "blkio.weight_device", "8:0 9");
        assert!(kind == Kind::UnenforceableLimit && text.contains("scheduler of device 8:0"), "{text}");
        let (kind, text) = said(libc::EINVAL, "cpu.rt_runtime_us", "9");
        assert!(kind == Kind::UnenforceableLimit && text.contains("cgroup above"), "{text}");
        assert!(said(libc::EINVAL, "cpuset.cpus", "9").1.contains("name those that this host"));
        assert_eq!(said(libc::EBUSY, "memory.limit_in_bytes", "9").0, Kind::Conflict);
    }
}

//! Device nodes: those of the configuration, and those that every container has (config-linux.md, "Default Devices").

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceType};

use super::{Device, invalid};
use crate::error::Result;

const DEFAULT: [(&str, u32, u32); 6] =
    [("null", 1, 3), ("zero", 1, 5), ("full", 1, 7), ("random", 1, 8), ("urandom", 1, 9), ("tty", 5, 0)];
const DEFAULT_MODE: u32 = 0o666;

/// All of them; the configuration's go before the default ones of the same path.
pub(super) fn read(linux: &Linux) -> Result<Vec<Device>> {
    let mut devices: Vec<Device> = DEFAULT.iter().map(default_device).collect();
    for device in linux.devices().iter().flatten() {
        let device = one(device)?;
        devices.retain(|other| other.path != device.path);
        devices.push(device);
    }
    Ok(devices)
}

fn default_device(&(name, major, minor): &(&str, u32, u32)) -> Device {
    Device {
        path: format!("/dev/{name}"),
        mode: libc::S_IFCHR | DEFAULT_MODE,
        number: (major, minor),
        ..Device::default()
    }
}

fn one(device: &LinuxDevice) -> Result<Device> {
    let path = device.path().to_str().filter(|path| path.starts_with('/'));
    let path = path.ok_or_else(|| invalid("linux.devices.path", format!("{:?} is not absolute", device.path())))?;
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => return Err(invalid("linux.devices.type", format!("{path}: a device is c, b, u or p"))),
    };
    let number = |n: i64| {
        u32::try_from(n).map_err(|_| invalid("linux.devices", format!("{path}: {n} is no number of a device")))
    };
    Ok(Device {
        path: path.to_owned(),
        mode: kind | device.file_mode().unwrap_or(DEFAULT_MODE) & 0o7777,
        number: (number(device.major())?, number(device.minor())?),
        owner: (device.uid().unwrap_or(0), device.gid().unwrap_or(0)),
    })
}

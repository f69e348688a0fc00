//! The block devices that limits name.

use std::borrow::Cow;
use std::path::Path;

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::plan::facts::Cgroups;
use crate::spec::Limits;

/// The host's cgroups with the numbers that these devices have now.
///
/// # Errors
/// `NotFound` for one that isn't there, `InvalidArgument` for what is no block device.
pub(super) fn numbered<'a>(facts: &'a Cgroups, limits: &Limits) -> Result<Cow<'a, Cgroups>> {
    if limits.devices.is_empty() {
        return Ok(Cow::Borrowed(facts));
    }
    let number = |path: &String| Ok((path.clone(), number(path)?));
    let block_devices = limits.devices.iter().map(|limit| number(&limit.path)).collect::<Result<_>>()?;
    Ok(Cow::Owned(Cgroups { block_devices, ..facts.clone() }))
}

fn number(path: &str) -> Result<(u32, u32)> {
    let found = fs::block_device(Path::new(path)).map_err(|error| match error.errno() {
        Some(libc::ENOTDIR | libc::ENAMETOOLONG | libc::ELOOP) => error.with_kind(Kind::InvalidArgument),
        _ => error,
    });
    found?.ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "limit device", path)
            .because("it is no block device")
            .hint("name a disk such as /dev/sda (lsblk lists them)")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::DeviceLimit;

    #[test]
    fn what_is_no_disk_is_told() {
        let of = |path: &str| {
            let limits =
                Limits { devices: vec![DeviceLimit { path: path.into(), ..Default::default() }], ..Default::default() };
            let error = numbered(&Cgroups::default(), &limits).unwrap_err();
            (error.kind(), error.to_string())
        };
        let (kind, said) = of("/dev/null");
        assert!(
            kind == Kind::InvalidArgument && said.contains("/dev/null") && said.contains("no block device"),
            "{said}"
        );
        assert_eq!(of("/").0, Kind::InvalidArgument);
        let (kind, said) = of("/dev/no-such-disk");
        assert!(kind == Kind::NotFound && said.contains("/dev/no-such-disk"), "{said}");
        assert_eq!(of("/dev/null/x").0, Kind::InvalidArgument);
    }
}

//! Which machine, which boot, which kernel.

use std::path::Path;

use nix::fcntl::{OFlag, open};
use nix::sys::stat::Mode;
use nix::unistd::read;

/// A short text file of the kernel's or of `/etc`, without surrounding white space.
pub(super) fn read_small(path: &str) -> nix::Result<String> {
    let fd = open(Path::new(path), OFlag::O_RDONLY | OFlag::O_CLOEXEC, Mode::empty())?;
    let mut bytes = [0u8; 4096];
    let n = read(&fd, &mut bytes)?;
    Ok(String::from_utf8_lossy(&bytes[..n]).trim().to_owned())
}

/// The kernel's id of this boot; empty where `/proc` is hidden.
pub fn boot_id() -> String {
    read_small("/proc/sys/kernel/random/boot_id").unwrap_or_default()
}

/// `/etc/machine-id`; empty on machines (and in images) without one.
pub fn machine_id() -> String {
    read_small("/etc/machine-id").unwrap_or_default()
}

/// `uname -r`.
pub fn kernel_release() -> String {
    let uname = nix::sys::utsname::uname();
    uname.map_or_else(|_| String::new(), |u| u.release().to_string_lossy().into_owned())
}

/// Major and minor version of the kernel; zeros when its release says neither.
pub fn kernel_version() -> (u32, u32) {
    parse_release(&kernel_release()).unwrap_or_default()
}

/// Whether the kernel's release is at least `major.minor`. A last resort: better try the call.
pub fn kernel_at_least(major: u32, minor: u32) -> bool {
    kernel_version() >= (major, minor)
}

fn parse_release(release: &str) -> Option<(u32, u32)> {
    let mut numbers = release.split(|c: char| !c.is_ascii_digit());
    Some((numbers.next()?.parse().ok()?, numbers.next()?.parse().ok()?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn releases_compare_as_numbers() {
        assert_eq!(parse_release("6.18.5-generic"), Some((6, 18)));
        assert_eq!(parse_release("5.4"), Some((5, 4)));
        assert_eq!(parse_release("odd"), None);
        assert!(kernel_at_least(3, 0) && !kernel_at_least(999, 0));
    }

    #[test]
    fn a_boot_has_an_id() {
        assert_eq!(boot_id().len(), 36);
        assert_eq!(boot_id(), boot_id());
    }
}

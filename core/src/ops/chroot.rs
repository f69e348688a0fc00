//! Whether this process can have the rung without namespaces, and what that is worth here.

use nix::errno::Errno;

use crate::error::{Error, Kind, Result};
use crate::sys;

const SYS_CHROOT: u32 = 18;

/// The first that lets a file be renamed from one directory to another.
const LEAST: u32 = 2;
/// The first that keeps signals from other processes, and sockets with abstract names.
pub(super) const WITH_SCOPES: u32 = 6;

/// # Errors
/// `Unsupported` where the kernel's Landlock doesn't do, `PermissionDenied` for who may not change its root directory.
pub(super) fn check() -> Result<()> {
    if !nix::unistd::geteuid().is_root() || !sys::has_capability(SYS_CHROOT) {
        return Err(Error::new(Kind::PermissionDenied, "choose rung", "chroot")
            .because("it takes root with CAP_SYS_CHROOT, as in a container of Docker's by default")
            .hint("allow unprivileged user namespaces (sysctl kernel.unprivileged_userns_clone=1, user.max_user_namespaces), or run as root"));
    }
    match sys::landlock_version() {
        Ok(LEAST..) => Ok(()),
        other => Err(Error::new(Kind::Unsupported, "choose rung", "chroot").because(lacking(other)).hint(
            "it takes Linux 5.19 with Landlock enabled (lsm= on the kernel's command line, /sys/kernel/security/lsm)",
        )),
    }
}

/// Why this Landlock doesn't do.
pub(super) fn lacking(found: nix::Result<u32>) -> String {
    match found {
        Ok(version) => format!("Landlock is of version {version}, which lets no file be renamed to another directory"),
        Err(Errno::EOPNOTSUPP) => "Landlock is not enabled".into(),
        Err(Errno::ENOSYS) => "this kernel has no Landlock".into(),
        Err(Errno::EPERM) => "a seccomp filter around this process refuses Landlock".into(),
        Err(errno) => format!("Landlock can't be asked for its version: {}", errno.desc()),
    }
}

//! Why a step was refused: what this process, its sandbox or its host lacks.

use std::path::Path;

use crate::error::{Error, Kind};
use crate::{fs, sys};

/// Capabilities that root needs to set a container up, by number.
const NEEDED: [(u32, &str); 7] = [
    (1, "DAC_OVERRIDE"),
    (6, "SETGID"),
    (7, "SETUID"),
    (8, "SETPCAP"),
    (12, "NET_ADMIN"),
    (18, "SYS_CHROOT"),
    (21, "SYS_ADMIN"),
];

/// The same error, with the reason when it is one that can be found.
pub(super) fn explain(error: Error, errno: i32) -> Error {
    match errno {
        libc::ENOSYS | libc::EPERM | libc::EACCES => sandboxed(error, errno),
        libc::EMFILE | libc::ENFILE => error.with_kind(Kind::LimitExceeded),
        _ => error,
    }
}

fn sandboxed(error: Error, errno: i32) -> Error {
    let hidden = sys::hidden_calls();
    if !hidden.is_empty() {
        return no_calls(error, &hidden);
    }
    let lacking: Vec<&str> = NEEDED.iter().filter(|(n, _)| !sys::has_capability(*n)).map(|(_, name)| *name).collect();
    match (nix::unistd::geteuid().is_root(), errno) {
        (_, libc::ENOSYS) => error,
        (true, _) if !lacking.is_empty() => error
            .with_kind(Kind::PermissionDenied)
            .because(format!("this process is root without {}", lacking.join(", ")))
            .hint("give it these capabilities (docker run --cap-add, or --privileged), or run as a plain user"),
        (false, _) if kept_by_apparmor() => error.with_kind(Kind::PermissionDenied).because(KEPT).hint(APPARMOR_CURE),
        _ => error,
    }
}

/// AppArmor, as Ubuntu has it, lets any program make a user namespace, but gives it no capabilities there unless a profile of
/// its own says `userns`: what fails is whatever needs one first.
fn kept_by_apparmor() -> bool {
    let label = fs::read_bounded(Path::new("/proc/self/attr/current"), 4096).unwrap_or_default();
    let confined = label.trim_ascii_end() != b"unconfined";
    !nix::unistd::geteuid().is_root() && !confined && number(SWITCH) == Some(1)
}

const SWITCH: &str = "kernel/apparmor_restrict_unprivileged_userns";
const KEPT: &str = "AppArmor gives user namespaces only to programs that have a profile for it";
/// What root can do about that.
pub const APPARMOR_CURE: &str = "have root run `sampan setup`, which gives the command one (for another program: --helper PATH, and PATH as its \
    engine's helper), or: sysctl kernel.apparmor_restrict_unprivileged_userns=0";

fn no_calls(error: Error, hidden: &[&str]) -> Error {
    let names = hidden.join(", ");
    match sys::kernel_at_least(5, 12) {
        true => error
            .with_kind(Kind::Unsupported)
            .because(format!("a seccomp filter around this process refuses {names}"))
            .hint("let what it runs in allow them (docker run --security-opt seccomp=unconfined)"),
        false => error
            .with_kind(Kind::Unsupported)
            .because(format!("this kernel, {}, lacks {names}", sys::kernel_release()))
            .hint("containers need Linux 5.12 or newer"),
    }
}

/// Why the kernel gives no namespaces.
pub(super) fn namespaces(errno: i32) -> Error {
    let error = Error::errno_in(errno, "create the namespaces", "");
    match errno {
        libc::EPERM | libc::EACCES | libc::ENOSYS => forbidden(error, errno, &|path| number(path)),
        libc::ENOSPC | libc::EUSERS => error
            .with_kind(Kind::LimitExceeded)
            .because("this user may have no more namespaces")
            .hint("raise user.max_user_namespaces and the like (sysctl -a -r '^user.max_.*_namespaces')"),
        libc::EAGAIN => error
            .with_kind(Kind::LimitExceeded)
            .because("there are too many processes")
            .hint("raise the limit of processes (ulimit -u), or the pids limit of what this runs in"),
        _ => error,
    }
}

/// `read` gives the number in a file of `/proc/sys`.
fn forbidden(error: Error, errno: i32, read: &dyn Fn(&str) -> Option<i64>) -> Error {
    let error = sandboxed(error.with_kind(Kind::PermissionDenied), errno);
    if error.hint_text().is_some() {
        return error;
    }
    let is = |path, value| read(path) == Some(value);
    let (because, hint) = if is("kernel/unprivileged_userns_clone", 0) {
        ("this host gives user namespaces to root alone", "have root run: sysctl kernel.unprivileged_userns_clone=1")
    } else if is(SWITCH, 1) {
        (KEPT, APPARMOR_CURE)
    } else {
        (
            "user namespaces are forbidden here, by a sandbox around this process or since it is in a chroot",
            "let what it runs in allow them (docker run --security-opt seccomp=unconfined), or run as root",
        )
    };
    error.because(because).hint(hint)
}

pub(super) fn number(path: &str) -> Option<i64> {
    let text = fs::read_bounded(&Path::new("/proc/sys").join(path), 64).ok()?;
    String::from_utf8_lossy(&text).trim().parse().ok()
}

/// An overlay that the kernel does not take: most often for the file system that its upper directory is on.
pub(super) fn overlay(error: Error, errno: i32, upper: &str) -> Error {
    const OVERLAYFS: i64 = 0x794c_7630;
    const NFS: i64 = 0x6969;
    let on = Path::new(upper).ancestors().find_map(|dir| sys::fs_type(dir).ok());
    let because = match on.filter(|_| errno == libc::EINVAL) {
        Some(OVERLAYFS) => "the store is on overlayfs, which can't hold another overlay",
        Some(NFS) => "the store is on NFS, where an overlay can't keep what a container writes",
        _ => return explain(error, errno),
    };
    error.with_kind(Kind::Unsupported).because(because).hint(OTHER_PLACE)
}

const OTHER_PLACE: &str = "mount a volume or a tmpfs there, or give another root";

#[cfg(test)]
mod tests {
    use super::*;

    fn forbidden_by(path: &'static str, value: i64) -> String {
        let error = Error::errno_in(libc::EPERM, "create the namespaces", "");
        forbidden(error, libc::EPERM, &|asked| (asked == path).then_some(value)).to_string()
    }

    #[test]
    fn a_switch_that_forbids_user_namespaces_is_named() {
        for (switch, value) in
            [("kernel/unprivileged_userns_clone", 0), ("kernel/apparmor_restrict_unprivileged_userns", 1)]
        {
            let said = forbidden_by(switch, value);
            assert!(said.contains(&format!("sysctl {}=", switch.replace('/', "."))), "{said}");
            assert!(said.contains("operation not permitted"), "{said}");
        }
        let said = forbidden_by("kernel/unprivileged_userns_clone", 1);
        assert!(said.contains("a sandbox around this process"), "{said}");
    }

    #[test]
    fn an_ordinary_errno_is_left_alone() {
        let said = explain(Error::errno_in(libc::ENOENT, "open", "x"), libc::ENOENT).to_string();
        assert_eq!(said, "open x: no such file or directory");
    }
}

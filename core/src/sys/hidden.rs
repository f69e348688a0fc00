//! System calls that a seccomp filter around this process refuses, found out by calls that do nothing.

use std::ffi::c_long;

use nix::errno::Errno;

/// Arguments that the kernel itself refuses before it does anything.
struct Call {
    name: &'static str,
    number: c_long,
    args: [c_long; 5],
    /// The kernel says EPERM to these first of all, when the caller may not mount.
    mounts: bool,
}

const BAD: c_long = -1;
/// All bits of a 32-bit word of flags: no call knows them all.
const FLAGS: c_long = 0xffff_ffff;

const fn call(name: &'static str, number: c_long, args: [c_long; 5]) -> Call {
    Call { name, number, args, mounts: false }
}

const fn mounts(name: &'static str, number: c_long, args: [c_long; 5]) -> Call {
    Call { name, number, args, mounts: true }
}

/// What a start needs and a sandbox may lack; those that something else stands in for are left out.
const CALLS: [Call; 17] = [
    call("close_range", libc::SYS_close_range, [2, 1, 0, 0, 0]),
    mounts("fsopen", libc::SYS_fsopen, [0, FLAGS, 0, 0, 0]),
    call("fsconfig", libc::SYS_fsconfig, [BAD, 99, 0, 0, 0]),
    mounts("fsmount", libc::SYS_fsmount, [BAD, FLAGS, 0, 0, 0]),
    call("memfd_create", libc::SYS_memfd_create, [0, FLAGS, 0, 0, 0]),
    call("mount", libc::SYS_mount, [0, 0, 0, 0, 0]),
    call("mount_setattr", libc::SYS_mount_setattr, [BAD, 0, FLAGS, 0, 0]),
    mounts("move_mount", libc::SYS_move_mount, [BAD, 0, BAD, 0, FLAGS]),
    call("open_tree", libc::SYS_open_tree, [BAD, 0, FLAGS, 0, 0]),
    call("openat2", libc::SYS_openat2, [BAD, 0, 0, 0, 0]),
    mounts("pivot_root", libc::SYS_pivot_root, [0, 0, 0, 0, 0]),
    call("renameat2", libc::SYS_renameat2, [BAD, 0, BAD, 0, FLAGS]),
    call("seccomp", libc::SYS_seccomp, [FLAGS, 0, 0, 0, 0]),
    call("setns", libc::SYS_setns, [BAD, 0, 0, 0, 0]),
    call("statx", libc::SYS_statx, [BAD, 0, FLAGS, FLAGS, 0]),
    call("umount2", libc::SYS_umount2, [0, FLAGS, 0, 0, 0]),
    call("unshare", libc::SYS_unshare, [1, 0, 0, 0, 0]),
];

/// Their names. To be asked only after some call was refused by an errno: a filter that kills would kill the host.
pub fn hidden_calls() -> Vec<&'static str> {
    let may_mount = super::has_capability(SYS_ADMIN);
    CALLS.iter().filter(|call| is_hidden(call, may_mount)).map(|call| call.name).collect()
}

const SYS_ADMIN: u32 = 21;

fn is_hidden(call: &Call, may_mount: bool) -> bool {
    let [a, b, c, d, e] = call.args;
    // SAFETY: no pointer among them is one that the kernel would write to, and each call fails as it checks them.
    let result = unsafe { libc::syscall(call.number, a, b, c, d, e) };
    match Errno::result(result) {
        Err(Errno::ENOSYS) => true,
        Err(Errno::EPERM | Errno::EACCES) => may_mount || !call.mounts,
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_is_hidden_from_tests() {
        assert_eq!(hidden_calls(), [""; 0]);
    }
}

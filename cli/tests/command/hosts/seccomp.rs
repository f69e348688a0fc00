//! Hosts that are themselves in a container, whose filter hides system calls.

use nix::libc::*;

use super::sandbox::refusing;
use super::{HI, is_root, left_nothing, on, refuses, says_hi};
use crate::host::Host;

const MOUNT_CALLS: [(&str, i64); 6] = [
    ("fsopen", SYS_fsopen),
    ("fsconfig", SYS_fsconfig),
    ("fsmount", SYS_fsmount),
    ("mount_setattr", SYS_mount_setattr),
    ("move_mount", SYS_move_mount),
    ("open_tree", SYS_open_tree),
];
const OTHER_CALLS: [(&str, i64); 9] = [
    ("close_range", SYS_close_range),
    ("mount", SYS_mount),
    ("openat2", SYS_openat2),
    ("pivot_root", SYS_pivot_root),
    ("renameat2", SYS_renameat2),
    ("seccomp", SYS_seccomp),
    ("setns", SYS_setns),
    ("statx", SYS_statx),
    ("unshare", SYS_unshare),
];

#[test]
fn a_call_that_nothing_stands_in_for_is_named() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    for (name, number) in MOUNT_CALLS.iter().chain(&OTHER_CALLS) {
        for errno in [ENOSYS, EPERM] {
            let ended = on(&host, &HI, refusing(&[*number], errno));
            refuses(&host, &ended, &[&format!("a seccomp filter around this process refuses {name}:"), "docker run"]);
        }
    }
}

#[test]
fn what_something_stands_in_for_may_be_refused() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    for (name, number) in [
        ("execveat", SYS_execveat),
        ("faccessat2", SYS_faccessat2),
        ("io_uring_setup", SYS_io_uring_setup),
        ("keyctl", SYS_keyctl),
        ("copy_file_range", SYS_copy_file_range),
        ("pidfd_open", SYS_pidfd_open),
        ("pidfd_send_signal", SYS_pidfd_send_signal),
    ] {
        for errno in [ENOSYS, EPERM] {
            says_hi(&host, &on(&host, &HI, refusing(&[number], errno)), name);
        }
    }
    says_hi(&host, &on(&host, &HI, refusing(&[SYS_clone3], ENOSYS)), "clone3");
}

#[test]
fn an_old_profile_of_an_engine_is_told_whole() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let numbers: Vec<i64> = MOUNT_CALLS.iter().map(|(_, number)| *number).chain([SYS_clone3, SYS_openat2]).collect();
    let names = "fsopen, fsconfig, fsmount, mount_setattr, move_mount, open_tree, openat2";
    refuses(&host, &on(&host, &HI, refusing(&numbers, ENOSYS)), &[names]);
    let doctor = on(&host, &["doctor"], refusing(&numbers, ENOSYS));
    assert!(
        doctor.code == 1 && doctor.stdout.contains("FAIL  self-test") && doctor.stdout.contains(names),
        "{doctor:?}"
    );
    left_nothing(&host, "doctor");
}

/// The C library starts no thread then.
#[test]
fn threads_that_can_t_be_started_are_no_panic() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    refuses(&host, &on(&host, &HI, refusing(&[SYS_clone3], EPERM)), &["start a thread", "clone3"]);
}

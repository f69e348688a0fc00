//! A host in a container as an engine makes it by default, or in a pod: root with few capabilities, a filter that refuses
//! user namespaces, cgroups that can't be written to.

use std::io::Result;

use nix::libc::{self, c_ulong};

use super::sandbox::without_namespaces;
use super::{HI, as_user, bind, check, is_root, left_nothing, on, own_mounts, refuses, says_hi};
use crate::host::{Host, finish};

/// The fourteen of Docker, by their numbers (capabilities(7)).
const GIVEN: [u32; 14] = [0, 1, 3, 4, 5, 6, 7, 8, 10, 13, 18, 27, 29, 31];
const SYS_CHROOT: u32 = 18;
const MKNOD: u32 = 27;

fn without(lacking: Option<u32>) -> u64 {
    GIVEN.iter().filter(|n| Some(**n) != lacking).fold(0, |all, n| all | 1 << n)
}

fn keep(capabilities: u64) -> Result<()> {
    let set =
        [capabilities as u32, capabilities as u32, 0, (capabilities >> 32) as u32, (capabilities >> 32) as u32, 0];
    let head = [0x2008_0522u32, 0];
    // SAFETY: integers, and two structs of the size that the version says.
    unsafe {
        for n in (0..64).filter(|n| capabilities & (1 << n) == 0) {
            if libc::prctl(libc::PR_CAPBSET_DROP, n as c_ulong, 0, 0, 0) != 0 {
                break;
            }
        }
        check(libc::syscall(libc::SYS_capset, head.as_ptr(), set.as_ptr()) as i32).map(drop)
    }
}

/// The filter comes while it still may, as an engine does it.
fn in_a_pod(capabilities: u64) -> impl FnMut() -> Result<()> + Send + Sync + 'static {
    let mut filter = without_namespaces(libc::EPERM);
    move || {
        own_mounts()?;
        for entry in std::fs::read_dir("/sys/fs/cgroup")?.flatten() {
            let path = entry.path();
            if path.is_dir() {
                let path = path.to_string_lossy();
                bind(&path, &path, libc::MS_RDONLY)?;
            }
        }
        filter()?;
        keep(capabilities)
    }
}

#[test]
fn a_pod_has_the_rung_that_is_asked_for_and_no_other() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let run = |args: &[&str]| on(&host, args, in_a_pod(without(None)));
    refuses(
        &host,
        &run(&HI),
        &["no rung of the rootless ladder works here", "--rung chroot", "not a security boundary"],
    );
    let doctor = run(&["doctor"]);
    assert!(doctor.code == 1 && doctor.stdout.contains("the rung `chroot` can be asked for"), "{doctor:?}");
    let doctor = run(&["--rung", "chroot", "doctor"]);
    assert!(doctor.code == 0 && doctor.stdout.contains("rung `chroot`: it was asked for"), "{doctor:?}");
    assert!(doctor.stdout.contains("warn  Landlock: version "), "{doctor:?}");
    says_hi(&host, &run(&[&["--rung", "chroot"], &HI[..]].concat()), "a pod");
    let limited = run(&[&["--rung", "chroot", "run", "--rm", "-m", "64m"], &HI[2..]].concat());
    refuses(&host, &limited, &["memory", "no writable cgroup"]);
}

/// Without namespaces, cgroups and a shim that lives, what it has left is told by its root directory alone.
#[test]
fn nothing_outlives_its_shim_in_a_pod() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let run = |args: &[&str]| on(&host, &[&["--rung", "chroot"], args].concat(), in_a_pod(without(None)));
    // One of another user tells root without CAP_SYS_PTRACE nothing.
    let script = "setsid su app -c 'exec sleep 911' & sleep 912 & exec sleep 913";
    let started = run(&["run", "-d", "--name", "c", "box", "sh", "-c", script]);
    assert_eq!(started.code, 0, "{started:?}");
    let listed = || run(&["top", "c"]).stdout;
    crate::common::until("its processes", || [911, 912, 913].iter().all(|n| listed().contains(&format!("sleep {n}"))));
    let plain = |args: &[&str]| on(&host, args, in_a_pod(without(None)));
    assert_eq!(plain(&["exec", "c", "cat", "/etc/hostname"]).code, 0);
    let shim: i32 = run(&["inspect", "--format", "{{.ShimPid}}", "c"]).stdout.trim().parse().unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::SIGKILL).unwrap();
    let removed = plain(&["rm", "-f", "c"]);
    assert_eq!(removed.code, 0, "{removed:?}");
    let alive = |n: u32| {
        let line = format!("sleep\0{n}\0");
        std::fs::read_dir("/proc")
            .unwrap()
            .flatten()
            .any(|process| std::fs::read(process.path().join("cmdline")).is_ok_and(|found| found == line.as_bytes()))
    };
    assert!(![911, 912, 913].into_iter().any(alive));
    left_nothing(&host, "a killed shim");
}

#[test]
fn what_is_missing_is_told_with_the_cure() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let asked = [&["--rung", "chroot"], &HI[..]].concat();
    let refused = on(&host, &asked, in_a_pod(without(Some(SYS_CHROOT))));
    refuses(&host, &refused, &["it takes root with CAP_SYS_CHROOT", "user namespaces"]);
    let refused = on(&host, &asked, in_a_pod(without(Some(MKNOD))));
    refuses(&host, &refused, &["make the device /dev/null", "CAP_MKNOD"]);
    let (command, _program) = as_user(&host, 61_234, &["--root", "/nonexistent-sampan", "--rung", "chroot", "info"]);
    let refused = finish(command);
    assert!(refused.code != 0 && refused.stderr.lines().count() == 1, "{refused:?}");
    let no_landlock = super::sandbox::refusing(&[libc::SYS_landlock_create_ruleset], libc::ENOSYS);
    refuses(&host, &on(&host, &asked, no_landlock), &["this kernel has no Landlock", "Linux 5.19"]);
}

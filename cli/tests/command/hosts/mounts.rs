//! Hosts whose /proc, /sys, /dev or root are not as usual.

use std::ffi::CString;
use std::io::Result;

use nix::libc::{self, MS_NOEXEC, MS_RDONLY};

use super::{HI, become_pid_1, bind, check, is_root, left_nothing, mount, on, own_mounts, refuses, says_hi};
use crate::host::Host;

pub fn no_memory_files() -> Result<()> {
    become_pid_1()?;
    // Of this namespace of process ids alone.
    std::fs::write("/proc/sys/vm/memfd_noexec", "2")
}

fn doctor(host: &Host, prepare: impl FnMut() -> Result<()> + Send + Sync + 'static, code: i32, words: &[&str]) {
    let ended = on(host, &["doctor"], prepare);
    assert_eq!(ended.code, code, "{words:?}: {ended:?}");
    assert!(words.iter().all(|word| ended.stdout.contains(word)), "{words:?}: {ended:?}");
    left_nothing(host, "doctor");
}

#[test]
fn pid_1_runs_containers() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    says_hi(&host, &on(&host, &HI, become_pid_1), "PID 1");
    doctor(&host, become_pid_1, 0, &["warn  host process: this process is PID 1", "docker run --init"]);
}

#[test]
fn memory_files_that_can_t_be_executed() {
    // Linux 6.3 and newer.
    if !is_root() || !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return;
    }
    let host = Host::new();
    says_hi(&host, &on(&host, &HI, no_memory_files), "a temporary file");
    doctor(&host, no_memory_files, 0, &["warn  helper: vm.memfd_noexec=2", "sysctl vm.memfd_noexec=1"]);

    let dir = host.dir.path().to_str().unwrap().to_owned();
    let in_the_store = move || no_memory_files().and_then(|()| bind(&dir, &dir, MS_NOEXEC));
    says_hi(&host, &on(&host, &HI, in_the_store.clone()), "a temporary file elsewhere");

    let nowhere = move || {
        in_the_store()?;
        ["/tmp", "/var/tmp", "/dev/shm"].iter().filter(|d| std::path::Path::new(d).is_dir()).try_for_each(|dir| {
            // What is below stays in sight: the store may be there.
            bind(dir, dir, MS_NOEXEC)
        })
    };
    let nowhere_at_all = nowhere.clone();
    let cure = "install the helper and name it";
    // The command's own directory for temporary files is one of those.
    let mut command = host.command(&HI);
    command.env("TMPDIR", "/tmp");
    let ended = crate::host::finish(super::prepared(command, nowhere_at_all));
    refuses(&host, &ended, &["executes neither a memory file nor a temporary file", cure]);
    doctor(&host, nowhere, 1, &["FAIL  self-test", cure]);
}

/// A start that was begun before its store was known is begun anew from there.
#[test]
fn nothing_but_the_store_can_be_executed_from() {
    // Linux 6.3 and newer.
    if !is_root() || !std::path::Path::new("/proc/sys/vm/memfd_noexec").exists() {
        return;
    }
    let host = Host::new();
    let dir = host.dir.path().to_str().unwrap().to_owned();
    let prepare = move || {
        no_memory_files()?;
        bind(&dir, &dir, 0)?;
        // The store is a mount of its own by now, and stays as it is.
        ["/tmp", "/var/tmp", "/dev/shm"]
            .iter()
            .filter(|d| std::path::Path::new(d).is_dir())
            .try_for_each(|usual| bind(usual, usual, MS_NOEXEC))
    };
    let mut command = host.command(&HI);
    command.env("TMPDIR", "/tmp");
    let ended = crate::host::finish(super::prepared(command, prepare));
    says_hi(&host, &ended, "a temporary file in the store");
}

#[test]
fn no_sys_and_no_cgroups() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let no_sys = || own_mounts().and_then(|()| mount("tmpfs", "/sys", "tmpfs", 0, ""));
    let read_only = || {
        own_mounts()?;
        cgroup_mounts()
            .iter()
            .try_for_each(|point| mount("", point, "", libc::MS_BIND | libc::MS_REMOUNT | MS_RDONLY, ""))
    };
    let unmounted = || {
        own_mounts()?;
        for point in cgroup_mounts().iter().rev() {
            let point = CString::new(point.as_str())?;
            // SAFETY: a string that ends in NUL.
            check(unsafe { libc::umount2(point.as_ptr(), libc::MNT_DETACH) })?;
        }
        Ok(())
    };
    let limited = ["run", "--rm", "-m", "32m", "box", "true"];
    let loosely = ["run", "--rm", "-m", "32m", "--best-effort", "box", "echo", "hi"];
    for (what, prepare) in [("no /sys", no_sys as fn() -> Result<()>), ("read-only", read_only), ("none", unmounted)] {
        says_hi(&host, &on(&host, &HI, prepare), what);
        refuses(&host, &on(&host, &limited, prepare), &["memory", "no writable cgroup", "best_effort"]);
        says_hi(&host, &on(&host, &loosely, prepare), what);
        doctor(&host, prepare, 0, &["warn  cgroup", "can't be enforced"]);
    }
}

/// Where cgroups are, and the file system that their directories stand on.
fn cgroup_mounts() -> Vec<String> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter_map(|line| line.split(' ').nth(4));
    points.filter(|point| point.starts_with("/sys/fs/cgroup")).map(str::to_owned).collect()
}

#[test]
fn without_proc_or_dev_the_missing_file_is_named() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let no_proc = || own_mounts().and_then(|()| mount("tmpfs", "/proc", "tmpfs", 0, ""));
    refuses(&host, &on(&host, &HI, no_proc), &["/proc/self/mountinfo", "mount /proc"]);
    doctor(&host, no_proc, 1, &["FAIL  self-test", "mount /proc"]);
    // A store that is not below what is taken away.
    let elsewhere = Host { dir: tempfile::tempdir_in("/tmp").unwrap() };
    let no_dev = || own_mounts().and_then(|()| mount("tmpfs", "/dev", "tmpfs", 0, ""));
    let ended = on(&elsewhere, &["doctor"], no_dev);
    assert!(ended.code == 1 && ended.stdout.contains("open /dev/null: no such file"), "{ended:?}");
    assert!(ended.stdout.contains("mount a /dev"), "{ended:?}");
}

fn exists(error: std::io::Error) -> Result<i32> {
    if error.kind() == std::io::ErrorKind::AlreadyExists { Ok(0) } else { Err(error) }
}

/// The root of a process may be a directory of the mount namespace, or a mount that is not its top: what is above
/// must not be reached from a container, which may call chroot too.
#[test]
fn a_host_in_a_chroot_gives_no_way_up() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let secret = host.path("secret");
    std::fs::write(&secret, "secret").unwrap();
    // A descriptor of the root, taken along into a chroot of the container's own, leads above it by `..`.
    let climb = format!(
        "mkdir -p /jail/bin && cp /bin/busybox /jail/bin && exec 3</ && \
         chroot /jail /bin/busybox cat /proc/self/fd/3/../../../../../../../../../..{secret}; echo hi"
    );
    let args = ["run", "--rm", "-v", "/proc:/jail/proc", "box", "sh", "-c", &climb];
    let (at_a_mount, in_a_directory) = (host.path("mount"), host.path("directory"));
    std::fs::create_dir(&at_a_mount).unwrap();
    std::fs::create_dir(&in_a_directory).unwrap();
    let hide = format!("{at_a_mount}{secret}");
    let mount_point = move || {
        own_mounts()?;
        bind("/", &at_a_mount, 0)?;
        // Below the new root the file is not there; above it is.
        bind("/dev/null", &hide, 0)?;
        enter(&at_a_mount)
    };
    let directory = move || {
        own_mounts()?;
        for name in std::fs::read_dir("/")?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
            let target = format!("{in_a_directory}{}", name.path().display());
            std::fs::create_dir(&target).or_else(|e| exists(e).map(drop))?;
            bind(name.path().to_str().unwrap(), &target, 0)?;
        }
        for name in std::fs::read_dir("/")?.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_symlink())) {
            let link = format!("{in_a_directory}{}", name.path().display());
            std::os::unix::fs::symlink(std::fs::read_link(name.path())?, link).or_else(|e| exists(e).map(drop))?;
        }
        enter(&in_a_directory)
    };
    for (what, ended) in [("a mount", on(&host, &args, mount_point)), ("a directory", on(&host, &args, directory))] {
        assert!(!ended.stdout.contains("secret"), "{what}: {ended:?}");
        says_hi(&host, &ended, what);
    }
}

fn enter(root: &str) -> Result<()> {
    let root = CString::new(root)?;
    // SAFETY: strings that end in NUL.
    unsafe {
        check(libc::chroot(root.as_ptr()))?;
        check(libc::chdir(c"/".as_ptr())).map(drop)
    }
}

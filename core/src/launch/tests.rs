//! Real launches of a busybox, as root or as whatever user runs the tests.
#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::io::Read;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::fs::{PermissionsExt, symlink};
use std::path::Path;

use tempfile::TempDir;

use super::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};
use crate::plan::launch::*;

const DEFAULT_CAPABILITIES: u64 = 0xa80425fb;

/// An init that still makes its root sees the host's.
#[test]
fn the_hosts_files_are_not_entered_for_a_container_s() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let host = crate::sys::PidFd::open(std::process::id() as i32).unwrap().unwrap();
    let entered = files::enter(host.as_fd(), false, &HelperSource::default(), &Cancel::new());
    assert_eq!(entered.err().and_then(|e| e.errno()), Some(libc::EAGAIN));
}

pub(super) struct Box_ {
    dir: TempDir,
}

impl Drop for Box_ {
    /// The kernel leaves a directory without any permission, which a plain user's removal stumbles on.
    fn drop(&mut self) {
        let _ = fs::remove_dir(self.dir.path().join("c/work/work"));
    }
}

impl Box_ {
    pub(super) fn new() -> Box_ {
        let dir = TempDir::new().unwrap();
        for sub in ["rootfs/bin", "rootfs/etc", "rootfs/proc", "rootfs/dev", "rootfs/sys", "c/upper", "c/work", "state"]
        {
            fs::create_dir_all(dir.path().join(sub)).unwrap();
        }
        let bin = dir.path().join("rootfs/bin");
        copy_busybox(&bin.join("busybox"));
        for name in
            ["sh", "true", "echo", "cat", "id", "ls", "hostname", "test", "mount", "stat", "sleep", "touch", "grep"]
        {
            symlink("busybox", bin.join(name)).unwrap();
        }
        fs::write(bin.join("text"), "no program").unwrap();
        fs::write(
            dir.path().join("rootfs/etc/passwd"),
            "root:x:0:0:root:/root:/bin/sh\nu:x:1000:1000::/home/u:/bin/sh\n",
        )
        .unwrap();
        fs::write(dir.path().join("rootfs/etc/group"), "root:x:0:\nu:x:1000:\nextra:x:77:u,root\n").unwrap();
        Box_ { dir }
    }

    pub(super) fn path(&self, sub: &str) -> String {
        self.dir.path().join(sub).to_str().unwrap().to_owned()
    }

    fn plan(&self, args: &[&str]) -> LaunchPlan {
        let root = nix::unistd::geteuid().is_root();
        let one = |outside| vec![Extent { inside: 0, outside, length: 1 }];
        LaunchPlan {
            namespaces: Namespaces {
                user: !root,
                pid: Namespace::New,
                net: Namespace::New,
                ipc: Namespace::New,
                uts: Namespace::New,
                cgroup: Namespace::New,
            },
            id_map: (!root).then(|| IdMap {
                uids: one(nix::unistd::geteuid().as_raw()),
                gids: one(nix::unistd::getegid().as_raw()),
                helpers: None,
            }),
            rootfs: Rootfs {
                kind: RootfsKind::Overlay {
                    lower: vec![self.path("rootfs")],
                    upper: self.path("c/upper"),
                    work: self.path("c/work"),
                    userxattr: !root,
                },
                // As planned: the directory that holds the two below.
                attach_at: self.path("c"),
                readonly: false,
                nodev: true,
                shifted: false,
                nested: false,
            },
            mounts: vec![mount_fs("proc", "/proc", &[]), mount_fs("tmpfs", "/dev", &[("mode", "755")])],
            hostname: Some("boxed".into()),
            process: Process {
                args: args.iter().map(|s| s.to_string()).collect(),
                env: vec!["PATH=/bin".into()],
                cwd: "/".into(),
                umask: 0o022,
                capabilities: Capabilities {
                    bounding: DEFAULT_CAPABILITIES,
                    effective: DEFAULT_CAPABILITIES,
                    permitted: DEFAULT_CAPABILITIES,
                    ..Capabilities::default()
                },
                ..Process::default()
            },
            supervise: Supervise {
                dir: self.path("state"),
                state_prefix: "\"version\":1".into(),
                stop_signal: 15,
                stop_timeout_ms: 1000,
                ..Supervise::default()
            },
            ..LaunchPlan::default()
        }
    }

    fn start(&self, plan: &LaunchPlan) -> Result<(Launched, File)> {
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let lock: OwnedFd = File::create(self.dir.path().join("lock")).unwrap().into();
        let fds = LaunchFds { lock, stdin: None, stdout: Some(write.as_fd()), stderr: Some(write.as_fd()) };
        launch(plan, fds, Early::begin(HelperSource::default(), true)).map(|launched| (launched, File::from(read)))
    }

    /// Exit status and what was written.
    fn run(&self, plan: &LaunchPlan) -> Result<(i32, String)> {
        let (launched, mut output) = self.start(plan)?;
        let mut text = String::new();
        output.read_to_string(&mut text).unwrap();
        let exit = launched.wait_exit(&Cancel::new(), None)?;
        launched.wait_gone(&Cancel::new(), None)?;
        Ok((exit.status(), text))
    }

    pub(super) fn sh(&self, script: &str, change: impl FnOnce(&mut LaunchPlan)) -> (i32, String) {
        self.try_sh(script, change).unwrap()
    }

    pub(super) fn try_sh(&self, script: &str, change: impl FnOnce(&mut LaunchPlan)) -> Result<(i32, String), Error> {
        // In one stream: the order between two pipes is nobody's promise.
        let mut plan = self.plan(&["sh", "-c", &format!("exec 2>&1; {script}")]);
        change(&mut plan);
        self.run(&plan)
    }

    pub(super) fn fails(&self, args: &[&str], change: impl FnOnce(&mut LaunchPlan)) -> Error {
        let mut plan = self.plan(args);
        change(&mut plan);
        self.run(&plan).unwrap_err()
    }
}

fn step(source: MountSource, target: &str, attributes: u64) -> MountStep {
    MountStep { source, target: target.into(), attributes, ..MountStep::default() }
}

fn mount_fs(fstype: &str, target: &str, options: &[(&str, &str)]) -> MountStep {
    let options = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
    step(MountSource::Fs { fstype: fstype.into(), options }, target, 14)
}

pub(super) fn bind(path: impl Into<String>, target: &str, attributes: u64) -> MountStep {
    step(MountSource::Bind { path: path.into(), recursive: false }, target, attributes)
}

#[test]
fn output_and_exit_codes_come_back() {
    let b = Box_::new();
    assert_eq!(b.run(&b.plan(&["echo", "a  b"])).unwrap(), (0, "a  b\n".into()));
    assert_eq!(b.sh("exit 7", |_| ()).0, 7);
    let killed = b.sh("kill -9 $$", |p| {
        p.namespaces.pid = Namespace::Host;
        // A plain user gets no /proc of his own for the host's processes.
        p.mounts[0].fallback = Some("/proc".into());
    });
    assert_eq!(killed.0, 137);
}

#[test]
fn what_cannot_start_is_one_error_each() {
    let b = Box_::new();
    let missing = b.fails(&["nonesuch"], |_| ());
    assert_eq!((missing.kind(), missing.exit_code()), (Kind::CommandNotFound, 127), "{missing}");
    let text = b.fails(&["/bin/text"], |_| ());
    assert_eq!((text.kind(), text.exit_code()), (Kind::CommandNotExecutable, 126), "{text}");
    let user = b.fails(&["true"], |p| p.process.user = "nobody-here".into());
    assert_eq!(user.kind(), Kind::UnknownUser, "{user}");
    let source = b.fails(&["true"], |p| p.mounts.push(bind("/nonesuch", "/mnt", 0)));
    assert_eq!((source.kind(), source.subject()), (Kind::NotFound, "/nonesuch"), "{source}");
    assert!(!Path::new(&b.path("state/state.json")).exists());
}

#[test]
fn the_container_sees_its_own_world() {
    let b = Box_::new();
    let (status, text) = b.sh("hostname; echo $$; cat /proc/self/comm; echo $HOME; id -u", |_| ());
    assert_eq!((status, text.as_str()), (0, "boxed\n1\ncat\n/root\n0\n"));
    let (_, links) = b.sh("ls /; ls /proc/self/fd", |_| ());
    assert!(links.ends_with("0\n1\n2\n3\n"), "{links}");
}

/// It is made before anybody knows what is wanted: the shim goes back, and who shares the host's has the host's.
#[test]
fn a_network_made_ahead_is_the_container_s_alone() {
    let net = |pid: i32| fs::read_link(format!("/proc/{pid}/ns/net")).unwrap();
    let host = net(std::process::id() as i32);
    let b = Box_::new();
    for (wanted, own) in [(Namespace::New, true), (Namespace::Host, false)] {
        let mut plan = b.plan(&["sh", "-c", "exec sleep 1000"]);
        plan.namespaces.net = wanted;
        let (launched, _output) = b.start(&plan).unwrap();
        assert_eq!(net(launched.init_pid) != host, own);
        if nix::unistd::geteuid().is_root() {
            assert_eq!(net(launched.shim_pid), host);
        }
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(launched.init_pid), nix::sys::signal::Signal::SIGKILL)
            .unwrap();
        launched.wait_gone(&Cancel::new(), None).unwrap();
    }
}

#[test]
fn writes_land_in_the_upper_directory_only() {
    let b = Box_::new();
    assert_eq!(b.sh("echo new > /etc/new; rm -f /etc/x", |_| ()).0, 0);
    assert_eq!(fs::read_to_string(b.path("c/upper/etc/new")).unwrap(), "new\n");
    assert!(!Path::new(&b.path("rootfs/etc/new")).exists());
}

#[test]
fn mounts_masks_and_readonly_paths_hold() {
    let b = Box_::new();
    fs::write(b.path("data"), "host\n").unwrap();
    let script = "cat /data; echo x > /data; cat /deep/er/file; ls /proc/acpi | grep -c .; cat /etc/group; \
                  echo 1 > /proc/sys/kernel/panic; echo x > /dev/null && test -c /dev/null && echo null; echo $?";
    let (_, text) = b.sh(script, |p| {
        p.mounts.push(bind("/dev/null", "/dev/null", 10));
        p.mounts.push(bind(b.path("data"), "/data", 1));
        p.mounts.push(step(MountSource::File { content: "given\n".into(), mode: 0o644 }, "/deep/er/file", 0));
        p.masked_paths = vec!["/proc/acpi".into(), "/etc/group".into(), "/nonesuch".into()];
        p.readonly_paths = vec!["/proc/sys".into()];
    });
    let expected = "host\nsh: can't create /data: Read-only file system\ngiven\n0\n\
                    sh: can't create /proc/sys/kernel/panic: Read-only file system\nnull\n0\n";
    assert_eq!(text, expected);
}

#[test]
fn a_readonly_root_takes_no_writes() {
    let b = Box_::new();
    let (_, text) = b.sh("echo x > /x; echo y > /tmp/y && echo ok", |p| {
        p.rootfs.readonly = true;
        p.mounts.push(mount_fs("tmpfs", "/tmp", &[]));
    });
    assert_eq!(text, "sh: can't create /x: Read-only file system\nok\n");
}

#[test]
fn a_hostile_image_cannot_lead_mounts_away() {
    let b = Box_::new();
    fs::remove_dir(b.path("rootfs/proc")).unwrap();
    symlink("/etc", b.path("rootfs/proc")).unwrap();
    let refused = b.fails(&["true"], |_| ());
    assert_eq!(refused.kind(), Kind::InvalidImage, "{refused}");

    let b = Box_::new();
    fs::create_dir(b.path("outside")).unwrap();
    symlink(b.path("outside"), b.path("rootfs/mnt")).unwrap();
    let (status, _) = b.sh("exit 0", |p| p.mounts.push(bind(b.path("state"), "/mnt/inner", 0)));
    // The link was followed inside the container's root: nothing was made outside.
    assert_eq!((status, fs::read_dir(b.path("outside")).unwrap().count()), (0, 0));
}

/// The directory of the last mount point is kept open: not once something covers it, by its name or by a link to it.
#[test]
fn a_mount_over_a_directory_hides_what_was_mounted_in_it_before() {
    let b = Box_::new();
    fs::write(b.path("data"), "host\n").unwrap();
    symlink("dev", b.path("rootfs/alias")).unwrap();
    for over in ["/dev", "/alias", "/dev/."] {
        let (_, text) = b.sh("cat /dev/first; cat /dev/deep/second /dev/third /dev/taken/last", |p| {
            p.mounts.push(mount_fs("tmpfs", "/dev", &[]));
            p.mounts.push(bind(b.path("data"), "/dev/first", 1));
            p.mounts.push(mount_fs("tmpfs", over, &[]));
            p.mounts.push(bind(b.path("data"), "/dev/deep/second", 1));
            p.mounts.push(bind(b.path("data"), "/dev/third", 1));
            p.mounts.push(mount_fs("tmpfs", "/dev/taken", &[]));
            p.mounts.push(mount_fs("tmpfs", "/dev/taken", &[]));
            p.mounts.push(bind(b.path("data"), "/dev/taken/last", 1));
        });
        assert_eq!(text, "cat: can't open '/dev/first': No such file or directory\nhost\nhost\nhost\n", "{over}");
    }
}

#[test]
fn users_groups_and_limits() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let b = Box_::new();
    let ids = |user: &str| {
        b.sh("id; echo $HOME; grep -E 'Cap(Prm|Eff|Amb)' /proc/self/status", |p| p.process.user = user.into()).1
    };
    assert!(ids("u").starts_with("uid=1000(u) gid=1000(u) groups=77(extra),1000(u)\n/home/u\n"), "{}", ids("u"));
    assert!(ids("1000:77").starts_with("uid=1000(u) gid=77(extra)"), "{}", ids("1000:77"));
    assert!(ids("4321").starts_with("uid=4321 gid=0(root)"), "{}", ids("4321"));
    assert!(ids("u").contains("CapPrm:\t0000000000000000\nCapEff:\t0000000000000000"), "{}", ids("u"));
    assert!(ids("").contains("CapEff:\t00000000a80425fb"), "{}", ids(""));
    let (_, limit) = b.sh("ulimit -n; pwd", |p| {
        p.process.rlimits = vec![(libc::RLIMIT_NOFILE, 100, 200)];
        p.process.cwd = "/made/here".into();
    });
    assert_eq!(limit, "100\n/made/here\n");
}

#[test]
fn a_terminal_is_its_own() {
    let b = Box_::new();
    let mut plan = b.plan(&["sh", "-c", "test -t 0 && test -t 1 && test -c /dev/console && echo tty"]);
    plan.process.tty = true;
    plan.mounts.push(mount_fs("devpts", "/dev/pts", &[("newinstance", ""), ("ptmxmode", "0666"), ("mode", "0620")]));
    plan.mounts.last_mut().unwrap().attributes = 10;
    assert_eq!(b.run(&plan).unwrap(), (0, "tty\r\n".into()));
}

/// No descriptor stays, no child is left, whatever happens in how many threads.
#[test]
fn threads_at_once_leave_nothing() {
    let round = || {
        let b = Box_::new();
        for _ in 0..3 {
            assert_eq!(b.run(&b.plan(&["echo", "x"])).unwrap(), (0, "x\n".into()));
            assert_eq!(b.fails(&["nonesuch"], |_| ()).kind(), Kind::CommandNotFound);
        }
        // This thread's alone: other tests have children of their own.
        let own = libc::WNOHANG | libc::__WNOTHREAD | libc::__WALL;
        // SAFETY: a null status is allowed.
        let child = unsafe { libc::waitpid(-1, std::ptr::null_mut(), own) };
        assert_eq!(child, -1, "a child is left");
    };
    std::thread::scope(|s| (0..8).for_each(|_| drop(s.spawn(round))));
}

#[test]
fn a_host_program_runs_and_ends() {
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let program = HostProgram {
        path: "/bin/busybox".into(),
        args: vec!["sh".into(), "-c".into(), "echo $A; exit 3".into()],
        env: vec!["A=b".into()],
    };
    fn run(program: &HostProgram, out: Option<BorrowedFd<'_>>) -> Result<Exit> {
        run_program(program, [None, out, None], &HelperSource::default(), &Cancel::new(), None)
    }
    assert_eq!(run(&program, Some(write.as_fd())).unwrap().code, 3);
    drop(write);
    let mut text = String::new();
    File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(text, "b\n");
    let missing = run(&HostProgram { path: "/nonesuch".into(), ..program }, None).unwrap_err();
    assert_eq!((missing.kind(), missing.subject()), (Kind::NotFound, "/nonesuch"), "{missing}");
}

#[test]
fn a_file_that_is_not_executable_is_told_apart() {
    let b = Box_::new();
    fs::set_permissions(b.path("rootfs/bin/text"), fs::Permissions::from_mode(0o755)).unwrap();
    assert_eq!(b.fails(&["text"], |_| ()).kind(), Kind::CommandNotExecutable);
}

/// What a running container costs of ours, in memory.
#[test]
fn a_shim_is_small() {
    let b = Box_::new();
    let (launched, _output) = b.start(&b.plan(&["sleep", "100"])).unwrap();
    let rollup = || fs::read_to_string(format!("/proc/{}/smaps_rollup", launched.shim_pid)).ok();
    let pss = |text: String| {
        text.lines().find_map(|l| l.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok()).unwrap()
    };
    // It may not have come to rest yet. A plain user may not look: the shim is not dumpable.
    super::supervise_tests::until("a shim of 200 KiB", || rollup().is_none_or(|text| pss(text) <= 200));
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(launched.init_pid), nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(launched.wait_exit(&Cancel::new(), None).unwrap().status(), 137);
    launched.wait_gone(&Cancel::new(), None).unwrap();
}

#[test]
fn a_new_volume_gets_the_images_files() {
    let b = Box_::new();
    fs::create_dir(b.path("volume")).unwrap();
    let (_, text) = b.sh("cat /etc/passwd > /dev/null && ls /etc", |p| {
        p.mounts.push(MountStep { copy_up: true, ..bind(b.path("volume"), "/etc", 1) });
    });
    assert_eq!(text, "group\npasswd\n");
    assert!(Path::new(&b.path("volume/group")).exists());
}

/// A busybox that can be executed at once. Another process makes it: had this one it open for writing, a child that
/// another thread has just forked might still hold it, and the kernel would refuse to run it (ETXTBSY).
pub(super) fn copy_busybox(to: &Path) {
    let done = std::process::Command::new("cp").arg("/bin/busybox").arg(to).status().unwrap();
    assert!(done.success(), "busybox is missing: apt install busybox-static");
}

/// A plain user's ranges of /etc/subuid and /etc/subgid, given by newuidmap and newgidmap.
pub(super) fn subordinate_ids() -> Option<IdMap> {
    let uid = nix::unistd::geteuid();
    let user = nix::unistd::User::from_uid(uid).unwrap().filter(|_| !uid.is_root())?;
    let range = |file: &str, first: u32| {
        let text = fs::read_to_string(file).unwrap_or_default();
        let mut fields = text.lines().find_map(|l| l.strip_prefix(&format!("{}:", user.name)))?.split(':');
        let outside = fields.next()?.parse().ok()?;
        let length = fields.next()?.parse().ok()?;
        Some(vec![Extent { inside: 0, outside: first, length: 1 }, Extent { inside: 1, outside, length }])
    };
    let helpers = Some(("/usr/bin/newuidmap".to_owned(), "/usr/bin/newgidmap".to_owned()));
    Some(IdMap { uids: range("/etc/subuid", uid.as_raw())?, gids: range("/etc/subgid", user.gid.as_raw())?, helpers })
}

#[test]
fn a_plain_user_gets_his_ranges() {
    let Some(map) = subordinate_ids() else { return };
    let b = Box_::new();
    let (status, text) = b.sh("id -u; touch /tmp/mine; stat -c %u:%g /tmp/mine", |p| {
        p.id_map = Some(map.clone());
        p.mounts.push(mount_fs("tmpfs", "/tmp", &[]));
        p.process.user = "u".into();
    });
    assert_eq!((status, text.as_str()), (0, "1000\n1000:1000\n"));
    let refused = b.fails(&["true"], |p| {
        let mut map = map.clone();
        map.uids[1].outside = 1;
        p.id_map = Some(map);
    });
    assert_eq!(refused.kind(), Kind::PermissionDenied, "{refused}");
    remove_trees(Some(&map), &[b.path("c/upper"), b.path("c/work")], &HelperSource::default()).unwrap();
    assert!(!Path::new(&b.path("c/upper")).exists());
}

/// Paths longer than one option of the mount API may be go by the older call.
#[test]
fn layers_with_long_paths_are_mounted_too() {
    let b = Box_::new();
    let (first, second) = (b.path(&format!("{}/a", "d".repeat(200))), b.path(&"e".repeat(250)));
    fs::create_dir_all(&first).unwrap();
    fs::create_dir_all(&second).unwrap();
    fs::write(format!("{first}/one"), "1").unwrap();
    fs::write(format!("{second}/two"), "2").unwrap();
    let (_, text) = b.sh("cat /one /two; echo x > /three; grep -c acpi /proc/mounts", |p| {
        let RootfsKind::Overlay { lower, .. } = &mut p.rootfs.kind else { unreachable!() };
        lower.splice(0..0, [first, second]);
        p.masked_paths = vec!["/proc/acpi".into()];
    });
    assert_eq!(text, "121\n");
    assert!(Path::new(&b.path("c/upper/three")).exists());
}

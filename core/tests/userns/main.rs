//! Containers with a user namespace of their own: whose files and processes are whose, inside and out.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/listing.rs"]
mod listing;

mod attacks;
mod claims;
mod kept;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Host, command, image, text, until};
use nix::mount::MsFlags;
use sampan::{
    Cancel, Container, CopyOptions, ExecOptions, HealthStatus, Kind, LogOptions, Mount, MountKind, Quiet,
    RemoveOptions, RunOptions, Status, Stdio, Tie,
};

const CLAIMS: &str = "/var/lib/sampan-ids";

/// The ids that all of this is about are set aside on this machine.
static IDS: LazyLock<()> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lib/user.sh");
    let made = std::process::Command::new("bash").args(["-c", ". \"$0\"; make_ids", script]).status().unwrap();
    assert!(made.success());
});

fn is_root() -> bool {
    let root = nix::unistd::geteuid().is_root() && std::env::var("SAMPAN_TEST_RUNG").is_err();
    if root {
        LazyLock::force(&IDS);
    }
    root
}

fn own(args: &[&str]) -> RunOptions {
    RunOptions { userns: Some("auto".into()), ..command(args) }
}

fn sh(script: &str) -> RunOptions {
    own(&["sh", "-c", script])
}

fn said(host: &Host, options: RunOptions) -> String {
    let out = host.run(options).unwrap();
    format!("{}{}", text(&out.stdout), text(&out.stderr))
}

fn exec(container: &Container, script: &str) -> String {
    let options = ExecOptions { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..ExecOptions::default() };
    let out = container.exec(&options, &Cancel::new()).unwrap();
    format!("{}{}", text(&out.stdout), text(&out.stderr))
}

fn create(host: &Host, options: &RunOptions) -> Container {
    host.engine.create(options, &mut Quiet, &Cancel::new()).unwrap()
}

fn log(container: &Container) -> String {
    let mut log = container.logs(&LogOptions::default()).unwrap();
    let data: Vec<u8> = std::iter::from_fn(|| log.next(&Cancel::new()).unwrap()).flat_map(|entry| entry.data).collect();
    text(&data)
}

fn remove(container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

/// Where a container's ids are noted, if they are.
fn claim(id: &str) -> Option<PathBuf> {
    let names = std::fs::read_dir(CLAIMS).unwrap().map(|entry| entry.unwrap().path());
    names.into_iter().find(|path| path.to_string_lossy().ends_with(id))
}

/// The first id outside and how many, as `inspect` tells.
fn mapped(container: &Container) -> (u32, u32) {
    let info = container.inspect().unwrap();
    let one = |map: &[String]| {
        assert_eq!(map.len(), 1);
        let words: Vec<u32> = map[0].split(':').map(|word| word.parse().unwrap()).collect();
        assert_eq!(words[0], 0);
        (words[1], words[2])
    };
    assert_eq!(one(&info.uid_map).1, one(&info.gid_map).1);
    one(&info.uid_map)
}

#[test]
fn it_has_ids_of_its_own() {
    let host = Host::new();
    if !is_root() {
        let error = host.run(own(&["true"])).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("userns"), "{error}");
        let shared = RunOptions { userns: Some("host".into()), ..command(&["echo", "runs"]) };
        assert_eq!(said(&host, shared), "runs\n");
        return;
    }
    let container = host.spawn(own(&["sleep", "1000"])).unwrap();
    let (first, length) = mapped(&container);
    assert!(first > 65_535 && length == 65_536);
    // What `inspect` says is what the kernel has, and what the process is on the host.
    let info = container.inspect().unwrap();
    let of = |what: &str| std::fs::read_to_string(format!("/proc/{}/{what}", info.pid.unwrap())).unwrap();
    let words = |text: String| text.split_whitespace().collect::<Vec<_>>().join(":");
    assert_eq!((vec![words(of("uid_map"))], vec![words(of("gid_map"))]), (info.uid_map, info.gid_map));
    assert_eq!(std::fs::metadata(format!("/proc/{}", info.pid.unwrap())).unwrap().uid(), first);
    assert_eq!(info.options.userns.as_deref(), Some("auto"));
    remove(&container);
    let small = RunOptions { userns: Some("auto:size=2048".into()), ..command(&["cat", "/proc/self/uid_map"]) };
    assert!(said(&host, small).trim().ends_with(" 2048"));
    let shared = RunOptions { userns: Some("host".into()), ..command(&["cat", "/proc/self/uid_map"]) };
    assert_eq!(words(said(&host, shared)), "0:0:4294967295");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn files_are_its_own() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let script = "stat -c %u:%g / /bin/busybox /etc/passwd; touch /f; chown 1000:1000 /f; stat -c %u:%g /f; \
                  echo x >>/etc/passwd && tail -n 1 /etc/passwd; echo out >/dev/stdout; echo null >/dev/null; \
                  head -c 1 /dev/urandom | wc -c; head -c 1 /dev/zero | wc -c; \
                  cat /proc/self/setgroups; hostname; ls -d /sys/kernel; ip link show lo | grep -c UP; \
                  mount -t tmpfs none /mnt 2>/dev/null || echo confined";
    let named = RunOptions { hostname: Some("box".into()), ..sh(script) };
    let expected = "0:0\n0:0\n0:0\n1000:1000\nx\nout\n1\n1\nallow\nbox\n/sys/kernel\n1\nconfined\n";
    assert_eq!(said(&host, named), expected);
    let other = RunOptions { user: Some("1000:1000".into()), ..sh("id -u; echo out >/dev/stdout") };
    assert_eq!(said(&host, other), "1000\nout\n");
    let terminal = RunOptions { tty: true, ..sh("tty; stat -c %u $(tty)") };
    assert_eq!(said(&host, terminal), "/dev/pts/0\r\n0\r\n");
    let memory = Mount { kind: MountKind::Tmpfs, target: "/t".into(), ..Mount::default() };
    let closed = RunOptions {
        read_only: true,
        init: true,
        mounts: vec![memory],
        ..sh("cat /proc/1/comm; stat -c %u /t; touch /t/f; touch /f 2>/dev/null || echo closed")
    };
    let told = said(&host, closed);
    assert!(told.ends_with("\n0\nclosed\n"), "{told}");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn volumes_are_the_same_to_all() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let volume = |target: &str| Mount {
        kind: MountKind::Volume,
        source: "shared".into(),
        target: target.into(),
        ..Mount::default()
    };
    let with = |userns: &str, target, script| RunOptions {
        userns: Some(userns.into()),
        mounts: vec![volume(target)],
        ..sh(script)
    };
    // The image's own files are copied into a new one.
    assert_eq!(said(&host, with("auto", "/etc", "stat -c %u /etc/passwd; echo one >/etc/f; chown 7 /etc/f")), "0\n");
    assert_eq!(said(&host, with("auto", "/data", "cat /data/f; stat -c %u /data /data/f")), "one\n0\n7\n");
    assert_eq!(said(&host, with("host", "/data", "stat -c %u /data/f /data/passwd")), "7\n0\n");
    let on_disk = host.dir.path().join("root/volumes/shared/_data/f");
    assert_eq!(std::fs::metadata(on_disk).unwrap().uid(), 7);
}

/// What the host binds is the host's: its root's files are open as far as their modes say.
#[test]
fn binds_are_the_host_s() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o755)).unwrap();
    for (name, mode) in [("open", 0o644), ("closed", 0o600), ("group", 0o640)] {
        std::fs::write(dir.path().join(name), name).unwrap();
        std::fs::set_permissions(dir.path().join(name), std::fs::Permissions::from_mode(mode)).unwrap();
    }
    let mount = Mount { source: dir.path().display().to_string(), target: "/host".into(), ..Mount::default() };
    // All that can be given to a container of this kind.
    let script = "stat -c %u:%g /host/open; cd /host; cat open; echo; \
                  for f in closed group; do cat $f chmod 666 $f chown 0 $f 2>/dev/null && echo got $f; chmod 666 $f 2>/dev/null && echo changed; done; \
                  echo x >open; touch new; rm -f closed; ln closed other; mount -o remount,bind,suid . ; ls";
    let options = RunOptions {
        mounts: vec![mount],
        cap_add: vec!["ALL".into()],
        security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()],
        ..sh(&format!("exec 2>/dev/null; {script}"))
    };
    assert_eq!(said(&host, options), "65534:65534\nopen\nclosed\ngroup\nopen\n");
    assert_eq!(std::fs::read_to_string(dir.path().join("open")).unwrap(), "open");
}

#[test]
fn commands_copies_and_further_starts() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let container = create(&host, &sh("echo up | tee /up; exec sleep 1000"));
    let from = host.dir.path().join("f");
    std::fs::write(&from, "copied").unwrap();
    let from = from.display().to_string();
    // It has not run yet, runs, and has run.
    container.copy_to(&from, "/one", &CopyOptions::default(), &Cancel::new()).unwrap();
    for _ in 0..2 {
        container.start(&Stdio::default(), &Cancel::new()).unwrap();
        container.copy_to(&from, "/two", &CopyOptions::default(), &Cancel::new()).unwrap();
        let look = "cat /one /two; stat -c %u /one /two; cat /proc/self/uid_map /proc/1/uid_map | sort -u | wc -l; \
                    echo out >/dev/stdout";
        assert_eq!(exec(&container, look), "copiedcopied0\n0\n1\nout\n");
        let users =
            ExecOptions { user: Some("7".into()), command: vec!["id".into(), "-u".into()], ..ExecOptions::default() };
        assert_eq!(text(&container.exec(&users, &Cancel::new()).unwrap().stdout), "7\n");
        container.kill("KILL").unwrap();
        container.wait(None, &Cancel::new()).unwrap();
    }
    assert_eq!(log(&container), "up\nup\n");
    let back = host.dir.path().join("back").display().to_string();
    container.copy_from("/up", &back, &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(std::fs::read_to_string(back).unwrap(), "up\n");
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn checks_and_policies() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let options = RunOptions {
        health_cmd: Some("[ $(id -u) = 0 ] && [ $(stat -c %u /n) = 0 ]".into()),
        health_interval: Some(0.02),
        restart: Some("on-failure".into()),
        ..sh("echo x >>/n; [ $(wc -l </n) -ge 3 ] || exit 1; exec sleep 1000")
    };
    let container = host.spawn(options).unwrap();
    until("the third run", || {
        let info = container.inspect().unwrap();
        info.status == Status::Running && info.restart_count == 2
    });
    until("health", || container.inspect().unwrap().health.is_some_and(|h| h.status == HealthStatus::Healthy));
    let (first, _) = mapped(&container);
    let info = container.inspect().unwrap();
    assert_eq!(std::fs::metadata(format!("/proc/{}", info.pid.unwrap())).unwrap().uid(), first);
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn what_does_not_go_together_is_refused() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let base = host.spawn(RunOptions { name: Some("base".into()), ..command(&["sleep", "1000"]) }).unwrap();
    let refused = |options: RunOptions, word: &str| {
        let error = host.run(options).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains(word), "{error}");
    };
    let with = || own(&["true"]);
    refused(RunOptions { network: Some("container:base".into()), ..with() }, "another container");
    refused(RunOptions { network: Some("host".into()), ..with() }, "network");
    refused(RunOptions { pid: Some("host".into()), ..with() }, "PID");
    refused(RunOptions { privileged: true, ..with() }, "privileged");
    refused(RunOptions { userns: Some("nomap".into()), ..with() }, "host, auto");
    refused(RunOptions { userns: Some("keep-id".into()), ..with() }, "root's own id");
    for device in ["/dev/kmsg", "/dev/fuse"] {
        let given = RunOptions { devices: vec![device.into()], ..sh(&format!(": <{device}")) };
        let open = std::fs::metadata(device).is_ok_and(|meta| meta.mode() & 0o006 == 0o006);
        match open {
            true => assert_eq!(host.run(given).unwrap().exit.code, 0, "{device}"),
            false => refused(given, device),
        }
    }
    remove(&base);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Whether this process may go beyond its own limits, as a machine's root may.
fn has_resources() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() & (1 << 24) != 0
}

/// All that the host's root may, it may in a container of its own ids' too; what it may not names its bound.
#[test]
fn scores_and_limits_are_those_of_whoever_starts_it() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let look = "cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn";
    let limit = |name: &str, soft, hard| vec![sampan::Ulimit { name: name.into(), soft, hard }];
    let given =
        |score, ulimits| RunOptions { oom_score_adj: Some(score), ulimits, ..sh(&format!("{look}; exec sleep 1000")) };
    let container = host.spawn(given(300, limit("nofile", 100, 200))).unwrap();
    until("what it has", || log(&container) == "300\n100\n200\n");
    assert_eq!(exec(&container, look), "300\n100\n200\n");
    remove(&container);
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MSGQUEUE).unwrap();
    let more = i64::try_from(hard).unwrap() + 1;
    let beyond = [
        (given(-100, Vec::new()), "-100".to_owned(), "score"),
        (given(0, limit("msgqueue", 100, more)), format!("msgqueue={more}"), "limit"),
    ];
    for (options, asked, what) in beyond {
        match has_resources() {
            true => remove(&host.spawn(options).unwrap()),
            false => {
                let error = host.spawn(options).unwrap_err();
                let said = error.to_string();
                assert!(error.kind() == Kind::PermissionDenied && said.contains(&asked), "{said}");
                assert!(said.contains(what) && said.contains("CAP_SYS_RESOURCE"), "{said}");
            }
        }
    }
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Of whose directories the container's root is neither owner nor group.
#[test]
fn its_limits_are_to_be_read_inside() {
    if !is_root() || !common::cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let look = "cd /sys/fs/cgroup; cat memory.max memory/memory.limit_in_bytes 2>/dev/null";
    assert_eq!(said(&host, RunOptions { memory: Some(64 << 20), ..sh(look) }), "67108864\n");
}
/// All others would be missing with it, and those are what a user is let in by.
#[test]
fn a_group_that_it_does_not_have_is_told() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let of = |groups: &[&str]| RunOptions {
        userns: Some("auto:size=2048".into()),
        user: Some("1000".into()),
        group_add: groups.iter().map(|group| (*group).to_owned()).collect(),
        ..command(&["id", "-G"])
    };
    assert!(said(&host, of(&["5", "2047"])).split_whitespace().any(|group| group == "2047"));
    let refused = host.run(of(&["5", "5000"])).unwrap_err().to_string();
    assert!(refused.contains("one of its groups") && refused.contains("auto:size"), "{refused}");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// It is somebody's, who has let in whom he wants.
#[test]
fn a_parent_that_was_there_stays_as_closed_as_it_was() {
    if !is_root() || !common::cgroups::can_limit() {
        return;
    }
    let parent = format!("sampan-test-closed-{}", std::process::id());
    let made: Vec<PathBuf> = listing::hierarchies().iter().map(|point| point.join(&parent)).collect();
    for dir in &made {
        std::fs::create_dir(dir).unwrap();
        std::fs::set_permissions(dir, std::fs::Permissions::from_mode(0o710)).unwrap();
    }
    let host = Host::new();
    // Whether a container can be in it is the kernel's to say.
    let _ = host.run(RunOptions { cgroup_parent: Some(format!("/{parent}")), ..own(&["true"]) });
    let modes = made.iter().map(|dir| dir.metadata().unwrap().mode() & 0o777);
    assert!(modes.eq(made.iter().map(|_| 0o710)));
    listing::remove_parent(&parent);
    assert_eq!(host.left(), Vec::<String>::new());
}

//! Containers with a user namespace of their own: whose files and processes are whose, inside and out.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::LazyLock;

use common::{Host, command, text, until};
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

/// Whichever stores they are in, and however many are made at a time.
#[test]
fn no_two_containers_have_an_id_in_common() {
    if !is_root() {
        return;
    }
    let hosts = [Host::new(), Host::new()];
    hosts.iter().for_each(|host| drop(host.sh("true")));
    let small = RunOptions { userns: Some("auto:size=1024".into()), ..command(&["true"]) };
    let make = |host: &Host| [(); 4].map(|()| create(host, &small));
    let all: Vec<Container> = std::thread::scope(|scope| {
        let threads = [&hosts[0], &hosts[1], &hosts[0], &hosts[1]].map(|host| scope.spawn(move || make(host)));
        threads.into_iter().flat_map(|thread| thread.join().unwrap()).collect()
    });
    let mut ids: Vec<(u32, u32)> = all.iter().map(mapped).collect();
    ids.sort_unstable();
    assert_eq!(ids.len(), 16);
    assert!(ids.windows(2).all(|two| two[0].0 + two[0].1 <= two[1].0), "{ids:?}");
    all.iter().for_each(remove);
}

#[test]
fn a_removal_frees_its_ids_whatever_is_killed() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let one = create(&host, &own(&["true"]));
    let id = one.id().to_string();
    assert!(claim(&id).is_some());
    remove(&one);
    assert_eq!(claim(&id), None);
    // By its own shim.
    let own_end = RunOptions { auto_remove: true, tie: Tie::Host, ..own(&["sleep", "1000"]) };
    let two = host.spawn(own_end).unwrap();
    let id = two.id().to_string();
    assert!(claim(&id).is_some());
    two.kill("KILL").unwrap();
    until("its removal", || claim(&id).is_none());
    // What could not be made has none, as has what could not be started.
    let named = || RunOptions { name: Some("one".into()), ..own(&["true"]) };
    let one = create(&host, &named());
    let before = claim(one.id()).unwrap();
    assert_eq!(host.engine.create(&named(), &mut Quiet, &Cancel::new()).unwrap_err().kind(), Kind::AlreadyExists);
    assert!(host.run(own(&["/no/such/command"])).is_err());
    let store = host.dir.path().display().to_string();
    let of_store = || {
        let links =
            std::fs::read_dir(CLAIMS).unwrap().filter_map(|entry| std::fs::read_link(entry.unwrap().path()).ok());
        links.filter(|link| link.starts_with(&store)).count()
    };
    assert_eq!(of_store(), 1);
    // A kill after the container went out of sight: whoever comes next frees them.
    let dir = std::fs::read_link(&before).unwrap();
    std::fs::rename(&dir, host.dir.path().join("root/tmp/trash-killed")).unwrap();
    std::fs::remove_file(host.dir.path().join("root/names/one")).unwrap();
    let next = create(&host, &own(&["true"]));
    assert!(!before.is_symlink() && of_store() == 1);
    remove(&next);
}

/// A claim tells a path, which may lead nowhere while the container runs.
#[test]
fn ids_in_use_are_not_free_when_their_store_is_moved() {
    if !is_root() {
        return;
    }
    let (host, other) = (Host::new(), Host::new());
    let (root, moved) = (host.dir.path().join("root"), host.dir.path().join("moved"));
    let one = host.spawn(own(&["sleep", "1000"])).unwrap();
    std::fs::rename(&root, &moved).unwrap();
    let two = other.spawn(own(&["sleep", "1000"])).unwrap();
    std::fs::rename(&moved, &root).unwrap();
    let ((a, length), (b, _)) = (mapped(&one), mapped(&two));
    assert!(a.abs_diff(b) >= length, "{a} {b}");
    assert!(claim(one.id()).is_some());
    remove(&one);
    remove(&two);
}

/// Nor are they freed by the removal of a copy.
#[test]
fn a_copy_s_removal_frees_no_ids_of_the_other() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let one = create(&host, &RunOptions { name: Some("one".into()), ..own(&["sleep", "1000"]) });
    let at = |name: &str| host.dir.path().join(name).display().to_string();
    assert!(std::process::Command::new("cp").args(["-a", &at("root"), &at("copy")]).status().unwrap().success());
    let options = sampan::EngineOptions { root: Some(at("copy")), ..Host::options(&host.dir) };
    let copy = sampan::Engine::open(&options).unwrap();
    let its = copy.container("one").unwrap();
    assert_eq!(its.start(&Stdio::default(), &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    its.remove(&RemoveOptions::default()).unwrap();
    assert!(claim(one.id()).is_some());
    remove(&one);
    assert!(claim(one.id()).is_none());
}

#[test]
fn waiting_for_who_claims_ids_ends_by_cancel() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.sh("true");
    // Nobody else's tests wait for long: the lock is held until the call ends.
    std::fs::create_dir_all(CLAIMS).unwrap();
    let file = std::fs::File::create(Path::new(CLAIMS).join("lock")).unwrap();
    file.lock().unwrap();
    let cancel = Cancel::new();
    let error = std::thread::scope(|scope| {
        let made = scope.spawn(|| host.engine.create(&own(&["true"]), &mut Quiet, &cancel));
        cancel.cancel();
        made.join().unwrap().unwrap_err()
    });
    file.unlock().unwrap();
    assert_eq!(error.kind(), Kind::Cancelled);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Of a store that was copied, as long as the other is there.
#[test]
fn a_start_finds_that_its_ids_are_another_s() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let container = create(&host, &own(&["true"]));
    let own_claim = claim(container.id()).unwrap();
    let name = own_claim.file_name().unwrap().to_string_lossy().into_owned();
    let other = Path::new(CLAIMS).join(name.replace(container.id(), &"f".repeat(64)));
    std::os::unix::fs::symlink(host.dir.path(), &other).unwrap();
    // Its own says so still.
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    std::fs::remove_file(&own_claim).unwrap();
    let error = container.start(&Stdio::default(), &Cancel::new()).unwrap_err();
    std::fs::remove_file(&other).unwrap();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("ffffffffffff"), "{error}");
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn more_ids_than_there_are_is_one_sentence() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let many = RunOptions { userns: Some("auto:size=4000000000".into()), ..command(&["true"]) };
    let error = host.run(many).unwrap_err();
    assert_eq!(error.kind(), Kind::LimitExceeded);
    let told = error.to_string();
    assert!(
        ["4000000000", "/etc/subuid", "\"sampan\"", "auto:size=NUMBER"].iter().all(|word| told.contains(word)),
        "{told}"
    );
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

/// A device node among the image's files stays shut, whatever the container does to its mounts.
#[test]
fn no_device_of_the_image_works() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let script = "mount -o remount,bind,dev / 2>/dev/null && echo changed; (: >/kmsg) 2>/dev/null && echo opened; \
                  mknod /own c 1 11 2>/dev/null && echo made; (: </dev/null) && echo null";
    let options = RunOptions {
        cap_add: vec!["ALL".into()],
        security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into()],
        ..sh(script)
    };
    let container = create(&host, &options);
    // As a layer's would be by its mapped mount: the container's root owns it.
    let upper = host.dir.path().join("root/containers").join(container.id()).join("upper/kmsg");
    let number = nix::sys::stat::makedev(1, 11);
    let mode = nix::sys::stat::Mode::from_bits_truncate(0o666);
    nix::sys::stat::mknod(&upper, nix::sys::stat::SFlag::S_IFCHR, mode, number).unwrap();
    std::fs::set_permissions(&upper, std::fs::Permissions::from_mode(0o666)).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    assert_eq!(log(&container), "null\n");
    remove(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What can be given to a container of this kind.
fn all_powerful(script: &str) -> RunOptions {
    RunOptions {
        cap_add: vec!["ALL".into()],
        security_opt: vec!["seccomp=unconfined".into(), "apparmor=unconfined".into(), "systempaths=unconfined".into()],
        ..sh(&format!("exec 2>/dev/null\n{script}"))
    }
}

/// Mounts of this machine, until the end of a test.
struct Mounted(Vec<PathBuf>);

impl Mounted {
    fn add(&mut self, source: &Path, target: &Path, kind: Option<&str>, flags: MsFlags) {
        nix::mount::mount(Some(source), target, kind, flags, None::<&str>).unwrap();
        if !flags.contains(MsFlags::MS_REMOUNT) {
            self.0.push(target.into());
        }
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        self.0.iter().rev().for_each(|path| nix::mount::umount2(path, nix::mount::MntFlags::MNT_DETACH).unwrap());
    }
}

fn at(source: &Path, target: &str, read_only: bool) -> Mount {
    Mount { source: source.display().to_string(), target: target.into(), read_only, ..Mount::default() }
}

/// Nor is there a way to the host's ids, namespaces or devices for who may do all that its user namespace gives. Each
/// attempt is one that works where that namespace is not in its way.
#[test]
fn all_its_capabilities_are_those_of_its_namespace() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    std::fs::set_permissions(dir.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    let mut mounted = Mounted(Vec::new());
    for name in ["net", "user", "uts"] {
        std::fs::write(dir.path().join(name), "").unwrap();
        let own = PathBuf::from(format!("/proc/self/ns/{name}"));
        mounted.add(&own, &dir.path().join(name), None, MsFlags::MS_BIND);
    }
    for (name, minor) in [("mem", 1), ("kmsg", 11)] {
        let (path, mode) = (dir.path().join(name), nix::sys::stat::Mode::from_bits_truncate(0o666));
        nix::sys::stat::mknod(&path, nix::sys::stat::SFlag::S_IFCHR, mode, nix::sys::stat::makedev(1, minor)).unwrap();
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(0o666)).unwrap();
    }
    let script = "chown 70000 / && echo unmapped
        unshare -U sleep 1000 & n=$!
        until [ \"$(readlink /proc/$n/ns/user)\" != \"$(readlink /proc/self/ns/user)\" ]; do :; done
        echo '0 70000 1' >/proc/$n/uid_map && echo mapped
        echo '0 7 1' >/proc/$n/uid_map || echo not even its own
        kill $n
        echo 1 >/proc/sys/kernel/sysrq && echo sysrq
        nsenter --net=/proc/1/ns/net true || echo can not even join its own
        for n in net user uts; do nsenter --$n=/h/$n true && echo joined $n; done
        mount -o remount,bind,dev /h; for n in mem kmsg; do (: </h/$n) && echo read $n; (: >/h/$n) && echo opened $n; done
        mknod /mem c 1 1 && echo made; mount -t devtmpfs none /mnt && echo devices
        mount -t proc proc /mnt; for p in /proc /mnt; do
            [ ! -e $p/sysrq-trigger ] || (echo h >$p/sysrq-trigger) && [ -e $p/sysrq-trigger ] && echo triggered $p
        done
        echo done";
    let options = RunOptions { mounts: vec![at(dir.path(), "/h", false)], ..all_powerful(script) };
    assert_eq!(said(&host, options), "done\n");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What the host has mounted over something stays there, and what it has read-only stays so.
#[test]
fn the_host_s_mounts_are_not_its_to_undo() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    for name in ["h", "h/secret", "closed", "open"] {
        std::fs::create_dir(path(name)).unwrap();
        std::fs::set_permissions(path(name), std::fs::Permissions::from_mode(0o777)).unwrap();
    }
    std::fs::write(path("h/secret/s"), "hidden").unwrap();
    let mut mounted = Mounted(Vec::new());
    mounted.add(Path::new("none"), &path("h/secret"), Some("tmpfs"), MsFlags::empty());
    mounted.add(&path("closed"), &path("closed"), None, MsFlags::MS_BIND);
    let closed = MsFlags::MS_BIND | MsFlags::MS_REMOUNT | MsFlags::MS_RDONLY;
    mounted.add(Path::new("none"), &path("closed"), None, closed);
    let attack = "umount /h/secret; umount -l /h/secret; cat /h/secret/s && echo uncovered
        mkdir /m; mount -o bind /h /m; cat /m/secret/s && echo uncovered elsewhere; umount /m
        for d in closed open volume; do
            mount -o remount,bind,rw /$d; mount -o remount,rw /$d; touch /$d/f && echo written $d
            mount -o bind /$d /m; mount -o remount,bind,rw /m; touch /m/f && echo written elsewhere $d; umount /m
            mount -o remount,bind,ro,suid,dev /$d && echo changed $d
        done";
    let inner = attack.replace('\'', "");
    let script = format!(
        "{attack}\nunshare -m sh -c '{inner}'\nunshare -U -r -m sh -c '{inner}'\nls /volume | grep -x passwd; echo done"
    );
    let volume = Mount {
        kind: MountKind::Volume,
        source: "own".into(),
        target: "/volume".into(),
        read_only: true,
        ..Mount::default()
    };
    let first = RunOptions {
        mounts: vec![Mount { target: "/etc".into(), ..volume.clone() }],
        ..sh("(echo x >/etc/f) 2>/dev/null; ls /etc | grep -x passwd")
    };
    assert_eq!(said(&host, first), "passwd\n");
    let mounts = vec![
        at(&path("h"), "/h", false),
        at(&path("closed"), "/closed", false),
        at(&path("open"), "/open", true),
        volume,
    ];
    let options = RunOptions { mounts, ..all_powerful(&script) };
    assert_eq!(said(&host, options), "passwd\ndone\n");
    for name in ["closed", "open"] {
        assert_eq!(std::fs::read_dir(path(name)).unwrap().count(), 0, "{name}");
    }
    drop(mounted);
    assert_eq!(host.left(), ["volumes/own"]);
}

fn keeping(args: &[&str]) -> RunOptions {
    RunOptions { userns: Some("keep-id".into()), ..command(args) }
}

/// Whether this is a plain user with more than one id.
fn has_subids(host: &Host) -> bool {
    host.engine.info().unwrap().rung == sampan::Rung::SubIds
}

#[test]
fn a_plain_users_own_ids_are_kept() {
    let host = Host::new();
    if !has_subids(&host) {
        let error = host.run(keeping(&["true"])).unwrap_err();
        assert!(error.kind() == Kind::Unsupported && error.to_string().contains("keep-id"), "{error}");
        return;
    }
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    let shared = tempfile::tempdir().unwrap();
    std::fs::set_permissions(shared.path(), std::fs::Permissions::from_mode(0o777)).unwrap();
    std::fs::write(shared.path().join("mine"), "mine").unwrap();
    let mount = Mount { source: shared.path().display().to_string(), target: "/host".into(), ..Mount::default() };
    let volume = Mount { kind: MountKind::Volume, source: "v".into(), target: "/etc".into(), ..Mount::default() };
    let script = "id -u; id -g; stat -c %u:%g / /bin/busybox /etc/passwd /host/mine; touch /host/made; \
                  touch /f 2>/dev/null || echo closed; echo out >/dev/stdout; echo x >/dev/null; hostname";
    let options = RunOptions {
        mounts: vec![mount.clone(), volume],
        hostname: Some("box".into()),
        init: true,
        ..keeping(&["sh", "-c", script])
    };
    let expected = format!("{uid}\n{gid}\n0:0\n0:0\n0:0\n{uid}:{gid}\nclosed\nout\nbox\n");
    assert_eq!(said(&host, options.clone()), expected);
    assert_eq!(std::fs::metadata(shared.path().join("made")).unwrap().uid(), uid);
    assert_eq!(said(&host, options), expected);
    // Its root is nobody's, and has the image's files.
    let root = RunOptions {
        user: Some("0".into()),
        mounts: vec![mount],
        tty: true,
        ..keeping(&["sh", "-c", "touch /f /host/roots; chown 7:7 /f; stat -c %u:%g /f; tty; stat -c %u $(tty)"])
    };
    assert_eq!(said(&host, root), "7:7\r\n/dev/pts/0\r\n0\r\n");
    let made = std::fs::metadata(shared.path().join("roots")).unwrap().uid();
    assert!(made != uid && made > 65_535, "{made}");
    // Others of the same image have what they had.
    assert_eq!(said(&host, command(&["stat", "-c", "%u", "/bin/busybox"])), "0\n");
    let left: Vec<String> = host.left().into_iter().filter(|path| path != "volumes/v").collect();
    assert_eq!(left, Vec::<String>::new());
}

#[test]
fn what_a_container_of_kept_ids_does_else() {
    let host = Host::new();
    if !has_subids(&host) {
        return;
    }
    let uid = nix::unistd::geteuid().as_raw();
    let options = RunOptions {
        health_cmd: Some(format!("[ $(id -u) = {uid} ]")),
        health_interval: Some(0.02),
        restart: Some("on-failure".into()),
        ..keeping(&["sh", "-c", "echo x >>/tmp/n; [ $(wc -l </tmp/n) -ge 2 ] || exit 1; cat /one; exec sleep 1000"])
    };
    let container = create(&host, &options);
    let from = host.dir.path().join("f");
    std::fs::write(&from, "copied\n").unwrap();
    let from = from.display().to_string();
    container.copy_to(&from, "/one", &CopyOptions::default(), &Cancel::new()).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    until("the second run", || {
        let info = container.inspect().unwrap();
        info.status == Status::Running && info.restart_count == 1
    });
    until("health", || container.inspect().unwrap().health.is_some_and(|h| h.status == HealthStatus::Healthy));
    container.copy_to(&from, "/two", &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(exec(&container, "id -u; cat /two; echo out >/dev/stdout"), format!("{uid}\ncopied\nout\n"));
    assert_eq!(log(&container), "copied\n");
    // What `inspect` says is what the kernel has.
    let info = container.inspect().unwrap();
    let text = std::fs::read_to_string(format!("/proc/{}/uid_map", info.pid.unwrap())).unwrap();
    let words = |line: &str| line.split_whitespace().collect::<Vec<_>>().join(":");
    assert_eq!(text.lines().map(words).collect::<Vec<_>>(), info.uid_map);
    assert!(info.uid_map.contains(&format!("{uid}:{uid}:1")), "{:?}", info.uid_map);
    remove(&container);
    let own_end = RunOptions { auto_remove: true, tie: Tie::Host, ..keeping(&["sleep", "1000"]) };
    let brief = host.spawn(own_end).unwrap();
    brief.kill("KILL").unwrap();
    until("its removal", || host.left().is_empty());
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

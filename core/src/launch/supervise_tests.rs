//! What the shim does besides: relay, log, records, owner tie, removal. Each test runs the real thing.

#![allow(clippy::disallowed_methods)]

use std::fs::{self, File};
use std::io::{Read, Write};
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use nix::fcntl::{OFlag, openat};
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::signal::{Signal, kill};
use nix::sys::stat::{Mode, mkdirat};
use nix::unistd::Pid;

use super::{Early, HelperSource, LaunchFds, Launched, apply_owners, launch, remove_trees};
use crate::cancel::Cancel;
use crate::error::Kind;
use crate::plan::launch::{Extent, IdMap, LaunchPlan, MountSource, MountStep, Namespace, RootfsKind};

/// Other tests' programs must not keep an end open.
fn pipe() -> nix::Result<(OwnedFd, OwnedFd)> {
    nix::unistd::pipe2(OFlag::O_CLOEXEC)
}

const BUSYBOX: &str = "/bin/busybox";

/// A root file system with busybox in it, a container's directory, and a place to rename it to.
pub(super) struct Place {
    temp: tempfile::TempDir,
}

impl Place {
    pub(super) fn new() -> Place {
        let place = Place { temp: tempfile::tempdir().unwrap() };
        for dir in ["root/bin", "root/dev", "c"] {
            fs::create_dir_all(place.path(dir)).unwrap();
        }
        super::tests::copy_busybox(&place.path("root/bin/busybox"));
        place
    }

    pub(super) fn path(&self, name: &str) -> PathBuf {
        self.temp.path().join(name)
    }

    fn text(&self, name: &str) -> String {
        self.path(name).to_str().unwrap().into()
    }

    pub(super) fn plan(&self, script: &str) -> LaunchPlan {
        let mut plan = LaunchPlan::default();
        plan.rootfs.kind = RootfsKind::Directory { path: self.text("root") };
        plan.rootfs.attach_at = self.text("root");
        plan.namespaces.pid = Namespace::New;
        plan.process.args = [BUSYBOX, "sh", "-c", script].map(String::from).to_vec();
        plan.process.cwd = "/".into();
        plan.supervise.dir = self.text("c");
        plan.supervise.log = self.text("c/log");
        plan.supervise.trash = self.text("trash");
        plan.supervise.state_prefix = r#""version":1"#.into();
        plan.supervise.stop_signal = Signal::SIGTERM as i32;
        if !nix::unistd::geteuid().is_root() {
            plan.namespaces.user = true;
            plan.id_map = Some(own_id());
        }
        plan
    }

    fn start(&self, plan: &LaunchPlan, streams: [Option<OwnedFd>; 3]) -> Launched {
        let lock = File::create(self.path("lock")).unwrap().into();
        let [stdin, stdout, stderr] = streams.each_ref().map(|s| s.as_ref().map(|fd| fd.as_fd()));
        launch(plan, LaunchFds { lock, stdin, stdout, stderr }, Early::begin(HelperSource::default(), true)).unwrap()
    }

    /// Runs to the end and returns the exit record.
    pub(super) fn run(&self, plan: &LaunchPlan) -> serde_json::Value {
        end(&self.start(plan, [None, None, None]));
        self.record("c/exit.json")
    }

    fn record(&self, name: &str) -> serde_json::Value {
        serde_json::from_slice(&fs::read(self.path(name)).unwrap()).unwrap()
    }

    /// What the log holds of one stream, put together again.
    fn logged(&self, stream: &str) -> Vec<u8> {
        let log = fs::read(self.path("c/log")).unwrap_or_default();
        let mut text = Vec::new();
        for line in log.split_inclusive(|b| *b == b'\n') {
            let mut parts = line.splitn(4, |b| *b == b' ');
            let (_time, name, tag) = (parts.next().unwrap(), parts.next().unwrap(), parts.next().unwrap());
            let content = parts.next().unwrap();
            match (name == stream.as_bytes(), tag) {
                (false, _) => {}
                (true, b"F") => text.extend_from_slice(content),
                (true, b"P") => text.extend_from_slice(content.strip_suffix(b"\n").unwrap()),
                other => panic!("not a log line: {other:?}"),
            }
        }
        text
    }
}

fn own_id() -> IdMap {
    let one = |outside| vec![Extent { inside: 0, outside, length: 1 }];
    let (uid, gid) = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    IdMap { uids: one(uid), gids: one(gid), helpers: None }
}

fn soon() -> Option<Instant> {
    Some(Instant::now() + Duration::from_secs(60))
}

fn end(launched: &Launched) -> super::Exit {
    let exit = launched.wait_exit(&Cancel::new(), soon()).unwrap();
    launched.wait_gone(&Cancel::new(), None).unwrap();
    exit
}

/// Waits for something that no descriptor tells of.
pub(super) fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = soon().unwrap();
    while !done() {
        assert!(Instant::now() < deadline, "{what} never happened");
        std::thread::yield_now();
    }
}

fn until_dead(pid: i32) {
    until("the process's death", || kill(Pid::from_raw(pid), None).is_err());
}

fn read_some(fd: &OwnedFd) -> Vec<u8> {
    let mut buffer = [0; 4096];
    let n = nix::unistd::read(fd, &mut buffer).unwrap();
    buffer[..n].to_vec()
}

#[test]
fn streams_are_told_apart_and_every_byte_is_kept() {
    let place = Place::new();
    let plan = place.plan(r"echo out; echo err >&2; printf 'a\000b\377\nlast'; exit 7");
    let exit = place.run(&plan);
    assert_eq!(place.logged("stdout"), b"out\na\0b\xff\nlast");
    assert_eq!(place.logged("stderr"), b"err\n");
    assert_eq!((exit["code"].as_i64(), exit["signal"].is_null()), (Some(7), true));
    assert_eq!((exit["oom_killed"].as_bool(), exit["log_error"].is_null()), (Some(false), true));
}

#[test]
fn the_state_tells_both_processes_apart_from_later_ones_of_their_number() {
    let place = Place::new();
    let (stdin, ours) = pipe().unwrap();
    let launched = place.start(&place.plan("read line"), [Some(stdin), None, None]);
    let state = place.record("c/state.json");
    assert_eq!((state["pid"].as_i64(), state["version"].as_i64()), (Some(launched.init_pid.into()), Some(1)));
    for (pid, start) in [("pid", "pid_start"), ("shim_pid", "shim_start")] {
        let stat = fs::read_to_string(format!("/proc/{}/stat", state[pid])).unwrap();
        let field = stat.rsplit(") ").next().unwrap().split(' ').nth(19).unwrap().to_owned();
        assert_eq!(state[start].to_string(), field);
    }
    let started: jiff::Timestamp = state["started_at"].as_str().unwrap().parse().unwrap();
    assert!(jiff::Timestamp::now().duration_since(started).as_secs() < 60);
    drop(ours);
    end(&launched);
    assert_eq!(place.record("c/exit.json")["started_at"], state["started_at"]);
}

#[test]
fn much_output_reaches_the_log_and_a_slow_reader() {
    let place = Place::new();
    let line = |n: u32| (n.wrapping_mul(2_654_435_761) % 40_000) as usize;
    let mut content: Vec<u8> = Vec::new();
    for n in 0.. {
        content.extend((0..line(n)).map(|i| (i as u8).max(11)).chain([b'\n']));
        if content.len() > 100 << 20 {
            break;
        }
    }
    fs::write(place.path("root/content"), &content).unwrap();
    let (ours, stdout) = pipe().unwrap();
    let mut plan = place.plan("");
    plan.process.args = [BUSYBOX, "cat", "/content"].map(String::from).to_vec();
    let launched = place.start(&plan, [None, Some(stdout), None]);
    let (mut reader, mut got) = (File::from(ours), Vec::with_capacity(content.len()));
    for turn in 0.. {
        // Now in drops, now in gulps.
        let mut buffer = vec![0; if turn % 1000 < 300 { 100 } else { 1 << 16 }];
        match reader.read(&mut buffer).unwrap() {
            0 => break,
            n => got.extend_from_slice(&buffer[..n]),
        }
    }
    end(&launched);
    assert!(got == content && place.logged("stdout") == content);
}

#[test]
fn a_reader_that_goes_away_costs_nothing_but_itself() {
    let place = Place::new();
    let (ours, stdout) = pipe().unwrap();
    let plan = place.plan("i=0; while [ $i -lt 20000 ]; do echo line $i; i=$((i+1)); done");
    let launched = place.start(&plan, [None, Some(stdout), None]);
    assert!(!read_some(&ours).is_empty());
    drop(ours);
    assert_eq!(end(&launched).code, 0);
    assert_eq!(place.logged("stdout").iter().filter(|b| **b == b'\n').count(), 20000);
}

#[test]
fn nothing_is_lost_to_a_reader_that_comes_late() {
    let place = Place::new();
    let (ours, stdout) = pipe().unwrap();
    let plan = place.plan("/bin/busybox yes 0123456 | /bin/busybox head -c 120000");
    let launched = place.start(&plan, [None, Some(stdout), None]);
    // Less than two pipes' worth: the payload ends without a reader, the shim does not.
    until_dead(launched.init_pid);
    assert!(!place.path("c/exit.json").exists());
    let mut got = Vec::new();
    File::from(ours).read_to_end(&mut got).unwrap();
    end(&launched);
    assert!(got.len() == 120_000 && place.logged("stdout") == got);
}

#[test]
fn a_reader_that_never_comes_is_given_up_once_the_host_has_let_go() {
    let place = Place::new();
    let (_ours, stdout) = pipe().unwrap();
    let plan = place.plan("/bin/busybox yes 0123456 | /bin/busybox head -c 120000");
    let launched = place.start(&plan, [None, Some(stdout), None]);
    until_dead(launched.init_pid);
    drop(launched);
    until("the exit record", || place.path("c/exit.json").exists());
    assert_eq!(place.logged("stdout").len(), 120_000);
}

#[test]
fn input_flows_and_a_prompt_is_seen_at_once() {
    let place = Place::new();
    let ((stdin, to), (from, stdout)) = (pipe().unwrap(), pipe().unwrap());
    let launched = place.start(&place.plan("printf '? '; exec /bin/busybox cat"), [Some(stdin), Some(stdout), None]);
    assert_eq!(read_some(&from), b"? ");
    let mut to = File::from(to);
    to.write_all(b"half").unwrap();
    assert_eq!(read_some(&from), b"half");
    // A follower of the log gets the unfinished line too.
    until("the log of a prompt", || place.logged("stdout") == b"? half");
    to.write_all(b" and half\n").unwrap();
    drop(to);
    assert_eq!(end(&launched).code, 0);
    assert_eq!(place.logged("stdout"), b"? half and half\n");
}

#[test]
fn a_signal_is_told_in_the_record_and_to_the_host() {
    let place = Place::new();
    let (stdin, _ours) = pipe().unwrap();
    let launched = place.start(&place.plan("read line"), [Some(stdin), None, None]);
    kill(Pid::from_raw(launched.init_pid), Signal::SIGKILL).unwrap();
    let exit = end(&launched);
    assert_eq!((exit.code, exit.signal, exit.status()), (0, 9, 137));
    let record = place.record("c/exit.json");
    assert_eq!((record["code"].as_i64(), record["signal"].as_i64()), (Some(137), Some(9)));
}

#[test]
fn a_killed_shim_takes_the_container_with_it() {
    let place = Place::new();
    let (stdin, _ours) = pipe().unwrap();
    let launched = place.start(&place.plan("read line"), [Some(stdin), None, None]);
    kill(Pid::from_raw(launched.shim_pid), Signal::SIGTERM).unwrap();
    kill(Pid::from_raw(launched.shim_pid), Signal::SIGKILL).unwrap();
    until_dead(launched.init_pid);
    let error = launched.wait_exit(&Cancel::new(), soon()).unwrap_err();
    assert_eq!(error.kind(), Kind::Launch);
}

#[test]
fn a_full_disk_stops_the_log_and_not_the_container() {
    let place = Place::new();
    let mut plan = place.plan("echo lost; exit 3");
    plan.supervise.log = "/dev/full".into();
    let exit = place.run(&plan);
    assert_eq!((exit["code"].as_i64(), exit["log_error"].as_i64()), (Some(3), Some(libc::ENOSPC.into())));
}

#[test]
fn what_the_container_left_running_ends_with_it() {
    let place = Place::new();
    let mut plan = place.plan("/bin/busybox setsid /bin/busybox sleep 1000 & echo $!; exit 0");
    plan.namespaces.pid = Namespace::Host;
    place.run(&plan);
    let pid: i32 = String::from_utf8(place.logged("stdout")).unwrap().trim().parse().unwrap();
    until_dead(pid);
}

#[test]
fn an_idle_shim_costs_little_memory() {
    // To a plain user the shim's memory is closed. Alone, it shares no page of its program with another.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let place = Place::new();
    let (stdin, _ours) = pipe().unwrap();
    let launched = place.start(&place.plan("echo up; read line"), [Some(stdin), None, None]);
    until("the first line", || place.logged("stdout") == b"up\n");
    let rollup = fs::read_to_string(format!("/proc/{}/smaps_rollup", launched.shim_pid)).unwrap();
    let pss = rollup.lines().find_map(|l| l.strip_prefix("Pss:")).unwrap().trim().trim_end_matches(" kB");
    println!("PSS of an idle shim: {pss} KiB");
    assert!(pss.parse::<u32>().unwrap() <= 200);
    kill(Pid::from_raw(launched.init_pid), Signal::SIGKILL).unwrap();
    end(&launched);
}

#[test]
fn removal_takes_the_directory_and_what_belongs_to_it() {
    let place = Place::new();
    fs::create_dir_all(place.path("volume/a/b")).unwrap();
    fs::write(place.path("name"), "").unwrap();
    let mut plan = place.plan("exit 5");
    plan.supervise.auto_remove = true;
    plan.supervise.remove_also = ["name", "volume", "missing"].map(|n| place.text(n)).to_vec();
    assert_eq!(end(&place.start(&plan, [None, None, None])).code, 5);
    for gone in ["c", "trash", "name", "volume"] {
        assert!(!place.path(gone).exists(), "{gone} is left");
    }
}

/// The part of [`a_container_ends_with_its_owner`] that is killed.
#[test]
#[ignore = "started by another test"]
fn owner() {
    let Ok(dir) = std::env::var("SAMPAN_TEST_OWNER") else { return };
    let place = Place::new();
    let plan = LaunchPlan {
        supervise: crate::plan::launch::Supervise { tie_host: true, stop_timeout_ms: 200, ..place.plan("").supervise },
        ..place.plan("trap 'echo asked' TERM; echo up; while :; do read line; done")
    };
    let (stdin, _ours) = pipe().unwrap();
    let _launched = place.start(&plan, [Some(stdin), None, None]);
    until("the container's first line", || place.logged("stdout") == b"up\n");
    fs::write(Path::new(&dir).join("new"), place.text("")).unwrap();
    fs::rename(Path::new(&dir).join("new"), Path::new(&dir).join("ready")).unwrap();
    loop {
        std::thread::park();
    }
}

#[test]
fn a_container_ends_with_its_owner() {
    let dir = tempfile::tempdir().unwrap();
    let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "launch::supervise_tests::owner", "--ignored"])
        .env("SAMPAN_TEST_OWNER", dir.path())
        .stdout(std::process::Stdio::null())
        .spawn()
        .unwrap();
    let ready = dir.path().join("ready");
    until("the start in the other process", || ready.exists());
    let place = PathBuf::from(fs::read_to_string(ready).unwrap());
    let state: serde_json::Value = serde_json::from_slice(&fs::read(place.join("c/state.json")).unwrap()).unwrap();
    owner.kill().unwrap();
    owner.wait().unwrap();
    until_dead(state["pid"].as_i64().unwrap() as i32);
    until("the removal", || !place.join("c").exists() && !place.join("trash").exists());
    until_dead(state["shim_pid"].as_i64().unwrap() as i32);
    fs::remove_dir_all(place).unwrap();
}

#[test]
fn trees_of_any_depth_are_deleted_and_links_not_followed() {
    let temp = tempfile::tempdir().unwrap();
    let (tree, outside) = (temp.path().join("tree"), temp.path().join("outside"));
    fs::create_dir(&outside).unwrap();
    fs::write(outside.join("kept"), "").unwrap();
    fs::create_dir(&tree).unwrap();
    std::os::unix::fs::symlink(&outside, tree.join("link")).unwrap();
    let (name, mode) = ("n".repeat(200), Mode::from_bits_truncate(0o755));
    let mut dir: OwnedFd = File::open(&tree).unwrap().into();
    for _ in 0..4000 {
        mkdirat(&dir, name.as_str(), mode).unwrap();
        dir = openat(&dir, name.as_str(), OFlag::O_DIRECTORY | OFlag::O_CLOEXEC, Mode::empty()).unwrap();
    }
    let paths = [tree.to_str().unwrap().to_owned(), temp.path().join("missing").to_str().unwrap().to_owned()];
    remove_trees(None, &paths, &HelperSource::default()).unwrap();
    assert!(!tree.exists() && outside.join("kept").exists());
}

/// `cap_net_raw+ep`, version 2.
const CAPS: &[u8; 20] = b"\x01\0\0\x02\0\x20\0\0\0\0\0\0\0\0\0\0\0\0\0\0";

fn getxattr(path: &std::path::Path, name: &std::ffi::CStr) -> Vec<u8> {
    let path = std::ffi::CString::new(path.to_str().unwrap()).unwrap();
    let mut value = vec![0; 64];
    // SAFETY: both strings end with NUL and the buffer is as long as told.
    let n = unsafe { libc::getxattr(path.as_ptr(), name.as_ptr(), value.as_mut_ptr().cast(), value.len()) };
    value.truncate(usize::try_from(n).unwrap());
    value
}

#[test]
fn owners_are_given_beneath_the_tree_only() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let Some(map) = many_ids() else { return };
    let temp = tempfile::tempdir().unwrap();
    let (root, file) = (temp.path().join("root"), temp.path().join("root/file"));
    fs::create_dir(&root).unwrap();
    fs::write(&file, "").unwrap();
    fs::write(temp.path().join("outside"), "").unwrap();
    fs::set_permissions(&file, fs::Permissions::from_mode(0o4755)).unwrap();
    std::os::unix::fs::symlink("../outside", root.join("link")).unwrap();
    let give = |path: &str| {
        let owners = [(path.into(), 33, 34)];
        let caps = if path == "file" { vec![(path.into(), CAPS.to_vec())] } else { Vec::new() };
        apply_owners(Some(&map), root.to_str().unwrap(), &owners, &caps, &[], &HelperSource::default())
    };
    give("file").unwrap();
    let held = getxattr(&file, c"security.capability");
    match map.uids[0].outside {
        // What holds for the host's own root is shown as version 2.
        0 => assert_eq!(held, CAPS),
        // Version 3 ends with the id of the namespace's root, as the host sees it.
        root => assert_eq!((held[3], &held[4..20], &held[20..]), (3, &CAPS[4..], &root.to_le_bytes()[..])),
    }
    give("link").unwrap();
    give("../outside").unwrap_err();
    let file = fs::metadata(&file).unwrap();
    let (uid, gid) = (map.uids[1].outside + 32, map.gids[1].outside + 33);
    assert_eq!((file.uid(), file.gid(), file.mode() & 0o7777), (uid, gid, 0o4755));
    assert_eq!(fs::symlink_metadata(root.join("link")).unwrap().uid(), uid);
    assert_eq!(fs::metadata(temp.path().join("outside")).unwrap().uid(), nix::unistd::geteuid().as_raw());
}

/// What is one's goes to another, then what is a third one's to the first: whatever names it has, with all that a change of
/// owner would take away.
#[test]
fn all_of_a_users_files_move_once() {
    use std::os::unix::fs::{MetadataExt, PermissionsExt};
    let Some(map) = many_ids() else { return };
    let temp = tempfile::tempdir().unwrap();
    let root = temp.path().join("root");
    fs::create_dir_all(root.join("d/e")).unwrap();
    for name in ["own", "d/e/third", "d/other"] {
        fs::write(root.join(name), "").unwrap();
    }
    std::os::unix::fs::symlink("../outside", root.join("d/link")).unwrap();
    fs::write(temp.path().join("outside"), "").unwrap();
    for name in ["own", "d/e/third"] {
        fs::set_permissions(root.join(name), fs::Permissions::from_mode(0o4755)).unwrap();
    }
    fs::hard_link(root.join("own"), root.join("d/own-too")).unwrap();
    fs::hard_link(root.join("d/e/third"), root.join("third-too")).unwrap();
    fs::set_permissions(root.join("d"), fs::Permissions::from_mode(0o700)).unwrap();
    let owners = ["d/e/third", "d/other"].map(|path| (path.into(), if path == "d/other" { 7 } else { 99 }, 99));
    let caps = ["own", "d/e/third"].map(|path| (path.into(), CAPS.to_vec()));
    let moves = [((0, 0), (33, 34)), ((99, 99), (0, 0))];
    apply_owners(Some(&map), root.to_str().unwrap(), &owners, &caps, &moves, &HelperSource::default()).unwrap();
    let outside = |map: &[Extent], id: u32| if id == 0 { map[0].outside } else { map[1].outside + id - 1 };
    let ids = |uid, gid| (outside(&map.uids, uid), outside(&map.gids, gid));
    let seen = |name: &str| fs::symlink_metadata(root.join(name)).map(|meta| (meta.uid(), meta.gid()));
    // A plain user can't look into what is closed and another's now.
    let open = nix::unistd::geteuid().is_root();
    for (name, (uid, gid), closed) in [
        (".", (33, 34), false),
        ("own", (33, 34), false),
        ("third-too", (0, 0), false),
        ("d", (33, 34), false),
        ("d/e", (33, 34), true),
        ("d/own-too", (33, 34), true),
        ("d/e/third", (0, 0), true),
        ("d/other", (7, 0), true),
        ("d/link", (33, 34), true),
    ] {
        if open || !closed {
            assert_eq!(seen(name).unwrap(), ids(uid, gid), "{name}");
        }
    }
    for name in ["own", "third-too"] {
        assert_eq!(fs::metadata(root.join(name)).unwrap().mode() & 0o7777, 0o4755, "{name}");
        assert_eq!(getxattr(&root.join(name), c"security.capability")[4..20], CAPS[4..], "{name}");
    }
    assert_eq!(fs::metadata(temp.path().join("outside")).unwrap().uid(), nix::unistd::geteuid().as_raw());
    remove_trees(Some(&map), &[root.display().to_string()], &HelperSource::default()).unwrap();
}

/// Root's or a plain user's map of more than one id.
pub(super) fn many_ids() -> Option<IdMap> {
    if !nix::unistd::geteuid().is_root() {
        return super::tests::subordinate_ids();
    }
    let ids = vec![Extent { inside: 0, outside: 0, length: 1 }, Extent { inside: 1, outside: 100_000, length: 65_535 }];
    Some(IdMap { uids: ids.clone(), gids: ids, helpers: None })
}

#[test]
fn removal_takes_what_the_containers_users_own() {
    let Some(map) = many_ids() else { return };
    let place = Place::new();
    fs::rename(place.path("root"), place.path("c/root")).unwrap();
    let script =
        "b=/bin/busybox; $b mkdir -p /a/b && echo > /a/b/f && $b chown -R 33:33 /a && $b chmod 0 /a/b && exit 4";
    let mut plan = place.plan(script);
    plan.rootfs.kind = RootfsKind::Directory { path: place.text("c/root") };
    plan.rootfs.attach_at = place.text("c/root");
    plan.process.capabilities.bounding = u64::MAX >> 23;
    (plan.process.capabilities.permitted, plan.process.capabilities.effective) = (u64::MAX >> 23, u64::MAX >> 23);
    plan.namespaces.user = true;
    plan.id_map = Some(map);
    // Its root may be the host's, whose null device it must not have.
    plan.mounts.push(super::tests::bind("/dev/null", "/dev/null", 10));
    plan.supervise.auto_remove = true;
    assert_eq!(end(&place.start(&plan, [None, None, None])).code, 4);
    assert!(!place.path("c").exists() && !place.path("trash").exists());
}

#[test]
fn a_terminal_is_relayed_and_resized() {
    let place = Place::new();
    let mut plan = place.plan("read a; /bin/busybox stty size; read b; echo \"got $b\"; cat");
    plan.process.tty = true;
    plan.mounts.push(MountStep {
        source: MountSource::Fs {
            fstype: "devpts".into(),
            options: vec![("newinstance".into(), "".into()), ("ptmxmode".into(), "0666".into())],
        },
        target: "/dev/pts".into(),
        attributes: 0,
        ..MountStep::default()
    });
    let ((stdin, to), (from, stdout)) = (pipe().unwrap(), pipe().unwrap());
    let launched = place.start(&plan, [Some(stdin), Some(stdout), None]);
    super::resize(&place.path("c"), 33, 99).unwrap();
    let (mut to, mut seen) = (File::from(to), Vec::new());
    to.write_all(b"go\n").unwrap();
    while !seen.windows(5).any(|w| w == b"33 99") {
        seen.extend(read_some(&from));
    }
    to.write_all(b"more\n").unwrap();
    drop(to);
    end(&launched);
    File::from(from).read_to_end(&mut seen).unwrap();
    assert!(String::from_utf8_lossy(&seen).contains("got more\r\n"));
    assert_eq!(place.logged("stdout"), seen);
}

#[test]
fn the_hosts_descriptors_keep_their_flags() {
    let place = Place::new();
    let ((stdin, _to), (from, stdout)) = (pipe().unwrap(), pipe().unwrap());
    let flags = |fd: &OwnedFd| nix::fcntl::fcntl(fd, nix::fcntl::FcntlArg::F_GETFL).unwrap();
    let (in_copy, out_copy) = (stdin.try_clone().unwrap(), stdout.try_clone().unwrap());
    let before = (flags(&in_copy), flags(&out_copy));
    let launched = place.start(&place.plan("echo x"), [Some(stdin), Some(stdout), None]);
    let mut ready = [PollFd::new(from.as_fd(), PollFlags::POLLIN)];
    poll(&mut ready, 60_000u16).unwrap();
    end(&launched);
    assert_eq!((flags(&in_copy), flags(&out_copy)), before);
}

#[test]
fn a_new_volume_is_the_images_directory_to_the_bit() {
    use std::os::unix::fs::{FileTypeExt, MetadataExt, PermissionsExt};
    let place = Place::new();
    fs::create_dir_all(place.path("root/data/closed/below")).unwrap();
    fs::create_dir(place.path("volume")).unwrap();
    let image = File::create(place.path("root/data/holes")).unwrap();
    image.set_len(8 << 20).unwrap();
    std::os::unix::fs::FileExt::write_at(&image, b"data", 4 << 20).unwrap();
    image.set_permissions(fs::Permissions::from_mode(0o4751)).unwrap();
    image.set_modified(std::time::UNIX_EPOCH + Duration::new(1_000_000_000, 123_456_789)).unwrap();
    std::os::unix::fs::symlink("/nowhere", place.path("root/data/link")).unwrap();
    nix::unistd::mkfifo(&place.path("root/data/fifo"), Mode::from_bits_truncate(0o620)).unwrap();
    fs::set_permissions(place.path("root/data/closed"), fs::Permissions::from_mode(0o555)).unwrap();
    let mut plan = place.plan("exit 0");
    plan.mounts.push(MountStep {
        source: MountSource::Bind { path: place.text("volume"), recursive: true },
        target: "/data".into(),
        copy_up: true,
        ..MountStep::default()
    });
    place.run(&plan);
    for name in ["", "holes", "link", "fifo", "closed", "closed/below"] {
        let stat = |dir: &str| fs::symlink_metadata(place.path(dir).join(name)).unwrap();
        let (was, is) = (stat("root/data"), stat("volume"));
        let same = |m: &fs::Metadata| (m.mode(), m.uid(), m.gid(), m.mtime(), m.mtime_nsec());
        assert_eq!(same(&is), same(&was), "{name}");
    }
    let copy = fs::metadata(place.path("volume/holes")).unwrap();
    assert!(copy.len() == 8 << 20 && copy.blocks() <= image.metadata().unwrap().blocks());
    assert!(fs::read(place.path("volume/holes")).unwrap()[4 << 20..].starts_with(b"data"));
    assert!(fs::symlink_metadata(place.path("volume/fifo")).unwrap().file_type().is_fifo());
    for closed in ["root/data/closed", "volume/closed"] {
        fs::set_permissions(place.path(closed), fs::Permissions::from_mode(0o755)).unwrap();
    }
}

//! A copy of a store, or a snapshot of its file system, has the ids and states of containers that run from the other.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, command};
use sampan::{
    Cancel, Container, Engine, EngineOptions, Kind, ListOptions, Quiet, RemoveOptions, RunOptions, Status, Stdio,
};

/// The copy, whose files are its own; what is not on the disk is the machine's.
fn copy(host: &Host) -> Engine {
    let at = |name: &str| host.dir.path().join(name).display().to_string();
    let done = std::process::Command::new("cp").args(["-a", &at("root"), &at("copy")]).status().unwrap();
    assert!(done.success());
    Engine::open(&EngineOptions { root: Some(at("copy")), ..Host::options(&host.dir) }).unwrap()
}

fn create(host: &Host) -> Container {
    let options = RunOptions { name: Some("one".into()), ..command(&["sleep", "1000"]) };
    host.engine.create(&options, &mut Quiet, &Cancel::new()).unwrap()
}

fn start(container: &Container) -> sampan::Result<()> {
    container.start(&Stdio::default(), &Cancel::new())
}

fn runs(container: &Container) -> bool {
    runs_as(container, "(sleep) S")
}

fn runs_as(container: &Container, seen: &str) -> bool {
    let info = container.inspect().unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", info.pid.unwrap_or(0))).unwrap_or_default();
    info.status == Status::Running && state.contains(seen)
}

fn end(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    std::fs::remove_dir_all(host.dir.path().join("copy")).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_look_at_a_copy_ends_nothing_of_the_other() {
    let host = Host::new();
    let one = create(&host);
    start(&one).unwrap();
    let other = copy(&host);
    let listed = other.containers(&ListOptions { all: true, ..ListOptions::default() }).unwrap();
    assert_eq!(listed.len(), 1);
    assert!(runs(&one));
    let its = other.container("one").unwrap();
    assert_eq!(its.kill("KILL").unwrap_err().kind(), Kind::Conflict);
    // It would be in the same cgroup, and its end that of both.
    let started = start(&its);
    assert!(runs(&one));
    match has_cgroups(&host, &one) {
        true => {
            let error = started.unwrap_err();
            assert!(error.kind() == Kind::Conflict && error.to_string().contains("same id"), "{error}");
        }
        false => started.unwrap(),
    }
    its.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert!(runs(&one));
    end(&host, &one);
}

#[test]
fn a_removal_from_a_copy_ends_nothing_of_the_other() {
    let host = Host::new();
    let one = create(&host);
    // Copied before its first start, and when it had ended.
    for _ in 0..2 {
        let other = copy(&host);
        start(&one).unwrap();
        other.container("one").unwrap().remove(&RemoveOptions::default()).unwrap();
        assert!(runs(&one));
        std::fs::remove_dir_all(host.dir.path().join("copy")).unwrap();
        one.kill("KILL").unwrap();
        one.wait(None, &Cancel::new()).unwrap();
    }
    std::fs::create_dir(host.dir.path().join("copy")).unwrap();
    end(&host, &one);
}

/// A payload that looks after cgroups of its own has empty ones among them.
#[test]
fn a_removal_from_a_copy_leaves_the_other_its_cgroups() {
    let host = Host::new();
    let one = create(&host);
    let other = copy(&host);
    start(&one).unwrap();
    let below: Vec<_> = cgroups(&host, &one).into_iter().map(|dir| dir.join("below")).collect();
    assert!(!below.is_empty() || !common::cgroups::can_limit(), "it has no cgroups");
    for dir in &below {
        std::fs::create_dir(dir).unwrap();
    }
    other.container("one").unwrap().remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert!(runs(&one));
    assert!(below.iter().all(|dir| dir.is_dir()), "{below:?}");
    end(&host, &one);
    assert!(below.iter().all(|dir| !dir.exists()), "{below:?}");
}

/// A store that was renamed is no copy.
#[test]
fn what_is_left_in_a_store_that_was_moved_is_ended() {
    let host = Host::new();
    let shared = RunOptions { pid: Some("host".into()), name: Some("one".into()), ..command(&["sleep", "1000"]) };
    let one = host.spawn(shared).unwrap();
    let pid = one.inspect().unwrap().pid.unwrap();
    let state = host.dir.path().join("root/containers").join(one.id()).join("state.json");
    let state: serde_json::Value = serde_json::from_slice(&std::fs::read(state).unwrap()).unwrap();
    let at = |name: &str| host.dir.path().join(name).display().to_string();
    std::fs::rename(at("root"), at("moved")).unwrap();
    let shim = state["shim_pid"].as_i64().unwrap() as i32;
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let moved = Engine::open(&EngineOptions { root: Some(at("moved")), ..Host::options(&host.dir) }).unwrap();
    common::until("its end", || {
        let _ = moved.containers(&ListOptions { all: true, ..ListOptions::default() }).unwrap();
        !std::path::Path::new(&format!("/proc/{pid}/root")).exists()
    });
    moved.container("one").unwrap().remove(&RemoveOptions::default()).unwrap();
}

fn has_cgroups(host: &Host, container: &Container) -> bool {
    !cgroups(host, container).is_empty()
}

fn cgroups(host: &Host, container: &Container) -> Vec<std::path::PathBuf> {
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(state(host, container)).unwrap()).unwrap();
    let v1 = told["cgroups"]["v1"].as_object().into_iter().flat_map(|v1| v1.values());
    let mut all: Vec<_> = v1.chain([&told["cgroups"]["v2"]]).filter_map(|dir| Some(dir.as_str()?.into())).collect();
    all.sort();
    all.dedup();
    all
}

fn state(host: &Host, container: &Container) -> std::path::PathBuf {
    host.dir.path().join("root/containers").join(container.id()).join("state.json")
}

fn change_state(host: &Host, container: &Container, change: impl FnOnce(&mut serde_json::Value)) {
    let path = state(host, container);
    let mut told = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
    change(&mut told);
    std::fs::write(path, told.to_string()).unwrap();
}

/// As by another mount of it, or after it was mounted anew.
#[test]
fn a_running_container_whose_directory_has_another_identity_is_controlled() {
    let host = Host::new();
    for stops in [true, false] {
        let one = create(&host);
        start(&one).unwrap();
        change_state(&host, &one, |state| state["place"] = "1:1".into());
        common::until("its command", || runs(&one));
        let done =
            one.exec(&sampan::ExecOptions { command: vec!["true".into()], ..Default::default() }, &Cancel::new());
        assert_eq!(done.unwrap().code, 0);
        if stops {
            one.stop(&sampan::StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
            assert_eq!(one.inspect().unwrap().status, Status::Exited);
        }
        one.remove(&RemoveOptions { force: !stops, volumes: true }).unwrap();
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

#[test]
fn one_whose_holder_is_not_known_is_not_waited_for_without_end() {
    let host = Host::new();
    let one = create(&host);
    start(&one).unwrap();
    let mut told = None;
    change_state(&host, &one, |state| {
        told = Some(state.clone());
        (state["place"], state["shim_start"]) = ("1:1".into(), 1.into());
    });
    let error = one.stop(&sampan::StopOptions::default(), &Cancel::new()).unwrap_err();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("somebody runs it"), "{error}");
    change_state(&host, &one, |state| *state = told.unwrap());
    one.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

/// One that shares the host's process ids, whose shim is killed when its store was copied to another file system.
struct Moved {
    host: Host,
    to: tempfile::TempDir,
    told: serde_json::Value,
    orphan: i32,
}

/// The first process dies with its shim, its child doesn't.
const COMMAND: [&str; 3] = ["sh", "-c", "sleep 1000 & wait"];

fn child_of(parent: i32) -> Option<i32> {
    let sleeps = format!("(sleep) S {parent} ");
    let pids = std::fs::read_dir("/proc").unwrap().filter_map(|e| e.unwrap().file_name().to_str()?.parse::<i32>().ok());
    let is_it = |pid: &i32| std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(&sleeps));
    pids.into_iter().find(is_it)
}

fn is_alive(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "))
}

fn kill(pid: i32) {
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(pid), nix::sys::signal::Signal::SIGKILL).unwrap();
    common::until("its end", || !is_alive(pid));
}

impl Moved {
    /// `change` is made to what its state tells before the copy.
    fn new(change: impl FnOnce(&mut serde_json::Value)) -> Moved {
        let (host, to) = (Host::new(), tempfile::tempdir_in("/tmp").unwrap());
        let shared = RunOptions { pid: Some("host".into()), name: Some("one".into()), ..command(&COMMAND) };
        let one = host.spawn(shared).unwrap();
        let mut orphan = None;
        common::until("its child", || {
            orphan = child_of(one.inspect().unwrap().pid.unwrap());
            orphan.is_some()
        });
        change_state(&host, &one, change);
        let told: serde_json::Value = serde_json::from_slice(&std::fs::read(state(&host, &one)).unwrap()).unwrap();
        let root = host.dir.path().join("root");
        let copied = std::process::Command::new("cp").arg("-a").arg(root).arg(to.path()).status().unwrap();
        assert!(copied.success());
        Moved { host, to, told, orphan: orphan.unwrap() }
    }

    fn runs(&self) -> bool {
        is_alive(self.orphan)
    }

    fn kill_shim(&self) {
        kill(self.told["shim_pid"].as_i64().unwrap() as i32);
    }

    fn take_away(&self) {
        std::fs::remove_dir_all(self.host.dir.path().join("root")).unwrap();
    }

    /// That of another copy.
    fn engine(&self, store: &std::path::Path) -> Engine {
        let root = Some(store.display().to_string());
        Engine::open(&EngineOptions { root, ..Host::options(&self.host.dir) }).unwrap()
    }

    fn here(&self) -> Engine {
        self.engine(&self.to.path().join("root"))
    }

    fn cgroups(&self) -> Vec<std::path::PathBuf> {
        let v1 = self.told["cgroups"]["v1"].as_object().unwrap().values();
        let all = v1.chain([&self.told["cgroups"]["v2"]]).filter_map(|dir| Some(dir.as_str()?.into()));
        all.filter(|dir: &std::path::PathBuf| dir.exists()).collect()
    }
}

fn look(engine: &Engine) {
    engine.containers(&ListOptions { all: true, ..ListOptions::default() }).unwrap();
}

const FORCE: RemoveOptions = RemoveOptions { force: true, volumes: true };

#[test]
fn what_is_left_in_a_store_that_was_moved_to_another_file_system_is_ended() {
    for by in ["look", "start", "rm", "rm of a damaged one"] {
        let moved = Moved::new(|_| ());
        moved.take_away();
        moved.kill_shim();
        assert!(moved.runs());
        let here = moved.here();
        let one = here.container("one").unwrap();
        match by {
            "look" => look(&here),
            "start" => start(&one).unwrap(),
            "rm" => {}
            _ => {
                std::fs::write(moved.to.path().join("root/containers").join(one.id()).join("record.json"), "{").unwrap()
            }
        }
        assert!(!moved.runs() || by.starts_with("rm"), "{by}");
        one.remove(&FORCE).unwrap();
        assert!(!moved.runs(), "{by}");
        assert_eq!(moved.cgroups(), Vec::<std::path::PathBuf>::new(), "{by}");
    }
}

/// It is the other's to end, as long as that is there.
#[test]
fn a_copy_leaves_the_orphans_of_one_that_is_there() {
    let moved = Moved::new(|_| ());
    moved.kill_shim();
    let here = moved.here();
    look(&here);
    here.container("one").unwrap().remove(&FORCE).unwrap();
    assert!(moved.runs());
    look(&moved.host.engine);
    common::until("its end", || !moved.runs());
}

/// Of two copies of what is gone one runs.
#[test]
fn a_copy_ends_nothing_of_another_copy() {
    let moved = Moved::new(|_| ());
    moved.take_away();
    moved.kill_shim();
    kill(moved.orphan);
    let third = moved.to.path().join("third");
    let copied = std::process::Command::new("cp").arg("-a").arg(moved.to.path().join("root")).arg(&third).status();
    assert!(copied.unwrap().success());
    let one = moved.here().container("one").unwrap();
    start(&one).unwrap();
    common::until("its command", || runs_as(&one, "(sh) S"));
    let other = moved.engine(&third);
    look(&other);
    let its = other.container("one").unwrap();
    let removed = its.remove(&FORCE);
    assert!(runs_as(&one, "(sh) S"));
    if !moved.cgroups().is_empty() {
        let error = removed.unwrap_err();
        assert!(error.kind() == Kind::Conflict && error.to_string().contains("processes are in its cgroup"), "{error}");
    }
    one.remove(&FORCE).unwrap();
    let _ = its.remove(&FORCE);
}

/// Of an older library, which didn't write where its directory is.
#[test]
fn what_is_not_told_to_be_anothers_is_not_forgotten() {
    let moved = Moved::new(|state| drop(state.as_object_mut().unwrap().remove("dir")));
    moved.take_away();
    moved.kill_shim();
    let one = moved.here().container("one").unwrap();
    let removed = one.remove(&FORCE);
    assert!(moved.runs());
    if !moved.cgroups().is_empty() {
        let error = removed.unwrap_err();
        assert!(error.kind() == Kind::Conflict && error.to_string().contains("processes are in its cgroup"), "{error}");
    }
    kill(moved.orphan);
    let _ = one.remove(&FORCE);
}

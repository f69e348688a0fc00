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
    let info = container.inspect().unwrap();
    let state = std::fs::read_to_string(format!("/proc/{}/stat", info.pid.unwrap_or(0))).unwrap_or_default();
    info.status == Status::Running && state.contains("(sleep) S")
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
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(state(host, container)).unwrap()).unwrap();
    let cgroups = &told["cgroups"];
    cgroups["v2"].is_string() || cgroups["v1"].as_object().is_some_and(|v1| !v1.is_empty())
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

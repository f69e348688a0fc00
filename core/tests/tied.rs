//! Containers that are tied to a process: gone with it, whatever they did by then, and no sooner.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio as Process};

use common::{Host, command, text, until};
use nix::sys::inotify::{AddWatchFlags, InitFlags, Inotify};
use sampan::{
    Cancel, Container, Engine, EngineOptions, ListOptions, LogOptions, Quiet, RunOptions, Status, Stdio, Tie,
};

/// A process that has started a container named `owned`, and stays.
struct Owner(Child);

impl Owner {
    fn start(host: &Host, script: &str, grace: Option<f64>) -> Owner {
        let child = Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner", "--nocapture"])
            .env("SAMPAN_TIED_DIR", host.dir.path())
            .env("SAMPAN_TIED_SCRIPT", script)
            .env("SAMPAN_TIED_GRACE", grace.map_or(String::new(), |seconds| seconds.to_string()))
            .env("SAMPAN_TEST_IMAGE", common::image())
            .stdin(Process::piped())
            .stdout(Process::piped())
            .spawn()
            .unwrap();
        let mut owner = Owner(child);
        let lines = BufReader::new(owner.0.stdout.take().unwrap()).lines();
        assert!(lines.map_while(Result::ok).any(|line| line == "started"), "it was not started");
        owner
    }

    fn kill(mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

impl Drop for Owner {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

fn mount(dir: &std::path::Path) -> sampan::Mount {
    sampan::Mount { source: dir.display().to_string(), target: "/host".into(), ..Default::default() }
}

/// Runs only as a child of the tests below.
#[test]
fn owner() {
    let Some(dir) = std::env::var_os("SAMPAN_TIED_DIR").map(std::path::PathBuf::from) else { return };
    let at = |name: &str| Some(dir.join(name).display().to_string());
    let rung = std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| rung.parse().unwrap());
    let engine = Engine::open(&EngineOptions { root: at("root"), run: at("run"), rung, ..Default::default() }).unwrap();
    let options = RunOptions {
        name: Some("owned".into()),
        tie: Tie::Host,
        stop_timeout: std::env::var("SAMPAN_TIED_GRACE").unwrap().parse().ok(),
        mounts: vec![mount(&dir.join("shared"))],
        ..command(&["sh", "-c", &std::env::var("SAMPAN_TIED_SCRIPT").unwrap()])
    };
    engine.spawn(&options, &Stdio::default(), &mut Quiet, &Cancel::new()).unwrap();
    println!("\nstarted");
    let _ = std::io::stdin().read(&mut [0]);
}

fn host() -> Host {
    let host = Host::new();
    std::fs::create_dir(host.dir.path().join("shared")).unwrap();
    host.sh("true");
    host
}

fn log(container: &Container) -> String {
    let mut stream = container.logs(&LogOptions::default()).unwrap();
    let mut all = Vec::new();
    while let Some(entry) = stream.next(&Cancel::new()).unwrap() {
        all.extend(entry.data);
    }
    text(&all)
}

fn again(host: &Host) {
    let container = host.spawn(RunOptions { name: Some("owned".into()), ..command(&["true"]) }).unwrap();
    common::gone(host, &container);
}

#[test]
fn one_that_has_ended_can_be_looked_at_as_long_as_its_owner_lives() {
    let host = host();
    let owner = Owner::start(&host, "echo crashed; exit 1", None);
    let container = host.engine.container("owned").unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 1);
    let all = ListOptions { all: true, ..ListOptions::default() };
    let found = host.engine.containers(&all).unwrap();
    assert_eq!(
        found.iter().map(|info| (info.name.as_str(), info.status)).collect::<Vec<_>>(),
        [("owned", Status::Exited)]
    );
    assert_eq!(log(&container), "crashed\n");
    let taken = host.spawn(RunOptions { name: Some("owned".into()), ..command(&["true"]) }).unwrap_err();
    assert_eq!(taken.kind(), sampan::Kind::AlreadyExists);
    owner.kill();
    assert!(host.engine.containers(&all).unwrap().is_empty());
    assert_eq!(host.left(), Vec::<String>::new());
}

/// A lock that is taken is opened for writing; one that is asked about is not.
#[test]
fn one_whose_owner_lives_is_looked_at_and_not_held() {
    let host = host();
    let _owner = Owner::start(&host, "exit 1", None);
    let container = host.engine.container("owned").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    let lock = host.dir.path().join("root/containers").join(container.id()).join("lock");
    let watch = Inotify::init(InitFlags::IN_NONBLOCK).unwrap();
    watch.add_watch(&lock, AddWatchFlags::IN_CLOSE_WRITE | AddWatchFlags::IN_CLOSE_NOWRITE).unwrap();
    Engine::open(&Host::options(&host.dir)).unwrap();
    host.engine.containers(&ListOptions { all: true, ..ListOptions::default() }).unwrap();
    let taken = host.spawn(RunOptions { name: Some("owned".into()), ..command(&["true"]) }).unwrap_err();
    assert_eq!(taken.kind(), sampan::Kind::AlreadyExists);
    let seen = watch.read_events().unwrap();
    assert!(seen.iter().all(|event| event.mask == AddWatchFlags::IN_CLOSE_NOWRITE), "{seen:?}");
}

#[test]
fn the_name_of_one_that_has_ended_is_free_with_its_owner() {
    let host = host();
    let owner = Owner::start(&host, "exit 1", None);
    host.engine.container("owned").unwrap().wait(None, &Cancel::new()).unwrap();
    owner.kill();
    again(&host);
}

/// Nor is it asked to end.
#[test]
fn one_that_runs_has_no_time_once_its_owner_is_gone() {
    let host = host();
    let script = "trap 'touch /host/asked' TERM; touch /host/up; while :; do sleep 0.05; done";
    let owner = Owner::start(&host, script, None);
    until("its trap", || host.dir.path().join("shared/up").exists());
    owner.kill();
    again(&host);
    assert!(!host.dir.path().join("shared/asked").exists());
}

#[test]
fn one_that_was_given_time_is_asked_and_its_name_is_waited_for() {
    let host = host();
    let script = "trap 'sleep 0.3; touch /host/asked; exit 0' TERM; touch /host/up; while :; do sleep 0.05; done";
    let owner = Owner::start(&host, script, Some(60.0));
    until("its trap", || host.dir.path().join("shared/up").exists());
    owner.kill();
    again(&host);
    assert!(host.dir.path().join("shared/asked").exists());
}

//! What the integration tests share: a loopback registry with a busybox image, and engines of their own.

#![allow(dead_code, missing_docs, clippy::disallowed_methods)]

pub mod cgroups;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio as Process};
use std::sync::{LazyLock, Mutex};
use std::time::{Duration, Instant};

use sampan::{
    Cancel, Container, Engine, EngineOptions, ListOptions, Output, Quiet, RemoveOptions, Result, RunOptions, Stdio, Tie,
};

struct Registry {
    /// Held for its standard input: the script ends when this process does.
    _script: Mutex<Child>,
    address: String,
}

static REGISTRY: LazyLock<Registry> = LazyLock::new(|| {
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/../tests/lib/images.sh");
    // The script removes its data itself: a static of ours is never dropped.
    let serve = r#"data=$(mktemp -d); trap 'rm -rf "$data"' EXIT; bash "$0" serve "$data" busybox"#;
    let mut child = Command::new("bash")
        .args(["-c", serve, script])
        .stdin(Process::piped())
        .stdout(Process::piped())
        .spawn()
        .unwrap();
    let mut address = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut address).unwrap();
    assert!(!address.trim().is_empty(), "the registry did not start");
    Registry { _script: Mutex::new(child), address: address.trim().to_owned() }
});

/// The image to test with: the one that a lane serves, or one of our own.
pub fn image() -> String {
    std::env::var("SAMPAN_TEST_IMAGE").unwrap_or_else(|_| format!("{}/busybox:latest", REGISTRY.address))
}

/// An engine in a directory of its own, on tmpfs where there is one.
pub struct Host {
    pub engine: Engine,
    pub dir: tempfile::TempDir,
}

impl Host {
    pub fn new() -> Host {
        Host::with(|options| options)
    }

    /// With other options than the usual.
    pub fn with(change: impl FnOnce(EngineOptions) -> EngineOptions) -> Host {
        let base = if std::path::Path::new("/dev/shm").is_dir() { "/dev/shm" } else { "/tmp" };
        let dir = tempfile::tempdir_in(base).unwrap();
        let engine = Engine::open(&change(Host::options(&dir))).unwrap();
        Host { engine, dir }
    }

    pub fn options(dir: &tempfile::TempDir) -> EngineOptions {
        let at = |name: &str| Some(dir.path().join(name).display().to_string());
        let rung = std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| rung.parse().unwrap());
        EngineOptions { root: at("root"), run: at("run"), rung, ..EngineOptions::default() }
    }

    pub fn run(&self, options: RunOptions) -> Result<Output> {
        self.engine.run(&options, &mut Quiet, &Cancel::new())
    }

    pub fn sh(&self, script: &str) -> Output {
        self.run(command(&["sh", "-c", script])).unwrap()
    }

    pub fn spawn(&self, options: RunOptions) -> Result<Container> {
        self.engine.spawn(&options, &Stdio::default(), &mut Quiet, &Cancel::new())
    }

    /// The names below the store that a container could have left.
    pub fn left(&self) -> Vec<String> {
        let list = |name: &str| {
            let entries = std::fs::read_dir(self.dir.path().join("root").join(name)).into_iter().flatten();
            entries.map(|e| format!("{name}/{}", e.unwrap().file_name().display())).collect::<Vec<_>>()
        };
        ["containers", "names", "tmp", "volumes"].iter().flat_map(|n| list(n)).collect()
    }
}

impl Drop for Host {
    /// What a failed test has left must not outlive it.
    fn drop(&mut self) {
        let all = ListOptions { all: true, ..ListOptions::default() };
        for info in self.engine.containers(&all).unwrap_or_default() {
            let force = RemoveOptions { force: true, volumes: true };
            let _ = self.engine.container(&info.id).and_then(|container| container.remove(&force));
        }
    }
}

/// Waits for what no descriptor tells of. The limit is there for what never comes, not to measure by.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let deadline = Instant::now() + Duration::from_secs(120);
    while !done() {
        assert!(Instant::now() < deadline, "{what} never came");
        std::thread::yield_now();
    }
}

pub fn command(args: &[&str]) -> RunOptions {
    RunOptions { image: image(), command: args.iter().map(|a| a.to_string()).collect(), ..RunOptions::default() }
}

/// Stays in the background, and not longer than its test, however that ends.
pub fn sleeper() -> RunOptions {
    RunOptions { tie: Tie::Host, ..command(&["sleep", "1000"]) }
}

/// Removes it, after which nothing of it is left.
#[track_caller]
pub fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

pub fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

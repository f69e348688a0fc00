//! `kill -9` of the host, the shim and the container's first process before each of their system calls: the next
//! call works, and what is left goes.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;
#[path = "common/listing.rs"]
mod listing;
#[path = "common/trace.rs"]
mod trace;

use std::time::{Duration, Instant};

use common::{Host, command};
use listing::{Listing, remove_parent};
use sampan::{
    Cancel, CopyOptions, Engine, EventOptions, ListOptions, Quiet, RemoveOptions, RunOptions, Status, Stdio,
    StopOptions, Tie,
};
use trace::{Outcome, REFUSED, Role, begin, kill_at};

/// A host whose containers have a cgroup parent of their own.
struct Scene {
    host: Host,
    parent: String,
    clean: Listing,
}

impl Drop for Scene {
    fn drop(&mut self) {
        remove_parent(&self.parent);
    }
}

impl Scene {
    fn new(name: &str) -> Scene {
        let host = Host::new();
        let parent = format!("sampan-test-{name}-{}", std::process::id());
        // The image is there, and so are the directories that stay.
        host.sh("true");
        let clean = Listing::of(host.dir.path(), &parent);
        Scene { host, parent, clean }
    }

    fn environment(&self, operation: &str) -> Vec<(&'static str, String)> {
        let dir = self.host.dir.path().display().to_string();
        vec![
            ("SAMPAN_VICTIM", operation.into()),
            ("SAMPAN_VICTIM_DIR", dir),
            ("SAMPAN_VICTIM_PARENT", self.parent.clone()),
            ("SAMPAN_TEST_IMAGE", common::image()),
        ]
    }

    /// Kills at every step; `prepare` comes before each, `settle` after.
    fn kill_at_every_step(&self, operation: &str, role: Role, prepare: impl Fn(&Scene)) -> usize {
        let environment = self.environment(operation);
        let environment: Vec<(&str, &str)> = environment.iter().map(|(k, v)| (*k, v.as_str())).collect();
        for nth in 0.. {
            prepare(self);
            let outcome = kill_at("victim", &environment, role, nth);
            self.is_clean_again(&format!("{operation}: {role:?} at step {nth}: {outcome:?}"));
            if outcome == Outcome::Finished {
                self.events_are_readable();
                return nth;
            }
        }
        unreachable!()
    }

    /// Whatever was killed while it wrote one.
    fn events_are_readable(&self) {
        let all = EventOptions { since: Some("0".into()), until: Some("0s".into()), ..EventOptions::default() };
        let mut events = self.host.engine.events(&all).unwrap();
        let read: Vec<String> = std::iter::from_fn(|| events.next(&Cancel::new()).unwrap()).map(|e| e.action).collect();
        assert!(read.iter().any(|action| action == "destroy"), "{read:?}");
    }

    /// The next calls: another process opens the store, works, removes what it sees.
    fn is_clean_again(&self, when: &str) {
        let engine = Engine::open(&options(&self.host.dir.path().display().to_string())).unwrap();
        let all = ListOptions { all: true, ..ListOptions::default() };
        let deadline = Instant::now() + Duration::from_secs(30);
        loop {
            for found in engine.containers(&all).unwrap_or_else(|e| panic!("{when}: {e}")) {
                let container = match engine.container(&found.id) {
                    Err(e) if e.kind() == sampan::Kind::NotFound => continue,
                    container => container.unwrap(),
                };
                match container.remove(&RemoveOptions { force: true, volumes: true }) {
                    Err(e) if e.kind() == sampan::Kind::NotFound => {}
                    done => done.unwrap_or_else(|e| panic!("{when}: {e}")),
                }
            }
            // Another opens it, as the next command does, and tidies.
            let _ = Engine::open(&options(&self.host.dir.path().display().to_string())).unwrap();
            let now = Listing::of(self.host.dir.path(), &self.parent);
            if now == self.clean {
                return;
            }
            assert!(Instant::now() < deadline, "{when}: left: {now:#?}");
            std::thread::yield_now();
        }
    }

    fn container(&self) -> RunOptions {
        sleeper(&self.parent)
    }
}

fn options(dir: &str) -> sampan::EngineOptions {
    let at = |name: &str| Some(format!("{dir}/{name}"));
    let rung = std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| rung.parse().unwrap());
    sampan::EngineOptions { root: at("root"), run: at("run"), rung, ..Default::default() }
}

fn sleeper(parent: &str) -> RunOptions {
    let (name, stop_signal) = (Some("victim".into()), Some("KILL".into()));
    RunOptions { name, stop_signal, ..limited(parent, &["sleep", "1000"]) }
}

fn limited(parent: &str, args: &[&str]) -> RunOptions {
    RunOptions { cgroup_parent: Some(parent.into()), ..command(args) }
}

#[test]
fn victim() {
    // Runs only as a child of the tests below.
    let Ok(operation) = std::env::var("SAMPAN_VICTIM") else { return };
    let variable = |name: &str| std::env::var(name).unwrap();
    let (dir, parent) = (variable("SAMPAN_VICTIM_DIR"), variable("SAMPAN_VICTIM_PARENT"));
    let engine = Engine::open(&options(&dir)).unwrap();
    engine.info().unwrap();
    let (mut quiet, cancel) = (Quiet, Cancel::new());
    let named = || sleeper(&parent);
    begin();
    let done = match operation.as_str() {
        "run" => engine.run(&limited(&parent, &["true"]), &mut quiet, &cancel).map(drop),
        "spawn" => engine.spawn(&named(), &Stdio::default(), &mut quiet, &cancel).map(drop),
        "tied" => {
            engine.spawn(&RunOptions { tie: Tie::Host, ..named() }, &Stdio::default(), &mut quiet, &cancel).map(drop)
        }
        "create" => engine.create(&named(), &mut quiet, &cancel).map(drop),
        "start" => engine.container("victim").unwrap().start(&Stdio::default(), &cancel),
        "stop" => engine.container("victim").unwrap().stop(&StopOptions { timeout: Some(0.0), signal: None }, &cancel),
        "remove" => engine.container("victim").unwrap().remove(&RemoveOptions { force: true, volumes: true }),
        "look" => looked_at(&engine, "/bin"),
        "copy" => {
            let container = engine.container("victim").unwrap();
            container.copy_to(&format!("{dir}/root/oci-layout"), "/tmp/new", &CopyOptions::default(), &cancel)
        }
        other => panic!("{other}"),
    };
    if let Err(error) = done {
        eprintln!("{operation}: {error}");
        std::process::exit(REFUSED);
    }
}

fn looked_at(engine: &Engine, path: &str) -> sampan::Result<()> {
    let container = engine.container("victim").unwrap();
    container.path_stat(path, &CopyOptions::default(), &Cancel::new()).map(drop)
}

fn created(scene: &Scene) {
    scene.host.engine.create(&scene.container(), &mut Quiet, &Cancel::new()).unwrap();
}

fn running(scene: &Scene) {
    scene.host.spawn(scene.container()).unwrap();
}

/// Kills at every step, of which there must be so many: fewer, and the call did not do what it is there for.
fn at_every_step(scene: &Scene, operation: &str, role: Role, least: usize, prepare: impl Fn(&Scene)) {
    let steps = scene.kill_at_every_step(operation, role, prepare);
    assert!(steps >= least, "{operation}: only {steps} steps of the {role:?} were seen");
}

#[test]
fn the_shim_is_killed_at_every_step_of_a_run() {
    at_every_step(&Scene::new("shim"), "run", Role::Shim, 30, |_| {});
}

#[test]
fn the_first_process_is_killed_at_every_step_of_a_run() {
    at_every_step(&Scene::new("init"), "run", Role::Init, 30, |_| {});
}

#[test]
fn the_host_is_killed_at_every_step_of_a_run() {
    at_every_step(&Scene::new("host"), "run", Role::Host, 30, |_| {});
}

#[test]
fn the_host_is_killed_at_every_step_of_a_tied_start() {
    at_every_step(&Scene::new("tied"), "tied", Role::Host, 30, |_| {});
}

#[test]
fn the_host_is_killed_at_every_step_of_create_start_stop_and_remove() {
    let scene = Scene::new("verbs");
    at_every_step(&scene, "create", Role::Host, 9, |_| {});
    at_every_step(&scene, "start", Role::Host, 20, created);
    at_every_step(&scene, "stop", Role::Host, 12, running);
    at_every_step(&scene, "remove", Role::Host, 30, running);
}

/// Of one that runs, and of one that does not, whose root file system the helper makes for itself.
#[test]
fn the_host_and_the_helper_are_killed_at_every_step_of_a_copy() {
    let scene = Scene::new("copy");
    for prepare in [created as fn(&Scene), running] {
        at_every_step(&scene, "look", Role::Host, 12, prepare);
        at_every_step(&scene, "copy", Role::Shim, 12, prepare);
    }
}

/// What shares the host's process ids with the shim does not end with it: whoever comes by ends it. Root alone has a
/// cgroup here, unless it is delegated; a plain user's are found by their root file system.
#[test]
fn what_shares_the_hosts_process_ids_ends_with_the_next_look() {
    let scene = Scene::new("pids");
    let looks: [(&str, Look); 5] = [
        ("wait", |_, container| assert_eq!(container.wait(Some(30.0), &Cancel::new()).unwrap().code, 137)),
        ("inspect", |_, container| common::until("its end", || container.inspect().unwrap().status == Status::Dead)),
        ("list", |scene, _| common::until("its end", || listed(scene) == [Status::Dead])),
        ("copy", |_, container| drop(container.open("/etc/made", "w", &Cancel::new()).unwrap())),
        ("stop", |_, container| container.stop(&StopOptions::default(), &Cancel::new()).unwrap()),
    ];
    for (how, look) in looks {
        let container = orphaned(&scene);
        look(&scene, &container);
        let left = Listing::of(scene.host.dir.path(), &scene.parent);
        assert!(left.processes.is_empty() && left.cgroups == scene.clean.cgroups, "{how}: {left:#?}");
        container.remove(&RemoveOptions::default()).unwrap();
        assert_eq!(Listing::of(scene.host.dir.path(), &scene.parent), scene.clean);
    }
    orphaned(&scene).remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    assert_eq!(Listing::of(scene.host.dir.path(), &scene.parent), scene.clean);
}

/// A change of its user takes the signal away that it would die by with its shim: it runs on, and whoever comes by ends it.
#[test]
fn what_has_taken_its_death_signal_back_ends_with_the_next_look() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let scene = Scene::new("signal");
    let looks: [(&str, Look); 4] = [
        ("wait", |_, container| assert_eq!(container.wait(Some(30.0), &Cancel::new()).unwrap().code, 137)),
        ("inspect", |_, container| assert_eq!(container.inspect().unwrap().status, Status::Dead)),
        ("list", |scene, _| assert_eq!(listed(scene), [Status::Dead])),
        ("stop", |_, container| container.stop(&StopOptions::default(), &Cancel::new()).unwrap()),
    ];
    for (how, look) in looks {
        let (container, first) = outliving(&scene);
        look(&scene, &container);
        assert!(!runs(first), "{how}");
        container.remove(&RemoveOptions::default()).unwrap();
    }
    let (container, first) = outliving(&scene);
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert!(!runs(first), "start");
    container.remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    let (container, first) = outliving(&scene);
    container.remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    assert!(!runs(first), "remove");
    assert_eq!(Listing::of(scene.host.dir.path(), &scene.parent), scene.clean);
}

/// A container that runs on without its shim, and its first process.
fn outliving(scene: &Scene) -> (sampan::Container, i32) {
    const SCRIPT: &str =
        "echo nobody:x:65534:65534::/:/bin/sh > /etc/passwd; exec su nobody -c 'echo up; exec sleep 1000'";
    let container = scene.host.spawn(limited(&scene.parent, &["sh", "-c", SCRIPT])).unwrap();
    assert_eq!(following(&container).next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    let first = container.inspect().unwrap().pid.unwrap();
    kill_shim(&container);
    assert!(runs(first), "it has ended with its shim");
    (container, first)
}

fn runs(pid: i32) -> bool {
    std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

/// Its end is what the stop waits for, and it doesn't end the rest.
#[test]
fn what_shares_the_hosts_process_ids_ends_with_a_stop_whose_shim_is_killed_meanwhile() {
    let scene = Scene::new("stop");
    let container = host_pids(&scene, "trap 'echo asked' TERM; setsid sleep 1000 & echo up; while :; do wait; done");
    let mut log = following(&container);
    assert_eq!(log.next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    std::thread::scope(|scope| {
        scope.spawn(|| container.stop(&StopOptions::default(), &Cancel::new()).unwrap());
        assert_eq!(log.next(&Cancel::new()).unwrap().unwrap().data, b"asked\n");
        kill_shim(&container);
    });
    let left = Listing::of(scene.host.dir.path(), &scene.parent);
    assert!(left.processes.is_empty() && left.cgroups == scene.clean.cgroups, "{left:#?}");
    container.remove(&RemoveOptions::default()).unwrap();
    assert_eq!(Listing::of(scene.host.dir.path(), &scene.parent), scene.clean);
}

/// Comes by and sees that it is dead.
type Look = fn(&Scene, &sampan::Container);

fn listed(scene: &Scene) -> Vec<Status> {
    let all = ListOptions { all: true, ..ListOptions::default() };
    scene.host.engine.containers(&all).unwrap().iter().map(|info| info.status).collect()
}

/// A container with the host's process ids whose shim was killed.
fn orphaned(scene: &Scene) -> sampan::Container {
    let container = host_pids(scene, "sleep 1000 & setsid sleep 1000 & echo up; wait");
    assert_eq!(following(&container).next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    kill_shim(&container);
    container
}

fn host_pids(scene: &Scene, script: &str) -> sampan::Container {
    let options = RunOptions { pid: Some("host".into()), ..limited(&scene.parent, &["sh", "-c", script]) };
    scene.host.spawn(options).unwrap()
}

fn following(container: &sampan::Container) -> sampan::LogStream {
    container.logs(&sampan::LogOptions { follow: true, ..Default::default() }).unwrap()
}

/// It is gone: until then whoever looks finds a container that runs.
fn kill_shim(container: &sampan::Container) {
    let shim = nix::unistd::Pid::from_raw(container.inspect().unwrap().shim_pid.unwrap());
    nix::sys::signal::kill(shim, nix::sys::signal::Signal::SIGKILL).unwrap();
    let status = format!("/proc/{shim}/status");
    common::until("its shim's end", || !std::fs::read_to_string(&status).is_ok_and(|s| !s.contains("State:\tZ")));
}

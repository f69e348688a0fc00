//! What a run costs, beside the floor and the peers, in one go: see `core/benches/README.md`.
//!
//! Prints medians, ratios and how they stand to their targets; it fails only where something can't be run. Peers
//! that take no part are named with the reason. Needs root, a C compiler and busybox.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../../tests/common/mod.rs"]
mod common;
#[path = "../../tests/common/listing.rs"]
mod listing;
mod machine;
mod many;
mod package;
mod peers;
mod race;

use std::path::Path;
use std::time::Duration;

use common::{Host, command};
use peers::Peers;
use race::{Race, Wanted, inside, target};
use sampan::{Cancel, ExecOptions, RemoveOptions, RunOptions};

const IDLE: Duration = Duration::from_millis(120);

const FLOOR: &str = "floor (the raw system calls)";
const RUST: &str = "sampan, in-process (Rust)";
const C: &str = "sampan, in-process (C, by dlopen)";
const PYTHON: &str = "sampan, in-process (Python)";
const COMMAND: &str = "sampan run --rm --network none";
const CRUN: &str = "crun run, a bare bundle";
const PODMAN: &str = "podman run --rm --network none";

fn runs(peers: &Peers<'_>, rounds: usize, gap: Duration) {
    println!(
        "\nrun of `true`, removed after; network none, seccomp, limits of memory, CPUs and processes; {}",
        pause(gap)
    );
    let mut race = Race::default();
    race.enter(FLOOR, peers.floor(false));
    race.enter("floor without seccomp, limits, capabilities", peers.floor(true));
    race.enter(RUST, inside(|| drop(peers.host.run(peers.options.clone()).unwrap())));
    race.enter(C, peers.c());
    race.enter(PYTHON, peers.python());
    race.enter(COMMAND, peers.command());
    race.enter_slow(CRUN, 2, peers.crun_run());
    race.enter_slow(PODMAN, 8, peers.podman_run());
    let results = race.run(rounds, gap);
    let of = |name| results.median(name);
    target("in-process (Rust) / floor", of(RUST) / of(FLOOR), "x", Wanted::AtMost(1.3));
    target("in-process (C) / floor", of(C) / of(FLOOR), "x", Wanted::AtMost(1.3));
    target("Python adds", of(PYTHON) - of(RUST), "ms", Wanted::AtMost(1.0));
    target("crun / the command", of(CRUN) / of(COMMAND), "x", Wanted::AtLeast(3.0));
    target("podman / the command", of(PODMAN) / of(COMMAND), "x", Wanted::AtLeast(18.0));
}

fn pause(gap: Duration) -> String {
    match gap.as_millis() {
        0 => "back to back".to_owned(),
        ms => format!("{ms} ms before each"),
    }
}

fn execs(peers: &Peers<'_>, rounds: usize, gap: Duration) {
    println!("\nexec of `true` in a running container; {}", pause(gap));
    let sleeping = RunOptions { command: command(&["sleep", "1000"]).command, ..peers.options.clone() };
    let container = peers.host.spawn(sleeping).unwrap();
    let options = ExecOptions { command: vec!["true".into()], ..ExecOptions::default() };
    let exec = || assert_eq!(container.exec(&options, &Cancel::new()).unwrap().code, 0);
    let mut race = Race::default();
    race.enter(RUST, inside(exec));
    race.enter(
        "sampan exec",
        peers.sampan().and_then(|mut command| {
            command.args(["exec", container.id(), "true"]);
            race::process(command)
        }),
    );
    let crun = peers.crun_exec();
    let (entry, _guard) = match crun {
        Ok((entry, guard)) => (entry, Some(guard)),
        Err(why) => (Err(why), None),
    };
    race.enter_slow("crun exec", 2, entry);
    let results = race.run(rounds, gap);
    target("in-process (Rust)", results.median(RUST), "ms", Wanted::AtMost(3.0));
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

/// In a mount namespace of our own: what podman mounts goes with it, and a hybrid host can be shown
/// without its cgroup2, which crun refuses when it has controllers.
fn apart() {
    use nix::mount::{MntFlags, MsFlags, mount, umount2};
    nix::sched::unshare(nix::sched::CloneFlags::CLONE_NEWNS).expect("needs root");
    mount(None::<&str>, "/", None::<&str>, MsFlags::MS_REC | MsFlags::MS_PRIVATE, None::<&str>).unwrap();
    if Path::new("/sys/fs/cgroup/unified").is_dir() {
        let _ = umount2("/sys/fs/cgroup/unified", MntFlags::MNT_DETACH);
    }
}

/// `SAMPAN_BENCH_ONLY` names some of: runs exec many package.
fn wanted(part: &str) -> bool {
    std::env::var("SAMPAN_BENCH_ONLY").map_or(true, |only| only.split([' ', ',']).any(|o| o == part))
}

fn main() {
    apart();
    let _guard = machine::Guard::new();
    let host = Host::new();
    let dir = tempfile::tempdir_in(host.dir.path()).unwrap();
    host.engine.pull(&common::image(), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    let limited = RunOptions { memory: Some(256 << 20), cpus: Some(2.0), pids_limit: Some(100), ..command(&["true"]) };
    let peers = Peers { host: &host, dir: dir.path(), options: &limited };
    machine::describe(host.dir.path(), &host.engine.info().unwrap().cgroup);
    machine::load("at the start");
    if wanted("runs") {
        runs(&peers, 41, IDLE);
        runs(&peers, 101, Duration::ZERO);
    }
    if wanted("exec") {
        execs(&peers, 51, Duration::from_millis(20));
        execs(&peers, 101, Duration::ZERO);
    }
    if wanted("many") {
        many::burst(&host, 30, 30, 300.0);
        many::burst(&host, 1000, 8, 150.0);
    }
    if wanted("package") {
        package::beginnings(&peers);
        package::sizes();
    }
    machine::load("at the end");
}

//! Freezing, watching and limiting running containers, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, cgroups, command, gone, text};
use sampan::{Cancel, Container, ExecOptions, Kind, RemoveOptions, RunOptions, Status, StopOptions, UpdateOptions};

fn exec(container: &Container, script: &str) -> String {
    let command = ["sh", "-c", script].map(String::from).to_vec();
    let out = container.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap();
    assert_eq!((text(&out.stderr).as_str(), out.code), ("", 0));
    text(&out.stdout).trim().to_owned()
}

/// The shell has set its trap and begun to sleep. Its own arguments speak of that too, so names are asked for.
fn in_its_loop(container: &Container) {
    exec(container, "until pidof sleep >/dev/null; do :; done");
}

#[test]
fn a_paused_container_stands_still() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.02; done"])).unwrap();
    in_its_loop(&container);
    assert_eq!(container.unpause().unwrap_err().kind(), Kind::Conflict);
    match container.pause(&Cancel::new()) {
        Ok(()) => {}
        // A plain user without a delegated cgroup.
        Err(e) => {
            assert!(e.kind() == Kind::Unsupported && e.hint_text().is_some() && !cgroups::can_pause(), "{e}");
            return gone(&host, &container);
        }
    }
    assert_eq!(container.inspect().unwrap().status, Status::Paused);
    assert_eq!(container.pause(&Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    let refused = ExecOptions { command: vec!["true".into()], ..ExecOptions::default() };
    assert_eq!(container.exec(&refused, &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    assert!(container.top().unwrap().iter().any(|p| p.command.contains("sleep 0.02")));
    container.unpause().unwrap();
    assert_eq!(container.inspect().unwrap().status, Status::Running);
    // One that is stopped or killed is let go for it.
    container.pause(&Cancel::new()).unwrap();
    container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 4);
    container.restart(&StopOptions::default(), &Cancel::new()).unwrap();
    container.pause(&Cancel::new()).unwrap();
    container.kill("KILL").unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().signal, Some(9));
    container.restart(&StopOptions::default(), &Cancel::new()).unwrap();
    container.pause(&Cancel::new()).unwrap();
    gone(&host, &container);
    assert_eq!(container.pause(&Cancel::new()).unwrap_err().kind(), Kind::NotFound);
}

#[test]
fn where_it_was_put_is_asked_of_its_record() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.02; done"])).unwrap();
    in_its_loop(&container);
    let state = state(&host, &container);
    let path = host.dir.path().join("root/containers").join(container.id()).join("state.json");
    let groups = state["cgroups"].clone();
    let all: Vec<&str> =
        groups["v1"].as_object().unwrap().values().chain([&groups["v2"]]).filter_map(|d| d.as_str()).collect();
    for dir in &all {
        let procs = std::fs::read_to_string(format!("{dir}/cgroup.procs")).unwrap();
        assert!(procs.lines().any(|pid| pid.parse::<i64>().ok() == state["pid"].as_i64()), "{dir}: {procs}");
    }
    if all.is_empty() {
        return gone(&host, &container);
    }
    // Elsewhere there is nothing to be frozen: what can't be thawed is stopped all the same.
    let elsewhere = serde_json::json!({"v1": {"freezer": "/nowhere"}, "v2": null});
    let mut moved = state.clone();
    moved["cgroups"] = elsewhere;
    std::fs::write(&path, moved.to_string()).unwrap();
    assert!(container.pause(&Cancel::new()).is_err());
    container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 4);
    gone(&host, &container);
}

fn state(host: &Host, container: &Container) -> serde_json::Value {
    let path = host.dir.path().join("root/containers").join(container.id()).join("state.json");
    serde_json::from_slice(&std::fs::read(path).unwrap()).unwrap()
}

/// What the kernel has in a container's cgroups.
fn limits(host: &Host, container: &Container) -> Vec<String> {
    const V1: [(&str, &str); 5] = [
        ("memory", "memory.limit_in_bytes"),
        ("memory", "memory.soft_limit_in_bytes"),
        ("cpu", "cpu.cfs_quota_us"),
        ("cpu", "cpu.shares"),
        ("pids", "pids.max"),
    ];
    const V2: [&str; 5] = ["memory.max", "memory.low", "cpu.max", "cpu.weight", "pids.max"];
    let groups = &state(host, container)["cgroups"];
    let files: Vec<String> = match groups["v2"].as_str() {
        Some(dir) => V2.iter().map(|file| format!("{dir}/{file}")).collect(),
        None => V1.iter().map(|(c, file)| format!("{}/{file}", groups["v1"][c].as_str().unwrap())).collect(),
    };
    files.iter().map(|file| std::fs::read_to_string(file).unwrap().trim().to_owned()).collect()
}

#[test]
fn limits_are_taken_away_while_it_runs() {
    let host = Host::new();
    let limited = RunOptions {
        memory: Some(32 << 20),
        memory_reservation: Some(16 << 20),
        cpus: Some(0.5),
        cpu_shares: Some(512),
        pids_limit: Some(5),
        ..command(&["sleep", "1000"])
    };
    let container = match host.spawn(limited) {
        Ok(container) => container,
        Err(e) => {
            return assert_eq!((e.kind(), cgroups::can_limit()), (Kind::UnenforceableLimit, false), "{e}");
        }
    };
    let none = UpdateOptions {
        memory: Some(0),
        memory_reservation: Some(0),
        cpus: Some(0.0),
        cpu_shares: Some(0),
        pids_limit: Some(-1),
        ..Default::default()
    };
    container.update(&none).unwrap();
    let unlimited = host.spawn(command(&["sleep", "1000"])).unwrap();
    assert_eq!(limits(&host, &container), limits(&host, &unlimited));
    unlimited.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    gone(&host, &container);
}

#[test]
fn processes_are_seen_from_outside() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "sleep 801 & exec sleep 800"])).unwrap();
    exec(&container, "until [ $(ps -o args | grep -cx 'sleep 80[01]') = 2 ]; do sleep 0.02; done");
    let found = container.top().unwrap();
    let commands: Vec<&str> = found.iter().map(|p| p.command.as_str()).collect();
    assert_eq!(commands, ["sleep 800", "sleep 801"]);
    let init = container.inspect().unwrap().pid.unwrap();
    assert_eq!((found[0].pid, found[1].ppid, found[0].tty.as_str()), (init, init, "?"));
    assert!(found.iter().all(|p| p.memory > 0 && p.uid == nix::unistd::getuid().as_raw()), "{found:?}");
    container.kill("KILL").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    assert_eq!(container.top().unwrap_err().kind(), Kind::Conflict);
    gone(&host, &container);
}

#[test]
fn what_is_used_is_counted() {
    let host = Host::new();
    let limited = RunOptions { memory: Some(64 << 20), best_effort: true, ..command(&["sleep", "1000"]) };
    let container = host.spawn(limited).unwrap();
    let before = container.stats().unwrap();
    exec(&container, "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done");
    let after = container.stats().unwrap();
    assert_eq!((after.id.as_str(), after.network_received, after.network_sent), (container.id(), Some(0), Some(0)));
    if container.inspect().unwrap().unenforced.is_empty() {
        assert!(after.cpu_nanoseconds > before.cpu_nanoseconds && before.cpu_nanoseconds.is_some());
        assert_eq!((after.memory_limit, after.pids), (64 << 20, Some(1)));
        assert!(after.memory.is_some_and(|bytes| bytes > 0 && bytes < 64 << 20), "{after:?}");
    } else {
        // Nobody counts for a plain user without a cgroup.
        assert!(!cgroups::can_limit(), "{:?}", container.inspect().unwrap().unenforced);
        assert!(after.memory_limit > 64 << 20 && after.pids.is_none());
    }
    container.kill("KILL").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    assert_eq!(container.stats().unwrap_err().kind(), Kind::Conflict);
    gone(&host, &container);
}

#[test]
fn limits_change_while_it_runs_and_stay_changed() {
    let host = Host::new();
    let limited = RunOptions { memory: Some(32 << 20), pids_limit: Some(50), ..command(&["sleep", "1000"]) };
    let container = match host.spawn(limited) {
        Ok(container) => container,
        Err(e) => {
            return assert_eq!((e.kind(), cgroups::can_limit()), (Kind::UnenforceableLimit, false), "{e}");
        }
    };
    let more = UpdateOptions { memory: Some(128 << 20), pids_limit: Some(5), cpus: Some(0.5), ..Default::default() };
    container.update(&more).unwrap();
    assert_eq!(container.stats().unwrap().memory_limit, 128 << 20);
    let forks =
        "(for i in 1 2 3 4 5 6 7 8; do sleep 1000 >/dev/null 2>&1 & done) 2>/dev/null && echo all || echo refused";
    assert_eq!(exec(&container, forks), "refused");
    let error = container.update(&UpdateOptions { memory: Some(1), ..Default::default() }).unwrap_err();
    assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("memory"), "{error}");
    container.restart(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    assert_eq!(container.stats().unwrap().memory_limit, 128 << 20);
    assert_eq!(container.inspect().unwrap().options.cpus, Some(0.5));
    container.update(&UpdateOptions { pids_limit: Some(-1), memory: Some(64 << 20), ..Default::default() }).unwrap();
    assert_eq!(container.stats().unwrap().memory_limit, 64 << 20);
    assert_eq!(exec(&container, forks), "all");
    gone(&host, &container);
}

/// In the place of an update that has begun while the container did not run yet.
#[test]
fn a_start_has_the_limits_of_an_update_that_came_first() {
    if !cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let container = host.engine.create(&command(&["sleep", "1000"]), &mut sampan::Quiet, &Cancel::new()).unwrap();
    let dir = host.dir.path().join("root/containers").join(container.id());
    let lock_path = dir.join("record.lock");
    let lock = std::fs::File::options().create(true).truncate(false).write(true).open(&lock_path).unwrap();
    lock.lock().unwrap();
    std::thread::scope(|scope| {
        let starting = scope.spawn(|| container.start(&sampan::Stdio::default(), &Cancel::new()));
        // It waits, or doesn't care.
        common::until("the start", || opened(&lock_path) > 1 || starting.is_finished());
        let mut record: serde_json::Value =
            serde_json::from_slice(&std::fs::read(dir.join("record.json")).unwrap()).unwrap();
        record["spec"]["limits"]["memory"] = (64u64 << 20).into();
        std::fs::write(dir.join("record.json"), record.to_string()).unwrap();
        lock.unlock().unwrap();
        starting.join().unwrap().unwrap();
    });
    assert_eq!(container.stats().unwrap().memory_limit, 64 << 20);
    gone(&host, &container);
}

/// How often this process has a file open.
fn opened(path: &std::path::Path) -> usize {
    let open = std::fs::read_dir("/proc/self/fd").unwrap().flatten();
    open.filter(|entry| std::fs::read_link(entry.path()).is_ok_and(|target| target == path)).count()
}

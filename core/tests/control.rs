//! Freezing, watching and limiting running containers, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, cgroups, command, text};
use sampan::{Cancel, Container, ExecOptions, Kind, RemoveOptions, RunOptions, Status, StopOptions, UpdateOptions};

fn exec(container: &Container, script: &str) -> String {
    let command = ["sh", "-c", script].map(String::from).to_vec();
    let out = container.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap();
    assert_eq!((text(&out.stderr).as_str(), out.code), ("", 0));
    text(&out.stdout).trim().to_owned()
}

fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_paused_container_stands_still() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "trap 'exit 4' TERM; while :; do sleep 0.02; done"])).unwrap();
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
fn processes_are_seen_from_outside() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "sleep 801 & exec sleep 800"])).unwrap();
    exec(&container, "until ps | grep -q 'sleep 80[0]' && ps | grep -q 'sleep 80[1]'; do sleep 0.02; done");
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

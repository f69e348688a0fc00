//! Health checks, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, command, gone, until};
use sampan::{
    Cancel, Container, ContainerInfo, ExecOptions, Health, HealthStatus, Kind, RunOptions, Status, Stdio, StopOptions,
};

/// Runs for ever, and is checked so all the time.
fn checked(check: &str) -> RunOptions {
    RunOptions {
        health_cmd: Some(check.into()),
        health_interval: Some(0.02),
        health_retries: Some(2),
        ..command(&["sleep", "1000"])
    }
}

fn health(container: &Container) -> Health {
    container.inspect().unwrap().health.unwrap()
}

#[track_caller]
fn seen(container: &Container, what: &str, wanted: impl Fn(&ContainerInfo) -> bool) {
    until(what, || wanted(&container.inspect().unwrap()));
}

#[track_caller]
fn becomes(container: &Container, status: HealthStatus) -> Health {
    until(status.word(), || health(container).status == status);
    health(container)
}

fn exec(container: &Container, script: &str) -> String {
    let options = ExecOptions { command: vec!["sh".into(), "-c".into(), script.into()], ..Default::default() };
    common::text(&container.exec(&options, &Cancel::new()).unwrap().stdout)
}

#[test]
fn it_is_healthy_as_long_as_its_check_says_so() {
    let host = Host::new();
    let container = host.spawn(checked("cat /well && echo $GREETING")).unwrap();
    let found = becomes(&container, HealthStatus::Unhealthy);
    assert!(found.failing_streak >= 2 && !found.log.is_empty(), "{found:?}");
    let last = found.log.last().unwrap();
    assert!(last.exit_code == 1 && last.output.contains("can't open '/well'"), "{last:?}");
    assert!(last.started_at <= last.finished_at);
    let refused = container.wait_healthy(None, &Cancel::new()).unwrap_err();
    assert!(refused.kind() == Kind::Conflict && refused.to_string().contains("can't open"), "{refused}");
    exec(&container, "echo yes >/well");
    assert_eq!(becomes(&container, HealthStatus::Healthy).failing_streak, 0);
    container.wait_healthy(Some(0.0), &Cancel::new()).unwrap();
    seen(&container, "five results", |info| info.health.as_ref().unwrap().log.len() == 5);
    assert_eq!(health(&container).log.last().unwrap().exit_code, 0);
    container.stop(&StopOptions { timeout: Some(0.0), signal: None }, &Cancel::new()).unwrap();
    assert_eq!(health(&container).status, HealthStatus::Unhealthy);
    assert_eq!(container.wait_healthy(None, &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    container.wait_healthy(Some(60.0), &Cancel::new()).unwrap();
    gone(&host, &container);
}

#[test]
fn a_wait_begins_before_it_is_healthy() {
    let host = Host::new();
    let options =
        RunOptions { health_start_period: Some(1000.0), health_start_interval: Some(0.02), ..checked("test -e /well") };
    let container = host.spawn(RunOptions { health_interval: Some(1000.0), ..options }).unwrap();
    let late = container.wait_healthy(Some(0.0), &Cancel::new()).unwrap_err();
    assert_eq!(late.kind(), Kind::Timeout);
    std::thread::scope(|scope| {
        let wait = scope.spawn(|| container.wait_healthy(Some(60.0), &Cancel::new()));
        seen(&container, "failures", |info| info.health.as_ref().unwrap().log.len() == 5);
        assert_eq!((health(&container).status, health(&container).failing_streak), (HealthStatus::Starting, 0));
        exec(&container, "touch /well");
        wait.join().unwrap().unwrap();
    });
    gone(&host, &container);
    let plain = host.spawn(command(&["sleep", "1000"])).unwrap();
    assert_eq!(plain.wait_healthy(None, &Cancel::new()).unwrap_err().kind(), Kind::InvalidArgument);
    assert!(plain.inspect().unwrap().health.is_none());
    gone(&host, &plain);
}

#[test]
fn a_check_that_takes_too_long_is_killed_with_what_it_started() {
    let host = Host::new();
    let options =
        RunOptions { health_timeout: Some(0.05), ..checked("sleep 777 & setsid sleep 778 & echo on; sleep 779") };
    let container = host.spawn(RunOptions { health_interval: Some(0.5), ..options }).unwrap();
    let found = becomes(&container, HealthStatus::Unhealthy);
    let last = found.log.last().unwrap();
    assert!(last.exit_code == -1 && last.output.contains("longer than its 50 ms"), "{last:?}");
    until("their end", || !exec(&container, "ps").contains("sleep 77"));
    gone(&host, &container);
}

/// What ends with the container has found nothing.
#[test]
fn a_check_that_its_containers_end_cuts_short_does_not_count() {
    let host = Host::new();
    let options = RunOptions { health_retries: Some(1), ..checked("touch /on; exec sleep 1000") };
    let container = host.spawn(options).unwrap();
    for _ in 0..5 {
        exec(&container, "until [ -e /on ]; do sleep 0.02; done; rm /on");
        container.kill("KILL").unwrap();
        container.wait(Some(60.0), &Cancel::new()).unwrap();
        assert_eq!(health(&container).log.len(), 0, "{:?}", health(&container));
        container.start(&Stdio::default(), &Cancel::new()).unwrap();
    }
    gone(&host, &container);
}

#[test]
fn what_it_writes_is_kept_up_to_a_bound_and_as_text() {
    let host = Host::new();
    let script = r#"printf 'a"\\\t\001\377'; head -c 100000 /dev/zero | tr '\0' x"#;
    let container = host.spawn(checked(script)).unwrap();
    let found = becomes(&container, HealthStatus::Healthy);
    let output = &found.log[0].output;
    assert!(output.starts_with("a\"\\\t\u{1}\u{fffd}xxx"), "{:?}", &output[..20]);
    assert_eq!(output.chars().count(), 4096);
    gone(&host, &container);
}

#[test]
fn a_check_that_cannot_be_run_says_why() {
    let host = Host::new();
    let container = host.spawn(RunOptions { entrypoint: None, ..checked("exec /nosuch") }).unwrap();
    let found = becomes(&container, HealthStatus::Unhealthy);
    assert_eq!(found.log.last().unwrap().exit_code, 127);
    exec(&container, "mv /bin/sh /bin/other");
    until("a failure", || health(&container).log.last().unwrap().exit_code == -1);
    let output = health(&container).log.last().unwrap().output.clone();
    assert!(output.contains("/bin/sh") && output.to_lowercase().contains("no such file"), "{output}");
    // What is told of one is not kept beyond its place among the results.
    let streak = |more: u32| {
        let wanted = health(&container).failing_streak + more;
        until("more failures", || health(&container).failing_streak >= wanted);
    };
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    let pages = || {
        let statm = std::fs::read_to_string(format!("/proc/{shim}/statm")).unwrap();
        statm.split(' ').next().unwrap().parse::<u64>().unwrap()
    };
    streak(3);
    let before = pages();
    streak(20);
    assert_eq!(pages(), before);
    gone(&host, &container);
}

#[test]
fn each_start_begins_anew_and_a_paused_container_is_left_alone() {
    let host = Host::new();
    let script = "[ -e /x ] && exec sleep 1000; touch /x; while [ ! -e /go ]; do sleep 0.02; done; exit 1";
    let options = RunOptions { command: ["sh", "-c", script].map(str::to_owned).to_vec(), ..checked("touch /seen") };
    let container = host.spawn(RunOptions { restart: Some("always".into()), ..options }).unwrap();
    container.wait_healthy(Some(60.0), &Cancel::new()).unwrap();
    let _ = container
        .exec(&ExecOptions { command: vec!["touch".into(), "/go".into()], ..Default::default() }, &Cancel::new());
    seen(&container, "the second run", |info| info.status == Status::Running && info.restart_count == 1);
    container.wait_healthy(Some(60.0), &Cancel::new()).unwrap();
    let started = container.inspect().unwrap().started_at.unwrap();
    assert!(health(&container).log.iter().all(|probe| probe.started_at >= started));
    match container.pause(&Cancel::new()) {
        // Where there is no cgroup there is no pause.
        Err(e) => assert_eq!(e.kind(), Kind::Unsupported),
        Ok(()) => {
            let last = |container: &Container| health(container).log.last().map(|probe| probe.finished_at.clone());
            let before = last(&container);
            assert_eq!(container.inspect().unwrap().status, Status::Paused);
            assert_eq!(container.wait_healthy(Some(0.2), &Cancel::new()).map_err(|e| e.kind()), Ok(()));
            assert_eq!(last(&container), before);
            container.unpause().unwrap();
            until("another check", || last(&container) != before);
        }
    }
    gone(&host, &container);
}

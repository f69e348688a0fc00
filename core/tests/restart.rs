//! Restart policies, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs::File;
use std::os::fd::AsRawFd;

use common::{Host, command, gone, text, until};
use sampan::{
    Cancel, Container, ContainerInfo, ExecOptions, Kind, LogOptions, Mount, Quiet, RemoveOptions, RunOptions, Status,
    Stdio, StopOptions, UpdateOptions,
};

fn with(policy: &str, script: &str) -> RunOptions {
    RunOptions { restart: Some(policy.into()), ..command(&["sh", "-c", script]) }
}

fn wait(container: &Container) -> sampan::ExitStatus {
    container.wait(Some(60.0), &Cancel::new()).unwrap()
}

fn log(container: &Container) -> String {
    let mut log = container.logs(&LogOptions::default()).unwrap();
    let data: Vec<u8> = std::iter::from_fn(|| log.next(&Cancel::new()).unwrap()).flat_map(|entry| entry.data).collect();
    text(&data)
}

/// Waits until the container is as wanted, and returns how that is.
#[track_caller]
fn seen(container: &Container, what: &str, wanted: impl Fn(&ContainerInfo) -> bool) -> ContainerInfo {
    let mut found = container.inspect().unwrap();
    until(what, || {
        found = container.inspect().unwrap();
        wanted(&found)
    });
    found
}

fn exec(container: &Container, script: &str) {
    let options = ExecOptions { command: vec!["sh".into(), "-c".into(), script.into()], ..Default::default() };
    // The command may be what ends the container.
    let _ = container.exec(&options, &Cancel::new());
}

/// Runs until somebody makes `/go`, then ends with 5.
const UNTIL_TOLD: &str = "while [ ! -e /go ]; do sleep 0.02; done; rm /go; exit 5";

#[test]
fn failures_are_followed_by_so_many_starts() {
    let host = Host::new();
    let container = host.spawn(with("on-failure:2", "echo run; exit 3")).unwrap();
    let info = seen(&container, "the last end", |info| info.status == Status::Exited);
    assert_eq!((info.restart_count, info.exit.unwrap().code), (2, 3));
    assert_eq!(wait(&container).code, 3);
    assert_eq!(log(&container), "run\nrun\nrun\n");
    // A start by hand begins anew.
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    let info = seen(&container, "the last end", |info| info.status == Status::Exited);
    assert_eq!(info.restart_count, 2);
    gone(&host, &container);
    let container = host.spawn(with("on-failure", "exit 0")).unwrap();
    assert_eq!(wait(&container).code, 0);
    assert_eq!(container.inspect().unwrap().status, Status::Exited);
    gone(&host, &container);
}

#[test]
fn what_it_wrote_and_its_place_stay_from_run_to_run() {
    let host = Host::new();
    let script = "echo x >>/n; [ $(wc -l </n) -ge 3 ] || exit 1; echo up; exec sleep 1000";
    let options = RunOptions { init: true, hostname: Some("box".into()), ..with("on-failure", script) };
    let container = host.spawn(options).unwrap();
    let info = seen(&container, "the third run", |info| info.status == Status::Running && info.restart_count == 2);
    assert!(info.pid.is_some() && info.exit.is_none());
    until("its word", || log(&container) == "up\n");
    let options = ExecOptions { command: vec!["hostname".into()], ..Default::default() };
    assert_eq!(text(&container.exec(&options, &Cancel::new()).unwrap().stdout), "box\n");
    container.kill("KILL").unwrap();
    assert_eq!(wait(&container).code, 137);
    assert_eq!(container.inspect().unwrap().status, Status::Exited);
    gone(&host, &container);
}

#[test]
fn a_stop_is_the_end_of_it_also_between_two_runs() {
    let host = Host::new();
    let container = host.spawn(with("always", "exit 0")).unwrap();
    let stop = |container: &Container| container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    // From the fifth on the pauses are long enough to be met.
    let rests = |info: &ContainerInfo| info.status == Status::Restarting && info.restart_count >= 4;
    // Its end is noted right after its state.
    let info = seen(&container, "a pause", |info| rests(info) && info.exit.is_some());
    assert_eq!((info.pid, info.exit.as_ref().map(|exit| exit.code)), (None, Some(0)));
    let idle = container.top().unwrap_err();
    assert!(idle.kind() == Kind::Conflict && idle.to_string().contains("between two runs"), "{idle}");
    let refused = container.remove(&RemoveOptions::default()).unwrap_err();
    assert!(refused.kind() == Kind::Conflict && refused.to_string().contains("restarting"), "{refused}");
    let options = ExecOptions { command: vec!["true".into()], ..Default::default() };
    assert_eq!(container.exec(&options, &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    stop(&container);
    let info = container.inspect().unwrap();
    assert_eq!((info.status, info.pid), (Status::Exited, None));
    container.restart(&StopOptions::default(), &Cancel::new()).unwrap();
    seen(&container, "a further start", |info| info.restart_count == 1);
    container.kill("TERM").unwrap();
    seen(&container, "the end", |info| info.status == Status::Exited);
    gone(&host, &container);

    let container = host.spawn(with("unless-stopped", UNTIL_TOLD)).unwrap();
    exec(&container, "touch /go");
    seen(&container, "the second run", |info| info.status == Status::Running && info.restart_count == 1);
    container.stop(&StopOptions { timeout: Some(0.0), signal: None }, &Cancel::new()).unwrap();
    let info = container.inspect().unwrap();
    assert_eq!((info.status, info.restart_count), (Status::Exited, 1));
    gone(&host, &container);
}

/// The number of a process that is buried may be another's by then.
#[test]
fn between_two_runs_no_other_process_is_taken_for_its_own() {
    let host = Host::new();
    let stop = |container: &Container| container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    let remove = |container: &Container| {
        container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    };
    for (end, goes) in [(&stop as &dyn Fn(&Container), false), (&remove, true)] {
        let container = host.spawn(with("always", "exit 1")).unwrap();
        let pause = |info: &ContainerInfo| info.status == Status::Restarting && info.restart_count >= 5;
        seen(&container, "a pause", pause);
        let path = state(&host, &container);
        let mut told: serde_json::Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        assert_eq!((told["pid"].as_i64(), told["pid_start"].as_i64()), (Some(0), Some(0)));
        let mut stranger = std::process::Command::new("sleep").arg("1000").spawn().unwrap();
        told["pid"] = stranger.id().into();
        told["pid_start"] = start_time(stranger.id()).into();
        std::fs::write(&path, told.to_string()).unwrap();
        end(&container);
        assert_eq!(stranger.try_wait().unwrap(), None);
        stranger.kill().unwrap();
        stranger.wait().unwrap();
        if !goes {
            assert_eq!(container.inspect().unwrap().status, Status::Exited);
            remove(&container);
        }
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

/// Field 22 of `/proc/PID/stat`; see proc(5).
fn start_time(pid: u32) -> u64 {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).unwrap();
    stat.rsplit(')').next().unwrap().split(' ').nth(20).unwrap().parse().unwrap()
}

/// The word of a stop is there before the pause is over, but not read.
#[test]
fn a_stop_without_patience_is_heard_at_the_end_of_a_pause() {
    let host = Host::new();
    let container = host.spawn(with("always", "echo run; exit 1")).unwrap();
    seen(&container, "a pause", |info| info.status == Status::Restarting && info.restart_count >= 3);
    let shim = shim(&host, &container);
    let signal = |signal| nix::sys::signal::kill(shim, signal).unwrap();
    signal(nix::sys::signal::Signal::SIGSTOP);
    let runs = log(&container);
    let pause = std::time::Instant::now();
    until("the pause's end", || pause.elapsed() > std::time::Duration::from_secs(2));
    let again = host.engine.container(container.id()).unwrap();
    let stopped = std::thread::spawn(move || {
        again.stop(&StopOptions { timeout: Some(0.0), signal: None }, &Cancel::new()).unwrap();
    });
    until("the stop's end", || stopped.is_finished());
    stopped.join().unwrap();
    assert_eq!((container.inspect().unwrap().status, log(&container)), (Status::Exited, runs));
    gone(&host, &container);
}

/// Whether it runs or rests when it is asked: nothing may be left.
#[test]
fn a_forced_removal_meets_it_wherever_it_is() {
    let host = Host::new();
    for _ in 0..10 {
        let container = host.spawn(with("always", "exit 1")).unwrap();
        container.stop(&StopOptions { timeout: Some(0.0), signal: None }, &Cancel::new()).unwrap();
        gone(&host, &container);
        let container = host.spawn(with("always", "exit 1")).unwrap();
        gone(&host, &container);
    }
}

#[test]
fn a_wait_is_for_the_next_end() {
    let host = Host::new();
    let container = host.spawn(with("always", UNTIL_TOLD)).unwrap();
    assert_eq!(container.wait(Some(0.0), &Cancel::new()).unwrap_err().kind(), Kind::Timeout);
    for round in 1..=2 {
        std::thread::scope(|scope| {
            let waits = [0; 2].map(|_| scope.spawn(|| wait(&container)));
            exec(&container, "touch /go");
            waits.into_iter().for_each(|wait| assert_eq!(wait.join().unwrap().code, 5));
        });
        seen(&container, "the next run", |info| info.status == Status::Running && info.restart_count == round);
    }
    std::thread::scope(|scope| {
        let last = scope.spawn(|| wait(&container));
        until("the wait", || container.inspect().unwrap().status == Status::Running);
        container.stop(&StopOptions { timeout: Some(0.0), signal: None }, &Cancel::new()).unwrap();
        assert_eq!(last.join().unwrap().code, 137);
    });
    gone(&host, &container);
}

#[test]
fn streams_are_those_of_the_first_run_and_so_is_the_first_wait() {
    let host = Host::new();
    let out = host.dir.path().join("out");
    let file = File::create(&out).unwrap();
    let stdio = Stdio { stdout: Some(file.as_raw_fd()), ..Default::default() };
    let options = with("always", "echo x >>/n; echo run $(wc -l </n); exit $(wc -l </n)");
    let container = host.engine.spawn(&options, &stdio, &mut Quiet, &Cancel::new()).unwrap();
    seen(&container, "the third run", |info| info.restart_count >= 2);
    assert_eq!(wait(&container).code, 1);
    assert_eq!(std::fs::read_to_string(&out).unwrap(), "run 1\n");
    assert!(wait(&container).code >= 3);
    container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    assert!(log(&container).starts_with("run 1\nrun 2\nrun 3\n"));
    gone(&host, &container);
}

#[test]
fn signals_that_ask_for_no_end_leave_its_policy() {
    let host = Host::new();
    let script = "trap 'exit 6' HUP; touch /up; while :; do sleep 0.02; done";
    let container = host.spawn(with("always", script)).unwrap();
    exec(&container, "until [ -e /up ]; do sleep 0.02; done; rm /up");
    container.kill("HUP").unwrap();
    seen(&container, "the second run", |info| info.status == Status::Running && info.restart_count == 1);
    gone(&host, &container);
}

#[test]
fn what_makes_no_sense_is_refused_in_a_sentence() {
    let host = Host::new();
    let both = host.spawn(RunOptions { auto_remove: true, ..with("always", "true") }).unwrap_err();
    assert_eq!(both.kind(), Kind::InvalidArgument);
    assert!(both.to_string().contains("can't be started again") && both.to_string().contains("--rm"), "{both}");
    let waited = host.run(with("always", "true")).unwrap_err();
    assert!(waited.kind() == Kind::InvalidArgument && waited.to_string().contains("spawn it"), "{waited}");
    assert!(host.run(with("no", "true")).is_ok());
    let joins = RunOptions { network: Some("container:base".into()), ..with("always", "true") };
    let joins = host.spawn(joins).unwrap_err();
    assert!(joins.kind() == Kind::Unsupported && joins.to_string().contains("network namespace"), "{joins}");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_start_that_fails_is_told_and_is_the_last() {
    let host = Host::new();
    let source = host.dir.path().join("source");
    std::fs::create_dir(&source).unwrap();
    let mount = Mount { source: source.display().to_string(), target: "/mounted".into(), ..Default::default() };
    let container = host.spawn(RunOptions { mounts: vec![mount], ..with("always", UNTIL_TOLD) }).unwrap();
    std::fs::remove_dir(&source).unwrap();
    exec(&container, "touch /go");
    let info = seen(&container, "the last end", |info| info.status == Status::Exited);
    let exit = info.exit.unwrap();
    let error = exit.error.unwrap();
    assert_eq!((exit.code, info.restart_count), (128, 1), "{error}");
    let told = format!("mount source {}", source.display());
    assert!(error.contains(&told) && error.contains("no such file"), "{error}");
    gone(&host, &container);

    // What the init tells reaches the record too.
    let container = host.spawn(with("always", "rm -f /bin/sh; exit 1")).unwrap();
    let info = seen(&container, "the last end", |info| info.status == Status::Exited);
    let exit = info.exit.unwrap();
    assert_eq!(exit.code, 127);
    assert!(exit.error.as_deref().unwrap_or_default().contains("command \"sh\""), "{:?}", exit.error);
    gone(&host, &container);
}

#[test]
fn a_shim_that_is_killed_starts_nothing_more() {
    let host = Host::new();
    for wanted in [Status::Running, Status::Restarting] {
        let script = if wanted == Status::Running { "sleep 1000" } else { "exit 1" };
        let container = host.spawn(with("always", script)).unwrap();
        let info = seen(&container, "its state", |info| {
            info.status == wanted && (wanted == Status::Running || info.restart_count >= 4)
        });
        nix::sys::signal::kill(shim(&host, &container), nix::sys::signal::Signal::SIGKILL).unwrap();
        let code = if wanted == Status::Running { 137 } else { 1 };
        assert_eq!(wait(&container).code, code);
        let now = container.inspect().unwrap();
        assert!(matches!(now.status, Status::Dead | Status::Exited), "{:?}", now.status);
        assert_eq!(now.restart_count, info.restart_count);
        container.start(&Stdio::default(), &Cancel::new()).unwrap();
        gone(&host, &container);
    }
}

fn shim(host: &Host, container: &Container) -> nix::unistd::Pid {
    let told: serde_json::Value = serde_json::from_slice(&std::fs::read(state(host, container)).unwrap()).unwrap();
    nix::unistd::Pid::from_raw(told["shim_pid"].as_i64().unwrap() as i32)
}

fn state(host: &Host, container: &Container) -> std::path::PathBuf {
    host.dir.path().join("root/containers").join(container.id()).join("state.json")
}

/// No more is known of it than its processes, and another follows the one that is killed.
#[test]
fn one_that_is_damaged_is_removed_whatever_its_policy() {
    let host = Host::new();
    let container = host.spawn(with("always", "exec sleep 1000")).unwrap();
    std::fs::write(state(&host, &container).with_file_name("record.json"), "{").unwrap();
    gone(&host, &container);
}

#[test]
fn a_policy_is_changed_while_it_runs() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", UNTIL_TOLD])).unwrap();
    let update = |policy: &str| {
        let options = UpdateOptions { restart: Some(policy.into()), ..Default::default() };
        container.update(&options)
    };
    update("always").unwrap();
    exec(&container, "touch /go");
    seen(&container, "the second run", |info| info.status == Status::Running && info.restart_count == 1);
    assert_eq!(update("often").unwrap_err().kind(), Kind::InvalidArgument);
    update("no").unwrap();
    exec(&container, "touch /go");
    assert_eq!(wait(&container).code, 5);
    let info = container.inspect().unwrap();
    assert_eq!((info.status, info.options.restart.as_deref()), (Status::Exited, Some("no")));
    gone(&host, &container);
}

#[test]
fn each_run_has_a_terminal_of_its_own() {
    let host = Host::new();
    let options = RunOptions { tty: true, interactive: true, ..with("on-failure:2", "tty; exit 1") };
    let container = host.spawn(options).unwrap();
    seen(&container, "the last end", |info| info.status == Status::Exited);
    let terminals = log(&container);
    assert_eq!(terminals.matches("/dev/").count(), 3, "{terminals}");
    gone(&host, &container);
}

/// What was given to the first run is over with it: an input that is open waits for whoever joins.
#[test]
fn a_later_run_waits_for_its_input() {
    let host = Host::new();
    host.sh("true");
    std::fs::write(host.dir.path().join("input"), "one\n").unwrap();
    let input = File::open(host.dir.path().join("input")).unwrap();
    let stdio = Stdio { stdin: Some(input.as_raw_fd()), ..Default::default() };
    let options = RunOptions { interactive: true, ..with("on-failure:2", "read line; echo \"<$line>\"; exit 1") };
    let container = host.engine.spawn(&options, &stdio, &mut Quiet, &Cancel::new()).unwrap();
    for run in 1..=2 {
        seen(&container, "the next run", |info| info.status == Status::Running && info.restart_count == run);
        let mut joined = container.attach(true, &Cancel::new()).unwrap();
        std::io::Write::write_all(&mut File::from(joined.take_stdin().unwrap()), b"more\n").unwrap();
        assert_eq!(joined.wait(&Cancel::new()).unwrap().code, 1);
    }
    seen(&container, "the last end", |info| info.status == Status::Exited);
    assert_eq!(log(&container), "<one>\n<more>\n<more>\n");
    gone(&host, &container);
}

#[test]
fn readings_go_on_from_run_to_run_and_end_with_the_last() {
    let host = Host::new();
    let container = host.spawn(with("on-failure", "[ -e /stay ] && exec sleep 1000; exit 1")).unwrap();
    seen(&container, "a longer rest", |info| info.status == Status::Restarting && info.restart_count >= 4);
    let mut readings = container.stats_stream(0.05).unwrap();
    std::thread::scope(|scope| {
        let reads = scope.spawn(|| readings.next(&Cancel::new()));
        drop(container.open("/stay", "w", &Cancel::new()).unwrap());
        let reading = reads.join().unwrap().unwrap().expect("another run follows");
        assert_eq!(reading.id, container.id());
    });
    assert_eq!(container.inspect().unwrap().status, Status::Running);
    container.stop(&StopOptions { timeout: Some(0.0), ..Default::default() }, &Cancel::new()).unwrap();
    assert_eq!(readings.next(&Cancel::new()).unwrap(), None);
    gone(&host, &container);
}

/// Its shim has no more open, nor more memory, than after the first run.
#[test]
fn nothing_grows_from_run_to_run() {
    let host = Host::new();
    for tty in [false, true] {
        let container = host.spawn(RunOptions { tty, ..with("always", UNTIL_TOLD) }).unwrap();
        let shim = container.inspect().unwrap().shim_pid.unwrap();
        let mut first = None;
        for round in 1..=3 {
            exec(&container, "touch /go");
            seen(&container, "the next run", |i| i.status == Status::Running && i.restart_count == round);
            // An exec's place among the clients stays, so one comes before what is counted, and none beside another.
            settled(shim);
            exec(&container, "true");
            let first = first.get_or_insert_with(|| settled(shim));
            until(&format!("what the first run had: {first:?}, tty {tty}, round {round}"), || held(shim) == *first);
        }
        gone(&host, &container);
    }
}

/// The same a hundred times in a row: a client's end is told before all of it is closed.
fn settled(shim: i32) -> (usize, String) {
    let (mut now, mut same) = (held(shim), 0);
    until("rest", || {
        let next = held(shim);
        same = if next == now { same + 1 } else { 0 };
        now = next;
        same == 100
    });
    now
}

/// Open descriptors, where they can be seen, and mapped pages.
fn held(shim: i32) -> (usize, String) {
    let fds = std::fs::read_dir(format!("/proc/{shim}/fd")).map_or(0, Iterator::count);
    let statm = std::fs::read_to_string(format!("/proc/{shim}/statm")).unwrap();
    (fds, statm.split(' ').next().unwrap().to_owned())
}

#[test]
fn the_end_of_its_owner_ends_it_whether_it_runs_or_rests() {
    // What is another user's of the container only its user namespace can remove.
    const RESTS: &str = "mkdir -p /d && touch /d/f && chown -R 5:5 /d; exit 1";
    for script in ["exec sleep 1000", RESTS] {
        let host = Host::new();
        host.sh("true");
        let mut owner = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["--exact", "owner", "--nocapture"])
            .env("SAMPAN_OWNER_DIR", host.dir.path())
            .env("SAMPAN_OWNER_SCRIPT", script)
            .env("SAMPAN_TEST_IMAGE", common::image())
            .stdin(std::process::Stdio::piped())
            .stdout(std::process::Stdio::null())
            .spawn()
            .unwrap();
        let resting = script == RESTS;
        until("its container", || {
            let found = host.engine.container("owned").and_then(|container| container.inspect());
            found.is_ok_and(|info| info.started_at.is_some() && (!resting || info.restart_count >= 4))
        });
        owner.kill().unwrap();
        owner.wait().unwrap();
        until("the end", || host.left().is_empty());
    }
}

/// Runs only as a child of the test above, until that is done with it.
#[test]
fn owner() {
    let Some(dir) = std::env::var_os("SAMPAN_OWNER_DIR") else { return };
    let at = |name: &str| Some(std::path::Path::new(&dir).join(name).display().to_string());
    let rung = std::env::var("SAMPAN_TEST_RUNG").ok().map(|rung| rung.parse().unwrap());
    let options = sampan::EngineOptions { root: at("root"), run: at("run"), rung, ..Default::default() };
    let engine = sampan::Engine::open(&options).unwrap();
    let script = std::env::var("SAMPAN_OWNER_SCRIPT").unwrap();
    let owned = RunOptions {
        name: Some("owned".into()),
        tie: sampan::Tie::Host,
        stop_signal: Some("KILL".into()),
        ..with("always", &script)
    };
    engine.spawn(&owned, &Stdio::default(), &mut Quiet, &Cancel::new()).unwrap();
    let _ = std::io::Read::read(&mut std::io::stdin(), &mut [0]);
}

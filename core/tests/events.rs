//! What happens in a store, told to any process.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs;

use common::{Host, cgroups, command, gone, text};
use sampan::{
    Cancel, Container, Engine, EngineEvent, EventOptions, EventStream, ExecOptions, Kind, RemoveOptions, RunOptions,
    Status, Stdio, StopOptions,
};

fn kept(host: &Host, filters: &[&str]) -> Vec<EngineEvent> {
    let options = EventOptions {
        since: Some("0".into()),
        until: Some("0s".into()),
        filters: filters.iter().map(|f| f.to_string()).collect(),
    };
    let mut events = host.engine.events(&options).unwrap();
    std::iter::from_fn(|| events.next(&Cancel::new()).unwrap()).collect()
}

fn actions(events: &[EngineEvent]) -> Vec<&str> {
    events.iter().map(|event| event.action.as_str()).collect()
}

fn of(host: &Host, container: &Container) -> Vec<EngineEvent> {
    kept(host, &[&format!("container={}", container.id())])
}

fn next(events: &mut EventStream) -> EngineEvent {
    events.next(&Cancel::new()).unwrap().unwrap()
}

#[test]
fn a_watcher_hears_of_what_another_engine_does() {
    let host = Host::new();
    let mut watched =
        host.engine.events(&EventOptions { filters: vec!["type=container".into()], ..Default::default() }).unwrap();
    let other = Engine::open(&Host::options(&host.dir)).unwrap();
    let run = || other.run(&command(&["sh", "-c", "exit 7"]), &mut sampan::Quiet, &Cancel::new()).unwrap();
    std::thread::scope(|scope| {
        let output = scope.spawn(run);
        let events: Vec<EngineEvent> = (0..4).map(|_| next(&mut watched)).collect();
        assert_eq!(actions(&events), ["create", "start", "die", "destroy"]);
        let output = output.join().unwrap();
        assert!(events.iter().all(|event| event.id == output.id && event.attributes["image"] == common::image()));
        assert_eq!(
            (events[2].attributes["exitCode"].as_str(), events[2].attributes["execDuration"].as_str()),
            ("7", "0")
        );
        assert!(events.is_sorted_by(|a, b| a.time <= b.time));
    });
}

#[test]
fn a_life_in_docker_s_words() {
    let host = Host::new();
    let named = |name: &str| RunOptions { name: Some(name.into()), ..command(&["sleep", "1000"]) };
    let container = host.engine.create(&named("first"), &mut sampan::Quiet, &Cancel::new()).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    container.attach(false, &Cancel::new()).unwrap();
    container.rename("second").unwrap();
    let now = StopOptions { timeout: Some(0.0), ..StopOptions::default() };
    container.restart(&now, &Cancel::new()).unwrap();
    container.kill("KILL").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    container.remove(&RemoveOptions::default()).unwrap();
    let events = of(&host, &container);
    // One that ends by the first signal needs no second: a container without process ids of its own.
    let told: Vec<&str> = actions(&events).into_iter().filter(|action| *action != "kill").collect();
    assert_eq!(told, ["create", "start", "attach", "rename", "die", "stop", "start", "restart", "die", "destroy"]);
    assert_eq!(events.iter().find(|e| e.action == "rename").unwrap().attributes["oldName"], "first");
    let signals: Vec<&str> = events.iter().filter_map(|e| e.attributes.get("signal")).map(String::as_str).collect();
    assert!(signals.first() == Some(&"15") && signals.last() == Some(&"9"), "{signals:?}");
    // The shim, which was started by another name, tells the one that it has now.
    let dies: Vec<&EngineEvent> = events.iter().filter(|e| e.action == "die").collect();
    assert!(dies.iter().all(|e| e.attributes["name"] == "second" && e.attributes["exitCode"] == "137"), "{dies:?}");
}

#[test]
fn one_that_removes_itself_under_another_name_is_told_by_that() {
    let host = Host::new();
    let options = RunOptions {
        auto_remove: true,
        interactive: true,
        mounts: vec![sampan::Mount { kind: sampan::MountKind::Volume, target: "/data".into(), ..Default::default() }],
        ..command(&["cat"])
    };
    let container = host.spawn(options).unwrap();
    container.rename("renamed").unwrap();
    container.kill("KILL").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    let events = of(&host, &container);
    let last = events.last().unwrap();
    assert_eq!((last.action.as_str(), last.attributes["name"].as_str()), ("destroy", "renamed"));
    let volumes = kept(&host, &["type=volume"]);
    assert_eq!(actions(&volumes), ["create", "destroy"]);
    assert!(volumes[0].id == volumes[1].id && volumes.iter().all(|v| v.attributes["container"] == container.id()));
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn commands_and_what_becomes_of_them() {
    let host = Host::new();
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let exec = |args: &[&str]| {
        let command = args.iter().map(|a| a.to_string()).collect();
        container.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new())
    };
    exec(&["sh", "-c", "exit 3"]).unwrap();
    assert_eq!(exec(&["nosuch"]).unwrap_err().kind(), Kind::CommandNotFound);
    let command = vec!["sleep".to_owned(), "2000".to_owned()];
    container.exec_start(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap();
    container.kill("KILL").unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    let events = of(&host, &container);
    let begun: Vec<&str> = actions(&events).into_iter().filter(|a| a.starts_with("exec_start")).collect();
    assert_eq!(begun, ["exec_start: sh -c exit 3", "exec_start: nosuch", "exec_start: sleep 2000"]);
    let ends: Vec<&EngineEvent> = events.iter().filter(|e| e.action == "exec_die").collect();
    let codes: Vec<&str> = ends.iter().map(|e| e.attributes["exitCode"].as_str()).collect();
    assert_eq!(codes, ["3", "127", "137"]);
    for end in ends {
        let same = events.iter().filter(|e| e.attributes.get("execID") == end.attributes.get("execID"));
        assert_eq!(same.count(), 3, "{end:?}");
    }
    gone(&host, &container);
}

#[test]
fn want_of_memory_is_an_event() {
    if !cgroups::can_limit() {
        return;
    }
    let host = Host::new();
    let options = RunOptions { memory: Some(16 << 20), ..command(&["tail", "-c", "64m", "/dev/zero"]) };
    let container = host.spawn(options).unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    assert_eq!(actions(&of(&host, &container)), ["create", "start", "oom", "die"]);
    gone(&host, &container);
}

#[test]
fn each_run_of_a_restart_policy_is_told_with_its_own_kills() {
    let host = Host::new();
    let policy = |options| RunOptions { restart: Some("on-failure:1".into()), ..options };
    let ended = |options| {
        let container = host.spawn(policy(options)).unwrap();
        common::until("the second end", || container.inspect().unwrap().status == Status::Exited);
        let told: Vec<String> = of(&host, &container).into_iter().map(|event| event.action).collect();
        let kills = container.inspect().unwrap().oom_kills;
        gone(&host, &container);
        (told.join(" "), kills)
    };
    assert_eq!(ended(command(&["sh", "-c", "exit 6"])).0, "create start die start die");
    if cgroups::can_limit() {
        let hungry = RunOptions { memory: Some(16 << 20), ..command(&["tail", "-c", "64m", "/dev/zero"]) };
        assert_eq!(ended(hungry), ("create start oom die start oom die".to_owned(), Some(1)));
    }
}

#[test]
fn a_start_that_fails_and_a_shim_that_is_killed_are_told() {
    let host = Host::new();
    assert!(host.spawn(command(&["nosuch"])).is_err());
    assert_eq!(actions(&kept(&host, &["type=container"])), ["create", "destroy"]);
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    assert_eq!(actions(&of(&host, &container)), ["create", "start", "die"]);
    gone(&host, &container);
    let events = of(&host, &container);
    assert_eq!(actions(&events), ["create", "start", "die", "destroy"]);
    assert_eq!(events[2].attributes["exitCode"], "137");
}

/// By whoever watches: nobody else is there to tell of it.
#[test]
fn a_watcher_hears_of_a_killed_shim_at_once() {
    let host = Host::new();
    let before = host.spawn(command(&["sleep", "1000"])).unwrap();
    let options = EventOptions { filters: vec!["event=die".into()], ..Default::default() };
    let mut watched = [0; 2].map(|_| host.engine.events(&options).unwrap());
    let since = host.spawn(command(&["sleep", "1000"])).unwrap();
    std::thread::scope(|scope| {
        let watchers = watched.each_mut().map(|watched| scope.spawn(|| [next(watched), next(watched)]));
        for container in [&before, &since] {
            let shim = container.inspect().unwrap().shim_pid.unwrap();
            nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
        }
        for watcher in watchers {
            let told = watcher.join().unwrap();
            assert!(told.iter().all(|event| event.attributes["exitCode"] == "137"), "{told:?}");
            assert!([&before, &since].iter().all(|c| told.iter().any(|event| event.id == c.id())), "{told:?}");
        }
    });
    // Once, and once for each run.
    before.start(&Stdio::default(), &Cancel::new()).unwrap();
    before.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    gone(&host, &since);
    assert_eq!(actions(&of(&host, &before)), ["create", "start", "die", "start", "kill", "die", "destroy"]);
    assert_eq!(actions(&of(&host, &since)), ["create", "start", "die", "destroy"]);
}

/// More than are watched by a descriptor each.
#[test]
fn a_watcher_hears_of_killed_shims_whatever_their_number() {
    let host = Host::new();
    // Each container has a key, and a plain user may have 200.
    if host.engine.info().unwrap().rung != sampan::Rung::Root {
        return;
    }
    let sleeps = || RunOptions { network: Some("host".into()), ..command(&["sleep", "1000"]) };
    let mut containers: Vec<Container> = (0..260).map(|_| host.spawn(sleeps()).unwrap()).collect();
    containers.sort_by(|one, other| one.id().cmp(other.id()));
    let (filters, until) = (vec!["event=die".into()], Some("-60s".into()));
    let mut watched = host.engine.events(&EventOptions { filters, until, ..Default::default() }).unwrap();
    let kill = |container: &Container| {
        let shim = container.inspect().unwrap().shim_pid.unwrap();
        nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    };
    std::thread::scope(|scope| {
        let first = scope.spawn(|| next(&mut watched));
        kill(&containers[0]);
        assert_eq!(first.join().unwrap().id, containers[0].id());
    });
    let last: std::collections::BTreeSet<&str> = containers[256..].iter().map(Container::id).collect();
    containers[256..].iter().for_each(kill);
    let told = std::iter::from_fn(|| watched.next(&Cancel::new()).unwrap()).take(last.len());
    let told: Vec<String> = told.map(|event| event.id).collect();
    assert_eq!(told.iter().map(String::as_str).collect::<std::collections::BTreeSet<_>>(), last);
}

#[test]
fn images_are_told_of() {
    let host = Host::new();
    let image = host.engine.pull(&common::image(), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    host.engine.tag(&common::image(), "again:1").unwrap();
    host.engine.remove_image("again:1", &Default::default()).unwrap();
    host.engine.remove_image(&common::image(), &Default::default()).unwrap();
    let events = kept(&host, &["type=image"]);
    assert_eq!(actions(&events), ["pull", "tag", "untag", "untag", "delete"]);
    assert!(events[1..].iter().all(|event| event.id == image.id), "{events:?}");
}

/// The file that this machine's processes write.
fn file(host: &Host) -> std::path::PathBuf {
    let machine = fs::read_to_string("/etc/machine-id").unwrap_or_default();
    let name = if machine.trim().is_empty() { "local" } else { machine.trim() };
    host.dir.path().join("root/events").join(name)
}

#[test]
fn a_shim_puts_a_full_file_aside_and_a_follower_goes_on() {
    let host = Host::new();
    // Closed in what other tests start meanwhile, such as the registry, or the input would not end.
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let stdio = Stdio { stdin: Some(std::os::fd::AsRawFd::as_raw_fd(&read)), ..Stdio::default() };
    let container = host.engine.spawn(&command(&["cat"]), &stdio, &mut sampan::Quiet, &Cancel::new()).unwrap();
    drop(read);
    let mut follower = host.engine.events(&EventOptions::default()).unwrap();
    let full = fs::OpenOptions::new().append(true).open(file(&host)).unwrap();
    full.set_len(1 << 20).unwrap();
    drop(write);
    assert_eq!(next(&mut follower).action, "die");
    container.wait(None, &Cancel::new()).unwrap();
    assert!(file(&host).with_extension("1").exists() && !file(&host).exists());
    assert_eq!(actions(&of(&host, &container)), ["create", "start", "die"]);
    gone(&host, &container);
    assert_eq!(next(&mut follower).action, "destroy");
}

/// Neither a place that can't be written to nor a full disk is a reason for anything to fail.
#[test]
fn where_no_event_can_be_written_all_goes_on() {
    let host = Host::new();
    let events = host.dir.path().join("root/events");
    fs::remove_dir_all(&events).unwrap();
    assert_eq!(text(&host.sh("echo hello").stdout), "hello\n");
    // A directory where the file should be.
    fs::create_dir_all(file(&host)).unwrap();
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    gone(&host, &container);
    fs::remove_dir(file(&host)).unwrap();
    host.sh("true");
    assert_eq!(actions(&kept(&host, &[])), ["create", "start", "die", "destroy"]);
}

//! A container's life: create, start, stop, restart, kill, wait, rename, remove.

use crate::host::Host;

/// A container that ends at once when it is asked to.
const POLITE: &[&str] = &["box", "sh", "-c", "trap 'exit 0' TERM; echo up; while :; do sleep 0.05; done"];

fn status(host: &Host, name: &str) -> String {
    host.ok(&["inspect", "-f", "{{.status}}", name])
}

#[test]
fn created_started_stopped_removed() {
    let host = Host::new();
    let id = host.ok(&[&["create", "--name", "c"], POLITE].concat());
    assert_eq!(id.len(), 64);
    assert_eq!(status(&host, "c"), "created");
    assert_eq!(host.ok(&["start", "c"]), "c");
    assert_eq!(status(&host, "c"), "running");
    // To start what runs is no error, as with Docker.
    assert_eq!(host.ok(&["start", "c"]), "c");
    let mut log = host.start(&["logs", "-f", "c"]);
    assert_eq!(log.line(), "up");
    assert_eq!(host.ok(&["stop", "-t", "30", "c"]), "c");
    assert_eq!(log.end().code, 0);
    assert_eq!(status(&host, "c"), "exited");
    assert_eq!(host.ok(&["stop", "c"]), "c");
    assert_eq!(host.ok(&["rm", "c"]), "c");
    assert!(host.names().is_empty());
}

#[test]
fn a_deaf_container_is_killed_after_the_timeout() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "deaf", "box", "sh", "-c", "trap '' TERM; while :; do sleep 1; done"]);
    host.ok(&["stop", "--time=0", "deaf"]);
    assert_eq!(host.ok(&["wait", "deaf"]), "137");
}

#[test]
fn the_end_of_one_that_removes_itself_is_told_to_who_waits() {
    let host = Host::new();
    let script = "echo up; read line; exit 3";
    let mut runs = host.start_with_input(&["run", "-i", "--rm", "--name", "g", "box", "sh", "-c", script]);
    assert_eq!(runs.line(), "up");
    let waits = host.start(&["wait", "g"]);
    let opened = |file: std::io::Result<std::fs::DirEntry>| std::fs::read_link(file.ok()?.path()).ok();
    crate::common::until("the waiter", || {
        let mut open =
            std::fs::read_dir(format!("/proc/{}/fd", waits.child.id())).into_iter().flatten().filter_map(opened);
        open.any(|file| file.ends_with("exit.json.new"))
    });
    drop(runs.child.stdin.take());
    assert_eq!(runs.end().code, 3);
    let ended = waits.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "3\n"), "{}", ended.stderr);
}

#[test]
fn an_attached_start_has_the_streams_and_the_code() {
    let host = Host::new();
    host.ok(&["create", "-i", "--name", "c", "box", "sh", "-c", "cat; echo err >&2; exit 4"]);
    let ended = host.feed(&["start", "-a", "-i", "c"], b"in");
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (4, "in", "err\n"));
    // It can be started again.
    assert_eq!(host.feed(&["start", "-ai", "c"], b"more").stdout, "more");
    let ended = host.run(&["start", "-a", "c", "c"]);
    assert!(ended.code == 125 && ended.stderr.contains("only one"), "{ended:?}");
}

#[test]
fn a_restart_is_another_process() {
    let host = Host::new();
    host.ok(&[&["run", "-d", "--name", "c"], POLITE].concat());
    let pid = host.ok(&["inspect", "-f", "{{.pid}}", "c"]);
    assert_eq!(host.ok(&["restart", "-t", "30", "c"]), "c");
    assert_eq!(status(&host, "c"), "running");
    assert_ne!(host.ok(&["inspect", "-f", "{{.pid}}", "c"]), pid);
    host.ok(&["kill", "c"]);
    assert_eq!(host.ok(&["wait", "c"]), "137");
    // What does not run is started.
    host.ok(&["restart", "c"]);
    assert_eq!(status(&host, "c"), "running");
}

#[test]
fn signals_by_name_and_number() {
    let host = Host::new();
    for signal in ["KILL", "SIGKILL", "9", "kill"] {
        let id = host.ok(&["run", "-d", "box", "sleep", "60"]);
        assert_eq!(host.ok(&["kill", "-s", signal, &id]), id);
        assert_eq!(host.ok(&["wait", &id]), "137", "{signal}");
    }
    let ended = host.run(&["kill", "-s", "NONSENSE", "nobody"]);
    assert!(ended.code != 0 && !ended.stderr.is_empty(), "{ended:?}");
    let exited = host.ok(&["ps", "-aql"]);
    let ended = host.run(&["kill", &exited]);
    assert!(ended.code == 1 && ended.stderr.contains("not running"), "{ended:?}");
}

#[test]
fn one_waits_for_many() {
    let host = Host::new();
    let run = |name: &str, script: &str| host.ok(&["run", "-d", "--name", name, "box", "sh", "-c", script]);
    run("a", "exit 1");
    run("b", "exit 2");
    run("c", "exit 0");
    assert_eq!(host.ok(&["wait", "a", "b", "c", "a"]), "1\n2\n0\n1");
    let ended = host.run(&["wait", "a", "nobody", "b"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (1, "1\n2\n"));
    assert!(ended.stderr.contains("nobody"), "{ended:?}");
}

#[test]
fn a_wait_ends_with_the_container() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "60"]);
    let waiting = host.start(&["wait", "c"]);
    host.ok(&["kill", "c"]);
    let ended = waiting.end();
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "137\n"));
}

#[test]
fn another_name() {
    let host = Host::new();
    host.ok(&["create", "--name", "old", "box"]);
    host.ok(&["create", "--name", "taken", "box"]);
    assert_eq!(host.ok(&["rename", "old", "new"]), "");
    assert_eq!(host.names(), ["taken", "new"]);
    for (name, why) in [("taken", "taken"), ("bad name", "bad name"), ("", "")] {
        let ended = host.run(&["rename", "new", name]);
        assert!(ended.code != 0 && ended.stderr.contains(why), "{ended:?}");
    }
    assert_eq!(host.run(&["rename", "old", "x"]).code, 1);
}

#[test]
fn what_runs_is_removed_by_force_alone() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "60"]);
    let ended = host.run(&["rm", "c"]);
    assert!(ended.code == 1 && ended.stderr.contains("force"), "{ended:?}");
    assert_eq!(host.ok(&["rm", "-f", "c"]), "c");
    // By force, what is missing is no error.
    assert_eq!(host.run(&["rm", "-f", "c"]).code, 0);
    let ended = host.run(&["rm", "c"]);
    assert!(ended.code == 1 && ended.stderr.contains('c'), "{ended:?}");
}

#[test]
fn prune_takes_what_does_not_run() {
    let host = Host::new();
    host.ok(&["create", "--name", "idle", "box"]);
    host.ok(&["run", "-d", "--name", "busy", "box", "sleep", "60"]);
    // Asked first; no answer is a no.
    host.ok(&["container", "prune"]);
    assert_eq!(host.names(), ["busy", "idle"]);
    host.ok(&["container", "prune", "-f"]);
    assert_eq!(host.names(), ["busy"]);
}

#[test]
fn ids_may_be_shortened_while_they_are_unique() {
    let host = Host::new();
    let id = host.ok(&["create", "box"]);
    assert_eq!(host.ok(&["inspect", "-f", "{{.id}}", &id[..6]]), id);
    let ended = host.run(&["inspect", "--type", "container", "ffffffffffff"]);
    assert_eq!(ended.code, 1, "{ended:?}");
}

#[test]
fn the_long_words_are_the_same_commands() {
    let host = Host::new();
    host.ok(&["container", "run", "--rm", "box", "true"]);
    let id = host.ok(&["container", "create", "box"]);
    assert_eq!(host.ok(&["container", "ls", "-aq", "--no-trunc"]), id);
    assert_eq!(host.ok(&["container", "list", "-a", "--format={{.ID}}"]), id[..12]);
    assert_eq!(host.ok(&["container", "rm", &id]), id);
}

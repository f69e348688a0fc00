//! `exec`.

use crate::host::Host;

fn running() -> Host {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "-e", "OWN=1", "box", "sleep", "1000"]);
    host
}

#[test]
fn streams_and_exit_codes() {
    let host = running();
    let ended = host.run(&["exec", "c", "sh", "-c", "echo out; echo err >&2; exit 7"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (7, "out\n", "err\n"));
    let big = "x".repeat(1 << 20);
    assert_eq!(host.feed(&["exec", "-i", "c", "cat"], big.as_bytes()).stdout, big);
    assert_eq!(host.ok(&["exec", "c", "cat"]), "");
    assert_eq!(host.run(&["exec", "c", "nosuchcommand"]).code, 127);
    assert_eq!(host.run(&["exec", "c", "/etc/passwd"]).code, 126);
    assert_eq!(host.run(&["exec", "c", "sh", "-c", "kill -9 $$"]).code, 137);
    let stopped = host.ok(&["create", "box"]);
    let refused = host.run(&["exec", &stopped, "true"]);
    assert_eq!(refused.code, 1);
    assert!(refused.stderr.contains("not running but created"), "{refused:?}");
    assert_eq!(host.run(&["exec", "nobody", "true"]).code, 1);
}

#[test]
fn flags_are_docker_s() {
    let host = running();
    let file = host.path("env");
    std::fs::write(&file, "FILE=2\nBOTH=2\n").unwrap();
    let script = "echo $OWN $FILE $BOTH; pwd; id -u";
    let said =
        host.ok(&["exec", "--env-file", &file, "-e", "BOTH=3", "-w", "/tmp", "-u", "root", "c", "sh", "-c", script]);
    assert_eq!(said, "1 2 3\n/tmp\n0");
    // Dashes after the container are the command's.
    assert_eq!(host.ok(&["exec", "c", "echo", "-it", "--env"]), "-it --env");
    assert_eq!(host.ok(&["container", "exec", "c", "echo", "hi"]), "hi");
    assert_eq!(host.run(&["exec", "-it", "c", "sh"]).code, 125);
    let late = host.run(&["exec", "--timeout", "0.1", "c", "sleep", "1000"]);
    assert!(late.code == 1 && late.stderr.contains("time ran out"), "{late:?}");
}

#[test]
fn a_detached_command_goes_on() {
    let host = running();
    assert_eq!(host.ok(&["exec", "-d", "c", "sh", "-c", "echo unseen; touch /done"]), "");
    host.ok(&["exec", "c", "sh", "-c", "until test -e /done; do sleep 0.02; done"]);
}

#[test]
fn what_outlives_it_is_not_waited_for() {
    let host = running();
    assert_eq!(host.ok(&["exec", "c", "sh", "-c", "sleep 1000 & echo started"]), "started");
}

#[test]
fn a_detached_command_may_have_a_terminal() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    assert_eq!(host.ok(&["exec", "-d", "-t", "c", "sh", "-c", "tty >/said; test -t 1 && echo done >>/said"]), "");
    let said = || host.run(&["exec", "c", "cat", "/said"]).stdout;
    crate::common::until("its end", || said().ends_with("done\n"));
    assert!(said().starts_with("/dev/"), "{}", said());
}

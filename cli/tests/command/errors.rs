//! What a person gets to read who typed something wrong.

use crate::host::{Ended, Host, finish, sampan};

fn said(line: &str) -> Ended {
    finish(sampan(&line.split(' ').collect::<Vec<_>>()))
}

#[test]
fn a_slip_of_the_fingers_gets_a_suggestion() {
    for (line, suggestion) in [
        ("run --detatch box", "--detach"),
        ("ps --al", "--all"),
        ("iamges", "images"),
        ("containr ls", "container"),
        ("pull --plattform x y", "--platform"),
    ] {
        let ended = said(line);
        assert_eq!(ended.code, 125, "{line}: {ended:?}");
        assert!(ended.stderr.contains(&format!("'{suggestion}")), "{line}: {ended:?}");
        assert!(ended.stdout.is_empty());
    }
}

#[test]
fn docker_s_other_words_are_known_and_refused() {
    for (line, flag) in [
        ("run -p 80:80 nginx", "-p"),
        ("run -it -p8080:80 nginx", "-p"),
        ("run --publish=80:80 nginx", "--publish"),
        ("create --gpus all cuda", "--gpus"),
        ("run --dns 1.1.1.1 box", "--dns"),
    ] {
        let ended = said(line);
        assert_eq!(ended.code, 125, "{line}");
        assert!(ended.stderr.starts_with(&format!("sampan: {flag} is not supported yet: ")), "{line}: {ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{line}: {ended:?}");
    }
    for word in ["compose", "push", "login", "swarm"] {
        let ended = said(&format!("{word} x"));
        assert!(ended.code == 125 && ended.stderr.contains(&format!("`{word}`")), "{ended:?}");
    }
}

#[test]
fn a_bad_value_names_its_flag() {
    for (line, flag) in [
        ("run --rm=maybe box", "--rm"),
        ("run -m lots box", "--memory"),
        ("run --cpus many box", "--cpus"),
        ("run -v relative/path:/x box", "--volume"),
        ("run --ulimit nofile box", "--ulimit"),
        ("run --pull sometimes box", "--pull"),
        ("stop -t soon c", "--timeout"),
        ("completion csh", "csh"),
    ] {
        let ended = said(line);
        assert_eq!(ended.code, 125, "{line}: {ended:?}");
        assert!(ended.stderr.contains(flag), "{line}: {ended:?}");
    }
}

#[test]
fn what_is_missing_is_named() {
    for (line, word) in [("run", "IMAGE"), ("rm", "CONTAINER"), ("tag a", "NEW_NAME"), ("logs", "CONTAINER")] {
        let ended = said(line);
        assert!(ended.code == 125 && ended.stderr.contains(word), "{line}: {ended:?}");
    }
}

#[test]
fn options_that_can_t_be_honoured_are_refused_by_the_engine() {
    let host = Host::new();
    for (args, word) in [
        (&["--network", "nowhere"][..], "nowhere"),
        (&["--cap-add", "CAP_NONSENSE"], "NONSENSE"),
        (&["--sysctl", "kernel.panic=1"], "kernel.panic"),
        (&["--name", "bad name"], "bad name"),
        (&["--stop-signal", "SIGNONSENSE"], "NONSENSE"),
        (&["--platform", "nonsense"], "nonsense"),
        (&["--platform", "linux/s390x", "--pull=never"], "s390x"),
    ] {
        let ended = host.run(&[&["run", "--rm"], args, &["box", "true"]].concat());
        assert_eq!(ended.code, 125, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(word), "{args:?}: {ended:?}");
    }
}

#[test]
fn a_store_that_can_t_be_made() {
    let ended = said("--root /proc/nothing ps");
    assert!(ended.code == 1 && ended.stderr.contains("/proc/nothing"), "{ended:?}");
    assert_eq!(said("--root /proc/nothing run x").code, 125);
    assert_eq!(said("--rung moon ps").code, 125);
}

/// Scripts give what they have not set, and numbers below zero.
#[test]
fn empty_values_are_those_of_docker() {
    let host = Host::new();
    let empty = ["--hostname", "", "--platform", "", "--pull", "", "--cidfile", "", "--user", "", "--workdir", ""];
    let run = [&["run", "-d", "--name", "c", "--stop-timeout", "-1"], &empty[..], &["box", "sleep", "1000"]].concat();
    host.ok(&run);
    assert_eq!(host.ok(&["exec", "-u", "", "-w", "", "c", "sh", "-c", "pwd; id -u"]), "/\n0");
    let refused = host.run(&["exec", "-e", "", "c", "true"]);
    assert!(refused.code == 125 && refused.stderr.contains("has no name"), "{refused:?}");
    let refused = host.run(&["update", "c"]);
    assert!(refused.code == 1 && refused.stderr.contains("nothing is to be changed"), "{refused:?}");
    host.ok(&["stop", "-s", "KILL", "-t", "-1", "c"]);
    assert_eq!(host.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.CPUPerc}} {{.PIDs}}", "c"]), "c 0.00% 0");
}

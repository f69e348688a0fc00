//! `logs`: both streams, from where and until when one wants.

use crate::host::Host;

const SCRIPT: &str = "echo one; echo two >&2; echo three; printf 'no end'";

fn written() -> Host {
    let host = Host::new();
    host.ok(&["run", "--name", "c", "box", "sh", "-c", SCRIPT]);
    host
}

#[test]
fn the_streams_go_where_they_came_from() {
    let ended = written().run(&["logs", "c"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "one\nthree\nno end", "two\n"));
}

#[test]
fn the_last_lines() {
    let host = Host::new();
    host.ok(&["run", "--name", "c", "box", "printf", "one\\ntwo\\nno end"]);
    let last = |tail: &str| host.run(&["logs", tail, "c"]).stdout;
    assert_eq!(last("--tail=2"), "two\nno end");
    assert_eq!(last("-n1"), "no end");
    assert_eq!(last("--tail=0"), "");
    assert_eq!(last("--tail=all"), "one\ntwo\nno end");
    assert_eq!(last("--tail=-1"), "one\ntwo\nno end");
    assert_eq!(host.run(&["logs", "--tail", "few", "c"]).code, 125);
}

#[test]
fn times_are_shown_and_chosen_by() {
    let host = Host::new();
    host.ok(&["run", "--name", "c", "box", "sh", "-c", "echo one; sleep 0.01; echo two; sleep 0.01; echo three"]);
    let stamped = host.ok(&["logs", "-t", "c"]);
    let lines: Vec<(&str, &str)> = stamped.lines().map(|line| line.split_once(' ').unwrap()).collect();
    assert_eq!(lines.iter().map(|(_, text)| *text).collect::<Vec<_>>(), ["one", "two", "three"]);
    let (second, third) = (lines[1].0, lines[2].0);
    assert!(second.ends_with('Z') && second.len() == "2024-01-02T03:04:05.000000000Z".len(), "{second}");
    assert_eq!(host.ok(&["logs", "--since", second, "c"]), "two\nthree");
    assert_eq!(host.ok(&["logs", "--since", second, "--until", third, "c"]), "two");
    assert_eq!(host.ok(&["logs", "--since", "1h", "c"]), "one\ntwo\nthree");
    assert_eq!(host.ok(&["logs", "--until", "1h", "c"]), "");
    assert_eq!(host.ok(&["logs", "--since", "0", "--tail", "1", "c"]), "three");
    let ended = host.run(&["logs", "--since", "yesterday", "c"]);
    assert!(ended.code != 0 && ended.stderr.contains("yesterday"), "{ended:?}");
}

/// A program that pauses within a line: what it has written by then is noted by itself.
#[test]
fn a_line_in_parts_has_one_time_and_counts_once() {
    let host = Host::new();
    host.ok(&[
        "run",
        "--name",
        "c",
        "box",
        "sh",
        "-c",
        "printf Rea; sleep 0.3; echo dy; printf 'no '; sleep 0.3; printf end",
    ]);
    let stamped = host.ok(&["logs", "-t", "c"]);
    let texts: Vec<&str> = stamped.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(texts, ["Ready", "no end"]);
    assert_eq!(host.ok(&["logs", "--tail", "1", "c"]), "no end");
    let second = stamped.lines().last().unwrap().split_once(' ').unwrap().0;
    assert_eq!(host.ok(&["logs", "--since", second, "c"]), "no end");
    assert_eq!(host.ok(&["logs", "--until", second, "c"]), "Ready");
}

#[test]
fn following_shows_what_comes_and_ends_with_the_container() {
    let host = Host::new();
    host.ok(&[
        "run",
        "-d",
        "-i",
        "--name",
        "c",
        "box",
        "sh",
        "-c",
        "echo up; trap 'echo down; exit' TERM; while :; do sleep 0.05; done",
    ]);
    let mut log = host.start(&["logs", "--follow", "c"]);
    assert_eq!(log.line(), "up");
    host.ok(&["kill", "-s", "TERM", "c"]);
    assert_eq!(log.line(), "down");
    assert_eq!(log.end().code, 0);
    // What has ended is not waited for.
    assert_eq!(host.ok(&["logs", "-f", "--tail", "1", "c"]), "down");
}

#[test]
fn no_such_container() {
    let ended = Host::empty().run(&["logs", "nobody"]);
    assert!(ended.code == 1 && ended.stderr.contains("nobody"), "{ended:?}");
}

#[test]
fn bytes_pass_unchanged() {
    let host = Host::new();
    host.ok(&["run", "--name", "c", "box", "printf", "\\001\\377\\r\\n\\000x"]);
    let output = host.command(&["logs", "c"]).output().unwrap();
    assert_eq!(output.stdout, b"\x01\xff\r\n\0x");
}

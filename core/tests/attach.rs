//! Joining the streams of running containers, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::fs::File;
use std::io::{BufRead, BufReader, Read, Write};

use common::{Host, command, text};
use sampan::{Attachment, Cancel, Container, ExecOptions, Kind, LogOptions, RemoveOptions, RunOptions};

fn attach(container: &Container) -> Attachment {
    container.attach(true, &Cancel::new()).unwrap()
}

fn gone(host: &Host, container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

fn interactive(args: &[&str]) -> RunOptions {
    RunOptions { interactive: true, ..command(args) }
}

fn log(container: &Container) -> Vec<u8> {
    let mut log = container.logs(&LogOptions::default()).unwrap();
    std::iter::from_fn(|| log.next(&Cancel::new()).unwrap()).flat_map(|entry| entry.data).collect()
}

#[test]
fn two_join_and_each_has_all_that_comes_from_then_on() {
    let host = Host::new();
    let script = "read a; echo got $a; read b; echo also $b; echo err >&2; exit 5";
    let container = host.spawn(interactive(&["sh", "-c", script])).unwrap();
    let (mut one, mut two) = (attach(&container), attach(&container));
    let mut lines = BufReader::new(File::from(one.take_stdout().unwrap()));
    let mut line = String::new();
    // The end of one who joined is no end of the input.
    File::from(two.take_stdin().unwrap()).write_all(b"first\n").unwrap();
    lines.read_line(&mut line).unwrap();
    assert_eq!(line, "got first\n");
    let mut late = attach(&container);
    File::from(one.take_stdin().unwrap()).write_all(b"second\n").unwrap();
    let read = |fd: Option<std::os::fd::OwnedFd>| {
        let mut all = Vec::new();
        File::from(fd.unwrap()).read_to_end(&mut all).unwrap();
        text(&all)
    };
    assert_eq!(read(late.take_stdout()), "also second\n");
    assert_eq!(read(two.take_stdout()), "got first\nalso second\n");
    assert_eq!((read(two.take_stderr()), read(late.take_stderr())), ("err\n".to_owned(), "err\n".to_owned()));
    for joined in [&one, &two, &late] {
        assert_eq!(joined.wait(&Cancel::new()).unwrap().code, 5);
    }
    assert_eq!(container.attach(true, &Cancel::new()).unwrap_err().kind(), Kind::Conflict);
    gone(&host, &container);
}

/// Neither one that reads nothing nor one that has gone is in the way of the container, its log and the others.
#[test]
fn who_does_not_read_is_let_go() {
    let host = Host::new();
    let script = "read go; head -c 1000000 /dev/zero | tr '\\0' x; echo; echo done";
    let container = host.spawn(interactive(&["sh", "-c", script])).unwrap();
    let (idle, mut reader, gone_one) = (attach(&container), attach(&container), attach(&container));
    drop(gone_one);
    let mut go = File::from(reader.take_stdin().unwrap());
    let mut output = File::from(reader.take_stdout().unwrap());
    go.write_all(b"go\n").unwrap();
    let mut all = Vec::new();
    output.read_to_end(&mut all).unwrap();
    assert_eq!(all.len(), 1_000_000 + "\ndone\n".len());
    assert_eq!(reader.wait(&Cancel::new()).unwrap().code, 0);
    let dropped = idle.wait(&Cancel::new()).unwrap_err();
    assert_eq!(dropped.kind(), Kind::Conflict, "{dropped}");
    assert!(log(&container).len() >= 1_000_000);
    gone(&host, &container);
}

/// Who writes and goes has written: it is not lost with him what the container has not come to read yet.
#[test]
fn what_one_who_has_gone_has_written_is_read_later() {
    let host = Host::new();
    let script = "until [ -e /go ]; do sleep 0.05; done; head -c $0 >/got; touch /done; exec sleep 1000";
    // More than the container's pipe takes: the rest lies where it was written to.
    let written: String = (0..15_000).map(|line| format!("{line:07}\n")).collect();
    let size = written.len().to_string();
    let container = host.spawn(interactive(&["sh", "-c", script, &size])).unwrap();
    let mut joined = attach(&container);
    File::from(joined.take_stdin().unwrap()).write_all(written.as_bytes()).unwrap();
    drop(joined);
    let inside = |args: &[&str]| {
        let command = args.iter().map(|arg| (*arg).to_owned()).collect();
        container.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap()
    };
    inside(&["touch", "/go"]);
    common::until("what was written was lost", || inside(&["test", "-e", "/done"]).code == 0);
    assert!(inside(&["cat", "/got"]).stdout == written.as_bytes(), "it came in another order");
    gone(&host, &container);
}

#[test]
fn a_terminal_is_joined_with_its_size() {
    let host = Host::new();
    let options = RunOptions { tty: true, ..interactive(&["sh", "-c", "read go; stty size"]) };
    let container = host.spawn(options).unwrap();
    let mut joined = attach(&container);
    assert!(joined.take_stderr().is_none());
    joined.resize(12, 34).unwrap();
    File::from(joined.take_stdin().unwrap()).write_all(b"go\n").unwrap();
    let mut all = Vec::new();
    File::from(joined.take_stdout().unwrap()).read_to_end(&mut all).unwrap();
    assert!(text(&all).ends_with("12 34\r\n"), "{}", text(&all));
    gone(&host, &container);
}

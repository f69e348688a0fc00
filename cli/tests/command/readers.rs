//! Readers that go while a command writes to them: `sampan run … | head -1`.

use crate::common::until;
use crate::host::Host;

/// Writes without end; asked to end, it does.
const CHATTY: &[&str] = &["box", "sh", "-c", "trap 'exit 0' TERM; while :; do echo y; sleep 0.01; done"];

#[test]
fn a_foreground_without_a_reader_ends_and_its_container_goes_on() {
    let host = Host::new();
    let mut running = host.start(&[&["run", "--name", "c"], CHATTY].concat());
    assert_eq!(running.line(), "y");
    assert_eq!(running.unread().code(), 141);
    assert_eq!(host.ok(&["inspect", "-f", "{{.status}}", "c"]), "running");
    // Its log has all of it.
    let mut log = host.start(&["logs", "-f", "c"]);
    assert_eq!(log.line(), "y");
    assert_eq!(log.unread().code(), 0);
    host.ok(&["stop", "c"]);
    let mut again = host.start(&["start", "-a", "c"]);
    assert_eq!(again.line(), "y");
    assert_eq!(again.unread().code(), 141);
}

#[test]
fn what_was_there_for_the_command_alone_is_stopped() {
    let host = Host::new();
    for only in [&["--rm"][..], &["--tie", "host"], &["--rm", "-t"]] {
        let mut running = host.start(&[&["run"], only, CHATTY].concat());
        assert_eq!(running.line().trim_end(), "y");
        assert_eq!(running.unread().code(), 141, "{only:?}");
        until("the removal", || host.names().is_empty());
    }
}

#[test]
fn only_the_stream_that_nobody_reads_counts() {
    let host = Host::new();
    let script = "echo up; read line; echo err >&2; read line; exit 3";
    let mut running = host.start_with_input(&["run", "--rm", "-i", "box", "sh", "-c", script]);
    assert_eq!(running.line(), "up");
    let mut input = running.child.stdin.take().unwrap();
    std::io::Write::write_all(&mut input, b"go\n").unwrap();
    let unread = running.unread();
    drop(input);
    assert_eq!(unread.code(), 3);
}

#[test]
fn followers_of_what_is_silent_end_with_their_reader() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", "echo up; exec sleep 1000"]);
    let mut log = host.start(&["logs", "-f", "c"]);
    assert_eq!(log.line(), "up");
    assert_eq!(log.unread().code(), 0);
    let mut events = host.start(&["events", "--since", "1h", "--filter", "type=container"]);
    assert!(events.line().contains("create"));
    assert_eq!(events.unread().code(), 0);
}

#[test]
fn a_command_in_a_container_goes_on_without_its_client() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let script = "while :; do echo y || true; [ -e /stop ] && touch /stopped && exit; done";
    let mut running = host.start(&["exec", "c", "sh", "-c", script]);
    assert_eq!(running.line(), "y");
    assert_eq!(running.unread().code(), 141);
    host.ok(&["exec", "c", "touch", "/stop"]);
    until("its end", || host.run(&["exec", "c", "test", "-e", "/stopped"]).code == 0);
}

/// What nobody got is a failure, whatever the container made of it.
#[test]
fn output_for_which_there_is_no_room_is_told() {
    let host = Host::new();
    host.ok(&["create", "--name", "c", "box", "sh", "-c", "echo out; echo err >&2"]);
    for args in [&["run", "--rm", "box", "echo", "out"][..], &["start", "-a", "c"]] {
        let mut command = host.command(args);
        command.stdout(std::fs::File::create("/dev/full").unwrap());
        let output = command.stdin(std::process::Stdio::null()).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("write the output of") && said.contains("no space left on device"), "{said}");
    }
    assert_eq!(host.ok(&["logs", "c"]), "out");
}

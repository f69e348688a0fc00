//! Signals sent to the command go to its container.

use nix::sys::signal::Signal;

use crate::common::{cgroups, until};
use crate::host::Host;

/// Says when it is ready, then waits for a signal that it answers.
fn trap(signal: &str) -> String {
    format!("trap 'echo got {signal}; exit 7' {signal}; echo ready; while :; do sleep 0.05; done")
}

#[test]
fn signals_are_forwarded() {
    let host = Host::new();
    for (name, signal) in
        [("TERM", Signal::SIGTERM), ("INT", Signal::SIGINT), ("USR1", Signal::SIGUSR1), ("HUP", Signal::SIGHUP)]
    {
        let mut running = host.start(&["run", "--rm", "box", "sh", "-c", &trap(name)]);
        assert_eq!(running.line(), "ready");
        running.signal(signal);
        let ended = running.end();
        assert_eq!((ended.code, ended.stdout), (7, format!("got {name}\n")), "{}", ended.stderr);
    }
    assert!(host.names().is_empty());
}

#[test]
fn without_the_proxy_a_signal_ends_the_command_alone() {
    let host = Host::new();
    let mut running = host.start(&["run", "--name", "stays", "--sig-proxy=false", "box", "sh", "-c", &trap("TERM")]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    let status = running.child.wait().unwrap();
    assert_eq!(std::os::unix::process::ExitStatusExt::signal(&status), Some(15));
    assert_eq!(host.ok(&["inspect", "-f", "{{.status}}", "stays"]), "running");
}

#[test]
fn an_attached_start_forwards_too() {
    let host = Host::new();
    host.ok(&["create", "--name", "c", "box", "sh", "-c", &trap("TERM")]);
    let mut running = host.start(&["start", "-a", "c"]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGTERM);
    assert_eq!(running.end().code, 7);
}

#[test]
fn a_pull_is_ended_by_ctrl_c() {
    let host = Host::empty();
    // It takes connections and never answers.
    let silent = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let image = format!("{}/x:1", silent.local_addr().unwrap());
    let running = host.start(&["pull", &image]);
    let _connection = silent.accept().unwrap();
    running.signal(Signal::SIGINT);
    let ended = running.end();
    assert_eq!(ended.code, 130, "{ended:?}");
    assert_eq!(host.ok(&["images", "-q"]), "");
}

#[test]
fn a_killed_command_with_a_tie_takes_its_container_along() {
    let host = Host::new();
    let mut running =
        host.start(&["run", "--name", "tied", "--tie", "host", "--rm", "box", "sh", "-c", "echo ready; exec sleep 60"]);
    assert_eq!(running.line(), "ready");
    running.signal(Signal::SIGKILL);
    running.child.wait().unwrap();
    until("the removal", || host.names().is_empty());
}

#[test]
fn a_killed_command_with_a_tie_takes_its_paused_container_along() {
    let host = Host::new();
    let mut running = host.start(&["run", "--name", "tied", "--tie", "host", "box", "sh", "-c", &trap("TERM")]);
    assert_eq!(running.line(), "ready");
    let paused = host.run(&["pause", "tied"]);
    assert!(paused.code == 0 || !cgroups::can_pause(), "{paused:?}");
    running.signal(Signal::SIGKILL);
    running.child.wait().unwrap();
    until("the removal", || host.names().is_empty());
}

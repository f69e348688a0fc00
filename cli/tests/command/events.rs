//! `events`: what happens, to read back and to follow.

use nix::sys::signal::Signal;
use serde_json::Value;

use crate::host::Host;

const KEPT: [&str; 5] = ["events", "--since", "0", "--until", "0s"];

#[test]
fn what_has_happened_is_read_in_docker_s_forms() {
    let host = Host::new();
    let id = host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", "exit 3"]);
    assert_eq!(host.ok(&["wait", "c"]), "3");
    let kept = |more: &[&str]| host.ok(&[&KEPT, more].concat());
    let line = kept(&["--filter", "event=die"]);
    let rest = line.split_once(' ').unwrap().1;
    assert_eq!(rest, format!("container die {id} (execDuration=0, exitCode=3, image=box, name=c)"));
    let template = ["-f", "container=c", "--format", "{{.Type}} {{.Action}} {{.Actor.Attributes.name}}"];
    assert_eq!(kept(&template), "container create c\ncontainer start c\ncontainer die c");
    let json: Value = serde_json::from_str(&kept(&["-f", "event=die", "--format", "json"])).unwrap();
    assert_eq!((&json["Actor"]["ID"], &json["Actor"]["Attributes"]["exitCode"]), (&id.into(), &"3".into()));
    assert!(json["status"] == "die" && json["from"] == "box" && json["timeNano"].as_i64() > Some(0), "{json}");
    assert_eq!(host.ok(&["system", "events", "--since", "0", "--until", "0s", "-f", "type=volume"]), "");
    host.ok(&["rm", "c"]);
}

#[test]
fn what_happens_is_followed_from_another_process() {
    let host = Host::new();
    let format = ["events", "--since", "0", "-f", "type=container", "--format", "{{.Action}}"];
    let mut follower = host.start(&format);
    for name in ["one", "two"] {
        host.ok(&["run", "--rm", "--name", name, "box", "true"]);
        for action in ["create", "start", "die", "destroy"] {
            assert_eq!(follower.line(), action);
        }
    }
    follower.signal(Signal::SIGTERM);
    assert_eq!(follower.end().stdout, "");
}

#[test]
fn what_makes_no_sense_is_told() {
    let host = Host::empty();
    let refused = |args: &[&str], what: &str| {
        let ended = host.run(&[&["events"], args].concat());
        assert!(ended.code != 0 && ended.stderr.contains(what), "{ended:?}");
    };
    refused(&["-f", "colour=blue"], "container image volume type event label");
    refused(&["--since", "soon"], "is not a time");
    refused(&["--format", "{{.Type"], "{{.Type");
}

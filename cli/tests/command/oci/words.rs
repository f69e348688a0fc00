//! Flags and forms in runc's words.

use serde_json::json;

use super::{Bundle, is_root};

fn sleeping() -> Bundle {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    bundle
}

#[test]
fn a_further_process_has_more_than_the_container_where_it_is_asked_for() {
    if !is_root() {
        return;
    }
    let bundle = sleeping();
    let id = bundle.id();
    let sets = |flags: &[&str]| {
        let script =
            ["sh", "-c", "while read a b; do case $a in Cap*|NoNew*) echo $a$b;; esac; done </proc/self/status"];
        bundle.ok(&[&["exec"], flags, &[id.as_str()], &script].concat())
    };
    let (plain, more) = (sets(&[]), sets(&["--cap", "CAP_CHOWN", "--no-new-privs"]));
    let bits = |text: &str, set: &str| {
        u64::from_str_radix(text.lines().find_map(|line| line.strip_prefix(set)).unwrap(), 16).unwrap()
    };
    for (set, bit) in [("CapBnd:", 1), ("CapEff:", 1), ("CapPrm:", 1), ("CapInh:", 0), ("CapAmb:", 0)] {
        assert_eq!(bits(&more, set), bits(&plain, set) | bit, "{set}");
    }
    assert!(more.contains("NoNewPrivs:1"), "{more}");
    let groups = bundle.ok(&["exec", "-g", "5", "--additional-gids", "6", &id, "id", "-G"]);
    assert!(["5", "6"].iter().all(|gid| groups.split_whitespace().any(|word| word == *gid)), "{groups}");
    let unknown = bundle.oci(&["exec", "--cap", "CAP_HOPE", &id, "true"]);
    assert!(unknown.code == 255 && unknown.stderr.contains("no capability"), "{unknown:?}");
}

#[test]
fn an_exec_that_can_not_be_ends_with_another_number_than_commands_do() {
    let bundle = sleeping();
    let id = bundle.id();
    let none = bundle.oci(&["exec", &id]);
    assert!(none.code == 255 && none.stderr.contains("command: it is missing"), "{none:?}");
    assert_eq!(bundle.oci(&["exec", &id, "nosuchcommand"]).code, 255);
    assert_eq!(bundle.oci(&["exec", &id, "sh", "-c", "exit 1"]).code, 1);
    let process = bundle.path("process.json");
    std::fs::write(&process, json!({"args": ["id", "-u"], "cwd": "/", "env": null}).to_string()).unwrap();
    assert_eq!(bundle.ok(&["exec", "--process", &process, &id]), "0\n");
}

#[test]
fn a_process_in_a_paused_container_waits_with_it() {
    if !is_root() {
        return;
    }
    let bundle = sleeping();
    let id = bundle.id();
    bundle.ok(&["pause", &id]);
    assert!(bundle.oci(&["exec", &id, "true"]).stderr.contains("paused"));
    let mut command = bundle.command(&["exec", "--ignore-paused", &id, "sh", "-c", "exit 4"]);
    let mut waiting = command.stdin(std::process::Stdio::null()).spawn().unwrap();
    bundle.ok(&["resume", &id]);
    // The call may come to it only after that, which is no matter.
    assert_eq!(waiting.wait().unwrap().code(), Some(4));
}

#[test]
fn processes_are_shown_as_by_ps() {
    let bundle = sleeping();
    let id = bundle.id();
    let pid = bundle.state()["pid"].as_i64().unwrap().to_string();
    let table = bundle.ok(&["ps", &id]);
    let lines: Vec<&str> = table.lines().collect();
    assert!(lines.len() == 2 && lines[0].contains("PID") && lines[1].contains("sleep 1000"), "{table}");
    let chosen = bundle.ok(&["ps", &id, "-o", "pid,comm"]);
    let words: Vec<&str> = chosen.split_whitespace().collect();
    assert_eq!(words, ["PID", "COMMAND", &pid, "sleep"]);
    let blind = bundle.oci(&["ps", &id, "-o", "comm"]);
    assert!(blind.code == 1 && blind.stderr.contains("no column PID"), "{blind:?}");
}

#[test]
fn the_list_lines_up() {
    let bundle = sleeping();
    let list = bundle.ok(&["list"]);
    let [heading, line] = list.lines().collect::<Vec<_>>()[..] else { panic!("{list}") };
    assert_eq!(heading.find("STATUS"), line.find("running"), "{list}");
}

#[test]
fn what_can_not_be_made_is_told_with_its_cure() {
    let bundle = Bundle::new(&["true"], |_| {});
    let mount = |kind: &str, option: &str| json!([{"destination": "/new", "type": kind, "options": [option]}]);
    for (key, value, words) in [
        ("mounts", mount("nosuchfs", "rw"), "no file system of that type"),
        ("mounts", mount("tmpfs", "nosuchoption"), "check the mount's options"),
        ("root", json!({"path": "config.json"}), "bind the root directory"),
        ("root", json!({"path": "//"}), "root.path"),
        ("hooks", json!({"createRuntime": [{"path": "/bin/false"}]}), "another status than 0"),
    ] {
        let config = std::fs::read(bundle.path("config.json")).unwrap();
        bundle.change(|config| config[key] = value);
        let ended = bundle.create();
        assert!(ended.code == 1 && ended.stdout.contains(words), "{words}: {ended:?}");
        std::fs::write(bundle.path("config.json"), config).unwrap();
    }
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_configuration_without_namespaces_gets_none_put_in() {
    let bundle = Bundle::new(&["true"], |config| drop(config.as_object_mut().unwrap().remove("linux")));
    let ended = bundle.create();
    assert!(ended.code == 1 && ended.stdout.contains("linux.namespaces"), "{ended:?}");
    bundle.change(|config| config["root"] = json!({"readonly": true}));
    assert!(bundle.create().stdout.contains("root.path: it is missing"));
}

//! `ps` and `inspect`: tables, JSON, templates, filters.

use serde_json::Value;

use crate::host::Host;

/// One that failed, one that is new and one that runs, from old to new.
fn furnished() -> Host {
    let host = Host::new();
    assert_eq!(host.run(&["run", "--name", "failed", "-l", "app=web", "box", "sh", "-c", "exit 3"]).code, 3);
    host.ok(&["create", "--name", "fresh", "-l", "app=db", "box", "echo", "a  b"]);
    host.ok(&["run", "-d", "--name", "busy", "-l", "app=web", "--network", "none", "box", "sleep", "60"]);
    host
}

#[test]
fn a_table_as_docker_s() {
    let host = furnished();
    let table = host.ok(&["ps", "-a"]);
    let lines: Vec<&str> = table.lines().collect();
    let words: Vec<&str> = lines[0].split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert_eq!(words, ["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "PORTS", "NAMES"]);
    assert_eq!(lines.len(), 4);
    // Newest first, and every cell below its heading.
    let cell = |line: usize, heading: &str| &lines[line][lines[0].find(heading).unwrap()..];
    assert!(cell(1, "NAMES") == "busy" && cell(1, "STATUS").starts_with("Up ") && cell(1, "IMAGE").starts_with("box"));
    assert!(cell(2, "NAMES") == "fresh" && cell(2, "STATUS").starts_with("Created "), "{table}");
    assert!(cell(3, "NAMES") == "failed" && cell(3, "STATUS").starts_with("Exited (3) "), "{table}");
    assert!(cell(1, "COMMAND").starts_with("\"sleep 60\" "), "{table}");
    assert_eq!(host.ok(&["ps"]).lines().count(), 2);
}

#[test]
fn filters() {
    let host = furnished();
    let names = |args: &[&str]| {
        let list = host.ok(&[&["ps", "-a", "--format", "{{.Names}}"], args].concat());
        list.lines().map(str::to_owned).collect::<Vec<_>>()
    };
    assert_eq!(names(&["--filter", "status=exited"]), ["failed"]);
    assert_eq!(names(&["-f", "status=created", "-f", "status=running"]), ["busy", "fresh"]);
    assert_eq!(names(&["-f", "label=app=web"]), ["busy", "failed"]);
    assert_eq!(names(&["-f", "label=app=web", "-f", "status=running"]), ["busy"]);
    assert_eq!(names(&["-f", "label=app"]).len(), 3);
    assert_eq!(names(&["-f", "name=fre"]), ["fresh"]);
    assert_eq!(names(&["-f", "exited=3"]), ["failed"]);
    assert_eq!(names(&["-f", "ancestor=box"]).len(), 3);
    assert!(names(&["-f", "ancestor=other"]).is_empty());
    assert_eq!(names(&["-n", "2"]), ["busy", "fresh"]);
    assert_eq!(names(&["--latest"]), ["busy"]);
    let ended = host.run(&["ps", "--filter", "colour=red"]);
    assert!(ended.code != 0 && ended.stderr.contains("colour"), "{ended:?}");
}

#[test]
fn quiet_and_whole_ids() {
    let host = furnished();
    let short = host.ok(&["ps", "-q"]);
    let whole = host.ok(&["ps", "-q", "--no-trunc"]);
    assert!(short.len() == 12 && whole.len() == 64 && whole.starts_with(&short));
}

#[test]
fn json_lines_and_templates() {
    let host = furnished();
    let lines = host.ok(&["ps", "-a", "--format", "json"]);
    let rows: Vec<Value> = lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    assert_eq!(rows.len(), 3);
    assert_eq!(
        (&rows[0]["Names"], &rows[0]["State"], &rows[0]["Networks"]),
        (&"busy".into(), &"running".into(), &"none".into())
    );
    assert_eq!(rows[1]["Command"], "\"echo a  b\"");
    let table = host.ok(&["ps", "-a", "--format", "table {{.Names}}\\t{{.State}}"]);
    assert_eq!(table, "NAMES    STATE\nbusy     running\nfresh    created\nfailed   exited");
    assert_eq!(host.ok(&["ps", "--format", "{{.Names}}: {{json .Image}}"]), "busy: \"box\"");
    assert_eq!(host.ok(&["ps", "--format", "{{.Label \"app\"}}"]), "web");
    let ended = host.run(&["ps", "--format", "{{.Nonsense}}"]);
    assert!(ended.code == 125 && ended.stderr.contains(".Nonsense"), "{ended:?}");
}

#[test]
fn inspect_is_an_array_of_records() {
    let host = furnished();
    let found: Value = serde_json::from_str(&host.ok(&["inspect", "busy", "box"])).unwrap();
    assert_eq!((&found[0]["name"], &found[0]["status"]), (&"busy".into(), &"running".into()));
    assert_eq!(found[1]["os"], "linux");
    assert_eq!(host.ok(&["inspect", "-f", "{{.Exit.Code}} {{.Labels.app}}", "failed"]), "3 web");
    assert_eq!(host.ok(&["inspect", "--format={{json .Command}}", "busy"]), "[\"sleep\",\"60\"]");
    let ended = host.run(&["inspect", "busy", "nobody"]);
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("busy") && ended.stderr.contains("nobody"), "{ended:?}");
    assert_eq!(host.run(&["inspect", "--type=image", "busy"]).code, 1);
    assert_eq!(host.run(&["inspect", "--type=nonsense", "busy"]).code, 125);
}

#[test]
fn a_closed_pipe_is_no_failure() {
    let host = furnished();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let output = host.command(&["ps", "-a"]).stdout(writer).output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}

#[test]
fn info_version_and_doctor() {
    let host = Host::empty();
    let version = host.ok(&["version", "--format", "{{.version}}"]);
    assert_eq!(host.ok(&["--version"]), format!("sampan {version}"));
    let info: Value = serde_json::from_str(&host.ok(&["info", "-f", "json"])).unwrap();
    assert_eq!(info["root"], host.path("root"));
    assert!(host.ok(&["info"]).contains(&format!("Store: {}", host.path("root"))));
    let report: Value = serde_json::from_str(&host.ok(&["doctor", "--format=json"])).unwrap();
    assert_eq!(report["ok"], true);
    assert!(host.ok(&["doctor"]).contains("containers can run"));
}

//! Images: pull, list, tag, inspect, remove.

use serde_json::Value;

use crate::common;
use crate::host::Host;

#[test]
fn a_pull_prints_the_name_and_tells_its_steps() {
    let host = Host::empty();
    let image = common::image();
    let ended = host.run(&["pull", &image]);
    assert_eq!((ended.code, ended.stdout), (0, format!("{image}\n")));
    let lines: Vec<&str> = ended.stderr.lines().collect();
    assert!(lines[0].starts_with(&format!("pulling {image}: 1 layers, ")), "{lines:?}");
    assert!(lines[1].contains(": unpacked ") && lines[2].starts_with("done: sha256:"), "{lines:?}");
    let again = host.run(&["pull", &image]);
    assert!(again.stderr.contains("already there"), "{again:?}");
    let quiet = host.run(&["pull", "-q", &image]);
    assert_eq!((quiet.stdout, quiet.stderr.as_str()), (format!("{image}\n"), ""));
}

#[test]
fn what_can_t_be_pulled_says_why() {
    let host = Host::empty();
    let registry = common::image().split_once('/').unwrap().0.to_owned();
    let cases = [
        (format!("{registry}/nothing:1"), "nothing"),
        ("127.0.0.1:1/x".to_owned(), "127.0.0.1:1"),
        ("UPPER/case".to_owned(), "UPPER/case"),
    ];
    for (image, subject) in cases {
        let ended = host.run(&["pull", &image]);
        assert_eq!(ended.code, 1, "{ended:?}");
        assert!(ended.stderr.contains(subject) && ended.stderr.lines().count() == 1, "{ended:?}");
    }
    assert_eq!(host.ok(&["images", "-q"]), "");
}

#[test]
fn a_table_as_docker_s() {
    let host = Host::new();
    let table = host.ok(&["images"]);
    let words: Vec<&str> = table.lines().next().unwrap().split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert_eq!(words, ["REPOSITORY", "TAG", "IMAGE ID", "CREATED", "SIZE"]);
    assert_eq!(table.lines().count(), 3);
    let line = table.lines().find(|line| line.starts_with("box ")).unwrap();
    let cells: Vec<&str> = line.split("  ").map(str::trim).filter(|w| !w.is_empty()).collect();
    assert!(cells[1] == "latest" && cells[2].len() == 12 && cells[3].ends_with(" ago"), "{cells:?}");
    assert!(cells[4].ends_with("MB"), "{cells:?}");
    // One image under two names.
    assert_eq!(host.ok(&["images", "-q"]).lines().count(), 1);
    assert_eq!(host.ok(&["images", "--digests", "--format={{.Digest}}", "box"]).len(), "sha256:".len() + 64);
    assert_eq!(host.ok(&["images", "box:latest", "--format", "{{.Repository}}:{{.Tag}}"]), "box:latest");
    assert_eq!(host.ok(&["images", "-q", "box:other"]), "");
    assert_eq!(host.ok(&["image", "ls", "-f", "reference=bo*", "--format", "{{.Repository}}"]), "box");
    let row: Value = serde_json::from_str(&host.ok(&["images", "box", "--format", "json"])).unwrap();
    assert_eq!((&row["Repository"], &row["Tag"]), (&"box".into(), &"latest".into()));
}

#[test]
fn names_come_and_go_and_the_last_takes_the_image_along() {
    let host = Host::new();
    host.ok(&["tag", "box", "other:1"]);
    assert_eq!(host.ok(&["rmi", "other:1"]), "Untagged: other:1");
    host.ok(&["rmi", &common::image()]);
    let steps = host.ok(&["rmi", "box"]);
    let mut lines = steps.lines();
    assert_eq!(lines.next(), Some("Untagged: box:latest"));
    assert!(lines.all(|line| line.starts_with("Deleted: sha256:")), "{steps}");
    assert!(steps.contains("Deleted: "), "{steps}");
    assert_eq!(host.ok(&["images", "-q"]), "");
    let ended = host.run(&["rmi", "box"]);
    assert!(ended.code == 1 && ended.stderr.contains("box"), "{ended:?}");
}

#[test]
fn an_image_in_use_stays() {
    let host = Host::new();
    host.ok(&["rmi", &common::image()]);
    host.ok(&["create", "--name", "user", "box"]);
    let ended = host.run(&["rmi", "box"]);
    assert!(ended.code == 1 && ended.stderr.contains("force"), "{ended:?}");
    host.ok(&["rm", "user"]);
    host.ok(&["rmi", "box"]);
}

#[test]
fn an_image_inspected() {
    let host = Host::new();
    let found: Value = serde_json::from_str(&host.ok(&["image", "inspect", "box"])).unwrap();
    assert_eq!(found[0]["command"], serde_json::json!(["sh"]));
    assert_eq!(found[0]["tags"].as_array().unwrap().len(), 2);
    let id = host.ok(&["images", "-q"]);
    assert_eq!(host.ok(&["inspect", "-f", "{{.Architecture}}", &id]), found[0]["architecture"]);
}

#[test]
fn what_nothing_uses_is_pruned() {
    let host = Host::new();
    host.ok(&["rmi", "-f", &common::image()]);
    assert!(host.ok(&["image", "prune", "-f"]).contains("Total reclaimed space: "));
    assert!(host.ok(&["system", "prune", "--force"]).contains("Total reclaimed space: "));
    assert_eq!(host.ok(&["run", "--rm", "box", "echo", "still here"]), "still here");
}

//! Hooks: when they run, what they are told, and what becomes of a container when one fails.

use std::path::{Path, PathBuf};

use serde_json::{Value, json};

use super::Bundle;

#[test]
fn hooks_of_all_kinds_in_their_order_with_the_state() {
    let bundle = Bundle::new(&["sh", "-c", "echo payload >> /trace"], |_| {});
    let trace = bundle.path("rootfs/trace");
    let config_path = bundle.path("config.json");
    let mut config: Value = serde_json::from_slice(&std::fs::read(&config_path).unwrap()).unwrap();
    let outside =
        |kind: &str| json!([{"path": "/bin/sh", "args": ["sh", "-c", format!("echo {kind} $(cat) >> {trace}")]}]);
    let inside = json!([{"path": "/bin/sh", "args": ["sh", "-c", "echo startContainer $(cat) >> /trace"]}]);
    config["root"]["readonly"] = json!(false);
    config["hooks"] = json!({
        "prestart": outside("prestart"), "createRuntime": outside("createRuntime"),
        "createContainer": outside("createContainer"), "startContainer": inside,
        "poststart": outside("poststart"), "poststop": outside("poststop"),
    });
    std::fs::write(&config_path, config.to_string()).unwrap();
    assert_eq!(bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]).code, 0);
    let lines = std::fs::read_to_string(Path::new(&trace)).unwrap();
    let mut order: Vec<&str> = lines.lines().map(|line| line.split(' ').next().unwrap()).collect();
    // The payload runs already when the hooks after its start do.
    order.retain(|word| *word != "payload");
    assert_eq!(order, ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"]);
    let state = |kind: &str| {
        lines.lines().find_map(|line| line.strip_prefix(kind)).unwrap_or_else(|| panic!("{lines}")).trim().to_owned()
    };
    let told = |kind: &str| -> Value { serde_json::from_str(&state(&format!("{kind} "))).unwrap() };
    let status = |kind: &str| told(kind)["status"].as_str().unwrap().to_owned();
    assert_eq!(told("createRuntime")["id"].as_str(), Some(bundle.id().as_str()));
    assert_eq!(status("createRuntime"), "creating");
    // Of a time when they ran at the start.
    assert_eq!(status("prestart"), "created");
    assert_eq!((status("poststart").as_str(), status("poststop").as_str()), ("running", "stopped"));
    // Each sees the number that its namespaces have of it.
    let pid = |kind: &str| told(kind)["pid"].as_i64().unwrap();
    assert!(pid("createRuntime") > 1);
    assert_eq!((pid("prestart"), pid("poststart")), (pid("createRuntime"), pid("createRuntime")));
    assert_eq!((pid("createContainer"), pid("startContainer")), (1, 1));
}

#[test]
fn a_hook_that_fails_fails_the_container() {
    for (kind, hook, word) in [
        ("createRuntime", json!({"path": "/bin/false"}), "/bin/false"),
        ("createContainer", json!({"path": "/nonexistent/hook"}), "/nonexistent/hook"),
        ("createRuntime", json!({"path": "/bin/sleep", "args": ["sleep", "100"], "timeout": 1}), "timed out"),
    ] {
        let bundle = Bundle::new(&["true"], |config| config["hooks"] = json!({ (kind): [hook] }));
        let ended = bundle.create();
        assert_eq!(ended.code, 1, "{kind}");
        assert!(ended.stdout.contains(word), "{kind}: {ended:?}");
        assert_eq!(bundle.left(), Vec::<PathBuf>::new());
    }
}

/// A container whose hook of this kind fails when it is started; its `poststop` hook tells of itself in `last`.
fn failing_at_start(kind: &str) -> Bundle {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    let last = format!("echo it is over > {}", bundle.path("last"));
    bundle.change(|config| {
        config["hooks"] = json!({
            (kind): [{"path": "/bin/sh", "args": ["sh", "-c", "exit 3"]}],
            "poststop": [{"path": "/bin/sh", "args": ["sh", "-c", last]}],
        });
    });
    bundle
}

#[test]
fn a_hook_that_fails_at_the_start_ends_and_removes_the_container() {
    for kind in ["startContainer", "poststart"] {
        let bundle = failing_at_start(kind);
        assert_eq!(bundle.create().code, 0, "{kind}: {}", bundle.output());
        let pid = bundle.state()["pid"].as_i64().unwrap();
        let ended = bundle.oci(&["start", &bundle.id()]);
        assert_eq!(ended.code, 1, "{kind}: {ended:?}");
        assert!(ended.stderr.contains("hook /bin/sh"), "{kind}: {ended:?}");
        assert_eq!(std::fs::read_to_string(bundle.path("last")).unwrap_or_default(), "it is over\n", "{kind}");
        assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{kind}");
        let alive = std::fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|stat| !stat.contains(") Z "));
        assert!(!alive, "{kind}: its process goes on");
    }
}

#[test]
fn a_hook_that_fails_at_the_start_fails_a_run_once() {
    for (kind, detach) in [("startContainer", false), ("poststart", false), ("poststart", true)] {
        let bundle = failing_at_start(kind);
        let detached: &[&str] = if detach { &["--detach"] } else { &[] };
        let ended = bundle.oci(&[&["run"], detached, &["--bundle", &bundle.path(""), &bundle.id()]].concat());
        assert_eq!(ended.code, 1, "{kind}: {ended:?}");
        assert!(ended.stderr.contains("hook /bin/sh"), "{kind}: {ended:?}");
        assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{kind}");
    }
}

/// They are found in the container's own tree, where an image may have put what is called so.
#[test]
fn a_hook_in_the_container_may_no_more_than_its_payload() {
    let status = "busybox grep -E '^(Uid|Gid|Groups|Cap|NoNewPrivs|Seccomp)' /proc/self/status";
    for no_new_privs in [true, false] {
        let bundle = Bundle::new(&["sh", "-c", &format!("{status} > /tmp/payload")], |config| {
            if super::is_root() {
                config["process"]["user"] = json!({"uid": 1000, "gid": 1000, "additionalGids": [7]});
            }
            config["process"]["noNewPrivileges"] = json!(no_new_privs);
            let filter = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": [
                {"names": ["close_range", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO"}]});
            config["linux"]["seccomp"] = filter;
            let script = format!(
                "{status} > /tmp/hook; busybox ls /proc/self/fd > /tmp/fds; busybox mkdir /tmp/refused; exit 0"
            );
            config["hooks"] = json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]});
            config["root"]["readonly"] = json!(false);
        });
        let tmp = PathBuf::from(bundle.path("rootfs/tmp"));
        std::fs::create_dir(&tmp).unwrap();
        std::fs::set_permissions(&tmp, std::os::unix::fs::PermissionsExt::from_mode(0o777)).unwrap();
        bundle.ok(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        let text = |name: &str| std::fs::read_to_string(tmp.join(name)).unwrap();
        assert_eq!(text("hook"), text("payload"));
        assert!(text("hook").contains("Seccomp:\t2"), "{}", text("hook"));
        assert_eq!(text("fds"), "0\n1\n2\n3\n");
        assert!(!tmp.join("refused").exists());
    }
}

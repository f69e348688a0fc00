//! `update` and `events` on containers with limits.

use std::io::Write;
use std::process::{Command, Stdio};

use serde_json::{Value, json};

use super::{Bundle, is_root};
use crate::host::finish;

/// What a file of one of its v1 cgroups holds, or of its v2 one.
fn held(bundle: &Bundle, controller: &str, v1: &str, v2: &str) -> String {
    let below = |dir: &str, file: &str| format!("/sys/fs/cgroup{dir}/sampan-test/{}/{file}", bundle.id());
    let read = |path: String| std::fs::read_to_string(path).ok();
    let text = read(below(&format!("/{controller}"), v1)).or_else(|| read(below("", v2)));
    text.unwrap_or_default().trim().to_owned()
}

fn running(limit: u64) -> Bundle {
    let bundle = Bundle::new(&["sleep", "1000"], |config| {
        config["linux"]["resources"]["pids"] = json!({"limit": 50});
        config["linux"]["resources"]["memory"] = json!({ "limit": limit });
        config["linux"]["resources"]["cpu"] = json!({"quota": 50000});
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    bundle
}

#[test]
fn limits_are_changed_by_flags_and_by_a_document() {
    if !is_root() {
        return;
    }
    let bundle = running(64 << 20);
    let id = bundle.id();
    bundle.ok(&["update", "--pids-limit", "7", "--memory", "128m", "--cpu-period", "200000", &id]);
    assert_eq!(held(&bundle, "pids", "pids.max", "pids.max"), "7");
    assert_eq!(held(&bundle, "memory", "memory.limit_in_bytes", "memory.max"), (128 << 20).to_string());
    // The quota is not asked for, and stays.
    assert!(["50000", "50000 200000"].contains(&held(&bundle, "cpu", "cpu.cfs_quota_us", "cpu.max").as_str()));
    let mut child = bundle.command(&["update", "--resources", "-", &id]).stdin(Stdio::piped()).spawn().unwrap();
    child.stdin.take().unwrap().write_all(br#"{"pids": {"limit": 9}, "devices": [{"allow": false}]}"#).unwrap();
    assert!(child.wait().unwrap().success());
    assert_eq!(held(&bundle, "pids", "pids.max", "pids.max"), "9");
    // Of one that can't be, nothing is.
    let refused = bundle.oci(&["update", "--pids-limit", "11", "--cpuset-cpus", "9999", &id]);
    assert!(refused.code != 0 && refused.stderr.contains("cpuset.cpus"), "{refused:?}");
    assert_eq!(held(&bundle, "pids", "pids.max", "pids.max"), "9");
    bundle.ok(&["delete", "--force", &id]);
    assert_ne!(bundle.oci(&["update", "--pids-limit", "1", &id]).code, 0);
}

#[test]
fn statistics_are_those_of_the_kernel() {
    if !is_root() {
        return;
    }
    let bundle = running(64 << 20);
    let stats: Value = serde_json::from_str(&bundle.ok(&["events", "--stats", &bundle.id()])).unwrap();
    assert_eq!((stats["type"].as_str(), stats["id"].as_str()), (Some("stats"), Some(bundle.id().as_str())));
    let data = &stats["data"];
    assert_eq!((&data["pids"]["current"], &data["pids"]["limit"]), (&json!(1), &json!(50)));
    assert_eq!(data["memory"]["usage"]["limit"], 64 << 20);
    assert!(
        data["memory"]["usage"]["usage"].as_u64().unwrap() > 0 && data["cpu"]["usage"]["total"].as_u64().unwrap() > 0
    );
    if std::path::Path::new("/sys/fs/cgroup/cpuacct").is_dir() {
        let usage = &data["cpu"]["usage"];
        let count = |name: &str| usage[name].as_array().unwrap().len();
        assert!(count("percpu") > 0, "{usage}");
        assert_eq!((count("percpu_user"), count("percpu_kernel")), (count("percpu"), count("percpu")), "{usage}");
        assert!(data["memory"]["kernel"]["usage"].is_u64() && data["memory"]["kernelTCP"]["limit"].is_u64());
    }
}

#[test]
fn events_tell_of_a_process_killed_for_want_of_memory_and_end_with_the_container() {
    if !is_root() {
        return;
    }
    let bundle = running(16 << 20);
    let id = bundle.id();
    let mut listening = bundle.command(&["events", "--interval", "100ms", &id]).stdout(Stdio::piped()).spawn().unwrap();
    let mut lines =
        std::io::BufRead::lines(std::io::BufReader::new(listening.stdout.take().unwrap())).map(Result::unwrap);
    let kind = |line: String| serde_json::from_str::<Value>(&line).unwrap()["type"].as_str().unwrap().to_owned();
    // It listens once the first one has come.
    assert_eq!(lines.next().map(kind).as_deref(), Some("stats"));
    let ended = bundle.oci(&["exec", &id, "sh", "-c", "x=x; while true; do x=$x$x; done"]);
    assert_eq!(ended.code, 137, "{ended:?}");
    assert!(lines.by_ref().map(kind).any(|kind| kind == "oom"));
    bundle.ok(&["kill", &id, "KILL"]);
    assert!(lines.map(kind).all(|kind| kind == "stats" || kind == "oom"));
    assert!(listening.wait().unwrap().success());
}

/// This call where the hierarchy of the network's controllers is mounted, which is gone with it: unmounted before the kernel
/// has taken its cgroups apart it would stay.
fn with_network_controllers(call: &Command, at: &str) -> Command {
    let script = "mkdir \"$0\" && mount -t cgroup -o net_cls,net_prio none \"$0\" && { \"$@\"; code=$?; }
        test -n \"$(find \"$0\" -mindepth 1 -type d)\" ||
        timeout 20 sh -c 'until awk \"\\$1 == \\\"net_cls\\\" { exit \\$3 > 1 }\" /proc/cgroups; do sleep 0.1; done'
        exit $code";
    let mut command = Command::new("unshare");
    command.args(["--mount", "sh", "-c", script, at]).arg(call.get_program()).args(call.get_args());
    command
}

#[test]
fn packets_have_the_class_and_priority_that_are_asked_for() {
    let kernel = std::fs::read_to_string("/proc/cgroups").unwrap_or_default();
    if !is_root() || !kernel.contains("net_cls") || !std::path::Path::new("/sys/fs/cgroup/memory").is_dir() {
        return;
    }
    let script = "cat /net/*/net_cls.classid; cat /net/*/net_prio.ifpriomap";
    let bundle = Bundle::new(&["sh", "-c", script], |_| {});
    let (at, group) = (bundle.path("network"), format!("sampan-net-{}", bundle.id()));
    bundle.change(|config| {
        config["linux"]["cgroupsPath"] = json!(group);
        config["linux"]["resources"]["network"] =
            json!({"classID": 0x10_0001, "priorities": [{"name": "lo", "priority": 7}]});
        let bind = json!({"destination": "/net", "type": "bind", "source": at, "options": ["rbind"]});
        config["mounts"].as_array_mut().unwrap().push(bind);
    });
    std::fs::create_dir(bundle.path("rootfs/net")).unwrap();
    let run = bundle.command(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    let ended = finish(with_network_controllers(&run, &at));
    assert!(ended.stdout.starts_with("1048577\n") && ended.stdout.contains("lo 7\n"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_weight_is_written_where_the_kernel_has_it() {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    let dir = format!("/sys/fs/cgroup/blkio/sampan-test/{}", bundle.id());
    if !is_root() || !std::path::Path::new("/sys/fs/cgroup/blkio").is_dir() {
        return;
    }
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let names = ["blkio.weight", "blkio.bfq.weight"].map(|name| format!("{dir}/{name}"));
    let file = names.into_iter().find(|name| std::path::Path::new(name).exists());
    let changed = bundle.oci(&["update", "--blkio-weight", "400", &bundle.id()]);
    match &file {
        Some(file) => assert_eq!(std::fs::read_to_string(file).unwrap(), "400\n", "{changed:?}"),
        None => assert!(changed.code != 0 && changed.stderr.contains("does not have it"), "{changed:?}"),
    }
    bundle.ok(&["delete", "--force", &bundle.id()]);
    bundle.change(|config| config["linux"]["resources"]["blockIO"] = json!({"weight": 500}));
    assert_eq!(bundle.create().code, i32::from(file.is_none()), "{}", bundle.output());
    assert!(file.is_none_or(|file| std::fs::read_to_string(file).unwrap() == "500\n"));
}

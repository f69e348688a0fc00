//! `pause`, `unpause`, `top`, `stats`, `update`.

use crate::common::cgroups;
use crate::host::Host;

#[test]
fn a_container_is_watched() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "--best-effort", "box", "sleep", "1000"]);
    let top = host.ok(&["top", "c"]);
    let heads: Vec<&str> = top.lines().next().unwrap().split_whitespace().collect();
    assert_eq!(heads, ["UID", "PID", "PPID", "C", "STIME", "TTY", "TIME", "CMD"]);
    assert!(top.lines().nth(1).unwrap().ends_with("sleep 1000"), "{top}");
    let stats = host.ok(&["stats", "--no-stream"]);
    assert!(stats.starts_with("CONTAINER ID   NAME   CPU %"), "{stats}");
    let named = host.ok(&["stats", "--no-stream", "--format", "{{.Name}} {{.NetIO}}", "c"]);
    assert_eq!(named, "c 0B / 0B");
    assert_eq!(host.run(&["stats", "--no-stream", "nobody"]).code, 1);
    assert_eq!(host.run(&["top", "nobody"]).code, 1);
}

#[test]
fn a_container_is_paused_and_limited() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let paused = host.run(&["pause", "c"]);
    if paused.code != 0 {
        // A plain user without a delegated cgroup.
        return assert!(paused.stderr.contains("no cgroup") && !cgroups::can_pause(), "{paused:?}");
    }
    assert!(host.ok(&["ps", "--format", "{{.Status}}"]).ends_with("(Paused)"));
    assert!(host.run(&["exec", "c", "true"]).stderr.contains("it is paused"));
    host.ok(&["unpause", "c"]);
    assert_eq!(host.ok(&["update", "-m", "64m", "--pids-limit", "20", "c"]), "c");
    assert!(host.ok(&["stats", "--no-stream", "--format", "{{.MemUsage}}", "c"]).ends_with(" / 64MiB"));
    assert_eq!(host.run(&["update", "-m", "1k", "c"]).code, 1);
}

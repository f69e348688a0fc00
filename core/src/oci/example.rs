//! `spec`: a configuration to begin with, which a shell in the bundle's `rootfs` runs by.

use serde_json::{Value, json};

const CAPABILITIES: [&str; 3] = ["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"];

/// The document; for a plain user with a user namespace, and without what such a user can't have.
pub fn example(rootless: bool) -> Value {
    let kinds = ["pid", "network", "ipc", "uts", "cgroup", "mount"];
    let mut namespaces: Vec<Value> = kinds.iter().map(|kind| json!({"type": kind})).collect();
    let mut linux = json!({
        "resources": {"devices": [{"allow": false, "access": "rwm"}]},
        "maskedPaths": crate::plan::mounts::MASKED,
        "readonlyPaths": crate::plan::mounts::READONLY,
    });
    if rootless {
        namespaces.push(json!({"type": "user"}));
        let map = |id: u32| json!([{"containerID": 0, "hostID": id, "size": 1}]);
        linux["uidMappings"] = map(nix::unistd::geteuid().as_raw());
        linux["gidMappings"] = map(nix::unistd::getegid().as_raw());
        linux["resources"] = json!({});
    }
    linux["namespaces"] = json!(namespaces);
    json!({
        "ociVersion": "1.3.0",
        "process": process(),
        "root": {"path": "rootfs", "readonly": true},
        "hostname": "sampan",
        "mounts": mounts(rootless),
        "linux": linux,
    })
}

fn process() -> Value {
    json!({
        "terminal": true,
        "user": {"uid": 0, "gid": 0},
        "args": ["sh"],
        "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
        "cwd": "/",
        "capabilities": {"bounding": CAPABILITIES, "effective": CAPABILITIES, "permitted": CAPABILITIES},
        "rlimits": [{"type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024}],
        "noNewPrivileges": true,
    })
}

fn mounts(rootless: bool) -> Value {
    let mount = |target: &str, kind: &str, options: &[&str]| json!({"destination": target, "type": kind, "source": kind, "options": options});
    let mut pts = vec!["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620"];
    if !rootless {
        pts.push("gid=5");
    }
    json!([
        mount("/proc", "proc", &[]),
        mount("/dev", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"]),
        mount("/dev/pts", "devpts", &pts),
        mount("/dev/shm", "tmpfs", &["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"]),
        mount("/dev/mqueue", "mqueue", &["nosuid", "noexec", "nodev"]),
        mount("/sys", "sysfs", &["nosuid", "noexec", "nodev", "ro"]),
        mount("/sys/fs/cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", "ro"]),
    ])
}

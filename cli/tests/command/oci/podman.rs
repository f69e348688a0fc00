//! Podman with this runtime.

use std::process::Command;

use super::{Bundle, is_root};
use crate::common::until;
use crate::host::{Ended, finish, sampan};

/// A Podman with a store of its own, whose containers go with this value.
struct Podman {
    bundle: Bundle,
}

impl Podman {
    fn new() -> Podman {
        let podman = Podman { bundle: Bundle::new(&["true"], |_| {}) };
        let command = sampan::<&str>(&[]);
        std::os::unix::fs::symlink(command.get_program(), podman.bundle.path("sampan-oci")).unwrap();
        podman
    }

    fn call(&self, words: &[&str]) -> Ended {
        let path = |name: &str| self.bundle.path(name);
        let mut command = Command::new("podman");
        // It wants to be able to enter where it is, and another user's folder may be closed to it.
        command.current_dir(path(""));
        command.args(["--root", &path("pm"), "--runroot", &path("pmrun"), "--storage-driver", "vfs"]);
        command.args(["--tmpdir", &path("pmtmp"), "--cgroup-manager", "cgroupfs", "--events-backend", "none"]);
        // Where a plain user's runtime keeps its containers; root's is not asked for it.
        std::fs::create_dir_all(path("xdg")).unwrap();
        command.env("XDG_RUNTIME_DIR", path("xdg"));
        finish({
            command.args(["--runtime", &path("sampan-oci")]).args(words);
            command
        })
    }

    fn run(&self, words: &[&str], command: &[&str]) -> Ended {
        let rootfs = self.bundle.path("rootfs");
        let limits = ["--ulimit", "nofile=1024:1024", "--ulimit", "nproc=1024:1024"];
        self.call(&[&["run"], words, &["--network", "none"], &limits, &["--rootfs", &rootfs], command].concat())
    }
}

impl Drop for Podman {
    /// What a failed test has left must not outlive it.
    fn drop(&mut self) {
        self.call(&["rm", "--all", "--force", "--time", "0"]);
        // As another user its storage may belong to ids that this one can't remove.
        self.call(&["unshare", "rm", "-rf", &self.bundle.path("pm")]);
        // It keeps a process that holds that user namespace.
        self.call(&["system", "migrate"]);
    }
}

/// Podman calls it as it calls crun.
#[test]
fn podman_runs_containers_with_it() {
    let podman = Podman::new();
    let ended = podman.run(&["--rm"], &["sh", "-c", "echo hello; exit 5"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (5, "hello\n"), "{ended:?}");
    assert_eq!(podman.run(&["--rm"], &["nosuchcommand"]).code, 127);
    // It has such a file system begin with what the image has there.
    let copied =
        podman.run(&["--rm", "--tmpfs", "/bin:exec"], &["sh", "-c", "test -e /bin/cat && : > /bin/new && echo copied"]);
    assert_eq!((copied.code, copied.stdout.as_str()), (0, "copied\n"), "{copied:?}");
    let started = podman.run(&["-d", "--name", "one"], &["sleep", "1000"]);
    assert_eq!(started.code, 0, "{started:?}");
    let inside = podman.call(&["exec", "one", "sh", "-c", "exit 4"]);
    assert_eq!(inside.code, 4, "{inside:?}");
    // A plain user has no cgroup to freeze.
    if is_root() {
        assert_eq!(podman.call(&["pause", "one"]).code, 0);
        assert_eq!(podman.call(&["unpause", "one"]).code, 0);
    }
    let terminal = podman.call(&["exec", "-t", "one", "tty"]);
    assert!(terminal.stdout.starts_with("/dev/pts/"), "{terminal:?}");
    let processes = podman.call(&["top", "one", "args"]);
    // Another user's may not be looked at without a host's /proc that shows them.
    assert!(!is_root() || processes.stdout.contains("sleep 1000"), "{processes:?}");
    let removed = podman.call(&["rm", "-f", "-t", "0", "one"]);
    assert_eq!(removed.code, 0, "{removed:?}");
}

/// The log is conmon's, the check of a container's health an exec that Podman makes itself.
#[test]
fn podman_keeps_logs_and_checks_health() {
    let podman = Podman::new();
    let script = "echo one; echo two >&2; exec sleep 1000";
    let health = ["--health-cmd", "test -e /healthy", "--health-interval", "disable", "--health-retries", "1"];
    let started = podman.run(&[&["-d", "--name", "one"], &health[..]].concat(), &["sh", "-c", script]);
    assert_eq!(started.code, 0, "{started:?}");
    until("the log", || podman.call(&["logs", "one"]).stderr.contains("two"));
    let log = podman.call(&["logs", "one"]);
    assert_eq!((log.stdout.as_str(), log.stderr.as_str()), ("one\n", "two\n"), "{log:?}");
    assert_eq!(podman.call(&["healthcheck", "run", "one"]).code, 1);
    let mended = podman.call(&["exec", "one", "sh", "-c", ": > /healthy"]);
    assert_eq!(mended.code, 0, "{mended:?}");
    let healthy = podman.call(&["healthcheck", "run", "one"]);
    assert_eq!(healthy.code, 0, "{healthy:?}");
    let state = podman.call(&["inspect", "-f", "{{.State.Status}} {{.State.Health.Status}}", "one"]);
    assert_eq!(state.stdout, "running healthy\n", "{state:?}");
    let stopped = podman.call(&["stop", "-t", "0", "one"]);
    assert_eq!(stopped.code, 0, "{stopped:?}");
    let ended = podman.call(&["inspect", "-f", "{{.State.Status}} {{.State.ExitCode}}", "one"]);
    assert_eq!(ended.stdout, "exited 137\n", "{ended:?}");
    let removed = podman.call(&["rm", "one"]);
    assert_eq!(removed.code, 0, "{removed:?}");
}

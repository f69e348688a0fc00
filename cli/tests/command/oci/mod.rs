//! The runtime's verbs on a bundle of its own, and under Podman.

mod attacks;
mod faults;
mod hooks;
mod limits;
mod listeners;
mod mounts;
mod namespaces;
mod place;
mod podman;
mod process;
mod words;

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use crate::host::{Ended, finish, sampan};

const APPLETS: [&str; 10] = ["sh", "cat", "echo", "sleep", "id", "true", "hostname", "kill", "stat", "tty"];

/// A bundle with busybox, a runtime root, and cgroups that no other test uses.
struct Bundle {
    dir: tempfile::TempDir,
}

impl Bundle {
    fn new(args: &[&str], change: impl FnOnce(&mut Value)) -> Bundle {
        let bundle = Bundle { dir: tempfile::tempdir_in("/dev/shm").unwrap() };
        let bin = bundle.dir.path().join("rootfs/bin");
        std::fs::create_dir_all(&bin).unwrap();
        // By another process: a file that a child just forked by another thread holds for writing can't be run.
        assert!(Command::new("cp").arg("/bin/busybox").arg(&bin).status().unwrap().success());
        APPLETS.iter().for_each(|name| std::os::unix::fs::symlink("busybox", bin.join(name)).unwrap());
        let spec: &[&str] = if is_root() { &["spec"] } else { &["spec", "--rootless"] };
        assert_eq!(bundle.oci(&[spec, &["--bundle", &bundle.path("")]].concat()).code, 0);
        bundle.change(|config| {
            config["process"]["terminal"] = json!(false);
            config["process"]["args"] = json!(args);
            config["linux"]["cgroupsPath"] = json!(format!("/sampan-test/{}", bundle.id()));
            change(config);
        });
        bundle
    }

    /// Changes the configuration.
    fn change(&self, change: impl FnOnce(&mut Value)) {
        let path = self.path("config.json");
        let mut config: Value = serde_json::from_slice(&std::fs::read(&path).unwrap()).unwrap();
        change(&mut config);
        std::fs::write(&path, config.to_string()).unwrap();
    }

    fn id(&self) -> String {
        self.dir.path().file_name().unwrap().to_str().unwrap().trim_start_matches('.').to_owned()
    }

    fn path(&self, name: &str) -> String {
        self.dir.path().join(name).display().to_string()
    }

    fn command(&self, words: &[&str]) -> Command {
        let root = self.path("state");
        sampan(&[&["oci", "--root", &root], words].concat())
    }

    fn oci(&self, words: &[&str]) -> Ended {
        finish(self.command(words))
    }

    #[track_caller]
    fn ok(&self, words: &[&str]) -> String {
        let ended = self.oci(words);
        assert_eq!(ended.code, 0, "{words:?}: {ended:?}");
        ended.stdout
    }

    fn create(&self) -> Ended {
        // A container keeps its caller's streams: pipes would never end.
        let out = std::fs::File::create(self.path("output")).unwrap();
        let mut command = self.command(&["create", "--bundle", &self.path(""), &self.id()]);
        let errors = out.try_clone().unwrap();
        let status = command.stdin(std::process::Stdio::null()).stdout(out).stderr(errors).status().unwrap();
        Ended { code: status.code().unwrap(), stdout: self.output(), stderr: String::new() }
    }

    fn output(&self) -> String {
        std::fs::read_to_string(self.path("output")).unwrap_or_default()
    }

    fn state(&self) -> Value {
        serde_json::from_str(&self.ok(&["state", &self.id()])).unwrap()
    }

    /// Until the first process has ended, by its pidfd.
    fn await_end(&self, pid: i64) {
        use std::os::fd::{FromRawFd, OwnedFd};
        // SAFETY: a plain call; the result is a new descriptor or none.
        let fd = unsafe { nix::libc::syscall(nix::libc::SYS_pidfd_open, pid, 0) } as i32;
        if fd >= 0 {
            // SAFETY: it was just made for us.
            let fd = unsafe { OwnedFd::from_raw_fd(fd) };
            let readable = nix::poll::PollFd::new(std::os::fd::AsFd::as_fd(&fd), nix::poll::PollFlags::POLLIN);
            nix::poll::poll(&mut [readable], 20_000u16).unwrap();
        }
    }

    /// What a container of this bundle has left: records, cgroups. The runtime's own lock stays.
    fn left(&self) -> Vec<PathBuf> {
        let records = std::fs::read_dir(self.path("state")).into_iter().flatten().flatten().map(|entry| entry.path());
        let records = records.filter(|path| !path.ends_with(".cgroups"));
        let controllers = std::fs::read_dir("/sys/fs/cgroup").into_iter().flatten().flatten();
        let cgroups = controllers.map(|c| c.path().join("sampan-test").join(self.id())).filter(|path| path.exists());
        records.chain(cgroups).collect()
    }
}

impl Drop for Bundle {
    /// What a failed test has left must not outlive it.
    fn drop(&mut self) {
        self.oci(&["delete", "--force", &self.id()]);
    }
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

#[test]
fn a_container_goes_through_its_stages() {
    let bundle = Bundle::new(&["sh", "-c", "echo started; exec sleep 1000"], |_| {});
    let id = bundle.id();
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let created = bundle.state();
    assert_eq!((created["status"].as_str(), bundle.output().as_str()), (Some("created"), ""));
    assert_eq!(created["bundle"].as_str(), Some(bundle.path("").trim_end_matches('/')));
    // For whoever made it, who may not look into a process that waits.
    let inside = ["exec", &id, "sh", "-c", "echo $(id -u) $(hostname) /*"];
    assert_eq!(bundle.ok(&inside), "0 sampan /bin /dev /proc /sys\n");
    assert_eq!(bundle.state()["status"], "created");
    let again = bundle.oci(&["create", "--bundle", &bundle.path(""), &id]);
    assert!(again.stderr.contains("exists already"), "{again:?}");
    bundle.ok(&["start", &id]);
    assert_eq!(bundle.state()["status"], "running");
    assert_eq!(bundle.oci(&["exec", &id, "sh", "-c", "echo inside; id -u; exit 9"]).code, 9);
    let pid = created["pid"].as_i64().unwrap();
    assert_eq!(bundle.ok(&["ps", "-f", "json", &id]).trim(), format!("[{pid}]"));
    // A plain user has no cgroup to freeze.
    if is_root() {
        bundle.ok(&["pause", &id]);
        assert_eq!(bundle.state()["status"], "paused");
        assert_ne!(bundle.oci(&["exec", &id, "true"]).code, 0);
        bundle.ok(&["resume", &id]);
    }
    assert!(bundle.oci(&["delete", &id]).stderr.contains("running"));
    bundle.ok(&["kill", &id, "KILL"]);
    bundle.await_end(pid);
    assert_eq!(bundle.state()["status"], "stopped");
    bundle.ok(&["delete", &id]);
    assert_eq!(bundle.output(), "started\n");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn run_ends_as_its_payload_does() {
    let bundle =
        Bundle::new(&["sh", "-c", "hostname; echo oops >&2; exit 7"], |config| config["hostname"] = json!("boat"));
    let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (7, "boat\n", "oops\n"));
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_payload_that_is_not_there_is_told_at_creation_and_leaves_nothing() {
    let bundle = Bundle::new(&["nosuchcommand"], |_| {});
    let ended = bundle.create();
    assert_eq!(ended.code, 1);
    assert!(ended.stdout.contains("executable file not found in $PATH"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn devices_can_be_opened_as_the_rules_say() {
    if !is_root() {
        return;
    }
    let script = "echo x > /dev/null && echo null; sh -c ': < /dev/kmsg' 2>/dev/null || echo refused; stat -c '%a %t %T' /dev/mine";
    let bundle = Bundle::new(&["sh", "-c", script], |config| {
        config["linux"]["devices"] = json!([
            {"path": "/dev/kmsg", "type": "c", "major": 1, "minor": 11},
            {"path": "/dev/mine", "type": "c", "major": 10, "minor": 229, "fileMode": 0o640}]);
    });
    let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    assert_eq!(ended.stdout, "null\nrefused\n640 a e5\n", "{ended:?}");
}

#[test]
fn failures_go_to_the_engines_log() {
    let bundle = Bundle { dir: tempfile::tempdir().unwrap() };
    let log = bundle.path("log.json");
    let ended = bundle.oci(&["--log", &log, "--log-format", "json", "state", "nobody"]);
    assert_eq!(ended.code, 1);
    let line: Value = serde_json::from_str(std::fs::read_to_string(&log).unwrap().trim()).unwrap();
    assert_eq!(line["level"], "error");
    assert!(line["msg"].as_str().unwrap().contains("container does not exist"));
    assert_eq!(bundle.oci(&["state", "../../etc"]).code, 1);
}

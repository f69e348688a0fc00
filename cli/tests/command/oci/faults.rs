//! Calls that meet, calls that were killed, and cgroups that are somebody else's.

use std::fs::OpenOptions;
use std::io::Read;
use std::os::unix::fs::OpenOptionsExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Stdio};

use nix::fcntl::{Flock, FlockArg};
use serde_json::json;

use super::{Bundle, is_root};
use crate::common::until;
use crate::host::{finish, sampan};

/// A payload that waits, and a hook that waits until it is told by the pipe `go`.
fn waiting(kind: &str) -> Bundle {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    nix::unistd::mkfifo(bundle.path("go").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    nix::unistd::mkfifo(bundle.path("there").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    let script = format!("echo > {}; read word < {}", bundle.path("there"), bundle.path("go"));
    let hook = json!([{"path": "/bin/sh", "args": ["sh", "-c", script]}]);
    bundle.change(|config| config["hooks"] = json!({ (kind): hook }));
    bundle
}

/// `create` in a process group of its own; returns once the hook waits.
fn begin(bundle: &Bundle) -> Child {
    let mut command = bundle.command(&["create", "--bundle", &bundle.path(""), &bundle.id()]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).process_group(0);
    let mut child = command.spawn().unwrap();
    until_there(bundle, &mut child);
    child
}

/// Until somebody has written to the pipe `there`, which `child` is to bring about.
fn until_there(bundle: &Bundle, child: &mut Child) {
    let mut there =
        OpenOptions::new().read(true).custom_flags(nix::libc::O_NONBLOCK).open(bundle.path("there")).unwrap();
    until("the hook", || {
        assert!(child.try_wait().unwrap().is_none(), "it ended before its hook ran");
        there.read(&mut [0; 8]).is_ok_and(|n| n > 0)
    });
}

#[test]
fn a_create_that_was_killed_is_deleted_without_force() {
    for kind in ["createRuntime", "createContainer"] {
        let bundle = waiting(kind);
        let mut child = begin(&bundle);
        assert_eq!(bundle.state()["status"], "creating", "{kind}");
        child.kill().unwrap();
        child.wait().unwrap();
        // Nobody lets the hook go: it ends with who wanted it, and with it the pipe's last end.
        bundle.ok(&["delete", &bundle.id()]);
        assert_eq!(bundle.left(), Vec::<PathBuf>::new(), "{kind}");
        let write = || OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(bundle.path("go"));
        until("the hook's end", || write().is_err());
    }
}

#[test]
fn a_state_longer_than_a_pipe_does_not_stop_a_hook_that_ignores_it() {
    let bundle = Bundle::new(&["true"], |config| {
        config["annotations"] = json!({"long": "x".repeat(200_000)});
        config["hooks"] = json!({
            "createRuntime": [{"path": "/bin/true"}],
            "createContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "test $(wc -c) -gt 200000"]}],
        });
    });
    let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
    assert_eq!(ended.code, 0, "{ended:?}");
}

#[test]
fn two_starts_of_one_container_start_it_once() {
    let bundle = Bundle::new(&["sh", "-c", "echo started; exec sleep 1000"], |_| {});
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let start = || bundle.command(&["start", &bundle.id()]).stderr(Stdio::null()).spawn().unwrap();
    let children = [start(), start(), start()];
    let ended = children.map(|mut child| child.wait().unwrap().success());
    assert_eq!(ended.iter().filter(|ok| **ok).count(), 1, "{ended:?}");
    assert_eq!(bundle.state()["status"], "running");
    bundle.ok(&["delete", "--force", &bundle.id()]);
    assert_eq!(bundle.output(), "started\n");
}

#[test]
fn a_start_whose_container_is_killed_is_no_success() {
    let bundle = Bundle::new(&["true"], |_| {});
    bundle.change(|config| {
        config["hooks"] = json!({"startContainer": [{"path": "/bin/sh", "args": ["sh", "-c", "echo > /dev/shm/there; exec sleep 1000"]}]});
        config["mounts"].as_array_mut().unwrap().push(json!({
            "destination": "/dev/shm/there", "type": "bind", "source": bundle.path("there"), "options": ["bind"]}));
    });
    nix::unistd::mkfifo(bundle.path("there").as_str(), nix::sys::stat::Mode::S_IRWXU).unwrap();
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let mut starting = bundle.command(&["start", &bundle.id()]).stderr(Stdio::piped()).spawn().unwrap();
    until_there(&bundle, &mut starting);
    // It has not run its payload, and a start is at work on it.
    assert_eq!(bundle.state()["status"], "created");
    bundle.ok(&["delete", "--force", &bundle.id()]);
    let ended = starting.wait_with_output().unwrap();
    assert!(!ended.status.success());
    assert!(String::from_utf8_lossy(&ended.stderr).contains("killed before the payload ran"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn many_deletes_at_once_remove_it_once() {
    let stop = |bundle: &Bundle| {
        std::fs::write(bundle.path("count"), "").unwrap();
        let script = format!("echo x >> {}", bundle.path("count"));
        bundle.change(|c| c["hooks"] = json!({"poststop": [{"path": "/bin/sh", "args": ["sh", "-c", script]}]}));
    };
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    stop(&bundle);
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let children: Vec<Child> =
        (0..4).map(|_| bundle.command(&["delete", "--force", &bundle.id()]).spawn().unwrap()).collect();
    children.into_iter().for_each(|mut child| assert!(child.wait().unwrap().success()));
    assert_eq!(std::fs::read_to_string(bundle.path("count")).unwrap(), "x\n");
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn a_cgroup_in_use_is_refused() {
    if !is_root() {
        return;
    }
    let first = Bundle::new(&["sleep", "1000"], |_| {});
    let second = Bundle::new(&["sleep", "1000"], |_| {});
    second.change(|config| config["linux"]["cgroupsPath"] = json!(format!("/sampan-test/{}", first.id())));
    assert_eq!(first.create().code, 0, "{}", first.output());
    // Another runtime's root does not know whose it is, but sees the processes.
    let refused = second.create();
    assert!(refused.code != 0 && refused.stdout.contains("holds processes already"), "{refused:?}");
    // The same one knows, also once they have ended.
    let root = first.path("state");
    let words = ["oci", "--root", &root, "create", "--bundle", &second.path(""), "second"];
    first.ok(&["kill", &first.id(), "KILL"]);
    let refused = finish(sampan(&words));
    assert!(
        refused.code != 0 && refused.stderr.contains(&format!("belongs to container {}", first.id())),
        "{refused:?}"
    );
    assert_eq!(first.state()["id"], first.id().as_str());
}

/// The first's record comes while the second is about to look for it: without turns it would not be seen.
#[test]
fn who_wants_a_cgroup_waits_for_the_record_of_who_is_at_it() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["kill", &bundle.id(), "KILL"]);
    bundle.await_end(bundle.state()["pid"].as_i64().unwrap());
    let (record, aside) = (bundle.path(&format!("state/{}", bundle.id())), bundle.path("aside"));
    std::fs::rename(&record, &aside).unwrap();
    let turn = Flock::lock(std::fs::File::open(bundle.path("state/.cgroups")).unwrap(), FlockArg::LockExclusive);
    let mut command = bundle.command(&["create", "--bundle", &bundle.path(""), "second"]);
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped());
    let mut second = command.spawn().unwrap();
    let open = format!("/proc/{}/fd", second.id());
    until("its wait for the turn", || {
        assert!(second.try_wait().unwrap().is_none(), "it did not wait");
        let mut files = std::fs::read_dir(&open).unwrap().flatten().filter_map(|fd| std::fs::read_link(fd.path()).ok());
        files.any(|file| file.ends_with(".cgroups"))
    });
    std::fs::rename(&aside, &record).unwrap();
    drop(turn);
    let ended = second.wait_with_output().unwrap();
    let told = String::from_utf8_lossy(&ended.stderr).into_owned();
    assert!(!ended.status.success() && told.contains(&format!("belongs to container {}", bundle.id())), "{told}");
    bundle.ok(&["delete", &bundle.id()]);
    assert_eq!(bundle.left(), Vec::<PathBuf>::new());
}

#[test]
fn options_before_the_word_are_refused_and_told_where_they_belong() {
    let ended = finish(sampan(&["--root", "/nonexistent", "oci", "list"]));
    assert_eq!(ended.code, 125, "{ended:?}");
    assert!(ended.stderr.contains("sampan oci --root DIR list"), "{ended:?}");
}

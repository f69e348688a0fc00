//! Containers in a mount namespace that others are in.

use std::io::Read;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::PathBuf;
use std::process::Stdio;

use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
use serde_json::{Value, json};

use super::mounts::in_a_user_namespace;
use super::namespaces::namespace;
use super::{Bundle, is_root};

/// Which a process is in.
fn namespace_of(pid: &Value) -> PathBuf {
    std::fs::read_link(format!("/proc/{pid}/ns/mnt")).unwrap()
}

/// Mounts of the bundle that are in sight there.
fn mounts(bundle: &Bundle, of: &str) -> Vec<String> {
    let all = std::fs::read_to_string(format!("/proc/{of}/mountinfo")).unwrap();
    all.lines().filter(|line| line.contains(&bundle.id())).map(str::to_owned).collect()
}

const NONE: Vec<String> = Vec::new();

fn without_mount_namespace(config: &mut Value) {
    config["linux"]["namespaces"].as_array_mut().unwrap().retain(|one| one["type"] != "mount");
    config["root"]["readonly"] = json!(true);
}

/// What there is of its root and its mounts.
const LOOK: &str = "echo kept > /dev/shm/note; cat /dev/shm/note; (: > /new) 2>/dev/null || echo read-only; \
                    test -s /proc/keys || echo masked; echo /*; echo null > /dev/null && echo device";
const SEEN: &str = "kept\nread-only\nmasked\n/bin /dev /proc /sys\ndevice\n";

#[test]
fn a_container_without_a_mount_namespace_leaves_nothing_in_the_hosts() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["sh", "-c", &format!("{LOOK}; exec sleep 1000")], without_mount_namespace);
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let pid = bundle.state()["pid"].clone();
    assert_eq!(namespace_of(&pid), namespace_of(&std::process::id().into()));
    assert_eq!(mounts(&bundle, "self"), NONE);
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("its look around", || bundle.output().contains("device"));
    assert_eq!(bundle.output(), SEEN);
    assert_eq!(bundle.ok(&["exec", &bundle.id(), "sh", "-c", LOOK]), SEEN);
    // Upwards there is nothing of the host's.
    assert_eq!(bundle.ok(&["exec", &bundle.id(), "sh", "-c", "cd ../../..; echo *"]), "bin dev proc sys\n");
    assert_eq!(mounts(&bundle, "self"), NONE);
    bundle.ok(&["kill", &bundle.id(), "KILL"]);
    bundle.await_end(pid.as_i64().unwrap());
    bundle.ok(&["delete", &bundle.id()]);
    assert_eq!((mounts(&bundle, "self"), bundle.left()), (NONE, Vec::<PathBuf>::new()));
}

#[test]
fn a_container_with_no_namespace_at_all_is_entered() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["sleep", "1000"], |config| {
        config["linux"]["namespaces"] = json!([]);
        config.as_object_mut().unwrap().remove("hostname");
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    for stage in ["created", "running"] {
        assert_eq!(bundle.state()["status"], stage);
        assert_eq!(bundle.ok(&["exec", &bundle.id(), "sh", "-c", "echo /*"]), "/bin /dev /proc /sys\n");
        if stage == "created" {
            bundle.ok(&["start", &bundle.id()]);
        }
    }
}

#[test]
fn a_create_that_fails_leaves_nothing_in_the_hosts_mount_namespace() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["nosuchcommand"], without_mount_namespace);
    assert!(bundle.create().stdout.contains("executable file not found"), "{}", bundle.output());
    assert_eq!((mounts(&bundle, "self"), bundle.left()), (NONE, Vec::<PathBuf>::new()));
}

/// A process in a mount namespace of its own, which alone has something at the path.
struct Holder(std::process::Child);

impl Holder {
    fn new(path: &str) -> Holder {
        let script = format!("mount -t tmpfs none {path} && echo theirs > {path}/file && echo ready; exec sleep 1000");
        let mut holder = std::process::Command::new("unshare");
        let mut holder = holder.args(["--mount", "sh", "-c", &script]).stdout(Stdio::piped()).spawn().unwrap();
        let mut said = [0; 6];
        holder.stdout.as_mut().unwrap().read_exact(&mut said).unwrap();
        Holder(holder)
    }

    fn pid(&self) -> String {
        self.0.id().to_string()
    }
}

impl Drop for Holder {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn a_mount_namespace_by_path_is_joined_and_those_in_it_see_nothing_of_it() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["sh", "-c", &format!("{LOOK}; cat /at/file; exec sleep 1000")], |_| {});
    std::fs::create_dir_all(bundle.path("source")).unwrap();
    let holder = Holder::new(&bundle.path("source"));
    bundle.change(|config| {
        namespace(config, "mount", Some(&format!("/proc/{}/ns/mnt", holder.pid())));
        let bind = json!({"destination": "/at", "source": bundle.path("source"), "options": ["bind"]});
        config["mounts"].as_array_mut().unwrap().push(bind);
        // A place for the mount, as the root is read-only.
        std::fs::create_dir(bundle.path("rootfs/at")).unwrap();
    });
    let before = mounts(&bundle, &holder.pid());
    assert_eq!((before.len(), bundle.create().code), (1, 0), "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("its look around", || bundle.output().contains("theirs"));
    let seen = SEEN.replace("/bin", "/at /bin");
    assert_eq!(bundle.output(), format!("{seen}theirs\n"));
    let pid = bundle.state()["pid"].clone();
    let theirs = namespace_of(&holder.0.id().into());
    assert_eq!(namespace_of(&pid), theirs);
    assert_eq!(bundle.ok(&["exec", &bundle.id(), "sh", "-c", LOOK]), seen);
    assert_eq!(mounts(&bundle, &holder.pid()), before);
    bundle.ok(&["delete", "--force", &bundle.id()]);
    assert_eq!((mounts(&bundle, &holder.pid()), bundle.left()), (before, Vec::<PathBuf>::new()));
}

#[test]
fn a_terminal_has_its_name_without_a_mount_namespace() {
    if !is_root() {
        return;
    }
    let bundle = Bundle::new(&["sh", "-c", "tty; exec sleep 1000"], |config| {
        without_mount_namespace(config);
        config["process"]["terminal"] = json!(true);
    });
    let socket = bundle.path("console.sock");
    let listener = UnixListener::bind(&socket).unwrap();
    bundle.ok(&["create", "--bundle", &bundle.path(""), "--console-socket", &socket, &bundle.id()]);
    let (connection, _) = listener.accept().unwrap();
    let (mut buffer, mut space) = ([0; 64], nix::cmsg_space!([i32; 1]));
    let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
    let Some(ControlMessageOwned::ScmRights(fds)) = message.cmsgs().unwrap().next() else { panic!("{message:?}") };
    // SAFETY: it was just made for us.
    let mut master = std::fs::File::from(unsafe { OwnedFd::from_raw_fd(fds[0]) });
    bundle.ok(&["start", &bundle.id()]);
    let mut said = [0; 12];
    master.read_exact(&mut said).unwrap();
    assert_eq!(std::str::from_utf8(&said), Ok("/dev/pts/0\r\n"));
}

#[test]
fn what_needs_a_mount_namespace_of_its_own_is_refused_by_its_field() {
    if !is_root() {
        return;
    }
    let refused = |change: &dyn Fn(&mut Value), field: &str| {
        let bundle = Bundle::new(&["true"], |config| {
            without_mount_namespace(config);
            change(config);
        });
        assert_ne!(bundle.create().code, 0);
        assert!(bundle.output().contains(field), "{field}: {}", bundle.output());
    };
    refused(&|config| config["linux"]["rootfsPropagation"] = json!("rslave"), "linux.rootfsPropagation");
    refused(&|config| config["mounts"][0]["options"] = json!(["nosuid", "shared"]), "mounts[0].options[1]");
    refused(&in_a_user_namespace, "linux.namespaces");
    let by_path = |config: &mut Value| namespace(config, "mount", Some("/nonexistent/mnt"));
    refused(&by_path, "join the namespace /nonexistent/mnt");
    let mapped = |config: &mut Value| {
        by_path(config);
        config["mounts"][0]["options"] = json!(["idmap"]);
    };
    refused(&mapped, "mounts[0]");
}

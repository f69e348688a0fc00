//! What a process begins with: descriptors, scheduling, CPUs, a seccomp listener.

use std::process::{Command, Stdio};

use nix::libc;
use serde_json::{Value, json};

use super::{Bundle, is_root};
use crate::host::{Ended, finish};

/// The runtime's words by way of bash, which opens descriptors from 3 on before: one file each, with its number in it.
fn with_descriptors(bundle: &Bundle, count: u32, environment: &str, words: &[&str]) -> Ended {
    let (last, dir) = (2 + count, bundle.path(""));
    let script = format!(
        "for n in $(seq 3 {last}); do echo $n >{dir}fd$n; eval \"exec $n<{dir}fd$n\"; done; {environment} exec \"$@\""
    );
    let runtime = bundle.command(words);
    let mut bash = Command::new("bash");
    bash.args(["-c", &script, "bash"]).arg(runtime.get_program()).args(runtime.get_args());
    finish(bash)
}

/// Names all descriptors from 3 on that are its own, and reads the first.
const LIST: &str =
    "for n in 3 4 5 6 7 8 9 10 11 12 13 14 15 16; do test -e /proc/self/fd/$n && echo -n \"$n \"; done; cat <&3";

#[test]
fn descriptors_are_handed_on() {
    for (count, wanted) in [("0", ""), ("2", "3 4 3\n"), ("12", "3 4 5 6 7 8 9 10 11 12 13 14 3\n")] {
        let script = if count == "0" { "test -e /proc/self/fd/3 || echo -n" } else { LIST };
        let bundle = Bundle::new(&["sh", "-c", script], |_| {});
        let words = ["run", "--preserve-fds", count, "--bundle", &bundle.path(""), &bundle.id()];
        let ended = with_descriptors(&bundle, 12, "", &words);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, wanted), "{ended:?}");
    }
}

#[test]
fn descriptors_are_handed_on_to_further_processes() {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    // One that waits can't be looked into by a plain user.
    bundle.ok(&["start", &bundle.id()]);
    for (count, wanted) in [("1", "3 3\n"), ("12", "3 4 5 6 7 8 9 10 11 12 13 14 3\n")] {
        let words = ["exec", "--preserve-fds", count, &bundle.id(), "sh", "-c", LIST];
        let ended = with_descriptors(&bundle, 12, "", &words);
        assert_eq!((ended.code, ended.stdout.as_str()), (0, wanted), "{ended:?}");
    }
    // What fails after they are in place is told all the same.
    std::fs::write(bundle.path("rootfs/bin/script"), "#!/nonexistent\n").unwrap();
    assert!(Command::new("chmod").arg("755").arg(bundle.path("rootfs/bin/script")).status().unwrap().success());
    let ended = with_descriptors(&bundle, 12, "", &["exec", "--preserve-fds", "12", &bundle.id(), "script"]);
    assert!(ended.code != 0 && ended.stderr.contains("not found"), "{ended:?}");
}

#[test]
fn a_descriptor_that_is_not_open_is_told() {
    let bundle = Bundle::new(&["true"], |_| {});
    let words = ["run", "--preserve-fds", "3", "--bundle", &bundle.path(""), &bundle.id()];
    let ended = with_descriptors(&bundle, 1, "", &words);
    assert!(ended.code != 0 && ended.stderr.contains("preserve-fds: descriptor 4 is not open"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn sockets_of_an_activation_are_the_containers() {
    let bundle = Bundle::new(&["sh", "-c", "echo $LISTEN_FDS $LISTEN_PID; cat <&3; cat <&4"], |_| {});
    let words = ["run", "--preserve-fds", "1", "--bundle", &bundle.path(""), &bundle.id()];
    let ended = with_descriptors(&bundle, 2, "LISTEN_PID=$$ LISTEN_FDS=1", &words);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "1 1\n3\n4\n"), "{ended:?}");
    // They were another's.
    let ended = with_descriptors(&bundle, 1, "LISTEN_PID=1 LISTEN_FDS=1", &[&words[..], &[]].concat());
    assert_eq!(ended.stdout, "\n3\n", "{ended:?}");
}

/// Policy, niceness, and I/O priority of a process.
fn scheduling(pid: i64) -> (i32, i32, i64) {
    // SAFETY: plain calls.
    unsafe {
        let pid = pid as i32;
        let nice = libc::getpriority(libc::PRIO_PROCESS, pid as u32);
        (libc::sched_getscheduler(pid), nice, libc::syscall(libc::SYS_ioprio_get, 1, pid))
    }
}

#[test]
fn policy_and_io_priority_are_set() {
    let bundle = Bundle::new(&["sleep", "1000"], |config| {
        config["process"]["scheduler"] = json!({"policy": "SCHED_BATCH", "nice": 5, "flags": ["SCHED_RESET_ON_FORK"]});
        config["process"]["ioPriority"] = json!({"class": "IOPRIO_CLASS_BE", "priority": 6});
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let batch = libc::SCHED_BATCH | libc::SCHED_RESET_ON_FORK;
    assert_eq!(scheduling(bundle.state()["pid"].as_i64().unwrap()), (batch, 5, 2 << 13 | 6));
    bundle.ok(&["start", &bundle.id()]);
    let process = json!({
        "user": {"uid": 0, "gid": 0}, "cwd": "/", "args": ["sleep", "1000"], "env": ["PATH=/bin"],
        "scheduler": {"policy": "SCHED_IDLE"}, "ioPriority": {"class": "IOPRIO_CLASS_IDLE", "priority": 0},
    });
    std::fs::write(bundle.path("process.json"), process.to_string()).unwrap();
    let (file, pid) = (bundle.path("process.json"), bundle.path("pid"));
    let mut exec = bundle.command(&["exec", "--detach", "--process", &file, "--pid-file", &pid, &bundle.id()]);
    exec.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    assert!(exec.status().unwrap().success());
    let pid: i64 = std::fs::read_to_string(pid).unwrap().parse().unwrap();
    assert_eq!(scheduling(pid), (libc::SCHED_IDLE, 0, 3 << 13));
}

#[test]
fn a_policy_that_the_kernel_refuses_is_told() {
    let bundle = Bundle::new(&["true"], |config| {
        config["process"]["scheduler"] =
            json!({"policy": "SCHED_DEADLINE", "runtime": 5000, "deadline": 10, "period": 20});
    });
    let ended = bundle.create();
    assert!(ended.code != 0 && ended.stdout.contains("set the scheduling policy"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn further_processes_have_the_cpus_of_the_configuration() {
    let status = "while read key value; do test $key = Cpus_allowed_list: && echo $value; done < /proc/self/status";
    let bundle = Bundle::new(&["sleep", "1000"], |config| {
        config["process"]["execCPUAffinity"] = json!({"initial": "0", "final": "1"});
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    // One that waits can't be looked into by a plain user.
    bundle.ok(&["start", &bundle.id()]);
    let cpus = || bundle.oci(&["exec", &bundle.id(), "sh", "-c", status]).stdout.trim().to_owned();
    assert_eq!(cpus(), "1");
    let record = bundle.path(&format!("state/{}/config.json", bundle.id()));
    let config = std::fs::read_to_string(&record).unwrap().replace("\"final\":\"1\"", "\"final\":\"0\"");
    std::fs::write(&record, config).unwrap();
    assert_eq!(cpus(), "0");
}

/// The `struct seccomp_notif` and `struct seccomp_notif_resp` of the kernel.
#[repr(C)]
#[derive(Default)]
struct Call {
    id: u64,
    pid: u32,
    flags: u32,
    data: [u64; 8],
}
#[repr(C)]
struct Answer {
    id: u64,
    value: i64,
    error: i32,
    flags: u32,
}
nix::ioctl_readwrite!(receive_call, b'!', 0, Call);
nix::ioctl_readwrite!(send_answer, b'!', 1, Answer);

const ENOMEDIUM: i32 = 123;

/// Takes one process's filter and answers its first call with an error; what it was told.
fn listen_once(listener: &std::os::unix::net::UnixListener) -> Value {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
    use std::os::fd::AsRawFd;
    let (connection, _) = listener.accept().unwrap();
    let mut buffer = [0; 8192];
    let mut space = nix::cmsg_space!([i32; 1]);
    let mut slices = [std::io::IoSliceMut::new(&mut buffer)];
    let message = recvmsg::<()>(connection.as_raw_fd(), &mut slices, Some(&mut space), MsgFlags::empty()).unwrap();
    let (length, mut fds) = (message.bytes, Vec::new());
    for control in message.cmsgs().unwrap() {
        if let ControlMessageOwned::ScmRights(rights) = control {
            fds.extend(rights);
        }
    }
    let told = serde_json::from_slice(&buffer[..length]).unwrap();
    let mut call = Call::default();
    // SAFETY: both structures are those of the kernel.
    unsafe {
        receive_call(fds[0], &mut call).unwrap();
        let mut answer = Answer { id: call.id, value: 0, error: -ENOMEDIUM, flags: 0 };
        send_answer(fds[0], &mut answer).unwrap();
        libc::close(fds[0]);
    }
    told
}

fn with_listener(path: &str) -> Bundle {
    Bundle::new(&["sh", "-c", "/bin/busybox mkdir /made; exec sleep 1000"], |config| {
        config["annotations"] = json!({"name": "boat"});
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path, "listenerMetadata": "told \"so\"",
            "flags": ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV", "SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [{"names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY"}],
        });
    })
}

#[test]
fn a_listener_decides_calls() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let listener = std::os::unix::net::UnixListener::bind(&path).unwrap();
    for no_new_privs in [true, false] {
        // Without it a plain user needs a capability of its namespace's root, which it has.
        let bundle = with_listener(path.to_str().unwrap());
        bundle.change(|config| config["process"]["noNewPrivileges"] = json!(no_new_privs));
        assert_eq!(bundle.create().code, 0, "{}", bundle.output());
        bundle.ok(&["start", &bundle.id()]);
        let told = listen_once(&listener);
        let pid = bundle.state()["pid"].clone();
        assert_eq!((&told["pid"], &told["state"]["pid"]), (&pid, &pid));
        assert_eq!((told["fds"][0].as_str(), told["metadata"].as_str()), (Some("seccompFd"), Some("told \"so\"")));
        assert_eq!(
            (told["state"]["id"].as_str(), told["state"]["status"].as_str()),
            (Some(bundle.id().as_str()), Some("created"))
        );
        assert_eq!(told["state"]["annotations"]["name"], "boat");
        crate::common::until("the call's end", || bundle.output().contains("No medium found"));
        let words = ["exec", &bundle.id(), "/bin/busybox", "mkdir", "/more"];
        let mut exec = bundle.command(&words).stderr(Stdio::piped()).spawn().unwrap();
        let told = listen_once(&listener);
        assert_ne!(told["pid"], pid);
        assert_eq!((&told["state"]["pid"], told["state"]["status"].as_str()), (&pid, Some("running")));
        assert_eq!(exec.wait().unwrap().code(), Some(1));
        bundle.ok(&["delete", "--force", &bundle.id()]);
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_listener_that_is_not_there_is_told() {
    let bundle = with_listener("/nonexistent/listener");
    let ended = bundle.create();
    assert!(ended.code != 0 && ended.stdout.contains("linux.seccomp.listenerPath"), "{ended:?}");
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

#[test]
fn a_32_bit_personality_is_seen() {
    for (domain, machine) in [("LINUX", std::env::consts::ARCH), ("LINUX32", "i686")] {
        let bundle = Bundle::new(&["/bin/busybox", "uname", "-m"], |config| {
            config["linux"]["personality"] = json!({"domain": domain});
        });
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert!(std::env::consts::ARCH != "x86_64" || ended.stdout.trim() == machine, "{ended:?}");
    }
}

#[test]
fn systemds_form_of_a_cgroup_is_a_path_and_its_manager_is_refused() {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    let ended = bundle.oci(&["--systemd-cgroup", "create", "--bundle", &bundle.path(""), &bundle.id()]);
    assert!(
        ended.code != 0 && ended.stderr.contains("systemd-cgroup") && ended.stderr.contains("cgroupfs"),
        "{ended:?}"
    );
    if !is_root() {
        return;
    }
    bundle.change(|config| config["linux"]["cgroupsPath"] = json!(format!("sampan-test:{}:one", bundle.id())));
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let groups = std::fs::read_to_string(format!("/proc/{}/cgroup", bundle.state()["pid"])).unwrap();
    assert!(groups.contains(&format!("/sampan-test:{}:one", bundle.id())), "{groups}");
    bundle.ok(&["delete", "--force", &bundle.id()]);
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

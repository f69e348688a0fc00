//! Listeners of seccomp filters.

use std::collections::BTreeSet;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::process::{Output, Stdio};

use nix::errno::Errno;
use nix::libc;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::signal::Signal::SIGKILL;
use nix::sys::signal::kill;
use nix::unistd::Pid;
use serde_json::{Value, json};

use super::{Bundle, is_root};

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

/// Takes one process's filter; what it was told with it.
fn take_filter(listener: &UnixListener) -> (OwnedFd, Value) {
    use nix::sys::socket::{ControlMessageOwned, MsgFlags, recvmsg};
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
    // SAFETY: it was just made for us.
    (unsafe { OwnedFd::from_raw_fd(fds[0]) }, serde_json::from_slice(&buffer[..length]).unwrap())
}

/// The number of the next call, which goes on or fails; `None` when nobody is left who could make one.
fn decide(filter: &OwnedFd, error: i32) -> Option<i32> {
    const CONTINUE: u32 = 1;
    let mut ready = [PollFd::new(std::os::fd::AsFd::as_fd(filter), PollFlags::POLLIN)];
    poll(&mut ready, PollTimeout::NONE).unwrap();
    if !ready[0].revents().unwrap().contains(PollFlags::POLLIN) {
        return None;
    }
    let mut call = Call::default();
    let mut answer = Answer { id: 0, value: 0, error, flags: if error == 0 { CONTINUE } else { 0 } };
    // SAFETY: both structures are those of the kernel.
    let answered = unsafe {
        receive_call(filter.as_raw_fd(), &mut call).and_then(|_| {
            answer.id = call.id;
            send_answer(filter.as_raw_fd(), &mut answer)
        })
    };
    // Who made it may have been killed meanwhile.
    assert!(matches!(answered, Ok(_) | Err(Errno::ENOENT)), "{answered:?}");
    Some(call.data[0] as i32)
}

/// Takes one process's filter and answers its first call with an error; what it was told.
fn listen_once(listener: &UnixListener) -> Value {
    let (filter, told) = take_filter(listener);
    decide(&filter, -ENOMEDIUM).unwrap();
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
    let listener = UnixListener::bind(&path).unwrap();
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

/// All that a network's proxy decides, all that the runtime itself does behind the filter, and more.
const MANY: [&str; 22] = [
    "sendmsg",
    "sendto",
    "sendmmsg",
    "connect",
    "close",
    "setsockopt",
    "socket",
    "write",
    "read",
    "execve",
    "futex",
    "prctl",
    "capset",
    "setgroups",
    "setresuid",
    "setresgid",
    "ppoll",
    "wait4",
    "fcntl",
    "dup3",
    "rt_sigaction",
    "exit_group",
];

fn notifying_all(path: &str, no_new_privs: bool) -> Bundle {
    Bundle::new(&["sh", "-c", "echo one | cat; exit 3"], |config| {
        config["process"]["noNewPrivileges"] = json!(no_new_privs);
        config["linux"]["seccomp"] = json!({
            "defaultAction": "SCMP_ACT_ALLOW", "listenerPath": path,
            "syscalls": [{"names": MANY, "action": "SCMP_ACT_NOTIFY"}],
        });
    })
}

/// Lets all calls go on, of so many processes with a filter, one after the other; which they were.
fn let_all(listener: &UnixListener, filters: usize) -> BTreeSet<i32> {
    let calls = |_| {
        let (filter, _) = take_filter(listener);
        std::iter::from_fn(move || decide(&filter, 0))
    };
    (0..filters).flat_map(calls).collect()
}

#[test]
fn a_listener_may_decide_any_call() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    for no_new_privs in [true, false] {
        let listener = UnixListener::bind(&path).unwrap();
        let bundle = notifying_all(path.to_str().unwrap(), no_new_privs);
        let calls = std::thread::spawn(move || let_all(&listener, 1));
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        assert_eq!((ended.code, ended.stdout.as_str()), (3, "one\n"), "{ended:?}");
        let calls = calls.join().unwrap();
        let all = [libc::SYS_write, libc::SYS_execve, libc::SYS_wait4, libc::SYS_exit_group].map(|call| call as i32);
        assert!(all.iter().all(|call| calls.contains(call)), "{calls:?}");
        std::fs::remove_file(&path).unwrap();
    }
}

#[test]
fn a_further_process_has_any_call_decided() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let bundle = notifying_all(path.to_str().unwrap(), false);
    bundle.change(|config| config["process"]["args"] = json!(["sleep", "1000"]));
    let calls = std::thread::spawn(move || {
        let (first, _) = take_filter(&listener);
        std::thread::spawn(move || while decide(&first, 0).is_some() {});
        let_all(&listener, 1)
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    // Who told the listener is gone, and nobody has to wait for it.
    let script = "echo $(cat /proc/[0-9]*/stat 2>/dev/null | while read pid name state rest; do echo $state; done)";
    let ended = bundle.oci(&["exec", &bundle.id(), "sh", "-c", script]);
    assert!(ended.code == 0 && !ended.stdout.contains('Z'), "{ended:?}");
    assert!(calls.join().unwrap().contains(&(libc::SYS_execve as i32)));
}

#[test]
fn a_listener_that_goes_away_fails_the_start() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    for no_new_privs in [true, false] {
        let bundle = notifying_all(path.to_str().unwrap(), no_new_privs);
        assert_eq!(bundle.create().code, 0, "{}", bundle.output());
        drop(listener.accept().unwrap());
        let ended = bundle.oci(&["start", &bundle.id()]);
        assert!(ended.code != 0 && ended.stderr.contains("hand over the seccomp listener"), "{ended:?}");
        let pid = bundle.state()["pid"].as_i64().unwrap();
        bundle.await_end(pid);
        bundle.ok(&["delete", &bundle.id()]);
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

/// Threads of a process besides the first.
fn threads(pid: i64) -> Vec<i32> {
    let all = std::fs::read_dir(format!("/proc/{pid}/task")).unwrap();
    let numbers = all.map(|thread| thread.unwrap().file_name().to_str().unwrap().parse().unwrap());
    numbers.filter(|number| i64::from(*number) != pid).collect()
}

/// Starts the payload's process; one that hangs ends with that, which else would keep a CPU to itself.
fn start(bundle: &Bundle, pid: i64, meanwhile: impl FnOnce()) -> Output {
    let mut start = bundle.command(&["start", &bundle.id()]).stderr(Stdio::piped()).spawn().unwrap();
    meanwhile();
    bundle.await_end(start.id().into());
    let hangs = start.try_wait().unwrap().is_none();
    if hangs {
        kill(Pid::from_raw(pid as i32), SIGKILL).unwrap();
    }
    let ended = start.wait_with_output().unwrap();
    assert!(!hangs, "{ended:?}");
    ended
}

/// The container's root may kill it, and so may the kernel.
#[test]
fn a_start_whose_messenger_is_killed_fails() {
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    for no_new_privs in [true, false] {
        let bundle = notifying_all(path.to_str().unwrap(), no_new_privs);
        // More than a socket holds, and nobody reads it: the messenger waits.
        bundle.change(|config| config["linux"]["seccomp"]["listenerMetadata"] = json!("x".repeat(500_000)));
        assert_eq!(bundle.create().code, 0, "{}", bundle.output());
        let (connection, _) = listener.accept().unwrap();
        let pid = bundle.state()["pid"].as_i64().unwrap();
        let started = start(&bundle, pid, || {
            // What arrives comes behind the filter.
            poll(&mut [PollFd::new(connection.as_fd(), PollFlags::POLLIN)], 20_000u16).unwrap();
            let messengers = threads(pid);
            assert_eq!(messengers.len(), 1);
            // Nor would the payload inherit one that has ended.
            assert_eq!(std::fs::read_to_string(format!("/proc/{pid}/task/{pid}/children")).unwrap(), "");
            kill(Pid::from_raw(messengers[0]), SIGKILL).unwrap();
        });
        let said = String::from_utf8_lossy(&started.stderr);
        assert!(!started.status.success() && said.contains("killed before the payload ran"), "{started:?}");
        bundle.await_end(pid);
        bundle.ok(&["delete", &bundle.id()]);
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

#[test]
fn a_limit_without_room_for_the_messenger_is_told() {
    // A plain user has no cgroup to limit.
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let _listener = UnixListener::bind(&path).unwrap();
    let bundle = with_listener(path.to_str().unwrap());
    bundle.change(|config| config["linux"]["resources"]["pids"] = json!({"limit": 1}));
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    let ended = bundle.oci(&["start", &bundle.id()]);
    assert!(ended.code != 0 && ended.stderr.contains("linux.resources.pids.limit"), "{ended:?}");
}

/// A listener and a policy, with room for real time where cgroups have it only when told.
fn real_time(path: &str, scheduler: &Value, no_new_privs: bool) -> Bundle {
    let bundle = with_listener(path);
    bundle.change(|config| {
        config["process"]["args"] = json!(["sleep", "1000"]);
        config["process"]["noNewPrivileges"] = json!(no_new_privs);
        config["process"]["scheduler"] = scheduler.clone();
        config["hooks"] = json!({"startContainer": [{"path": "/bin/busybox", "args": ["true"]}]});
        if std::path::Path::new("/sys/fs/cgroup/cpu/cpu.rt_runtime_us").exists() {
            // A cgroup above would need it, too.
            config["linux"]["cgroupsPath"] = json!(format!("/sampan-test-{}", bundle.id()));
            config["linux"]["resources"]["cpu"] = json!({"realtimePeriod": 1_000_000, "realtimeRuntime": 100_000});
        }
    });
    bundle
}

fn create_on_one_cpu(bundle: &Bundle) {
    use std::os::unix::process::CommandExt;
    let mut create = bundle.command(&["create", "--bundle", &bundle.path(""), &bundle.id()]);
    let one = || {
        let mut cpus = nix::sched::CpuSet::new();
        cpus.set(0)?;
        Ok(nix::sched::sched_setaffinity(Pid::from_raw(0), &cpus)?)
    };
    // SAFETY: one plain call.
    let create = unsafe { create.stdin(Stdio::null()).pre_exec(one) };
    assert!(create.status().unwrap().success());
}

#[test]
fn a_real_time_process_on_one_cpu_is_handed_over() {
    // A plain user gets no such policy.
    if !is_root() {
        return;
    }
    let dir = tempfile::tempdir_in("/dev/shm").unwrap();
    let path = dir.path().join("listener");
    let listener = UnixListener::bind(&path).unwrap();
    let (runtime, period) = (1_000_000, 100_000_000);
    for (scheduler, policy) in [
        (json!({"policy": "SCHED_FIFO", "priority": 10}), libc::SCHED_FIFO),
        (json!({"policy": "SCHED_RR", "priority": 10}), libc::SCHED_RR),
        (
            json!({"policy": "SCHED_DEADLINE", "runtime": runtime, "deadline": period, "period": period}),
            libc::SCHED_DEADLINE,
        ),
    ] {
        for no_new_privs in [true, false] {
            let bundle = real_time(path.to_str().unwrap(), &scheduler, no_new_privs);
            // Those of this kind may not be bound to a part of the CPUs.
            match policy {
                libc::SCHED_DEADLINE => assert_eq!(bundle.create().code, 0, "{}", bundle.output()),
                _ => create_on_one_cpu(&bundle),
            }
            let pid = bundle.state()["pid"].as_i64().unwrap();
            let started = start(&bundle, pid, || {});
            assert!(started.status.success(), "{started:?}");
            take_filter(&listener);
            // SAFETY: a plain call.
            assert_eq!(unsafe { libc::sched_getscheduler(pid as i32) }, policy);
            bundle.ok(&["delete", "--force", &bundle.id()]);
        }
    }
}

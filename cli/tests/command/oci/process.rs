//! What a process begins with: descriptors, scheduling, CPUs, nodes of memory.

use std::process::{Command, Stdio};

use nix::libc;
use serde_json::json;

use super::mounts::{in_a_user_namespace, open_to_all};
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
    // That policy leaves the niceness as it was: this process's.
    let (_, own, _) = scheduling(0);
    assert_eq!(scheduling(pid), (libc::SCHED_IDLE, own, 3 << 13));
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
fn systemds_form_of_a_cgroup_is_a_path_and_a_systemd_that_is_not_there_is_told() {
    let bundle = Bundle::new(&["sleep", "1000"], |_| {});
    // Where it is there a lane of its own asks it.
    if !std::path::Path::new("/run/systemd/system").exists() {
        let ended = bundle.oci(&["--systemd-cgroup", "create", "--bundle", &bundle.path(""), &bundle.id()]);
        let told = ["connect to systemd", if is_root() { "cgroupfs" } else { "enable-linger" }];
        assert!(ended.code != 0 && told.iter().all(|part| ended.stderr.contains(part)), "{ended:?}");
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
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

#[test]
fn memory_comes_from_the_nodes_of_the_policy() {
    let script = "read at policy rest < /proc/self/numa_maps && echo $policy; exec sleep 1000";
    let bundle = Bundle::new(&["sh", "-c", script], |config| {
        config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "0", "flags": ["MPOL_F_STATIC_NODES"]});
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("its policy", || bundle.output().ends_with('\n'));
    assert_eq!(bundle.output(), "bind=static:0\n");
    assert_eq!(
        bundle.ok(&["exec", &bundle.id(), "sh", "-c", &script.replace("exec sleep 1000", "")]),
        "bind=static:0\n"
    );
    bundle.ok(&["delete", "--force", &bundle.id()]);
    bundle.change(|config| config["linux"]["memoryPolicy"] = json!({"mode": "MPOL_BIND", "nodes": "1000"}));
    assert!(bundle.create().stdout.contains("set the memory policy"), "{}", bundle.output());
    assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
}

fn may_go_beyond() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let effective = status.lines().find_map(|line| line.strip_prefix("CapEff:")).unwrap();
    u64::from_str_radix(effective.trim(), 16).unwrap() & (1 << 24) != 0
}

/// In a user namespace too, where the container's own root may not give them any more.
#[test]
fn scores_and_limits_are_those_of_whoever_makes_it() {
    let look = "cat /proc/self/oom_score_adj; ulimit -Sn; ulimit -Hn";
    let bundle = Bundle::new(&["sh", "-c", &format!("{look}; exec sleep 1000")], in_a_user_namespace);
    open_to_all(&bundle);
    bundle.change(|config| {
        config["process"]["oomScoreAdj"] = json!(300);
        config["process"]["rlimits"] = json!([{"type": "RLIMIT_NOFILE", "soft": 100, "hard": 200}]);
    });
    assert_eq!(bundle.create().code, 0, "{}", bundle.output());
    bundle.ok(&["start", &bundle.id()]);
    crate::common::until("what it has", || bundle.output() == "300\n100\n200\n");
    assert_eq!(bundle.ok(&["exec", &bundle.id(), "sh", "-c", look]), "300\n100\n200\n");
}

#[test]
fn a_score_and_a_limit_that_are_not_to_be_had_name_their_bounds() {
    let (_, hard) = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_MSGQUEUE).unwrap();
    let limit = json!([{"type": "RLIMIT_MSGQUEUE", "soft": 1, "hard": hard + 1}]);
    let beyond = [
        ("oomScoreAdj", json!(-100), "score -100: ".to_owned()),
        ("rlimits", limit, format!("limit msgqueue={}: {hard} is", hard + 1)),
    ];
    for ((field, value, said), in_users) in beyond.iter().flat_map(|one| [(one, false), (one, true)]) {
        let bundle = Bundle::new(&["true"], |config| {
            config["process"][field] = value.clone();
            if in_users {
                in_a_user_namespace(config);
            }
        });
        open_to_all(&bundle);
        let ended = bundle.oci(&["run", "--bundle", &bundle.path(""), &bundle.id()]);
        match may_go_beyond() {
            true => assert_eq!(ended.code, 0, "{ended:?}"),
            false => assert!(
                ended.code != 0 && ended.stderr.contains(said) && ended.stderr.contains("only CAP_SYS_RESOURCE"),
                "{ended:?}"
            ),
        }
        assert_eq!(bundle.left(), Vec::<std::path::PathBuf>::new());
    }
}

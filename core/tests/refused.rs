//! Options that make no sense, each field of them: refused with a kind, in one line that names what is wrong, and
//! nothing is made.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use common::{Host, command};
use sampan::{DeviceRate, DeviceWeight, Kind, Mount, MountKind, RunOptions, Ulimit};

fn some(text: &str) -> Option<String> {
    Some(text.to_owned())
}

fn list(text: &str) -> Vec<String> {
    vec![text.to_owned()]
}

type Set = fn(&mut RunOptions, &str);

/// A field, the word that the refusal has of it, how it is set, and values that make no sense.
const TEXTS: &[(&str, Set, &[&str])] = &[
    ("name", |o, v| o.name = some(v), &["a b", "a\nb", "a\0b", "/a", "-a", ".", "..", "ünï", "a/b", LONG]),
    (
        "image",
        |o, v| o.image = v.to_owned(),
        &["", " ", "a b", "a\nb", "a\0b", "UPPER", "a::b", "a@sha256:00", "../x", LONG],
    ),
    ("hostname", |o, v| o.hostname = some(v), &["", "a b", "a\nb", "a\0b", "ünï", LONG]),
    ("env", |o, v| drop(o.env.insert(v.to_owned(), "x".into())), &["", "A=B", "A\0B"]),
    ("env", |o, v| drop(o.env.insert("A".into(), v.to_owned())), &["x\0y"]),
    ("label", |o, v| drop(o.labels.insert(v.to_owned(), "x".into())), &[""]),
    ("command", |o, v| o.command = list(v), &["", "a\0b"]),
    ("command", |o, v| o.command = vec!["true".into(), v.to_owned()], &["a\0b"]),
    ("command", |o, v| o.entrypoint = Some(vec!["true".into(), v.to_owned()]), &["a\0b"]),
    ("user", |o, v| o.user = some(v), &["a\0b", "a:b:c", "nobody-here", "4294967296", "-1", "a\nb", LONG]),
    ("group", |o, v| o.group_add = list(v), &["", "a\0b", "no-group", "4294967296", LONG]),
    ("group", |o, v| o.user = some(v), &[":", "0:no-group"]),
    ("nobody", |o, v| o.network = some(v), &["container:nobody"]),
    ("nobody", |o, v| o.uts = some(v), &["container:nobody"]),
    ("workdir", |o, v| o.workdir = some(v), &["relative", "a\0b", "/a\0b", LONG]),
    ("network", |o, v| o.network = some(v), &["bridge", "container:", "a\0b", LONG]),
    ("pid", |o, v| o.pid = some(v), &["none", "container:", "a\0b"]),
    ("ipc", |o, v| o.ipc = some(v), &["shareable!"]),
    ("uts", |o, v| o.uts = some(v), &["x"]),
    ("cgroupns", |o, v| o.cgroupns = some(v), &["x"]),
    ("capability", |o, v| o.cap_add = list(v), &["", "FLY", "CAP_", "a\0b", LONG]),
    ("capability", |o, v| o.cap_drop = list(v), &["", "FLY", "SYS_ADMIN "]),
    ("security_opt", |o, v| o.security_opt = list(v), &["", "x", "no-new-privileges:maybe", "a\0b", "seccomp="]),
    ("seccomp", |o, v| o.security_opt = list(v), &["seccomp={", "seccomp={\"defaultAction\":\"SCMP_ACT_FLY\"}"]),
    ("nonexistent", |o, v| o.security_opt = list(v), &["seccomp=/nonexistent/profile"]),
    ("signal", |o, v| o.stop_signal = some(v), &["SIGFLY", "0", "65", "-9", "a\0b", LONG]),
    ("cpuset_cpus", |o, v| o.cpuset_cpus = some(v), &["x", "0-", "1,,2", "-1", "3-1", "a\0b"]),
    ("cpuset.cpus", |o, v| o.cpuset_cpus = some(v), &["99999"]),
    ("cpuset_mems", |o, v| o.cpuset_mems = some(v), &["x", "0-", "0,,1", "-1", "1-0", "a\0b"]),
    ("cpuset.mems", |o, v| o.cpuset_mems = some(v), &["999"]),
    ("device_read_bps", |o, v| o.device_read_bps = rate(v, 1), &["", "sda", "a\0b", "/dev/a\0b"]),
    ("limit device", |o, v| o.device_write_iops = rate(v, 1), &["/dev/null", "/", "/dev/nonexistent", LONG_PATH]),
    ("limit device", |o, v| o.blkio_weight_device = weight(v, 10), &["/etc/passwd", "/dev/null/x"]),
    ("cgroup_parent", |o, v| o.cgroup_parent = some(v), &["../x", "a/../b", "a b", "a\0b", LONG]),
    ("device", |o, v| o.devices = list(v), &["", "fuse", "/dev/null:/x:y", "/dev/a\0b", "/etc/passwd", "/"]),
    ("/dev/nonexistent", |o, v| o.devices = list(v), &["/dev/nonexistent"]),
    ("platform", |o, v| o.platform = some(v), &["", "x", "linux", "linux/", "a/b/c/d", "linux/a\0b", LONG]),
    (
        "sysctl",
        |o, v| drop(o.sysctls.insert(v.to_owned(), "1".into())),
        &["", "kernel.panic", "net.\0", "net/../kernel.panic", "net.a\0b"],
    ),
    ("net.ipv4.ip_forward", |o, v| drop(o.sysctls.insert("net.ipv4.ip_forward".into(), v.to_owned())), &["x", ""]),
    ("net.no.such", |o, v| drop(o.sysctls.insert(v.to_owned(), "1".into())), &["net.no.such"]),
    ("ulimit", |o, v| o.ulimits = vec![Ulimit { name: v.into(), soft: 1, hard: 1 }], &["", "files", "no\0file"]),
    ("mount", |o, v| o.mounts = vec![bind("/tmp", v)], &["", "relative", "/", "//", "/a/../b", "/a\0b", LONG]),
    ("mount", |o, v| o.mounts = vec![bind(v, "/x")], &["", "relative", "/nonexistent", "/tmp\0", LONG]),
    (
        "mount",
        |o, v| o.mounts = vec![optional(MountKind::Bind, "/tmp", v)],
        &["", "x", "size=1m", "ro,rw", "a\0b", "mode=7"],
    ),
    (
        "mount",
        |o, v| o.mounts = vec![optional(MountKind::Tmpfs, "", v)],
        &["", "x", "size=x", "size=", "mode=999", "mode=x", "size=1\0", "rshared", "uid=x"],
    ),
    ("volume", |o, v| o.mounts = vec![optional(MountKind::Volume, v, "ro")], &["a/b", "..", ".x", "a b", LONG]),
    ("mount", |o, v| o.mounts = vec![Mount { source: v.into(), ..optional(MountKind::Tmpfs, "", "ro") }], &["/tmp"]),
];

const LONG_PATH: &str = concat!("/", include_str!("refused/long.txt"));
const LONG: &str = include_str!("refused/long.txt");

fn rate(path: &str, rate: u64) -> Vec<DeviceRate> {
    vec![DeviceRate { path: path.into(), rate }]
}

fn weight(path: &str, weight: u32) -> Vec<DeviceWeight> {
    vec![DeviceWeight { path: path.into(), weight }]
}

fn bind(source: &str, target: &str) -> Mount {
    Mount { kind: MountKind::Bind, source: source.into(), target: target.into(), ..Mount::default() }
}

fn optional(kind: MountKind, source: &str, option: &str) -> Mount {
    Mount { kind, source: source.into(), target: "/x".into(), options: list(option), ..Mount::default() }
}

type Numbers = &'static [(&'static str, fn(&mut RunOptions))];

const NUMBERS: Numbers = &[
    ("memory", |o| o.memory = Some(1)),
    ("memory", |o| o.memory = Some(-5)),
    ("memory_swap", |o| o.memory_swap = Some(-2)),
    ("memory_swap", |o| (o.memory, o.memory_swap) = (Some(64 << 20), Some(1))),
    ("memory_swap", |o| o.memory_swap = Some(64 << 20)),
    ("memory_reservation", |o| o.memory_reservation = Some(-1)),
    ("memory_reservation", |o| (o.memory, o.memory_reservation) = (Some(64 << 20), Some(65 << 20))),
    ("cpus", |o| o.cpus = Some(-1.0)),
    ("cpus", |o| o.cpus = Some(f64::NAN)),
    ("cpus", |o| o.cpus = Some(f64::INFINITY)),
    ("cpus", |o| o.cpus = Some(1e-9)),
    ("cpu_quota", |o| o.cpu_quota = Some(-2)),
    ("cpu_quota", |o| o.cpu_quota = Some(999)),
    ("cpu.cfs_quota_us", |o| o.cpu_quota = Some(i64::MAX)),
    ("cpus", |o| (o.cpus, o.cpu_quota) = (Some(1.0), Some(1000))),
    ("cpus", |o| (o.cpus, o.cpu_period) = (Some(1.0), Some(1000))),
    ("cpu_period", |o| o.cpu_period = Some(999)),
    ("cpu_period", |o| o.cpu_period = Some(u64::MAX)),
    ("cpu_rt_runtime", |o| o.cpu_rt_runtime = Some(u64::MAX)),
    ("cpu_rt_period", |o| o.cpu_rt_period = Some(u64::MAX)),
    ("blkio_weight", |o| o.blkio_weight = Some(9)),
    ("blkio_weight", |o| o.blkio_weight = Some(u32::MAX)),
    ("blkio_weight_device", |o| o.blkio_weight_device = weight("/dev/sda", 0)),
    ("device_read_bps", |o| o.device_read_bps = rate("/dev/sda", 0)),
    ("device_write_bps", |o| o.device_write_bps = rate("/dev/sda", u64::MAX)),
    ("device_read_iops", |o| o.device_read_iops = rate("/dev/sda", 1 << 32)),
    ("memory_swappiness", |o| o.memory_swappiness = Some(101)),
    ("memory_swappiness", |o| o.memory_swappiness = Some(i64::MIN)),
    ("stop_timeout", |o| o.stop_timeout = Some(-1.0)),
    ("stop_timeout", |o| o.stop_timeout = Some(f64::NAN)),
    ("stop_timeout", |o| o.stop_timeout = Some(f64::INFINITY)),
    ("oom_score_adj", |o| o.oom_score_adj = Some(1001)),
    ("oom_score_adj", |o| o.oom_score_adj = Some(i32::MIN)),
    ("shm_size", |o| o.shm_size = Some(u64::MAX)),
    ("ulimit", |o| o.ulimits = vec![Ulimit { name: "nofile".into(), soft: 2, hard: 1 }]),
    ("ulimit", |o| o.ulimits = vec![Ulimit { name: "nofile".into(), soft: -2, hard: -2 }]),
    ("two mounts", |o| o.mounts = vec![bind("/tmp", "/x"), bind("/var", "/x/")]),
];

/// What is wrong with how these options were refused.
fn fault(host: &Host, what: &str, word: &str, options: RunOptions) -> Option<String> {
    let said = match host.run(options) {
        Ok(output) => format!("was taken: {:?}", output.exit),
        Err(error) => {
            let said = error.to_string();
            let kind = matches!(
                error.kind(),
                Kind::InvalidArgument | Kind::Unsupported | Kind::NotFound | Kind::UnknownUser | Kind::CommandNotFound
            );
            match kind && said.contains(word) && !said.contains(['\n', '\0']) && said.len() < 1000 {
                true => String::new(),
                false => format!("{:?}: {said}", error.kind()),
            }
        }
    };
    let left = host.left();
    let leaves = if left.is_empty() { String::new() } else { format!(" and left {left:?}") };
    match said.is_empty() && left.is_empty() {
        true => None,
        false => Some(format!("{word} {what}: {said:.400}{leaves}")),
    }
}

#[test]
fn every_option_that_makes_no_sense() {
    let host = Host::new();
    host.sh("true");
    let offline = || RunOptions { pull: sampan::PullPolicy::Never, ..command(&["true"]) };
    let mut faults = Vec::new();
    for (word, set, values) in TEXTS {
        for value in *values {
            let mut options = offline();
            set(&mut options, value);
            faults.extend(fault(&host, &format!("{value:.20?}"), word, options));
        }
    }
    for (word, set) in NUMBERS {
        let mut options = offline();
        set(&mut options);
        faults.extend(fault(&host, "", word, options));
    }
    assert!(faults.is_empty(), "{}", faults.join("\n"));
}

/// Commands that are there or not, by how they fail: the code of a shell, a word of the reason.
#[test]
fn every_command_that_can_t_be_executed() {
    use std::os::unix::fs::PermissionsExt;
    let host = Host::new();
    let files = host.dir.path().join("files");
    std::fs::create_dir(&files).unwrap();
    // An ELF header of a machine that this one is not: IBM S/390.
    let elsewhere = b"\x7fELF\x02\x02\x01\0\0\0\0\0\0\0\0\0\0\x02\xfe\xfe\0\0\0\x01".as_slice();
    for (name, content) in [
        ("script", b"#!/nonexistent/interpreter\n".as_slice()),
        ("carriage-return", b"#!/bin/sh\r\necho\r\n".as_slice()),
        ("empty", b"".as_slice()),
        ("garbage", b"\0\x01\x02".as_slice()),
        ("elsewhere", elsewhere),
    ] {
        std::fs::write(files.join(name), content).unwrap();
        std::fs::set_permissions(files.join(name), std::fs::Permissions::from_mode(0o755)).unwrap();
    }
    let long = "x".repeat(200_000);
    let many = vec!["x".repeat(100_000); 40];
    let with = |first: &str, rest: &[String]| [&[first.to_owned()], rest].concat();
    for (command, code, word) in [
        (with("no-such-command", &[]), 127, "not found"),
        (with("/no/such/command", &[]), 127, "not found"),
        (with("/etc/passwd/x", &[]), 127, "not found"),
        (with("/etc/passwd", &[]), 126, "permission denied"),
        (with("/etc", &[]), 126, "permission denied"),
        (with("/files/script", &[]), 127, "interpreter"),
        (with("/files/carriage-return", &[]), 127, "interpreter"),
        (with("/files/empty", &[]), 126, "exec format error"),
        (with("/files/garbage", &[]), 126, "exec format error"),
        (with("/files/elsewhere", &[]), 126, "exec format error"),
        (with("true", &[long]), 126, "argument list too long"),
        (with("true", &many), 126, "argument list too long"),
    ] {
        let mounts = vec![bind(files.to_str().unwrap(), "/files")];
        let error = host.run(RunOptions { command: command.clone(), mounts, ..common::command(&[]) }).unwrap_err();
        let said = error.to_string();
        assert!(error.exit_code() == code && said.contains(word), "{:?}: {} {said}", command[0], error.exit_code());
        assert!(said.len() < 1000 && !said.contains('\n'), "{said}");
        assert!(host.left().is_empty(), "{:?}: {:?}", command[0], host.left());
    }
    let in_a_file = RunOptions { workdir: some("/etc/passwd"), ..common::command(&["true"]) };
    let error = host.run(in_a_file).unwrap_err();
    assert!(error.to_string().contains("enter the working directory /etc/passwd: not a directory"), "{error}");
    assert!(host.left().is_empty());
    let labels = [("x".to_owned(), "x".repeat(20 << 20))].into();
    let error = host.run(RunOptions { labels, ..common::command(&["true"]) }).unwrap_err();
    assert!(error.kind() == Kind::LimitExceeded && error.to_string().contains("shorter arguments"), "{error}");
    assert!(host.left().is_empty());
}

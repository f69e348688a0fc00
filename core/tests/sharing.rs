//! What a container has of the host's or of another container's, and the first process that is not its command.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::collections::BTreeMap;

use common::{Host, command, text};
use sampan::{Cancel, Container, ExecOptions, Kind, LogOptions, RemoveOptions, RunOptions, StopOptions, Ulimit};

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// Runs until it is killed, and runs already.
fn base(host: &Host, options: RunOptions) -> Container {
    let container = host.spawn(RunOptions { name: Some("base".into()), tie: sampan::Tie::Host, ..options }).unwrap();
    let mut log = container.logs(&LogOptions { follow: true, ..LogOptions::default() }).unwrap();
    assert_eq!(log.next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    container
}

fn waits() -> RunOptions {
    command(&["sh", "-c", "echo up; exec sleep 1000"])
}

fn gone(container: &Container) {
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

/// What joined another's process ids leaves its orphans to that one's first process.
#[test]
fn orphans_in_another_s_process_ids_end_without_a_cgroup_too() {
    if !is_root() {
        return;
    }
    // In a process of its own, which has no cgroup to find.
    if std::env::var_os("SAMPAN_WITHOUT_CGROUPS").is_none() {
        let test = "orphans_in_another_s_process_ids_end_without_a_cgroup_too";
        let status = std::process::Command::new("unshare")
            .args(["-m", "sh", "-c", "umount -l /sys/fs/cgroup && exec \"$@\"", "sh"])
            .arg(std::env::current_exe().unwrap())
            .args(["--exact", test])
            .env("SAMPAN_WITHOUT_CGROUPS", "1")
            .status();
        return assert!(status.unwrap().success());
    }
    let host = Host::new();
    let base = base(&host, waits());
    let script =
        "setsid sh -c 'sleep 4242 & exec sleep 4242' >/dev/null 2>&1 & until ps | grep -q 'sleep 424[2]'; do :; done";
    let joined = || RunOptions { pid: Some("container:base".into()), ..command(&["sh", "-c", script]) };
    let count = ["sh", "-c", "ps | grep -c 'sleep 424[2]'"].map(String::from).to_vec();
    let count = ExecOptions { command: count, ..ExecOptions::default() };
    let others = || text(&base.exec(&count, &Cancel::new()).unwrap().stdout);
    host.run(joined()).unwrap();
    assert_eq!(others(), "0\n");
    // The shim killed, whoever looks ends them.
    let script = format!("{script}; echo up; exec sleep 1000");
    let options = RunOptions { command: vec!["sh".into(), "-c".into(), script], name: Some("lost".into()), ..joined() };
    let lost = host.spawn(options).unwrap();
    let mut log = lost.logs(&LogOptions { follow: true, ..LogOptions::default() }).unwrap();
    assert_eq!(log.next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    let shim = lost.inspect().unwrap().shim_pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::Signal::SIGKILL).unwrap();
    let status = format!("/proc/{shim}/status");
    common::until("its shim's end", || !std::fs::read_to_string(&status).is_ok_and(|s| !s.contains("State:\tZ")));
    assert_eq!(lost.inspect().unwrap().status, sampan::Status::Dead);
    assert_eq!(others(), "0\n");
    gone(&lost);
    gone(&base);
}

#[test]
fn namespaces_of_another_container_are_joined() {
    let host = Host::new();
    let base = base(&host, RunOptions { hostname: Some("other".into()), ..waits() });
    let of = Some("container:base".to_string());
    let joined = RunOptions {
        network: of.clone(),
        pid: of.clone(),
        ipc: of.clone(),
        uts: of,
        ..command(&[
            "sh",
            "-c",
            "for n in net pid ipc uts; do readlink /proc/self/ns/$n; done; hostname; ps | grep -c 'sleep 100[0]'",
        ])
    };
    let result = host.run(joined);
    if !is_root() {
        assert_eq!(result.unwrap_err().kind(), Kind::Unsupported);
        return gone(&base);
    }
    let out = result.unwrap();
    let pid = base.inspect().unwrap().pid.unwrap();
    let theirs = ["net", "pid", "ipc", "uts"]
        .map(|n| std::fs::read_link(format!("/proc/{pid}/ns/{n}")).unwrap().display().to_string());
    let expected = format!("{}\nother\n1\n", theirs.join("\n"));
    assert_eq!(text(&out.stdout), expected, "{}", text(&out.stderr));
    base.kill("KILL").unwrap();
    base.wait(None, &Cancel::new()).unwrap();
    let error = host.run(RunOptions { network: Some("container:base".into()), ..command(&["true"]) }).unwrap_err();
    assert!(error.kind() == Kind::Conflict && error.to_string().contains("not running"), "{error}");
    let error = host.run(RunOptions { pid: Some("container:nobody".into()), ..command(&["true"]) }).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("nobody"), "{error}");
    gone(&base);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn who_shares_ipc_shares_its_memory() {
    let host = Host::new();
    let write = "echo theirs >/dev/shm/there; ipcmk -Q >/dev/null 2>&1; echo up; exec sleep 1000";
    let base = base(&host, RunOptions { shm_size: Some(3 << 20), ..command(&["sh", "-c", write]) });
    let script =
        "cat /dev/shm/there; echo ours >/dev/shm/back; stat -f -c '%T %b' /dev/shm; ls -ld /dev/shm | cut -c 1-10";
    let joining = RunOptions { ipc: Some("container:base".into()), ..command(&["sh", "-c", script]) };
    match host.run(joining.clone()) {
        Ok(out) => {
            assert_eq!(text(&out.stdout), "theirs\ntmpfs 768\ndrwxrwxrwt\n", "{}", text(&out.stderr));
            let pid = base.inspect().unwrap().pid.unwrap();
            assert_eq!(std::fs::read(format!("/proc/{pid}/root/dev/shm/back")).unwrap(), b"ours\n");
        }
        Err(e) => assert!(!is_root() && e.kind() == Kind::Unsupported, "{e}"),
    }
    gone(&base);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn ipc_in_dockers_words() {
    let host = Host::new();
    let shm = "stat -f -c %T /dev/shm 2>/dev/null; ls -d /dev/shm 2>/dev/null; readlink /proc/self/ns/ipc";
    let said = |ipc: &str| {
        text(&host.run(RunOptions { ipc: Some(ipc.into()), ..command(&["sh", "-c", shm]) }).unwrap().stdout)
    };
    let own = std::fs::read_link("/proc/self/ns/ipc").unwrap().display().to_string();
    for ipc in ["private", "shareable"] {
        assert!(said(ipc).starts_with("tmpfs\n/dev/shm\n") && !said(ipc).contains(&own), "{ipc}");
    }
    assert!(said("none").starts_with("ipc:") && !said("none").contains(&own), "{}", said("none"));
    assert!(said("host").contains(&own));
    if !is_root() {
        return;
    }
    for (ipc, joined) in [("private", false), ("none", false), ("shareable", true)] {
        let base = base(&host, RunOptions { ipc: Some(ipc.into()), ..waits() });
        let joining = RunOptions { ipc: Some("container:base".into()), ..command(&["true"]) };
        match host.run(joining) {
            Ok(out) => assert!(joined && out.exit.code == 0, "{ipc}"),
            Err(e) => assert!(!joined && e.kind() == Kind::Conflict && e.to_string().contains("its own"), "{ipc}: {e}"),
        }
        gone(&base);
    }
}

/// As in Docker: the host's devices, and nothing hidden or read-only; what a user namespace does not give is not there.
#[test]
fn a_privileged_container_has_what_the_host_has() {
    let host = Host::new();
    let script = "grep -c ' ro[, ]' /proc/mounts; cat /proc/self/status | grep -E '^(CapEff|Seccomp:)' | tr -d '\\t'; \
                  find /dev -type c -o -type b | grep -v pts/ | sort | tr '\\n' ' '; head -c 1 /dev/zero | wc -c; \
                  mknod /tmp/null c 1 3 2>/dev/null && echo x >/tmp/null && echo made";
    let out = host.run(RunOptions { privileged: true, ..command(&["sh", "-c", script]) }).unwrap();
    let said = text(&out.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines.contains(&"Seccomp:0"), "{said}");
    let devices = std::process::Command::new("find").args(["/dev", "-type", "c", "-o", "-type", "b"]).output().unwrap();
    let devices = text(&devices.stdout);
    let on_host = devices.lines().filter(|d| !d.starts_with("/dev/pts/") && !d.starts_with("/dev/shm/"));
    for device in on_host.filter(|d| !matches!(*d, "/dev/console" | "/dev/ptmx")) {
        assert!(said.contains(&format!("{device} ")), "{device} is missing: {said}");
    }
    assert_eq!(lines.last() == Some(&"made"), is_root(), "{said}");
    if is_root() {
        let bounding = "cat /proc/self/status | grep CapBnd | cut -f 2";
        let ours = std::process::Command::new("sh").args(["-c", bounding]).output().unwrap();
        assert!(said.contains(&format!("CapEff:{}", text(&ours.stdout).trim())), "{said}");
        let writes = "for f in /sys/fs/cgroup/*/cgroup.procs /sys/fs/cgroup/cgroup.procs; do [ -e $f ] && [ -w $f ] && echo writable; done; \
                      [ -w /proc/sys/kernel/domainname ] && echo sysctl";
        let out = host.run(RunOptions { privileged: true, ..command(&["sh", "-c", writes]) }).unwrap();
        assert!(
            text(&out.stdout).starts_with("writable\n") && text(&out.stdout).ends_with("sysctl\n"),
            "{}",
            text(&out.stdout)
        );
    }
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn system_paths_can_be_left_bare() {
    let host = Host::new();
    let script =
        "stat -c %t /proc/keys; grep -c ' /proc/sys ' /proc/mounts; grep Seccomp: /proc/self/status | tr -d '\\t'";
    let security_opt = vec!["systempaths=unconfined".to_owned()];
    let out = host.run(RunOptions { security_opt, ..command(&["sh", "-c", script]) }).unwrap();
    assert_eq!(text(&out.stdout), "0\n0\nSeccomp:2\n");
    assert_eq!(text(&host.sh(script).stdout), "1\n1\nSeccomp:2\n");
}

#[test]
fn commands_where_process_ids_are_shared_are_told_by_the_hosts_numbers() {
    let host = Host::new();
    let base = base(&host, waits());
    let joining = RunOptions { pid: Some("container:base".into()), ..command(&["sleep", "1001"]) };
    let joined = match host.spawn(joining) {
        Ok(joined) => joined,
        Err(e) => {
            assert!(!is_root() && e.kind() == Kind::Unsupported, "{e}");
            return gone(&base);
        }
    };
    let options = ExecOptions { command: vec!["sleep".into(), "1002".into()], ..ExecOptions::default() };
    let exec = joined.exec_start(&options, &Cancel::new()).unwrap();
    let named = std::fs::read_to_string(format!("/proc/{}/cmdline", exec.pid())).unwrap();
    assert_eq!(named, "sleep\x001002\0");
    // Those of the namespace that it has joined are another container's.
    let listed: Vec<String> = joined.top().unwrap().into_iter().map(|p| p.command).collect();
    assert_eq!(listed, ["sleep 1001", "sleep 1002"]);
    exec.kill("KILL").unwrap();
    assert_eq!(exec.wait(&Cancel::new()).unwrap().signal, Some(9));
    gone(&joined);
    gone(&base);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn namespaces_of_the_host_are_kept() {
    let host = Host::new();
    let of = Some("host".to_string());
    let script = "for n in net pid ipc uts cgroup; do readlink /proc/self/ns/$n; done";
    let shared = RunOptions {
        network: of.clone(),
        pid: of.clone(),
        ipc: of.clone(),
        uts: of.clone(),
        cgroupns: of,
        ..command(&["sh", "-c", script])
    };
    let ours = ["net", "pid", "ipc", "uts", "cgroup"]
        .map(|n| std::fs::read_link(format!("/proc/self/ns/{n}")).unwrap().display().to_string());
    let out = host.run(shared).unwrap();
    assert_eq!(text(&out.stdout).trim(), ours.join("\n"), "{}", text(&out.stderr));
    let own = text(&host.sh(script).stdout);
    assert_eq!(own.lines().count(), ours.len(), "{own}");
    for (own, ours) in own.lines().zip(&ours) {
        assert_ne!(own, ours);
    }
}

#[test]
fn a_device_is_the_hosts_and_stays_as_it_is() {
    let host = Host::new();
    let script = "head -c 4 /dev/mine | wc -c; echo x > /dev/mine && echo written; chmod 0 /dev/mine || chmod 0 /dev/null || echo kept";
    let options = RunOptions { devices: vec!["/dev/zero:/dev/mine".into()], ..command(&["sh", "-c", script]) };
    let out = host.run(options).unwrap();
    assert_eq!(text(&out.stdout), "4\nwritten\nkept\n", "{}", text(&out.stderr));
    for node in ["/dev/zero", "/dev/null"] {
        assert!(std::fs::OpenOptions::new().write(true).open(node).is_ok());
        use std::os::unix::fs::PermissionsExt;
        assert_eq!(std::fs::metadata(node).unwrap().permissions().mode() & 0o777, 0o666, "{node}");
    }
    let missing = RunOptions { devices: vec!["/dev/no-such-device".into()], ..command(&["true"]) };
    let error = host.run(missing).unwrap_err();
    assert!(error.kind() == Kind::NotFound && error.to_string().contains("no-such-device"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What an open for reading and one for writing come to, of the nodes named.
fn opened(host: &Host, options: RunOptions, nodes: &str) -> sampan::Result<String> {
    let script = format!(
        "[ -e /made ] || mknod /made c 1 11; for n in {nodes}; do \
         (: <$n) 2>/dev/null && echo $n r; (: >$n) 2>/dev/null && echo $n w; done; \
         cat /sys/fs/cgroup/devices/devices.list 2>/dev/null"
    );
    let cap_add = vec!["SYSLOG".to_owned()];
    let out =
        host.run(RunOptions { cap_add, ..RunOptions { command: command(&["sh", "-c", &script]).command, ..options } })?;
    Ok(text(&out.stdout))
}

#[test]
fn a_device_is_given_for_what_is_said() {
    let host = Host::new();
    let given = |device: &str, nodes: &str| {
        opened(&host, RunOptions { devices: vec![device.into()], ..command(&["true"]) }, nodes)
    };
    if !is_root() {
        assert_eq!(given("/dev/kmsg:r", "/dev/null").unwrap_err().kind(), Kind::Unsupported);
        return;
    }
    let both = given("/dev/kmsg:/dev/log", "/dev/log /made").unwrap();
    assert!(both.starts_with("/dev/log r\n/dev/log w\n") && !both.contains("made"), "{both}");
    let read = given("/dev/kmsg:/dev/log:rm", "/dev/log /dev/null /dev/tty").unwrap();
    assert!(read.starts_with("/dev/log r\n/dev/null r\n/dev/null w\n"), "{read}");
    assert!(!read.contains("devices.list") && (!read.contains("c 136") || read.contains("c 1:11 rm\n")), "{read}");
    let write = given("/dev/kmsg:w", "/dev/kmsg").unwrap();
    assert!(write.starts_with("/dev/kmsg w\n"), "{write}");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_rule_lets_a_container_make_devices() {
    let host = Host::new();
    let ruled = |rule: &str| {
        opened(&host, RunOptions { device_cgroup_rules: vec![rule.into()], ..command(&["true"]) }, "/made /dev/null")
    };
    if !is_root() {
        assert_eq!(ruled("c 1:11 r").unwrap_err().kind(), Kind::Unsupported);
        return;
    }
    let read = ruled("c 1:11 rm").unwrap();
    assert!(read.starts_with("/made r\n/dev/null r\n"), "{read}");
    assert!(ruled("c 1:* rwm").unwrap().starts_with("/made r\n/made w\n"));
    assert!(ruled("c 42:* rwm").unwrap().starts_with("/dev/null r\n"));
    // A privileged container may use all, as in Docker.
    let mighty = RunOptions { privileged: true, devices: vec!["/dev/kmsg:r".into()], ..command(&["true"]) };
    assert!(opened(&host, mighty, "/dev/kmsg").unwrap().contains("/dev/kmsg w\n"));
}

#[test]
fn sysctls_limits_and_score_reach_the_process() {
    let host = Host::new();
    let options = RunOptions {
        sysctls: BTreeMap::from([
            ("net.ipv4.ip_forward".into(), "1".into()),
            ("kernel.shm_rmid_forced".into(), "1".into()),
        ]),
        ulimits: ["nofile", "core", "nproc"].map(|n| Ulimit { name: n.into(), soft: 64, hard: 128 }).to_vec(),
        oom_score_adj: Some(500),
        ..command(&[
            "sh",
            "-c",
            "cat /proc/sys/net/ipv4/ip_forward /proc/sys/kernel/shm_rmid_forced /proc/self/oom_score_adj; ulimit -n; ulimit -Hn; grep processes /proc/self/limits | tr -s ' ' | cut -d ' ' -f 3",
        ])
    };
    let out = host.run(options).unwrap();
    assert_eq!(text(&out.stdout), "1\n1\n500\n64\n128\n64\n", "{}", text(&out.stderr));
    let bad =
        RunOptions { sysctls: BTreeMap::from([("net.ipv4.no_such_thing".into(), "1".into())]), ..command(&["true"]) };
    let error = host.run(bad).unwrap_err();
    assert!(error.to_string().contains("no_such_thing"), "{error}");
    let above = Ulimit { name: "nofile".into(), soft: 1 << 40, hard: 1 << 40 };
    let error = host.run(RunOptions { ulimits: vec![above], ..command(&["true"]) }).unwrap_err();
    assert!(error.to_string().contains("resource limit"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_first_process_buries_orphans_and_passes_signals_on() {
    let host = Host::new();
    let with_init = |script: &str| RunOptions { init: true, ..command(&["sh", "-c", script]) };
    // The orphan's parent ends at once; a zombie would keep its folder in /proc.
    let script = r#"echo $$; (sh -c 'sh -c "echo \$\$ >/tmp/orphan; mv /tmp/orphan /orphan" & exit' &)
                   until [ -e /orphan ]; do :; done; read orphan </orphan
                   i=0; while [ -e /proc/$orphan ] && [ $i -lt 1000000 ]; do i=$((i+1)); done
                   [ -e /proc/$orphan ] && echo left || echo buried; ls /proc/1/fd | wc -l; exit 7"#;
    let out = host.run(with_init(script)).unwrap();
    let said = text(&out.stdout);
    let lines: Vec<&str> = said.lines().collect();
    assert!(lines[0] != "1", "{said}");
    assert_eq!((lines[1], out.exit.code), ("buried", 7), "{said} {}", text(&out.stderr));
    let input = RunOptions { stdin: Some(b"all\n".to_vec()), ..with_init("cat") };
    assert_eq!(host.run(input).unwrap().stdout, b"all\n");
    let error = host.run(RunOptions { init: true, ..command(&["nosuchcommand"]) }).unwrap_err();
    assert_eq!(error.kind(), Kind::CommandNotFound, "{error}");

    let container = base(&host, with_init("trap 'exit 5' TERM; echo up; while :; do sleep 0.01; done"));
    container.stop(&StopOptions { timeout: Some(60.0), signal: None }, &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 5);
    gone(&container);
    // What has no handler ends by the signal's default: the first process of a namespace would have been spared.
    let container = base(&host, with_init("echo up; exec sleep 1000"));
    container.stop(&StopOptions { timeout: Some(60.0), signal: None }, &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 143);
    gone(&container);
    assert_eq!(host.left(), Vec::<String>::new());
}

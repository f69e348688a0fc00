//! Containers without namespaces: what there is, what is refused, and what is left of them.

#![allow(missing_docs, clippy::disallowed_methods)]

#[path = "../common/mod.rs"]
mod common;
#[path = "../common/listing.rs"]
mod listing;

mod attacks;

use std::fs;

use common::{Host, command, gone, sleeper, text, until};
use listing::{Listing, remove_parent};
use sampan::{
    Cancel, Container, CopyOptions, EngineOptions, ExecOptions, Kind, LogOptions, Mount, RemoveOptions, RunOptions,
    Rung, Status, StopOptions, Tie,
};

/// A host of that rung; none for a plain user, who can't have it.
fn host() -> Option<Host> {
    let host = Host::with(|options| EngineOptions { rung: Some(Rung::Chroot), ..options });
    if nix::unistd::geteuid().is_root() {
        return Some(host);
    }
    let error = host.engine.info().unwrap_err();
    assert!(error.kind() == Kind::PermissionDenied && error.to_string().contains("CAP_SYS_CHROOT"), "{error}");
    None
}

fn exec(container: &Container, options: ExecOptions) -> sampan::ExecOutput {
    container.exec(&options, &Cancel::new()).unwrap()
}

fn sh(script: &str) -> ExecOptions {
    ExecOptions { command: ["sh", "-c", script].map(str::to_owned).into(), ..ExecOptions::default() }
}

#[test]
fn a_command_runs_and_leaves_nothing() {
    let Some(host) = host() else { return };
    host.sh("true");
    let parent = format!("sampan-test-chroot-run-{}", std::process::id());
    let before = Listing::of(host.dir.path(), &parent);
    let user = RunOptions {
        cgroup_parent: Some(parent.clone()),
        user: Some("1234:567".into()),
        stdin: Some(b"fed\n".to_vec()),
        ..command(&["sh", "-c", "id -u; id -g; cat; pwd; echo $HOSTNAME; echo x >/dev/null; exit 7"])
    };
    let output = host.run(RunOptions { workdir: Some("/made/here".into()), ..user }).unwrap();
    let name = nix::unistd::gethostname().unwrap().into_string().unwrap();
    assert_eq!(text(&output.stdout), format!("1234\n567\nfed\n/made/here\n{name}\n"), "{}", text(&output.stderr));
    assert_eq!(output.exit.code, 7);
    let hosts = host.sh("cat /etc/resolv.conf /etc/hosts");
    let wanted = ["/etc/resolv.conf", "/etc/hosts"].map(|file| fs::read_to_string(file).unwrap_or_default());
    assert_eq!(text(&hosts.stdout), wanted.concat());
    let error = host.run(command(&["nothing-of-that-name"])).unwrap_err();
    assert_eq!(error.kind(), Kind::CommandNotFound);
    assert_eq!(Listing::of(host.dir.path(), &parent), before);
    remove_parent(&parent);
}

#[test]
fn it_is_never_chosen_and_always_told() {
    let Some(host) = host() else { return };
    let report = host.engine.doctor().unwrap();
    let landlock = report.checks.iter().find(|check| check.name == "Landlock").unwrap();
    assert!(report.ok && report.rung == Rung::Chroot && report.reason == "it was asked for", "{report:?}");
    assert!(landlock.detail.contains("not held by a security boundary"), "{landlock:?}");
    let other = Host::new();
    assert_ne!(other.engine.info().unwrap().rung, Rung::Chroot);
    let container = host.spawn(sleeper()).unwrap();
    let info = container.inspect().unwrap();
    assert_eq!((info.rung, info.network.as_str()), (Rung::Chroot, "host"));
    // Who works on it later need not name it again, and gives it no more than it was created with.
    let options = EngineOptions { rung: None, ..Host::options(&host.dir) };
    let later = sampan::Engine::open(&options).unwrap().container(container.id()).unwrap();
    let tried = exec(&later, sh("mknod /tmp/n c 1 3; chroot /tmp; ls /proc"));
    assert_eq!(text(&tried.stderr).lines().count(), 2, "{}", text(&tried.stderr));
    let all = ExecOptions { privileged: true, ..sh("true") };
    assert_eq!(later.exec(&all, &Cancel::new()).unwrap_err().kind(), Kind::Unsupported);
    later.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    later.start(&Default::default(), &Cancel::new()).unwrap();
    assert_eq!(later.inspect().unwrap().rung, Rung::Chroot);
    gone(&host, &container);
}

#[test]
fn what_can_t_be_is_refused_before_anything_is_made() {
    let Some(host) = host() else { return };
    let mount = Mount { source: "/tmp".into(), target: "/t".into(), ..Mount::default() };
    let all = [
        ("mounts", RunOptions { mounts: vec![mount], ..sleeper() }),
        ("network", RunOptions { network: Some("none".into()), ..sleeper() }),
        ("pid", RunOptions { pid: Some("private".into()), ..sleeper() }),
        ("privileged", RunOptions { privileged: true, ..sleeper() }),
        ("devices", RunOptions { devices: vec!["/dev/null".into()], ..sleeper() }),
        ("sysctls", RunOptions { sysctls: [("net.ipv4.ip_forward".into(), "1".into())].into(), ..sleeper() }),
    ];
    for (option, options) in all {
        let error = host.spawn(options).unwrap_err();
        let said = error.to_string();
        assert!(error.kind() == Kind::Unsupported && said.contains(option) && said.contains("chroot"), "{said}");
        assert!(error.hint_text().is_some_and(|hint| hint.contains("doctor")), "{said}");
    }
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn commands_and_copies_meet_the_same_files() {
    let Some(host) = host() else { return };
    let container = host.spawn(sleeper()).unwrap();
    let made = exec(&container, sh("mkdir /d && echo inside >/d/f && ln /d/f /d/g && mv /d/g /etc/g && id -u"));
    assert_eq!((text(&made.stdout).as_str(), text(&made.stderr).as_str()), ("0\n", ""));
    let at = |name: &str| host.dir.path().join(name).display().to_string();
    container.copy_from("/etc/g", &at("g"), &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(fs::read_to_string(at("g")).unwrap(), "inside\n");
    container.copy_to(&at("g"), "/d/back", &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(text(&exec(&container, sh("cat /d/back")).stdout), "inside\n");
    // Of one that a command has made, and of one that has none of the signals' senders but its own.
    let top = container.top().unwrap();
    assert_eq!(top.iter().map(|p| p.command.as_str()).collect::<Vec<_>>(), ["sleep 1000"]);
    exec(&container, sh(&format!("kill {}", top[0].pid)));
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 143);
    container.start(&Default::default(), &Cancel::new()).unwrap();
    assert_eq!(text(&exec(&container, sh("cat /d/f; [ -c /dev/null ] && echo node")).stdout), "inside\nnode\n");
    container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
    container.copy_from("/d", &at("d"), &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(fs::read_to_string(at("d/back")).unwrap(), "inside\n");
    gone(&host, &container);
}

#[test]
fn an_image_s_files_stay_as_they_are() {
    let Some(host) = host() else { return };
    assert_eq!(host.sh("echo spoilt >/etc/passwd; rm -rf /bin; echo gone").exit.code, 0);
    assert!(text(&host.sh("cat /etc/passwd; ls /bin/sh").stdout).ends_with("/bin/sh\n"));
    assert!(!text(&host.sh("cat /etc/passwd").stdout).contains("spoilt"));
}

#[test]
fn a_read_only_one_writes_to_devices_and_memory_alone() {
    let Some(host) = host() else { return };
    let script = "exec 2>&1; touch /made; mkdir /tmp/d; echo x >/etc/passwd; true >/dev/file; rm /etc/hosts
        echo a >/dev/null && echo b >/dev/shm/f && cat /dev/shm/f; sleep 1000";
    let options = RunOptions { read_only: true, ..sleeper() };
    let container = host.spawn(RunOptions { command: ["sh", "-c", script].map(str::to_owned).into(), ..options });
    let container = container.unwrap();
    let mut log = container.logs(&LogOptions { follow: true, ..LogOptions::default() }).unwrap();
    let mut said = String::new();
    while !said.ends_with("b\n") {
        said += &text(&log.next(&Cancel::new()).unwrap().unwrap().data);
    }
    assert!(said.starts_with("touch: /made: Read-only file system\n"), "{said}");
    assert_eq!(said.matches("ermission denied").count(), 4, "{said}");
    let mine = host.dir.path().join("mine").display().to_string();
    fs::write(&mine, "x").unwrap();
    let error = container.copy_to(&mine, "/f", &CopyOptions::default(), &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("marked read-only"), "{error}");
    // A directory that is there would be given this one's mode and time.
    fs::create_dir(host.dir.path().join("etc")).unwrap();
    let (mine, look) = (host.dir.path().join("etc").display().to_string(), "stat -c '%a %Y' /etc");
    let before = text(&exec(&container, sh(look)).stdout);
    let error = container.copy_to(&mine, "/", &CopyOptions::default(), &Cancel::new()).unwrap_err();
    assert!(error.to_string().contains("marked read-only"), "{error}");
    assert_eq!(text(&exec(&container, sh(look)).stdout), before);
    container.copy_to(&mine, "/dev/shm", &CopyOptions::default(), &Cancel::new()).unwrap();
    assert_eq!(exec(&container, sh("touch /made")).code, 1);
    gone(&host, &container);
}

/// What no mount holds here, and Landlock does not: whoever looks at it before and behind sees the same.
#[test]
fn a_read_only_one_keeps_modes_owners_times_and_attributes() {
    let Some(host) = host() else { return };
    let tried = "chmod 777 /etc/passwd; chown 7:7 /etc/passwd; touch -d @1 /etc/passwd; chattr +d /etc/passwd
        setfattr -n user.a -v b /etc/passwd; truncate -s 0 /etc/passwd; chmod 700 /dev/shm";
    let look = "stat -c '%a %u %g %s %Y' /etc/passwd; lsattr /etc/passwd | cut -c1-20; stat -c %a /dev/shm";
    let attempts = |options: RunOptions| {
        let container = host.spawn(options).unwrap();
        let before = text(&exec(&container, sh(look)).stdout);
        let said = text(&exec(&container, sh(tried)).stderr);
        let after = text(&exec(&container, sh(look)).stdout);
        gone(&host, &container);
        (before == after, said)
    };
    assert!(!attempts(sleeper()).0);
    for security_opt in [vec![], vec!["seccomp=unconfined".into()]] {
        let (same, said) = attempts(RunOptions { read_only: true, security_opt, ..sleeper() });
        assert!(same, "{said}");
        // The file system may have no attributes of that kind, and Landlock keeps what is written.
        assert!(said.matches("Read-only file system").count() >= 4, "{said}");
    }
}

/// What a container, or a copy into it, has put in the places of what a start makes there.
#[test]
fn a_start_makes_anew_what_is_not_there_any_more() {
    let Some(host) = host() else { return };
    let container = host.spawn(sleeper()).unwrap();
    let spoilt = [
        "rm /dev/null /dev/zero /etc/hosts; mkdir -p /dev/null/x/y /etc/hosts/x; ln -s /etc/passwd /dev/zero",
        "rm -r /dev/shm; ln -s /etc /dev/shm; mkfifo /dev/full.new; mv /dev/full.new /dev/full; chmod 700 /dev",
        "rm -r /dev; ln -s /etc /dev; rm /etc/hosts; ln -s /etc/passwd /etc/hosts",
        "rm -r /dev; echo x >/dev",
    ];
    let names = "ls /etc; cat /etc/passwd";
    let before = text(&exec(&container, sh(names)).stdout);
    for script in spoilt {
        exec(&container, ExecOptions { stdin: Some(Vec::new()), ..sh(script) });
        container.stop(&StopOptions::default(), &Cancel::new()).unwrap();
        container.start(&Default::default(), &Cancel::new()).unwrap();
        let look = "cd /dev; stat -c '%F %a %t:%T' . shm full null zero; stat -c %F /etc/hosts; echo x >/dev/null";
        let found = text(&exec(&container, sh(look)).stdout);
        let device = |minor| format!("character special file 666 1:{minor}\n");
        let devices = [7, 3, 5].map(device).concat();
        assert_eq!(found, format!("directory 755 0:0\ndirectory 1777 0:0\n{devices}regular file\n"), "{script}");
        assert_eq!(text(&exec(&container, sh(names)).stdout), before, "{script}");
    }
    gone(&host, &container);
}

#[test]
fn a_terminal_is_one() {
    let Some(host) = host() else { return };
    let script = "test -t 0 && stty size && echo yes >/dev/tty";
    let container = host.spawn(RunOptions { tty: true, ..sleeper() }).unwrap();
    let options = ExecOptions { tty: true, rows: Some(20), columns: Some(70), ..sh(script) };
    assert_eq!(text(&exec(&container, options).stdout), "20 70\r\nyes\r\n");
    assert_eq!(text(&exec(&container, sh("test -t 0 || echo none")).stdout), "none\n");
    gone(&host, &container);
}

#[test]
fn restarts_and_health_are_looked_after() {
    let Some(host) = host() else { return };
    let options = RunOptions {
        restart: Some("on-failure:2".into()),
        health_cmd: Some("test -e /count".into()),
        health_interval: Some(0.1),
        init: true,
        ..command(&["sh", "-c", "echo run >>/count; [ $(wc -l </count) = 3 ] && exec sleep 1000; exit 1"])
    };
    let container = host.spawn(RunOptions { tie: Tie::Host, ..options }).unwrap();
    container.wait_healthy(None, &Cancel::new()).unwrap();
    until("the third run", || container.inspect().unwrap().restart_count == 2);
    gone(&host, &container);
}

/// Nothing of it has a namespace to end with, so that whoever looks next ends it.
#[test]
fn what_a_killed_shim_leaves_is_ended_by_who_looks_next() {
    let Some(host) = host() else { return };
    host.sh("true");
    let parent = format!("sampan-test-chroot-shim-{}", std::process::id());
    let before = Listing::of(host.dir.path(), &parent);
    let options = RunOptions {
        cgroup_parent: Some(parent.clone()),
        ..command(&["sh", "-c", "setsid sleep 900 & sleep 900 & exec sleep 1000"])
    };
    let container = host.spawn(options).unwrap();
    until("its processes", || container.top().unwrap().iter().filter(|p| p.command.starts_with("sleep")).count() == 3);
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::SIGKILL).unwrap();
    until("its end", || container.inspect().unwrap().status == Status::Dead);
    until("the end of all", || Listing::of(host.dir.path(), &parent).processes == before.processes);
    container.remove(&RemoveOptions::default()).unwrap();
    drop(container);
    assert_eq!(Listing::of(host.dir.path(), &parent), before);
    remove_parent(&parent);
}

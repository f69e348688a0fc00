//! Containers for real: a pulled image, the shim, the kernel.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::os::unix::fs::OpenOptionsExt;

use common::{Host, cgroups, command, image, text, until};
use sampan::{
    Cancel, Container, ExecOptions, Kind, ListOptions, LogOptions, Mount, MountKind, Quiet, RemoveOptions, RunOptions,
    Status, Stdio, StopOptions, Stream, Tie, Ulimit,
};

#[test]
fn output_input_and_exit_code() {
    let host = Host::new();
    let out = host.sh("echo out; echo err >&2; exit 7");
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str(), out.exit.code), ("out\n", "err\n", 7));
    let big = vec![b'x'; 3 << 20];
    let cat = RunOptions { stdin: Some(big.clone()), ..command(&["cat"]) };
    assert!(host.run(cat).unwrap().stdout == big);
    // The first process of a PID namespace can't kill itself, but its child can.
    assert_eq!(host.sh("sh -c 'kill -9 $$'; exit $?").exit.code, 137);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn what_cannot_be_run_says_why_and_leaves_nothing() {
    let host = Host::new();
    let fails = |options: RunOptions, kind: Kind, code: i32| {
        let error = host.run(options).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, code), "{error}");
    };
    fails(command(&["nosuchcommand"]), Kind::CommandNotFound, 127);
    fails(command(&["/etc/passwd"]), Kind::CommandNotExecutable, 126);
    fails(RunOptions { user: Some("nobody-here".into()), ..command(&["true"]) }, Kind::UnknownUser, 125);
    let missing = Mount { source: "/nonexistent-source".into(), target: "/x".into(), ..Mount::default() };
    fails(RunOptions { mounts: vec![missing], ..command(&["true"]) }, Kind::NotFound, 125);
    fails(RunOptions { network: Some("web".into()), ..command(&["true"]) }, Kind::Unsupported, 125);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn options_reach_the_process() {
    let host = Host::new();
    let options = RunOptions {
        env: BTreeMap::from([("GREETING".into(), "hi there".into())]),
        workdir: Some("/made/for/it".into()),
        user: Some("app".into()),
        group_add: vec!["extra".into()],
        hostname: Some("box".into()),
        ulimits: vec![Ulimit { name: "nofile".into(), soft: 100, hard: 200 }],
        ..command(&["sh", "-c", "echo $GREETING; pwd; id -un; id -G; hostname; ulimit -n; echo $HOME"])
    };
    let result = host.run(options);
    if host.engine.info().unwrap().rung == sampan::Rung::SingleId {
        // One id is mapped, so no other user can be had.
        return assert!(result.unwrap_err().to_string().contains("user and group ids"));
    }
    let out = result.unwrap();
    let lines: Vec<String> = text(&out.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines, ["hi there", "/made/for/it", "app", "1000 2000", "box", "100", "/home/app"]);
}

#[test]
fn the_container_sees_only_itself() {
    let host = Host::new();
    let out = host.sh("ps | grep -vc PID; ls /sys/class/net; cat /proc/1/comm; ls -A /proc/acpi 2>/dev/null | wc -l; \
                       touch /proc/sys/kernel/x 2>&1 | tail -1; grep CapBnd /proc/self/status; ls /dev | tr '\\n' ' '");
    let lines: Vec<String> = text(&out.stdout).lines().map(str::to_owned).collect();
    assert_eq!(lines[1], "lo", "{lines:?}");
    assert_eq!(lines[3], "0");
    assert!(lines.iter().any(|l| l.contains("a80425fb")), "{lines:?}");
    assert_eq!(
        lines.last().unwrap().trim(),
        "core fd full mqueue null ptmx pts random shm stderr stdin stdout tty urandom zero"
    );
}

#[test]
fn a_device_made_inside_gives_nothing() {
    let host = Host::new();
    let out = host.sh("mknod /tmp/null c 1 3 && echo x > /tmp/null; mknod /dev/mine c 1 3 && echo x > /dev/mine; echo x > /dev/null && echo fine");
    assert_eq!(text(&out.stdout), "fine\n", "{}", text(&out.stderr));
    // Root may make one and not open it; in a user namespace it can't even be made.
    let refused = text(&out.stderr);
    assert!(refused.contains("ermission denied") || refused.contains("not permitted"), "{refused}");
}

#[test]
fn mounts_of_each_kind() {
    let host = Host::new();
    let shared = tempfile::tempdir().unwrap();
    std::fs::write(shared.path().join("in"), "from the host").unwrap();
    let bind = |target: &str, read_only| Mount {
        source: shared.path().display().to_string(),
        target: target.into(),
        read_only,
        ..Mount::default()
    };
    let tmpfs = Mount {
        kind: MountKind::Tmpfs,
        target: "/scratch".into(),
        options: vec!["size=1m".into()],
        ..Mount::default()
    };
    let script = "cat /ro/in; echo back > /rw/out; touch /ro/no 2>/dev/null || echo ' read-only'; \
                  head -c 2m /dev/zero > /scratch/big 2>/dev/null || echo full; grep -c ' /scratch tmpfs' /proc/mounts";
    let mounts = vec![bind("/ro", true), bind("/rw", false), tmpfs];
    let out = host.run(RunOptions { mounts, ..command(&["sh", "-c", script]) }).unwrap();
    assert_eq!(text(&out.stdout), "from the host read-only\nfull\n1\n", "{}", text(&out.stderr));
    assert_eq!(std::fs::read_to_string(shared.path().join("out")).unwrap(), "back\n");
}

#[test]
fn a_read_only_root_and_a_new_volume() {
    let host = Host::new();
    let volume = Mount { kind: MountKind::Volume, target: "/etc".into(), ..Mount::default() };
    let options = RunOptions {
        read_only: true,
        mounts: vec![volume],
        ..command(&[
            "sh",
            "-c",
            "touch /no 2>/dev/null || echo read-only; grep -c app /etc/passwd; touch /etc/new && echo writable",
        ])
    };
    let out = host.run(options).unwrap();
    assert_eq!(text(&out.stdout), "read-only\n1\nwritable\n", "{}", text(&out.stderr));
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_volume_that_a_crash_left_unmade_is_made_by_the_start() {
    let host = Host::new();
    let volume = Mount { kind: MountKind::Volume, target: "/data".into(), ..Mount::default() };
    let options = RunOptions { mounts: vec![volume], ..command(&["touch", "/data/f"]) };
    let container = host.engine.create(&options, &mut Quiet, &Cancel::new()).unwrap();
    let volumes = host.dir.path().join("root/volumes");
    // As after a kill between the record and its volumes.
    std::fs::remove_dir_all(&volumes).unwrap();
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 0);
    let made = std::fs::read_dir(&volumes).unwrap().next().unwrap().unwrap();
    assert!(made.path().join("_data/f").exists());
    container.remove(&RemoveOptions { force: false, volumes: true }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_life_in_the_background() {
    let host = Host::new();
    let script = "trap 'echo bye; exit 3' TERM; echo up; echo warn >&2; while :; do sleep 0.05; done";
    let options = RunOptions { name: Some("life".into()), ..command(&["sh", "-c", script]) };
    let container = host.spawn(options.clone()).unwrap();
    let cancel = Cancel::new();
    let mut log = container.logs(&LogOptions { follow: true, no_stderr: true, ..LogOptions::default() }).unwrap();
    assert_eq!(log.next(&cancel).unwrap().unwrap().data, b"up\n");
    let info = container.inspect().unwrap();
    assert_eq!((info.status, info.name.as_str(), info.pid.is_some()), (Status::Running, "life", true));
    assert_eq!(host.spawn(options).unwrap_err().kind(), Kind::AlreadyExists);
    assert_eq!(container.remove(&RemoveOptions::default()).unwrap_err().kind(), Kind::Conflict);
    assert_eq!(container.wait(Some(0.01), &cancel).unwrap_err().kind(), Kind::Timeout);
    container.stop(&StopOptions::default(), &cancel).unwrap();
    assert_eq!(log.next(&cancel).unwrap().unwrap().data, b"bye\n");
    assert_eq!(log.next(&cancel).unwrap(), None);
    assert_eq!(container.wait(None, &cancel).unwrap().code, 3);
    container.stop(&StopOptions::default(), &cancel).unwrap();
    assert_eq!(container.kill("KILL").unwrap_err().kind(), Kind::Conflict);

    container.restart(&StopOptions::default(), &cancel).unwrap();
    container.rename("other").unwrap();
    assert_eq!(host.engine.container("other").unwrap().id(), container.id());
    assert_eq!(host.engine.container("life").unwrap_err().kind(), Kind::NotFound);
    container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    assert_eq!(container.inspect().unwrap_err().kind(), Kind::NotFound);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn logs_tell_streams_apart_and_keep_every_byte() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "echo one; echo two >&2; printf 'a\\0b'"])).unwrap();
    container.wait(None, &Cancel::new()).unwrap();
    let read = |options: LogOptions| {
        let (mut log, mut all) = (container.logs(&options).unwrap(), Vec::new());
        while let Some(entry) = log.next(&Cancel::new()).unwrap() {
            all.push(entry);
        }
        all
    };
    let of = |stream| {
        read(LogOptions::default())
            .iter()
            .filter(|e| e.stream == stream)
            .flat_map(|e| e.data.clone())
            .collect::<Vec<u8>>()
    };
    assert_eq!(of(Stream::Stdout), b"one\na\0b");
    assert_eq!(of(Stream::Stderr), b"two\n");
    assert_eq!(read(LogOptions { tail: Some(1), ..LogOptions::default() })[0].data, b"a\0b");
    container.remove(&RemoveOptions::default()).unwrap();
}

#[test]
fn a_term_that_is_ignored_becomes_a_kill() {
    let host = Host::new();
    let container = host.spawn(command(&["sh", "-c", "trap '' TERM; while :; do sleep 0.05; done"])).unwrap();
    container.stop(&StopOptions { timeout: Some(0.05), signal: None }, &Cancel::new()).unwrap();
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().signal, Some(9));
    container.remove(&RemoveOptions::default()).unwrap();
}

#[test]
fn lists_filter_as_docker_does() {
    let host = Host::new();
    let labelled = |name: &str, value: &str, args: &[&str]| {
        let labels = BTreeMap::from([("app".to_string(), value.to_string())]);
        host.spawn(RunOptions { name: Some(name.into()), labels, ..command(args) }).unwrap()
    };
    let (web, job) = (labelled("web", "a", &["sleep", "1000"]), labelled("job", "b", &["true"]));
    job.wait(None, &Cancel::new()).unwrap();
    let names = |all, filters: &[&str]| {
        let options = ListOptions { all, filters: filters.iter().map(|f| f.to_string()).collect() };
        host.engine.containers(&options).unwrap().into_iter().map(|c| c.name).collect::<Vec<_>>()
    };
    assert_eq!(names(false, &[]), ["web"]);
    assert_eq!(names(true, &[]), ["job", "web"]);
    assert_eq!(names(true, &["label=app=b"]), ["job"]);
    assert_eq!(names(false, &["status=exited"]), ["job"]);
    assert_eq!(names(true, &["name=we", "name=jo"]).len(), 2);
    assert!(host.engine.containers(&ListOptions { all: true, filters: vec!["color=red".into()] }).is_err());
    for container in [web, job] {
        container.remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    }
}

#[test]
fn eight_threads_start_containers_at_once_and_no_descriptor_leaks() {
    let host = Host::new();
    host.sh("true");
    let descriptors = || std::fs::read_dir("/proc/self/fd").unwrap().count();
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let host = &host;
            scope.spawn(move || {
                for turn in 0..4 {
                    let out = host.sh(&format!("echo {thread}-{turn}; ls /proc/self/fd | wc -l"));
                    assert_eq!(text(&out.stdout), format!("{thread}-{turn}\n4\n"));
                }
            });
        }
    });
    // Other tests share this process, so only a leak that grows with every run shows.
    assert!(descriptors() < 400, "{} descriptors are open", descriptors());
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn a_run_is_cancelled_at_once_and_leaves_nothing() {
    let host = Host::new();
    let cancel = Cancel::new();
    let fifo = host.dir.path().join("up");
    nix::unistd::mkfifo(&fifo, nix::sys::stat::Mode::S_IRWXU).unwrap();
    let shared = Mount { source: host.dir.path().display().to_string(), target: "/host".into(), ..Mount::default() };
    let options = RunOptions { mounts: vec![shared], ..command(&["sh", "-c", "echo up > /host/up; sleep 1000"]) };
    std::thread::scope(|scope| {
        let other = cancel.clone();
        let fifo = &fifo;
        scope.spawn(move || {
            let mut text = String::new();
            std::fs::File::open(fifo).unwrap().read_to_string(&mut text).unwrap();
            other.cancel();
        });
        let error = host.engine.run(&options, &mut sampan::Quiet, &cancel).unwrap_err();
        // Had it failed to start, the reader would wait for ever.
        drop(std::fs::OpenOptions::new().write(true).custom_flags(nix::libc::O_NONBLOCK).open(fifo));
        assert_eq!(error.kind(), Kind::Cancelled, "{error}");
    });
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn streams_go_to_the_callers_descriptors() {
    let host = Host::new();
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    let stdio = Stdio { stdout: Some(write.as_raw_fd()), ..Stdio::default() };
    let options = command(&["echo", "direct"]);
    let container = host.engine.spawn(&options, &stdio, &mut sampan::Quiet, &Cancel::new()).unwrap();
    drop(write);
    let mut text = String::new();
    std::fs::File::from(read).read_to_string(&mut text).unwrap();
    assert_eq!(text, "direct\n");
    container.wait(None, &Cancel::new()).unwrap();
    container.remove(&RemoveOptions::default()).unwrap();
}

#[test]
fn one_that_removes_itself_still_tells_how_it_ended() {
    let host = Host::new();
    let container = host.spawn(RunOptions { auto_remove: true, ..command(&["sh", "-c", "exit 3"]) }).unwrap();
    for _ in 0..2 {
        assert_eq!(container.wait(None, &Cancel::new()).unwrap().code, 3);
    }
    assert_eq!(container.inspect().unwrap_err().kind(), Kind::NotFound);
    let long = host.spawn(RunOptions { auto_remove: true, ..command(&["sleep", "1000"]) }).unwrap();
    assert_eq!(long.wait(Some(0.01), &Cancel::new()).unwrap_err().kind(), Kind::Timeout);
    long.kill("KILL").unwrap();
    assert_eq!(long.wait(None, &Cancel::new()).unwrap().code, 137);
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn an_input_ends_with_its_descriptor_and_is_kept_open_without_one() {
    let host = Host::new();
    let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
    drop(write);
    let options = RunOptions { interactive: true, ..command(&["cat"]) };
    let stdio = Stdio { stdin: Some(read.as_raw_fd()), ..Stdio::default() };
    let attached = host.engine.spawn(&options, &stdio, &mut sampan::Quiet, &Cancel::new()).unwrap();
    assert_eq!(attached.wait(Some(30.0), &Cancel::new()).unwrap().code, 0);
    let kept = host.spawn(RunOptions { interactive: true, ..command(&["sh", "-c", "echo up; cat"]) }).unwrap();
    let mut log = kept.logs(&LogOptions { follow: true, ..LogOptions::default() }).unwrap();
    assert_eq!(log.next(&Cancel::new()).unwrap().unwrap().data, b"up\n");
    assert_eq!(kept.wait(Some(0.2), &Cancel::new()).unwrap_err().kind(), Kind::Timeout);
    let empty = host.spawn(command(&["cat"])).unwrap();
    assert_eq!(empty.wait(Some(30.0), &Cancel::new()).unwrap().code, 0);
    for container in [attached, kept, empty] {
        container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
    }
}

/// The directories of this name in the cgroup trees.
fn cgroups_of(id: &str) -> Vec<std::path::PathBuf> {
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    let points = mounts.lines().filter(|l| l.contains(" - cgroup")).filter_map(|l| l.split(' ').nth(4));
    points.map(|p| std::path::Path::new(p).join("sampan").join(id)).filter(|p| p.exists()).collect()
}

#[test]
fn a_killed_shim_takes_its_container_along_and_the_rest_goes_with_the_removal() {
    let host = Host::new();
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    let had = cgroups_of(container.id()).len();
    assert_eq!(had > 0, nix::unistd::geteuid().is_root() && host.engine.info().unwrap().cgroup != "none");
    nix::sys::signal::kill(nix::unistd::Pid::from_raw(shim), nix::sys::signal::SIGKILL).unwrap();
    assert_eq!(container.wait(Some(30.0), &Cancel::new()).unwrap().code, 137);
    assert_eq!(container.inspect().unwrap().status, Status::Dead);
    container.remove(&RemoveOptions::default()).unwrap();
    assert_eq!(cgroups_of(container.id()), Vec::<std::path::PathBuf>::new());
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn limits_are_the_cgroups() {
    let host = Host::new();
    let info = host.engine.info().unwrap();
    let (files, limits) = match info.cgroup.as_str() {
        "v2" => ("memory.max memory.swap.max pids.max cpu.max", "67108864\n67108864\n32\n50000 100000\n"),
        _ => ("memory/memory.limit_in_bytes pids/pids.max cpu/cpu.cfs_quota_us", "67108864\n32\n50000\n"),
    };
    let options = RunOptions {
        memory: Some(64 << 20),
        pids_limit: Some(32),
        cpus: Some(0.5),
        ..command(&["sh", "-c", &format!("cd /sys/fs/cgroup && cat {files}")])
    };
    match host.run(options) {
        Ok(out) => assert_eq!(text(&out.stdout), limits, "{}", text(&out.stderr)),
        Err(e) => refused(&e),
    }
}

/// A limit was refused: right where there are no cgroups for this user.
fn refused(error: &sampan::Error) {
    assert_eq!((error.kind(), cgroups::can_limit()), (Kind::UnenforceableLimit, false), "{error}");
}

#[test]
fn out_of_memory_is_told() {
    let host = Host::new();
    let hog = RunOptions {
        memory: Some(16 << 20),
        memory_swap: None,
        ..command(&["sh", "-c", "head -c 64m /dev/zero | tail -c 64m | wc -c"])
    };
    let options = RunOptions { mounts: vec![], tie: Tie::Host, ..hog };
    match host.run(options) {
        Ok(out) => assert!(out.exit.oom_killed, "{:?} {}", out.exit, text(&out.stderr)),
        Err(e) => refused(&e),
    }
}

/// What is to be killed, with so much memory; `None` where this user has no limits.
fn small(host: &Host, args: &[&str]) -> Option<Container> {
    let limited = RunOptions { memory: Some(16 << 20), interactive: true, name: Some("small".into()), ..command(args) };
    host.spawn(limited).inspect_err(refused).ok()
}

const HOG: &str = "tail -c 64m /dev/zero";

#[test]
fn out_of_memory_is_a_sentence_with_limit_cure_and_last_lines() {
    let host = Host::new();
    let script = format!("echo warming up; read go; exec {HOG}");
    let Some(container) = small(&host, &["sh", "-c", &script]) else { return };
    let mut joined = container.attach(true, &Cancel::new()).unwrap();
    File::from(joined.take_stdin().unwrap()).write_all(b"go\n").unwrap();
    let exit = container.wait(None, &Cancel::new()).unwrap();
    assert_eq!((exit.code, exit.signal, exit.oom_killed), (137, Some(9), true));
    let said = exit.error.clone().unwrap();
    assert!(said.starts_with("container small was killed for memory: its limit is 16 MiB ("), "{said}");
    assert!(said.ends_with("raise it (--memory); its last lines: \"warming up\""), "{said}");
    let seen = joined.wait(&Cancel::new()).unwrap();
    assert!(seen.oom_killed && said.starts_with(&seen.error.unwrap()), "{said}");
    let info = container.inspect().unwrap();
    assert_eq!((info.exit.unwrap(), info.oom_kills), (exit, Some(1)));
    // The next run knows nothing of it.
    container.start(&Stdio::default(), &Cancel::new()).unwrap();
    assert_eq!(container.inspect().unwrap().oom_kills, Some(0));
}

/// Without swap v1 counts what was refused at the limit of both together, not at that of memory.
#[test]
fn out_of_memory_without_swap_is_blamed_on_the_limit() {
    let host = Host::new();
    let options = RunOptions {
        memory: Some(16 << 20),
        memory_swap: Some(16 << 20),
        ..command(&["tail", "-c", "64m", "/dev/zero"])
    };
    match host.run(options) {
        Ok(out) => {
            assert!(out.exit.error.as_ref().is_some_and(|e| e.contains("its limit is 16 MiB")), "{:?}", out.exit)
        }
        Err(e) => refused(&e),
    }
}

/// An engine of another process, as far as a store can tell.
fn other(host: &Host) -> sampan::Engine {
    sampan::Engine::open(&Host::options(&host.dir)).unwrap()
}

/// Somebody in this process waits: he has the file open that the end will be written to.
fn until_awaited(id: &str) {
    let link = |entry: std::io::Result<std::fs::DirEntry>| std::fs::read_link(entry.ok()?.path()).ok();
    until("the waiter", || {
        let mut open = std::fs::read_dir("/proc/self/fd").unwrap().filter_map(link);
        open.any(|file| file.ends_with("exit.json.new") && file.to_string_lossy().contains(id))
    });
}

#[test]
fn whoever_waits_for_one_that_removes_itself_is_told_how_it_ended() {
    let host = Host::new();
    let other = other(&host);
    for code in [0, 3] {
        let script = format!("read line; exit {code}");
        let (theirs, ours) = std::io::pipe().unwrap();
        let options = RunOptions { auto_remove: true, ..command(&["sh", "-c", &script]) };
        let stdio = Stdio { stdin: Some(theirs.as_raw_fd()), ..Stdio::default() };
        let container = host.engine.spawn(&options, &stdio, &mut Quiet, &Cancel::new()).unwrap();
        let seen = other.container(container.id()).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| seen.wait(None, &Cancel::new()));
            until_awaited(container.id());
            drop(ours);
            let exit = waits.join().unwrap().unwrap();
            assert_eq!((exit.code, exit.signal, exit.finished_at.is_empty()), (code, None, false));
        });
        assert_eq!(seen.wait(None, &Cancel::new()).unwrap_err().kind(), Kind::NotFound);
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

#[test]
fn whoever_waits_for_one_that_is_removed_is_told_how_it_ended() {
    let host = Host::new();
    let other = other(&host);
    for restart in [None, Some("always".to_owned())] {
        let container = host.spawn(RunOptions { restart, ..command(&["sleep", "1000"]) }).unwrap();
        let seen = other.container(container.id()).unwrap();
        std::thread::scope(|scope| {
            let waits = scope.spawn(|| seen.wait(None, &Cancel::new()));
            until_awaited(container.id());
            container.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
            assert_eq!(waits.join().unwrap().unwrap().code, 137);
        });
        assert_eq!(host.left(), Vec::<String>::new());
    }
}

#[test]
fn out_of_memory_of_one_that_removes_itself_is_told_to_who_waits() {
    let host = Host::new();
    let limited = |stream: &str| RunOptions {
        memory: Some(16 << 20),
        auto_remove: true,
        ..command(&["sh", "-c", &format!("echo last words >&{stream}; exec {HOG}")])
    };
    let Some(container) = host.spawn(limited("1")).inspect_err(refused).ok() else { return };
    let exit = container.wait(None, &Cancel::new()).unwrap();
    assert!(exit.code == 137 && exit.error.as_ref().is_some_and(|e| e.contains("its limit is 16 MiB")), "{exit:?}");
    for stream in ["1", "2"] {
        let exit = host.run(limited(stream)).unwrap().exit;
        assert!(exit.error.as_ref().is_some_and(|e| e.ends_with("its last lines: \"last words\"")), "{exit:?}");
    }
}

#[test]
fn out_of_memory_of_a_child_is_counted_while_the_container_goes_on() {
    let host = Host::new();
    let script = format!("{HOG} | cat >/dev/null; read go; exit 3");
    let Some(container) = small(&host, &["sh", "-c", &script]) else { return };
    common::until("the kill", || container.inspect().unwrap().oom_kills == Some(1));
    assert_eq!(container.stats().unwrap().oom_kills, Some(1));
    let command = |line: &str| {
        let command = ["sh", "-c", line].map(String::from).to_vec();
        container.exec(&ExecOptions { command, ..ExecOptions::default() }, &Cancel::new()).unwrap()
    };
    // That is not this command's, whose end is another's doing.
    let killed = command("kill -9 $$");
    assert_eq!((killed.code, killed.oom_killed, killed.error), (137, false, None));
    let hungry = command(&format!("exec {HOG} >/dev/null"));
    assert!(hungry.code == 137 && hungry.oom_killed, "{}", hungry.code);
    let said = hungry.error.unwrap();
    assert!(said.starts_with("the command in container small was killed for memory: its limit is 16 MiB"), "{said}");
    assert_eq!(container.inspect().unwrap().oom_kills, Some(2));
    let mut joined = container.attach(true, &Cancel::new()).unwrap();
    File::from(joined.take_stdin().unwrap()).write_all(b"go\n").unwrap();
    let exit = container.wait(None, &Cancel::new()).unwrap();
    assert!(exit.code == 3 && exit.oom_killed, "{exit:?}");
    assert!(
        exit.error.as_ref().is_some_and(|e| e.starts_with("2 processes of container small were killed")),
        "{exit:?}"
    );
}

#[test]
fn a_plan_is_printed_without_doing_anything() {
    let host = Host::new();
    host.engine.pull(&image(), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    let plan = host.engine.plan(&command(&["true"])).unwrap();
    let plan: serde_json::Value = serde_json::from_str(&plan).unwrap();
    assert_eq!(plan["launch"]["process"]["args"][0], "true");
    assert_eq!(host.left(), Vec::<String>::new());
}

#[test]
fn doctor_runs_its_own_container() {
    let host = Host::new();
    let report = host.engine.doctor().unwrap();
    assert!(report.ok && report.self_test_ms.is_some(), "{report:#?}");
    let asked = std::env::var("SAMPAN_TEST_RUNG").is_ok();
    let root = nix::unistd::geteuid().is_root();
    assert_eq!(report.reason == "this process is root", root && !asked, "{}", report.reason);
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Hands a text to AppArmor's compiler.
fn compile(arguments: &[&str], text: &str) {
    let mut parser = std::process::Command::new("apparmor_parser");
    let mut parser = parser.args(arguments).stdin(std::process::Stdio::piped()).spawn().unwrap();
    parser.stdin.take().unwrap().write_all(text.as_bytes()).unwrap();
    assert!(parser.wait().unwrap().success(), "{arguments:?}");
}

/// `tests/vm` runs it on a kernel with AppArmor.
#[test]
fn the_default_profile_is_loaded_anew_by_an_engine_that_knew_it() {
    if !std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text == b"Y\n") {
        return;
    }
    let host = Host::new();
    let look = ["cat", "/proc/self/attr/current"];
    let started = || text(&host.run(command(&look)).unwrap().stdout);
    let confined = started();
    let name = confined.strip_suffix(" (enforce)\n").unwrap();
    let held = host.spawn(command(&["sleep", "1000"])).unwrap();
    let look_inside = ExecOptions { command: look.map(str::to_owned).into(), ..ExecOptions::default() };
    let entered = || text(&held.exec(&look_inside, &Cancel::new()).unwrap().stdout);
    for look in [&started as &dyn Fn() -> String, &entered] {
        compile(&["--remove"], &format!("profile {name} {{}}"));
        assert_eq!(look(), confined);
        compile(&["--replace", "--skip-cache", "--Complain"], &format!("profile {name} {{ file, }}"));
        assert_eq!(look(), confined);
    }
}

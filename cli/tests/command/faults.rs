//! Containers that misbehave, and files that go while they run: what is asked still works, and nothing is left.

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;
use std::fs::Permissions;
use std::io::{BufRead, BufReader};
use std::os::unix::fs::PermissionsExt;
use std::process::Stdio;

use crate::common::until;
use crate::host::{Host, finish};
use crate::hosts::{is_root, left_nothing, mount, own_mounts};

fn number(host: &Host, name: &str, member: &str) -> i32 {
    host.ok(&["inspect", "--format", &format!("{{{{.{member}}}}}"), name]).parse().unwrap()
}

/// The most memory that a process ever had, in KiB; `None` for one that has ended.
fn high_water(pid: i32) -> Option<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).ok()?;
    let line = status.lines().find_map(|l| l.strip_prefix("VmHWM:"))?;
    Some(line.trim().trim_end_matches(" kB").parse().unwrap())
}

fn stops_and_goes(host: &Host, name: &str) {
    host.ok(&["stop", "-t", "0", name]);
    // What heeds the first signal may do so before the second comes.
    let status = host.ok(&["ps", "-a", "--format", "{{.Status}}"]);
    assert!(status.contains("(137)") || status.contains("(143)"), "{status}");
    host.ok(&["rm", name]);
    left_nothing(host, name);
}

#[test]
fn a_fork_bomb_is_bounded_and_stops() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    let bomb = "f() { f | f & }; f; while :; do sleep 1; done";
    host.ok(&["run", "-d", "--name", "c", "--pids-limit", "40", "box", "sh", "-c", bomb]);
    // It has met its limit when the shell says so.
    until("the bomb bursts", || host.run(&["logs", "c"]).stderr.contains("fork"));
    assert!(host.ok(&["top", "c"]).lines().count() <= 41);
    stops_and_goes(&host, "c");
}

#[test]
fn a_flood_of_output_takes_no_memory_and_can_be_followed() {
    let host = Host::new();
    // Ends by itself: a full /dev/shm would be everybody's.
    let flood = "yes 0123456789012345678901234567890123456789012345678901234567890123456789 | head -c 40000000; echo end; exec sleep 1000";
    host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", flood]);
    let shim = number(&host, "c", "ShimPid");
    let mut follower = host.command(&["logs", "-f", "c"]).stdout(Stdio::piped()).spawn().unwrap();
    let mut stdout = BufReader::new(follower.stdout.take().unwrap());
    let (mut followed, mut line) = (0, String::new());
    while !line.ends_with("end\n") {
        line.clear();
        followed += stdout.read_line(&mut line).unwrap();
        assert!(!line.is_empty(), "it ended after {followed} bytes");
    }
    assert!(followed > 40_000_000, "{followed}");
    // The shim stays for as long as its container does.
    let most = high_water(shim).expect("it lives");
    assert!(most < 1024, "{most} KiB");
    host.ok(&["stop", "-t", "0", "c"]);
    assert!(follower.wait().unwrap().success());
    host.ok(&["rm", "c"]);
    left_nothing(&host, "a flood");
}

#[test]
fn full_file_systems_of_a_container_are_its_own() {
    let host = Host::new();
    let fill = "dd if=/dev/zero of=$0/x bs=64k count=100 2>/dev/null; echo $?; stat -c %s $0/x";
    for (option, at) in [(["--tmpfs", "/t:size=1m"], "/t"), (["--shm-size", "1m"], "/dev/shm")] {
        let ended = host.run(&[&["run", "--rm"], &option[..], &["box", "sh", "-c", fill, at]].concat());
        assert!(ended.code == 0 && ended.stdout == "1\n1048576\n", "{ended:?}");
    }
    left_nothing(&host, "full file systems");
}

#[test]
fn an_end_for_want_of_memory_is_a_value() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    // The first process itself, and one that it waits for.
    for command in [&["tail", "/dev/zero"][..], &["sh", "-c", "tail /dev/zero; exit $?"]] {
        let ended = host.run(&[&["run", "--name", "c", "-m", "16m", "box"], command].concat());
        assert_eq!(ended.code, 137, "{ended:?}");
        let said = "sampan: container c was killed for memory: its limit is 16 MiB";
        assert!(ended.stderr.lines().any(|line| line.starts_with(said)), "{}", ended.stderr);
        let inspected: serde_json::Value = serde_json::from_str(&host.ok(&["inspect", "c"])).unwrap();
        let exit = &inspected[0]["exit"];
        assert!(exit["code"] == 137 && exit["oom_killed"] == true, "{exit}");
        assert_eq!(host.ok(&["inspect", "-f", "{{.State.OOMKilled}} {{.State.ExitCode}}", "c"]), "true 137");
        host.ok(&["rm", "c"]);
    }
    left_nothing(&host, "no memory");
}

#[test]
fn a_container_without_its_streams_is_waited_for() {
    let host = Host::new();
    let (close, daemon) = ("exec 0<&- 1>&- 2>&-; (exit 4); exit 5", "(setsid sleep 1000 &); echo done; exit 6");
    for (script, code, stdout) in [(close, 5, ""), (daemon, 6, "done\n")] {
        for init in [&[][..], &["--init"]] {
            let ended = host.run(&[&["run", "--rm"], init, &["box", "sh", "-c", script]].concat());
            assert!(ended.code == code && ended.stdout == stdout, "{script}: {ended:?}");
        }
    }
    left_nothing(&host, "no streams");
}

#[test]
fn stopped_and_stubborn_containers_stop() {
    let host = Host::new();
    host.ok(&[
        "run",
        "-d",
        "--name",
        "c",
        "box",
        "sh",
        "-c",
        "trap '' TERM INT HUP; echo up; while :; do sleep 1; done",
    ]);
    until("it ignores", || host.ok(&["logs", "c"]) == "up");
    host.ok(&["kill", "-s", "TERM", "c"]);
    stops_and_goes(&host, "c");

    host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", "sleep 1000 & kill -STOP $!; echo up; wait"]);
    until("its child is stopped", || host.ok(&["logs", "c"]) == "up");
    kill(Pid::from_raw(number(&host, "c", "Pid")), Signal::SIGSTOP).unwrap();
    assert_eq!(host.ok(&["exec", "c", "echo", "still"]), "still");
    stops_and_goes(&host, "c");

    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    kill(Pid::from_raw(number(&host, "c", "ShimPid")), Signal::SIGSTOP).unwrap();
    assert_eq!(host.ok(&["ps", "--format", "{{.Names}}"]), "c");
    stops_and_goes(&host, "c");
}

/// A debugger holds it, and sees its signals first.
#[test]
fn a_container_under_ptrace_stops() {
    if !is_root() {
        return;
    }
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let pid = Pid::from_raw(number(&host, "c", "Pid"));
    // SAFETY: integers; the kernel writes nothing here.
    let attached = unsafe { nix::libc::ptrace(nix::libc::PTRACE_ATTACH, pid.as_raw(), 0usize, 0usize) };
    assert_eq!(attached, 0, "{}", std::io::Error::last_os_error());
    nix::sys::wait::waitpid(pid, None).unwrap();
    std::thread::scope(|scope| {
        let stop = scope.spawn(|| stops_and_goes(&host, "c"));
        // A killed tracee is its tracer's to bury first.
        until("the tracer sees the end", || {
            use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
            matches!(
                waitpid(pid, Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL)),
                Ok(WaitStatus::Signaled(..) | WaitStatus::Exited(..)) | Err(_)
            )
        });
        stop.join().unwrap();
    });
}

#[test]
fn orphans_are_buried() {
    let host = Host::new();
    let orphans = "i=0; while [ $i -lt 200 ]; do (true &); i=$((i+1)); done; exit 3";
    assert_eq!(host.run(&["run", "--rm", "box", "sh", "-c", orphans]).code, 3);
    host.ok(&["run", "-d", "--name", "c", "--init", "box", "sleep", "1000"]);
    for _ in 0..10 {
        host.ok(&["exec", "c", "sh", "-c", "(true &); (true &)"]);
    }
    let zombies = || host.ok(&["exec", "c", "sh", "-c", "grep -l '^State:.Z' /proc/[0-9]*/status 2>/dev/null | wc -l"]);
    until("no zombie is left", || zombies() == "0");
    stops_and_goes(&host, "c");
}

#[test]
fn a_log_that_is_deleted() {
    let host = Host::new();
    host.ok(&["run", "-d", "--name", "c", "box", "sh", "-c", "while :; do echo x; done | head -n 100000; sleep 1000"]);
    std::fs::remove_file(
        host.dir.path().join("root/containers").join(host.ok(&["ps", "-q", "--no-trunc"])).join("log"),
    )
    .unwrap();
    assert_eq!(host.run(&["logs", "c"]).code, 0);
    assert_eq!(host.ok(&["exec", "c", "echo", "still"]), "still");
    stops_and_goes(&host, "c");
}

#[test]
fn a_directory_that_is_deleted_under_a_running_container() {
    let host = Host::new();
    let id = host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
    let (init, shim) = (number(&host, "c", "Pid"), number(&host, "c", "ShimPid"));
    // Its upper directory is in use by its mount, which does not keep it.
    let dir = host.dir.path().join("root/containers").join(id);
    // The kernel's own, which is closed even to a plain user who has it.
    std::fs::set_permissions(dir.join("work/work"), Permissions::from_mode(0o700)).unwrap();
    std::fs::remove_dir_all(dir).unwrap();
    assert!(host.names().is_empty());
    assert!(host.run(&["stop", "c"]).stderr.contains("no such container"));
    assert_eq!(host.run(&["run", "--rm", "--name", "c", "box", "true"]).code, 0);
    kill(Pid::from_raw(init), Signal::SIGKILL).unwrap();
    until("the shim ends", || has_ended(shim));
    left_nothing(&host, "a deleted directory");
}

#[test]
fn a_disk_that_fills_while_a_container_writes_its_log() {
    if !is_root() {
        return;
    }
    let host = Host::empty();
    let image = crate::common::image();
    std::fs::create_dir(host.path("root")).unwrap();
    let root = host.path("root");
    let script = "yes 0123456789 | head -c 8000000; echo >&2 last; exit 3";
    // One mount namespace for all: a shell that runs the commands one after the other.
    let own = host.command(&[]).get_program().to_str().unwrap().to_owned();
    let line = format!(
        "{own} run -q --name c {image} sh -c '{script}' >/dev/null; echo code $?; {own} logs c | wc -c; \
         {own} inspect --format '{{{{.Exit.Error}}}}' c; {own} rm c && {own} ps -aq | wc -l"
    );
    let mut shell = std::process::Command::new("sh");
    shell.args(["-c", &line]).env("SAMPAN_ROOT", host.path("root")).env("SAMPAN_RUN", host.path("run"));
    let small = move || own_mounts().and_then(|()| mount("tmpfs", &root, "tmpfs", 0, "size=6m"));
    let ended = finish(crate::hosts::prepared(shell, small));
    let lines: Vec<&str> = ended.stdout.lines().collect();
    assert!(matches!(lines[..], ["code 3", _, _, "c", "0"]), "{ended:?}");
    assert!(lines[1].trim().parse::<u64>().unwrap() > 100_000 && lines[2].contains("No space left"), "{ended:?}");
}

#[test]
fn a_running_container_whose_record_is_damaged_is_seen_and_removed_by_force() {
    let host = Host::new();
    for frozen in [false, true] {
        let id = host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
        let shim = number(&host, "c", "ShimPid");
        if frozen && is_root() {
            host.ok(&["pause", "c"]);
        }
        let record = host.dir.path().join("root/containers").join(id).join("record.json");
        std::fs::write(record, "{\"vers").unwrap();
        assert_eq!(host.ok(&["ps", "--format", "{{.Names}}"]), "c");
        let refused = host.run(&["rm", "c"]);
        assert!(refused.code != 0 && refused.stderr.contains("force the removal"), "{refused:?}");
        host.ok(&["rm", "-f", "c"]);
        assert!(!std::path::Path::new(&format!("/proc/{shim}/exe")).exists());
        left_nothing(&host, "a damaged record");
    }
}

#[test]
fn a_running_container_of_a_newer_version_is_seen_and_removed_by_force() {
    let host = Host::new();
    let newer = [
        ("record.json", "\"options\":{", "\"options\":{\"new\":1,"),
        ("record.json", "\"version\":1", "\"version\":3"),
        ("state.json", "\"version\":1", "\"version\":3"),
    ];
    for (file, old, new) in newer {
        let id = host.ok(&["run", "-d", "--name", "c", "box", "sleep", "1000"]);
        let shim = number(&host, "c", "ShimPid");
        let path = host.dir.path().join("root/containers").join(id).join(file);
        let text = std::fs::read_to_string(&path).unwrap();
        assert!(text.contains(old), "{text}");
        std::fs::write(path, text.replacen(old, new, 1)).unwrap();
        host.ok(&["run", "-d", "--name", "other", "box", "sleep", "1000"]);
        assert_eq!(host.ok(&["ps", "--format", "{{.Names}}"]).lines().count(), 2);
        host.ok(&["rm", "-f", "other"]);
        assert!(!host.ok(&["images", "-q"]).is_empty());
        let refused = host.run(&["rm", "c"]);
        assert!(refused.code != 0 && refused.stderr.contains("a newer version of Sampan"), "{refused:?}");
        host.ok(&["rm", "-f", "c"]);
        assert!(!std::path::Path::new(&format!("/proc/{shim}/exe")).exists());
        left_nothing(&host, "a newer record");
    }
}

/// With all that it held: what it executed is gone before its locks are.
fn has_ended(pid: i32) -> bool {
    !std::fs::read_to_string(format!("/proc/{pid}/status")).is_ok_and(|status| !status.contains("State:\tZ"))
}

#[test]
fn a_damaged_container_that_lost_its_shim_leaves_no_process() {
    let host = Host::new();
    let script = "sleep 1000 & setsid sleep 1000 & echo up; wait";
    for (force, damaged) in [(false, &["record.json"][..]), (true, &["record.json", "state.json"])] {
        let id = host.ok(&["run", "-d", "--name", "c", "--pid", "host", "box", "sh", "-c", script]);
        until("they run", || host.ok(&["logs", "c"]) == "up");
        let shim = number(&host, "c", "ShimPid");
        let dir = host.dir.path().join("root/containers").join(id);
        damaged.iter().for_each(|file| std::fs::write(dir.join(file), "{\"vers").unwrap());
        kill(Pid::from_raw(shim), Signal::SIGKILL).unwrap();
        until("the shim ends", || has_ended(shim));
        host.ok(if force { &["rm", "-f", "c"] } else { &["rm", "c"] });
        left_nothing(&host, "a damaged record without a shim");
    }
}

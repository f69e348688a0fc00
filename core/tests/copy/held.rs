//! Copies of what stands still, of what is dead, of what a copy itself holds, and to where there is no room.

use std::fs::File;
use std::io::{Read, copy, sink};
use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::fcntl::OFlag;
use nix::sys::signal::{Signal, kill};
use nix::unistd::{Pid, pipe2};
use sampan::{Cancel, Container, CopyOptions, Error, Kind, Mount, MountKind, RemoveOptions, RunOptions, Status, Stdio};

use super::common::{Host, cgroups, command, until};
use super::{at, gone, into, out, read, sh, sleeper, tree};

fn status(container: &Container) -> Status {
    container.inspect().unwrap().status
}

/// Copies, and does something once the copy has entered the container: at first with the copy held up, then while it goes on.
fn beside_a_copy(container: &Container, held_up: impl FnOnce(), work: impl FnOnce() -> Result<(), Error> + Send) {
    let (from, to) = pipe2(OFlag::O_CLOEXEC).unwrap();
    // The scope's own: what fails in it ends the copy, which nobody reads then.
    std::thread::scope(move |scope| {
        let mut from = File::from(from);
        let copies =
            scope.spawn(move || container.get_archive("/bin", to.as_fd(), &CopyOptions::default(), &Cancel::new()));
        from.read_exact(&mut [0]).unwrap();
        held_up();
        let works = scope.spawn(work);
        copy(&mut from, &mut sink()).unwrap();
        copies.join().unwrap().unwrap();
        works.join().unwrap().unwrap();
    });
}

fn dead(container: &Container) {
    let shim = Pid::from_raw(container.inspect().unwrap().shim_pid.unwrap());
    kill(shim, Signal::SIGKILL).unwrap();
    assert_eq!(container.wait(Some(60.0), &Cancel::new()).unwrap().code, 137);
}

#[test]
fn a_copy_is_no_run_and_is_waited_for() {
    let host = Host::new();
    let container = sleeper(&host);
    dead(&container);
    let is_dead = || assert_eq!(status(&container), Status::Dead);
    beside_a_copy(&container, is_dead, || container.start(&Stdio::default(), &Cancel::new()));
    assert_eq!(status(&container), Status::Running);
    dead(&container);
    beside_a_copy(&container, is_dead, || container.remove(&RemoveOptions::default()));
    assert_eq!(host.left(), Vec::<String>::new());
}

/// Between two runs: the copy doesn't wait for the next one, the next one waits for the copy.
#[test]
fn one_that_rests_is_copied_before_it_runs_again() {
    let host = Host::new();
    let restart = Some("always".into());
    let script = ["sh", "-c", "[ -e /told ] && exec sleep 1000; exit 1"];
    let container = host.spawn(RunOptions { restart, ..command(&script) }).unwrap();
    let now = || container.inspect().map(|info| (info.status, info.restart_count)).unwrap();
    // From then on it rests for nearly a second, then for more.
    until("some runs", || now().1 >= 3 && now().0 == Status::Restarting);
    let (rests, began) = (now(), Instant::now());
    let longer = || {
        until("the end of its pause", || began.elapsed() > Duration::from_secs(2));
        assert_eq!(now(), rests);
    };
    beside_a_copy(&container, longer, || Ok(()));
    until("a longer rest", || now().1 >= rests.1 + 2 && now().0 == Status::Restarting);
    let before = now().1;
    into(&container, &tree(&host), "/told").unwrap();
    until("a run that finds it", || status(&container) == Status::Running);
    assert_eq!(now().1, before, "the very next run finds it");
    assert_eq!(read(&container, "/told/sub/again"), "one");
    gone(&host, &container);
}

#[test]
fn what_is_paused_is_copied() {
    let host = Host::new();
    if !cgroups::can_pause() {
        return;
    }
    let container = sleeper(&host);
    container.pause(&Cancel::new()).unwrap();
    into(&container, &tree(&host), "/tmp/tree").unwrap();
    assert_eq!(read(&container, "/tmp/tree/sub/again"), "one");
    out(&container, "/tmp/tree", &at(&host, "back")).unwrap();
    assert_eq!(status(&container), Status::Paused);
    container.unpause().unwrap();
    assert_eq!(sh(&container, "cat /tmp/tree/file"), "one");
    gone(&host, &container);
}

#[test]
fn where_there_is_no_room_it_says_so() {
    let host = Host::new();
    let full =
        Mount { kind: MountKind::Tmpfs, target: "/full".into(), options: vec!["size=64k".into()], ..Mount::default() };
    let options = RunOptions { mounts: vec![full], ..command(&["sleep", "1000"]) };
    let container = host.spawn(options).unwrap();
    std::fs::write(at(&host, "large"), vec![1; 1 << 20]).unwrap();
    let error = into(&container, &at(&host, "large"), "/full").unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    let archive = File::create(at(&host, "large.tar")).unwrap();
    let mut tar = tar::Builder::new(archive);
    tar.append_path_with_name(at(&host, "large"), "large").unwrap();
    tar.finish().unwrap();
    let archive = File::open(at(&host, "large.tar")).unwrap();
    let error = container.put_archive("/full", archive.as_fd(), &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    let full = File::options().write(true).open("/dev/full").unwrap();
    let error = container.get_archive("/bin", full.as_fd(), &CopyOptions::default(), &Cancel::new()).unwrap_err();
    assert_eq!(error.kind(), Kind::NoSpace, "{error}");
    // What was cut short is gone, and so there is room.
    assert_eq!(sh(&container, "ls /full; echo fits >/full/small; cat /full/small"), "fits\n");
    // The same out here, by the host's way to the same small disk.
    let disk = format!("/proc/{}/root/full", container.inspect().unwrap().pid.unwrap());
    if std::fs::write(format!("{disk}/probe"), "").is_ok() {
        sh(&container, "dd if=/dev/zero of=/large bs=1M count=1 2>/dev/null");
        let error = out(&container, "/large", &disk).unwrap_err();
        assert_eq!(error.kind(), Kind::NoSpace, "{error}");
        assert_eq!(sh(&container, "ls /full"), "probe\nsmall\n");
    }
    gone(&host, &container);
}

/// Root of a user namespace with the host's process ids sees the helper, and nothing of it (CVE-2016-9962).
#[test]
fn who_sees_the_helper_can_t_look_into_it() {
    let host = Host::new();
    let options = RunOptions { pid: Some("host".into()), privileged: true, ..command(&["sleep", "1000"]) };
    if host.engine.info().unwrap().rung == sampan::Rung::Root {
        // There it would be the host's root that looks.
        return;
    }
    let container = host.spawn(options).unwrap();
    let look = "for dir in /proc/[0-9]*; do read name <$dir/comm; [ \"$name\" = sampan-files ] || continue; echo met; \
        readlink $dir/exe $dir/root $dir/fd/0; done 2>/dev/null; true";
    let in_vain = || {
        let seen = sh(&container, look);
        // Helpers of other containers are met too.
        assert!(!seen.is_empty() && seen.lines().all(|line| line == "met"), "{seen}");
    };
    beside_a_copy(&container, in_vain, || Ok(()));
    gone(&host, &container);
}

//! Hosts with odd limits, signals, descriptors and environments.

use nix::libc;
use nix::sys::resource::{Resource, getrlimit, setrlimit};

use super::{HI, as_user, check, is_root, left_nothing, on, prepared, refuses, says_hi};
use crate::host::{Host, finish};

fn limited(resource: Resource, limit: u64) -> impl FnMut() -> std::io::Result<()> + Send + Sync {
    move || Ok(setrlimit(resource, limit, limit)?)
}

#[test]
fn few_descriptors_are_told_with_the_cure() {
    let host = Host::new();
    for limit in 10..=20 {
        refuses(&host, &on(&host, &HI, limited(Resource::RLIMIT_NOFILE, limit)), &["too many open files", "ulimit -n"]);
    }
    says_hi(&host, &on(&host, &HI, limited(Resource::RLIMIT_NOFILE, 64)), "64 descriptors");
}

#[test]
fn many_descriptors_are_none_of_the_container_s() {
    let host = Host::new();
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
    let count = most.min(10_000) - 100;
    let open_many = move || {
        setrlimit(Resource::RLIMIT_NOFILE, count + 100, most)?;
        // SAFETY: duplicates of standard input, which an exec keeps.
        (0..count).try_for_each(|_| check(unsafe { libc::dup(0) }).map(drop))
    };
    let ended = on(&host, &["run", "--rm", "box", "sh", "-c", "ls /proc/self/fd | wc -l"], open_many);
    assert!(ended.code == 0 && ended.stdout == "4\n", "{ended:?}");
}

#[test]
fn a_small_limit_of_file_sizes_is_an_error_and_no_signal() {
    let host = Host::new();
    let ended = on(&host, &HI, limited(Resource::RLIMIT_FSIZE, 100));
    refuses(&host, &ended, &["file too large", "ulimit -f"]);
}

fn become_real_time() -> std::io::Result<()> {
    // SAFETY: zero is a value of every field, and the pointer is valid for the call.
    unsafe {
        let mut priority: libc::sched_param = std::mem::zeroed();
        priority.sched_priority = 1;
        check(libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const priority)).map(drop)
    }
}

#[test]
fn a_real_time_host_s_containers_are_not() {
    // A plain user may not, nor root in a cgroup without a budget for it.
    if prepared(std::process::Command::new("true"), become_real_time).status().is_err() {
        return;
    }
    let host = Host::new();
    // proc_pid_stat(5): the policy.
    let policy = ["box", "cut", "-d", " ", "-f", "41", "/proc/self/stat"];
    let ended = on(&host, &[&["run", "--rm"], &policy[..]].concat(), become_real_time);
    assert!(ended.code == 0 && ended.stdout == "0\n", "{ended:?}");
    host.ok(&["run", "-d", "--name", "box", "box", "sleep", "1000"]);
    let ended = on(&host, &[&["exec"], &policy[..]].concat(), become_real_time);
    assert!(ended.code == 0 && ended.stdout == "0\n", "{ended:?}");
}

#[test]
fn few_processes_are_told_with_the_cure() {
    if !is_root() {
        return;
    }
    let host = Host::empty();
    let (command, _program) = as_user(&host, 61_234, &["--root", "/nonexistent", "run", "box"]);
    let ended = finish(prepared(command, limited(Resource::RLIMIT_NPROC, 0)));
    assert!(ended.code == 125 && ended.stderr.lines().count() == 1, "{ended:?}");
    let (command, _program) = as_user(&host, 61_234, &["--root", "/tmp", "pull", "127.0.0.1:1/x"]);
    let ended = finish(prepared(command, limited(Resource::RLIMIT_NPROC, 0)));
    assert!(ended.code > 0 && ended.stderr.lines().count() == 1, "{ended:?}");
}

#[test]
fn ignored_and_blocked_signals_stay_the_host_s() {
    let host = Host::new();
    let numbers = [libc::SIGCHLD, libc::SIGPIPE, libc::SIGTERM, libc::SIGINT, libc::SIGHUP];
    let ignore = move || {
        // SAFETY: no handler is installed.
        numbers.iter().for_each(|n| assert_ne!(unsafe { libc::signal(*n, libc::SIG_IGN) }, libc::SIG_ERR));
        Ok(nix::sys::signal::SigSet::all().thread_block()?)
    };
    let ended = on(&host, &["run", "--rm", "box", "grep", "^Sig[BI]", "/proc/self/status"], ignore);
    assert_eq!(ended.stdout, "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n", "{ended:?}");
    // That its end was seen is what an ignored SIGCHLD would prevent.
    let ended = on(&host, &["run", "--rm", "box", "sh", "-c", "exit 7"], ignore);
    assert_eq!(ended.code, 7, "{ended:?}");
    left_nothing(&host, "ignored signals");
}

#[test]
fn closed_standard_streams_are_nobody_s() {
    let host = Host::new();
    let sees = "for fd in 0 1 2; do readlink /proc/self/fd/$fd; done >&2";
    for closed in [&[0][..], &[1], &[2], &[0, 1], &[1, 2], &[0, 1, 2]] {
        let close = move || {
            // SAFETY: our own streams, in a child that is about to execute.
            closed.iter().try_for_each(|fd| check(unsafe { libc::close(*fd) }).map(drop))
        };
        let ended = on(&host, &["run", "--rm", "box", "sh", "-c", sees], close);
        assert_eq!(ended.code, 0, "{closed:?}: {ended:?}");
        let of_the_store = ended.stderr.contains(host.dir.path().to_str().unwrap());
        assert!(!of_the_store && (closed.contains(&2) || ended.stderr.lines().count() == 3), "{closed:?}: {ended:?}");
        left_nothing(&host, "closed streams");
        let ended = on(&host, &["ps"], close);
        assert!(ended.code == 0 && ended.stdout.is_empty() == closed.contains(&1), "{closed:?}: {ended:?}");
    }
}

#[test]
fn the_umask_is_the_host_s() {
    // A plain user can't get into the directories that he makes under the first two, whatever program makes them.
    let masks = [0o777, 0o277, 0o077, 0];
    for mask in masks.into_iter().filter(|mask| is_root() || mask & 0o700 == 0) {
        let host = Host::empty();
        let image = crate::common::image();
        let script = "umask; mkdir /d; touch /d/f; stat -c %a /d /d/f /v";
        let set = move || {
            // SAFETY: an integer.
            unsafe { libc::umask(mask) };
            Ok(())
        };
        // A store that is made under it, too.
        let ended = on(&host, &["run", "-q", "--rm", "-v", "/v", &image, "sh", "-c", script], set);
        assert!(ended.code == 0 && ended.stdout == "0022\n755\n644\n755\n", "{mask:o}: {ended:?}");
        left_nothing(&host, "umask");
    }
}

#[test]
fn a_bare_environment_and_a_lost_directory() {
    let host = Host::new();
    let bare = |args: &[&str]| {
        let mut command = host.command(args);
        let kept: Vec<(String, String)> = ["ROOT", "RUN", "RUNG"]
            .iter()
            .filter_map(|name| {
                let name = format!("SAMPAN_{name}");
                let value = command.get_envs().find(|(k, _)| *k == name.as_str())?.1?;
                Some((name, value.to_str()?.to_owned()))
            })
            .collect();
        command.env_clear().envs(kept);
        command
    };
    says_hi(&host, &finish(bare(&HI)), "no environment");
    let mut command = bare(&HI);
    command.env("TMPDIR", "/nonexistent").env("HOME", "relative").env("XDG_RUNTIME_DIR", "/nonexistent");
    says_hi(&host, &finish(command), "a wrong environment");
    let gone = tempfile::tempdir().unwrap();
    let path = std::ffi::CString::new(gone.path().to_str().unwrap()).unwrap();
    let leave = move || {
        // SAFETY: a string that ends in NUL.
        unsafe { check(libc::chdir(path.as_ptr())).and_then(|_| check(libc::rmdir(path.as_ptr()))).map(drop) }
    };
    says_hi(&host, &on(&host, &HI, leave), "no working directory");
}

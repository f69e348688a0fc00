//! Commands in running containers, for real.

#![allow(missing_docs, clippy::disallowed_methods)]

mod common;

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Write};
use std::path::PathBuf;

use common::{Host, command, gone, text, until};
use sampan::{
    Cancel, Container, ExecOptions, ExecOutput, Kind, RemoveOptions, Result, RunOptions, Rung, StopOptions, Ulimit,
};

fn sleeper(host: &Host) -> Container {
    host.spawn(command(&["sleep", "1000"])).unwrap()
}

fn options(args: &[&str]) -> ExecOptions {
    ExecOptions { command: args.iter().map(|a| a.to_string()).collect(), ..ExecOptions::default() }
}

fn script(script: &str) -> ExecOptions {
    options(&["sh", "-c", script])
}

fn run(container: &Container, options: &ExecOptions) -> Result<ExecOutput> {
    container.exec(options, &Cancel::new())
}

fn lines(container: &Container, options: &ExecOptions) -> Vec<String> {
    let out = run(container, options).unwrap();
    assert_eq!((text(&out.stderr).as_str(), out.code), ("", 0));
    text(&out.stdout).lines().map(str::to_owned).collect()
}

#[test]
fn beside_a_first_process_of_ours() {
    let host = Host::new();
    let container = host.spawn(RunOptions { init: true, ..command(&["sleep", "1000"]) }).unwrap();
    assert_eq!(lines(&container, &options(&["cat", "/proc/1/comm"])).len(), 1);
    // Its program can be seen, and not be written to.
    let write = "cat /proc/1/exe >/dev/null && ! (printf x >>/proc/1/exe) 2>/dev/null";
    assert_eq!(run(&container, &script(write)).unwrap().code, 0);
    gone(&host, &container);
}

#[test]
fn output_input_and_exit_code() {
    let host = Host::new();
    let container = sleeper(&host);
    let out = run(&container, &script("echo out; echo err >&2; exit 7")).unwrap();
    assert_eq!((text(&out.stdout).as_str(), text(&out.stderr).as_str(), out.code), ("out\n", "err\n", 7));
    let big = vec![b'x'; 3 << 20];
    let cat = ExecOptions { stdin: Some(big.clone()), ..options(&["cat"]) };
    assert!(run(&container, &cat).unwrap().stdout == big);
    assert!(run(&container, &options(&["cat"])).unwrap().stdout.is_empty());
    let killed = run(&container, &script("kill -9 $$")).unwrap();
    assert_eq!((killed.code, killed.signal), (137, Some(9)));
    gone(&host, &container);
}

#[test]
fn what_cannot_be_run_says_why() {
    let host = Host::new();
    let container = sleeper(&host);
    let fails = |options: ExecOptions, kind: Kind, code: i32| {
        let error = run(&container, &options).unwrap_err();
        assert_eq!((error.kind(), error.exit_code()), (kind, code), "{error}");
    };
    fails(options(&["nosuchcommand"]), Kind::CommandNotFound, 127);
    fails(options(&["/etc/passwd"]), Kind::CommandNotExecutable, 126);
    for user in ["nobody-here", "0x0", "+0", "-1", "4294967296", "root:nogroup-here"] {
        fails(ExecOptions { user: Some(user.into()), ..options(&["id"]) }, Kind::UnknownUser, 125);
    }
    fails(ExecOptions { workdir: Some("/not/there".into()), ..options(&["pwd"]) }, Kind::NotFound, 125);
    fails(options(&[]), Kind::InvalidArgument, 125);
    fails(ExecOptions { user: Some("1 ".into()), ..options(&["id"]) }, Kind::InvalidArgument, 125);
    let long = (0..40).map(|i| (format!("V{i}"), "x".repeat(120_000))).collect();
    fails(ExecOptions { env: long, ..options(&["true"]) }, Kind::InvalidArgument, 125);
    assert_eq!(lines(&container, &script("echo still here")), ["still here"]);

    container.stop(&StopOptions { timeout: Some(0.01), ..Default::default() }, &Cancel::new()).unwrap();
    fails(options(&["true"]), Kind::Conflict, 125);
    gone(&host, &container);
}

#[test]
fn options_reach_the_process() {
    let host = Host::new();
    let own = RunOptions {
        env: BTreeMap::from([("OWN".into(), "1".into()), ("BOTH".into(), "1".into())]),
        workdir: Some("/srv".into()),
        hostname: Some("box".into()),
        ulimits: vec![Ulimit { name: "nofile".into(), soft: 100, hard: 200 }],
        ..command(&["sleep", "1000"])
    };
    let container = host.spawn(own).unwrap();
    let ask = "echo $OWN $BOTH $MORE; pwd; id -u; hostname; ulimit -n; echo $HOME";
    assert_eq!(lines(&container, &script(ask)), ["1 1", "/srv", "0", "box", "100", "/root"]);
    let env = BTreeMap::from([("BOTH".into(), "2".into()), ("MORE".into(), "a b".into())]);
    let given = ExecOptions { env, workdir: Some("/tmp".into()), ..script(ask) };
    assert_eq!(lines(&container, &given), ["1 2 a b", "/tmp", "0", "box", "100", "/root"]);
    if host.engine.info().unwrap().rung != Rung::SingleId {
        let app =
            |user: &str| ExecOptions { user: Some(user.into()), ..script("id -un; id -G; echo $HOME; touch /x 2>&1") };
        let out = run(&container, &app("app")).unwrap();
        assert!(text(&out.stdout).starts_with("app\n1000 2000\n/home/app\n"), "{}", text(&out.stdout));
        assert_eq!(out.code, 1, "root's directory was written to");
        assert!(text(&run(&container, &app("1000:0")).unwrap().stdout).starts_with("app\n0\n"));
    }
    gone(&host, &container);
}

/// What tells two processes' surroundings apart.
const SURROUNDINGS: &str = "for n in mnt pid net ipc uts cgroup user; do readlink /proc/$1/ns/$n; done; cat /proc/$1/cgroup; \
    grep -E '^(Cap|NoNewPrivs|Seccomp:|Groups)' /proc/$1/status; cat /proc/$1/limits; cat /proc/$1/oom_score_adj";

#[test]
fn a_command_has_what_the_container_has_and_no_more() {
    let host = Host::new();
    let limited = RunOptions {
        pids_limit: Some(50),
        memory: Some(64 << 20),
        best_effort: true,
        security_opt: vec!["no-new-privileges".into()],
        cap_drop: vec!["NET_RAW".into()],
        oom_score_adj: Some(500),
        ..command(&["sleep", "1000"])
    };
    let container = host.spawn(limited).unwrap();
    let of = |pid: &str| lines(&container, &options(&["sh", "-c", SURROUNDINGS, "sh", pid]));
    assert_eq!(of("self"), of("1"));
    assert_eq!(
        lines(&container, &script("ls /proc/self/fd | wc -l; readlink /proc/self/root; cat /proc/1/comm")),
        ["4", "/", "sleep"]
    );
    // Its session is its own, and its orphans are the container's.
    lines(&container, &script("(sleep 1000 & :); until ps -o ppid,comm | grep -q '^ *1 sleep'; do sleep 0.02; done"));
    let all = ExecOptions { privileged: true, ..script("grep CapBnd /proc/self/status") };
    assert_ne!(lines(&container, &all), lines(&container, &script("grep CapBnd /proc/self/status")));
    gone(&host, &container);
}

#[test]
fn a_handle_has_live_streams_and_signals() {
    let host = Host::new();
    let container = sleeper(&host);
    let talk = ExecOptions {
        interactive: true,
        ..script(
            "trap 'echo term; exit 5' TERM; echo ready; while read a; do echo \"got $a\"; done; echo end >&2; sleep 1000 & wait",
        )
    };
    let mut exec = container.exec_start(&talk, &Cancel::new()).unwrap();
    let (mut stdin, mut stdout) = (File::from(exec.take_stdin().unwrap()), File::from(exec.take_stdout().unwrap()));
    let mut stderr = File::from(exec.take_stderr().unwrap());
    let mut line = |expected: &str| {
        let mut buffer = vec![0; expected.len()];
        stdout.read_exact(&mut buffer).unwrap();
        assert_eq!(text(&buffer), expected);
    };
    line("ready\n");
    for word in ["one", "two"] {
        writeln!(stdin, "{word}").unwrap();
        line(&format!("got {word}\n"));
    }
    drop(stdin);
    let mut end = [0; 4];
    stderr.read_exact(&mut end).unwrap();
    assert!(PathBuf::from(format!("/proc/{}", exec.pid())).exists());
    exec.kill("TERM").unwrap();
    line("term\n");
    assert_eq!(exec.wait(&Cancel::new()).unwrap().code, 5);
    assert_eq!(exec.wait(&Cancel::new()).unwrap().code, 5);
    exec.kill("TERM").unwrap();
    gone(&host, &container);
}

#[test]
fn a_terminal_has_a_size_and_a_name() {
    let host = Host::new();
    let container = sleeper(&host);
    let ask = "test -t 0 && tty; stty size; read a; stty size; echo $TERM; test -e $(tty) && echo there";
    let tty = ExecOptions { tty: true, interactive: true, rows: Some(20), columns: Some(70), ..script(ask) };
    let mut exec = container.exec_start(&tty, &Cancel::new()).unwrap();
    assert!(exec.take_stderr().is_none());
    let (mut to, mut from) = (File::from(exec.take_stdin().unwrap()), File::from(exec.take_stdout().unwrap()));
    let (mut seen, mut buffer) = (String::new(), [0; 1024]);
    while !seen.contains("20 70") {
        let n = from.read(&mut buffer).unwrap();
        seen += &text(&buffer[..n]);
    }
    assert!(seen.contains("/dev/pts/"), "{seen}");
    exec.resize(31, 91).unwrap();
    // The shim hears in order, but the terminal's own input may be faster: its size is asked for from here.
    until("the new size", || size(&from) == (31, 91));
    to.write_all(b"go\n").unwrap();
    let mut rest = Vec::new();
    // A terminal that nobody has open any more ends with EIO; what was read before is there.
    let end = from.read_to_end(&mut rest);
    assert!(end.as_ref().is_ok_and(|n| *n > 0) || end.is_err_and(|e| e.raw_os_error() == Some(nix::libc::EIO)));
    let rest = text(&rest);
    assert!(rest.ends_with("31 91\r\nxterm\r\nthere\r\n"), "{rest:?}");
    assert_eq!(exec.wait(&Cancel::new()).unwrap().code, 0);
    gone(&host, &container);
}

fn size(terminal: &File) -> (u16, u16) {
    use std::os::fd::AsRawFd;
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    // SAFETY: the pointer is to a `winsize`, which is what this request writes.
    unsafe { nix::libc::ioctl(terminal.as_raw_fd(), nix::libc::TIOCGWINSZ, &raw mut size) };
    (size.ws_row, size.ws_col)
}

#[test]
fn a_terminals_output_is_collected_with_its_input() {
    let host = Host::new();
    let container = sleeper(&host);
    let cat = ExecOptions { tty: true, stdin: Some(b"hello".to_vec()), ..script("stty -echo; echo up; cat") };
    let out = run(&container, &cat).unwrap();
    assert!(text(&out.stdout).contains("up\r\n") && text(&out.stdout).contains("hello"), "{}", text(&out.stdout));
    gone(&host, &container);
}

#[test]
fn a_timeout_kills_and_tells() {
    let host = Host::new();
    let container = sleeper(&host);
    let long = ExecOptions { timeout: Some(0.2), ..script("echo begun; sleep 500; echo not reached") };
    let error = run(&container, &long).unwrap_err();
    assert_eq!(error.kind(), Kind::Timeout, "{error}");
    assert_eq!(lines(&container, &script("ps | grep -c 'sleep 50[0]' || true")), ["0"]);
    let quick = ExecOptions { timeout: Some(60.0), ..script("echo done") };
    assert_eq!(lines(&container, &quick), ["done"]);
    gone(&host, &container);
}

#[test]
fn what_outlives_the_command_is_not_waited_for() {
    let host = Host::new();
    let container = sleeper(&host);
    assert_eq!(lines(&container, &script("sleep 600 & echo started")), ["started"]);
    assert_eq!(lines(&container, &script("ps | grep -c 'sleep 60[0]'")), ["1"]);
    gone(&host, &container);
}

#[test]
fn a_command_goes_on_without_its_client_and_its_output_goes_nowhere() {
    let host = Host::new();
    let container = sleeper(&host);
    // More than a pipe holds, so that it would stop if nobody read.
    let chatty = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2; touch /finished";
    for tty in [false, true] {
        drop(container.exec_start(&ExecOptions { tty, ..script(chatty) }, &Cancel::new()).unwrap());
        lines(&container, &script("until test -e /finished; do sleep 0.02; done; rm /finished"));
        let detached = ExecOptions { tty, detach: true, ..script(chatty) };
        container.exec_start(&detached, &Cancel::new()).unwrap();
        lines(&container, &script("until test -e /finished; do sleep 0.02; done; rm /finished"));
    }
    gone(&host, &container);
}

#[test]
fn a_command_ends_that_writes_to_streams_which_nobody_reads_any_more() {
    let host = Host::new();
    let container = sleeper(&host);
    let chatty = "head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2";
    for tty in [false, true] {
        let mut exec = container.exec_start(&ExecOptions { tty, ..script(chatty) }, &Cancel::new()).unwrap();
        drop((exec.take_stdout(), exec.take_stderr()));
        exec.discard_stdout().unwrap();
        exec.discard_stderr().unwrap();
        assert_eq!(exec.wait(&Cancel::new()).unwrap().code, 0);
    }
    // What is still read loses nothing.
    let mut exec = container.exec_start(&script(chatty), &Cancel::new()).unwrap();
    drop(exec.take_stdout());
    exec.discard_stdout().unwrap();
    let mut errors = Vec::new();
    File::from(exec.take_stderr().unwrap()).read_to_end(&mut errors).unwrap();
    assert_eq!((errors.len(), exec.wait(&Cancel::new()).unwrap().code), (1_000_000, 0));
    gone(&host, &container);
}

#[test]
fn the_containers_end_ends_its_commands() {
    let host = Host::new();
    let container = sleeper(&host);
    let exec = container.exec_start(&options(&["sleep", "1000"]), &Cancel::new()).unwrap();
    container.kill("KILL").unwrap();
    assert_eq!(exec.wait(&Cancel::new()).unwrap().signal, Some(9));
    assert_eq!(container.wait(None, &Cancel::new()).unwrap().signal, Some(9));
    // In a namespace of the host's process ids nobody but the shim ends them.
    let shared = host.spawn(RunOptions { pid: Some("host".into()), ..command(&["sleep", "1000"]) }).unwrap();
    let exec = shared.exec_start(&options(&["sleep", "1000"]), &Cancel::new()).unwrap();
    let pid = exec.pid();
    shared.kill("KILL").unwrap();
    assert_eq!(exec.wait(&Cancel::new()).unwrap().signal, Some(9));
    shared.wait(None, &Cancel::new()).unwrap();
    assert!(!PathBuf::from(format!("/proc/{pid}")).exists());
    shared.remove(&RemoveOptions::default()).unwrap();
    gone(&host, &container);
}

#[test]
fn a_cancelled_command_is_killed() {
    let host = Host::new();
    let container = sleeper(&host);
    let cancel = Cancel::new();
    std::thread::scope(|scope| {
        let running = scope.spawn(|| container.exec(&script("touch /begun; exec sleep 700"), &cancel));
        lines(&container, &script("until test -e /begun; do sleep 0.02; done"));
        cancel.cancel();
        assert_eq!(running.join().unwrap().unwrap_err().kind(), Kind::Cancelled);
    });
    lines(&container, &script("while ps | grep -q 'sleep 70[0]'; do sleep 0.02; done"));
    gone(&host, &container);
}

#[test]
fn many_commands_at_once_leave_no_descriptor_in_the_shim() {
    let host = Host::new();
    let container = sleeper(&host);
    let fds = |pid: i32| std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    run(&container, &options(&["true"])).unwrap();
    // A plain user can't look at a shim's, which is not dumpable.
    let root = nix::unistd::geteuid().is_root();
    let before = if root { fds(shim) } else { 0 };
    std::thread::scope(|scope| {
        for thread in 0..8 {
            let container = &container;
            scope.spawn(move || {
                for turn in 0..5 {
                    assert_eq!(
                        lines(container, &script(&format!("echo {thread}-{turn}"))),
                        [format!("{thread}-{turn}")]
                    );
                    assert!(run(container, &options(&["nosuchcommand"])).is_err());
                }
            });
        }
    });
    if root {
        // The last client may be gone before the shim has closed its end.
        until("the shim's last descriptor", || fds(shim) <= before);
    }
    gone(&host, &container);
}

#[test]
fn another_engine_reaches_it_by_a_path_that_no_socket_address_holds() {
    let long = "d".repeat(120);
    let dir = tempfile::tempdir().unwrap();
    std::fs::create_dir(dir.path().join(&long)).unwrap();
    let at = |name: &str| Some(dir.path().join(&long).join(name).display().to_string());
    let open = |run: &str| {
        let options = sampan::EngineOptions { root: at("root"), run: at(run), ..Host::options(&dir) };
        sampan::Engine::open(&options).unwrap()
    };
    let first = open("run");
    let container =
        first.spawn(&command(&["sleep", "1000"]), &Default::default(), &mut sampan::Quiet, &Cancel::new()).unwrap();
    let second = open("other").container(container.id()).unwrap();
    assert_eq!(lines(&second, &script("echo reached")), ["reached"]);
    second.remove(&RemoveOptions { force: true, volumes: true }).unwrap();
}

/// Time that is over before the command is executed is time that ran out, and nothing else.
#[test]
fn a_command_that_has_no_time_to_begin_is_told_so() {
    let host = Host::new();
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    let options = ExecOptions { command: vec!["true".into()], timeout: Some(0.001), ..ExecOptions::default() };
    for ended in std::iter::repeat_with(|| container.exec(&options, &Cancel::new())).take(40) {
        let _ = ended.map_err(|error| assert_eq!(error.kind(), Kind::Timeout, "{error}"));
    }
    // To be looked for in so many places takes longer.
    let path = format!("{}/bin", "/x:".repeat(40_000));
    let late = ExecOptions { env: BTreeMap::from([("PATH".into(), path)]), ..options };
    let told = container.exec_start(&late, &Cancel::new()).unwrap_err();
    assert_eq!(told.kind(), Kind::Timeout, "{told}");
    let found = container.exec(&ExecOptions { timeout: None, ..late }, &Cancel::new()).unwrap();
    assert_eq!(found.code, 0);
    container.remove(&RemoveOptions { force: true, volumes: false }).unwrap();
    assert_eq!(host.left(), Vec::<String>::new());
}

/// One that may open few files serves as many as it can at one time, rests meanwhile, and serves the others later.
#[test]
fn a_shim_without_descriptors_goes_on_listening() {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    const MOST: u64 = 64;
    const ALL: usize = 30;
    let host = Host::new();
    let container = sleeper(&host);
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    let few = libc::rlimit64 { rlim_cur: MOST, rlim_max: MOST };
    // SAFETY: a number, and a record that is read.
    assert_eq!(unsafe { libc::prlimit64(shim, libc::RLIMIT_NOFILE, &few, std::ptr::null_mut()) }, 0);
    let open = || std::fs::read_dir(format!("/proc/{shim}/fd")).unwrap().count();
    let rests = || std::fs::read_to_string(format!("/proc/{shim}/stat")).unwrap().contains(") S ");
    let (post, mail) = std::sync::mpsc::channel();
    std::thread::scope(|scope| {
        for _ in 0..ALL {
            let (post, container) = (post.clone(), &container);
            scope.spawn(move || {
                let begin = || container.exec_start(&options(&["sleep", "1000"]), &Cancel::new());
                let refused = |begun: &Result<_>| begun.as_ref().is_err_and(|e| e.errno() == Some(libc::EMFILE));
                let begun = std::iter::repeat_with(begin).find(|begun| !refused(begun));
                post.send(begun.unwrap().unwrap()).unwrap();
            });
        }
        until("it is full", || open() + 12 > MOST as usize);
        until("it rests", rests);
        for command in mail.iter().take(ALL) {
            command.kill("KILL").unwrap();
            assert_eq!(command.wait(&Cancel::new()).unwrap().signal, Some(9));
        }
    });
    assert_eq!(lines(&container, &script("echo done")), ["done"]);
    gone(&host, &container);
}

/// The shim opens as many files as it may; its commands have the limits that the container has.
#[test]
fn a_command_has_the_host_s_limit_of_open_files() {
    let host = Host::new();
    let container = sleeper(&host);
    let own = nix::sys::resource::getrlimit(nix::sys::resource::Resource::RLIMIT_NOFILE).unwrap();
    let both = lines(&container, &script("ulimit -Sn; ulimit -Hn"));
    assert_eq!(both, [own.0.to_string(), own.1.to_string()]);
    gone(&host, &container);
}

/// What a shim needs for a command, or for another start, it gives back.
#[test]
fn a_shim_is_as_small_as_before_when_its_commands_have_ended() {
    // Of a plain user's container it is closed.
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let host = Host::new();
    let container = host.spawn(command(&["sleep", "1000"])).unwrap();
    (0..3).for_each(|_| drop(container.exec(&script("exit 7"), &Cancel::new()).unwrap()));
    let rollup = format!("/proc/{}/smaps_rollup", container.inspect().unwrap().shim_pid.unwrap());
    let kib = || {
        let text = std::fs::read_to_string(&rollup).unwrap();
        text.lines().find_map(|l| l.strip_prefix("Pss:")?.trim().strip_suffix(" kB")?.parse::<u32>().ok()).unwrap()
    };
    until("what they took is given back", || kib() <= 200);
    gone(&host, &container);
}

/// Whatever the shim is just at.
#[test]
fn who_comes_too_late_is_told_that_it_has_ended() {
    use std::sync::atomic::{AtomicU32, Ordering};
    let host = Host::new();
    for _ in 0..20 {
        let (container, begun) = (sleeper(&host), AtomicU32::new(0));
        let until_it_fails = || loop {
            begun.fetch_add(1, Ordering::Relaxed);
            if let Err(error) = run(&container, &options(&["true"])) {
                return error;
            }
        };
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(until_it_fails)).collect();
            until("some commands", || begun.load(Ordering::Relaxed) > 8);
            container.kill("KILL").unwrap();
            for error in threads.into_iter().map(|thread| thread.join().unwrap()) {
                assert_eq!(error.kind(), Kind::Conflict, "{error}");
            }
        });
        container.wait(None, &Cancel::new()).unwrap();
        gone(&host, &container);
    }
}

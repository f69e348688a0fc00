//! What a container learns of the process that enters it, and of the program that starts it.

use nix::fcntl::{FcntlArg, SealFlag, fcntl};

use super::common::{Host, command, text, until};
use super::{gone, rung, sleeper};
use sampan::{Cancel, Container, ExecOptions, LogOptions, RunOptions, Rung, Tie};

/// Stops the process with one of the next numbers as soon as it can be seen, and goes along with it from there step by step until
/// it is the container's: all the descriptors that it has beyond the standard streams are told, of which that has none.
const FOLLOW: &str = r#"
    while :; do
        read -r a b c d last </proc/loadavg
        next=$last; echo ready
        tries=0
        until kill -STOP $next 2>/dev/null; do
            next=$((next == last + 4 ? last + 1 : next + 1)); tries=$((tries + 1)); [ $tries -lt 20000000 ] || exit 1
        done
        met=early
        while :; do
            n=3; while [ $n -lt 24 ]; do [ -e /proc/$next/fd/$n ] && echo descriptor $n; n=$((n + 1)); done
            [ -e /proc/$next/exe ] && break
            echo $met; met=
            kill -CONT $next; kill -STOP $next || break
        done
        kill -KILL $next
    done"#;

fn attacker(host: &Host, options: RunOptions) -> Container {
    let RunOptions { image, command, .. } = command(&["sh", "-c", FOLLOW]);
    // It works as hard as it can, and must not outlive its test.
    host.spawn(RunOptions { name: Some("attacker".into()), image, command, tie: Tie::Host, ..options }).unwrap()
}

fn said(container: &Container) -> String {
    let mut log = container.logs(&LogOptions { no_stderr: true, ..LogOptions::default() }).unwrap();
    let mut all = String::new();
    while let Some(entry) = log.next(&Cancel::new()).unwrap() {
        all += &text(&entry.data);
    }
    all
}

fn exec(args: &[&str]) -> ExecOptions {
    ExecOptions { command: args.iter().map(|a| a.to_string()).collect(), ..ExecOptions::default() }
}

/// Sends victims, one at a time, each when the attacker waits for it, until it has met some before they were the
/// container's.
fn attacked(attacker: &Container, victim: impl Fn() -> i32) {
    const ENOUGH: usize = 10;
    let mut rounds = 0;
    until("enough victims", || {
        until("the attacker", || said(attacker).matches("ready").count() > rounds);
        rounds += 1;
        assert_eq!(victim(), 137);
        said(attacker).matches("early").count() >= ENOUGH
    });
    let said = said(attacker);
    assert!(!said.contains("descriptor"), "{said}");
}

/// CVE-2016-9962. Root of a user namespace may be given all capabilities there, and still sees nothing of who enters.
#[test]
fn a_command_on_its_way_in_can_t_be_looked_into() {
    let host = Host::new();
    let all = RunOptions { privileged: rung(&host) != Rung::Root, ..RunOptions::default() };
    let container = attacker(&host, all);
    attacked(&container, || container.exec(&exec(&["sleep", "1000"]), &Cancel::new()).unwrap().code);
    gone(&host, &container);
}

/// The same for the first process of another container that joins the attacker's process ids.
#[test]
fn a_container_that_joins_can_t_be_looked_into() {
    let host = Host::new();
    if rung(&host) != Rung::Root {
        // Nobody but root can join another container.
        return;
    }
    let container = attacker(&host, RunOptions::default());
    attacked(&container, || {
        let joining = RunOptions { pid: Some("container:attacker".into()), ..command(&["sleep", "1000"]) };
        host.run(joining).unwrap().exit.code
    });
    gone(&host, &container);
}

/// CVE-2019-5736: the program that containers are started and entered by can be got hold of in them.
#[test]
fn the_program_that_starts_containers_can_be_had_and_not_be_changed() {
    let host = Host::new();
    // The first process lets itself be looked into once it has nothing left of the host's.
    let script = "n=0; until command exec 9</proc/1/exe; do n=$((n + 1)); [ $n -lt 100000 ] || exit 1; done; echo had; exec sleep 1000";
    let container = host.spawn(RunOptions { init: true, tie: Tie::Host, ..command(&["sh", "-c", script]) }).unwrap();
    until("the program", || {
        assert!(container.wait(Some(0.01), &Cancel::new()).is_err(), "{:?}", container.inspect().unwrap());
        said(&container).contains("had")
    });
    let attempt = "for file in /proc/1/exe /proc/[0-9]*/fd/9; do (: >>$file) && echo opened; (: >$file) && echo cut; done 2>/dev/null";
    assert_eq!(text(&container.exec(&exec(&["sh", "-c", attempt]), &Cancel::new()).unwrap().stdout), "");
    let holder = container.top().unwrap().into_iter().find(|p| p.command.starts_with("sleep")).unwrap();
    let program = std::fs::File::open(format!("/proc/{}/fd/9", holder.pid)).unwrap();
    // What keeps it when nobody executes it any more.
    let seals = SealFlag::from_bits_truncate(fcntl(&program, FcntlArg::F_GET_SEALS).unwrap());
    let all = SealFlag::F_SEAL_WRITE | SealFlag::F_SEAL_SHRINK | SealFlag::F_SEAL_GROW | SealFlag::F_SEAL_SEAL;
    assert!(seals.contains(all), "{seals:?}");
    gone(&host, &container);
}

/// A script whose interpreter is `/proc/self/exe` makes whoever executes it the program that he is: in the container,
/// as the container's own user, and with nothing to do.
#[test]
fn the_program_does_nothing_for_who_executes_it_again() {
    let host = Host::new();
    let script = "printf '#!/proc/self/exe\\n' >/evil; chmod 755 /evil; exec sleep 1000";
    let container = host.spawn(RunOptions { tie: Tie::Host, ..command(&["sh", "-c", script]) }).unwrap();
    until("the script", || container.exec(&exec(&["test", "-x", "/evil"]), &Cancel::new()).unwrap().code == 0);
    for args in [&["/evil"][..], &["/proc/self/exe"], &["/proc/self/exe", "/evil"], &["/proc/self/fd/8"]] {
        let done = container.exec(&exec(args), &Cancel::new());
        let done = done.map(|out| (out.code, text(&out.stdout), text(&out.stderr)));
        assert!(
            matches!(&done, Ok((1, out, err)) if out.is_empty() && err.is_empty()) || done.is_err(),
            "{args:?}: {done:?}"
        );
    }
    for args in [&["/proc/self/exe"][..], &["/proc/self/fd/8"]] {
        assert!(host.run(command(args)).map_or(true, |out| out.exit.code == 1 && out.stdout.is_empty()), "{args:?}");
    }
    assert_eq!(container.exec(&exec(&["echo", "fine"]), &Cancel::new()).unwrap().stdout, b"fine\n");
    gone(&host, &container);
}

/// CVE-2024-21626, its other half: what the host has open without closing it on exec.
#[test]
fn nothing_that_the_host_has_open_gets_in() {
    let host = Host::new();
    let open = std::fs::File::open("/").unwrap();
    fcntl(&open, FcntlArg::F_SETFD(nix::fcntl::FdFlag::empty())).unwrap();
    let high = fcntl(&open, FcntlArg::F_DUPFD(200)).unwrap();
    let list = ["sh", "-c", "for n in /proc/self/fd/*; do readlink $n; done"];
    let container = host.spawn(sleeper()).unwrap();
    let pid = container.inspect().unwrap().pid.unwrap();
    let of_first = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
    assert_eq!(of_first, 3);
    let inside = container.exec(&exec(&list), &Cancel::new()).unwrap();
    let names = text(&inside.stdout);
    // Its own listing of the directory, and the three standard streams.
    let strangers: Vec<&str> =
        names.lines().filter(|n| !n.starts_with("pipe:") && !n.starts_with("/proc/") && *n != "/dev/null").collect();
    assert_eq!(strangers, Vec::<&str>::new());
    nix::unistd::close(high).unwrap();
    gone(&host, &container);
}

/// Who has no other stream has `/dev/null`. By a descriptor of the host's own its mode would be changed for all.
#[test]
fn the_host_s_null_is_nobody_s_to_change() {
    let host = Host::new();
    let script = "for n in 0 1 2; do [ -c /proc/self/fd/$n ] && echo $n; chmod 666 /proc/self/fd/$n; done 2>/tmp/said
        grep -c 'chmod: /proc/self/fd/0: ' /tmp/said; echo >/dev/stdin";
    let container = host.spawn(sleeper()).unwrap();
    let inside = [host.sh(script).stdout, container.exec(&exec(&["sh", "-c", script]), &Cancel::new()).unwrap().stdout];
    gone(&host, &container);
    // One within a user namespace is refused for another reason.
    for said in inside.map(|said| text(&said)) {
        assert_eq!(said, "0\n1\n");
    }
}

/// Whose `/dev` has no null device starts and gets commands in all the same, and none of them with the host's.
#[test]
fn nor_where_the_container_has_none() {
    let host = Host::new();
    let script = "for n in 0 1 2; do [ -c /proc/self/fd/$n ] && echo $n; chmod 666 /proc/self/fd/$n; done 2>/tmp/said
        grep -c 'chmod: /proc/self/fd/0: ' /tmp/said; [ -e /dev/null ] || echo none; cat <&0";
    let bare = sampan::Mount { kind: sampan::MountKind::Tmpfs, target: "/dev".into(), ..sampan::Mount::default() };
    let of_host = std::fs::metadata("/dev/null").unwrap();
    let container = host.spawn(RunOptions { mounts: vec![bare], ..sleeper() }).unwrap();
    let inside = container.exec(&exec(&["sh", "-c", script]), &Cancel::new()).unwrap();
    assert!(text(&inside.stdout).ends_with("none\n"), "{inside:?}");
    let look = container.exec(&exec(&["stat", "-Lc", "%d", "/proc/self/fd/0"]), &Cancel::new()).unwrap();
    let is_host_s = text(&look.stdout).trim() == std::os::unix::fs::MetadataExt::dev(&of_host).to_string();
    // One within a user namespace has no rights on it.
    assert_eq!(is_host_s, rung(&host) != Rung::Root, "{look:?}");
    gone(&host, &container);
}

/// CVE-2020-15257: an abstract socket is there for all who share the network, whoever they are.
#[test]
fn no_socket_of_ours_is_abstract() {
    let host = Host::new();
    let options = RunOptions { network: Some("host".into()), tty: true, ..sleeper() };
    let container = host.spawn(options).unwrap();
    let info = container.inspect().unwrap();
    let held: Vec<String> = [info.shim_pid, info.pid].into_iter().flatten().flat_map(sockets).collect();
    let abstract_ones: Vec<String> = std::fs::read_to_string("/proc/net/unix")
        .unwrap()
        .lines()
        .filter(|line| line.split_whitespace().nth(7).is_some_and(|path| path.starts_with('@')))
        .filter(|line| line.split_whitespace().nth(6).is_some_and(|inode| held.iter().any(|h| h == inode)))
        .map(str::to_owned)
        .collect();
    assert_eq!(abstract_ones, Vec::<String>::new());
    if rung(&host) == Rung::Root {
        assert!(!held.is_empty(), "the shim's socket was not seen");
    }
    gone(&host, &container);
}

/// The inodes of a process's sockets; none where it does not let itself be looked into.
fn sockets(pid: i32) -> Vec<String> {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).into_iter().flatten().flatten();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.path()).ok());
    targets.filter_map(|t| Some(t.to_str()?.strip_prefix("socket:[")?.strip_suffix(']')?.to_owned())).collect()
}

/// CVE-2019-14271: a library of the image that is loaded outside of it.
#[test]
fn nothing_of_the_image_is_loaded_by_the_shim() {
    let host = Host::new();
    if rung(&host) != Rung::Root {
        // The shim does not let a plain user look into it.
        return;
    }
    let container = host.spawn(RunOptions { user: Some("app".into()), ..sleeper() }).unwrap();
    container.exec(&ExecOptions { user: Some("app:extra".into()), ..exec(&["id"]) }, &Cancel::new()).unwrap();
    let shim = container.inspect().unwrap().shim_pid.unwrap();
    let maps = std::fs::read_to_string(format!("/proc/{shim}/maps")).unwrap();
    let files: Vec<&str> = maps.lines().filter_map(|line| line.split_whitespace().nth(5)).collect();
    assert!(files.iter().any(|file| file.contains("sampan-shim")), "{files:?}");
    let strangers: Vec<&&str> =
        files.iter().filter(|file| file.starts_with('/') && !file.starts_with("/memfd:sampan-")).collect();
    assert_eq!(strangers, Vec::<&&str>::new());
    gone(&host, &container);
}

/// By its name a copy knows an init that no plain user may enter.
#[test]
fn nobody_gives_the_init_another_name() {
    let host = Host::new();
    let script = "(printf other >/proc/1/comm) 2>/dev/null; cat /proc/1/comm";
    for privileged in [false, true] {
        let options = RunOptions { init: true, privileged, ..command(&["sh", "-c", script]) };
        assert_eq!(text(&host.run(options).unwrap().stdout), "sampan-init\n");
    }
}

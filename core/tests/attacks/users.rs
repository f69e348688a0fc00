//! Users that are misread (CVE-2026-30892), and files about users that are no files or never end (CVE-2026-47262).

use std::io::Write;
use std::path::Path;

use super::common::{Host, command, text};
use super::{gone, rung, sleeper};
use sampan::{Cancel, Container, ExecOptions, Kind, Mount, RunOptions, Rung};

/// What may look like a number, and is none or too large.
const NO_USERS: [&str; 30] = [
    "",
    " ",
    " 0",
    "0 ",
    "\t0",
    "+0",
    "-0",
    "-1",
    "0x0",
    "0x10",
    "0b1",
    "0o0",
    "1e3",
    "1.0",
    "٠",
    "０",
    "4294967295",
    "4294967296",
    "2147483648",
    "18446744073709551616",
    "1:2:3",
    "0:",
    ":0",
    ":",
    "0:-1",
    "0:+0",
    "0: 0",
    "0:4294967295",
    "0:4294967296",
    "root:0x0",
];

/// Not by `id`, which reads the files too.
const IDS: &str = "grep -E '^[UG]id:' /proc/self/status | cut -f 2";

fn id(user: &str) -> ExecOptions {
    let command = ["sh", "-c", IDS].map(str::to_owned).to_vec();
    ExecOptions { command, user: Some(user.into()), ..ExecOptions::default() }
}

#[test]
fn what_is_no_user_is_nobody() {
    let host = Host::new();
    let container = host.spawn(sleeper()).unwrap();
    for user in NO_USERS {
        match container.exec(&id(user), &Cancel::new()) {
            Ok(output) => panic!("exec as {user:?}: {}", text(&output.stdout)),
            Err(e) => assert!(matches!(e.kind(), Kind::InvalidArgument | Kind::UnknownUser), "{user:?}: {e}"),
        }
    }
    // Without a user it is root, as in Docker: an image that names none has its own.
    for user in NO_USERS.into_iter().filter(|user| !matches!(*user, "" | ":0")) {
        let options = RunOptions { user: Some(user.into()), ..command(&["id", "-u"]) };
        match host.run(options) {
            Ok(output) => panic!("run as {user:?}: {}", text(&output.stdout)),
            Err(e) => assert!(matches!(e.kind(), Kind::InvalidArgument | Kind::UnknownUser), "{user:?}: {e}"),
        }
    }
    assert_eq!(text(&container.exec(&id("0:0"), &Cancel::new()).unwrap().stdout), "0\n0\n");
    gone(&host, &container);
}

/// With these files as its `/etc/passwd` and `/etc/group`.
fn with(passwd: &Path, group: &Path) -> RunOptions {
    let bind = |source: &Path, target: &str| Mount {
        source: source.display().to_string(),
        target: target.into(),
        ..Mount::default()
    };
    let mounts = vec![bind(passwd, "/etc/passwd"), bind(group, "/etc/group")];
    RunOptions { mounts, ..command(&["sh", "-c", &format!("{IDS}; echo $HOME")]) }
}

fn file(host: &Host, name: &str, content: &[u8]) -> std::path::PathBuf {
    let path = host.dir.path().join(name);
    std::fs::File::create(&path).unwrap().write_all(content).unwrap();
    path
}

/// An image whose passwd has an entry under a number for a name would make root of whoever is to run as that number.
#[test]
fn a_number_is_never_a_name() {
    let host = Host::new();
    if rung(&host) == Rung::SingleId {
        return;
    }
    let passwd = file(&host, "passwd", b"1000:x:0:0::/evil:/bin/sh\napp:x:1000:1000::/home/app:/bin/sh\n");
    let group = file(&host, "group", b"1000:x:0:\n2000:x:0:\n");
    for (user, expected) in
        [("1000", "1000\n1000\n/home/app\n"), ("1000:2000", "1000\n2000\n/home/app\n"), ("77", "77\n0\n/\n")]
    {
        let output = host.run(RunOptions { user: Some(user.into()), ..with(&passwd, &group) }).unwrap();
        assert_eq!(text(&output.stdout), expected, "{user}");
    }
    let ask = ["grep", "^Groups:", "/proc/self/status"].map(str::to_owned).to_vec();
    let added =
        RunOptions { user: Some("1000".into()), group_add: vec!["2000".into()], command: ask, ..with(&passwd, &group) };
    assert_eq!(text(&host.run(added).unwrap().stdout).trim_end(), "Groups:\t1000 2000");
}

/// Files that no honest image has: each ends in an answer at once, be it a refusal.
#[test]
fn files_about_users_are_hostile() {
    let host = Host::new();
    let root = file(&host, "fine", b"root:x:0:0:root:/root:/bin/sh\n");
    let none = file(&host, "none", b"");
    let endless = file(&host, "endless", &[b'a'; 1 << 20]);
    let colons = file(&host, "colons", &[b':'; 1 << 20]);
    let lines = file(&host, "lines", &[b'\n'; 1 << 20]);
    let zeros = file(&host, "zeros", &[0; 1 << 16]);
    let many = file(&host, "many", "root:x:0:root\n".repeat(70_000).as_bytes());
    let long =
        file(&host, "long", format!("root:x:0:0:{}:/{}:\n", "x".repeat(500_000), "h".repeat(400_000)).as_bytes());
    let members = file(&host, "members", format!("root:x:0:{}root\n", "a,".repeat(500_000)).as_bytes());
    let numbers =
        file(&host, "numbers", b"root:x:99999999999999999999:-1:::\nroot:x:+0:0:::\n:x:0:0:::\nroot\n::::::\n");
    for passwd in [&none, &endless, &colons, &lines, &zeros, &long, &numbers, &root] {
        for group in [&none, &endless, &colons, &lines, &zeros, &many, &members] {
            let output = host.run(RunOptions { user: Some("0".into()), ..with(passwd, group) }).unwrap();
            let said = text(&output.stdout);
            assert!(said.starts_with("0\n0\n"), "{passwd:?} {group:?}: {said:.100} {}", text(&output.stderr));
        }
    }
    let huge = file(&host, "huge", b"root:x:0:0:::\n");
    std::fs::File::options().write(true).open(&huge).unwrap().set_len(1 << 40).unwrap();
    let error = host.run(RunOptions { user: Some("root".into()), ..with(&huge, &none) }).unwrap_err();
    assert!(error.to_string().contains("large"), "{error}");
    let error = host.run(RunOptions { user: Some("0:0".into()), ..with(&none, &huge) }).unwrap_err();
    assert!(error.to_string().contains("large"), "{error}");
    assert_eq!(host.left(), Vec::<String>::new());
}

/// What is there in place of a file is made by the container itself, then looked up by a command.
#[test]
fn what_is_no_file_is_not_waited_for() {
    let host = Host::new();
    let container = host.spawn(sleeper()).unwrap();
    let places = [
        "mkfifo F",
        "mkdir F",
        "ln -s /dev/zero F",
        "ln -s /dev/random F",
        "ln -s F F",
        "ln -s /proc/self/fd/0 F",
        "ln -s /proc/kmsg F",
        "ln -s /dev/tty F",
        "ln -s /nowhere F",
        "ln -s /proc/1/mem F",
    ];
    for place in places {
        for name in ["passwd", "group"] {
            prepared(&container, &format!("cd /etc; rm -rf {name}; {}", place.replace('F', name)));
            // A number needs no file; what leads nowhere or in circles may be refused, not hang.
            match container.exec(&id("0"), &Cancel::new()) {
                Ok(output) => assert_eq!(text(&output.stdout), "0\n0\n", "{place}"),
                Err(e) => assert_eq!(e.exit_code(), 125, "{place}: {e}"),
            }
            prepared(&container, &format!("cd /etc; rm -rf {name}; printf 'root:x:0:\\n' >{name}"));
        }
    }
    gone(&host, &container);
}

/// From outside: a command in it would look its user up.
#[track_caller]
fn prepared(container: &Container, script: &str) {
    let pid = container.inspect().unwrap().pid.unwrap();
    let root = format!("/proc/{pid}/root");
    let script = script.replace("cd /etc", &format!("cd {root}/etc"));
    let status = std::process::Command::new("sh").args(["-c", &script]).status().unwrap();
    assert!(status.success(), "{script}");
}

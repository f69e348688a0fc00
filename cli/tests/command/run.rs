//! `run`: what the command is given and how it ends.

use crate::host::Host;

#[test]
fn the_exit_code_is_the_command_s() {
    let host = Host::new();
    // The kernel spares the first process of a PID namespace its own signals, so a child is killed.
    let killed = |signal| format!("sh -c 'kill -{signal} $$'; exit $?");
    for (script, code) in
        [("true", 0), ("exit 3", 3), ("exit 255", 255), (&killed("KILL"), 137), (&killed("TERM"), 143)]
    {
        assert_eq!(host.run(&["run", "--rm", "box", "sh", "-c", script]).code, code, "{script}");
    }
    assert!(host.names().is_empty());
}

#[test]
fn what_can_t_be_run_has_docker_s_code() {
    let host = Host::new();
    let cases: [(&[&str], i32, &str); 5] = [
        (&["box", "no-such-command"], 127, "no-such-command"),
        (&["box", "/etc/passwd"], 126, "/etc/passwd"),
        (&["--pull", "never", "nothing", "true"], 125, "nothing"),
        (&["-u", "nobody-here", "box", "true"], 125, "nobody-here"),
        (&["-w", "/etc/passwd", "box", "true"], 125, "/etc/passwd"),
    ];
    for (args, code, subject) in cases {
        let ended = host.run(&[&["run"], args].concat());
        assert_eq!(ended.code, code, "{args:?}: {ended:?}");
        assert!(ended.stderr.contains(subject) && ended.stderr.starts_with("sampan: "), "{ended:?}");
        assert_eq!(ended.stderr.lines().count(), 1, "{ended:?}");
    }
    assert!(host.names().is_empty());
}

#[test]
fn the_streams_are_told_apart() {
    let ended = Host::new().run(&["run", "--rm", "box", "sh", "-c", "echo out; echo err >&2"]);
    assert_eq!((ended.code, ended.stdout.as_str(), ended.stderr.as_str()), (0, "out\n", "err\n"));
}

#[test]
fn standard_input_is_given_only_when_asked_for() {
    let host = Host::new();
    let many = "0123456789abcdef".repeat(20_000);
    assert_eq!(host.feed(&["run", "--rm", "-i", "box", "wc", "-c"], many.as_bytes()).stdout, "320000\n");
    assert_eq!(host.feed(&["run", "--rm", "box", "cat"], b"").stdout, "");
    let ended =
        host.feed(&["run", "--rm", "-i", "-a", "stdin", "-a", "stderr", "box", "sh", "-c", "cat; echo e >&2"], b"");
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("", "e\n"));
}

#[test]
fn a_command_that_does_not_read_ends_all_the_same() {
    let host = Host::new();
    let mut running = host.command(&["run", "--rm", "-i", "box", "echo", "done"]);
    // Never closed: its end must not be waited for.
    let (theirs, _ours) = std::io::pipe().unwrap();
    let output = running.stdin(theirs).output().unwrap();
    assert_eq!((output.status.code(), output.stdout.as_slice()), (Some(0), &b"done\n"[..]));
}

#[test]
fn the_environment_is_what_was_said() {
    let host = Host::new();
    std::fs::write(host.path("env"), "# a comment\nA=file\nB=file\n").unwrap();
    let script = "echo $A $B $C $D $HOME $PATH";
    let file = host.path("env");
    let mut command = host.command(&["run", "--rm", "--env-file", &file, "-e", "B=flag", "-eC", "--env=D=d", "box"]);
    let output = command.args(["sh", "-c", script]).env("C", "ours").output().unwrap();
    let path = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin";
    assert_eq!(String::from_utf8(output.stdout).unwrap(), format!("file flag ours d /root {path}\n"));
}

#[test]
fn user_directory_host_name_and_entrypoint() {
    let host = Host::new();
    let run = |args: &[&str]| host.ok(&[&["run", "--rm"], args].concat());
    assert_eq!(run(&["-h", "boat", "box", "hostname"]), "boat");
    assert_eq!(run(&["-w", "/made/for/it", "box", "pwd"]), "/made/for/it");
    assert_eq!(run(&["--entrypoint", "echo", "box", "a", "b"]), "a b");
    assert_eq!(run(&["--entrypoint=", "box", "echo", "c"]), "c");
    assert_eq!(run(&["box", "echo", "--rm", "-it"]), "--rm -it");
}

#[test]
fn another_user_of_the_image() {
    let host = Host::new();
    if std::env::var("SAMPAN_TEST_RUNG").as_deref() == Ok("single-id") {
        let ended = host.run(&["run", "--rm", "-u", "app", "box", "id"]);
        assert_eq!(ended.code, 125, "one id has no second user: {ended:?}");
        return;
    }
    let id = host.ok(&["run", "--rm", "-u", "app", "--group-add", "2000", "box", "id"]);
    assert!(id.starts_with("uid=1000(app) gid=1000(app) groups=") && id.contains("2000(extra)"), "{id}");
    assert_eq!(host.ok(&["run", "--rm", "-u", "5:6", "box", "sh", "-c", "echo $(id -u) $(id -g)"]), "5 6");
}

#[test]
fn mounts() {
    let host = Host::new();
    std::fs::create_dir(host.path("data")).unwrap();
    std::fs::write(host.path("data/file"), "hello").unwrap();
    let bind = format!("{}:/data", host.path("data"));
    assert_eq!(host.ok(&["run", "--rm", "-v", &bind, "box", "cat", "/data/file"]), "hello");
    host.ok(&["run", "--rm", "-v", &bind, "box", "sh", "-c", "echo more >/data/new"]);
    assert_eq!(std::fs::read_to_string(host.path("data/new")).unwrap(), "more\n");
    let ended = host.run(&["run", "--rm", "-v", &format!("{bind}:ro"), "box", "touch", "/data/no"]);
    assert!(ended.code == 1 && ended.stderr.contains("Read-only file system"), "{ended:?}");
    let long = format!("type=bind,src={},dst=/m,readonly", host.path("data"));
    assert_eq!(host.ok(&["run", "--rm", "--mount", &long, "box", "cat", "/m/file"]), "hello");
    let script = "mount | grep -c ' /t type tmpfs.*size=1024k'";
    assert_eq!(host.ok(&["run", "--rm", "--tmpfs", "/t:size=1m", "box", "sh", "-c", script]), "1");
    // `-v` makes the directory that is missing, `--mount` does not.
    host.ok(&["run", "--rm", "-v", &format!("{}:/x", host.path("made")), "box", "true"]);
    assert!(std::path::Path::new(&host.path("made")).is_dir());
    let missing = format!("type=bind,src={},dst=/m", host.path("missing"));
    assert_eq!(host.run(&["run", "--rm", "--mount", &missing, "box", "true"]).code, 125);
}

#[test]
fn volumes_outlive_their_containers_when_they_have_a_name() {
    let host = Host::new();
    host.ok(&["run", "--rm", "-v", "kept:/v", "box", "sh", "-c", "echo here >/v/file"]);
    assert_eq!(host.ok(&["run", "--rm", "-v", "kept:/v:ro", "box", "cat", "/v/file"]), "here");
}

#[test]
fn a_read_only_root() {
    let ended = Host::new().run(&[
        "run",
        "--rm",
        "--read-only",
        "--tmpfs",
        "/tmp",
        "box",
        "sh",
        "-c",
        "touch /tmp/a && touch /a",
    ]);
    assert!(ended.code == 1 && ended.stderr.contains("/a: Read-only file system"), "{ended:?}");
}

#[test]
fn rm_and_its_spellings() {
    let host = Host::new();
    host.ok(&["run", "--rm", "--name", "a", "box", "true"]);
    host.ok(&["run", "--rm=true", "--name", "b", "box", "true"]);
    assert!(host.names().is_empty());
    host.ok(&["run", "--rm=false", "--name", "c", "box", "true"]);
    host.ok(&["run", "--detach=false", "--name=d", "box", "true"]);
    assert_eq!(host.names(), ["d", "c"]);
    assert_eq!(host.ok(&["ps", "--all=true", "-q"]).lines().count(), 2);
    assert_eq!(host.ok(&["ps", "--all=false", "-q"]), "");
}

#[test]
fn a_name_is_taken_once() {
    let host = Host::new();
    host.ok(&["create", "--name", "one", "box"]);
    let ended = host.run(&["run", "--name", "one", "box", "true"]);
    assert!(ended.code == 125 && ended.stderr.contains("one"), "{ended:?}");
}

#[test]
fn detached_it_prints_its_id_and_lives_on() {
    let host = Host::new();
    let cidfile = host.path("cid");
    let id = host.ok(&["run", "-d", "--cidfile", &cidfile, "--name", "bg", "box", "sleep", "60"]);
    assert!(id.len() == 64 && id.bytes().all(|b| b.is_ascii_hexdigit()), "{id}");
    assert_eq!(std::fs::read_to_string(&cidfile).unwrap(), id);
    assert_eq!(host.ok(&["inspect", "-f", "{{.status}}", "bg"]), "running");
    let ended = host.run(&["run", "-d", "--cidfile", &cidfile, "box", "true"]);
    assert!(ended.code == 125 && ended.stderr.contains(&cidfile), "{ended:?}");
    host.ok(&["rm", "-f", &id[..12]]);
}

#[test]
fn a_dry_run_prints_a_plan_and_does_nothing() {
    let host = Host::new();
    let plan = host.ok(&["run", "--dry-run", "--network", "none", "box", "true"]);
    assert!(serde_json::from_str::<serde_json::Value>(&plan).unwrap().is_object());
    assert!(host.names().is_empty());
}

#[test]
fn an_image_that_is_missing_is_pulled_and_told_of() {
    let host = Host::empty();
    let image = crate::common::image();
    let ended = host.run(&["run", "--rm", &image, "echo", "hi"]);
    assert_eq!((ended.code, ended.stdout.as_str()), (0, "hi\n"));
    // Not a terminal: whole lines, no control characters.
    assert!(ended.stderr.starts_with("pulling ") && ended.stderr.contains("done: sha256:"), "{ended:?}");
    assert!(!ended.stderr.contains(['\r', '\x1b']), "{ended:?}");
    let ended = Host::empty().run(&["run", "--rm", "-q", &image, "echo", "hi"]);
    assert_eq!((ended.stdout.as_str(), ended.stderr.as_str()), ("hi\n", ""));
}

//! Verbs become calls of the runtime.

use std::io::Write;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixStream;
use std::path::Path;

use sampan::oci::{CreateOptions, ExecOptions, Runtime, Streams};
use sampan::{Error, Kind, Result};

use super::words::{Create, Exec, List, Run, Spec, Verb, Words};
use super::{foreground, preserved, ps, update};

/// Runs one; returns the exit code.
pub fn execute(words: &Words) -> Result<u8> {
    let runtime = Runtime::open(words.global.root.as_deref())?;
    match &words.verb {
        Verb::Create(args) => create(&runtime, args, words.global.systemd_cgroup).map(|_| 0),
        Verb::Run(args) => run(&runtime, args, words.global.systemd_cgroup),
        Verb::Exec(args) => exec(&runtime, args),
        Verb::Start(args) => runtime.start(&args.id).map(|()| 0),
        Verb::Kill(args) => runtime.kill(&args.id, &args.signal, args.all).map(|()| 0),
        Verb::Delete(args) => runtime.delete(&args.id, args.force).map(|()| 0),
        Verb::Pause(args) => runtime.pause(&args.id).map(|()| 0),
        Verb::Resume(args) => runtime.resume(&args.id).map(|()| 0),
        Verb::State(args) => print(&pretty(&runtime.state(&args.id)?)?),
        Verb::Ps(args) => ps::ps(&runtime, args),
        Verb::Update(args) => update::update(&runtime, args),
        Verb::Events(args) => update::events(&runtime, args),
        Verb::List(args) => list(&runtime, args),
        Verb::Features => print(&pretty(&sampan::oci::features())?),
        Verb::Spec(args) => spec(args),
    }
}

fn pretty(value: &impl serde::Serialize) -> Result<String> {
    serde_json::to_string_pretty(value).map_err(|e| Error::new(Kind::Unknown, "print", "").because(e.to_string()))
}

pub(super) fn print(text: &str) -> Result<u8> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{text}").map_err(|e| io("print", "standard output", &e))?;
    Ok(0)
}

pub(super) fn io(operation: &'static str, subject: &str, error: &std::io::Error) -> Error {
    Error::new(Kind::System, operation, subject).because(error.to_string())
}

/// The socket that receives a terminal's master.
fn console(path: Option<&Path>) -> Result<Option<OwnedFd>> {
    let connect = |path: &Path| {
        UnixStream::connect(path)
            .map(OwnedFd::from)
            .map_err(|e| io("connect to console socket", &path.display().to_string(), &e))
    };
    path.map(connect).transpose()
}

fn with_streams<T>(
    console: Option<&OwnedFd>,
    preserved: &[BorrowedFd<'_>],
    act: impl FnOnce(&Streams<'_>) -> Result<T>,
) -> Result<T> {
    let (stdin, stdout, stderr) = (std::io::stdin(), std::io::stdout(), std::io::stderr());
    let standard = [stdin.as_fd(), stdout.as_fd(), stderr.as_fd()];
    act(&Streams { standard, console: console.map(AsFd::as_fd), preserved })
}

fn create(runtime: &Runtime, args: &Create, systemd_cgroup: bool) -> Result<i32> {
    let listen_fds = preserved::activated();
    let preserved = preserved::descriptors(listen_fds.saturating_add(args.preserve_fds))?;
    let console = console(args.console_socket.as_deref())?;
    let (bundle, pid_file) = (args.bundle.clone(), args.pid_file.clone());
    let options = CreateOptions { bundle, pid_file, listen_fds, systemd_cgroup };
    with_streams(console.as_ref(), &preserved, |streams| runtime.create(&args.id, &options, streams))
}

fn run(runtime: &Runtime, args: &Run, systemd_cgroup: bool) -> Result<u8> {
    if args.detach {
        create(runtime, &args.create, systemd_cgroup)?;
        let started = runtime.start(&args.create.id);
        return started.inspect_err(|_| drop(runtime.delete(&args.create.id, true))).map(|()| 0);
    }
    let waiting = foreground::prepare()?;
    let pid = create(runtime, &args.create, systemd_cgroup)?;
    let ended = runtime.start(&args.create.id).and_then(|()| waiting.until_end(pid));
    if !args.keep || ended.is_err() {
        runtime.delete(&args.create.id, true)?;
    }
    ended
}

fn exec(runtime: &Runtime, args: &Exec) -> Result<u8> {
    let preserved = preserved::descriptors(args.preserve_fds)?;
    let read =
        |path: &Path| std::fs::read_to_string(path).map_err(|e| io("read process", &path.display().to_string(), &e));
    let options = ExecOptions {
        process: args.process.as_deref().map(read).transpose()?,
        args: args.command.clone(),
        env: args.env.clone(),
        user: args.user.clone(),
        cwd: args.cwd.clone(),
        tty: Some(args.tty),
        apparmor: args.apparmor.clone(),
        selinux: args.process_label.clone(),
        capabilities: args.cap.clone(),
        groups: args.additional_gids.clone(),
        no_new_privileges: args.no_new_privs,
        ignore_paused: args.ignore_paused,
        pid_file: args.pid_file.clone(),
    };
    let console = console(args.console_socket.as_deref())?;
    let start = || with_streams(console.as_ref(), &preserved, |streams| runtime.exec(&args.id, &options, streams));
    if args.detach {
        return start().map(|_| 0);
    }
    let waiting = foreground::prepare()?;
    waiting.until_end(start()?)
}

fn list(runtime: &Runtime, args: &List) -> Result<u8> {
    let containers = runtime.list()?;
    if args.quiet {
        return containers.iter().try_for_each(|c| print(&c.id).map(drop)).map(|()| 0);
    }
    if args.format == "json" {
        return print(&pretty(&containers)?);
    }
    let mut lines = vec!["ID\tPID\tSTATUS\tBUNDLE\tCREATED\tOWNER".to_owned()];
    lines.extend(containers.iter().map(|c| {
        let status = format!("{:?}", c.status).to_lowercase();
        format!("{}\t{}\t{status}\t{}\t{}\t{}", c.id, c.pid, c.bundle.display(), c.created, c.owner)
    }));
    print(crate::output::align(&lines).trim_end())
}

fn spec(args: &Spec) -> Result<u8> {
    let path = args.bundle.join("config.json");
    let text = pretty(&sampan::oci::example(args.rootless))?;
    let mut options = std::fs::OpenOptions::new();
    let file = options.write(true).create_new(true).open(&path);
    file.and_then(|mut file| writeln!(file, "{text}"))
        .map_err(|e| io("write configuration", &path.display().to_string(), &e))?;
    Ok(0)
}

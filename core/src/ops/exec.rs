//! `exec`: a command in a running container, from any process, by the container's shim.

use std::borrow::Cow;
use std::os::fd::{AsFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use super::capture::{self, Ends};
use super::{Context, events, list, pause, wait as ends};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch::{self, Command, Exit};
use crate::plan::{exec, names};
use crate::store::containers::{Container, Record};
use crate::sys::{self, PidFd};
use crate::wire::EXEC_ID;

/// Starts a command; returns once it has been executed.
pub fn start(context: &Context, id: &ContainerId, options: &ExecOptions, cancel: &Cancel) -> Result<Command> {
    if options.stdin.is_some() {
        return Err(Error::new(Kind::InvalidArgument, "read option", "stdin")
            .because("bytes for standard input can only be given to a command that is waited for")
            .hint("write them to the handle's input"));
    }
    begin(context, id, options, cancel)
}

fn begin(context: &Context, id: &ContainerId, options: &ExecOptions, cancel: &Cancel) -> Result<Command> {
    cancel.check("run command", "")?;
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    if container.status() != Status::Running {
        return Err(Error::new(Kind::Conflict, "run command in container", name)
            .because(format!("it is not running but {}", container.status().word()))
            .hint(list::cure(container.status())));
    }
    if pause::status(context, &container) == Status::Paused {
        return Err(Error::new(Kind::Conflict, "run command in container", name)
            .because("it is paused")
            .hint("unpause it first"));
    }
    let mut plan = exec::plan(&container.record.spec, context.facts_of(container.record.rung)?, options)?;
    // It enters the profile of its container, which is to be there.
    context.apparmor(container.record.rung)?;
    let told = Told { context, record: &container.record, options };
    plan.id = told.begun()?;
    let started = launch::exec(context.paths.container(id).dir(), &plan, cancel);
    let mut command = started
        .map_err(|e| if has_ended(&container, &e) { ended(e) } else { e })
        .inspect_err(|e| told.failed(&plan.id, e))
        .map_err(|e| e.within("run command in container", name))?;
    command.name = format!("the command in container {name}");
    Ok(command)
}

/// Whether what it says is how the end of the container was met: no memory in its namespaces, no cgroup, no answer.
fn has_ended(container: &Container, error: &Error) -> bool {
    let met = matches!(error.kind(), Kind::System | Kind::Launch | Kind::Conflict | Kind::NotFound);
    // The kernel gives no memory to namespaces whose first process is on its way out, before that has ended.
    let patience = if error.kind() == Kind::System { Duration::from_secs(1) } else { Duration::ZERO };
    let gone = |first: &PidFd| first.wait(Some(patience), &Cancel::new()).unwrap_or(false);
    met && ends::process(container).is_ok_and(|first| first.is_none_or(|first| gone(&first)))
}

fn ended(error: Error) -> Error {
    Error::new(Kind::Conflict, "", "")
        .because("it has just ended")
        .hint("start it, unless its restart policy does")
        .caused_by(error)
}

/// What events tell of a command, but for its end, which the shim does.
struct Told<'a> {
    context: &'a Context,
    record: &'a Record,
    options: &'a ExecOptions,
}

impl Told<'_> {
    /// The name that its events have in common.
    fn begun(&self) -> Result<String> {
        let random: [u8; EXEC_ID / 2] = sys::random_bytes().context("make id", "")?;
        let id: String = random.iter().map(|byte| format!("{byte:02x}")).collect();
        // As in Docker; but a script may be long, and an event is one small write.
        let command: String = self.options.command.join(" ").chars().take(200).collect();
        for action in ["exec_create", "exec_start"] {
            events::tell(self.context, self.record, &format!("{action}: {command}"), &[("execID", &id)]);
        }
        Ok(id)
    }

    fn failed(&self, id: &str, error: &Error) {
        let code = error.exit_code().to_string();
        events::tell(self.context, self.record, "exec_die", &[("execID", id), ("exitCode", &code)]);
    }
}

/// Runs a command to its end and collects what it writes.
pub fn run(context: &Context, id: &ContainerId, options: &ExecOptions, cancel: &Cancel) -> Result<ExecOutput> {
    let mut command = begin(context, id, options, cancel)?;
    let Streams { stdin, stdout, stderr } = streams(&mut command, options)?;
    let mut ends = Ends { stdin, stdout, stderr };
    let input = input(options);
    match collect(&command, &mut ends, &input, cancel) {
        Ok((exit, stdout, stderr)) => {
            let ExitStatus { code, signal, oom_killed, error, .. } = ends::ended(&command.name, exit);
            Ok(ExecOutput { code, signal, stdout, stderr, oom_killed, error })
        }
        Err(error) => {
            command.abandon();
            Err(error)
        }
    }
}

/// A terminal's line discipline takes a control-D at the beginning of a line for the end of input.
fn input(options: &ExecOptions) -> Cow<'_, [u8]> {
    let given = options.stdin.as_deref().unwrap_or_default();
    if !options.tty || options.stdin.is_none() {
        return Cow::Borrowed(given);
    }
    let ends_a_line = given.last().is_none_or(|b| *b == b'\n');
    Cow::Owned([given, if ends_a_line { &[4][..] } else { &[4, 4][..] }].concat())
}

/// Our ends of a command's streams.
pub struct Streams {
    /// When it was asked for.
    pub stdin: Option<OwnedFd>,
    /// Absent when detached.
    pub stdout: Option<OwnedFd>,
    /// Absent with a terminal too.
    pub stderr: Option<OwnedFd>,
}

/// Whose streams are whose: see [`Command::streams`].
pub fn streams(command: &mut Command, options: &ExecOptions) -> Result<Streams> {
    let mut fds = std::mem::take(&mut command.streams).into_iter();
    let wanted = options.interactive || options.stdin.is_some();
    if options.tty {
        let master = fds.next();
        let stdin = master.as_ref().filter(|_| wanted).map(OwnedFd::try_clone).transpose();
        return Ok(Streams { stdin: stdin.context("copy terminal", "")?, stdout: master, stderr: None });
    }
    let stdin = if wanted { fds.next() } else { None };
    Ok(Streams { stdin, stdout: fds.next(), stderr: fds.next() })
}

/// Waits for its end.
pub fn wait(command: &Command, cancel: &Cancel) -> Result<ExitStatus> {
    Ok(ends::ended(&command.name, command.wait(cancel, None)?))
}

/// Sends it a signal.
pub fn kill(command: &Command, signal: &str) -> Result<()> {
    command.signal(names::signal(signal)?)
}

/// Sets the size of its terminal.
pub fn resize(command: &Command, rows: u32, columns: u32) -> Result<()> {
    let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    command.resize(size(rows), size(columns))
}

/// Has what it still writes thrown away.
pub fn discard(command: &Command, output: bool, errors: bool) -> Result<()> {
    command.unread(u32::from(output) << 1 | u32::from(errors) << 2)
}

/// Until the command's end: what others hold its streams open for is not waited for.
fn collect(command: &Command, ends: &mut Ends, input: &[u8], cancel: &Cancel) -> Result<(Exit, Vec<u8>, Vec<u8>)> {
    let mut collector = capture::Collector::new(ends, input)?;
    while !ready(command, ends, cancel)? {
        collector.turn(ends)?;
    }
    let exit = command.wait(cancel, None)?;
    collector.turn(ends)?;
    Ok((exit, collector.stdout, collector.stderr))
}

/// Waits for the streams or the end; true when it is the end.
fn ready(command: &Command, ends: &Ends, cancel: &Cancel) -> Result<bool> {
    cancel.check("run command", "")?;
    let mut fds = vec![PollFd::new(command.socket().as_fd(), PollFlags::POLLIN)];
    fds.extend(ends.polls());
    fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => Ok(fds[0].any() == Some(true)),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(Error::errno_in(e as i32, "collect output", "")),
    }
}

//! `run`: create, start, and where it is waited for, collect what it writes.

use std::os::fd::{AsRawFd, OwnedFd};

use super::start::{Begun, Streams};
use super::{Context, capture, create, images, oom, remove, start};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch::Launched;
use crate::plan::life;
use crate::progress::Progress;
use crate::spec::{Restart, Spec};
use crate::store::containers::{self, Record};

/// Runs a container to its end and removes it.
pub fn run(context: &Context, options: &RunOptions, progress: &mut dyn Progress, cancel: &Cancel) -> Result<Output> {
    // Its output goes to the caller alone, and it must not outlive the call even if this process is killed.
    let adjust = |spec: &mut Spec| {
        spec.auto_remove = true;
        spec.tie = Tie::Host;
        spec.log = false;
        spec.interactive = false;
    };
    if life::restart(options)? != Restart::No {
        return Err(Error::new(Kind::InvalidArgument, "read option", "restart")
            .because("a run that is waited for is over with the container's end")
            .hint("spawn it, or leave the restart policy out"));
    }
    // Before there is anything to undo.
    let pipes = Pipes::new(options.stdin.is_some())?;
    let (record, begun) = create::create_held(context, options, adjust, progress, cancel)?;
    // A terminal has no pipes to hand on.
    let streams = if record.spec.tty { Streams::Relayed } else { Streams::Direct };
    let launched = launch_or_remove(context, &record, begun, &pipes.stdio(), streams, cancel)?;
    let (ours, theirs) = pipes.split();
    drop(theirs);
    let input = options.stdin.as_deref().unwrap_or_default();
    let (mut exit, stdout, stderr) = capture::collect(context, &record, launched, ours, input, cancel)?;
    if exit.oom_killed {
        exit.error = exit.error.map(|said| oom::with_lines(said, if stderr.is_empty() { &stdout } else { &stderr }));
    }
    Ok(Output { id: record.id.to_string(), exit, stdout, stderr })
}

/// Creates and starts a container.
pub fn spawn(
    context: &Context,
    options: &RunOptions,
    stdio: &Stdio,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<ContainerId> {
    if options.stdin.is_some() {
        return Err(Error::new(Kind::InvalidArgument, "read option", "stdin")
            .because("bytes for standard input can only be given to a run that is waited for")
            .hint("pass a descriptor in stdio"));
    }
    let (record, begun) = create::create_held(context, options, |_| {}, progress, cancel)?;
    let launched = launch_or_remove(context, &record, begun, stdio, Streams::Relayed, cancel)?;
    context.shims.keep(&record, launched, stdio);
    Ok(record.id)
}

/// A container that could not be started would only be in the way: it goes, with all that was made for it.
fn launch_or_remove(
    context: &Context,
    record: &Record,
    begun: Begun,
    stdio: &Stdio,
    streams: Streams,
    cancel: &Cancel,
) -> Result<Launched> {
    let note = |found| {
        containers::change(&context.paths, &record.id, |record| {
            record.unenforced = found;
            Ok(())
        })
    };
    start::launch(context, record, begun, stdio, streams, cancel, &note).map_err(|error| {
        let error = error.within("run container", record.image.as_str());
        match remove::discard(context, record) {
            Ok(()) => error,
            Err(left) => error.leaving(format!("container {}: {left}", record.id.short())),
        }
    })
}

/// What a run would do, as JSON.
pub fn plan(context: &Context, options: &RunOptions) -> Result<String> {
    let image = images::for_container(context, &options.image)?;
    let record = create::record(context, options, &image)?;
    let (cgroup, launch) = start::plan(context, &record)?;
    let document = serde_json::json!({ "record": record, "cgroup": cgroup, "launch": launch });
    serde_json::to_string_pretty(&document)
        .map_err(|e| Error::new(Kind::Unknown, "print plan", options.image.as_str()).caused_by(e))
}

/// The ends of the pipes that a run is captured by.
struct Pipes {
    stdin: Option<(OwnedFd, OwnedFd)>,
    stdout: (OwnedFd, OwnedFd),
    stderr: (OwnedFd, OwnedFd),
}

impl Pipes {
    fn new(stdin: bool) -> Result<Self> {
        let pipe =
            || nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).map_err(|e| Error::errno_in(e as i32, "make pipe", ""));
        Ok(Pipes { stdin: stdin.then(pipe).transpose()?, stdout: pipe()?, stderr: pipe()? })
    }

    fn stdio(&self) -> Stdio {
        Stdio {
            stdin: self.stdin.as_ref().map(|(read, _)| read.as_raw_fd()),
            stdout: Some(self.stdout.1.as_raw_fd()),
            stderr: Some(self.stderr.1.as_raw_fd()),
        }
    }

    fn split(self) -> (capture::Ends, Vec<OwnedFd>) {
        let (stdin_theirs, stdin) = self.stdin.map_or((None, None), |(read, write)| (Some(read), Some(write)));
        let ours = capture::Ends { stdin, stdout: Some(self.stdout.0), stderr: Some(self.stderr.0) };
        (ours, stdin_theirs.into_iter().chain([self.stdout.1, self.stderr.1]).collect())
    }
}

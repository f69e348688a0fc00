//! `run`, `create` and `start`: the container gets this process's own streams, and its exit code is ours.

use std::io::Write;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::Arc;

use sampan::{Cancel, Container, Engine, Kind, Progress, RemoveOptions, RunOptions, Status, Stdio, StopOptions, Tie};

use super::{attach, each};
use crate::cli::StartArgs;
use crate::fail::{Fail, Outcome, attended, ended};
use crate::flags::{CreateArgs, RunArgs, StdStream};
use crate::keys::Keys;
use crate::output;
use crate::progress;
use crate::readers;
use crate::relay::{self, Ending, Streams};
use crate::signals::Forwarder;
use crate::terminal::{self, Raw};

pub fn run(engine: &Engine, args: &RunArgs) -> Outcome {
    let mut options = args.create.options()?;
    if args.dry_run {
        output::line(engine.plan(&options).map_err(Fail::running)?)?;
        return Ok(0);
    }
    let cidfile = args.create.cidfile.as_deref().filter(|path| !path.is_empty()).map(CidFile::open).transpose()?;
    options.interactive = args.create.interactive();
    match args.detach {
        true => detached(engine, args, &options, cidfile),
        false => attached(engine, args, options, cidfile),
    }
}

fn detached(engine: &Engine, args: &RunArgs, options: &RunOptions, cidfile: Option<CidFile>) -> Outcome {
    let mut progress = progress::choose(args.create.quiet);
    let container = engine.spawn(options, &Stdio::default(), &mut *progress, &Cancel::new()).map_err(Fail::running)?;
    cidfile.map_or(Ok(()), |file| file.write(container.id()))?;
    output::line(container.id())?;
    Ok(0)
}

fn attached(engine: &Engine, args: &RunArgs, options: RunOptions, cidfile: Option<CidFile>) -> Outcome {
    let keys = Keys::parse(&args.detach_keys).map_err(Fail::usage)?;
    let stdio = streams(&args.attach, args.create.interactive(), options.tty)?;
    let forwarder = take_signals(args.sig_proxy)?;
    let mut progress = progress::choose(args.create.quiet);
    let write_id = |id: &str| cidfile.map_or(Ok(()), |file| file.write(id));
    if options.tty && stdio.stdin.is_some() {
        let (container, seat) = in_terminal(engine, &options, &stdio, &mut *progress, &forwarder.cancel)?;
        write_id(container.id())?;
        return seat.stay(&container, keys, &forwarder);
    }
    let container = engine.spawn(&options, &stdio, &mut *progress, &forwarder.cancel).map_err(Fail::running)?;
    write_id(container.id())?;
    accompany(&container, &stdio, &forwarder)
}

/// As `spawn`, with the terminal made raw after the pull, which Ctrl-C may end, and before the first output.
fn in_terminal(
    engine: &Engine,
    options: &RunOptions,
    stdio: &Stdio,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<(Container, Seat), Fail> {
    let container = engine.create(options, progress, cancel).map_err(Fail::running)?;
    match Seat::take(&container, stdio, cancel) {
        Ok(seat) => Ok((container, seat)),
        Err(fail) => {
            let _ = container.remove(&RemoveOptions { force: true, volumes: true });
            Err(fail)
        }
    }
}

/// Our terminal in front of a container that has one. What is typed passes through here, for the keys that detach, and so
/// does the output: who has detached gets no more of it.
struct Seat {
    raw: Raw,
    out: Option<OwnedFd>,
}

impl Seat {
    /// Starts the container.
    fn take(container: &Container, stdio: &Stdio, cancel: &Cancel) -> Result<Seat, Fail> {
        let raw = Raw::enter().map_err(|e| Fail::usage(format_args!("set the terminal: {e}")))?;
        let (out, theirs) = terminal::pair()?;
        // All output from the first byte on; the input is joined once it runs, so that it outlives us.
        let stdout = stdio.stdout.map(|_| theirs.as_raw_fd());
        container.start(&Stdio { stdout, ..Stdio::default() }, cancel).map_err(Fail::running)?;
        Ok(Seat { raw, out: stdout.map(|_| out) })
    }

    /// Stays with it to its end, or until the keys are typed.
    fn stay(self, container: &Container, keys: Keys, forwarder: &Forwarder) -> Outcome {
        forwarder.aim(Arc::new(container.clone()));
        let mut joined = match container.attach(true, &Cancel::new()) {
            Ok(joined) => Some(joined),
            // It has ended meanwhile, and its output lies in the pipe.
            Err(error) if matches!(error.kind(), Kind::Conflict | Kind::NotFound) => None,
            Err(error) => return Err(Fail::running(error)),
        };
        let to = joined.as_mut().and_then(|joined| {
            drop((joined.take_stdout(), joined.take_stderr()));
            joined.take_stdin()
        });
        let waited = container.clone();
        let wait = move || {
            let _joined = joined;
            waited.wait(None, &Cancel::new())
        };
        let ending = relay::until_end(Streams { to, out: self.out, err: None, keys: Some(keys) }, wait)?;
        drop(self.raw);
        match ending {
            Ending::Ended(exit) => Ok(ended(&exit.map_err(Fail::running)?)),
            Ending::Detached => Ok(0),
        }
    }
}

/// Stays with a running container to its end, or until it writes what nobody reads any more.
fn accompany(container: &Container, stdio: &Stdio, forwarder: &Forwarder) -> Outcome {
    forwarder.aim(Arc::new(container.clone()));
    match container.wait(None, &readers::watch_container(container, stdio)) {
        Ok(exit) => Ok(attended(&exit)),
        Err(error) if error.kind() == Kind::Cancelled => leave(container),
        Err(error) => Err(Fail::running(error)),
    }
}

/// Without a reader there is nothing left to be in the foreground for. The container goes on, as with Docker, unless it
/// was there for this command alone.
fn leave(container: &Container) -> Outcome {
    let options = match container.inspect() {
        Ok(info) => info.options,
        // It has removed itself meanwhile.
        Err(error) if error.kind() == Kind::NotFound => return Ok(readers::BROKEN_PIPE),
        Err(error) => return Err(error.into()),
    };
    // One that is tied ends with this process, by its shim.
    if options.auto_remove && options.tie != Tie::Host {
        container.stop(&StopOptions::default(), &Cancel::new())?;
    }
    Ok(readers::BROKEN_PIPE)
}

fn take_signals(proxy: bool) -> Result<Forwarder, Fail> {
    Forwarder::start(proxy)
}

/// Which of our descriptors the container gets. A terminal carries both outputs in one.
fn streams(attach: &[StdStream], interactive: bool, tty: bool) -> Result<Stdio, Fail> {
    let wants = |stream| attach.is_empty() || attach.contains(&stream);
    let stdin = (interactive && wants(StdStream::In)).then_some(0);
    if tty && stdin.is_some() && !terminal::is_input() {
        return Err(Fail::usage("standard input is not a terminal; leave -t out"));
    }
    let stdout = wants(StdStream::Out).then_some(1);
    let stderr = (!tty && wants(StdStream::Err)).then_some(2);
    Ok(Stdio { stdin, stdout, stderr })
}

pub fn create(engine: &Engine, args: &CreateArgs) -> Outcome {
    let options = RunOptions { interactive: args.create.interactive(), ..args.create.options()? };
    let cidfile = args.create.cidfile.as_deref().map(CidFile::open).transpose()?;
    let mut progress = progress::choose(args.create.quiet);
    let container = engine.create(&options, &mut *progress, &Cancel::new())?;
    cidfile.map_or(Ok(()), |file| file.write(container.id()))?;
    output::line(container.id())?;
    Ok(0)
}

pub fn start(engine: &Engine, args: &StartArgs) -> Outcome {
    let names = &args.names.containers;
    match (args.attach || args.interactive, names.as_slice()) {
        (false, _) => each(names, |name| start_detached(&engine.container(name)?).map(|()| Some(name.to_owned()))),
        (true, [name]) => start_attached(engine, name, args),
        (true, _) => Err(Fail::usage("only one container can be started attached")),
    }
}

/// To start what runs already is no failure, as with Docker.
fn start_detached(container: &Container) -> sampan::Result<()> {
    match container.start(&Stdio::default(), &Cancel::new()) {
        Err(error) if error.kind() == Kind::Conflict && is_up(container)? => Ok(()),
        started => started,
    }
}

fn is_up(container: &Container) -> sampan::Result<bool> {
    Ok(matches!(container.inspect()?.status, Status::Running | Status::Restarting))
}

fn start_attached(engine: &Engine, name: &str, args: &StartArgs) -> Outcome {
    let (keys, interactive) = (Keys::parse(&args.detach_keys).map_err(Fail::usage)?, args.interactive);
    let container = engine.container(name)?;
    let info = container.inspect()?;
    let tty = info.options.tty;
    if info.status == Status::Running {
        return attach::join(&container, interactive, tty, true, &keys);
    }
    let stdio = streams(&[], interactive, tty)?;
    let forwarder = take_signals(true)?;
    if tty && interactive {
        return Seat::take(&container, &stdio, &forwarder.cancel)?.stay(&container, keys, &forwarder);
    }
    container.start(&stdio, &forwarder.cancel).map_err(Fail::running)?;
    accompany(&container, &stdio, &forwarder)
}

/// The file of `--cidfile`: claimed before anything is made, gone again when nothing was.
struct CidFile {
    path: String,
    file: std::fs::File,
    written: bool,
}

impl CidFile {
    fn open(path: &str) -> Result<CidFile, Fail> {
        let file = std::fs::File::create_new(path)
            .map_err(|e| Fail::usage(format_args!("make the container id file {path}: {e}")))?;
        Ok(CidFile { path: path.to_owned(), file, written: false })
    }

    fn write(mut self, id: &str) -> Result<(), Fail> {
        self.file.write_all(id.as_bytes()).map_err(|e| Fail::usage(format_args!("write {}: {e}", self.path)))?;
        self.written = true;
        Ok(())
    }
}

impl Drop for CidFile {
    fn drop(&mut self) {
        if !self.written {
            let _ = std::fs::remove_file(&self.path);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_are_those_asked_for() {
        let of = |stdin, stdout, stderr| Stdio { stdin, stdout, stderr };
        assert_eq!(streams(&[], false, false).unwrap(), of(None, Some(1), Some(2)));
        assert_eq!(streams(&[], true, false).unwrap(), of(Some(0), Some(1), Some(2)));
        assert_eq!(streams(&[], false, true).unwrap(), of(None, Some(1), None));
        assert_eq!(streams(&[StdStream::Err], true, false).unwrap(), of(None, None, Some(2)));
    }

    #[test]
    fn an_id_file_is_new_and_does_not_outlive_a_failure() {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("id").to_str().unwrap().to_owned();
        drop(CidFile::open(&path).unwrap());
        CidFile::open(&path).unwrap().write("abc").unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap(), "abc");
        assert!(CidFile::open(&path).is_err());
    }
}

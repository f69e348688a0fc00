//! `exec`: a command in a running container, with our streams as its own.

use std::sync::Arc;

use sampan::{Cancel, Engine, ExecOptions, ExitStatus};

use crate::fail::{Fail, Outcome, ended};
use crate::flags::{ExecArgs, given};
use crate::keys::Keys;
use crate::relay::{self, Ending, Streams};
use crate::signals::Forwarder;
use crate::terminal::{self, Raw};

pub fn exec(engine: &Engine, args: &ExecArgs) -> Outcome {
    let options = options(args)?;
    let keys = Keys::parse(&args.detach_keys).map_err(Fail::usage)?;
    let container = engine.container(args.container())?;
    if options.detach {
        return container.exec_start(&options, &Cancel::new()).map(|_| 0).map_err(failed);
    }
    let forwarder = Forwarder::start(false)?;
    let raw = match options.tty && options.interactive {
        true => Some(Raw::enter().map_err(|e| Fail::usage(format_args!("set the terminal: {e}")))?),
        false => None,
    };
    let mut exec = container.exec_start(&options, &Cancel::new()).map_err(failed)?;
    let streams = Streams {
        to: exec.take_stdin(),
        out: exec.take_stdout(),
        err: exec.take_stderr(),
        keys: raw.is_some().then_some(keys),
    };
    let exec = Arc::new(exec);
    forwarder.aim(exec.clone());
    let ending = relay::until_end(streams, move || exec.wait(&Cancel::new()))?;
    drop(raw);
    code(ending)
}

fn code(ending: Ending<sampan::Result<ExitStatus>>) -> Outcome {
    match ending {
        Ending::Ended(exit) => Ok(ended(&exit.map_err(failed)?)),
        Ending::Detached => Ok(0),
    }
}

/// As `docker exec` ends: 127, 126 or 1.
fn failed(error: sampan::Error) -> Fail {
    match error.exit_code() {
        code @ (126 | 127) => Fail::new(code as u8, error),
        _ => error.into(),
    }
}

fn options(args: &ExecArgs) -> Result<ExecOptions, Fail> {
    let size = if args.tty { terminal::size() } else { None };
    let interactive = args.interactive && !args.detach;
    if args.tty && interactive && !terminal::is_input() {
        return Err(Fail::usage("standard input is not a terminal; leave -t out"));
    }
    Ok(ExecOptions {
        command: args.command().to_vec(),
        env: args.env()?,
        workdir: given(&args.workdir),
        user: given(&args.user),
        privileged: args.privileged,
        tty: args.tty,
        rows: size.map(|(rows, _)| rows),
        columns: size.map(|(_, columns)| columns),
        interactive,
        detach: args.detach,
        timeout: args.timeout,
        ..ExecOptions::default()
    })
}

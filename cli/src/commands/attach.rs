//! `attach`: our streams join those of a running container.

use std::sync::Arc;

use sampan::{Attachment, Cancel, Container, Engine};

use crate::cli::AttachArgs;
use crate::fail::{Fail, Outcome, ended};
use crate::keys::Keys;
use crate::relay::{self, Ending, Streams};
use crate::signals::{Foreground, Forwarder};
use crate::terminal::{self, Raw};

pub fn attach(engine: &Engine, args: &AttachArgs) -> Outcome {
    let keys = Keys::parse(&args.detach_keys).map_err(Fail::usage)?;
    let container = engine.container(&args.container)?;
    let options = container.inspect()?.options;
    join(&container, options.interactive && !args.no_stdin, options.tty, args.sig_proxy, &keys)
}

/// Stays with a running container to its end, or until the keys are typed.
pub fn join(container: &Container, interactive: bool, tty: bool, sig_proxy: bool, keys: &Keys) -> Outcome {
    if tty && interactive && !terminal::is_input() {
        return Err(Fail::usage("standard input is not a terminal, and the container has one"));
    }
    let forwarder = Forwarder::start(sig_proxy)?;
    let mut attached = container.attach(interactive, &forwarder.cancel)?;
    let raw = match tty && interactive {
        true => Some(Raw::enter().map_err(|e| Fail::usage(format_args!("set the terminal: {e}")))?),
        false => None,
    };
    let streams = Streams {
        to: attached.take_stdin(),
        out: attached.take_stdout(),
        err: attached.take_stderr(),
        keys: raw.is_some().then(|| keys.clone()),
    };
    let attached = Arc::new(attached);
    if let Some((rows, columns)) = raw.as_ref().and_then(|_| terminal::size()) {
        attached.resize(rows, columns)?;
    }
    forwarder.aim(Arc::new(Target { container: container.clone(), attached: attached.clone() }));
    let ending = relay::until_end(streams, move || attached.wait(&Cancel::new()))?;
    drop(raw);
    match ending {
        Ending::Ended(exit) => Ok(ended(&exit?)),
        Ending::Detached => Ok(0),
    }
}

/// Signals go to the container's process, sizes to its terminal.
struct Target {
    container: Container,
    attached: Arc<Attachment>,
}

impl Foreground for Target {
    fn signal(&self, signal: &str) {
        let _ = self.container.kill(signal);
    }

    fn resize(&self, rows: u32, columns: u32) {
        let _ = self.attached.resize(rows, columns);
    }
}

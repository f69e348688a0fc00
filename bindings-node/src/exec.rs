//! A command in a container, while it runs.

use std::io::IsTerminal;
use std::os::fd::OwnedFd;
use std::sync::Arc;

use napi::{Error, Result};
use napi_derive::napi;
use nix::fcntl::{FcntlArg, OFlag, fcntl};

use crate::call::{Callback, Cancel, spawn, value};
use crate::streams::Streams;

/// A running command.
#[napi]
#[derive(Clone)]
pub struct Exec {
    exec: Arc<sampan::Exec>,
    streams: Streams,
}

impl Exec {
    pub(crate) fn new(mut exec: sampan::Exec) -> Self {
        let streams = [exec.take_stdin(), exec.take_stdout(), exec.take_stderr()];
        // Node waits for a full terminal with a timer, for it has few threads. Should this fail, one of those waits.
        if let Some(master) = streams[0].as_ref().filter(|stdin| stdin.is_terminal()) {
            let _ = unblock(master);
        }
        Exec { exec: Arc::new(exec), streams: Streams::new(streams) }
    }
}

fn unblock(fd: &OwnedFd) -> nix::Result<i32> {
    let flags = OFlag::from_bits_retain(fcntl(fd, FcntlArg::F_GETFL)?);
    fcntl(fd, FcntlArg::F_SETFL(flags | OFlag::O_NONBLOCK))
}

#[napi]
impl Exec {
    #[napi]
    pub fn pid(&self) -> i32 {
        self.exec.pid()
    }

    /// Output and errors that nobody reads any more are thrown away. It doesn't wait.
    #[napi]
    pub fn discard(&self, stdout: bool, stderr: bool) -> Result<()> {
        let say = || -> sampan::Result<()> {
            if stdout {
                self.exec.discard_stdout()?;
            }
            if stderr {
                self.exec.discard_stderr()?;
            }
            Ok(())
        };
        say().map_err(|error| Error::from_reason(error.to_string()))
    }

    /// Descriptors of its input, output and errors, for the caller to close; -1 for none, as in a second call.
    #[napi]
    pub fn take(&self) -> Vec<i32> {
        self.streams.take()
    }

    #[napi]
    pub fn wait(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (exec, token) = (Arc::clone(&self.exec), cancel.token());
        spawn(callback, move |_| value(exec.wait(&token)?))
    }

    #[napi]
    pub fn kill(&self, signal: String, callback: Callback) -> Result<()> {
        let exec = Arc::clone(&self.exec);
        spawn(callback, move |_| value(exec.kill(&signal)?))
    }

    #[napi]
    pub fn resize(&self, rows: u32, columns: u32, callback: Callback) -> Result<()> {
        let exec = Arc::clone(&self.exec);
        spawn(callback, move |_| value(exec.resize(rows, columns)?))
    }
}

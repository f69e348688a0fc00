//! A command that runs in a container.

use std::os::fd::OwnedFd;

use super::{ExecOptions, ExitStatus};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::{launch, ops};

/// A command in a running container, started by this process.
///
/// Dropping it does nothing to the command, which goes on with its output going nowhere: streams are to be read to their
/// end first.
#[derive(Debug)]
pub struct Exec {
    command: launch::Command,
    stdin: Option<OwnedFd>,
    stdout: Option<OwnedFd>,
    stderr: Option<OwnedFd>,
}

impl Exec {
    pub(super) fn new(mut command: launch::Command, options: &ExecOptions) -> Result<Self> {
        let ops::exec::Streams { stdin, stdout, stderr } = ops::exec::streams(&mut command, options)?;
        Ok(Exec { command, stdin, stdout, stderr })
    }

    /// Its process id in the host's namespace.
    pub fn pid(&self) -> i32 {
        self.command.pid
    }

    /// Where its input is written to; dropping it ends the input. With a terminal, its master.
    pub fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.stdin.take()
    }

    /// Where its output is read from. With a terminal, its master: at the end it says EIO.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.stdout.take()
    }

    /// Where its errors are read from.
    pub fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.stderr.take()
    }

    /// Waits until it has ended; of kind `timeout` when it ran out of its time and was killed.
    pub fn wait(&self, cancel: &Cancel) -> Result<ExitStatus> {
        ops::exec::wait(&self.command, cancel)
    }

    /// Sends it a signal: `SIGHUP`, `HUP` or `1`. One that has ended gets none.
    pub fn kill(&self, signal: &str) -> Result<()> {
        ops::exec::kill(&self.command, signal)
    }

    /// Its output is thrown away from now on. Who has closed his end says so, or the command stops at a full pipe.
    pub fn discard_stdout(&self) -> Result<()> {
        ops::exec::discard(&self.command, true, false)
    }

    /// The same for its errors.
    pub fn discard_stderr(&self) -> Result<()> {
        ops::exec::discard(&self.command, false, true)
    }

    /// Sets the size of its terminal.
    pub fn resize(&self, rows: u32, columns: u32) -> Result<()> {
        ops::exec::resize(&self.command, rows, columns)
    }
}

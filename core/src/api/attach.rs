//! A running container's streams, joined.

use std::os::fd::OwnedFd;

use super::ExitStatus;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::{launch, ops};

/// The streams of a running container from some moment on. Any number of processes may have joined at one time.
///
/// The container waits for one that reads slowly; one that reads nothing for a second is let go, and hears of it in
/// [`Attachment::wait`]. Dropping it does nothing to the container.
#[derive(Debug)]
pub struct Attachment(launch::Attachment);

impl Attachment {
    pub(super) fn new(attachment: launch::Attachment) -> Self {
        Attachment(attachment)
    }

    /// Where the container's input is written to; none when it has none. Its end is no end of the input.
    pub fn take_stdin(&mut self) -> Option<OwnedFd> {
        self.0.streams[0].take()
    }

    /// Where its output is read from.
    pub fn take_stdout(&mut self) -> Option<OwnedFd> {
        self.0.streams[1].take()
    }

    /// Where its errors are read from; with a terminal, they come with the output.
    pub fn take_stderr(&mut self) -> Option<OwnedFd> {
        self.0.streams[2].take()
    }

    /// Waits until the container has ended and all its output lies in the streams.
    pub fn wait(&self, cancel: &Cancel) -> Result<ExitStatus> {
        ops::attach::wait(&self.0, cancel)
    }

    /// Sets the size of the container's terminal.
    pub fn resize(&self, rows: u32, columns: u32) -> Result<()> {
        ops::attach::resize(&self.0, rows, columns)
    }
}

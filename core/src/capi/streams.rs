//! The three streams of a command or a container, until they are taken.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// An input, an output and errors, each handed out once; those that nobody took are closed with it.
pub struct Streams([Mutex<Option<OwnedFd>>; 3]);

impl Streams {
    /// These.
    pub fn new(streams: [Option<OwnedFd>; 3]) -> Self {
        Streams(streams.map(Mutex::new))
    }

    /// A descriptor for the caller to close; -1 when there is none, or none any more.
    pub fn take(&self, number: usize) -> i32 {
        let mut stream = self.0[number].lock().unwrap_or_else(PoisonError::into_inner);
        stream.take().map_or(-1, IntoRawFd::into_raw_fd)
    }
}

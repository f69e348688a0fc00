//! The three streams of a command or a container, until they are taken.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Mutex, PoisonError};

/// Descriptors of an input, an output and errors; those that nobody took are closed with it.
pub struct Streams(Mutex<[Option<OwnedFd>; 3]>);

impl Streams {
    pub fn new(streams: [Option<OwnedFd>; 3]) -> Self {
        Streams(Mutex::new(streams))
    }

    /// All of them, for the caller to close; a second call gives none.
    pub fn take(&self) -> [Option<i32>; 3] {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *streams).map(|fd| fd.map(IntoRawFd::into_raw_fd))
    }
}

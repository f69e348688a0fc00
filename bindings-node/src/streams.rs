//! The three streams of a command or a container, until they are taken.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

/// Descriptors of an input, an output and errors; those that nobody took are closed with the last copy.
#[derive(Clone)]
pub struct Streams(Arc<Mutex<[Option<OwnedFd>; 3]>>);

impl Streams {
    pub fn new(streams: [Option<OwnedFd>; 3]) -> Self {
        Streams(Arc::new(Mutex::new(streams)))
    }

    /// All of them, for the caller to close; -1 for none, as in a second call.
    pub fn take(&self) -> Vec<i32> {
        let mut streams = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *streams).map(|fd| fd.map_or(-1, IntoRawFd::into_raw_fd)).to_vec()
    }
}

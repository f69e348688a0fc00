//! A container's streams, joined.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::{Arc, Mutex, PoisonError};

use napi::Result;
use napi_derive::napi;

use crate::call::{Callback, Cancel, spawn, value};

/// The streams of a running container.
#[napi]
#[derive(Clone)]
pub struct Attachment {
    attachment: Arc<sampan::Attachment>,
    streams: Arc<Mutex<[Option<OwnedFd>; 3]>>,
}

impl Attachment {
    pub(crate) fn new(mut attachment: sampan::Attachment) -> Self {
        let streams = [attachment.take_stdin(), attachment.take_stdout(), attachment.take_stderr()];
        Attachment { attachment: Arc::new(attachment), streams: Arc::new(Mutex::new(streams)) }
    }
}

#[napi]
impl Attachment {
    /// Descriptors of its input, output and errors, for the caller to close; -1 for none, as in a second call.
    #[napi]
    pub fn take(&self) -> Vec<i32> {
        let mut streams = self.streams.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut *streams).map(|fd| fd.map_or(-1, IntoRawFd::into_raw_fd)).to_vec()
    }

    #[napi]
    pub fn wait(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (attachment, token) = (Arc::clone(&self.attachment), cancel.token());
        spawn(callback, move |_| value(attachment.wait(&token)?))
    }

    #[napi]
    pub fn resize(&self, rows: u32, columns: u32, callback: Callback) -> Result<()> {
        let attachment = Arc::clone(&self.attachment);
        spawn(callback, move |_| value(attachment.resize(rows, columns)?))
    }
}

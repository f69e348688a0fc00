//! A container's streams, joined.

use std::sync::Arc;

use napi::Result;
use napi_derive::napi;

use crate::call::{Callback, Cancel, spawn, value};
use crate::streams::Streams;

/// The streams of a running container.
#[napi]
#[derive(Clone)]
pub struct Attachment {
    attachment: Arc<sampan::Attachment>,
    streams: Streams,
}

impl Attachment {
    pub(crate) fn new(mut attachment: sampan::Attachment) -> Self {
        let streams = Streams::new([attachment.take_stdin(), attachment.take_stdout(), attachment.take_stderr()]);
        Attachment { attachment: Arc::new(attachment), streams }
    }
}

#[napi]
impl Attachment {
    /// Descriptors of its input, output and errors, for the caller to close; -1 for none, as in a second call.
    #[napi]
    pub fn take(&self) -> Vec<i32> {
        self.streams.take()
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

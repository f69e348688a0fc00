//! A log, some entries at a time.

use std::sync::{Arc, Mutex};

use napi::Result;
use napi::bindgen_prelude::Buffer;
use napi_derive::napi;
use sampan::{Error, Kind};
use serde_json::json;

use crate::call::{Callback, Cancel, Reply, spawn, value};

/// An open log. One reader at a time.
#[napi]
#[derive(Clone)]
pub struct LogStream {
    /// `None` once it is closed.
    stream: Arc<Mutex<Option<sampan::LogStream>>>,
    container: String,
}

/// Entries taken at once: what is at hand costs no call, and no thread, of its own.
const BATCH: usize = 256;

impl LogStream {
    pub(crate) fn new(stream: sampan::LogStream, container: &str) -> Self {
        LogStream { stream: Arc::new(Mutex::new(Some(stream))), container: container.to_owned() }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Vec<sampan::LogEntry>> {
        let mut stream = self.stream.try_lock().map_err(|_| {
            Error::new(Kind::Conflict, "read log", &self.container).because("another call is reading it")
        })?;
        stream.as_mut().map_or_else(|| Ok(Vec::new()), |stream| stream.next_batch(BATCH, cancel))
    }
}

#[napi]
impl LogStream {
    /// The next entries: times and streams as the value, bytes beside it; none at the end.
    #[napi]
    pub fn next(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (log, token) = (self.clone(), cancel.token());
        spawn(callback, move |_| {
            let entries = log.read(&token)?;
            let heads: Vec<_> = entries.iter().map(|e| json!({ "time": e.time, "stream": e.stream.word() })).collect();
            let bytes = entries.into_iter().map(|e| Buffer::from(e.data)).collect();
            Ok(Reply { bytes: Some(bytes), ..value(heads)? })
        })
    }

    /// Lets go of its descriptors, which would stay until the handle is collected.
    #[napi]
    pub fn close(&self) {
        if let Ok(mut stream) = self.stream.try_lock() {
            *stream = None;
        }
    }
}

//! What a container uses, reading by reading.

use std::sync::{Arc, Mutex};

use napi::Result;
use napi_derive::napi;
use sampan::{Error, Kind};

use crate::call::{Callback, Cancel, spawn, value};

/// Readings at intervals. One reader at a time.
#[napi]
#[derive(Clone)]
pub struct StatsStream {
    stream: Arc<Mutex<sampan::StatsStream>>,
    container: String,
}

impl StatsStream {
    pub(crate) fn new(stream: sampan::StatsStream, container: &str) -> Self {
        StatsStream { stream: Arc::new(Mutex::new(stream)), container: container.to_owned() }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Option<sampan::ContainerStats>> {
        let mut stream = self.stream.try_lock().map_err(|_| {
            Error::new(Kind::Conflict, "read statistics", &self.container).because("another call is reading them")
        })?;
        stream.next(cancel)
    }
}

#[napi]
impl StatsStream {
    /// The next reading; null when the container has ended.
    #[napi]
    pub fn next(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (stream, token) = (self.clone(), cancel.token());
        spawn(callback, move |_| value(stream.read(&token)?))
    }
}

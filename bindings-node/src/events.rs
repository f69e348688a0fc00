//! What happens in a store, event by event.

use std::sync::{Arc, Mutex};

use napi::Result;
use napi_derive::napi;
use sampan::{Error, Kind};

use crate::call::{Callback, Cancel, spawn, value};

/// Open events. One reader at a time.
#[napi]
#[derive(Clone)]
pub struct EventStream {
    /// `None` once it is closed.
    stream: Arc<Mutex<Option<sampan::EventStream>>>,
}

impl EventStream {
    pub(crate) fn new(stream: sampan::EventStream) -> Self {
        EventStream { stream: Arc::new(Mutex::new(Some(stream))) }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Option<sampan::EngineEvent>> {
        let mut stream = self
            .stream
            .try_lock()
            .map_err(|_| Error::new(Kind::Conflict, "read events", "").because("another call is reading them"))?;
        stream.as_mut().map_or(Ok(None), |stream| stream.next(cancel))
    }
}

#[napi]
impl EventStream {
    /// The next event; null at the end.
    #[napi]
    pub fn next(&self, cancel: &Cancel, callback: Callback) -> Result<()> {
        let (stream, token) = (self.clone(), cancel.token());
        spawn(callback, move |_| value(stream.read(&token)?))
    }

    /// Lets go of its descriptors, which would stay until the handle is collected.
    #[napi]
    pub fn close(&self) {
        if let Ok(mut stream) = self.stream.try_lock() {
            *stream = None;
        }
    }
}

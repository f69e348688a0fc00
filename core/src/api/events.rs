//! What happens in a store, read event by event.

use super::EngineEvent;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::ops;

/// Reads the events of a store. Pulled, never pushed: no thread stands behind it.
#[derive(Debug)]
pub struct EventStream(ops::events::Reader);

impl EventStream {
    pub(super) fn new(reader: ops::events::Reader) -> Self {
        EventStream(reader)
    }

    /// The next event, waited for until there is one, the time of `until` has come or `cancel`; `None` at the end.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<EngineEvent>> {
        self.0.next(cancel)
    }
}

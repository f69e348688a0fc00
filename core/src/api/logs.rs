//! A log, read entry by entry.

use super::LogEntry;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::ops;

/// Reads a container's log. Pulled, never pushed: no thread stands behind it.
#[derive(Debug)]
pub struct LogStream(ops::logs::Reader);

impl LogStream {
    pub(super) fn new(reader: ops::logs::Reader) -> Self {
        LogStream(reader)
    }

    /// The next entry; `None` at the end. With `follow` it waits, until the container ends or `cancel`.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<LogEntry>> {
        self.0.next(cancel)
    }

    /// The next entry and those that are at hand with it, at most `most`; none at the end. It waits as `next` does, and
    /// for the first one only.
    pub fn next_batch(&mut self, most: usize, cancel: &Cancel) -> Result<Vec<LogEntry>> {
        self.0.next_batch(most, cancel)
    }
}

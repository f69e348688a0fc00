//! What a container uses, again and again.

use super::ContainerStats;
use crate::cancel::Cancel;
use crate::error::Result;
use crate::ops;

/// Reads what a container uses at intervals. Pulled, never pushed: no thread stands behind it.
#[derive(Debug)]
pub struct StatsStream(ops::stats::Reader);

impl StatsStream {
    pub(super) fn new(reader: ops::stats::Reader) -> Self {
        StatsStream(reader)
    }

    /// The next reading: the first at once, each later one an interval after the one before. `None` when the container
    /// has ended.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<ContainerStats>> {
        self.0.next(cancel)
    }
}

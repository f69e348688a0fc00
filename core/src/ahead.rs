//! The first part of a start, done before it is known what is to be started: for a program that begins a container and
//! ends, and that has its command line to read first.

use crate::launch::Early;

/// What was begun. What of it no start has made use of is gone when this is dropped.
#[derive(Debug)]
#[must_use = "what was begun ends with this"]
pub struct Ahead(());

/// Begins what the next container that this process starts can do with; `new_net` where that is expected to have a
/// network of its own. A wrong guess costs time and changes nothing. What fails is told by the start.
pub fn begin(new_net: bool) -> Ahead {
    Early::begin_to_wait(new_net);
    Ahead(())
}

impl Drop for Ahead {
    fn drop(&mut self) {
        drop(Early::take_waiting());
    }
}

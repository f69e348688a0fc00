//! Items of a stream that were read, but not given to anybody.

use std::collections::VecDeque;
use std::sync::{Mutex, MutexGuard, PoisonError};

/// In the order in which they are to be read again.
pub struct Kept<T>(Mutex<VecDeque<T>>);

impl<T> Default for Kept<T> {
    fn default() -> Self {
        Kept(Mutex::default())
    }
}

impl<T> Kept<T> {
    fn items(&self) -> MutexGuard<'_, VecDeque<T>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// At most `most` of them; none when there are none.
    pub fn first(&self, most: usize) -> Vec<T> {
        let mut items = self.items();
        let count = most.min(items.len());
        items.drain(..count).collect()
    }

    /// Keeps what a call has read. It can't fail, but is what a call undoes itself with, and that may.
    pub fn put_back(&self, read: impl IntoIterator<Item = T>) -> sampan::Result<()> {
        self.items().extend(read);
        Ok(())
    }
}

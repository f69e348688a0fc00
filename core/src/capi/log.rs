//! A log, pulled entry by entry.

use super::boundary::{entry_to, exclusive, kept, kept_if, unbox};
use super::cancel::{sampan_cancel, token};
use super::error::sampan_error;
use super::generated::{sampan_log_entry, sampan_log_entry_list};
use super::handle::Handle;
use crate::api::LogStream;

/// A container's log, read entry by entry by one thread at a time. Free it with `sampan_log_free`.
pub struct sampan_log(pub(super) Handle<LogStream>);

/// The next entry; `*out` is NULL at the end. A log that follows waits, until the container ends or `cancel`.
///
/// `cancel` may be NULL. Free the entry with `sampan_log_entry_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_log_next(
    log: *mut sampan_log,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_log_entry,
    err: *mut *mut sampan_error,
) -> i32 {
    let next = || {
        // SAFETY: as the header says: this thread has the log alone.
        let (log, cancel) = unsafe { (exclusive(log, "log")?, token(cancel)) };
        Ok(kept_if(log.0.get_mut("log")?.next(&cancel)?.as_ref()))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, next) }
}

/// The next entry and those that are at hand with it, at most `most`; an empty list at the end. It waits as
/// `sampan_log_next` does, and for the first entry only.
///
/// `cancel` may be NULL. Free the list with `sampan_log_entry_list_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_log_next_batch(
    log: *mut sampan_log,
    most: usize,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_log_entry_list,
    err: *mut *mut sampan_error,
) -> i32 {
    let next = || {
        // SAFETY: as the header says: this thread has the log alone.
        let (log, cancel) = unsafe { (exclusive(log, "log")?, token(cancel)) };
        Ok(kept(&log.0.get_mut("log")?.next_batch(most, &cancel)?))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, next) }
}

/// Frees a log; NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_log_free(log: *mut sampan_log) {
    // SAFETY: as the header says.
    unsafe { unbox(log) }
}

//! A log, pulled entry by entry.

use std::ptr;

use super::boundary::{entry_to, kept, not_null, unbox};
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
        not_null(log, "log")?;
        // SAFETY: not NULL, and this thread has it alone, as the header says.
        let log = unsafe { &mut *log };
        // SAFETY: as the header says.
        let entry = log.0.get_mut("log")?.next(&unsafe { token(cancel) })?;
        Ok(entry.map_or(ptr::null_mut(), |entry| kept(&entry)))
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
        not_null(log, "log")?;
        // SAFETY: not NULL, and this thread has it alone, as the header says.
        let log = unsafe { &mut *log };
        // SAFETY: as the header says.
        Ok(kept(&log.0.get_mut("log")?.next_batch(most, &unsafe { token(cancel) })?))
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

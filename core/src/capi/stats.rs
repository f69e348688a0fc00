//! What a container uses, pulled reading by reading.

use super::boundary::{entry_to, exclusive, kept_if, unbox};
use super::cancel::{sampan_cancel, token};
use super::error::sampan_error;
use super::generated::sampan_container_stats;
use super::handle::Handle;
use crate::api::StatsStream;

/// Readings of what a container uses, by one thread at a time. Free it with `sampan_stats_stream_free`.
pub struct sampan_stats_stream(pub(super) Handle<StatsStream>);

/// The next reading: the first at once, each later one an interval after the one before; `*out` is NULL when the
/// container has ended.
///
/// `cancel` may be NULL. Free the reading with `sampan_container_stats_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_stats_stream_next(
    stream: *mut sampan_stats_stream,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_container_stats,
    err: *mut *mut sampan_error,
) -> i32 {
    let next = || {
        // SAFETY: as the header says: this thread has the stream alone.
        let (stream, cancel) = unsafe { (exclusive(stream, "stream")?, token(cancel)) };
        Ok(kept_if(stream.0.get_mut("stream")?.next(&cancel)?.as_ref()))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, next) }
}

/// Frees a stream; NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_stats_stream_free(stream: *mut sampan_stats_stream) {
    // SAFETY: as the header says.
    unsafe { unbox(stream) }
}

//! What happens in a store, pulled event by event.

use super::boundary::{entry_to, exclusive, kept_if, unbox};
use super::cancel::{sampan_cancel, token};
use super::error::sampan_error;
use super::generated::sampan_engine_event;
use super::handle::Handle;
use crate::api::EventStream;

/// The events of a store, by one thread at a time. Free it with `sampan_event_stream_free`.
pub struct sampan_event_stream(pub(super) Handle<EventStream>);

/// The next event, waited for until there is one, the time of `until` has come or `cancel`; `*out` is NULL at the end.
///
/// `cancel` may be NULL. Free the event with `sampan_engine_event_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_event_stream_next(
    stream: *mut sampan_event_stream,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_engine_event,
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
pub unsafe extern "C" fn sampan_event_stream_free(stream: *mut sampan_event_stream) {
    // SAFETY: as the header says.
    unsafe { unbox(stream) }
}

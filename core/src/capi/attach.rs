//! A container's streams, joined.

use super::boundary::{entry, entry_to, kept, quietly, reference, unbox};
use super::cancel::{sampan_cancel, token};
use super::error::sampan_error;
use super::generated::sampan_exit_status;
use super::handle::Handle;
use super::streams::Streams;
use crate::api::Attachment;
use crate::error::Result;

/// The streams of a running container, joined. Free it with `sampan_attachment_free`, which does nothing to the container.
pub struct sampan_attachment {
    attachment: Handle<Attachment>,
    /// Apart from it, or who takes one would be in the way of a thread that waits.
    streams: Streams,
}

impl sampan_attachment {
    /// A handle.
    pub fn new(mut attachment: Attachment) -> Self {
        let streams = Streams::new([attachment.take_stdin(), attachment.take_stdout(), attachment.take_stderr()]);
        sampan_attachment { attachment: Handle::new(attachment), streams }
    }
}

/// The attachment behind a handle.
///
/// # Safety
/// `attachment` is NULL or a handle that was not freed.
unsafe fn attachment<'a>(attachment: *const sampan_attachment) -> Result<&'a Attachment> {
    // SAFETY: vouched for by the caller.
    unsafe { reference(attachment, "attachment") }?.attachment.get("attachment")
}

/// Hands a stream out, once.
///
/// # Safety
/// `attachment` is NULL or a handle that was not freed.
unsafe fn take(attachment: *const sampan_attachment, number: usize) -> i32 {
    // SAFETY: vouched for by the caller.
    unsafe { attachment.as_ref() }.map_or(-1, |attachment| attachment.streams.take(number))
}

/// A descriptor that the container's input is written to, once, only when it was joined with it and the container has
/// one; else -1. Closing it is no end of the input, and is the caller's to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_take_stdin(attachment: *const sampan_attachment) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(attachment, 0) })
}

/// A descriptor that the container's output is read from, once. Closing it is the caller's to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_take_stdout(attachment: *const sampan_attachment) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(attachment, 1) })
}

/// A descriptor that the container's errors are read from, once; -1 when it has a terminal, where they come with the
/// output. Closing it is the caller's to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_take_stderr(attachment: *const sampan_attachment) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(attachment, 2) })
}

/// Waits until the container has ended and all its output lies in the streams; SAMPAN_ERROR_CONFLICT when it was not read
/// for too long. `cancel` may be NULL, and ends the waiting only.
///
/// Free the answer with `sampan_exit_status_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_wait(
    attachment: *const sampan_attachment,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_exit_status,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::attachment(attachment)?.wait(&token(cancel))?))) }
}

/// Sets the size of the container's terminal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_resize(
    attachment: *const sampan_attachment,
    rows: u32,
    columns: u32,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::attachment(attachment)?.resize(rows, columns)) }
}

/// Frees a handle with those streams that were not taken; NULL is allowed. The container goes on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_attachment_free(attachment: *mut sampan_attachment) {
    // SAFETY: as the header says.
    unsafe { unbox(attachment) }
}

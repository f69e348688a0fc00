//! Progress by a callback, on the thread that made the call and no other.

use std::ffi::c_void;

use super::arena::Arena;
use super::cancel::{sampan_cancel, token};
use super::convert::Record;
use super::generated::sampan_event;
use super::growable::{self, Growable};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::progress::{Event, Progress};

/// Who is told of progress. Begin with `SAMPAN_PROGRESS_INIT`.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct sampan_progress {
    /// `sizeof(sampan_progress)`.
    pub size: usize,
    /// Takes one event, which lives until it returns. A value other than 0 cancels the call, and with it whatever
    /// else was given the same `sampan_cancel`. Called on the calling thread only; must not unwind or long jump.
    pub event: Option<unsafe extern "C" fn(event: *const sampan_event, userdata: *mut c_void) -> i32>,
    /// Given to both functions.
    pub userdata: *mut c_void,
    /// Called once, before the call returns, however it ends; may be NULL.
    pub finalize: Option<unsafe extern "C" fn(userdata: *mut c_void)>,
}

// SAFETY: begins with its size; a member that is all zeros is "no function" or NULL. The functions are the
// caller's word, as every pointer is.
unsafe impl Growable for sampan_progress {}

/// What a long call was given: whom to tell, and how it is stopped.
pub struct Call {
    progress: Option<sampan_progress>,
    /// Stops the call.
    pub cancel: Cancel,
}

impl Call {
    /// Reads both.
    ///
    /// # Safety
    /// Both are NULL or what the header says.
    pub unsafe fn new(progress: *const sampan_progress, cancel: *const sampan_cancel) -> Result<Self> {
        // SAFETY: vouched for by the caller.
        let progress = (!progress.is_null()).then(|| unsafe { growable::read(progress, "progress") }).transpose()?;
        // SAFETY: as above.
        Ok(Call { progress, cancel: unsafe { token(cancel) } })
    }
}

impl Progress for Call {
    fn event(&mut self, event: &Event) {
        let Some((progress, call)) = self.progress.and_then(|p| Some((p, p.event?))) else { return };
        let mut arena = Arena::default();
        let event = event.to_struct(&mut arena);
        // SAFETY: the caller's function with the caller's data, as it asked.
        if unsafe { call(&event, progress.userdata) } != 0 {
            self.cancel.cancel();
        }
    }
}

impl Drop for Call {
    fn drop(&mut self) {
        if let Some((progress, finalize)) = self.progress.and_then(|p| Some((p, p.finalize?))) {
            // SAFETY: as above; a value is dropped once.
            unsafe { finalize(progress.userdata) }
        }
    }
}

//! Cancelling, from any thread.

use super::boundary::{boxed, entry, entry_to, quietly, reference, unbox};
use super::error::sampan_error;
use crate::cancel::Cancel;
use crate::error::Result;

/// Cancels the calls that it was given to, from any thread. Free it with `sampan_cancel_free`.
pub struct sampan_cancel(Cancel);

/// The token of a call; a fresh one for NULL.
///
/// # Safety
/// `cancel` is NULL or a token that was not freed.
pub unsafe fn token(cancel: *const sampan_cancel) -> Cancel {
    // SAFETY: vouched for by the caller.
    unsafe { cancel.as_ref() }.map_or_else(Cancel::new, |c| c.0.clone())
}

/// Makes a token that is not cancelled.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_cancel_new(out: *mut *mut sampan_cancel, err: *mut *mut sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(boxed(sampan_cancel(Cancel::new())))) }
}

/// Cancels: every call that was given the token fails with `SAMPAN_ERROR_CANCELLED` soon, and later ones at once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_cancel_cancel(cancel: *const sampan_cancel, err: *mut *mut sampan_error) -> i32 {
    // SAFETY: as the header says.
    let cancel = || -> Result<()> {
        // SAFETY: as the header says.
        unsafe { reference(cancel, "cancel") }?.0.cancel();
        Ok(())
    };
    // SAFETY: as the header says.
    unsafe { entry(err, cancel) }
}

/// True once cancelled; false for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_cancel_is_cancelled(cancel: *const sampan_cancel) -> bool {
    // SAFETY: as the header says.
    quietly(false, || unsafe { cancel.as_ref() }.is_some_and(|c| c.0.is_cancelled()))
}

/// Frees a token; NULL is allowed. Calls that were given it keep what they need of it.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_cancel_free(cancel: *mut sampan_cancel) {
    // SAFETY: as the header says.
    unsafe { unbox(cancel) }
}

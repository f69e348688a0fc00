//! The error object: what happened, in members, with no state in the thread.

use std::ffi::{CString, c_char};
use std::ptr;

use super::arena::c_text;
use super::boundary::unbox;
use crate::error::Error;

/// What went wrong. Free it with `sampan_error_free`.
pub struct sampan_error {
    code: i32,
    errno: i32,
    exit_code: i32,
    retryable: bool,
    kind: CString,
    operation: CString,
    subject: CString,
    message: CString,
    hint: Option<CString>,
    /// Ends with NULL; points into the texts beside it.
    leftovers: Vec<*const c_char>,
    _leftover_texts: Vec<CString>,
}

impl sampan_error {
    /// The object for an error.
    pub fn new(error: &Error) -> Self {
        let texts: Vec<CString> = error.leftovers().iter().map(|l| c_text(l)).collect();
        sampan_error {
            code: error.kind().code(),
            errno: error.errno().unwrap_or(0),
            exit_code: error.exit_code(),
            retryable: error.retryable(),
            kind: c_text(error.kind().word()),
            operation: c_text(error.operation()),
            subject: c_text(error.subject()),
            message: c_text(&error.to_string()),
            hint: error.hint_text().map(c_text),
            leftovers: texts.iter().map(|t| t.as_ptr()).chain([ptr::null()]).collect(),
            _leftover_texts: texts,
        }
    }
}

/// Reads a member; NULL for no error.
///
/// # Safety
/// `error` is NULL or an error that was not freed.
unsafe fn member<T>(error: *const sampan_error, none: T, read: impl FnOnce(&sampan_error) -> T) -> T {
    // SAFETY: vouched for by the caller.
    unsafe { error.as_ref() }.map_or(none, read)
}

/// The code: one of `SAMPAN_ERROR_…`, or `SAMPAN_OK` for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_code(error: *const sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { member(error, 0, |e| e.code) }
}

/// The stable word of the code: "not_found". It lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_kind(error: *const sampan_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.kind.as_ptr()) }
}

/// The errno behind it, or 0.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_errno(error: *const sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { member(error, 0, |e| e.errno) }
}

/// What failed: "pull layer". It lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_operation(error: *const sampan_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.operation.as_ptr()) }
}

/// The image, path or id that it failed on; may be "". It lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_subject(error: *const sampan_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.subject.as_ptr()) }
}

/// The whole sentence, hint included. It lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_message(error: *const sampan_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.message.as_ptr()) }
}

/// What can be done about it, or NULL. It lives as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_hint(error: *const sampan_error) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.hint.as_ref().map_or(ptr::null(), |h| h.as_ptr())) }
}

/// What could not be cleaned up: texts, then NULL. They live as long as the error.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_leftovers(error: *const sampan_error) -> *const *const c_char {
    // SAFETY: as the header says.
    unsafe { member(error, ptr::null(), |e| e.leftovers.as_ptr()) }
}

/// True when the same call may succeed later without a change.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_retryable(error: *const sampan_error) -> bool {
    // SAFETY: as the header says.
    unsafe { member(error, false, |e| e.retryable) }
}

/// What `docker run` would exit with: 125, 126 or 127.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_exit_code(error: *const sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { member(error, 0, |e| e.exit_code) }
}

/// Frees an error; NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_error_free(error: *mut sampan_error) {
    // SAFETY: as the header says.
    unsafe { unbox(error) }
}

//! The boundary: what crosses it is checked here, once, and no panic does.

use std::any::Any;
use std::ffi::c_char;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;

use super::arena::{self, Arena};
use super::cancel::sampan_cancel;
use super::convert::{Read, Record};
use super::error::sampan_error;
use super::progress::{Call, sampan_progress};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};

/// Success.
pub const SAMPAN_OK: i32 = 0;

/// The body of every function that can fail: an error becomes an object and a code, and so does a panic.
///
/// # Safety
/// `err` is NULL or can be written to.
pub unsafe fn entry(err: *mut *mut sampan_error, body: impl FnOnce() -> Result<()>) -> i32 {
    let error = match catch_unwind(AssertUnwindSafe(body)) {
        Ok(Ok(())) => return SAMPAN_OK,
        Ok(Err(error)) => error,
        Err(payload) => panicked(payload),
    };
    let code = error.kind().code();
    if !err.is_null() {
        // SAFETY: vouched for by the caller.
        unsafe { err.write(Box::into_raw(Box::new(sampan_error::new(&error)))) };
    }
    code
}

fn panicked(payload: Box<dyn Any + Send>) -> Error {
    let text = payload.downcast_ref::<&str>().map(|s| s.to_string()).or(payload.downcast_ref::<String>().cloned());
    // A payload whose own drop panics must not get out.
    std::mem::forget(payload);
    Error::new(Kind::Panic, "call the library", "").because(text.unwrap_or_else(|| "it panicked".to_owned()))
}

/// Guards a function that can't fail, such as a `_free`: a panic in it is dropped.
pub fn quietly<T>(default: T, body: impl FnOnce() -> T) -> T {
    catch_unwind(AssertUnwindSafe(body)).unwrap_or_else(|payload| {
        std::mem::forget(payload);
        default
    })
}

/// Writes a result, on success only. The place is checked before anything is done for it.
///
/// # Safety
/// `out` and `err` are NULL or can be written to.
pub unsafe fn entry_to<T>(out: *mut T, err: *mut *mut sampan_error, body: impl FnOnce() -> Result<T>) -> i32 {
    // SAFETY: vouched for by the caller.
    unsafe { entry(err, || write_to(out, body)) }
}

/// As [`entry_to`], for a call that may take long. The progress is read before all else: its finalizer is called
/// however the call ends.
///
/// # Safety
/// As of [`entry_to`], and both of the first are NULL or what the header says.
pub unsafe fn entry_call<T>(
    (progress, cancel): (*const sampan_progress, *const sampan_cancel),
    out: *mut *mut T,
    err: *mut *mut sampan_error,
    body: impl FnOnce(&mut Call, &Cancel) -> Result<*mut T>,
) -> i32 {
    let call = || {
        // SAFETY: vouched for by the caller.
        let mut call = unsafe { Call::new(progress, cancel) }?;
        let cancel = call.cancel.clone();
        // SAFETY: vouched for by the caller.
        unsafe { write_to(out, || body(&mut call, &cancel)) }
    };
    // SAFETY: vouched for by the caller.
    unsafe { entry(err, call) }
}

/// # Safety
/// `out` is NULL or can be written to.
unsafe fn write_to<T>(out: *mut T, body: impl FnOnce() -> Result<T>) -> Result<()> {
    not_null(out, "out")?;
    let value = body()?;
    // SAFETY: not NULL, and vouched for by the caller.
    unsafe { out.write(value) };
    Ok(())
}

/// A handle on the heap.
pub fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

/// A record on the heap, with all that it points to.
pub fn kept<R: Record>(record: &R) -> *mut R::C {
    let mut arena = Arena::default();
    let value = record.to_struct(&mut arena);
    arena::give(value, arena)
}

/// The same for one that may not be there: NULL then.
pub fn kept_if<R: Record>(record: Option<&R>) -> *mut R::C {
    record.map_or(ptr::null_mut(), kept)
}

/// Frees a handle; NULL is nothing.
///
/// # Safety
/// `handle` is NULL or came from [`boxed`] and was not freed before.
pub unsafe fn unbox<T>(handle: *mut T) {
    if !handle.is_null() {
        // SAFETY: vouched for by the caller.
        quietly((), || drop(unsafe { Box::from_raw(handle) }));
    }
}

/// Refuses NULL.
fn not_null<T>(pointer: *const T, name: &'static str) -> Result<()> {
    match pointer.is_null() {
        true => Err(Error::new(Kind::InvalidArgument, "read argument", name).because("it is NULL")),
        false => Ok(()),
    }
}

/// What a pointer leads to.
///
/// # Safety
/// `pointer` is NULL or valid for `'a`.
pub unsafe fn reference<'a, T>(pointer: *const T, name: &'static str) -> Result<&'a T> {
    not_null(pointer, name)?;
    // SAFETY: not NULL, and vouched for by the caller.
    Ok(unsafe { &*pointer })
}

/// The same, for a handle that one thread has at a time.
///
/// # Safety
/// `pointer` is NULL, or valid for `'a` and nobody else's for as long.
pub unsafe fn exclusive<'a, T>(pointer: *mut T, name: &'static str) -> Result<&'a mut T> {
    not_null(pointer, name)?;
    // SAFETY: not NULL, and vouched for by the caller.
    Ok(unsafe { &mut *pointer })
}

/// A text that must be there.
///
/// # Safety
/// `text` is NULL or ends with NUL.
pub unsafe fn text(text: *const c_char, name: &'static str) -> Result<String> {
    not_null(text, name)?;
    // SAFETY: vouched for by the caller.
    unsafe { String::read(text, name) }
}

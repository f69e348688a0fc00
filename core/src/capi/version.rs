//! Versions, and texts that the library gave.

use std::ffi::{CString, c_char};

use super::boundary::quietly;

/// The ABI's major number, that of the soname. A program runs with any library of the same one.
pub const SAMPAN_ABI_MAJOR: u32 = 0;

/// Grows with every addition to the ABI.
pub const SAMPAN_ABI_MINOR: u32 = 1;

/// The ABI that the library has: `major << 16 | minor`.
#[unsafe(no_mangle)]
pub extern "C" fn sampan_abi_version() -> u32 {
    SAMPAN_ABI_MAJOR << 16 | SAMPAN_ABI_MINOR
}

/// The library's version: "0.1.0". It lives for ever.
#[unsafe(no_mangle)]
pub extern "C" fn sampan_version() -> *const c_char {
    concat!(env!("CARGO_PKG_VERSION"), "\0").as_ptr().cast()
}

/// Frees a text that the library gave as `char *`; NULL is allowed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_string_free(string: *mut c_char) {
    if !string.is_null() {
        // SAFETY: every `char *` of the library comes from `CString::into_raw`.
        quietly((), || drop(unsafe { CString::from_raw(string) }));
    }
}

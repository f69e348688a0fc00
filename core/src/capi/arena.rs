//! What a record given to C points to lives exactly as long as the record.

use std::any::Any;
use std::ffi::{CString, c_char};

/// Owns what the pointers of one record point to. A box's content never moves.
#[derive(Default)]
pub struct Arena(Vec<Box<dyn Any>>);

impl Arena {
    /// Keeps a value and gives its address.
    pub fn keep<T: 'static>(&mut self, value: T) -> *const T {
        let boxed = Box::new(value);
        let address: *const T = &*boxed;
        self.0.push(boxed);
        address
    }

    /// Keeps an array and gives the address of its first element.
    pub fn keep_array<T: 'static>(&mut self, values: Vec<T>) -> *const T {
        let values = values.into_boxed_slice();
        let address = values.as_ptr();
        self.0.push(Box::new(values));
        address
    }

    /// Keeps a text. A NUL inside, which an image may hold, becomes U+FFFD.
    pub fn keep_text(&mut self, text: &str) -> *const c_char {
        let text = c_text(text).into_bytes_with_nul();
        self.keep_array(text).cast()
    }
}

/// A C string of any text.
pub fn c_text(text: &str) -> CString {
    CString::new(text.replace('\0', "\u{fffd}")).expect("no NUL is left")
}

/// A record and what it points to. The record comes first: its address is that of the whole.
#[repr(C)]
struct Owned<C> {
    value: C,
    arena: Arena,
}

/// Moves a record to the heap, for [`release`] to take back.
pub fn give<C>(value: C, arena: Arena) -> *mut C {
    Box::into_raw(Box::new(Owned { value, arena })).cast()
}

/// Frees what [`give`] gave; NULL is nothing.
///
/// # Safety
/// `record` is NULL, or came from [`give`] and was not released before.
pub unsafe fn release<C>(record: *mut C) {
    if !record.is_null() {
        // SAFETY: it is an `Owned` by its first member, as `give` made it.
        drop(unsafe { Box::from_raw(record.cast::<Owned<C>>()) });
    }
}

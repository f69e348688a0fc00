//! Values between C and Rust, by their type. NULL is "absent" or "empty" everywhere; lists end with NULL.

use std::collections::BTreeMap;
use std::ffi::{CStr, c_char};
use std::ptr;

use super::arena::Arena;
use super::growable::{self, Growable};
use crate::error::{Error, Kind, Result};

/// A truth value from C; any byte but 0 is true, where Rust's own `bool` would be undefined.
#[derive(Clone, Copy, PartialEq, Eq)]
#[repr(transparent)]
pub struct sampan_bool(pub u8);

/// One entry of a map. A map is an array of these that ends with a NULL key.
#[derive(Clone, Copy)]
#[repr(C)]
pub struct sampan_pair {
    /// The key; NULL behind the last entry.
    pub key: *const c_char,
    /// The value; NULL is the same as "".
    pub value: *const c_char,
}

/// A value that is read from what C gave.
pub trait Read: Sized {
    /// Its form in C.
    type C;

    /// Reads it; `name` is for the error.
    ///
    /// # Safety
    /// Pointers are NULL or lead to what the header says.
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self>;
}

/// A value that is given to C.
pub trait Keep {
    /// Its form in C.
    type C;

    /// Its form in C; what that points to stays in the arena.
    fn keep(&self, arena: &mut Arena) -> Self::C;
}

/// A record of the facade that has a struct in C.
pub trait Record {
    /// The struct.
    type C: Growable + 'static;

    /// The struct; what it points to stays in the arena.
    fn to_struct(&self, arena: &mut Arena) -> Self::C;
}

/// A record that C may give.
pub trait Given: Record + Sized {
    /// Reads the members.
    ///
    /// # Safety
    /// As of [`Read::read`].
    unsafe fn from_struct(c: &Self::C) -> Result<Self>;
}

/// Reads a record, whatever its age.
///
/// # Safety
/// `at` is NULL or points to a struct that begins with its size.
pub unsafe fn record<R: Given>(at: *const R::C, name: &'static str) -> Result<R> {
    // SAFETY: vouched for by the caller, members included.
    unsafe { R::from_struct(&growable::read(at, name)?) }
}

/// Reads options; NULL stands for the defaults.
///
/// # Safety
/// As of [`record`].
pub unsafe fn options<R: Given + Default>(at: *const R::C, name: &'static str) -> Result<R> {
    match at.is_null() {
        true => Ok(R::default()),
        // SAFETY: vouched for by the caller.
        false => unsafe { record(at, name) },
    }
}

fn invalid(name: &'static str, cause: &str) -> Error {
    Error::new(Kind::InvalidArgument, "read argument", name).because(cause)
}

impl Read for Option<String> {
    type C = *const c_char;
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self> {
        if c.is_null() {
            return Ok(None);
        }
        // SAFETY: not NULL, so it is a text that ends with NUL.
        let text = unsafe { CStr::from_ptr(c) };
        let text = text.to_str().map_err(|_| invalid(name, "the text is not UTF-8"))?;
        Ok(Some(text.to_owned()))
    }
}

impl Read for String {
    type C = *const c_char;
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self> {
        // SAFETY: vouched for by the caller.
        unsafe { Option::<String>::read(c, name) }.map(Option::unwrap_or_default)
    }
}

/// The elements before the NULL.
///
/// # Safety
/// `at` is NULL or an array of pointers that ends with NULL.
unsafe fn pointers<T>(mut at: *const *const T) -> Vec<*const T> {
    let mut found = Vec::new();
    // SAFETY: every element up to and with the NULL is there.
    while !at.is_null() && unsafe { !(*at).is_null() } {
        // SAFETY: as above; the next element exists because this one was not NULL.
        unsafe {
            found.push(*at);
            at = at.add(1);
        }
    }
    found
}

impl Read for Vec<String> {
    type C = *const *const c_char;
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self> {
        // SAFETY: vouched for by the caller.
        unsafe { pointers(c).into_iter().map(|text| String::read(text, name)).collect() }
    }
}

impl Read for Option<Vec<String>> {
    type C = *const *const c_char;
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self> {
        // SAFETY: vouched for by the caller.
        (!c.is_null()).then(|| unsafe { Vec::<String>::read(c, name) }).transpose()
    }
}

impl<R: Given> Read for Vec<R> {
    type C = *const *const R::C;
    unsafe fn read(c: Self::C, name: &'static str) -> Result<Self> {
        // SAFETY: vouched for by the caller.
        unsafe { pointers(c).into_iter().map(|each| record(each, name)).collect() }
    }
}

impl Read for BTreeMap<String, String> {
    type C = *const sampan_pair;
    unsafe fn read(mut c: Self::C, name: &'static str) -> Result<Self> {
        let mut map = BTreeMap::new();
        // SAFETY: every pair up to and with the NULL key is there.
        while !c.is_null() && unsafe { !(*c).key.is_null() } {
            // SAFETY: as above.
            let pair = unsafe { *c };
            // SAFETY: its members are texts or NULL.
            let (key, value) = unsafe { (String::read(pair.key, name)?, String::read(pair.value, name)?) };
            if map.insert(key, value).is_some() {
                return Err(invalid(name, "a key is there twice"));
            }
            // SAFETY: the pair was not the last.
            c = unsafe { c.add(1) };
        }
        Ok(map)
    }
}

impl Read for Option<Vec<u8>> {
    type C = (*const u8, usize);
    unsafe fn read((data, len): Self::C, name: &'static str) -> Result<Self> {
        match (data.is_null(), len) {
            (true, 0) => Ok(None),
            (true, _) => Err(invalid(name, "the data is NULL and its length is not 0")),
            (false, len) if isize::try_from(len).is_err() => Err(invalid(name, "no memory is as long as it says")),
            // SAFETY: vouched for by the caller.
            (false, _) => Ok(Some(unsafe { std::slice::from_raw_parts(data, len) }.to_vec())),
        }
    }
}

impl Keep for str {
    type C = *const c_char;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        arena.keep_text(self)
    }
}

impl Keep for String {
    type C = *const c_char;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        arena.keep_text(self)
    }
}

impl Keep for Option<String> {
    type C = *const c_char;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        self.as_ref().map_or(ptr::null(), |text| text.keep(arena))
    }
}

fn keep_list<T, C: 'static>(
    list: &[T],
    arena: &mut Arena,
    mut each: impl FnMut(&T, &mut Arena) -> *const C,
) -> *const *const C {
    let kept: Vec<*const C> = list.iter().map(|t| each(t, arena)).chain([ptr::null()]).collect();
    arena.keep_array(kept)
}

impl Keep for Vec<String> {
    type C = *const *const c_char;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        keep_list(self, arena, |text, arena| text.keep(arena))
    }
}

impl Keep for Option<Vec<String>> {
    type C = *const *const c_char;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        self.as_ref().map_or(ptr::null(), |list| list.keep(arena))
    }
}

impl<R: Record> Keep for Vec<R> {
    type C = *const *const R::C;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        keep_list(self, arena, |record, arena| {
            let record = record.to_struct(arena);
            arena.keep(record)
        })
    }
}

impl Keep for BTreeMap<String, String> {
    type C = *const sampan_pair;
    fn keep(&self, arena: &mut Arena) -> Self::C {
        let end = sampan_pair { key: ptr::null(), value: ptr::null() };
        let mut pairs: Vec<_> =
            self.iter().map(|(k, v)| sampan_pair { key: k.keep(arena), value: v.keep(arena) }).collect();
        pairs.push(end);
        arena.keep_array(pairs)
    }
}

impl Keep for Vec<u8> {
    type C = (*const u8, usize);
    fn keep(&self, arena: &mut Arena) -> Self::C {
        (arena.keep_array(self.clone()), self.len())
    }
}

impl Keep for Option<Vec<u8>> {
    type C = (*const u8, usize);
    fn keep(&self, arena: &mut Arena) -> Self::C {
        self.as_ref().map_or((ptr::null(), 0), |data| data.keep(arena))
    }
}

/// A plain value, and an optional one behind a pointer.
macro_rules! plain {
    ($($rust:ty, $c:ty, $c_to_rust:expr, $rust_to_c:expr;)+) => {$(
        impl $crate::capi::convert::Read for $rust {
            type C = $c;
            unsafe fn read(c: $c, name: &'static str) -> $crate::error::Result<Self> {
                let read: fn($c, &'static str) -> $crate::error::Result<Self> = $c_to_rust;
                read(c, name)
            }
        }
        impl $crate::capi::convert::Read for Option<$rust> {
            type C = *const $c;
            unsafe fn read(c: *const $c, name: &'static str) -> $crate::error::Result<Self> {
                // SAFETY: vouched for by the caller: NULL or a value.
                let c = unsafe { c.as_ref() };
                // SAFETY: a plain value holds no pointer.
                c.map(|c| unsafe { <$rust as $crate::capi::convert::Read>::read(*c, name) }).transpose()
            }
        }
        impl $crate::capi::convert::Keep for $rust {
            type C = $c;
            fn keep(&self, _: &mut $crate::capi::arena::Arena) -> $c {
                let convert: fn(&$rust) -> $c = $rust_to_c;
                convert(self)
            }
        }
        impl $crate::capi::convert::Keep for Option<$rust> {
            type C = *const $c;
            fn keep(&self, arena: &mut $crate::capi::arena::Arena) -> *const $c {
                match self {
                    None => std::ptr::null(),
                    Some(value) => {
                        let value = value.keep(arena);
                        arena.keep(value)
                    }
                }
            }
        }
    )+};
}
pub(super) use plain;

plain! {
    bool, sampan_bool, |c, _| Ok(c.0 != 0), |b| sampan_bool(u8::from(*b));
    i32, i32, |c, _| Ok(c), |n| *n;
    i64, i64, |c, _| Ok(c), |n| *n;
    u32, u32, |c, _| Ok(c), |n| *n;
    u64, u64, |c, _| Ok(c), |n| *n;
    f64, f64, |c, _| Ok(c), |n| *n;
}

/// An enum of plain words: the number of each is its place.
macro_rules! words {
    ($($rust:ident: $($variant:ident = $number:ident,)+;)+) => {
        $crate::capi::convert::plain! {$(
            $crate::api::$rust, i32,
            |c, name| match c {
                $($number => Ok($crate::api::$rust::$variant),)+
                other => Err($crate::error::Error::new($crate::error::Kind::InvalidArgument, "read argument", name)
                    .because(format!("{other} is not a number of this option"))),
            },
            |word| match word { $($crate::api::$rust::$variant => $number,)+ };
        )+}
    };
}
pub(super) use words;

//! Structs that grow as the kernel's do: their first member is the size that the caller was compiled with.
//!
//! A shorter one is filled with zeros, which mean "as before" in every member. A longer one is accepted
//! only when what this version does not know is zero: the caller then asks for nothing that we would miss.

use std::mem::{MaybeUninit, size_of};

use crate::error::{Error, Kind, Result};

/// A struct of C whose first member is `size_t size` and for which all zeros is a value.
///
/// # Safety
/// The type is `repr(C)`, begins with a `usize`, and all its bit patterns are valid.
pub unsafe trait Growable: Copy {}

/// More than any struct will ever have: a larger size is what was on the stack before.
const LARGEST: usize = 4096;

/// Reads a struct of any age.
///
/// # Safety
/// `at` is NULL or points to as many readable bytes as its first member says.
pub unsafe fn read<T: Growable>(at: *const T, name: &'static str) -> Result<T> {
    if at.is_null() {
        return Err(Error::new(Kind::InvalidArgument, "read argument", name).because("it is NULL"));
    }
    const { assert!(size_of::<T>() <= LARGEST) };
    // SAFETY: the struct begins with its size.
    let size = unsafe { at.cast::<usize>().read_unaligned() };
    if !(size_of::<usize>()..=LARGEST).contains(&size) {
        return Err(Error::new(Kind::InvalidArgument, "read argument", name)
            .because("its size is not set")
            .hint("initialise it with its SAMPAN_…_INIT"));
    }
    // SAFETY: the caller vouches for `size` bytes.
    copy(unsafe { std::slice::from_raw_parts(at.cast::<MaybeUninit<u8>>(), size) }, name)
}

fn copy<T: Growable>(bytes: &[MaybeUninit<u8>], name: &'static str) -> Result<T> {
    let known = bytes.len().min(size_of::<T>());
    let mut value = MaybeUninit::<T>::zeroed();
    // SAFETY: `known` bytes are there to read and to write; they don't overlap.
    unsafe { std::ptr::copy_nonoverlapping(bytes.as_ptr(), value.as_mut_ptr().cast(), known) };
    // SAFETY: the tail is beyond every struct that this version knows, so the caller wrote it as members.
    if bytes[known..].iter().any(|byte| unsafe { byte.assume_init() } != 0) {
        return Err(Error::new(Kind::Unsupported, "read argument", name)
            .because("it asks for something that this version of the library does not know")
            .hint("update libsampan, or leave the newer members zero"));
    }
    // SAFETY: a `Growable` is valid whatever its bytes are.
    Ok(unsafe { value.assume_init() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct Old {
        size: usize,
        a: u64,
    }
    #[derive(Clone, Copy, Debug, PartialEq)]
    #[repr(C)]
    struct New {
        size: usize,
        a: u64,
        b: u64,
    }
    // SAFETY: plain numbers after a size.
    unsafe impl Growable for Old {}
    // SAFETY: as above.
    unsafe impl Growable for New {}

    #[test]
    fn a_shorter_caller_is_filled_with_zeros() {
        // What lies behind the old struct must not be read.
        let old = [size_of::<Old>() as u64, 7, u64::MAX];
        // SAFETY: the size covers the first two numbers.
        let new: New = unsafe { read(old.as_ptr().cast(), "old") }.unwrap();
        assert_eq!(new, New { size: size_of::<Old>(), a: 7, b: 0 });
    }

    #[test]
    fn a_longer_caller_may_not_ask_for_the_unknown() {
        for (b, ok) in [(0, true), (1, false), (1 << 56, false)] {
            let new = New { size: size_of::<New>(), a: 7, b };
            // SAFETY: the size is the struct's own.
            let old: Result<Old> = unsafe { read((&raw const new).cast(), "new") };
            assert_eq!(old.is_ok(), ok);
            assert!(old.is_ok_and(|o| o.a == 7) || b != 0);
        }
    }

    #[test]
    fn every_length_between_reads_what_it_covers() {
        let full = [size_of::<New>() as u64, u64::MAX, u64::MAX];
        for size in size_of::<usize>()..=size_of::<New>() {
            let given = [size as u64, full[1], full[2]];
            // SAFETY: the array is as long as the largest size.
            let new: New = unsafe { read(given.as_ptr().cast(), "some") }.unwrap();
            let members = size - size_of::<usize>();
            assert_eq!(new.a.count_ones() + new.b.count_ones(), 8 * members as u32);
        }
    }

    #[test]
    fn null_and_no_size_are_refused() {
        // SAFETY: NULL is allowed, and the size is readable.
        let null: Result<Old> = unsafe { read(std::ptr::null(), "x") };
        assert_eq!(null.unwrap_err().kind(), Kind::InvalidArgument);
        for size in [0, 7, LARGEST + 1, usize::MAX] {
            let unset = Old { size, a: 1 };
            // SAFETY: as above.
            let unset: Result<Old> = unsafe { read(&unset, "x") };
            assert!(unset.unwrap_err().to_string().contains("_INIT"));
        }
    }
}

//! The memory routines that compiled Rust calls by name, and anonymous memory in place of a heap.

use crate::sys;

// Written with volatile accesses or string instructions, else the compiler would turn each loop into a
// call of the very function it stands in.

/// # Safety
/// As C's `memcpy`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcpy(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    forward(to, from, n);
    to
}

/// # Safety
/// As C's `memmove`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memmove(to: *mut u8, from: *const u8, n: usize) -> *mut u8 {
    if (to as usize).wrapping_sub(from as usize) >= n {
        forward(to, from, n);
    } else {
        for i in (0..n).rev() {
            to.add(i).write_volatile(from.add(i).read_volatile());
        }
    }
    to
}

/// # Safety
/// As C's `memset`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memset(to: *mut u8, byte: i32, n: usize) -> *mut u8 {
    #[cfg(target_arch = "x86_64")]
    core::arch::asm!("rep stosb", inout("rcx") n => _, inout("rdi") to => _, in("al") byte as u8, options(nostack, preserves_flags));
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..n {
        to.add(i).write_volatile(byte as u8);
    }
    to
}

/// # Safety
/// As C's `memcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn memcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    for i in 0..n {
        let (x, y) = (a.add(i).read_volatile(), b.add(i).read_volatile());
        if x != y {
            return x as i32 - y as i32;
        }
    }
    0
}

/// # Safety
/// As C's `bcmp`.
#[unsafe(no_mangle)]
unsafe extern "C" fn bcmp(a: *const u8, b: *const u8, n: usize) -> i32 {
    memcmp(a, b, n)
}

/// # Safety
/// As C's `strlen`.
#[unsafe(no_mangle)]
unsafe extern "C" fn strlen(s: *const u8) -> usize {
    let mut n = 0;
    while s.add(n).read_volatile() != 0 {
        n += 1;
    }
    n
}

#[inline(always)]
unsafe fn forward(to: *mut u8, from: *const u8, n: usize) {
    #[cfg(target_arch = "x86_64")]
    core::arch::asm!("rep movsb", inout("rcx") n => _, inout("rdi") to => _, inout("rsi") from => _, options(nostack, preserves_flags));
    #[cfg(not(target_arch = "x86_64"))]
    for i in 0..n {
        to.add(i).write_volatile(from.add(i).read_volatile());
    }
}

/// `n` zeroed words of fresh memory, never given back: for the argument and environment vectors of an exec.
pub fn words(n: usize) -> sys::Result<&'static mut [usize]> {
    let bytes = sys::map_anonymous((n.max(1)) * size_of::<usize>())?;
    // SAFETY: the mapping is fresh, page-aligned, zeroed, that long, and nobody unmaps it.
    Ok(unsafe { core::slice::from_raw_parts_mut(bytes.as_mut_ptr().cast(), n) })
}

/// The value in memory of its own, never given back: off the stack, where each hand that it goes through would copy it.
pub fn keep<T>(value: T) -> sys::Result<&'static T> {
    let place: *mut T = sys::map_anonymous(size_of::<T>())?.as_mut_ptr().cast();
    // SAFETY: the mapping is fresh, page-aligned, that long, and nobody unmaps it.
    unsafe {
        place.write(value);
        Ok(&*place)
    }
}

/// `n` values, made one by one, never given back.
pub fn slots<T: Copy>(n: usize, value: impl Fn() -> T) -> sys::Result<&'static mut [T]> {
    let bytes = sys::map_anonymous(n.max(1) * size_of::<T>())?;
    let first: *mut T = bytes.as_mut_ptr().cast();
    for i in 0..n {
        // SAFETY: the mapping is fresh, page-aligned, and that long.
        unsafe { first.add(i).write(value()) };
    }
    // SAFETY: as above; every value is written, and nobody unmaps it.
    Ok(unsafe { core::slice::from_raw_parts_mut(first, n) })
}

/// Gives back the part of the stack that only deeper calls have used: a container that runs for days need not hold
/// what its start took.
#[inline(never)]
pub fn shed_stack() {
    // Pages that are larger make this fail, and change nothing.
    const PAGE: usize = 4096;
    const MOST: usize = 64 * PAGE;
    let here = 0u8;
    let floor = (core::hint::black_box(&raw const here) as usize & !(PAGE - 1)) - PAGE;
    // SAFETY: a page below the deepest frame there is; the call's own frame and red zone end before.
    unsafe { sys::forget_range(floor - MOST, MOST) };
}

/// Takes the program's pages out of this process, which a start has been all over. What is executed while a container
/// runs comes back; the rest does when it is needed.
#[inline(never)]
pub fn shed_program() {
    unsafe extern "C" {
        // By the linker, as core/build.rs tells it: where the program begins, what is executed while a container runs ends,
        // and all of its code ends.
        safe static __executable_start: u8;
        safe static rest_ends: u8;
        safe static etext: u8;
    }
    let [start, rest, end] =
        [&raw const __executable_start, &raw const rest_ends, &raw const etext].map(|at| at as usize);
    // A mapping of its own, or the kernel brings it back with what lies beside it.
    sys::mark_undumped(rest, end - rest);
    // SAFETY: nothing is written to these pages, so that they come back as they are in the file.
    unsafe { sys::forget_range(start, end - start) };
}

//! System calls, one thin function each: pointers and lengths are made from safe arguments here, once.

#![allow(dead_code)]

mod file;
mod mount;
mod process;
mod socket;

pub use file::*;
pub use mount::*;
pub use process::*;
pub use socket::*;

use crate::arch;
pub(crate) use crate::arch::nr;

/// A file descriptor. The shim closes by hand what it must not keep; its short-lived processes end.
pub type Fd = i32;

/// Relative to the working directory.
pub const AT_FDCWD: Fd = -100;

/// Why a call failed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Errno(pub i32);

/// A call's result.
pub type Result<T = ()> = core::result::Result<T, Errno>;

macro_rules! errnos {
    ($($name:ident $n:literal)+) => { impl Errno { $(#[allow(missing_docs)] pub const $name: Errno = Errno($n);)+ } };
}
errnos! {
    EPERM 1 ENOENT 2 ESRCH 3 EINTR 4 EIO 5 ENXIO 6 E2BIG 7 ENOEXEC 8 EBADF 9 ECHILD 10 EAGAIN 11 ENOMEM 12 EACCES 13 EBUSY 16
    EEXIST 17 EXDEV 18 ENODEV 19 ENOTDIR 20 EISDIR 21 EINVAL 22 ENFILE 23 EMFILE 24 ENOTTY 25 ETXTBSY 26 EFBIG 27 ENOSPC 28 EROFS 30
    EPIPE 32 ERANGE 34 ENAMETOOLONG 36 ENOSYS 38 ENOTEMPTY 39 ELOOP 40 ENODATA 61 EOVERFLOW 75 EOPNOTSUPP 95 EADDRINUSE 98 ECONNRESET 104
    ETIMEDOUT 110 EDQUOT 122
}

/// Makes a system call by number and turns its result into a [`Result`].
///
/// # Safety
/// The arguments must be what the call with this number expects.
pub(crate) unsafe fn call(n: usize, args: [usize; 6]) -> Result<usize> {
    // SAFETY: promised by the caller.
    match unsafe { arch::syscall(n, args) } {
        r if (-4095..0).contains(&r) => Err(Errno(-r as i32)),
        r => Ok(r as usize),
    }
}

/// Six words of which the last are zero.
#[inline(always)]
pub(crate) const fn pad<const N: usize>(given: [usize; N]) -> [usize; 6] {
    let mut args = [0; 6];
    let mut i = 0;
    while i < N {
        args[i] = given[i];
        i += 1;
    }
    args
}

/// `syscall!(NAME, a, b, …)`: each argument is cast to a word.
macro_rules! syscall {
    ($name:ident $(, $arg:expr)* $(,)?) => {
        // SAFETY: every pointer among the arguments comes from a reference or slice that lives as long as the call.
        unsafe { $crate::sys::call($crate::sys::nr::$name, $crate::sys::pad([$($arg as usize),*])) }
    };
}
pub(crate) use syscall;

/// Ends the process.
pub fn exit(code: i32) -> ! {
    let _ = syscall!(EXIT_GROUP, code);
    // A filter whose listener is gone refuses even that.
    arch::trap()
}

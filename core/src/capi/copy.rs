//! Files into a container and out of it.

use std::ffi::c_char;
use std::os::fd::{BorrowedFd, IntoRawFd};

use super::boundary::{entry, entry_to, kept, text};
use super::cancel::{sampan_cancel, token};
use super::container::{container, sampan_container};
use super::convert::record;
use super::error::sampan_error;
use super::generated::{sampan_copy_options, sampan_path_stat};
use crate::error::{Error, Kind, Result};

/// A descriptor of the caller's, open for as long as the call lasts.
fn descriptor<'a>(fd: i32) -> Result<BorrowedFd<'a>> {
    // SAFETY: only asks about a number; any number is allowed.
    if fd < 0 || unsafe { libc::fcntl(fd, libc::F_GETFD) } < 0 {
        return Err(Error::new(Kind::InvalidArgument, "read argument", "fd")
            .because(format!("{fd} is not an open file descriptor")));
    }
    // SAFETY: it is open, and the header says that it stays so during the call.
    Ok(unsafe { BorrowedFd::borrow_raw(fd) })
}

/// Copies what is at `path` in it to `dest` here, by the rules of `docker cp`; it need not run. Devices and sockets are
/// left out, and set-id bits but with `archive`. `options` and `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_copy_from(
    container: *const sampan_container,
    path: *const c_char,
    dest: *const c_char,
    options: *const sampan_copy_options,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let copy = || unsafe {
        let (path, dest, options) = (text(path, "path")?, text(dest, "dest")?, record(options, "copy options")?);
        self::container(container)?.copy_from(&path, &dest, &options, &token(cancel))
    };
    // SAFETY: as the header says.
    unsafe { entry(err, copy) }
}

/// Copies what is at `src` here to `path` in it, by the rules of `docker cp`; it need not run. Devices and sockets are left
/// out. `options` and `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_copy_to(
    container: *const sampan_container,
    src: *const c_char,
    path: *const c_char,
    options: *const sampan_copy_options,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let copy = || unsafe {
        let (src, path, options) = (text(src, "src")?, text(path, "path")?, record(options, "copy options")?);
        self::container(container)?.copy_to(&src, &path, &options, &token(cancel))
    };
    // SAFETY: as the header says.
    unsafe { entry(err, copy) }
}

/// What is at `path` in it. `options` and `cancel` may be NULL.
///
/// Free the answer with `sampan_path_stat_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_path_stat(
    container: *const sampan_container,
    path: *const c_char,
    options: *const sampan_copy_options,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_path_stat,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let look = || unsafe {
        let (path, options) = (text(path, "path")?, record(options, "copy options")?);
        Ok(kept(&self::container(container)?.path_stat(&path, &options, &token(cancel))?))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, look) }
}

/// Writes a tar archive of what is at `path` in it to a descriptor, which stays the caller's. `options` and `cancel` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_get_archive(
    container: *const sampan_container,
    path: *const c_char,
    fd: i32,
    options: *const sampan_copy_options,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let get = || unsafe {
        let (path, options) = (text(path, "path")?, record(options, "copy options")?);
        self::container(container)?.get_archive(&path, descriptor(fd)?, &options, &token(cancel))
    };
    // SAFETY: as the header says.
    unsafe { entry(err, get) }
}

/// Unpacks a tar archive, plain or compressed by gzip or zstd, from a descriptor, which stays the caller's, into the
/// directory at `path` in it. Files get the owners that the archive says; devices are left out. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_put_archive(
    container: *const sampan_container,
    path: *const c_char,
    fd: i32,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let put =
        || unsafe { self::container(container)?.put_archive(&text(path, "path")?, descriptor(fd)?, &token(cancel)) };
    // SAFETY: as the header says.
    unsafe { entry(err, put) }
}

/// Opens a regular file in it, in a mode as of fopen(): "r", "r+", "w", "w+", "a", "a+", "x", …. It need not run. `*out`
/// gets a descriptor, close-on-exec, that is the caller's and stays open whatever becomes of the container. `cancel` may be
/// NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_open(
    container: *const sampan_container,
    path: *const c_char,
    mode: *const c_char,
    cancel: *const sampan_cancel,
    out: *mut i32,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let open = || unsafe {
        let (path, mode) = (text(path, "path")?, text(mode, "mode")?);
        Ok(self::container(container)?.open(&path, &mode, &token(cancel))?.into_raw_fd())
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, open) }
}

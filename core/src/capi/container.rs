//! One container.

use std::ffi::{CString, c_char};
use std::ptr;

use super::arena::c_text;
use super::attach::sampan_attachment;
use super::boundary::{boxed, entry, entry_to, kept, reference, text, unbox};
use super::cancel::{sampan_cancel, token};
use super::convert::{options, record};
use super::error::sampan_error;
use super::exec::sampan_exec;
use super::generated::*;
use super::handle::Handle;
use super::log::sampan_log;
use super::stats::sampan_stats_stream;
use crate::api::Container;
use crate::error::Result;

/// A container of an engine's store. Free it with `sampan_container_free`, which does nothing to the container.
pub struct sampan_container {
    container: Handle<Container>,
    id: CString,
}

impl sampan_container {
    /// A handle.
    pub fn new(container: Container) -> Self {
        let id = c_text(container.id());
        sampan_container { container: Handle::new(container), id }
    }
}

/// The container behind a handle.
///
/// # Safety
/// `container` is NULL or a handle that was not freed.
pub(super) unsafe fn container<'a>(container: *const sampan_container) -> Result<&'a Container> {
    // SAFETY: vouched for by the caller.
    unsafe { reference(container, "container") }?.container.get("container")
}

/// Its id, which lives as long as the handle; NULL for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_id(container: *const sampan_container) -> *const c_char {
    // SAFETY: as the header says.
    unsafe { container.as_ref() }.map_or(ptr::null(), |c| c.id.as_ptr())
}

/// Starts it, and returns once its process runs. `stdio` and `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_start(
    container: *const sampan_container,
    stdio: *const sampan_stdio,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let start = || unsafe { self::container(container)?.start(&options(stdio, "stdio")?, &token(cancel)) };
    // SAFETY: as the header says.
    unsafe { entry(err, start) }
}

/// Sends its stop signal, then SIGKILL after the timeout; returns once it has ended.
///
/// `options` and `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_stop(
    container: *const sampan_container,
    options: *const sampan_stop_options,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let stop = || unsafe { self::container(container)?.stop(&self::options(options, "stop options")?, &token(cancel)) };
    // SAFETY: as the header says.
    unsafe { entry(err, stop) }
}

/// Stops it when it runs, and starts it again. `options` and `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_restart(
    container: *const sampan_container,
    options: *const sampan_stop_options,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let restart =
        || unsafe { self::container(container)?.restart(&self::options(options, "stop options")?, &token(cancel)) };
    // SAFETY: as the header says.
    unsafe { entry(err, restart) }
}

/// Sends a signal to its process: "SIGHUP", "HUP" or "1".
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_kill(
    container: *const sampan_container,
    signal: *const c_char,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let kill = || unsafe { self::container(container)?.kill(&text(signal, "signal")?) };
    // SAFETY: as the header says.
    unsafe { entry(err, kill) }
}

/// Waits until it has ended, at most `timeout` seconds; without a limit when `timeout` is negative.
///
/// With a restart policy: until its next end, whether or not another start follows.
///
/// `cancel` may be NULL. Free the answer with `sampan_exit_status_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_wait(
    container: *const sampan_container,
    timeout: f64,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_exit_status,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let wait = || unsafe {
        // NaN is for the facade to refuse.
        let timeout = (timeout >= 0.0 || timeout.is_nan()).then_some(timeout);
        Ok(kept(&self::container(container)?.wait(timeout, &token(cancel))?))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, wait) }
}

/// Waits until its health check finds it healthy, at most `timeout` seconds; without a limit when `timeout` is negative.
///
/// Fails with `SAMPAN_ERROR_CONFLICT` when it is unhealthy or has ended, `SAMPAN_ERROR_INVALID_ARGUMENT` when it has no
/// check. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_wait_healthy(
    container: *const sampan_container,
    timeout: f64,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let wait = || unsafe {
        // NaN is for the facade to refuse.
        let timeout = (timeout >= 0.0 || timeout.is_nan()).then_some(timeout);
        self::container(container)?.wait_healthy(timeout, &token(cancel))
    };
    // SAFETY: as the header says.
    unsafe { entry(err, wait) }
}

/// Reads its log from byte 0, or a part of it. `options` may be NULL. Free the log with `sampan_log_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_logs(
    container: *const sampan_container,
    options: *const sampan_log_options,
    out: *mut *mut sampan_log,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let logs = || unsafe {
        let log = self::container(container)?.logs(&self::options(options, "log options")?)?;
        Ok(boxed(sampan_log(Handle::new(log))))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, logs) }
}

/// All there is to know about it. Free the answer with `sampan_container_info_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_inspect(
    container: *const sampan_container,
    out: *mut *mut sampan_container_info,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::container(container)?.inspect()?))) }
}

/// Gives it another name.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_rename(
    container: *const sampan_container,
    name: *const c_char,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let rename = || unsafe { self::container(container)?.rename(&text(name, "name")?) };
    // SAFETY: as the header says.
    unsafe { entry(err, rename) }
}

/// Removes it with all that it wrote. `options` may be NULL. The handle must still be freed.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_remove(
    container: *const sampan_container,
    options: *const sampan_remove_options,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let remove = || unsafe { self::container(container)?.remove(&self::options(options, "remove options")?) };
    // SAFETY: as the header says.
    unsafe { entry(err, remove) }
}

/// Freezes its processes; returns once all stand still. `cancel` may be NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_pause(
    container: *const sampan_container,
    cancel: *const sampan_cancel,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::container(container)?.pause(&token(cancel))) }
}

/// Lets its frozen processes go on.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_unpause(
    container: *const sampan_container,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::container(container)?.unpause()) }
}

/// Its processes, as this host sees them. Free the answer with `sampan_process_info_list_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_top(
    container: *const sampan_container,
    out: *mut *mut sampan_process_info_list,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::container(container)?.top()?))) }
}

/// What it uses now; a share of the processors follows from two of these. Free the answer with `sampan_container_stats_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_usage(
    container: *const sampan_container,
    out: *mut *mut sampan_container_stats,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::container(container)?.stats()?))) }
}

/// What it uses now, and then again every `interval` seconds until it has ended.
///
/// Free the stream with `sampan_stats_stream_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_stats_stream(
    container: *const sampan_container,
    interval: f64,
    out: *mut *mut sampan_stats_stream,
    err: *mut *mut sampan_error,
) -> i32 {
    let open = || {
        // SAFETY: as the header says.
        let stream = unsafe { self::container(container) }?.stats_stream(interval)?;
        Ok(boxed(sampan_stats_stream(Handle::new(stream))))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, open) }
}

/// Changes its limits and its restart policy, now and for later starts; what is absent stays.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_update(
    container: *const sampan_container,
    options: *const sampan_update_options,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let update = || unsafe { self::container(container)?.update(&record(options, "update options")?) };
    // SAFETY: as the header says.
    unsafe { entry(err, update) }
}

/// Runs a command in it to the command's end. `cancel` may be NULL; it kills the command.
///
/// Free the answer with `sampan_exec_output_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_exec(
    container: *const sampan_container,
    options: *const sampan_exec_options,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_exec_output,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let exec = || unsafe {
        let options = self::options(options, "exec options")?;
        Ok(kept(&self::container(container)?.exec(&options, &token(cancel))?))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, exec) }
}

/// Starts a command in it and returns while it runs. `cancel` may be NULL.
///
/// Free the handle with `sampan_exec_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_exec_start(
    container: *const sampan_container,
    options: *const sampan_exec_options,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_exec,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let start = || unsafe {
        let options = self::options(options, "exec options")?;
        Ok(boxed(sampan_exec::new(self::container(container)?.exec_start(&options, &token(cancel))?)))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, start) }
}

/// Joins its streams as they are from now on, its input among them when `interactive`. `cancel` may be NULL.
///
/// Free the handle with `sampan_attachment_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_attach(
    container: *const sampan_container,
    interactive: bool,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_attachment,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    let attach = || unsafe {
        let attachment = self::container(container)?.attach(interactive, &token(cancel))?;
        Ok(boxed(sampan_attachment::new(attachment)))
    };
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, attach) }
}

/// Sets the size of its terminal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_resize(
    container: *const sampan_container,
    rows: u32,
    columns: u32,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::container(container)?.resize(rows, columns)) }
}

/// Frees a handle; NULL is allowed. Nothing is done to the container.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_container_free(container: *mut sampan_container) {
    // SAFETY: as the header says.
    unsafe { unbox(container) }
}

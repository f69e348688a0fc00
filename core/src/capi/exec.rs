//! A command in a running container, while it runs.

use std::ffi::c_char;

use super::boundary::{entry, entry_to, kept, quietly, reference, text, unbox};
use super::cancel::{sampan_cancel, token};
use super::error::sampan_error;
use super::generated::sampan_exit_status;
use super::handle::Handle;
use super::streams::Streams;
use crate::api::Exec;
use crate::error::Result;

/// A command that runs in a container. Free it with `sampan_exec_free`, which does nothing to the command.
pub struct sampan_exec {
    exec: Handle<Exec>,
    /// Apart from it, or who takes one would be in the way of a thread that waits.
    streams: Streams,
}

impl sampan_exec {
    /// A handle.
    pub fn new(mut exec: Exec) -> Self {
        let streams = Streams::new([exec.take_stdin(), exec.take_stdout(), exec.take_stderr()]);
        sampan_exec { exec: Handle::new(exec), streams }
    }
}

/// The command behind a handle.
///
/// # Safety
/// `exec` is NULL or a handle that was not freed.
unsafe fn exec<'a>(exec: *const sampan_exec) -> Result<&'a Exec> {
    // SAFETY: vouched for by the caller.
    unsafe { reference(exec, "exec") }?.exec.get("exec")
}

/// Hands a stream out, once.
///
/// # Safety
/// `exec` is NULL or a handle that was not freed.
unsafe fn take(exec: *const sampan_exec, number: usize) -> i32 {
    // SAFETY: vouched for by the caller.
    unsafe { exec.as_ref() }.map_or(-1, |exec| exec.streams.take(number))
}

/// Its process id in the host's namespace; 0 for NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_pid(exec: *const sampan_exec) -> i32 {
    // SAFETY: as the header says.
    quietly(0, || unsafe { self::exec(exec) }.map_or(0, Exec::pid))
}

/// A descriptor that its input is written to, once and only when it is `interactive`; else -1. Closing it ends the
/// input, and is the caller's to do. With a terminal, its master.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_take_stdin(exec: *const sampan_exec) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(exec, 0) })
}

/// A descriptor that its output is read from, once; -1 when it is detached. Closing it is the caller's to do. With a
/// terminal, its master: at the end it says EIO.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_take_stdout(exec: *const sampan_exec) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(exec, 1) })
}

/// A descriptor that its errors are read from, once; -1 when it is detached or has a terminal. Closing it is the
/// caller's to do.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_take_stderr(exec: *const sampan_exec) -> i32 {
    // SAFETY: as the header says.
    quietly(-1, || unsafe { take(exec, 2) })
}

/// Waits until it has ended; SAMPAN_ERROR_TIMEOUT when it ran out of its time and was killed. `cancel` may be NULL, and
/// ends the waiting only.
///
/// Free the answer with `sampan_exit_status_free`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_wait(
    exec: *const sampan_exec,
    cancel: *const sampan_cancel,
    out: *mut *mut sampan_exit_status,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry_to(out, err, || Ok(kept(&self::exec(exec)?.wait(&token(cancel))?))) }
}

/// Sends it a signal: "SIGHUP", "HUP" or "1". One that has ended gets none.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_kill(
    exec: *const sampan_exec,
    signal: *const c_char,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::exec(exec)?.kill(&text(signal, "signal")?)) }
}

/// Sets the size of its terminal.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_resize(
    exec: *const sampan_exec,
    rows: u32,
    columns: u32,
    err: *mut *mut sampan_error,
) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::exec(exec)?.resize(rows, columns)) }
}

/// Its output is thrown away from now on. Who has closed the descriptor of `sampan_exec_take_stdout` says so, or the
/// command stops at a full pipe.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_discard_stdout(exec: *const sampan_exec, err: *mut *mut sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::exec(exec)?.discard_stdout()) }
}

/// The same for its errors.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_discard_stderr(exec: *const sampan_exec, err: *mut *mut sampan_error) -> i32 {
    // SAFETY: as the header says.
    unsafe { entry(err, || self::exec(exec)?.discard_stderr()) }
}

/// Frees a handle with those streams that were not taken; NULL is allowed. The command goes on, and what nobody has read
/// by then is thrown away: streams are to be read to their end first.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn sampan_exec_free(exec: *mut sampan_exec) {
    // SAFETY: as the header says.
    unsafe { unbox(exec) }
}

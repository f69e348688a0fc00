//! The last step: argument and environment vectors, the search along PATH, and the exec.

use core::ffi::CStr;

use crate::fail::{Fail, Outcome};
use crate::memory;
use crate::sys::{self, AT_FDCWD, Errno};
use crate::text::Text;
use crate::wire::{Process, SEARCH_PATH, Step};

/// A vector of pointers to strings that end in a NUL each, closed by a null.
pub fn vector<'a>(count: usize, strings: impl Iterator<Item = &'a [u8]>) -> sys::Result<&'static mut [usize]> {
    let words = memory::words(count + 1)?;
    for (word, string) in words.iter_mut().zip(strings.take(count)) {
        *word = string.as_ptr() as usize;
    }
    Ok(words)
}

/// Executes the payload; comes back only when it can't. `home` is added when the environment has none.
pub fn run(process: &Process<'static>, home: &CStr) -> Fail {
    let (Ok(args), Ok(env)) = (arguments(process), environment(process, home)) else {
        return failed(process, Errno::ENOMEM);
    };
    let Some(command) = process.args.iter().next() else {
        return failed(process, Errno::EINVAL);
    };
    let attempt = |path: &CStr| Err(sys::execve(path, args, env));
    failed(process, at(process, command, attempt).err().unwrap_or(Errno::EIO))
}

/// The command by its path, or searched for.
fn at(process: &Process<'static>, command: &CStr, attempt: impl Fn(&CStr) -> Result<(), Errno>) -> Result<(), Errno> {
    if command.to_bytes().contains(&b'/') { attempt(command) } else { search(process, command, attempt) }
}

fn arguments(process: &Process<'static>) -> sys::Result<&'static mut [usize]> {
    vector(process.args.len(), process.args.iter().map(CStr::to_bytes_with_nul))
}

fn environment(process: &Process<'static>, home: &CStr) -> sys::Result<&'static mut [usize]> {
    let given = process.env.iter().map(CStr::to_bytes_with_nul);
    match variable(process, b"HOME=") {
        Some(_) => vector(process.env.len(), given),
        None => vector(process.env.len() + 1, given.chain([home.to_bytes_with_nul()])),
    }
}

fn variable(process: &Process<'static>, name: &[u8]) -> Option<&'static [u8]> {
    process.env.iter().find_map(|v| v.to_bytes().strip_prefix(name))
}

/// Where the command may be, one after the other, until an attempt ends the search; the errno of what came nearest.
fn search(
    process: &Process<'static>,
    command: &CStr,
    attempt: impl Fn(&CStr) -> Result<(), Errno>,
) -> Result<(), Errno> {
    let mut worst = Errno::ENOENT;
    if command.is_empty() {
        return Err(worst);
    }
    for dir in variable(process, b"PATH=").unwrap_or(SEARCH_PATH.as_bytes()).split(|b| *b == b':') {
        let dir = if dir.is_empty() { b"." } else { dir };
        let mut path: Text<4096> = Text::of(&[dir, b"/", command.to_bytes()]);
        if path.is_cut() {
            continue;
        }
        match attempt(path.c()) {
            Err(Errno::ENOENT | Errno::ENOTDIR) => {}
            // Something with that name may still be executable further on.
            Err(Errno::EACCES) => worst = Errno::EACCES,
            other => return other,
        }
    }
    Err(worst)
}

/// Whether there is something to execute, as far as can be told without doing so.
pub fn look_for(process: &Process<'static>) -> Outcome {
    let Some(command) = process.args.iter().next() else { return Err(failed(process, Errno::EINVAL)) };
    at(process, command, is_executable).map_err(|errno| failed(process, errno))
}

fn is_executable(path: &CStr) -> Result<(), Errno> {
    let file = sys::openat(AT_FDCWD, path, sys::O_PATH, 0)?;
    let stat = sys::fstat(file);
    let _ = sys::close(file);
    match stat? {
        stat if stat.kind() == sys::S_IFREG && stat.mode & 0o111 != 0 => Ok(()),
        _ => Err(Errno::EACCES),
    }
}

fn failed(process: &Process<'static>, errno: Errno) -> Fail {
    let detail = process.args.iter().next().map_or(&b""[..], CStr::to_bytes);
    Fail { step: Step::Exec, errno, detail }
}

/// Default actions for this process and all that come from it, since an exec keeps what is ignored: a host may ignore
/// SIGPIPE, as Python does, or SIGCHLD, with which no end of a child could be waited for.
///
/// At the very first, when nobody waits for it.
pub fn default_actions() {
    for signal in 1..=64 {
        let _ = sys::set_signal_action(signal);
    }
}

/// No blocked signals. None is ignored, see [`default_actions`].
pub fn reset_signals() {
    let _ = sys::set_signal_mask(0);
}

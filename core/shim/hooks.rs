//! Hooks: programs that the configuration wants run on the way. Each reads the container's state from its standard
//! input; one that fails fails the container (runtime-spec, runtime.md, "Lifecycle").

use core::ffi::CStr;

use crate::exec;
use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, Errno, Fd, Forked, POLLIN, Poll};
use crate::text::Text;
use crate::wire::{Hook, List, Step, fd};

/// What hooks are told.
pub struct Stage {
    /// The state in JSON: before the status, between it and the pid, after that.
    pub state: (&'static CStr, &'static CStr, &'static CStr),
    /// `creating`, `created`.
    pub status: &'static [u8],
    /// The init, by its number outside.
    pub pid: i32,
}

/// Runs them one after the other.
pub fn run(hooks: &List<'static, Hook<'static>>, stage: &Stage) -> Outcome {
    hooks.iter().try_for_each(|hook| run_one(&hook, stage))
}

fn run_one(hook: &Hook<'static>, stage: &Stage) -> Outcome {
    let failed = |errno| Fail { step: Step::Hook, errno, detail: hook.path.to_bytes() };
    let (read, write) = sys::pipe(0).at(Step::Hook, hook.path)?;
    let forked = sys::fork(0, None).or_else(|_| sys::fork_by_clone(0)).at(Step::Hook, hook.path)?;
    let (pid, pidfd) = match forked {
        Forked::Child => become_hook(hook, read, write),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(read);
    tell(write, stage);
    let _ = sys::close(write);
    let in_time = await_end(pidfd, hook.timeout_ms);
    if !in_time {
        let _ = sys::pidfd_send_signal(pidfd, sys::SIGKILL);
    }
    let _ = sys::close(pidfd);
    match sys::wait(pid, false).at(Step::Hook, hook.path)? {
        _ if !in_time => Err(failed(Errno::ETIMEDOUT)),
        Some(end) if end.code == 0 && end.signal == 0 => Ok(()),
        Some(end) if end.code == 127 => Err(failed(Errno::ENOENT)),
        _ => Err(failed(Errno(0))),
    }
}

/// A hook that does not read it is no failure; signals are blocked here, SIGPIPE too.
fn tell(to: Fd, stage: &Stage) {
    let (before, between, after) = stage.state;
    let mut pid: Text<16> = Text::new();
    pid.signed(stage.pid.into());
    for part in [before.to_bytes(), stage.status, between.to_bytes(), pid.bytes(), after.to_bytes()] {
        if sys::write_all(to, part).is_err() {
            return;
        }
    }
}

fn await_end(pidfd: Fd, timeout_ms: u64) -> bool {
    let mut polls = [Poll { fd: pidfd, events: POLLIN, revents: 0 }];
    timeout_ms == 0 || sys::poll(&mut polls, Some(timeout_ms)) != Ok(0)
}

fn become_hook(hook: &Hook<'static>, stdin: Fd, theirs: Fd) -> ! {
    let _ = sys::close(theirs);
    let _ = sys::dup_to(stdin, fd::STDIN);
    let _ = sys::close_from(fd::STDERR + 1);
    exec::reset_signals();
    let args = match hook.args.is_empty() {
        true => exec::vector(1, [hook.path.to_bytes_with_nul()].into_iter()),
        false => exec::vector(hook.args.len(), hook.args.iter().map(CStr::to_bytes_with_nul)),
    };
    let env = exec::vector(hook.env.len(), hook.env.iter().map(CStr::to_bytes_with_nul));
    if let (Ok(args), Ok(env)) = (args, env) {
        let _ = sys::execve(hook.path, args, env);
    }
    sys::exit(127)
}

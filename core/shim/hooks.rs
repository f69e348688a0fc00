//! Hooks: programs that the configuration wants run on the way. Each reads the container's state from its standard
//! input; one that fails fails the container (runtime-spec, runtime.md, "Lifecycle").

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, Errno, Fd, Forked, POLLIN, Poll};
use crate::text::Text;
use crate::wire::{Hook, List, NOT_FOUND, Step, fd};
use crate::{exec, init};

/// What hooks are told.
pub struct Stage {
    /// The state in JSON: before the status, between it and the pid, after that.
    pub state: (&'static CStr, &'static CStr, &'static CStr),
    /// `creating`, `created`.
    pub status: &'static [u8],
    /// The init, by the number that the hook's namespaces have of it.
    pub pid: i32,
    /// A connection to the caller, without whom the hook is not wanted any more; -1 for none.
    pub caller: Fd,
}

/// Runs them one after the other, as the process that runs them.
pub fn run(hooks: &List<'static, Hook<'static>>, stage: &Stage) -> Outcome {
    run_as(hooks, stage, &|| Ok(()))
}

/// The same; each first gives away in a process of its own what `give_away` does.
pub fn run_as(hooks: &List<'static, Hook<'static>>, stage: &Stage, give_away: &dyn Fn() -> Outcome) -> Outcome {
    hooks.iter().try_for_each(|hook| run_one(&hook, stage, give_away))
}

fn run_one(hook: &Hook<'static>, stage: &Stage, give_away: &dyn Fn() -> Outcome) -> Outcome {
    let failed = |errno| Fail { step: Step::Hook, errno, detail: hook.path.to_bytes() };
    let stdin = told(stage).at(Step::Hook, hook.path)?;
    let forked = sys::fork_plainly(0).at(Step::Hook, hook.path)?;
    let (pid, pidfd) = match forked {
        Forked::Child => become_hook(hook, stdin, give_away),
        Forked::Parent { pid, pidfd } => (pid, pidfd),
    };
    let _ = sys::close(stdin);
    let awaited = await_end(pidfd, hook.timeout_ms, stage.caller);
    // A profile of its own may keep it from signals; then the container's end ends it.
    let killed = if awaited == Awaited::Ended { Ok(()) } else { sys::pidfd_send_signal(pidfd, sys::SIGKILL) };
    let _ = sys::close(pidfd);
    killed.map_err(failed)?;
    match sys::wait(pid, false).at(Step::Hook, hook.path)? {
        _ if awaited == Awaited::TooLong => Err(failed(Errno::ETIMEDOUT)),
        _ if awaited == Awaited::ForNobody => Err(failed(Errno::ECONNRESET)),
        Some(end) if end.code == 0 && end.signal == 0 => Ok(()),
        Some(end) if end.code == NOT_FOUND => Err(failed(Errno::ENOENT)),
        _ => Err(failed(Errno(0))),
    }
}

/// The state as a file to read from. A pipe would hold no more than its buffer until the hook reads it.
fn told(stage: &Stage) -> sys::Result<Fd> {
    let (before, between, after) = stage.state;
    let mut pid: Text<16> = Text::new();
    pid.signed(stage.pid.into());
    let file = sys::memory_file(c"state")?;
    let parts = [before.to_bytes(), stage.status, between.to_bytes(), pid.bytes(), after.to_bytes()];
    let written = parts.iter().try_for_each(|part| sys::write_all(file, part));
    written.and_then(|()| sys::lseek(file, 0, 0)).inspect_err(|_| drop(sys::close(file))).map(|_| file)
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Awaited {
    Ended,
    TooLong,
    ForNobody,
}

fn await_end(pidfd: Fd, timeout_ms: u64, caller: Fd) -> Awaited {
    // Of the caller nothing but its end is to be told, which is always.
    let mut polls = [Poll { fd: pidfd, events: POLLIN, revents: 0 }, Poll { fd: caller, events: 0, revents: 0 }];
    let timeout = (timeout_ms > 0).then_some(timeout_ms);
    match sys::poll(&mut polls, timeout) {
        Ok(0) => Awaited::TooLong,
        Ok(_) if polls[0].revents == 0 => Awaited::ForNobody,
        // The wait that follows waits for it.
        _ => Awaited::Ended,
    }
}

fn become_hook(hook: &Hook<'static>, stdin: Fd, give_away: &dyn Fn() -> Outcome) -> ! {
    let _ = sys::dup_to(stdin, fd::STDIN);
    exec::reset_signals();
    let args = match hook.args.is_empty() {
        true => exec::vector(1, [hook.path.to_bytes_with_nul()].into_iter()),
        false => exec::vector(hook.args.len(), hook.args.iter().map(CStr::to_bytes_with_nul)),
    };
    let env = exec::vector(hook.env.len(), hook.env.iter().map(CStr::to_bytes_with_nul));
    if let (Ok(args), Ok(env)) = (args, env) {
        // A filter that comes with what it becomes may refuse all but the exec.
        if let Err(fail) = init::close_on_exec().step(Step::CloseFds).and_then(|()| give_away()) {
            fail.report();
            sys::exit(1);
        }
        let _ = sys::execve(hook.path, args, env);
    }
    sys::exit(NOT_FOUND)
}

//! A program of the host, run to its end on the host's behalf: it is this process's child, not the host's.

use crate::exec;
use crate::fail::{At, Fail, Outcome, send};
use crate::sys::{self, Forked};
use crate::wire::{NOT_FOUND, Oom, Program, Status, Step, fd};

/// Runs it and tells how it ended.
#[inline(never)]
pub fn run(program: Program<'static>) -> Outcome {
    let _ = sys::setsid();
    let child = match sys::fork_plainly(0).step(Step::Program)? {
        Forked::Child => become_program(&program),
        Forked::Parent { pid, .. } => pid,
    };
    if let Some(end) = sys::wait(child, false).step(Step::Program)? {
        send(&Status::Exited { code: end.code, signal: end.signal, unwritten: 0, oom: Oom::default() });
    }
    sys::exit(0)
}

fn become_program(program: &Program<'static>) -> ! {
    let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
    for number in [fd::STATUS, fd::LOCK, fd::TIE, fd::HOST] {
        let _ = sys::set_cloexec(number, true);
    }
    exec::reset_signals();
    let args = exec::vector(program.args.len(), program.args.iter().map(|a| a.to_bytes_with_nul()));
    let env = exec::vector(program.env.len(), program.env.iter().map(|e| e.to_bytes_with_nul()));
    let errno = match (args, env) {
        (Ok(args), Ok(env)) => sys::execve(program.path, args, env),
        (Err(errno), _) | (_, Err(errno)) => errno,
    };
    Fail { step: Step::Program, errno, detail: program.path.to_bytes() }.report();
    sys::exit(NOT_FOUND)
}

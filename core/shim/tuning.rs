//! How the kernel schedules an OCI container's process (runtime-spec, config.md, "Linux Process").

use crate::fail::{At, Outcome};
use crate::sys;
use crate::wire::{Step, Tuning};

/// While the process is its namespace's root, which may. A policy that takes precedence over others is only tried yet:
/// hooks, its children, and a listener's messenger, its thread, would have it too, and are to have their turn.
pub fn apply(tuning: &Tuning<'static>) -> Outcome {
    if let Some(priority) = tuning.io_priority {
        sys::ioprio_set(priority).step(Step::IoPriority)?;
    }
    if let Some((mode, nodes)) = tuning.memory {
        sys::set_mempolicy(mode, nodes).step(Step::MemoryPolicy)?;
    }
    if tuning.scheduler.is_empty() {
        return Ok(());
    }
    sys::sched_setattr(0, tuning.scheduler).step(Step::Scheduler)?;
    match precedence(tuning).is_empty() {
        true => Ok(()),
        false => sys::set_usual_scheduler(usual(tuning.scheduler)).step(Step::Scheduler),
    }
}

/// Where a `struct sched_attr` has its policy, and its flags.
const POLICY: usize = 4;
const FLAGS: usize = 8;

/// The policy to have in the end when that takes precedence over the usual ones; else nothing.
pub fn precedence(tuning: &Tuning<'static>) -> &'static [u8] {
    const SCHED_FIFO: u8 = 1;
    const SCHED_RR: u8 = 2;
    const SCHED_DEADLINE: u8 = 6;
    match policy(tuning.scheduler) {
        Some(SCHED_FIFO | SCHED_RR | SCHED_DEADLINE) => tuning.scheduler,
        _ => &[],
    }
}

/// The messenger, too, before the process beside it has it: with one of equal rank it has its turn.
pub fn give_precedence(scheduler: &'static [u8], to: i32) -> Outcome {
    const SCHED_DEADLINE: u8 = 6;
    if scheduler.is_empty() {
        return Ok(());
    }
    // The kernel sees to it that one of these leaves time to others.
    if to != 0 && policy(scheduler) != Some(SCHED_DEADLINE) {
        sys::sched_setattr(0, scheduler).step(Step::Scheduler)?;
    }
    sys::sched_setattr(to, scheduler).step(Step::Scheduler)
}

/// All of them are below 256.
fn policy(scheduler: &[u8]) -> Option<u8> {
    scheduler.get(if cfg!(target_endian = "big") { POLICY + 3 } else { POLICY }).copied()
}

/// A plain user can't take this flag back.
fn usual(scheduler: &[u8]) -> i32 {
    const RESET_ON_FORK: u8 = 1;
    match scheduler.get(if cfg!(target_endian = "big") { FLAGS + 7 } else { FLAGS }) {
        Some(flags) if flags & RESET_ON_FORK != 0 => sys::SCHED_OTHER | sys::SCHED_RESET_ON_FORK,
        _ => sys::SCHED_OTHER,
    }
}

/// The CPUs of this process; those that it has where none are told.
pub fn set_affinity(cpus: &'static [u8]) -> Outcome {
    if cpus.is_empty() { Ok(()) } else { sys::sched_setaffinity(cpus).step(Step::Affinity) }
}

//! How the kernel schedules an OCI container's process (runtime-spec, config.md, "Linux Process").

use crate::fail::{At, Outcome};
use crate::sys;
use crate::wire::{Step, Tuning};

/// While the process is its namespace's root, which may.
pub fn apply(tuning: &Tuning<'static>) -> Outcome {
    if let Some(priority) = tuning.io_priority {
        sys::ioprio_set(priority).step(Step::IoPriority)?;
    }
    if let Some((mode, nodes)) = tuning.memory {
        sys::set_mempolicy(mode, nodes).step(Step::MemoryPolicy)?;
    }
    match tuning.scheduler.is_empty() {
        true => Ok(()),
        false => sys::sched_setattr(tuning.scheduler).step(Step::Scheduler),
    }
}

/// The CPUs of this process; those that it has where none are told.
pub fn set_affinity(cpus: &'static [u8]) -> Outcome {
    if cpus.is_empty() { Ok(()) } else { sys::sched_setaffinity(cpus).step(Step::Affinity) }
}

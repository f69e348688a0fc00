//! How the kernel schedules a process, and where (config.md, "Linux Process").

use oci_spec::runtime::{
    ExecCPUAffinity, IOPriorityClass, LinuxIOPriority, LinuxSchedulerFlag, LinuxSchedulerPolicy, Process,
    Scheduler as OciScheduler,
};
use serde::Serialize;

use super::{invalid, unsupported};
use crate::error::Result;

/// What a process begins with besides.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Tuning {
    /// Policy and parameters; `None` to leave them as they are.
    pub scheduler: Option<Scheduler>,
    /// Class and level of its I/O, packed as `IOPRIO_PRIO_VALUE` does.
    pub io_priority: Option<u32>,
    /// Argument of `set_mempolicy(2)` and its nodes, bit by bit; `None` to leave it as it is.
    pub memory: Option<(u32, Vec<u8>)>,
    /// Of a further process: CPUs before and after it enters the cgroup, bit by bit; empty to leave them as they are.
    pub affinity: (Vec<u8>, Vec<u8>),
    /// What a seccomp listener is told, with the process's number between these; none without one.
    pub told: Vec<String>,
}

/// Members of `struct sched_attr`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Scheduler {
    /// `SCHED_*`
    pub policy: u32,
    /// `SCHED_FLAG_*`
    pub flags: u64,
    /// From -20 to 19.
    pub nice: i32,
    /// Of real-time policies.
    pub priority: u32,
    /// Nanoseconds, of `SCHED_DEADLINE`.
    pub runtime: u64,
    /// The same.
    pub deadline: u64,
    /// The same.
    pub period: u64,
}

/// Reads what a process asks for; `exec` has its CPUs, which the first process's are not.
pub(super) fn read(process: &Process) -> Result<Tuning> {
    Ok(Tuning {
        scheduler: process.scheduler().as_ref().map(scheduler).transpose()?,
        io_priority: process.io_priority().map(|priority| io_priority(&priority)).transpose()?,
        ..Tuning::default()
    })
}

fn scheduler(asked: &OciScheduler) -> Result<Scheduler> {
    let policy = policy(*asked.policy())?;
    let is = |name: LinuxSchedulerPolicy| *asked.policy() == name;
    let nice = asked.nice().unwrap_or(0);
    let priority = asked.priority().unwrap_or(0);
    let times = [asked.runtime(), asked.deadline(), asked.period()].map(|time| time.unwrap_or(0));
    let refused = |member: &str, because: &str| invalid(format!("process.scheduler.{member}"), because);
    if !(-20..=19).contains(&nice) {
        return Err(refused("nice", "it is not from -20 to 19"));
    }
    if priority != 0 && !is(LinuxSchedulerPolicy::SchedFifo) && !is(LinuxSchedulerPolicy::SchedRr) {
        return Err(refused("priority", "only SCHED_FIFO and SCHED_RR have one"));
    }
    if times != [0; 3] && !is(LinuxSchedulerPolicy::SchedDeadline) {
        return Err(refused("runtime", "runtime, deadline and period are SCHED_DEADLINE's alone"));
    }
    let flags = asked.flags().iter().flatten().map(flag).fold(0, |all, one| all | one);
    let priority = u32::try_from(priority).map_err(|_| refused("priority", "it is negative"))?;
    Ok(Scheduler { policy, flags, nice, priority, runtime: times[0], deadline: times[1], period: times[2] })
}

fn policy(policy: LinuxSchedulerPolicy) -> Result<u32> {
    Ok(match policy {
        LinuxSchedulerPolicy::SchedOther => 0,
        LinuxSchedulerPolicy::SchedFifo => 1,
        LinuxSchedulerPolicy::SchedRr => 2,
        LinuxSchedulerPolicy::SchedBatch => 3,
        LinuxSchedulerPolicy::SchedIdle => 5,
        LinuxSchedulerPolicy::SchedDeadline => 6,
        LinuxSchedulerPolicy::SchedIso => {
            return Err(unsupported("process.scheduler.policy", "no kernel has SCHED_ISO"));
        }
    })
}

fn flag(flag: &LinuxSchedulerFlag) -> u64 {
    match flag {
        LinuxSchedulerFlag::SchedResetOnFork => 0x01,
        LinuxSchedulerFlag::SchedFlagReclaim => 0x02,
        LinuxSchedulerFlag::SchedFlagDLOverrun => 0x04,
        LinuxSchedulerFlag::SchedFlagKeepPolicy => 0x08,
        LinuxSchedulerFlag::SchedFlagKeepParams => 0x10,
        LinuxSchedulerFlag::SchedFlagUtilClampMin => 0x20,
        LinuxSchedulerFlag::SchedFlagUtilClampMax => 0x40,
    }
}

fn io_priority(asked: &LinuxIOPriority) -> Result<u32> {
    let class = match asked.class() {
        IOPriorityClass::IoprioClassRt => 1,
        IOPriorityClass::IoprioClassBe => 2,
        IOPriorityClass::IoprioClassIdle => 3,
    };
    match asked.priority() {
        level @ 0..=7 => Ok(class << 13 | level as u32),
        other => Err(invalid("process.ioPriority.priority", format!("{other} is not from 0 to 7"))),
    }
}

/// CPUs of a further process, before and after it enters its cgroup.
pub(super) fn affinity(asked: &ExecCPUAffinity) -> Result<(Vec<u8>, Vec<u8>)> {
    let mask = |name: &str, list: &Option<String>| {
        let list = list.as_deref().filter(|list| !list.is_empty());
        list.map_or(Ok(Vec::new()), |list| {
            mask(list).ok_or_else(|| {
                invalid(format!("process.execCPUAffinity.{name}"), format!("{list:?} is no list of CPUs like 0-3,7"))
            })
        })
    };
    Ok((mask("initial", asked.initial())?, mask("final", asked.cpu_affinity_final())?))
}

/// Beyond all that a kernel can be built for.
const MOST_CPUS: usize = 1 << 16;

/// Whole words, as the kernel takes them.
pub(super) fn mask(list: &str) -> Option<Vec<u8>> {
    let mut bits = Vec::new();
    for part in list.split(',') {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last): (usize, usize) = (first.parse().ok()?, last.parse().ok()?);
        if first > last || last >= MOST_CPUS {
            return None;
        }
        bits.resize(bits.len().max((last / 64 + 1) * 8), 0u8);
        (first..=last).for_each(|cpu| bits[cpu / 8] |= 1 << (cpu % 8));
    }
    Some(bits)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lists_of_cpus_are_whole_words() {
        assert_eq!(mask("0-3,7").unwrap(), [0x8f, 0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(mask("64").unwrap()[8], 1);
        for bad in ["", "a", "3-1", "1-", "70000"] {
            assert_eq!(mask(bad), None, "{bad:?}");
        }
    }
}

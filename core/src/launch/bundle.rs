//! Containers by the OCI's rules: made by one call, started by another, entered from outside.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use super::encode::{self, Writer};
use super::helper::HelperSource;
use super::spawn::{self, Shim};
use crate::error::Result;
use crate::plan::launch::Process;
use crate::plan::oci::{BundlePlan, Device, Hook, Scheduler, Tuning};
use crate::wire::{self, fd};

/// What the caller passes on.
#[derive(Clone, Copy, Debug)]
pub struct BundleFds<'a> {
    /// The container's standard streams, where it has no terminal.
    pub streams: [BorrowedFd<'a>; 3],
    /// A socket that the master of its terminal is sent over.
    pub console: Option<BorrowedFd<'a>>,
    /// Further ones that the process has from 3 on.
    pub preserved: &'a [BorrowedFd<'a>],
    /// A connection to the listener of its seccomp filter.
    pub listener: Option<BorrowedFd<'a>>,
    /// Namespaces of the container, where its first process can't be asked for them; that of the users first.
    pub doors: &'a [OwnedFd],
}

impl<'a> BundleFds<'a> {
    fn passed(&self) -> Vec<(i32, BorrowedFd<'a>)> {
        let streams = [fd::STDIN, fd::STDOUT, fd::STDERR].into_iter().zip(self.streams);
        streams.chain(self.console.map(|console| (fd::CONSOLE, console))).collect()
    }

    /// Those that go behind the request, in the order in which they are read.
    fn behind(&self) -> impl Iterator<Item = BorrowedFd<'a>> {
        self.preserved.iter().copied().chain(self.listener).chain(self.doors.iter().map(AsFd::as_fd))
    }
}

/// A container that goes away with this value, or with this process, until [`Created::keep`].
#[derive(Debug)]
pub struct Created {
    /// Its first process.
    pub pid: i32,
    shim: Option<Shim>,
}

impl Created {
    /// Leaves it to the caller, once that can find it again; returns its first process.
    ///
    /// # Errors
    /// `Launch` when its helper was killed, and the container with it.
    pub fn keep(mut self) -> Result<i32> {
        if let Some(shim) = self.shim.take() {
            shim.let_go(PATIENCE)?;
        }
        Ok(self.pid)
    }
}

impl Drop for Created {
    fn drop(&mut self) {
        if let Some(shim) = self.shim.take() {
            shim.hang_up(PATIENCE);
        }
    }
}

/// How long a helper may take to end what it has begun.
const PATIENCE: Duration = Duration::from_secs(10);

/// Makes a container whose payload waits on `start`. `place` puts its first process into its cgroup, where the plan says
/// that it waits for that.
pub fn create(
    plan: &BundlePlan,
    fds: &BundleFds<'_>,
    start: BorrowedFd<'_>,
    helper: &HelperSource,
    place: &dyn Fn(i32) -> Result<()>,
) -> Result<Created> {
    let mut passed = fds.passed();
    passed.push((fd::START, start));
    let body = bundle(plan, fds.preserved.len())?;
    let (pid, shim) = ask((wire::Kind::Bundle, body), &passed, fds, helper, place)?;
    Ok(Created { pid, shim: Some(shim) })
}

/// A further process in a container.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct EnterPlan {
    /// `CLONE_NEW*` of each namespace to join.
    pub namespaces: u64,
    /// Its first process's root in `/proc`, where the container has no mount namespace of its own.
    pub root: Option<String>,
    /// The container has a user namespace of its own.
    pub mapped: bool,
    /// v1 directories to enter.
    pub v1: Vec<String>,
    /// v2 directory to enter.
    pub v2: Option<String>,
    /// It waits to be put into its cgroup.
    pub awaited: bool,
    /// The process.
    pub process: Process,
    /// Rows and columns of its terminal.
    pub console: Option<(u32, u32)>,
    /// What it begins with besides.
    pub tuning: Tuning,
}

/// Runs a further process in the container of the init that `inside` is a pidfd of; returns its number. `place` as above.
pub fn enter(
    plan: &EnterPlan,
    fds: &BundleFds<'_>,
    inside: BorrowedFd<'_>,
    helper: &HelperSource,
    place: &dyn Fn(i32) -> Result<()>,
) -> Result<i32> {
    let w = &mut Writer::default();
    w.u64(plan.namespaces);
    w.u32(fds.doors.len() as u32);
    w.option(&plan.root, |w, root| w.text(root));
    w.flag(plan.mapped);
    w.texts(&plan.v1);
    w.option(&plan.v2, |w, dir| w.text(dir));
    w.flag(plan.awaited);
    encode::process(w, &plan.process);
    w.option(&plan.console, size);
    tuning(w, &plan.tuning, fds.preserved.len());
    let mut passed = fds.passed();
    passed.push((fd::INSIDE, inside));
    ask((wire::Kind::Enter, std::mem::take(w).finish()?), &passed, fds, helper, place).map(|(pid, _)| pid)
}

fn ask(
    (kind, body): (wire::Kind, Vec<u8>),
    passed: &[(i32, BorrowedFd<'_>)],
    fds: &BundleFds<'_>,
    helper: &HelperSource,
    place: &dyn Fn(i32) -> Result<()>,
) -> Result<(i32, Shim)> {
    let shim = spawn::spawn(kind, body, passed, helper)?;
    // One that does not take them says why, or has been killed.
    fds.behind().for_each(|fd| {
        let _ = shim.pass(fd);
    });
    let failed = match shim.ready(place) {
        Ok((init, _)) => return Ok((init, shim)),
        Err(failed) => failed,
    };
    // The init speaks before the helper has cleaned up behind it.
    shim.hang_up(PATIENCE);
    Err(failed)
}

fn bundle(p: &BundlePlan, preserved: usize) -> Result<Vec<u8>> {
    let w = &mut Writer::default();
    encode::launch_into(w, &p.launch);
    let hooks = [&p.prestart, &p.create_runtime, &p.create_container, &p.start_container];
    hooks.into_iter().for_each(|hooks| w.list(hooks, hook));
    [&p.state.0, &p.state.1, &p.state.2].into_iter().for_each(|part| w.text(part));
    w.list(&p.devices, device);
    w.u64(p.propagation);
    w.option(&p.personality, |w, persona| w.u64(*persona));
    w.option(&p.console, size);
    tuning(w, &p.tuning, preserved);
    w.option(&p.user, |w, path| w.text(path));
    encode::namespace(w, &p.time);
    encode::namespace(w, &p.mount);
    w.text(&p.time_offsets);
    w.pairs(&p.net_devices);
    std::mem::take(w).finish()
}

fn tuning(w: &mut Writer, t: &Tuning, preserved: usize) {
    w.raw(&t.scheduler.as_ref().map(attributes).unwrap_or_default());
    w.option(&t.io_priority, |w, priority| w.u32(*priority));
    w.option(&t.memory, |w, (mode, nodes)| {
        w.u32(*mode);
        w.raw(nodes);
    });
    w.raw(&t.affinity.0);
    w.raw(&t.affinity.1);
    w.u32(preserved as u32);
    w.texts(&t.told);
}

/// `struct sched_attr` with its two members for clamps, which stay zero (`linux/sched/types.h`).
fn attributes(s: &Scheduler) -> Vec<u8> {
    const SIZE: u32 = 56;
    let mut bytes = Vec::with_capacity(SIZE as usize);
    bytes.extend(SIZE.to_ne_bytes());
    bytes.extend(s.policy.to_ne_bytes());
    bytes.extend(s.flags.to_ne_bytes());
    bytes.extend(s.nice.to_ne_bytes());
    bytes.extend(s.priority.to_ne_bytes());
    [s.runtime, s.deadline, s.period].into_iter().for_each(|time| bytes.extend(time.to_ne_bytes()));
    bytes.resize(SIZE as usize, 0);
    bytes
}

fn size(w: &mut Writer, (rows, columns): &(u32, u32)) {
    w.u32(*rows);
    w.u32(*columns);
}

fn hook(w: &mut Writer, hook: &Hook) {
    w.text(&hook.path);
    w.texts(&hook.args);
    w.texts(&hook.env);
    w.u64(hook.timeout_ms);
}

fn device(w: &mut Writer, device: &Device) {
    w.text(&device.path);
    let ((major, minor), (uid, gid)) = (device.number, device.owner);
    [device.mode, major, minor, uid, gid].into_iter().for_each(|number| w.u32(number));
}

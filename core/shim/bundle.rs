//! A container by the OCI's rules: made by one call, started by another, looked after by whoever called.
//!
//! The shim makes the init as for any container, runs the hooks that belong outside, says when all stands, waits until
//! the caller has written that down, and ends: the init then is a child of the caller's subreaper, which waits for it.
//! Nothing of ours stays but the init, which waits on a socket until it is started.

use crate::ahead::Ahead;
use crate::between::{self, Outside};
use crate::fail::{At, Fail, Outcome, send};
use crate::hooks::{self, Stage};
use crate::launch::{self, word};
use crate::netdev::{self, Moved};
use crate::passed::Passed;
use crate::place::Place;
use crate::sys::{self, Errno, Fd, Forked};
use crate::wire::{Bundle, Header, Status, Step, fd};
use crate::{binds, bundle_init, idmap, limits, terminal};

/// What the init tells the shim, besides the words of any start.
pub mod stage {
    /// All mounts stand.
    pub const MOUNTED: u8 = b'M';
    /// It waits to be started.
    pub const CREATED: u8 = b'C';
}

/// Makes the container and ends. Whoever of caller, shim and init is killed before, nothing of the others stays.
#[inline(never)]
pub fn run(header: &Header, bundle: Bundle<'static>) -> Outcome {
    let _ = sys::set_signal_mask(u64::MAX);
    let _ = sys::setsid();
    sys::umask(0o022);
    let launch = &bundle.launch;
    let passed = Passed::receive(&bundle.tuning)?;
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    let cgroup = launch.cgroup.v2.map(launch::open_cgroup).transpose()?;
    let place = Place::open(&bundle.mount)?;
    let (pid, pidfd) = match fork(&bundle, cgroup)? {
        (Forked::Child, entered, outside) => {
            bundle_init::run(&bundle, &passed, (place, outside), theirs, cgroup.filter(|_| !entered))
        }
        (Forked::Parent { pid, pidfd }, ..) => (pid, pidfd),
    };
    let _ = sys::close(theirs);
    let mut devices = None;
    match accompany(header, &bundle, ours, pid, &mut devices) {
        Ok(()) if is_kept(pid) => {
            let _ = sys::send(ours, &[word::GO]);
            sys::exit(0)
        }
        failed => {
            devices.iter().for_each(Moved::undo);
            abandon(pidfd, pid, failed.err().flatten())
        }
    }
}

fn fork(bundle: &Bundle<'static>, cgroup: Option<Fd>) -> Outcome<(Forked, bool, Outside)> {
    if bundle.launch.id_map.is_some() || bundle.user.is_some() {
        return between::fork(bundle, cgroup);
    }
    // Those with id maps.
    let outside = Outside::Binds(binds::make_all(&bundle.launch, false)?);
    launch::fork(&bundle.launch, Ahead::NOTHING, cgroup).map(|(forked, entered)| (forked, entered, outside))
}

/// The caller says so once it can find the container again; one that was killed says nothing.
fn is_kept(pid: i32) -> bool {
    send(&Status::Ready { init: pid, shim: sys::getpid() });
    let mut packet = [0];
    sys::recv(fd::STATUS, &mut packet, false) == Ok(1) && packet[0] == word::GO
}

/// Nothing may be left of a container that could not be made.
fn abandon(pidfd: Fd, pid: i32, failed: Option<Fail>) -> Outcome {
    let _ = sys::pidfd_send_signal(pidfd, sys::SIGKILL);
    let _ = sys::wait(pid, false);
    match failed {
        Some(fail) => Err(fail),
        // The init has told it.
        None => sys::exit(1),
    }
}

/// Does the init's work outside of it, until it waits to be started.
fn accompany(
    header: &Header,
    bundle: &Bundle<'static>,
    sync: Fd,
    pid: i32,
    devices: &mut Option<Moved>,
) -> Result<(), Option<Fail>> {
    if bundle.launch.cgroup.awaited {
        launch::await_placement(pid)?;
        sys::send(sync, &[word::PLACED]).step(Step::Died)?;
    }
    if let Some(map) = &bundle.launch.id_map {
        // Not by its parent's own, which hooks outside inherit.
        limits::give(&bundle.launch.process, pid)?;
        idmap::write(map, pid)?;
        sys::send(sync, &[word::MAPPED]).step(Step::IdMap)?;
    }
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    loop {
        let mut packet = [0];
        match sys::recv_fd(sync, &mut packet) {
            Ok((1, Some(master))) if packet[0] == word::TERMINAL => {
                terminal::hand_over(header, bundle.console, master)?
            }
            Ok((1, _)) if packet[0] == stage::MOUNTED => {
                *devices = netdev::move_all(bundle.net_devices, pid)?;
                mounted(bundle, sync, pid)?;
            }
            Ok((1, _)) if packet[0] == stage::CREATED => return Ok(()),
            Ok((1, _)) if packet[0] == word::FAILED => return Err(None),
            _ => return Err(Some(Fail { step: Step::Died, errno: Errno(0), detail: b"" })),
        }
    }
}

fn mounted(bundle: &Bundle<'static>, sync: Fd, pid: i32) -> Outcome {
    let stage = |status| Stage { state: bundle.state, status, pid, caller: fd::STATUS };
    // Those of old were run by the start, and know no other status.
    hooks::run(&bundle.prestart, &stage(b"created"))?;
    hooks::run(&bundle.create_runtime, &stage(b"creating"))?;
    // The init knows itself by another number, which a listener can't use.
    let [a, b, c, d] = pid.to_ne_bytes();
    sys::send(sync, &[word::GO, a, b, c, d]).step(Step::Died).map(drop)
}

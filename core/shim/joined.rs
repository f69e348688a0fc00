//! An init in a user namespace that exists. Who has joined one can't come back, so a process of its own does, and its
//! child is the shim's.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, Errno, Fd, Forked};
use crate::wire::{Bundle, Namespace, Step};
use crate::{early, init, launch, limits};

/// The init, and whether it was born in its v2 cgroup.
pub fn fork(bundle: &Bundle<'static>, user: &'static CStr, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let (ours, theirs) = sys::socketpair().step(Step::Clone)?;
    match sys::fork(0, None).or_else(|_| sys::fork_by_clone(0)).step(Step::Clone)? {
        Forked::Child => go_between(bundle, user, cgroup, theirs),
        Forked::Parent { pid, pidfd } => {
            let _ = sys::close(theirs);
            let _ = sys::close(pidfd);
            let init = told(ours);
            let _ = sys::close(ours);
            let _ = sys::wait(pid, false);
            let pid = init.ok_or(SAID)?;
            Ok((Forked::Parent { pid, pidfd: sys::pidfd_open(pid).step(Step::Clone)? }, false))
        }
    }
}

/// The one in between has told the caller, or was killed.
const SAID: Fail = Fail { step: Step::Died, errno: Errno(0), detail: b"" };

fn told(ours: Fd) -> Option<i32> {
    let mut pid = [0; 4];
    (sys::recv(ours, &mut pid, false) == Ok(4)).then(|| i32::from_ne_bytes(pid))
}

/// Returns in the init alone.
fn go_between(
    bundle: &Bundle<'static>,
    user: &'static CStr,
    cgroup: Option<Fd>,
    theirs: Fd,
) -> Outcome<(Forked, bool)> {
    match join_and_fork(bundle, user, cgroup) {
        Ok((Forked::Child, entered)) => {
            // Held here it would keep the shim from seeing the end of the one in between.
            let _ = sys::close(theirs);
            return Ok((Forked::Child, entered));
        }
        Ok((Forked::Parent { pid, .. }, _)) => {
            let _ = sys::send(theirs, &pid.to_ne_bytes());
        }
        Err(failed) => failed.report(),
    }
    sys::exit(0)
}

fn join_and_fork(bundle: &Bundle<'static>, user: &'static CStr, cgroup: Option<Fd>) -> Outcome<(Forked, bool)> {
    let launch = &bundle.launch;
    let pid = match launch.namespaces.pid {
        Namespace::Join(path) => Some(path),
        _ => None,
    };
    // Inherited by the init.
    limits::give(&launch.process, limits::OWN)?;
    // Whichever namespace they belong to: the host's root may join them before, that of the user namespace afterwards. This
    // process need not come back.
    early::join(launch, &bundle.time)?;
    let early = pid.is_some_and(|path| init::join(path, sys::CLONE_NEWPID).is_ok());
    init::join(user, sys::CLONE_NEWUSER)?;
    if let Some(path) = pid.filter(|_| !early) {
        init::join(path, sys::CLONE_NEWPID)?;
    }
    launch::fork_with(launch::namespaces(launch) | sys::CLONE_PARENT, cgroup)
}

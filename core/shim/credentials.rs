//! What the payload may: capabilities, ids, no new privileges, the seccomp filter. In this order.

use crate::fail::{At, Outcome};
use crate::listener::Messenger;
use crate::sys::{self, Errno, Fd};
use crate::user::User;
use crate::wire::{Capabilities, Process, Step};

/// Takes everything away that the plan doesn't give; `mapped` in a user namespace of the container's own.
pub fn drop_to(process: &Process<'static>, mapped: bool, user: &User, listener: Option<&Messenger>) -> Outcome {
    // A filter needs CAP_SYS_ADMIN or no_new_privs: without the latter it comes while there is the former.
    if !process.no_new_privs {
        install_filter(process, listener)?;
    }
    drop_bounding(process.capabilities.bounding)?;
    set_ids(process, mapped, user)?;
    set_capabilities(&process.capabilities, user.uid)?;
    if process.no_new_privs {
        sys::prctl(sys::PR_SET_NO_NEW_PRIVS, 1, 0).step(Step::NoNewPrivs)?;
        install_filter(process, listener)?;
    }
    Ok(())
}

fn install_filter(process: &Process<'static>, listener: Option<&Messenger>) -> Outcome {
    if process.seccomp.is_empty() {
        return Ok(());
    }
    let Some(messenger) = listener else {
        // That flag is of a listener.
        let flags = process.seccomp_flags & !sys::SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV;
        return sys::seccomp(process.seccomp, flags).step(Step::Seccomp).map(drop);
    };
    let flags = process.seccomp_flags | sys::SECCOMP_FILTER_FLAG_NEW_LISTENER;
    messenger.hand_over(sys::seccomp(process.seccomp, flags).map(|filter| filter as Fd))
}

fn drop_bounding(keep: u64) -> Outcome {
    for capability in (0..64).filter(|n| keep & (1 << n) == 0) {
        match sys::prctl(sys::PR_CAPBSET_DROP, capability, 0) {
            // Beyond the last that this kernel knows.
            Err(Errno::EINVAL) => return Ok(()),
            other => other.step(Step::Capabilities)?,
        };
    }
    Ok(())
}

fn set_ids(process: &Process<'static>, mapped: bool, user: &User) -> Outcome {
    if user.uid != 0 && process.capabilities.ambient != 0 {
        sys::prctl(sys::PR_SET_KEEPCAPS, 1, 0).step(Step::Capabilities)?;
    }
    match sys::setgroups(user.groups()) {
        // With a map of one id the kernel denies it, and there is no other group to have. A group that a longer map lacks
        // is told (EINVAL): all others would be missing with it.
        Err(Errno::EPERM) if mapped => {}
        other => other.at(Step::Ids, process.user)?,
    }
    sys::setresgid(user.gid).at(Step::Ids, process.user)?;
    sys::setresuid(user.uid).at(Step::Ids, process.user)
}

fn set_capabilities(c: &Capabilities<'static>, uid: u32) -> Outcome {
    let root = uid == 0;
    // What exec gives to a user other than root is the ambient set, as in Docker.
    let (effective, permitted) = if root { (c.effective, c.permitted) } else { (c.ambient, c.ambient) };
    let held = permitted | c.ambient;
    sys::capset(effective, held, c.inheritable | c.ambient).step(Step::Capabilities)?;
    for capability in (0..64).filter(|n| c.ambient & (1 << n) != 0) {
        sys::prctl(sys::PR_CAP_AMBIENT, sys::PR_CAP_AMBIENT_RAISE, capability).step(Step::Capabilities)?;
    }
    Ok(())
}

//! Namespaces by path that are joined before the container's init is made: from within a user namespace of its own those
//! of the host can't be joined any more.

use core::ffi::CStr;
use core::sync::atomic::{AtomicU64, Ordering};

use crate::fail::{At, Outcome};
use crate::init;
use crate::sys::{self, AT_FDCWD, Fd};
use crate::wire::{Launch, Namespace, Step};

/// `CLONE_NEW*` of those that this process, or its parent for it, has joined.
static JOINED: AtomicU64 = AtomicU64::new(0);

/// Whether that has been done.
pub fn is_joined(kind: u64) -> bool {
    JOINED.load(Ordering::Relaxed) & kind != 0
}

/// This process's own, of each kind that it has left.
pub struct Left {
    own: [(Fd, u64); KINDS],
    count: usize,
}

const KINDS: usize = 5;

/// Joins those that can be, for the children; what can't be joined from here is left to the init.
pub fn join(launch: &Launch<'static>, time: &Namespace<'static>) -> Outcome<Left> {
    let n = &launch.namespaces;
    let all: [(&Namespace<'static>, u64, &CStr); KINDS] = [
        (&n.net, sys::CLONE_NEWNET, c"/proc/self/ns/net"),
        (&n.ipc, sys::CLONE_NEWIPC, c"/proc/self/ns/ipc"),
        (&n.uts, sys::CLONE_NEWUTS, c"/proc/self/ns/uts"),
        (&n.cgroup, sys::CLONE_NEWCGROUP, c"/proc/self/ns/cgroup"),
        (time, sys::CLONE_NEWTIME, c"/proc/self/ns/time"),
    ];
    let mut left = Left { own: [(-1, 0); KINDS], count: 0 };
    for (namespace, kind, own) in all {
        let Namespace::Join(path) = *namespace else { continue };
        let own = sys::openat(AT_FDCWD, own, sys::O_RDONLY, 0).at(Step::JoinNamespace, path)?;
        match init::join(path, kind) {
            Ok(()) => left.push(own, kind),
            Err(_) => drop(sys::close(own)),
        }
    }
    Ok(left)
}

impl Left {
    fn push(&mut self, own: Fd, kind: u64) {
        self.own[self.count] = (own, kind);
        self.count += 1;
        JOINED.fetch_or(kind, Ordering::Relaxed);
    }

    /// Back to this process's own.
    pub fn back(self) -> Outcome {
        for (own, kind) in &self.own[..self.count] {
            sys::setns(*own, *kind).step(Step::JoinNamespace)?;
            let _ = sys::close(*own);
        }
        JOINED.store(0, Ordering::Relaxed);
        Ok(())
    }
}

//! What a shim makes ahead of its request, while the host still works that out.

use crate::fail::{At, Outcome};
use crate::init;
use crate::sys::{self, AT_FDCWD, Fd};
use crate::wire::{Launch, Namespace, Step};

/// What there is for the first init.
#[derive(Clone, Copy)]
pub struct Ahead {
    /// The network namespace to go back to; -1 while this is still in it.
    host_net: Fd,
}

impl Ahead {
    /// Nothing: the init makes all by itself.
    pub const NOTHING: Ahead = Ahead { host_net: -1 };

    /// This process in a new network namespace, which takes longer to make than all the others together, and its
    /// loopback up. Nothing where that doesn't work; the init will tell why.
    pub fn in_new_net() -> Ahead {
        let Ok(host_net) = sys::openat(AT_FDCWD, c"/proc/self/ns/net", sys::O_RDONLY, 0) else { return Ahead::NOTHING };
        // Who may not enter the host's, as in a user namespace that doesn't own it, could not come back.
        let made = sys::setns(host_net, sys::CLONE_NEWNET).and_then(|()| sys::unshare(sys::CLONE_NEWNET));
        let ahead = Ahead { host_net };
        match made.map(|()| init::raise_loopback()) {
            Ok(Ok(())) => ahead,
            Ok(Err(_)) => ahead.leave().map_or(ahead, |()| Ahead::NOTHING),
            Err(_) => {
                let _ = sys::close(host_net);
                Ahead::NOTHING
            }
        }
    }

    /// What of it this launch can use; the rest is left.
    pub fn suiting(self, launch: &Launch<'static>) -> Outcome<Ahead> {
        // One of a container's user belongs to its user namespace.
        let wanted = launch.namespaces.net == Namespace::New && !launch.namespaces.user;
        if wanted { Ok(self) } else { self.leave().map(|()| Ahead::NOTHING) }
    }

    /// `CLONE_NEW*` of the namespaces that a child of this process is born in.
    pub fn namespaces(&self) -> u64 {
        if self.host_net < 0 { 0 } else { sys::CLONE_NEWNET }
    }

    /// Back to the host's.
    pub fn leave(self) -> Outcome {
        if self.host_net < 0 {
            return Ok(());
        }
        let left = sys::setns(self.host_net, sys::CLONE_NEWNET).at(Step::JoinNamespace, c"/proc/self/ns/net");
        let _ = sys::close(self.host_net);
        left
    }
}

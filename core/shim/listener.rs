//! The listener of a seccomp filter is told of it by a process beside the one that the filter is for: that may have any
//! call decided by the listener, and would wait for it before the listener is there.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicI32, Ordering};

use crate::arch;
use crate::fail::{At, Outcome};
use crate::sys::{self, Fd, Forked};
use crate::wire::Step;

/// It is told by one message (runtime-spec, config-linux.md, "The Container Process State").
pub struct Listener {
    /// A connection to it.
    pub socket: Fd,
    /// The message.
    pub message: &'static [u8],
}

/// Holds the same descriptors as this process, and waits for that of the filter. No call is needed to reach it: both
/// look at the same memory.
pub struct Messenger {
    /// The filter's descriptor, [`NOT_YET`] or [`REFUSED`].
    filter: &'static AtomicI32,
    /// [`NOT_YET`], [`DONE`] or [`REFUSED`].
    told: &'static AtomicI32,
}

const NOT_YET: i32 = 0;
const DONE: i32 = 1;
const REFUSED: i32 = -1;
/// Some seconds: there is no asking for the time, and who tells the listener is done in microseconds.
const PATIENCE: u32 = 1 << 27;

impl Listener {
    /// Makes the messenger. Nobody has to wait for its end.
    pub fn messenger(&self) -> Outcome<Messenger> {
        let [filter, told] = sys::shared_words().step(Step::Listener)?;
        let messenger = Messenger { filter, told };
        let me = sys::getpid();
        sys::reap_children_by_kernel().step(Step::Listener)?;
        let same = sys::CLONE_FILES;
        match sys::fork(same, None).or_else(|_| sys::fork_by_clone(same)).step(Step::Listener)? {
            Forked::Child => self.await_filter(&messenger, me),
            Forked::Parent { pidfd, .. } => {
                let _ = sys::close(pidfd);
                Ok(messenger)
            }
        }
    }

    /// In the messenger.
    fn await_filter(&self, messenger: &Messenger, parent: i32) -> ! {
        let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
        while messenger.filter.load(Ordering::Acquire) == NOT_YET && sys::getppid() == parent {
            let _ = sys::poll(&mut [], Some(1));
        }
        let filter = messenger.filter.load(Ordering::Acquire);
        if filter > NOT_YET {
            let told = self.tell(filter).inspect_err(|fail| {
                // What would wait for a listener is refused from here on. The descriptor is the other's too.
                let _ = sys::close(filter);
                fail.report();
            });
            messenger.told.store(if told.is_ok() { DONE } else { REFUSED }, Ordering::Release);
        }
        sys::exit(0)
    }

    /// On a stream the first bytes carry the descriptor; the rest may need several calls.
    fn tell(&self, filter: Fd) -> Outcome {
        let sent = sys::send_fds(self.socket, self.message, &[filter]).step(Step::Listener)?;
        let mut rest = &self.message[sent..];
        while !rest.is_empty() {
            let more = sys::send(self.socket, rest).step(Step::Listener)?;
            rest = &rest[more..];
        }
        Ok(())
    }
}

impl Messenger {
    /// Gives it the filter's descriptor, which is this process's until the exec, and waits until the listener has it.
    /// Makes no call, nor to end: where the listener can't be told, that has been reported, and who was killed on the way
    /// (for want of memory, or by the container's root) reports nothing.
    pub fn hand_over(&self, filter: sys::Result<Fd>) -> Outcome {
        self.filter.store(*filter.as_ref().unwrap_or(&REFUSED), Ordering::Release);
        filter.step(Step::Seccomp)?;
        for _ in 0..PATIENCE {
            match self.told.load(Ordering::Acquire) {
                NOT_YET => spin_loop(),
                DONE => return Ok(()),
                _ => break,
            }
        }
        arch::trap()
    }
}

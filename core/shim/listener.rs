//! The listener of a seccomp filter is told of it by a process beside the one that the filter is for: that may have any
//! call decided by the listener, and would wait for it before the listener is there.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicI32, Ordering};

use crate::fail::{self, At, Fail, Outcome};
use crate::launch::word;
use crate::sys::{self, Errno, Fd, Forked, POLLIN, Poll};
use crate::wire::Step;
use crate::{arch, tuning};

/// It is told by one message (runtime-spec, config-linux.md, "The Container Process State").
pub struct Listener {
    /// A connection to it.
    pub socket: Fd,
    /// The message.
    pub message: &'static [u8],
    /// The policy that the process is to have at last, which can't wait for anybody with it.
    pub precedence: &'static [u8],
    /// Whether who waits for the start is told that all is ready.
    pub ready: bool,
}

/// Holds the same descriptors as this process, and waits for that of the filter. No call is needed to reach it: both
/// look at the same memory.
pub struct Messenger {
    /// The filter's descriptor, [`NOT_YET`] or [`REFUSED`].
    filter: &'static AtomicI32,
    /// [`NOT_YET`], then the messenger's number until it is [`DONE`] or [`REFUSED`]; with [`sys::FUTEX_OWNER_DIED`]
    /// when the messenger was killed before.
    told: &'static AtomicI32,
}

const NOT_YET: i32 = 0;
const REFUSED: i32 = -1;
/// No number of a process, as that.
const DONE: i32 = -2;

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
                let there = messenger.await_it(pidfd);
                let _ = sys::close(pidfd);
                there.map(|()| messenger)
            }
        }
    }

    /// In the messenger.
    fn await_filter(&self, messenger: &Messenger, parent: i32) -> ! {
        let _ = sys::prctl(sys::PR_SET_PDEATHSIG, sys::SIGKILL as usize, 0);
        if let Err(fail) = sys::leave(messenger.told).step(Step::Listener) {
            fail.report();
            sys::exit(1);
        }
        messenger.told.store(sys::getpid(), Ordering::Release);
        while messenger.filter.load(Ordering::Acquire) == NOT_YET && sys::getppid() == parent {
            let _ = sys::poll(&mut [], Some(1));
        }
        let filter = messenger.filter.load(Ordering::Acquire);
        if filter > NOT_YET {
            let told = self.tell(filter).and_then(|()| self.make_ready(parent)).inspect_err(|fail| {
                // What would wait for a listener is refused from here on. The descriptor is the other's too.
                let _ = sys::close(filter);
                fail.report();
            });
            messenger.told.store(if told.is_ok() { DONE } else { REFUSED }, Ordering::Release);
        }
        sys::exit(0)
    }

    /// All that is left to do in the place of the process, which may make no call.
    fn make_ready(&self, process: i32) -> Outcome {
        tuning::give_precedence(self.precedence, process)?;
        if self.ready {
            fail::say(word::READY);
        }
        Ok(())
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
    /// From here on its end is to be seen in memory.
    fn await_it(&self, pidfd: Fd) -> Outcome {
        while self.told.load(Ordering::Acquire) == NOT_YET {
            let mut polls = [Poll { fd: pidfd, events: POLLIN, revents: 0 }];
            if sys::poll(&mut polls, Some(1)).is_ok_and(|ready| ready > 0) {
                return Err(Fail { step: Step::Listener, errno: Errno::ESRCH, detail: b"" });
            }
        }
        Ok(())
    }

    /// Gives it the filter's descriptor, which is this process's until the exec, and waits until the listener has it.
    /// Makes no call, nor to end: where the listener can't be told, that has been reported; where the messenger was killed
    /// (for want of memory, or by the container's root), whoever started this process sees it end.
    pub fn hand_over(&self, filter: sys::Result<Fd>) -> Outcome {
        self.filter.store(*filter.as_ref().unwrap_or(&REFUSED), Ordering::Release);
        filter.step(Step::Seccomp)?;
        loop {
            match self.told.load(Ordering::Acquire) {
                DONE => return Ok(()),
                word if word == REFUSED || word & sys::FUTEX_OWNER_DIED != 0 => arch::trap(),
                _ => spin_loop(),
            }
        }
    }
}

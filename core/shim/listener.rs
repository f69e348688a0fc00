//! The listener of a seccomp filter is told of it by a thread beside the one that the filter is for: that may have any
//! call decided by the listener, and would wait for it before the listener is there.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicI32, Ordering};

use crate::fail::{self, At, Outcome};
use crate::launch::word;
use crate::sys::{self, Fd};
use crate::wire::Step;
use crate::{arch, tuning};

/// It is told by one message (runtime-spec, config-linux.md, "The Container Process State").
#[derive(Clone, Copy)]
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

/// A thread, so that it ends at the exec at the latest, leaves the payload no child, and can't be killed alone. It has the
/// same descriptors, no filter, and no call is needed to reach it: both look at the same memory.
pub struct Messenger {
    listener: Listener,
    /// The filter's descriptor, [`NOT_YET`] or [`REFUSED`].
    filter: AtomicI32,
    /// [`NOT_YET`], [`DONE`] or [`REFUSED`].
    told: AtomicI32,
}

const NOT_YET: i32 = 0;
const DONE: i32 = 1;
const REFUSED: i32 = -1;

impl Listener {
    pub fn messenger(self) -> Outcome<&'static Messenger> {
        let memory = sys::map_anonymous(size_of::<Messenger>()).step(Step::Listener)?.as_mut_ptr().cast::<Messenger>();
        let messenger = Messenger { listener: self, filter: AtomicI32::new(NOT_YET), told: AtomicI32::new(NOT_YET) };
        // SAFETY: a fresh mapping, page-aligned, long enough, which nobody unmaps.
        let messenger = unsafe {
            memory.write(messenger);
            &*memory
        };
        sys::thread(Messenger::deliver, messenger).step(Step::Listener)?;
        Ok(messenger)
    }

    /// All that is left to do in the place of the process, which may make no call.
    fn make_ready(&self) -> Outcome {
        tuning::give_precedence(self.precedence, sys::getpid())?;
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
    /// All that the thread does.
    extern "C" fn deliver(&'static self) -> ! {
        let filter = self.await_filter();
        if filter != REFUSED {
            let told = self.listener.tell(filter).and_then(|()| self.listener.make_ready()).inspect_err(|fail| {
                // What would wait for a listener is refused from here on. The descriptor is the other's too.
                let _ = sys::close(filter);
                fail.report();
            });
            self.told.store(if told.is_ok() { DONE } else { REFUSED }, Ordering::Release);
        }
        sys::exit_thread()
    }

    fn await_filter(&self) -> Fd {
        loop {
            match self.filter.load(Ordering::Acquire) {
                NOT_YET => _ = sys::poll(&mut [], Some(1)),
                filter => return filter,
            }
        }
    }

    /// Gives it the filter's descriptor, which is this process's until the exec, and waits until the listener has it.
    /// Makes no call, nor to end: where the listener can't be told, that has been reported.
    pub fn hand_over(&self, filter: sys::Result<Fd>) -> Outcome {
        self.filter.store(*filter.as_ref().unwrap_or(&REFUSED), Ordering::Release);
        filter.step(Step::Seccomp)?;
        loop {
            match self.told.load(Ordering::Acquire) {
                DONE => return Ok(()),
                REFUSED => arch::trap(),
                _ => spin_loop(),
            }
        }
    }
}

//! What comes over the status socket behind the request: descriptors that the payload keeps, then the socket of a
//! seccomp listener.

use core::ffi::CStr;

use crate::fail::{self, At, Fail, Outcome};
use crate::listener::Listener;
use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use crate::wire::{List, Step, Tuning, fd};
use crate::{memory, tuning};

/// Held out of the way of all numbers that are given to somebody.
#[derive(Clone, Copy)]
pub struct Passed {
    kept: &'static [usize],
    listener: Option<Fd>,
    told: List<'static, &'static CStr>,
    precedence: &'static [u8],
}

impl Passed {
    /// Takes them off the socket, one a packet.
    pub fn receive(asked: &Tuning<'static>) -> Outcome<Passed> {
        let kept = memory::words(asked.preserved as usize).step(Step::Preserve)?;
        let top = top(kept.len());
        for word in kept.iter_mut() {
            *word = receive_one(top, Step::Preserve)? as usize;
        }
        let listener = match asked.told.is_empty() {
            true => None,
            false => Some(receive_one(top, Step::Listener)?),
        };
        Ok(Passed { kept, listener, told: asked.told, precedence: tuning::precedence(asked) })
    }

    /// One more behind them.
    pub fn receive_more(&self, step: Step) -> Outcome<Fd> {
        receive_one(top(self.kept.len()), step)
    }

    /// A descriptor of ours that is needed until the exec, out of the way of the payload's.
    pub fn above(&self, fd: Fd) -> Outcome<Fd> {
        let moved = sys::dup_above(fd, top(self.kept.len())).step(Step::Preserve)?;
        sys::close(fd).step(Step::Preserve)?;
        Ok(moved)
    }

    /// Puts the payload's in their places, from the first number behind the standard streams on.
    pub fn place(&self) -> Outcome {
        if self.kept.is_empty() {
            return Ok(());
        }
        fail::report_to(self.above(fd::STATUS)?);
        // Who listens there tells others until the exec that the payload does not run yet.
        let _ = self.above(fd::START);
        for (to, from) in (fd::STDERR + 1..).zip(self.kept) {
            sys::dup_to(*from as Fd, to).step(Step::Preserve)?;
        }
        Ok(())
    }

    /// The policy that was only tried yet, for this process.
    pub fn take_precedence(&self) -> Outcome {
        tuning::give_precedence(self.precedence, 0)
    }

    /// The listener, if there is one, and its message about the process `pid`, written while any call may be made.
    pub fn listener(&self, pid: i32) -> Outcome<Option<Listener>> {
        let Some(socket) = self.listener else { return Ok(None) };
        let mut number: Text<16> = Text::new();
        number.signed(pid.into());
        let parts = self.told.len() - 1;
        let length = self.told.iter().map(|part| part.count_bytes()).sum::<usize>() + parts * number.bytes().len();
        let message = sys::map_anonymous(length).step(Step::Listener)?;
        let mut at = 0;
        let mut put = |bytes: &[u8]| {
            message[at..at + bytes.len()].copy_from_slice(bytes);
            at += bytes.len();
        };
        for (nth, part) in self.told.iter().enumerate() {
            if nth > 0 {
                put(number.bytes());
            }
            put(part.to_bytes());
        }
        Ok(Some(Listener { socket, message, precedence: self.precedence, ready: false }))
    }
}

fn top(kept: usize) -> Fd {
    (fd::STDERR + 1 + kept as Fd).max(fd::FIRST_FREE + 1)
}

fn receive_one(top: Fd, step: Step) -> Outcome<Fd> {
    match sys::recv_fd(fd::STATUS, &mut [0]).step(step)? {
        (1, Some(fd)) => {
            let kept = sys::dup_above(fd, top).step(step)?;
            let _ = sys::close(fd);
            Ok(kept)
        }
        _ => Err(Fail { step, errno: Errno::EBADF, detail: b"" }),
    }
}

//! Joining the streams of the running container, by its socket, from now on.

use crate::fail::{At, Fail, Outcome};
use crate::relay::{Input, Output};
use crate::sys::{self, Errno, Fd};
use crate::wire::{AttachHead, Step};

/// The container's streams, as the shim serves them.
pub struct Streams<'a> {
    /// Standard output and error; with a terminal, it is the first.
    pub outputs: &'a mut [Output; 2],
    /// Standard input.
    pub input: &'a mut Input,
}

/// What a client gets, and what stays here.
pub struct Joined {
    /// Bits of those streams that it got.
    pub which: u32,
    /// Its ends, in the order of the bits; -1 for none.
    pub theirs: [Fd; 3],
    /// What it writes for the container's input is read here.
    pub input: Fd,
}

impl Streams<'_> {
    /// Joins those that are asked for and are there; the outputs write to their pipes in this owner's name.
    pub fn join(&mut self, head: &AttachHead, owner: usize) -> Outcome<Joined> {
        if !self.outputs[0].is_relayed() {
            // Whoever started it has given it streams of his own.
            return Err(Fail { step: Step::Attach, errno: Errno::EINVAL, detail: b"" });
        }
        let mut joined = Joined { which: 0, theirs: [-1; 3], input: -1 };
        let done = self.fill(head, owner, &mut joined);
        if done.is_err() {
            self.leave(owner);
            joined.theirs.into_iter().chain([joined.input]).for_each(|fd| drop(sys::close(fd)));
        }
        done.map(|()| joined)
    }

    fn fill(&mut self, head: &AttachHead, owner: usize, joined: &mut Joined) -> Outcome {
        if head.stdin && self.input.is_open() {
            let (ours, theirs) = sys::pipe(0).step(Step::Attach)?;
            (joined.input, joined.theirs[0]) = (ours, theirs);
            sys::set_status_flags(ours, sys::O_NONBLOCK).step(Step::Attach)?;
            joined.which |= 1;
        }
        for (number, wanted) in [head.stdout, head.stderr].into_iter().enumerate() {
            if wanted && self.outputs[number].is_open() {
                joined.theirs[number + 1] = self.tap(number, owner)?;
                joined.which |= 2 << number;
            }
        }
        Ok(())
    }

    fn tap(&mut self, number: usize, owner: usize) -> Outcome<Fd> {
        let (theirs, ours) = sys::pipe(0).step(Step::Attach)?;
        let _ = sys::set_status_flags(ours, sys::O_NONBLOCK);
        if self.outputs[number].tap(ours, owner) {
            return Ok(theirs);
        }
        let _ = (sys::close(ours), sys::close(theirs));
        Err(Fail { step: Step::Busy, errno: Errno::EMFILE, detail: b"" })
    }

    /// An owner has left.
    pub fn leave(&mut self, owner: usize) {
        self.outputs.iter_mut().for_each(|output| output.taps.remove(owner));
    }
}

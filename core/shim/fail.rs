//! Failures: the step, the errno and the path that the host makes a sentence of.

use core::ffi::CStr;
use core::sync::atomic::{AtomicI32, Ordering};

use crate::sys::{self, Errno, Fd};
use crate::text::Text;
use crate::wire::{PACKET_MAX, Status, Step, fd};

/// A failed step.
#[derive(Clone, Copy)]
pub struct Fail {
    /// Where.
    pub step: Step,
    /// Why.
    pub errno: Errno,
    /// The path or text that belongs to it; lies in the request or in the program.
    pub detail: &'static [u8],
}

/// The result of a step.
pub type Outcome<T = ()> = core::result::Result<T, Fail>;

impl Fail {
    /// Tells the host.
    pub fn report(&self) {
        send(&Status::Failed { step: self.step as u32, errno: self.errno.0, detail: self.detail });
    }
}

/// Gives an errno its step and detail.
pub trait At<T> {
    /// The step, without a path.
    fn step(self, step: Step) -> Outcome<T>;
    /// The step and the path from the request.
    fn at(self, step: Step, path: &'static CStr) -> Outcome<T>;
}

impl<T> At<T> for sys::Result<T> {
    fn step(self, step: Step) -> Outcome<T> {
        self.map_err(|errno| Fail { step, errno, detail: b"" })
    }

    fn at(self, step: Step, path: &'static CStr) -> Outcome<T> {
        self.map_err(|errno| Fail { step, errno, detail: path.to_bytes() })
    }
}

static REPORTS: AtomicI32 = AtomicI32::new(fd::STATUS);

/// From now on the socket to the host has this number.
pub fn report_to(socket: Fd) {
    REPORTS.store(socket, Ordering::Relaxed);
}

/// Tells whoever waits there a word.
pub fn say(word: u8) {
    let _ = sys::send(REPORTS.load(Ordering::Relaxed), &[word]);
}

/// Sends a packet to the host; a host that has gone away is no reason to stop.
pub fn send(status: &Status) {
    let mut packet = [0; PACKET_MAX];
    let n = status.encode(&mut packet);
    let socket = REPORTS.load(Ordering::Relaxed);
    // A container's filter may deny sockets, and few deny this.
    if sys::send(socket, &packet[..n]).is_err() {
        let _ = sys::write(socket, &packet[..n]);
    }
}

/// Keeps a copy of a text for a [`Fail`] beyond the life of its buffer.
pub fn keep<const N: usize>(text: &Text<N>) -> &'static [u8] {
    match sys::map_anonymous(text.bytes().len()) {
        Ok(memory) => {
            memory[..text.bytes().len()].copy_from_slice(text.bytes());
            &memory[..text.bytes().len()]
        }
        Err(_) => b"",
    }
}

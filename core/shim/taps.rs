//! Those who joined one of the container's output streams later, by its socket: each gets what comes from then on.
//!
//! One that reads slowly slows the container down, as a pipe does; one that takes nothing for a while is let go, so
//! that nobody can stop the container or its log.

use crate::sys::{self, Errno, Fd, POLLERR, POLLOUT, Poll};

/// So many at one time for each stream.
pub const MOST: usize = 8;
/// Who takes nothing for so long has lost it.
const PATIENCE_MS: u64 = 1000;

/// A pipe's end of our own, which doesn't block.
#[derive(Clone, Copy)]
struct Tap {
    /// -1 for a free place.
    fd: Fd,
    /// Whose it is.
    owner: usize,
    /// How much of the stream's buffer has gone into it.
    sent: usize,
    /// When it last took something, or came to wait.
    moved_ms: u64,
}

/// The taps of one stream.
pub struct Taps([Tap; MOST]);

impl Taps {
    /// None yet.
    pub fn new() -> Taps {
        Taps([Tap { fd: -1, owner: 0, sent: 0, moved_ms: 0 }; MOST])
    }

    /// Takes the pipe over, for what lies in the buffer beyond `from`. False when there is no room.
    pub fn add(&mut self, fd: Fd, owner: usize, from: usize) -> bool {
        let Some(tap) = self.0.iter_mut().find(|tap| tap.fd < 0) else { return false };
        *tap = Tap { fd, owner, sent: from, moved_ms: sys::now_ms() };
        true
    }

    /// Lets an owner's go.
    pub fn remove(&mut self, owner: usize) {
        self.open().filter(|tap| tap.owner == owner).for_each(Tap::close);
    }

    /// Lets all go, which is the end of the stream for them.
    pub fn close(&mut self) {
        self.open().for_each(Tap::close);
    }

    fn open(&mut self) -> impl Iterator<Item = &mut Tap> {
        self.0.iter_mut().filter(|tap| tap.fd >= 0)
    }

    /// True while one has not had all of a buffer with this end.
    pub fn wait(&self, end: usize) -> bool {
        self.0.iter().any(|tap| tap.waits(end))
    }

    /// What to poll: those that wait for room; of the others, whether somebody reads them still.
    pub fn polls(&self, end: usize) -> [Poll; MOST] {
        self.0.map(|tap| Poll { fd: tap.fd, events: if tap.waits(end) { POLLOUT } else { 0 }, revents: 0 })
    }

    /// After a poll: sends to those that have room again, closes those that nobody reads.
    pub fn handle(&mut self, polls: &[Poll], bytes: &[u8]) {
        for (tap, _) in self.0.iter_mut().zip(polls).filter(|(tap, poll)| tap.fd >= 0 && poll.revents & POLLERR != 0) {
            tap.close();
        }
        for (tap, _) in self.0.iter_mut().zip(polls).filter(|(_, poll)| poll.revents & POLLOUT != 0) {
            tap.send(bytes);
        }
    }

    /// Sends what they take at once of what has just come; nobody was waiting.
    pub fn send(&mut self, bytes: &[u8]) {
        let now = sys::now_ms();
        self.open().for_each(|tap| {
            tap.moved_ms = now;
            tap.send(bytes);
        });
    }

    /// The buffer's beginning has moved; all had everything up to what is `end` now.
    pub fn rebase(&mut self, end: usize) {
        self.0.iter_mut().for_each(|tap| tap.sent = end);
    }

    /// Milliseconds until somebody's patience is over.
    pub fn wait_ms(&self, end: usize) -> Option<u64> {
        let waiting = self.0.iter().filter(|tap| tap.waits(end));
        waiting.map(|tap| (tap.moved_ms + PATIENCE_MS).saturating_sub(sys::now_ms())).min()
    }

    /// Closes one that has taken nothing for too long, and tells whose it was.
    pub fn give_up(&mut self, end: usize) -> Option<usize> {
        let late = sys::now_ms().saturating_sub(PATIENCE_MS);
        let tap = self.0.iter_mut().find(|tap| tap.waits(end) && tap.moved_ms <= late)?;
        tap.close();
        Some(tap.owner)
    }
}

impl Tap {
    fn waits(&self, end: usize) -> bool {
        self.fd >= 0 && self.sent < end
    }

    fn send(&mut self, bytes: &[u8]) {
        while self.waits(bytes.len()) {
            match sys::write(self.fd, &bytes[self.sent..]) {
                Ok(n @ 1..) => (self.sent, self.moved_ms) = (self.sent + n, sys::now_ms()),
                Err(Errno::EAGAIN) => return,
                _ => self.close(),
            }
        }
    }

    fn close(&mut self) {
        let _ = sys::close(self.fd);
        self.fd = -1;
    }
}

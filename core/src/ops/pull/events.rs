//! Progress from the workers to the thread that called.
//!
//! A channel can't be waited for together with a cancel, so each event also rings a descriptor.

use std::os::fd::AsFd;
use std::sync::Arc;
use std::sync::mpsc::{self, Receiver, Sender, TryRecvError};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::eventfd::{EfdFlags, EventFd};

use crate::cancel::Cancel;
use crate::error::{Context, Result};
use crate::progress::{Event, Progress};

/// Without a descriptor to wait on, the token is asked this often.
const TICK_MILLIS: u16 = 50;

/// A worker's end.
#[derive(Clone)]
pub struct Post {
    sender: Option<Sender<Event>>,
    bell: Arc<EventFd>,
}

/// The caller's end.
pub struct Mail {
    receiver: Receiver<Event>,
    bell: Arc<EventFd>,
}

/// Both ends.
pub fn channel() -> Result<(Post, Mail)> {
    let flags = EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK;
    let bell = Arc::new(EventFd::from_value_and_flags(0, flags).context("make event descriptor", "")?);
    let (sender, receiver) = mpsc::channel();
    Ok((Post { sender: Some(sender), bell: bell.clone() }, Mail { receiver, bell }))
}

impl Post {
    /// Tells the caller.
    pub fn send(&self, event: Event) {
        if let Some(sender) = &self.sender {
            let _ = sender.send(event);
        }
        let _ = self.bell.write(1);
    }
}

impl Drop for Post {
    fn drop(&mut self) {
        // The sender first: whoever is woken must find that it is gone.
        self.sender = None;
        let _ = self.bell.write(1);
    }
}

impl Mail {
    /// Delivers events until every [`Post`] is gone; passes a cancel on to `abort`. Who has cancelled is told no more.
    pub fn deliver(self, progress: &mut dyn Progress, cancel: &Cancel, abort: &Cancel) {
        loop {
            // Before the queue is looked at, or a ring in between would be lost.
            let _ = self.bell.read();
            if cancel.is_cancelled() {
                abort.cancel();
            }
            match self.receiver.try_recv() {
                Ok(_) if cancel.is_cancelled() => {}
                Ok(event) => progress.event(&event),
                Err(TryRecvError::Empty) => self.wait(cancel),
                Err(TryRecvError::Disconnected) => return,
            }
        }
    }

    fn wait(&self, cancel: &Cancel) {
        let token = if cancel.is_cancelled() { None } else { cancel.fd() };
        let timeout = match token.is_none() && !cancel.is_cancelled() {
            true => PollTimeout::from(TICK_MILLIS),
            false => PollTimeout::NONE,
        };
        let mut fds = vec![PollFd::new(self.bell.as_fd(), PollFlags::POLLIN)];
        fds.extend(token.map(|t| PollFd::new(t, PollFlags::POLLIN)));
        let _ = poll(&mut fds, timeout);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn events_come_in_order_and_the_end_is_seen() {
        let (post, mail) = channel().unwrap();
        let mut seen = Vec::new();
        std::thread::scope(|scope| {
            scope.spawn(move || {
                for done in 0..100 {
                    post.send(Event::LayerBytes { digest: String::new(), done, total: 100 });
                }
            });
            let mut take = |e: &Event| seen.extend(matches!(e, Event::LayerBytes { .. }).then(|| e.clone()));
            mail.deliver(&mut take, &Cancel::new(), &Cancel::new());
        });
        assert_eq!(seen.len(), 100);
        assert!(matches!(seen[99], Event::LayerBytes { done: 99, .. }));
    }

    #[test]
    fn who_has_cancelled_is_told_no_more() {
        let (post, mail) = channel().unwrap();
        (1..3).for_each(|done| post.send(Event::LayerBytes { digest: String::new(), done, total: 2 }));
        drop(post);
        let (cancel, abort, mut told) = (Cancel::new(), Cancel::new(), 0);
        let mut take = |_: &Event| {
            told += 1;
            cancel.cancel();
        };
        mail.deliver(&mut take, &cancel, &abort);
        assert!(told == 1 && abort.is_cancelled());
    }

    #[test]
    fn a_cancel_is_passed_on_while_nothing_happens() {
        let (post, mail) = channel().unwrap();
        let (cancel, abort) = (Cancel::new(), Cancel::new());
        std::thread::scope(|scope| {
            let waits = abort.clone();
            scope.spawn(move || {
                let mut fds = [PollFd::new(waits.fd().unwrap(), PollFlags::POLLIN)];
                poll(&mut fds, PollTimeout::NONE).unwrap();
                drop(post);
            });
            let asks = cancel.clone();
            scope.spawn(move || asks.cancel());
            mail.deliver(&mut crate::Quiet, &cancel, &abort);
        });
        assert!(abort.is_cancelled());
    }
}

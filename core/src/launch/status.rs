//! What the shim tells.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd};
use std::time::{Duration, Instant};

use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{MsgFlags, Shutdown, recv, send, shutdown};

use super::sentence;
use super::spawn::Shim;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::store::containers::Oom;
use crate::wire::{self, PACKET_MAX, Status};

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    /// Exit code, 0 when a signal killed it.
    pub code: i32,
    /// The signal that killed it, or 0.
    pub signal: i32,
    /// The errno with which the host's own standard output or error took no more of what it wrote, or 0.
    pub unwritten: i32,
    /// What the out-of-memory killer has killed of it.
    pub oom: Oom,
}

impl Exit {
    /// As a shell gives it: 128 and the signal's number.
    pub fn status(self) -> i32 {
        wire::shell_code(self.code, self.signal)
    }
}

/// A started container, seen from the process that started it.
#[derive(Debug)]
pub struct Launched {
    /// The container's first process. The state record tells it to everyone else.
    #[cfg_attr(not(test), allow(dead_code))]
    pub init_pid: i32,
    /// Its shim. The same.
    #[cfg_attr(not(test), allow(dead_code))]
    pub shim_pid: i32,
    shim: Shim,
}

impl Launched {
    /// Waits until the payload runs, or says why it doesn't.
    pub(super) fn await_ready(shim: Shim, place: &dyn Fn(i32) -> Result<()>) -> Result<Launched> {
        let ready = shim.ready(place);
        Self::of(shim, ready)
    }

    /// The same, where the shim waits for what `make` makes.
    pub(super) fn await_made(shim: Shim, make: &dyn Fn() -> Result<()>) -> Result<Launched> {
        let ready = make().and_then(|()| {
            // To one that has failed meanwhile nothing can be said; it has told why.
            let _ = shim.go();
            shim.ready(&|_| Ok(()))
        });
        Self::of(shim, ready)
    }

    fn of(shim: Shim, ready: Result<(i32, i32)>) -> Result<Launched> {
        let failed = match ready {
            Ok((init_pid, shim_pid)) => return Ok(Launched { init_pid, shim_pid, shim }),
            Err(failed) => failed,
        };
        // One that waits for its cgroups waits no longer.
        let _ = shutdown(shim.status.as_raw_fd(), Shutdown::Both);
        // The init speaks before the shim has cleaned up behind it.
        shim.wait_gone(&Cancel::new(), None)?;
        Err(failed)
    }

    /// Waits for the end. [`Kind::Timeout`] at the deadline; [`Kind::Launch`] when the shim was killed.
    pub fn wait_exit(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<Exit> {
        match self.shim.next(cancel, deadline)? {
            Answer::Exited(exit) => Ok(exit),
            Answer::Ready { .. } | Answer::Born(_) => Err(died()),
        }
    }

    /// Waits until the shim itself has ended, and with it what it does after an exit: the record, the removal.
    /// [`Kind::Timeout`] at the deadline.
    pub fn wait_gone(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
        self.shim.wait_gone(cancel, deadline)
    }

    /// A descriptor of the shim, readable once it has ended.
    pub fn shim(&self) -> BorrowedFd<'_> {
        self.shim.pidfd.as_fd()
    }

    /// Whether the shim itself has ended.
    pub fn is_gone(&self) -> bool {
        let mut fds = [PollFd::new(self.shim.pidfd.as_fd(), PollFlags::POLLIN)];
        matches!(poll(&mut fds, PollTimeout::ZERO), Ok(1))
    }
}

/// An answer that is no failure.
pub(super) enum Answer {
    Ready { init: i32, shim: i32 },
    Born(i32),
    Exited(Exit),
}

impl Shim {
    /// Waits until it is ready, and tells its init and itself. `place` puts a process into its cgroup, where one waits for
    /// that.
    pub fn ready(&self, place: &dyn Fn(i32) -> Result<()>) -> Result<(i32, i32)> {
        loop {
            match self.next(&Cancel::new(), None)? {
                Answer::Ready { init, shim } => return Ok((init, shim)),
                Answer::Born(pid) => {
                    place(pid)?;
                    self.go()?;
                }
                Answer::Exited(_) => return Err(died()),
            }
        }
    }

    /// What it waits for is there.
    fn go(&self) -> Result<()> {
        send(self.status.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).map(drop).map_err(|_| died())
    }

    /// Waits until it has ended.
    fn wait_gone(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
        loop {
            cancel.check("wait for container", "")?;
            let mut fds = vec![PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN)];
            fds.extend(cancel.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
            match poll(&mut fds, remaining(deadline)) {
                Ok(0) => return Err(timed_out()),
                Ok(_) if fds[0].any() == Some(true) => return Ok(()),
                Ok(_) | Err(nix::Error::EINTR) => {}
                Err(e) => return Err(e).context("wait for container", ""),
            }
        }
    }

    /// Kills it; its children die with it. One that has ended already is fine.
    pub fn kill(&self) {
        // SAFETY: a descriptor of ours, an integer, and the null info that stands for a plain kill.
        unsafe {
            libc::syscall(libc::SYS_pidfd_send_signal, self.pidfd.as_raw_fd(), libc::SIGKILL, std::ptr::null::<u8>(), 0)
        };
    }

    /// Tells it that what it has made may stay, and waits until it has ended.
    pub fn let_go(&self, patience: Duration) -> Result<()> {
        self.go()?;
        let _ = self.wait_gone(&Cancel::new(), Some(Instant::now() + patience));
        Ok(())
    }

    /// Leaves it without a word, so that it undoes what it has made, and waits until it has ended.
    pub fn hang_up(&self, patience: Duration) {
        let _ = shutdown(self.status.as_raw_fd(), Shutdown::Both);
        let _ = self.wait_gone(&Cancel::new(), Some(Instant::now() + patience));
    }

    /// The next answer.
    pub fn next(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<Answer> {
        loop {
            let mut packet = [0; PACKET_MAX];
            match recv(self.status.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
                Ok(0) => return Err(died()),
                Ok(n) => return answer(&packet[..n]),
                Err(nix::Error::ECONNRESET) => return self.last_word(),
                Err(nix::Error::EAGAIN) => self.wait(cancel, deadline)?,
                Err(nix::Error::EINTR) => {}
                Err(e) => return Err(e).context("hear from the shim", ""),
            }
        }
    }

    /// Of one that has ended with something of ours unread, which is told before what it has said itself.
    fn last_word(&self) -> Result<Answer> {
        let mut packet = [0; PACKET_MAX];
        match recv(self.status.as_raw_fd(), &mut packet, MsgFlags::MSG_DONTWAIT) {
            Ok(n @ 1..) => answer(&packet[..n]),
            _ => Err(died()),
        }
    }

    /// Until something may have been said. The pidfd too: a forked child of the host may hold the socket open.
    pub fn wait(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
        cancel.check("wait for container", "")?;
        let mut fds = vec![
            PollFd::new(self.status.as_fd(), PollFlags::POLLIN),
            PollFd::new(self.pidfd.as_fd(), PollFlags::POLLIN),
        ];
        fds.extend(cancel.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
        match poll(&mut fds, remaining(deadline)) {
            Ok(0) => Err(timed_out()),
            Ok(_) | Err(nix::Error::EINTR) => {
                let ready = |fd: &PollFd| fd.any() == Some(true);
                cancel.check("wait for container", "")?;
                match !ready(&fds[0]) && ready(&fds[1]) && self.is_silent() {
                    true => Err(died()),
                    false => Ok(()),
                }
            }
            Err(e) => Err(e).context("wait for container", ""),
        }
    }

    /// Nothing was left in the socket by a shim that is gone.
    fn is_silent(&self) -> bool {
        let mut byte = [0];
        recv(self.status.as_raw_fd(), &mut byte, MsgFlags::MSG_DONTWAIT | MsgFlags::MSG_PEEK) == Err(nix::Error::EAGAIN)
    }
}

fn answer(packet: &[u8]) -> Result<Answer> {
    match Status::decode(packet) {
        Ok(Status::Ready { init, shim }) => Ok(Answer::Ready { init, shim }),
        Ok(Status::Born { pid }) => Ok(Answer::Born(pid)),
        Ok(Status::Exited { code, signal, unwritten, oom }) => {
            Ok(Answer::Exited(Exit { code, signal, unwritten, oom: oom.into() }))
        }
        Ok(Status::Failed { step, errno, detail }) => Err(sentence::of(step, errno, detail)),
        _ => Err(Error::new(Kind::Launch, "hear from the shim", "").because("it sent what this version doesn't know")),
    }
}

/// The failure that a packet of an init tells, heard by who started it later.
pub fn told(packet: &[u8]) -> Error {
    match answer(packet) {
        Err(error) => error,
        Ok(_) => died(),
    }
}

pub(super) fn remaining(deadline: Option<Instant>) -> PollTimeout {
    let Some(deadline) = deadline else { return PollTimeout::NONE };
    // Rounded up: a wait that ends early would be one more turn of the loop, and then of zero.
    let left = deadline.saturating_duration_since(Instant::now()).as_micros().div_ceil(1000);
    PollTimeout::try_from(left.min(i32::MAX as u128) as i32).unwrap_or(PollTimeout::MAX)
}

fn timed_out() -> Error {
    Error::new(Kind::Timeout, "wait for container", "").because("the time ran out")
}

pub(super) fn died() -> Error {
    Error::new(Kind::Launch, "run container", "").because("its shim was killed")
}

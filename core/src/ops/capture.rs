//! Collects what a container writes, and feeds it its input, on the calling thread.

use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::read;

use super::{Context, remove, wait};
use crate::api::{ExitStatus, RemoveOptions};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::launch::Launched;
use crate::store::containers::Record;
use crate::sys::write_quietly;

/// Our ends of the pipes.
pub struct Ends {
    /// Closed once all input is written.
    pub stdin: Option<OwnedFd>,
    /// Until its end.
    pub stdout: Option<OwnedFd>,
    /// Until its end.
    pub stderr: Option<OwnedFd>,
}

/// Runs until both outputs have ended and the container with them.
pub fn collect(
    context: &Context,
    record: &Record,
    launched: Launched,
    mut ends: Ends,
    input: &[u8],
    cancel: &Cancel,
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let pumped = pump(&mut ends, input, Some(launched.shim()), cancel);
    drop(ends);
    match pumped {
        Ok((stdout, stderr)) => {
            let exit = wait::of_launched(record.name.as_str(), &launched, cancel);
            let exit = exit.inspect_err(|_| abandon(context, &record.id))?;
            Ok((exit, stdout, stderr))
        }
        Err(error) => {
            abandon(context, &record.id);
            Err(error)
        }
    }
}

/// Kills the container and sees it gone, whatever the caller's token says.
fn abandon(context: &Context, id: &ContainerId) {
    let force = RemoveOptions { force: true, volumes: true };
    // One that has ended by itself meanwhile is gone already.
    let _ = remove::remove(context, id, &force);
}

/// Feeds and drains until both outputs have ended, or `shim` has, which outlives whoever writes: what somebody
/// else still holds open is not waited for.
pub(super) fn pump(
    ends: &mut Ends,
    input: &[u8],
    shim: Option<BorrowedFd<'_>>,
    cancel: &Cancel,
) -> Result<(Vec<u8>, Vec<u8>)> {
    let mut collector = Collector::new(ends, input)?;
    while ends.stdout.is_some() || ends.stderr.is_some() {
        cancel.check("run container", "")?;
        let last = wait_ready(ends, shim, cancel)?;
        collector.turn(ends)?;
        if last {
            break;
        }
    }
    Ok((collector.stdout, collector.stderr))
}

/// What was read and written so far.
pub(super) struct Collector<'a> {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    input: &'a [u8],
    written: usize,
    buffer: Vec<u8>,
}

impl<'a> Collector<'a> {
    /// Makes our ends non-blocking; without input, theirs ends at once.
    pub fn new(ends: &mut Ends, input: &'a [u8]) -> Result<Self> {
        for fd in [&ends.stdin, &ends.stdout, &ends.stderr].into_iter().flatten() {
            fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
        }
        ends.stdin.take_if(|_| input.is_empty());
        Ok(Collector { stdout: Vec::new(), stderr: Vec::new(), input, written: 0, buffer: vec![0; 64 << 10] })
    }

    /// Moves what can be moved without waiting.
    pub fn turn(&mut self, ends: &mut Ends) -> Result<()> {
        drain(&mut ends.stdout, &mut self.stdout, &mut self.buffer)?;
        drain(&mut ends.stderr, &mut self.stderr, &mut self.buffer)?;
        feed(&mut ends.stdin, self.input, &mut self.written)?;
        ends.stdin.take_if(|_| self.written == self.input.len());
        Ok(())
    }
}

fn failed(e: Errno) -> Error {
    Error::errno_in(e as i32, "collect output", "")
}

impl Ends {
    /// What to wait for.
    pub fn polls(&self) -> impl Iterator<Item = PollFd<'_>> {
        let watched =
            [(&self.stdout, PollFlags::POLLIN), (&self.stderr, PollFlags::POLLIN), (&self.stdin, PollFlags::POLLOUT)];
        watched.into_iter().filter_map(|(fd, flags)| Some(PollFd::new(fd.as_ref()?.as_fd(), flags)))
    }
}

/// True once the shim has ended.
fn wait_ready(ends: &Ends, shim: Option<BorrowedFd<'_>>, cancel: &Cancel) -> Result<bool> {
    let mut fds: Vec<PollFd> = ends.polls().collect();
    fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
    fds.extend(shim.map(|s| PollFd::new(s, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) => Ok(shim.is_some() && fds.last().is_some_and(|f| f.any() == Some(true))),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(failed(e)),
    }
}

/// Not more than a pipe holds: one that is filled without end must not keep us from looking at what else there is,
/// and what was written before its writers ended is no more than that.
fn drain(from: &mut Option<OwnedFd>, into: &mut Vec<u8>, buffer: &mut [u8]) -> Result<()> {
    let begin = into.len();
    let most = from.as_ref().map_or(0, capacity);
    while let Some(fd) = from.as_ref().filter(|_| into.len() - begin < most) {
        match read(fd, buffer) {
            // A terminal that nobody has open any more says EIO.
            Ok(0) | Err(Errno::EIO) => *from = None,
            Ok(n) => into.extend_from_slice(&buffer[..n]),
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

/// Of a pipe; that of a terminal is less than a mebibyte.
fn capacity(fd: &OwnedFd) -> usize {
    fcntl(fd, FcntlArg::F_GETPIPE_SZ).map_or(1 << 20, |bytes| bytes as usize)
}

fn feed(to: &mut Option<OwnedFd>, input: &[u8], written: &mut usize) -> Result<()> {
    while let Some(fd) = to.as_ref().filter(|_| *written < input.len()) {
        match write_quietly(fd, &input[*written..]) {
            Ok(n) => *written += n,
            // The reader is gone: the rest is nobody's.
            Err(Errno::EPIPE) => *to = None,
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_without_end_is_left_at_a_cancel_and_at_the_end() {
        let (stdout, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let mut ends = Ends { stdin: None, stdout: Some(stdout), stderr: None };
        let (done, mut buffer) = (std::sync::atomic::AtomicBool::new(false), vec![0; 64 << 10]);
        std::thread::scope(|scope| {
            scope.spawn(|| {
                while !done.load(std::sync::atomic::Ordering::Relaxed) {
                    let _ = crate::sys::write_quietly(&held, &[b'y'; 4096]);
                }
            });
            let most = capacity(ends.stdout.as_ref().unwrap());
            for _ in 0..20 {
                let mut said = Vec::new();
                drain(&mut ends.stdout, &mut said, &mut buffer).unwrap();
                assert!(said.len() < most + buffer.len());
            }
            done.store(true, std::sync::atomic::Ordering::Relaxed);
            // Whoever waits for room is let go.
            ends.stdout = None;
        });
    }

    #[test]
    fn what_somebody_else_holds_open_is_not_waited_for() {
        let (stdout, held) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        let (shim, lives) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        nix::unistd::write(&held, b"said").unwrap();
        // Readable from now on, as the pidfd of one that has ended.
        drop(lives);
        let mut ends = Ends { stdin: None, stdout: Some(stdout), stderr: None };
        let (said, _) = pump(&mut ends, &[], Some(shim.as_fd()), &Cancel::new()).unwrap();
        assert_eq!(said, b"said");
        assert!(ends.stdout.is_some());
        drop(held);
    }
}

//! Collects what a container writes, and feeds it its input, on the calling thread.

use std::os::fd::{AsFd, OwnedFd};

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{read, write};

use super::{Context, remove, wait};
use crate::api::{ExitStatus, RemoveOptions};
use crate::cancel::Cancel;
use crate::error::{Error, Result};
use crate::id::ContainerId;
use crate::launch::Launched;

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
    id: &ContainerId,
    launched: Launched,
    mut ends: Ends,
    input: Vec<u8>,
    cancel: &Cancel,
) -> Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let pumped = pump(&mut ends, &input, cancel);
    drop(ends);
    match pumped {
        Ok((stdout, stderr)) => {
            let exit = wait::of_launched(&launched, cancel).inspect_err(|_| abandon(context, id))?;
            Ok((exit, stdout, stderr))
        }
        Err(error) => {
            abandon(context, id);
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

/// Feeds and drains until both outputs have ended.
pub(super) fn pump(ends: &mut Ends, input: &[u8], cancel: &Cancel) -> Result<(Vec<u8>, Vec<u8>)> {
    let (mut stdout, mut stderr, mut written) = (Vec::new(), Vec::new(), 0);
    let mut buffer = vec![0; 64 << 10];
    for fd in [&ends.stdin, &ends.stdout, &ends.stderr].into_iter().flatten() {
        fcntl(fd, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).map_err(failed)?;
    }
    while ends.stdout.is_some() || ends.stderr.is_some() {
        cancel.check("run container", "")?;
        if written == input.len() {
            ends.stdin = None;
        }
        wait_ready(ends, cancel)?;
        drain(&mut ends.stdout, &mut stdout, &mut buffer)?;
        drain(&mut ends.stderr, &mut stderr, &mut buffer)?;
        feed(&mut ends.stdin, input, &mut written)?;
    }
    Ok((stdout, stderr))
}

fn failed(e: Errno) -> Error {
    Error::errno_in(e as i32, "collect output", "")
}

fn wait_ready(ends: &Ends, cancel: &Cancel) -> Result<()> {
    let watched =
        [(&ends.stdout, PollFlags::POLLIN), (&ends.stderr, PollFlags::POLLIN), (&ends.stdin, PollFlags::POLLOUT)];
    let mut fds: Vec<PollFd> =
        watched.iter().filter_map(|(fd, flags)| Some(PollFd::new(fd.as_ref()?.as_fd(), *flags))).collect();
    fds.extend(cancel.fd().map(|c| PollFd::new(c, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::NONE) {
        Ok(_) | Err(Errno::EINTR) => Ok(()),
        Err(e) => Err(failed(e)),
    }
}

fn drain(from: &mut Option<OwnedFd>, into: &mut Vec<u8>, buffer: &mut [u8]) -> Result<()> {
    while let Some(fd) = from {
        match read(&*fd, buffer) {
            Ok(0) => *from = None,
            Ok(n) => into.extend_from_slice(&buffer[..n]),
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

fn feed(to: &mut Option<OwnedFd>, input: &[u8], written: &mut usize) -> Result<()> {
    while let Some(fd) = to.as_ref().filter(|_| *written < input.len()) {
        match write(fd, &input[*written..]) {
            Ok(n) => *written += n,
            // The reader is gone: the rest is nobody's. SIGPIPE can't come, see `quiet_pipe`.
            Err(Errno::EPIPE) => *to = None,
            Err(Errno::EAGAIN) => break,
            Err(Errno::EINTR) => {}
            Err(e) => return Err(failed(e)),
        }
    }
    Ok(())
}

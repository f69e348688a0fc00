//! Sockets that a cancel wakes: every wait is a `poll` on the socket and the token's descriptor.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, SockaddrIn, SockaddrIn6, connect, socket};
use ureq::unversioned::transport::{
    Buffers, ConnectionDetails, Connector, Either, LazyBuffers, NextTimeout, Transport,
};
use ureq::{Error, Timeout};

use crate::cancel::Cancel;

/// Without a descriptor to wait on, the token is asked this often.
const TICK: Duration = Duration::from_millis(100);
/// Each address gets its share of the time, but no less than this.
const MIN_SHARE: Duration = Duration::from_millis(500);

/// The error of a wait that was cancelled; whoever maps errors asks the token, not this.
fn cancelled() -> io::Error {
    io::Error::other("cancelled")
}

/// Waits until `fd` is ready; false when the time ran out first.
pub fn wait(fd: Option<(&dyn AsFd, PollFlags)>, cancel: &Cancel, timeout: Option<Duration>) -> io::Result<bool> {
    let deadline = timeout.map(|t| Instant::now() + t);
    loop {
        if cancel.is_cancelled() {
            return Err(cancelled());
        }
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        if poll_once(fd, cancel, left)? {
            return Ok(true);
        }
        if left.is_some_and(|l| l.is_zero()) {
            return Ok(false);
        }
    }
}

/// One `poll`; true when `fd` is ready. It may return early without it.
fn poll_once(fd: Option<(&dyn AsFd, PollFlags)>, cancel: &Cancel, left: Option<Duration>) -> io::Result<bool> {
    let token = cancel.fd();
    let longest = if token.is_some() { Duration::from_secs(3600) } else { TICK };
    let left = left.unwrap_or(longest).min(longest);
    // Rounded up, or the last millisecond would be a busy loop.
    let millis = left.as_micros().div_ceil(1000).min(i32::MAX as u128) as i32;
    let mut fds: Vec<PollFd<'_>> = Vec::with_capacity(2);
    fds.extend(fd.map(|(f, flags)| PollFd::new(f.as_fd(), flags)));
    fds.extend(token.map(|t| PollFd::new(t, PollFlags::POLLIN)));
    match poll(&mut fds, PollTimeout::try_from(millis).unwrap_or(PollTimeout::MAX)) {
        Ok(_) => Ok(fd.is_some() && fds[0].any().unwrap_or(false)),
        Err(Errno::EINTR) => Ok(false),
        Err(e) => Err(e.into()),
    }
}

/// Opens [`Socket`]s, unless a proxy was connected to already.
#[derive(Debug)]
pub struct SocketConnector {
    /// Wakes every wait of its sockets.
    pub cancel: Cancel,
}

impl<In: Transport> Connector<In> for SocketConnector {
    type Out = Either<In, Socket>;

    fn connect(&self, details: &ConnectionDetails<'_>, chained: Option<In>) -> Result<Option<Self::Out>, Error> {
        if let Some(connected) = chained {
            return Ok(Some(Either::A(connected)));
        }
        let timeout = limit(&details.timeout);
        let stream = connect_any(&details.addrs, timeout, &self.cancel)?;
        stream.set_nodelay(true)?;
        let config = details.config;
        let buffers = LazyBuffers::new(config.input_buffer_size(), config.output_buffer_size());
        Ok(Some(Either::B(Socket { stream, buffers, cancel: self.cancel.clone() })))
    }
}

fn limit(timeout: &NextTimeout) -> Option<Duration> {
    timeout.not_zero().map(|t| *t)
}

/// Tries the addresses in turn; an address gets half of the time that is left, the last all of it.
fn connect_any(addresses: &[SocketAddr], timeout: Option<Duration>, cancel: &Cancel) -> Result<TcpStream, Error> {
    let deadline = timeout.map(|t| Instant::now() + t);
    let mut last = Error::HostNotFound;
    for (i, address) in addresses.iter().enumerate() {
        let left = deadline.map(|d| d.saturating_duration_since(Instant::now()));
        let share = match i + 1 == addresses.len() {
            true => left,
            false => left.map(|l| (l / 2).max(MIN_SHARE).min(l)),
        };
        match connect_one(*address, share, cancel) {
            Ok(stream) => return Ok(stream),
            Err(e) if cancel.is_cancelled() => return Err(e),
            Err(e) => last = e,
        }
    }
    Err(last)
}

/// Connects to one address; the stream does not block.
pub fn connect_one(address: SocketAddr, timeout: Option<Duration>, cancel: &Cancel) -> Result<TcpStream, Error> {
    let family = if address.is_ipv4() { AddressFamily::Inet } else { AddressFamily::Inet6 };
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket: OwnedFd = socket(family, SockType::Stream, flags, None).map_err(io::Error::from)?;
    let fd = socket.as_raw_fd();
    let begun = match address {
        SocketAddr::V4(v4) => connect(fd, &SockaddrIn::from(v4)),
        SocketAddr::V6(v6) => connect(fd, &SockaddrIn6::from(v6)),
    };
    match begun {
        Ok(()) => return Ok(TcpStream::from(socket)),
        Err(Errno::EINPROGRESS | Errno::EINTR) => {}
        Err(e) => return Err(io::Error::from(e).into()),
    }
    if !wait(Some((&socket, PollFlags::POLLOUT)), cancel, timeout)? {
        return Err(Error::Timeout(Timeout::Connect));
    }
    let stream = TcpStream::from(socket);
    match stream.take_error()? {
        Some(e) => Err(e.into()),
        None => Ok(stream),
    }
}

/// A connection whose waits end at once on cancel.
#[derive(Debug)]
pub struct Socket {
    stream: TcpStream,
    buffers: LazyBuffers,
    cancel: Cancel,
}

impl Socket {
    fn wait(&self, flags: PollFlags, timeout: &NextTimeout) -> Result<(), Error> {
        match wait(Some((&self.stream, flags)), &self.cancel, limit(timeout))? {
            true => Ok(()),
            false => Err(Error::Timeout(timeout.reason)),
        }
    }

    fn write_some(&mut self, from: usize, to: usize) -> io::Result<usize> {
        (&self.stream).write(&self.buffers.output()[from..to])
    }
}

impl Transport for Socket {
    fn buffers(&mut self) -> &mut dyn Buffers {
        &mut self.buffers
    }

    fn transmit_output(&mut self, amount: usize, timeout: NextTimeout) -> Result<(), Error> {
        let timeout = timeout.for_write();
        let mut sent = 0;
        while sent < amount {
            match self.write_some(sent, amount) {
                Ok(0) => return Err(io::Error::from(ErrorKind::WriteZero).into()),
                Ok(n) => sent += n,
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLOUT, &timeout)?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
        Ok(())
    }

    fn await_input(&mut self, timeout: NextTimeout) -> Result<bool, Error> {
        let timeout = timeout.for_read();
        loop {
            // A fast server would else keep a cancelled reader busy to the end.
            if self.cancel.is_cancelled() {
                return Err(cancelled().into());
            }
            match (&self.stream).read(self.buffers.input_append_buf()) {
                Ok(n) => {
                    self.buffers.input_appended(n);
                    return Ok(n > 0);
                }
                Err(e) if e.kind() == ErrorKind::WouldBlock => self.wait(PollFlags::POLLIN, &timeout)?,
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(e.into()),
            }
        }
    }

    fn is_open(&mut self) -> bool {
        // Bytes nobody asked for, or the end: either way not to be used again.
        matches!((&self.stream).read(&mut [0]), Err(e) if e.kind() == ErrorKind::WouldBlock)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn refused_and_silent_addresses_are_told_apart() {
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let error = connect_any(&[closed], Some(Duration::from_secs(5)), &Cancel::new()).unwrap_err();
        assert!(matches!(error, Error::Io(e) if e.kind() == ErrorKind::ConnectionRefused));
    }

    #[test]
    fn a_second_address_is_tried() {
        let open = TcpListener::bind("127.0.0.1:0").unwrap();
        let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let addresses = [closed, open.local_addr().unwrap()];
        assert!(connect_any(&addresses, Some(Duration::from_secs(5)), &Cancel::new()).is_ok());
    }

    #[test]
    fn a_wait_ends_by_time_or_by_cancel() {
        let cancel = Cancel::new();
        assert!(!wait(None, &cancel, Some(Duration::from_millis(1))).unwrap());
        cancel.cancel();
        assert!(wait(None, &cancel, None).is_err());
    }
}

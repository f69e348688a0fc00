//! Sockets: pairs to talk to a child and the host, and descriptors passed over them.

use core::ffi::CStr;
use core::ptr::null_mut;

use super::{Errno, Fd, O_CLOEXEC, Result, syscall};

pub const AF_UNIX: i32 = 1;
pub const AF_INET: i32 = 2;
pub const SOCK_DGRAM: i32 = 2;
pub const SOCK_STREAM: i32 = 1;
pub const SOCK_SEQPACKET: i32 = 5;
const MSG_NOSIGNAL: i32 = 0x4000;
const MSG_DONTWAIT: i32 = 0x40;
const MSG_CMSG_CLOEXEC: i32 = 0x40000000;

pub fn socket(family: i32, kind: i32) -> Result<Fd> {
    syscall!(SOCKET, family, kind | O_CLOEXEC, 0).map(|fd| fd as Fd)
}

/// Two connected sockets that keep packets apart.
pub fn socketpair() -> Result<(Fd, Fd)> {
    let mut fds = [0i32; 2];
    syscall!(SOCKETPAIR, AF_UNIX, SOCK_SEQPACKET | O_CLOEXEC, 0, fds.as_mut_ptr())?;
    Ok((fds[0], fds[1]))
}

/// Binds to a name in the working directory, where only this user may connect, and listens.
pub fn listen_at(socket: Fd, name: &CStr) -> Result {
    const BACKLOG: i32 = 128;
    let mut address = [0u8; 2 + 108];
    address[..2].copy_from_slice(&(AF_UNIX as u16).to_ne_bytes());
    let name = name.to_bytes_with_nul();
    address.get_mut(2..2 + name.len()).ok_or(Errno::ENAMETOOLONG)?.copy_from_slice(name);
    let mask = super::umask(0o077);
    let bound = syscall!(BIND, socket, address.as_ptr(), 2 + name.len());
    super::umask(mask);
    bound.and_then(|_| syscall!(LISTEN, socket, BACKLOG)).map(drop)
}

/// The next client; its socket doesn't block.
pub fn accept(listener: Fd) -> Result<Fd> {
    let flags = O_CLOEXEC | super::O_NONBLOCK;
    syscall!(ACCEPT4, listener, null_mut::<u8>(), null_mut::<u8>(), flags).map(|fd| fd as Fd)
}

/// The user who made the other end's connection.
pub fn peer_uid(socket: Fd) -> Result<u32> {
    const SO_PEERCRED: i32 = 17;
    let (mut credentials, mut len) = ([0u32; 3], 12u32);
    syscall!(GETSOCKOPT, socket, SOL_SOCKET, SO_PEERCRED, credentials.as_mut_ptr(), &raw mut len)?;
    Ok(credentials[1])
}

/// Sends one packet; no signal when the other end is gone.
pub fn send(socket: Fd, packet: &[u8]) -> Result<usize> {
    retry(|| syscall!(SENDTO, socket, packet.as_ptr(), packet.len(), MSG_NOSIGNAL, null_mut::<u8>(), 0))
}

/// Sends what fits without waiting, whatever the socket's flags say.
pub fn send_no_wait(socket: Fd, bytes: &[u8]) -> Result<usize> {
    let flags = MSG_NOSIGNAL | MSG_DONTWAIT;
    retry(|| syscall!(SENDTO, socket, bytes.as_ptr(), bytes.len(), flags, null_mut::<u8>(), 0))
}

/// Receives one packet; 0 when the other end is gone.
pub fn recv(socket: Fd, packet: &mut [u8], no_wait: bool) -> Result<usize> {
    let flags = if no_wait { MSG_DONTWAIT } else { 0 };
    retry(|| syscall!(RECVFROM, socket, packet.as_mut_ptr(), packet.len(), flags, null_mut::<u8>(), null_mut::<u8>()))
}

/// `shutdown(SHUT_WR)`.
pub fn shutdown_write(socket: Fd) -> Result {
    syscall!(SHUTDOWN, socket, 1).map(drop)
}

#[repr(C)]
struct Message {
    name: usize,
    name_len: usize,
    iov: *mut [usize; 2],
    iov_len: usize,
    control: *mut Control,
    control_len: usize,
    flags: usize,
}

#[repr(C)]
struct Control {
    len: usize,
    level: i32,
    kind: i32,
    fds: [Fd; MOST_FDS],
}

/// So many descriptors can be sent with one packet.
pub const MOST_FDS: usize = 8;
/// With one descriptor. The room for more is never offered: who sends more would leave them here.
const CONTROL_LEN: usize = 20;
const SOL_SOCKET: i32 = 1;
const SCM_RIGHTS: i32 = 1;

/// Sends a packet and a descriptor with it.
pub fn send_fd(socket: Fd, packet: &[u8], fd: Fd) -> Result {
    send_fds(socket, packet, &[fd]).map(drop)
}

/// Sends a packet and up to [`MOST_FDS`] descriptors with it; how much of it, on a stream.
pub fn send_fds(socket: Fd, packet: &[u8], fds: &[Fd]) -> Result<usize> {
    let mut iov = [packet.as_ptr() as usize, packet.len()];
    let mut control = Control { len: 16 + 4 * fds.len(), level: SOL_SOCKET, kind: SCM_RIGHTS, fds: [-1; MOST_FDS] };
    control.fds.get_mut(..fds.len()).ok_or(Errno::E2BIG)?.copy_from_slice(fds);
    let len = if fds.is_empty() { 0 } else { control.len };
    let message = message(&mut iov, &mut control, len);
    retry(|| syscall!(SENDMSG, socket, &raw const message, MSG_NOSIGNAL))
}

/// Receives a packet and up to two descriptors that came with it, -1 for none.
pub fn recv_two(socket: Fd, packet: &mut [u8]) -> Result<(usize, [Fd; 2])> {
    const TWO: usize = CONTROL_LEN + 4;
    let mut iov = [packet.as_mut_ptr() as usize, packet.len()];
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; MOST_FDS] };
    let mut message = message(&mut iov, &mut control, TWO);
    let n = retry(|| syscall!(RECVMSG, socket, &raw mut message, MSG_CMSG_CLOEXEC))?;
    let came = if control.kind == SCM_RIGHTS { control.len.saturating_sub(CONTROL_LEN - 4) / 4 } else { 0 };
    let at = |n: usize| if n < came { control.fds[n] } else { -1 };
    Ok((n, [at(0), at(1)]))
}

/// Receives a packet and the descriptor that came with it, if any.
pub fn recv_fd(socket: Fd, packet: &mut [u8]) -> Result<(usize, Option<Fd>)> {
    let mut iov = [packet.as_mut_ptr() as usize, packet.len()];
    let mut control = Control { len: 0, level: 0, kind: 0, fds: [-1; MOST_FDS] };
    let mut message = message(&mut iov, &mut control, CONTROL_LEN);
    let n = retry(|| syscall!(RECVMSG, socket, &raw mut message, MSG_CMSG_CLOEXEC))?;
    let came = message.control_len >= CONTROL_LEN && control.kind == SCM_RIGHTS && control.fds[0] >= 0;
    Ok((n, came.then_some(control.fds[0])))
}

fn message(iov: &mut [usize; 2], control: &mut Control, control_len: usize) -> Message {
    Message { name: 0, name_len: 0, iov, iov_len: 1, control, control_len, flags: 0 }
}

fn retry(mut call: impl FnMut() -> Result<usize>) -> Result<usize> {
    loop {
        match call() {
            Err(Errno::EINTR) => continue,
            other => return other,
        }
    }
}

//! Network devices of the host that a container gets (runtime-spec, config-linux.md, "Network Devices"): moved into its
//! network namespace by rtnetlink(7), with their addresses, which the kernel drops on the way, and raised there.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::text::Text;
use crate::wire::{List, Step};

/// Name on the host, name in the container.
type Devices = List<'static, (&'static CStr, &'static CStr)>;

/// Devices that are in a container, and go back with [`Moved::undo`].
pub struct Moved {
    devices: Devices,
    count: usize,
    ends: [End; 2],
}

/// A network namespace, and a socket that is its own.
#[derive(Clone, Copy)]
struct End {
    namespace: Fd,
    socket: Fd,
}

/// Moves them into the namespace of the container's init.
pub fn move_all(devices: Devices, init: i32) -> Outcome<Option<Moved>> {
    let Some((first, _)) = devices.iter().next() else { return Ok(None) };
    let (here, there) = ends(init).at(Step::NetDevice, first)?;
    let mut moved = Moved { devices, count: 0, ends: [here, there] };
    for (name, inside) in devices.iter() {
        if let Err(errno) = transfer(here, there, name, inside) {
            moved.undo();
            return Err(Fail { step: Step::NetDevice, errno, detail: name.to_bytes() });
        }
        moved.count += 1;
    }
    Ok(Some(moved))
}

impl Moved {
    /// Gives them back, under the names that they had.
    pub fn undo(&self) {
        let [here, there] = self.ends;
        for (name, inside) in self.devices.iter().take(self.count) {
            let _ = transfer(there, here, inside, name);
        }
    }
}

/// Both namespaces; a socket belongs to the one that it was made in.
fn ends(init: i32) -> sys::Result<(End, End)> {
    let mut path: Text<32> = Text::of(&[b"/proc/"]);
    path.signed(init.into()).push(b"/ns/net");
    let own = sys::openat(AT_FDCWD, c"/proc/self/ns/net", sys::O_RDONLY, 0)?;
    let other = sys::openat(AT_FDCWD, path.c(), sys::O_RDONLY, 0)?;
    let here = End { namespace: own, socket: route_socket()? };
    sys::setns(other, sys::CLONE_NEWNET)?;
    let socket = route_socket();
    sys::setns(own, sys::CLONE_NEWNET)?;
    Ok((here, End { namespace: other, socket: socket? }))
}

fn route_socket() -> sys::Result<Fd> {
    const AF_NETLINK: i32 = 16;
    sys::socket(AF_NETLINK, sys::SOCK_DGRAM)
}

fn transfer(from: End, to: End, name: &CStr, renamed: &CStr) -> sys::Result {
    let index = index_of(from.socket, name)?;
    let kept = Addresses::of(from.socket, index)?;
    // The kernel moves it first and gives it its name then: one that can't have it must not be there already.
    match index_of(to.socket, renamed) {
        Err(Errno::ENODEV) => {}
        other => return other.and(Err(Errno::EEXIST)),
    }
    hand(from.socket, index, to.namespace, renamed).inspect_err(|_| {
        let _ = index_of(to.socket, name).and_then(|index| hand(to.socket, index, from.namespace, name));
    })?;
    let index = index_of(to.socket, renamed)?;
    ask(to.socket, &mut Request::link(index, IFF_UP, IFF_UP))?;
    kept.put(to.socket, index)
}

/// Gives a device to a namespace, under this name.
fn hand(socket: Fd, index: u32, namespace: Fd, name: &CStr) -> sys::Result {
    let mut request = Request::link(index, 0, 0);
    request.attribute(IFLA_NET_NS_FD, &namespace.to_ne_bytes())?;
    request.attribute(IFLA_IFNAME, name.to_bytes_with_nul())?;
    ask(socket, &mut request)
}

const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const NLM_F_REQUEST: u16 = 1;
const NLM_F_ACK: u16 = 4;
const NLM_F_DUMP: u16 = 0x300;
const NLM_F_CREATE: u16 = 0x400;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_FD: u16 = 28;
const IFF_UP: u32 = 1;
const IFA_FLAGS: u16 = 8;
const IFA_F_PERMANENT: u32 = 0x80;
/// Beyond all that is sent.
const MOST: usize = 512;
/// Of a `struct nlmsghdr`.
const HEAD: usize = 16;

/// One message: a `struct nlmsghdr`, the fixed part of its kind, attributes.
struct Request {
    bytes: [u8; MOST],
    length: usize,
}

impl Request {
    fn new(kind: u16, flags: u16, fixed: &[u8]) -> Request {
        let mut request = Request { bytes: [0; MOST], length: HEAD + fixed.len() };
        request.bytes[4..6].copy_from_slice(&kind.to_ne_bytes());
        request.bytes[6..8].copy_from_slice(&(flags | NLM_F_REQUEST).to_ne_bytes());
        request.bytes[HEAD..HEAD + fixed.len()].copy_from_slice(fixed);
        request
    }

    /// With a `struct ifinfomsg`.
    fn link(index: u32, flags: u32, change: u32) -> Request {
        let mut fixed = [0; 16];
        fixed[4..8].copy_from_slice(&index.to_ne_bytes());
        fixed[8..12].copy_from_slice(&flags.to_ne_bytes());
        fixed[12..16].copy_from_slice(&change.to_ne_bytes());
        Request::new(RTM_NEWLINK, NLM_F_ACK, &fixed)
    }

    fn attribute(&mut self, kind: u16, value: &[u8]) -> sys::Result {
        let end = self.length + 4 + value.len();
        let into = self.bytes.get_mut(self.length..end).ok_or(Errno::E2BIG)?;
        into[..2].copy_from_slice(&(4 + value.len() as u16).to_ne_bytes());
        into[2..4].copy_from_slice(&kind.to_ne_bytes());
        into[4..].copy_from_slice(value);
        self.length = end.next_multiple_of(4);
        Ok(())
    }

    fn send(&mut self, socket: Fd) -> sys::Result {
        let length = self.length as u32;
        self.bytes[..4].copy_from_slice(&length.to_ne_bytes());
        sys::send(socket, &self.bytes[..self.length]).map(drop)
    }
}

/// Sends it and waits until it is done.
fn ask(socket: Fd, request: &mut Request) -> sys::Result {
    request.send(socket)?;
    let mut answer = [0; MOST];
    let n = sys::recv(socket, &mut answer, false)?;
    match (u16_at(&answer, 4), i32_at(&answer, HEAD)) {
        (NLMSG_ERROR, 0) if n >= HEAD + 4 => Ok(()),
        (NLMSG_ERROR, errno) if n >= HEAD + 4 => Err(Errno(-errno)),
        _ => Err(Errno::EIO),
    }
}

/// The number of a device of the socket's namespace.
fn index_of(socket: Fd, name: &CStr) -> sys::Result<u32> {
    let mut request = Request::new(RTM_GETLINK, 0, &[0; 16]);
    request.attribute(IFLA_IFNAME, name.to_bytes_with_nul())?;
    request.send(socket)?;
    // What does not fit is not wanted.
    let mut answer = [0; MOST];
    let n = sys::recv(socket, &mut answer, false)?;
    match u16_at(&answer, 4) {
        RTM_NEWLINK if n >= HEAD + 8 => Ok(i32_at(&answer, HEAD + 4) as u32),
        NLMSG_ERROR if n >= HEAD + 4 => Err(Errno(-i32_at(&answer, HEAD))),
        _ => Err(Errno::EIO),
    }
}

fn u16_at(bytes: &[u8], at: usize) -> u16 {
    u16::from_ne_bytes([bytes[at], bytes[at + 1]])
}

fn i32_at(bytes: &[u8], at: usize) -> i32 {
    i32::from_ne_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

/// The messages that told the addresses of a device.
struct Addresses {
    bytes: &'static mut [u8],
    length: usize,
}

/// A device has no more addresses than fit.
const ROOM: usize = 64 << 10;

impl Addresses {
    /// Those that are global and stay: others are the kernel's to give anew.
    fn of(socket: Fd, index: u32) -> sys::Result<Addresses> {
        let mut kept = Addresses { bytes: sys::map_anonymous(ROOM)?, length: 0 };
        let packet = sys::map_anonymous(ROOM)?;
        Request::new(RTM_GETADDR, NLM_F_DUMP, &[0; 8]).send(socket)?;
        loop {
            let n = sys::recv(socket, packet, false)?;
            let mut messages = &packet[..n];
            while messages.len() >= HEAD {
                let length = (i32_at(messages, 0) as usize).clamp(HEAD, messages.len());
                let (message, rest) =
                    (&messages[..length], &messages[length.next_multiple_of(4).min(messages.len())..]);
                match u16_at(message, 4) {
                    NLMSG_DONE => return Ok(kept),
                    NLMSG_ERROR => return Err(Errno::EIO),
                    _ if is_kept(message, index) => kept.push(message)?,
                    _ => {}
                }
                messages = rest;
            }
        }
    }

    fn push(&mut self, message: &[u8]) -> sys::Result {
        let end = self.length + message.len().next_multiple_of(4);
        let into = self.bytes.get_mut(self.length..end).ok_or(Errno::E2BIG)?;
        into[..message.len()].copy_from_slice(message);
        self.length = end;
        Ok(())
    }

    /// Gives them to a device.
    fn put(&self, socket: Fd, index: u32) -> sys::Result {
        let mut messages = &self.bytes[..self.length];
        while messages.len() >= HEAD + 8 {
            let length = (i32_at(messages, 0) as usize).clamp(HEAD + 8, messages.len());
            let mut fixed = [0; 8];
            fixed.copy_from_slice(&messages[HEAD..HEAD + 8]);
            fixed[4..].copy_from_slice(&index.to_ne_bytes());
            let mut request = Request::new(RTM_NEWADDR, NLM_F_ACK | NLM_F_CREATE, &fixed);
            for (kind, value) in Attributes(&messages[HEAD + 8..length]).filter(|(kind, _)| is_of_the_address(*kind)) {
                request.attribute(kind, value)?;
            }
            ask(socket, &mut request)?;
            messages = &messages[length.next_multiple_of(4).min(messages.len())..];
        }
        Ok(())
    }
}

/// Its label has the old name in it, and how long it lives is not asked for.
fn is_of_the_address(kind: u16) -> bool {
    const IFA_ADDRESS: u16 = 1;
    const IFA_LOCAL: u16 = 2;
    const IFA_BROADCAST: u16 = 4;
    matches!(kind, IFA_ADDRESS | IFA_LOCAL | IFA_BROADCAST | IFA_FLAGS)
}

/// By its `struct ifaddrmsg`: of this device, of the whole world, and not for a time only.
fn is_kept(message: &[u8], index: u32) -> bool {
    const RT_SCOPE_UNIVERSE: u8 = 0;
    let fixed = message.get(HEAD..HEAD + 8);
    let is_ours = fixed.is_some_and(|fixed| i32_at(fixed, 4) as u32 == index && fixed[3] == RT_SCOPE_UNIVERSE);
    is_ours && {
        let long = Attributes(&message[HEAD + 8..]).find(|(kind, value)| *kind == IFA_FLAGS && value.len() >= 4);
        let flags = long.map_or(message[HEAD + 2].into(), |(_, value)| i32_at(value, 0) as u32);
        flags & IFA_F_PERMANENT != 0
    }
}

/// The attributes of a message.
struct Attributes<'a>(&'a [u8]);

impl<'a> Iterator for Attributes<'a> {
    type Item = (u16, &'a [u8]);

    fn next(&mut self) -> Option<Self::Item> {
        let whole: usize = u16_at(self.0.get(..4)?, 0).into();
        let kind = u16_at(self.0, 2);
        let value = self.0.get(4..whole)?;
        self.0 = self.0.get(whole.next_multiple_of(4)..).unwrap_or_default();
        Some((kind, value))
    }
}

//! One question to one name server (RFC 1035): both kinds of addresses, by datagrams, by TCP where they don't fit.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use nix::poll::PollFlags;
use simple_dns::rdata::RData;
use simple_dns::{CLASS, Name, Packet, PacketFlag, QCLASS, QTYPE, Question, RCODE, TYPE};
use ureq::Error;

use super::transport;
use crate::cancel::Cancel;
use crate::sys;

const KINDS: [TYPE; 2] = [TYPE::A, TYPE::AAAA];
/// Largest datagram that may come.
const MAX_DATAGRAM: usize = 4096;

/// What a server says.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Reply {
    /// These; maybe none.
    Addresses(Vec<IpAddr>),
    /// There is no such name.
    NoSuchName,
    /// Nothing of use: another server may know.
    Failed,
    /// Nothing at all: nobody is there, or it took too long.
    Silent,
}

/// Asks `server` for the addresses of `name`; an error only for a name that can't be asked for, or a cancel.
pub fn ask(server: SocketAddr, name: &str, timeout: Duration, cancel: &Cancel) -> Result<Reply, Error> {
    let questions = questions(name).ok_or(Error::HostNotFound)?;
    let mut replies = Vec::new();
    let asked = by_datagrams(server, &questions, Instant::now() + timeout, cancel, &mut replies);
    if cancel.is_cancelled() {
        return Err(io::Error::other("cancelled").into());
    }
    // What one question brought counts, whatever became of the other: some servers never answer for AAAA.
    if asked.is_err() {
        replies.push(if replies.is_empty() { Reply::Silent } else { Reply::Failed });
    }
    Ok(merged(replies))
}

struct Wanted {
    id: u16,
    kind: TYPE,
    bytes: Vec<u8>,
}

/// Each with an id that can't be guessed: who can't see the question must not be able to answer it.
fn questions(name: &str) -> Option<Vec<Wanted>> {
    let random: [u8; 4] = sys::random_bytes().ok()?;
    let ids = [u16::from_ne_bytes([random[0], random[1]]), u16::from_ne_bytes([random[2], random[3]])];
    let question = |(id, kind): (u16, TYPE)| {
        let mut packet = Packet::new_query(id);
        packet.set_flags(PacketFlag::RECURSION_DESIRED);
        packet.questions.push(Question::new(Name::new(name).ok()?, kind.into(), CLASS::IN.into(), false));
        Some(Wanted { id, kind, bytes: packet.build_bytes_vec().ok()? })
    };
    ids.into_iter().zip(KINDS).map(question).collect()
}

fn by_datagrams(
    server: SocketAddr,
    questions: &[Wanted],
    deadline: Instant,
    cancel: &Cancel,
    replies: &mut Vec<Reply>,
) -> io::Result<()> {
    let any: SocketAddr = if server.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    let socket = UdpSocket::bind(any)?;
    socket.set_nonblocking(true)?;
    // Connected, so that the kernel passes on what comes from the server alone, and that its port is closed.
    socket.connect(server)?;
    for question in questions {
        socket.send(&question.bytes)?;
    }
    let mut waiting: Vec<&Wanted> = questions.iter().collect();
    let mut buffer = [0; MAX_DATAGRAM];
    while !waiting.is_empty() {
        let n = match socket.recv(&mut buffer) {
            Err(e) if e.kind() == ErrorKind::WouldBlock => {
                await_readable(&socket, deadline, cancel)?;
                continue;
            }
            received => received?,
        };
        let Some((at, packet)) = answered(&waiting, &buffer[..n]) else { continue };
        let question = waiting.swap_remove(at);
        replies.push(match packet.has_flags(PacketFlag::TRUNCATION) {
            true => by_stream(server, question, deadline, cancel).unwrap_or(Reply::Failed),
            false => said(&packet, question.kind),
        });
    }
    Ok(())
}

fn await_readable(fd: &dyn std::os::fd::AsFd, deadline: Instant, cancel: &Cancel) -> io::Result<()> {
    let left = deadline.saturating_duration_since(Instant::now());
    match !left.is_zero() && transport::wait(Some((fd, PollFlags::POLLIN)), cancel, Some(left))? {
        true => Ok(()),
        false => Err(ErrorKind::TimedOut.into()),
    }
}

/// Which question a packet answers; anything else that comes is dropped.
fn answered<'a>(waiting: &[&Wanted], bytes: &'a [u8]) -> Option<(usize, Packet<'a>)> {
    let packet = Packet::parse(bytes).ok().filter(|p| p.has_flags(PacketFlag::RESPONSE))?;
    let at = waiting.iter().position(|w| w.id == packet.id() && asks(&packet, w))?;
    Some((at, packet))
}

fn asks(packet: &Packet<'_>, wanted: &Wanted) -> bool {
    let Ok(own) = Packet::parse(&wanted.bytes) else { return false };
    let same = |a: &Question<'_>, b: &Question<'_>| {
        let (qtype, qclass) = (QTYPE::TYPE(wanted.kind), QCLASS::CLASS(CLASS::IN));
        let names = (a.qname.to_string(), b.qname.to_string());
        a.qtype == qtype && a.qclass == qclass && names.0.eq_ignore_ascii_case(&names.1)
    };
    matches!((&packet.questions[..], &own.questions[..]), ([a], [b]) if same(a, b))
}

/// The answer again, whole: its length in two bytes, then itself.
fn by_stream(server: SocketAddr, question: &Wanted, deadline: Instant, cancel: &Cancel) -> io::Result<Reply> {
    let left = deadline.saturating_duration_since(Instant::now());
    let mut stream = transport::connect_one(server, Some(left), cancel).map_err(io::Error::other)?;
    let length = u16::try_from(question.bytes.len()).map_err(io::Error::other)?;
    // So short that it fits into a fresh connection's buffer.
    stream.write_all(&[&length.to_be_bytes()[..], &question.bytes].concat())?;
    let mut length = [0; 2];
    fill(&mut stream, &mut length, deadline, cancel)?;
    let mut bytes = vec![0; u16::from_be_bytes(length).into()];
    fill(&mut stream, &mut bytes, deadline, cancel)?;
    Ok(answered(&[question], &bytes).map_or(Reply::Failed, |(_, packet)| said(&packet, question.kind)))
}

fn fill(stream: &mut TcpStream, mut into: &mut [u8], deadline: Instant, cancel: &Cancel) -> io::Result<()> {
    while !into.is_empty() {
        match stream.read(into) {
            Ok(0) => return Err(ErrorKind::UnexpectedEof.into()),
            Ok(n) => into = &mut into[n..],
            Err(e) if e.kind() == ErrorKind::WouldBlock => await_readable(stream, deadline, cancel)?,
            Err(e) => return Err(e),
        }
    }
    Ok(())
}

/// A server that was asked to recurse has followed aliases itself: their addresses are among the answers.
fn said(packet: &Packet<'_>, kind: TYPE) -> Reply {
    let address = |data: &RData<'_>| match data {
        RData::A(a) if kind == TYPE::A => Some(IpAddr::from(a.address.to_be_bytes())),
        RData::AAAA(a) if kind == TYPE::AAAA => Some(IpAddr::from(a.address.to_be_bytes())),
        _ => None,
    };
    match packet.rcode() {
        RCODE::NoError => Reply::Addresses(packet.answers.iter().filter_map(|r| address(&r.rdata)).collect()),
        RCODE::NameError => Reply::NoSuchName,
        _ => Reply::Failed,
    }
}

/// One kind of address is enough.
fn merged(replies: Vec<Reply>) -> Reply {
    let found: Vec<IpAddr> =
        replies.iter().flat_map(|r| if let Reply::Addresses(found) = r { &found[..] } else { &[] }).copied().collect();
    match found.is_empty() {
        false => Reply::Addresses(found),
        true if replies.contains(&Reply::Silent) => Reply::Silent,
        true if replies.contains(&Reply::Failed) => Reply::Failed,
        true if replies.contains(&Reply::NoSuchName) => Reply::NoSuchName,
        true => Reply::Addresses(found),
    }
}

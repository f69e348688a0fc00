//! A running container's socket: commands to be run in it, the size of its terminal. From any process.

use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::path::Path;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, poll};
use nix::sys::socket::{
    AddressFamily, ControlMessage, ControlMessageOwned, MsgFlags, SockFlag, SockType, UnixAddr, connect, recvmsg,
    sendmsg, socket,
};
use nix::sys::stat::Mode;

use super::status::{Exit, remaining};
use super::{encode, helper, sentence, spawn};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::launch::ExecPlan;
use crate::wire::{self, PACKET_MAX, Status, Step};

/// A command that runs in a container. Dropping it does nothing to the command.
#[derive(Debug)]
pub struct Command {
    /// What it is, for sentences on its end.
    pub name: String,
    /// Its process, as this host sees it.
    pub pid: i32,
    /// Its input (when asked for), output and error; with a terminal, its master alone; nothing when detached.
    pub streams: Vec<OwnedFd>,
    socket: OwnedFd,
    heard: Mutex<Heard>,
}

/// What was said after the start: whoever waits reads it, under the lock, which nobody holds while he waits.
#[derive(Clone, Copy, Debug, Default)]
struct Heard {
    exit: Option<Exit>,
    timed_out: bool,
}

impl Heard {
    fn outcome(self) -> Option<Result<Exit>> {
        let exit = self.exit?;
        Some(match self.timed_out {
            true => Err(ran_out()),
            false => Ok(exit),
        })
    }

    /// Reads what lies in the socket.
    fn listen(&mut self, socket: &OwnedFd) -> Result<()> {
        while self.exit.is_none() {
            match try_next(socket)? {
                Some((Said::Exited(exit), _)) => self.exit = Some(exit),
                Some((Said::TimedOut, _)) => self.timed_out = true,
                Some(_) => return Err(out_of_turn()),
                None => return Ok(()),
            }
        }
        Ok(())
    }
}

/// Runs a command in the container with this directory; returns once it has been executed.
pub fn exec(dir: &Path, plan: &ExecPlan, cancel: &Cancel) -> Result<Command> {
    let (head, blob) = encode::exec(plan)?;
    if blob.len() > wire::EXEC_MAX as usize {
        return Err(Error::new(Kind::InvalidArgument, "run command", "")
            .because("its arguments and environment are longer than any process may have"));
    }
    let file = helper::sealed_file(&blob).context("write request", "")?;
    let socket = reach(dir)?;
    request(&socket, wire::Kind::Exec, &head, blob.len(), &[file.as_raw_fd()])?;
    let started = next(&socket, cancel, None);
    let mut command = Command { name: String::new(), pid: 0, streams: Vec::new(), socket, heard: Mutex::default() };
    match started {
        Ok((Said::Ready(pid), fds)) => (command.pid, command.streams) = (pid, fds),
        // On its way there: the shim has killed it.
        Ok((Said::TimedOut, _)) => return Err(ran_out()),
        Ok((other, _)) => return Err(unexpected(&other)),
        Err(error) => {
            if error.kind() == Kind::Cancelled {
                command.abandon_start();
            }
            return Err(error);
        }
    }
    Ok(command)
}

/// The streams of a container, joined. Dropping it lets them go.
#[derive(Debug)]
pub struct Attachment {
    /// What it is joined to, for sentences on the end.
    pub name: String,
    /// Input, output and errors, those that are there.
    pub streams: [Option<OwnedFd>; 3],
    command: Command,
}

/// Joins the streams of the container with this directory, as they are from now on.
pub fn attach(dir: &Path, stdin: bool, cancel: &Cancel) -> Result<Attachment> {
    let socket = reach(dir)?;
    let wanted: Vec<u8> = [stdin, true, true].into_iter().flat_map(|yes| u32::from(yes).to_ne_bytes()).collect();
    request(&socket, wire::Kind::Attach, &wanted, 0, &[])?;
    let (which, fds) = match next(&socket, cancel, None)? {
        (Said::Attached(which), fds) => (which, fds),
        (other, _) => return Err(unexpected(&other)),
    };
    let mut fds = fds.into_iter();
    let streams = [1, 2, 4].map(|bit| if which & bit != 0 { fds.next() } else { None });
    let command = Command { name: String::new(), pid: 0, streams: Vec::new(), socket, heard: Mutex::default() };
    Ok(Attachment { name: String::new(), streams, command })
}

impl Attachment {
    /// Waits for the container's end.
    pub fn wait(&self, cancel: &Cancel) -> Result<Exit> {
        self.command.wait(cancel, None)
    }

    /// Gives the container's terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.command.resize(rows, columns)
    }
}

/// Gives the terminal of the container with this directory another size.
pub fn resize(dir: &Path, rows: u16, columns: u16) -> Result<()> {
    let socket = reach(dir)?;
    let size: Vec<u8> = [rows, columns].into_iter().flat_map(|n| u32::from(n).to_ne_bytes()).collect();
    request(&socket, wire::Kind::Resize, &size, 0, &[])?;
    match next(&socket, &Cancel::new(), None)?.0 {
        Said::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

/// Tells the shim of the container with this directory what follows its end from now on. One that can't answer by the
/// deadline, with [`Kind::Timeout`], hears it before it starts the container again.
pub fn set_restart(dir: &Path, rule: wire::Restart, cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
    let mut body = encode::Writer::default();
    encode::restart(&mut body, rule);
    let body = body.finish()?;
    // One of another version wants its own number in front of this word, which has been the same in all of them: without
    // it nobody could stop its container for good.
    let others = (1..wire::ABI).rev().chain(wire::ABI + 1..wire::ABI + NEWER);
    let mut told = tell_restart(dir, wire::ABI, &body, cancel, deadline);
    for abi in others {
        match told {
            Err(refused) if refused.kind() == Kind::Unsupported => {}
            told => return told,
        }
        told = tell_restart(dir, abi, &body, cancel, deadline);
    }
    told
}

/// So many versions that come after this one.
const NEWER: u32 = 32;

fn tell_restart(dir: &Path, abi: u32, body: &[u8], cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
    let socket = reach(dir)?;
    let mut head = spawn::header_of(wire::Kind::Restart, 0, 0);
    head[..4].copy_from_slice(&abi.to_ne_bytes());
    hand_in(&socket, &[&head[..], body].concat(), &[])?;
    match next(&socket, cancel, deadline)?.0 {
        Said::Done => Ok(()),
        other => Err(unexpected(&other)),
    }
}

impl Command {
    /// Waits for its end. [`Kind::Timeout`] when it was killed for its time, or at the deadline.
    pub fn wait(&self, cancel: &Cancel, deadline: Option<Instant>) -> Result<Exit> {
        loop {
            if let Some(outcome) = self.hear()? {
                return outcome;
            }
            wait(&self.socket, cancel, deadline)?;
        }
    }

    /// Its end, if that has been told.
    fn hear(&self) -> Result<Option<Result<Exit>>> {
        let mut heard = self.heard.lock().unwrap_or_else(PoisonError::into_inner);
        heard.listen(&self.socket)?;
        Ok(heard.outcome())
    }

    /// Readable once something was said about its end.
    pub fn socket(&self) -> &OwnedFd {
        &self.socket
    }

    /// Sends it a signal; one that has ended gets none.
    pub fn signal(&self, number: i32) -> Result<()> {
        self.say(&Status::Signal { number })
    }

    /// Kills it and all of its process group, and sees it gone, as far as that can be had at once.
    pub fn abandon(&self) {
        let _ = self.say(&Status::Abandon);
        // Closing the connection with an answer unread would take the word along.
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        let _ = self.wait(&Cancel::new(), deadline);
    }

    /// The same for one of which not even the start was heard.
    fn abandon_start(&self) {
        let _ = self.say(&Status::Abandon);
        let deadline = Instant::now().checked_add(Duration::from_secs(2));
        while let Ok((Said::Ready(_) | Said::TimedOut, _)) = next(&self.socket, &Cancel::new(), deadline) {}
    }

    /// Gives its terminal another size.
    pub fn resize(&self, rows: u16, columns: u16) -> Result<()> {
        self.say(&Status::Resize { rows, columns })
    }

    /// Nobody reads its output (2) or its errors (4) any more: what comes there is thrown away.
    pub fn unread(&self, streams: u32) -> Result<()> {
        self.say(&Status::Unread { streams })
    }

    fn say(&self, status: &Status) -> Result<()> {
        let mut packet = [0; PACKET_MAX];
        let n = status.encode(&mut packet);
        match send(&self.socket, &packet[..n], &[]) {
            Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
            Err(e) => Err(e).context("speak to the shim", ""),
        }
    }
}

/// A connection to the container's shim.
fn reach(dir: &Path) -> Result<OwnedFd> {
    // Non-blocking: a shim that is stopped would keep us waiting beyond any cancel.
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).context("make socket", "")?;
    let name = wire::SOCKET.to_string_lossy();
    let direct = UnixAddr::new(&dir.join(&*name));
    // A socket's address has room for 107 bytes; a descriptor's directory has a short name.
    let opened = direct.is_err().then(|| open(dir)).transpose()?;
    let address = match &opened {
        Some(dir) => UnixAddr::new(format!("/proc/self/fd/{}/{name}", dir.as_raw_fd()).as_str()),
        None => direct,
    };
    match address.and_then(|address| connect(socket.as_raw_fd(), &address)) {
        Ok(()) => Ok(socket),
        Err(Errno::ENOENT | Errno::ECONNREFUSED) => {
            Err(Error::new(Kind::Conflict, "reach container", "").because("it is not running"))
        }
        Err(Errno::EAGAIN) => {
            Err(Error::new(Kind::Conflict, "reach container", "").because("too many clients wait for its shim"))
        }
        Err(e) => Err(e).context("reach container", dir.display()),
    }
}

fn open(dir: &Path) -> Result<OwnedFd> {
    let flags = OFlag::O_PATH | OFlag::O_DIRECTORY | OFlag::O_CLOEXEC;
    nix::fcntl::open(dir, flags, Mode::empty()).context("open", dir.display())
}

fn request(socket: &OwnedFd, kind: wire::Kind, body: &[u8], length: usize, fds: &[RawFd]) -> Result<()> {
    hand_in(socket, &[&spawn::header_of(kind, 0, length)[..], body].concat(), fds)
}

fn hand_in(socket: &OwnedFd, packet: &[u8], fds: &[RawFd]) -> Result<()> {
    match send(socket, packet, fds) {
        // A shim that has no room has answered already, and that is read next.
        Ok(()) | Err(Errno::EPIPE | Errno::ECONNRESET) => Ok(()),
        Err(e) => Err(e).context("ask the shim", ""),
    }
}

fn send(socket: &OwnedFd, packet: &[u8], fds: &[RawFd]) -> nix::Result<()> {
    let rights = [ControlMessage::ScmRights(fds)];
    let rights = if fds.is_empty() { &[][..] } else { &rights[..] };
    sendmsg::<()>(socket.as_raw_fd(), &[IoSlice::new(packet)], rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
}

/// What a shim says to a client, when it is no failure.
enum Said {
    Ready(i32),
    Exited(Exit),
    TimedOut,
    Done,
    Attached(u32),
}

fn next(socket: &OwnedFd, cancel: &Cancel, deadline: Option<Instant>) -> Result<(Said, Vec<OwnedFd>)> {
    loop {
        match try_next(socket)? {
            Some(heard) => return Ok(heard),
            None => wait(socket, cancel, deadline)?,
        }
    }
}

/// `None` when nothing lies there.
fn try_next(socket: &OwnedFd) -> Result<Option<(Said, Vec<OwnedFd>)>> {
    loop {
        let mut packet = [0; PACKET_MAX];
        match receive(socket, &mut packet) {
            Ok((0, _)) => {
                return Err(Error::new(Kind::Launch, "run command", "").because("the container's shim was killed"));
            }
            Ok((n, fds)) => return said(&packet[..n]).map(|said| Some((said, fds))),
            Err(Errno::EAGAIN) => return Ok(None),
            // It went without having heard all that we said. That is told once, and what it said itself lies behind it.
            Err(Errno::EINTR | Errno::ECONNRESET) => {}
            Err(e) => return Err(e).context("hear from the shim", ""),
        }
    }
}

/// One packet, and all descriptors that came with it.
pub fn receive(socket: &OwnedFd, packet: &mut [u8]) -> nix::Result<(usize, Vec<OwnedFd>)> {
    // As many as the kernel lets anybody send (SCM_MAX_FD): of a message that is cut nix tells none, and those that came
    // would stay open.
    let mut space = nix::cmsg_space!([RawFd; 253]);
    let mut pieces = [std::io::IoSliceMut::new(packet)];
    let message = recvmsg::<()>(socket.as_raw_fd(), &mut pieces, Some(&mut space), MsgFlags::MSG_CMSG_CLOEXEC)?;
    let mut fds = Vec::new();
    for control in message.cmsgs()? {
        if let ControlMessageOwned::ScmRights(passed) = control {
            // SAFETY: the kernel has just made these descriptors for us; nothing else owns them.
            fds.extend(passed.into_iter().map(|fd| unsafe { OwnedFd::from_raw_fd(fd) }));
        }
    }
    Ok((message.bytes, fds))
}

fn said(packet: &[u8]) -> Result<Said> {
    match Status::decode(packet) {
        Ok(Status::Ready { init, .. }) => Ok(Said::Ready(init)),
        Ok(Status::Exited { code, signal, unwritten, oom }) => {
            Ok(Said::Exited(Exit { code, signal, unwritten, oom: oom.into() }))
        }
        Ok(Status::TimedOut) => Ok(Said::TimedOut),
        Ok(Status::Done) => Ok(Said::Done),
        Ok(Status::Attached { streams }) => Ok(Said::Attached(streams)),
        Ok(Status::Failed { step, .. }) if step == Step::Abi as u32 => Err(of_another_version()),
        Ok(Status::Failed { step, errno, detail }) => Err(sentence::of(step, errno, detail)),
        _ => Err(out_of_turn()),
    }
}

fn wait(socket: &OwnedFd, cancel: &Cancel, deadline: Option<Instant>) -> Result<()> {
    cancel.check("run command", "")?;
    let mut fds = vec![PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    fds.extend(cancel.fd().map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    match poll(&mut fds, remaining(deadline)) {
        Ok(0) => Err(Error::new(Kind::Timeout, "wait for command", "").because("it still runs")),
        Ok(_) | Err(Errno::EINTR) => cancel.check("run command", ""),
        Err(e) => Err(e).context("wait for command", ""),
    }
}

fn of_another_version() -> Error {
    Error::new(Kind::Unsupported, "ask the shim", "")
        .because("another version of Sampan has started the container, and it understands that one alone")
        .hint("use that version, or stop the container and start it again")
}

fn ran_out() -> Error {
    Error::new(Kind::Timeout, "run command", "").because("its time ran out, and it was killed")
}

/// What is not asked for: the end of a container, which its shim tells all who want something of it.
fn unexpected(said: &Said) -> Error {
    match said {
        Said::Exited(_) => Error::new(Kind::Conflict, "reach container", "").because("it has just ended"),
        _ => out_of_turn(),
    }
}

fn out_of_turn() -> Error {
    Error::new(Kind::Launch, "hear from the shim", "").because("it answered out of turn")
}

#[cfg(test)]
mod tests {
    use super::*;
    use nix::sys::socket::{Backlog, accept, bind, listen, socketpair};

    fn pair() -> (OwnedFd, OwnedFd) {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        socketpair(AddressFamily::Unix, SockType::SeqPacket, None, flags).unwrap()
    }

    fn tell(socket: &OwnedFd, status: Status, fds: &[RawFd]) {
        let mut packet = [0; PACKET_MAX];
        let n = status.encode(&mut packet);
        send(socket, &packet[..n], fds).unwrap();
    }

    #[test]
    fn who_waits_keeps_nobody_from_giving_up() {
        let (socket, shim) = pair();
        let command = Command { name: String::new(), pid: 1, streams: Vec::new(), socket, heard: Mutex::default() };
        std::thread::scope(|scope| {
            let first = scope.spawn(|| command.wait(&Cancel::new(), None));
            let cancelled = Cancel::new();
            cancelled.cancel();
            for _ in 0..100 {
                assert_eq!(command.wait(&cancelled, None).unwrap_err().kind(), Kind::Cancelled);
                assert_eq!(command.wait(&Cancel::new(), Some(Instant::now())).unwrap_err().kind(), Kind::Timeout);
            }
            let second = scope.spawn(|| command.wait(&Cancel::new(), None));
            tell(&shim, Status::Exited { code: 3, signal: 0, unwritten: 0, oom: wire::Oom::default() }, &[]);
            drop(shim);
            assert_eq!(first.join().unwrap().unwrap().code, 3);
            assert_eq!(second.join().unwrap().unwrap().code, 3);
        });
        assert_eq!(command.wait(&Cancel::new(), None).unwrap().code, 3);
    }

    /// Or nobody could stop its container for good.
    #[test]
    fn a_shim_of_another_version_hears_that_no_start_is_to_follow() {
        for version in [3, wire::ABI + 2] {
            let dir = tempfile::tempdir().unwrap();
            let flags = SockFlag::SOCK_CLOEXEC;
            let listener = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).unwrap();
            let name = wire::SOCKET.to_string_lossy();
            bind(listener.as_raw_fd(), &UnixAddr::new(&dir.path().join(&*name)).unwrap()).unwrap();
            listen(&listener, Backlog::new(8).unwrap()).unwrap();
            std::thread::scope(|scope| {
                let heard = scope.spawn(move || answer_as(version, &listener));
                set_restart(dir.path(), wire::Restart::No, &Cancel::new(), None).unwrap();
                assert_eq!(heard.join().unwrap()[4..8], (wire::Kind::Restart as u32).to_ne_bytes());
            });
        }
    }

    /// As a shim of this version, until it has understood something.
    fn answer_as(version: u32, listener: &OwnedFd) -> Vec<u8> {
        loop {
            let client = accept(listener).unwrap();
            let mut packet = [0; PACKET_MAX];
            let (n, _) = receive(&client, &mut packet).unwrap();
            if packet[..4] == version.to_ne_bytes() {
                tell(&client, Status::Done, &[]);
                return packet[..n].to_vec();
            }
            tell(&client, Status::Failed { step: Step::Abi as u32, errno: 0, detail: b"" }, &[]);
        }
    }

    #[test]
    fn an_end_is_heard_even_if_the_shim_heard_no_more_of_us() {
        let (socket, shim) = pair();
        let command = Command { name: String::new(), pid: 1, streams: Vec::new(), socket, heard: Mutex::default() };
        command.signal(15).unwrap();
        tell(&shim, Status::Exited { code: 3, signal: 0, unwritten: 0, oom: wire::Oom::default() }, &[]);
        drop(shim);
        assert_eq!(command.wait(&Cancel::new(), None).unwrap().code, 3);
    }

    #[test]
    fn descriptors_that_nobody_asked_for_are_closed() {
        let (socket, shim) = pair();
        let (read, write) = nix::unistd::pipe2(nix::fcntl::OFlag::O_CLOEXEC).unwrap();
        nix::fcntl::fcntl(&read, nix::fcntl::FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).unwrap();
        tell(&shim, Status::Done, &[write.as_raw_fd(); 9]);
        drop(write);
        let (_, fds) = next(&socket, &Cancel::new(), None).unwrap();
        assert_eq!(fds.len(), 9);
        drop(fds);
        // The end of the file: nobody has the other end.
        assert_eq!(nix::unistd::read(&read, &mut [0]), Ok(0));
    }
}

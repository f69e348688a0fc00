//! The container's socket: any process of the same user may have commands run here, and resize the terminal.
//!
//! Nothing that a client does or leaves undone makes the shim wait: sockets don't block, requests have a
//! bound, and who says nothing is let go. A command's streams go from its pipes to the client directly; the
//! shim keeps copies of them, so that the command goes on, its output unread, when its client is gone or has closed them.

use core::cell::Cell;
use core::ffi::CStr;

use crate::attach::Streams;
use crate::command::{self, Order};
use crate::ending;
use crate::events;
use crate::fail::{Fail, Outcome};
use crate::launch::word;
use crate::memory;
use crate::oom;
use crate::sys::{self, Ended, Errno, Fd, POLLIN, Poll};
use crate::terminal;
use crate::text::Text;
use crate::wire::{
    ABI, AttachHead, EXEC_ID, ExecHead, Header, Kind, Launch, Oom, PACKET_MAX, Reader, Restart, SOCKET, Status, Step,
};

/// Clients at one time, those of commands among them.
const MOST: usize = 64;
/// The most entries that [`Control::polls`] fills in.
pub const POLLS: usize = 1 + 3 * MOST;
/// A client that has said nothing by then has nothing to say.
const SILENCE_MS: u64 = 5000;
/// Who comes when there is no descriptor left for him waits that long until it is tried again.
const DEAF_MS: u64 = 200;

/// What a client's request is about.
pub struct Container<'a> {
    /// As it was started.
    pub launch: &'a Launch<'static>,
    /// Its first process; -1 while there is none and the next is waited for.
    pub pidfd: Fd,
    /// Its terminal's master, or -1.
    pub terminal: Fd,
    /// What follows its end.
    pub restart: &'a Cell<Restart>,
}

/// Listens in the container's directory; -1 where that can't be had, and then nobody can ask for anything.
pub fn listen(launch: &Launch<'static>) -> Fd {
    // A path may be longer than a socket's name; from its directory it never is.
    let listener = sys::chdir(launch.supervise.dir).and_then(|()| listen_here());
    let _ = sys::chdir(c"/");
    listener.unwrap_or(-1)
}

fn listen_here() -> sys::Result<Fd> {
    let socket = sys::socket(sys::AF_UNIX, sys::SOCK_SEQPACKET)?;
    let listening = match sys::listen_at(socket, SOCKET) {
        // A shim that was killed has left it. This one holds the container's lock, so there is no other.
        Err(Errno::EADDRINUSE) => sys::unlinkat(sys::AT_FDCWD, SOCKET, 0).and_then(|()| sys::listen_at(socket, SOCKET)),
        other => other,
    };
    listening.inspect_err(|_| drop(sys::close(socket))).map(|()| socket)
}

/// All clients.
pub struct Control {
    listener: Fd,
    /// Until then nobody is listened to; 0 for never.
    deaf_until: u64,
    clients: &'static mut [Client],
}

/// How far a client has come.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    /// There is none.
    Free,
    /// It has said nothing yet.
    Silent,
    /// Its command is on its way to the exec.
    Starting,
    /// Its command runs.
    Running,
    /// It has joined the container's streams.
    Attached,
    /// It had, and is gone; the container has not taken yet all that it wrote.
    Gone,
}

#[derive(Clone, Copy)]
struct Client {
    stage: Stage,
    /// -1 once it is gone.
    socket: Fd,
    /// From the command's process, while it starts.
    sync: Fd,
    /// The command's process.
    pid: i32,
    /// When the client's silence or the command's time is over; 0 for never.
    deadline: u64,
    /// Our copies of the command's input, while it starts, and of its two outputs, the first of which may be
    /// a terminal's master. Of one that has joined the container: where its input is read, and nothing else.
    streams: [Fd; 3],
    terminal: bool,
    /// The client gets no streams.
    detached: bool,
    /// Bytes of its input still to be taken when it is gone.
    left: usize,
    /// Which of its outputs nobody reads, by their places in `streams`.
    unread: [bool; 3],
    /// What the out-of-memory killer had killed before the command.
    killed: u64,
    /// The command's name in events.
    id: [u8; EXEC_ID],
}

const NOBODY: Client = Client {
    stage: Stage::Free,
    socket: -1,
    sync: -1,
    pid: 0,
    deadline: 0,
    streams: [-1; 3],
    terminal: false,
    detached: false,
    left: 0,
    unread: [false; 3],
    killed: 0,
    id: [0; EXEC_ID],
};

impl Control {
    /// Serves this listening socket, -1 for none.
    pub fn new(listener: Fd) -> sys::Result<Control> {
        if listener >= 0 {
            sys::set_status_flags(listener, sys::O_NONBLOCK)?;
        }
        Ok(Control { listener, deaf_until: 0, clients: &mut [] })
    }

    /// Fills in what is waited for; the same number for every client, so that the answer can be found again.
    /// `room` tells whether the container's input may be taken from those who joined.
    pub fn polls(&self, into: &mut [Poll], room: bool) {
        let on = |fd| Poll { fd, events: POLLIN, revents: 0 };
        into[0] = on(if self.deaf_ms() == 0 { self.listener } else { -1 });
        for (client, polls) in self.clients.iter().zip(into[1..].chunks_exact_mut(3)) {
            for (poll, fd) in polls.iter_mut().zip(client.waits_for(room)) {
                *poll = on(fd);
            }
        }
    }

    /// How many entries of [`Control::polls`] are in use.
    pub fn used(&self) -> usize {
        let last = self.clients.iter().rposition(|c| c.stage != Stage::Free);
        1 + 3 * last.map_or(0, |at| at + 1)
    }

    /// Does what can be done without waiting.
    pub fn handle(&mut self, polls: &[Poll], container: &Container, streams: &mut Streams) {
        let ready = |poll: &Poll| poll.revents != 0;
        for (owner, (client, polls)) in self.clients.iter_mut().zip(polls[1..].chunks_exact(3)).enumerate() {
            let joined = client.stage == Stage::Attached;
            let writes = joined || client.stage == Stage::Gone;
            if writes && client.streams[0] >= 0 && !streams.input.is_open() {
                // Its writer is to hear that nobody reads.
                close(&mut client.streams[0]);
            }
            match client.stage {
                Stage::Starting if ready(&polls[1]) => client.hear_command(),
                Stage::Running => client.drain(ready(&polls[1]), ready(&polls[2])),
                Stage::Attached | Stage::Gone if ready(&polls[1]) => client.feed(streams),
                _ => {}
            }
            if ready(&polls[0]) {
                client.hear(container, streams, owner);
            }
            client.tick();
            if joined && client.stage != Stage::Attached {
                streams.leave(owner);
            }
            if client.stage == Stage::Gone && client.streams[0] < 0 {
                client.free();
            }
        }
        if ready(&polls[0]) {
            self.accept();
        }
    }

    /// Until somebody's time is over.
    pub fn wait_ms(&self) -> Option<u64> {
        let deadlines = self.clients.iter().filter(|c| c.deadline != 0);
        let deaf = Some(self.deaf_ms()).filter(|ms| *ms > 0);
        deadlines.map(|c| c.deadline.saturating_sub(sys::now_ms())).chain(deaf).min()
    }

    fn deaf_ms(&self) -> u64 {
        if self.deaf_until == 0 { 0 } else { self.deaf_until.saturating_sub(sys::now_ms()) }
    }

    fn accept(&mut self) {
        let socket = match sys::accept(self.listener) {
            Ok(socket) => socket,
            // Asked at once again it would be told so without end.
            Err(Errno::EMFILE | Errno::ENFILE | Errno::ENOMEM) => {
                self.deaf_until = sys::now_ms() + DEAF_MS;
                return;
            }
            Err(_) => return,
        };
        if !matches!(sys::peer_uid(socket), Ok(uid) if uid == 0 || uid == sys::getuid()) {
            let _ = sys::close(socket);
            return;
        }
        match self.place() {
            Some(place) => {
                *place = Client { stage: Stage::Silent, socket, deadline: sys::now_ms() + SILENCE_MS, ..NOBODY };
            }
            None => {
                refuse(socket, &Fail { step: Step::Busy, errno: Errno::EMFILE, detail: b"" });
                let _ = sys::close(socket);
            }
        }
    }

    /// Memory for them is taken when the first comes: most containers never see one.
    fn place(&mut self) -> Option<&mut Client> {
        if self.clients.is_empty() {
            self.clients = memory::slots(MOST, || NOBODY).unwrap_or_default();
        }
        let of = |stage| self.clients.iter().position(|c| c.stage == stage);
        let at = of(Stage::Free).or_else(|| of(Stage::Gone))?;
        let client = &mut self.clients[at];
        if client.stage == Stage::Gone {
            client.free();
        }
        Some(client)
    }

    /// A child has ended: tells its client, if it was a command.
    pub fn reaped(&mut self, ended: &Ended, launch: &Launch<'static>) {
        let commands = self.clients.iter_mut().filter(|c| matches!(c.stage, Stage::Starting | Stage::Running));
        for client in commands.filter(|c| c.pid == ended.pid) {
            let oom = if oom::is_possible(ended) { oom::look(&launch.cgroup) } else { Oom::default() };
            client.ended(ended, oom.since(client.killed), launch);
        }
    }

    /// The container has ended, and all commands with it.
    pub fn end_commands(&mut self, launch: &Launch<'static>) {
        for client in self.clients.iter_mut().filter(|c| matches!(c.stage, Stage::Starting | Stage::Running)) {
            client.ended(&Ended { pid: client.pid, code: 0, signal: sys::SIGKILL }, Oom::default(), launch);
        }
    }

    /// The same, and nobody will be served again.
    pub fn close(&mut self, launch: &Launch<'static>) {
        for client in self.clients.iter_mut().filter(|c| !matches!(c.stage, Stage::Free | Stage::Attached)) {
            client.ended(&Ended { pid: client.pid, code: 0, signal: sys::SIGKILL }, Oom::default(), launch);
        }
        let _ = sys::close(self.listener);
        self.listener = -1;
    }
}

impl Control {
    /// Those who joined have had all output that there was: tells them how the container has ended.
    pub fn part(&mut self, init: &Ended, oom: Oom, launch: &Launch<'static>) {
        for client in self.clients.iter_mut().filter(|c| matches!(c.stage, Stage::Attached | Stage::Gone)) {
            client.ended(init, oom, launch);
        }
    }

    /// One who joined took nothing for too long.
    pub fn drop_slow(&mut self, owner: usize) {
        if let Some(client) = self.clients.get_mut(owner).filter(|c| c.stage == Stage::Attached) {
            refuse(client.socket, &Fail { step: Step::Slow, errno: Errno(0), detail: b"" });
            client.free();
        }
    }
}

impl Client {
    fn waits_for(&self, room: bool) -> [Fd; 3] {
        match self.stage {
            Stage::Free => [-1; 3],
            Stage::Silent => [self.socket, -1, -1],
            Stage::Starting => [self.socket, self.sync, -1],
            Stage::Running => [self.socket, self.unread(1), self.unread(2)],
            Stage::Attached | Stage::Gone => [self.socket, if room { self.streams[0] } else { -1 }, -1],
        }
    }

    /// One of its outputs, if nobody else reads it.
    fn unread(&self, number: usize) -> Fd {
        if self.socket < 0 || self.unread[number] { self.streams[number] } else { -1 }
    }

    /// One packet, if there is one.
    fn hear(&mut self, container: &Container, streams: &mut Streams, owner: usize) {
        let mut packet = [0; PACKET_MAX];
        match sys::recv_fd(self.socket, &mut packet) {
            Ok((n @ 1.., fd)) => {
                self.obey((container, streams, owner), &packet[..n], fd.unwrap_or(-1));
                let _ = sys::close(fd.unwrap_or(-1));
            }
            Err(Errno::EAGAIN) => {}
            _ => self.leave(),
        }
    }

    fn obey(&mut self, (container, streams, owner): (&Container, &mut Streams, usize), packet: &[u8], blob: Fd) {
        if self.stage == Stage::Silent {
            if let Err(fail) = self.request((container, streams, owner), packet, blob) {
                refuse(self.socket, &fail);
                self.free();
            }
            return;
        }
        match Status::decode(packet) {
            Ok(Status::Resize { rows, columns }) if self.stage == Stage::Attached => {
                terminal::resize(container.terminal, rows, columns);
            }
            Ok(Status::Resize { rows, columns }) if self.terminal => terminal::resize(self.streams[1], rows, columns),
            Ok(Status::Signal { number: number @ 1..=64 }) if self.pid > 0 => drop(sys::kill(self.pid, number)),
            Ok(Status::Abandon) if self.pid > 0 => self.kill_group(),
            Ok(Status::Unread { streams }) => {
                (1..3).filter(|n| streams & 1 << n != 0).for_each(|n| self.unread[n] = true);
            }
            _ => {}
        }
    }

    fn request(
        &mut self,
        (container, streams, owner): (&Container, &mut Streams, usize),
        packet: &[u8],
        blob: Fd,
    ) -> Outcome {
        let malformed = |_| Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" };
        let header = Header::read(packet).map_err(malformed)?;
        if header.abi != ABI {
            return Err(Fail { step: Step::Abi, errno: Errno(0), detail: b"" });
        }
        let r = &mut Reader(&packet[Header::SIZE..]);
        match Kind::from_number(header.kind) {
            Some(Kind::Exec | Kind::Attach) if container.pidfd < 0 => {
                Err(Fail { step: Step::Join, errno: Errno::ESRCH, detail: b"" })
            }
            // It was sent, and there was no descriptor for it.
            Some(Kind::Exec) if blob < 0 => Err(Fail { step: Step::Streams, errno: Errno::EMFILE, detail: b"" }),
            Some(Kind::Exec) => {
                let head: ExecHead = r.get().map_err(malformed)?;
                self.start(
                    container,
                    &Order { head: &head, blob, length: header.length, client: self.socket, process: None },
                )
            }
            Some(Kind::Resize) => {
                let (rows, columns): (u32, u32) = r.get().map_err(malformed)?;
                self.resize(container, rows as u16, columns as u16)
            }
            Some(Kind::Attach) => self.attach(&r.get().map_err(malformed)?, streams, owner),
            Some(Kind::Restart) => {
                container.restart.set(r.get().map_err(malformed)?);
                self.done()
            }
            _ => Err(Fail { step: Step::Request, errno: Errno::EINVAL, detail: b"" }),
        }
    }

    fn resize(&mut self, container: &Container, rows: u16, columns: u16) -> Outcome {
        if container.terminal < 0 {
            return Err(Fail { step: Step::Terminal, errno: Errno::ENOTTY, detail: b"" });
        }
        terminal::resize(container.terminal, rows, columns);
        self.done()
    }

    fn done(&mut self) -> Outcome {
        tell(self.socket, &Status::Done, &[]);
        self.free();
        Ok(())
    }

    fn start(&mut self, container: &Container, order: &Order) -> Outcome {
        let head = order.head;
        let killed = oom::kills(&container.launch.cgroup);
        let started = command::start(container, order)?;
        let deadline = if head.timeout_ms == 0 { 0 } else { sys::now_ms().saturating_add(head.timeout_ms) };
        *self = Client {
            stage: Stage::Starting,
            socket: self.socket,
            sync: started.sync,
            pid: started.pid,
            deadline,
            streams: started.streams,
            terminal: head.tty,
            detached: head.detach,
            left: 0,
            unread: [head.detach; 3],
            killed,
            // As long as that, or it is told nothing of.
            id: head.id.to_bytes().try_into().unwrap_or(NOBODY.id),
        };
        Ok(())
    }

    fn attach(&mut self, head: &AttachHead, streams: &mut Streams, owner: usize) -> Outcome {
        let joined = streams.join(head, owner)?;
        let mut fds = [-1; 3];
        let given = joined.theirs.iter().filter(|fd| **fd >= 0);
        let count = fds.iter_mut().zip(given).map(|(to, from)| *to = *from).count();
        tell(self.socket, &Status::Attached { streams: joined.which }, &fds[..count]);
        fds[..count].iter().for_each(|fd| drop(sys::close(*fd)));
        *self = Client { stage: Stage::Attached, socket: self.socket, streams: [joined.input, -1, -1], ..NOBODY };
        Ok(())
    }

    /// What it writes is the container's input.
    fn feed(&mut self, streams: &mut Streams) {
        if !streams.input.has_room() {
            return;
        }
        let taken = streams.input.take(self.streams[0]);
        self.left = self.left.saturating_sub(taken.unwrap_or(0));
        if taken.is_none() || (self.stage == Stage::Gone && self.left == 0) {
            close(&mut self.streams[0]);
        }
    }

    /// The command's process, until it has executed.
    fn hear_command(&mut self) {
        let mut packet = [0; 8];
        match sys::recv_fd(self.sync, &mut packet) {
            Ok((1, Some(master))) if packet[0] == word::TERMINAL => self.streams[1] = master,
            Ok((1, _)) if packet[0] == word::READY => {}
            // It has told the client why.
            Ok((1.., _)) => self.free(),
            Err(Errno::EAGAIN) => {}
            // Its end closes when it execs, or is killed: then it is reaped.
            _ => self.executed(),
        }
    }

    fn executed(&mut self) {
        close(&mut self.sync);
        self.stage = Stage::Running;
        if self.socket >= 0 {
            let mut fds = [-1; 3];
            let given = self.streams.iter().filter(|fd| **fd >= 0 && !self.detached);
            let count = fds.iter_mut().zip(given).map(|(to, from)| *to = *from).count();
            tell(self.socket, &Status::Ready { init: self.pid, shim: sys::getpid() }, &fds[..count]);
        }
        // Or the end of the client's copy would be no end.
        close(&mut self.streams[0]);
    }

    /// The client is gone; a command of its goes on.
    fn leave(&mut self) {
        match self.stage {
            Stage::Starting | Stage::Running => close(&mut self.socket),
            // No more than that: who has a copy of its end might write for ever.
            Stage::Attached if self.unread_input() > 0 => {
                close(&mut self.socket);
                (self.stage, self.left) = (Stage::Gone, self.unread_input());
            }
            _ => self.free(),
        }
    }

    fn unread_input(&self) -> usize {
        if self.streams[0] < 0 { 0 } else { sys::pipe_content(self.streams[0]).unwrap_or(0) }
    }

    /// What nobody reads any more is thrown away, or the command would stop at a full pipe.
    fn drain(&mut self, first: bool, second: bool) {
        for (stream, _) in self.streams[1..].iter_mut().zip([first, second]).filter(|(_, ready)| *ready) {
            // Each time: somebody may have a copy, and with it the say on how it is read.
            let _ = sys::set_status_flags(*stream, sys::O_NONBLOCK);
            match sys::read(*stream, &mut [0; 4096]) {
                Ok(1..) | Err(Errno::EAGAIN) => {}
                _ => close(stream),
            }
        }
    }

    fn tick(&mut self) {
        if self.deadline == 0 || sys::now_ms() < self.deadline {
            return;
        }
        self.deadline = 0;
        if self.stage == Stage::Silent {
            return self.free();
        }
        self.kill_group();
        tell(self.socket, &Status::TimedOut, &[]);
    }

    /// It leads a process group, once it has come that far; what it started in there goes too.
    fn kill_group(&self) {
        let _ = sys::kill(-self.pid, sys::SIGKILL);
        let _ = sys::kill(self.pid, sys::SIGKILL);
    }

    /// A command's end is an event.
    fn tell_end(&self, launch: &Launch<'static>, code: i32) {
        let mut text = Text::<12>::new();
        text.signed(code.into());
        if self.id != NOBODY.id {
            let attributes = [(&b"execID"[..], &self.id[..]), (b"exitCode", text.bytes())];
            events::tell(&launch.supervise, b"exec_die", &attributes);
        }
    }

    fn ended(&mut self, end: &Ended, oom: Oom, launch: &Launch<'static>) {
        // It says no more than three things, and then its end closes.
        for _ in 0..4 {
            if self.stage == Stage::Starting {
                self.hear_command();
            }
        }
        if self.stage != Stage::Free {
            self.tell_end(launch, ending::status(end));
            tell(self.socket, &Status::Exited { code: end.code, signal: end.signal, unwritten: 0, oom }, &[]);
            self.free();
        }
    }

    fn free(&mut self) {
        for fd in [self.socket, self.sync].into_iter().chain(self.streams) {
            let _ = sys::close(fd);
        }
        *self = NOBODY;
    }
}

/// A client that doesn't take it has lost it.
fn tell(socket: Fd, status: &Status, fds: &[Fd]) {
    let mut packet = [0; PACKET_MAX];
    let n = status.encode(&mut packet);
    if socket >= 0 {
        let _ = sys::send_fds(socket, &packet[..n], fds);
    }
}

fn refuse(socket: Fd, fail: &Fail) {
    tell(socket, &Status::Failed { step: fail.step as u32, errno: fail.errno.0, detail: fail.detail }, &[]);
}

fn close(fd: &mut Fd) {
    let _ = sys::close(*fd);
    *fd = -1;
}

/// The socket has no more to give after the container's end.
pub fn remove(dir: Fd) {
    let name: &CStr = SOCKET;
    let _ = sys::unlinkat(dir, name, 0);
}

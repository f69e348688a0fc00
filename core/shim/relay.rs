//! Bytes between the container's streams and those of the host.
//!
//! The host's descriptors share their open files, and so their flags, with other processes: they are never
//! made non-blocking here. Where the kernel allows it they are opened anew instead.

use crate::log::{LINE_MAX, Log};
use crate::sys::{self, Errno, Fd, POLLIN, POLLOUT, Poll};
use crate::taps::{self, Taps};
use crate::text::Text;
use crate::wire;

/// Room for what was read and is not yet written; only the pages in use cost memory.
const BUFFER: usize = 64 * 1024;
const PAGE: usize = 4096;
/// So long after the last byte an unfinished line is logged as it is, for those who follow the log.
const IDLE_MS: u64 = 50;

/// What an output has polled: its source, the host's descriptor, the taps.
pub const POLLS: usize = 2 + taps::MOST;

/// A host's descriptor that a stream is copied to.
struct Sink {
    fd: Fd,
    how: How,
}

enum How {
    /// It says so when it would block; mostly an open file of our own.
    NonBlocking,
    /// A socket: each send says that it won't wait.
    Socket,
    /// A file or a device, which takes all and doesn't wait for a reader.
    File,
    /// A pipe or terminal that couldn't be opened anew: not more at a time than it takes when it says that it is ready.
    Shared,
}

impl Sink {
    fn new(fd: Fd) -> Sink {
        let how = match sys::fstat(fd).map_or(0, |s| s.kind()) {
            sys::S_IFSOCK => How::Socket,
            sys::S_IFREG => How::File,
            _ if sys::status_flags(fd).is_ok_and(|flags| flags & sys::O_NONBLOCK != 0) => How::NonBlocking,
            _ => How::Shared,
        };
        Sink { fd, how }
    }

    /// Writes what it takes now; `ready` when a poll has said that it takes something.
    fn write(&self, bytes: &[u8], ready: bool) -> sys::Result<usize> {
        match self.how {
            How::NonBlocking | How::File => sys::write(self.fd, bytes),
            How::Socket => sys::send_no_wait(self.fd, bytes),
            How::Shared if ready => sys::write(self.fd, &bytes[..bytes.len().min(PAGE)]),
            How::Shared => Err(Errno::EAGAIN),
        }
    }
}

/// Puts open files of our own, which are non-blocking, in the place of the host's pipes and terminals. That
/// fails for a pipe of another user, and once this process has made itself undumpable, which takes its
/// `/proc/self/fd` away.
pub fn open_anew(fd: Fd) {
    let Ok(kind) = sys::fstat(fd).map(|s| s.kind()) else { return };
    let access = if fd == wire::fd::STDIN { sys::O_RDONLY } else { sys::O_WRONLY };
    // Opening a terminal for reading would only be to no purpose: one reads when a poll says so.
    if !(kind == sys::S_IFIFO || (kind == sys::S_IFCHR && access == sys::O_WRONLY)) {
        return;
    }
    let mut path = Text::<32>::new();
    path.push(b"/proc/self/fd/").signed(fd.into());
    if let Ok(own) = sys::openat(sys::AT_FDCWD, path.c(), access | sys::O_NONBLOCK | sys::O_NOCTTY, 0) {
        let _ = sys::dup_to(own, fd);
        let _ = sys::close(own);
    }
}

/// One of the container's output streams, on its way into the log and to the host.
pub struct Output {
    name: &'static [u8; 6],
    source: Fd,
    sink: Option<Sink>,
    /// Why the host took no more, unless nobody is there to read it.
    pub unwritten: Option<Errno>,
    /// Who joined later.
    pub taps: Taps,
    buffer: &'static mut [u8],
    /// Read up to here, logged and sent up to there.
    end: usize,
    logged: usize,
    sent: usize,
    /// How much of the buffer has memory.
    touched: usize,
    last_read_ms: u64,
    /// Bytes read in all.
    taken: u64,
    /// Up to which of them is read after the container's end; `None` before.
    last: Option<u64>,
}

impl Output {
    /// Reads from `source`, -1 for a stream that isn't there; copies to `sink` when there is one.
    pub fn new(name: &'static [u8; 6], source: Fd, sink: Option<Fd>) -> sys::Result<Output> {
        let buffer = sys::map_anonymous(if source < 0 { 0 } else { BUFFER })?;
        let sink = sink.map(Sink::new);
        Ok(Output {
            name,
            source,
            sink,
            unwritten: None,
            taps: Taps::new(),
            buffer,
            end: 0,
            logged: 0,
            sent: 0,
            touched: 0,
            last_read_ms: 0,
            taken: 0,
            last: None,
        })
    }

    /// What to poll: the source when there is room, the sink while something waits for it, the taps.
    pub fn polls(&self) -> [Poll; POLLS] {
        let mut polls = [Poll { fd: -1, events: POLLIN, revents: 0 }; POLLS];
        polls[0].fd = if self.waits() { -1 } else { self.source };
        let sink = self.sink.as_ref().filter(|_| self.sent < self.end).map_or(-1, |s| s.fd);
        polls[1] = Poll { fd: sink, events: POLLOUT, revents: 0 };
        polls[2..].copy_from_slice(&self.taps.polls(self.end));
        polls
    }

    /// True while somebody has not had all that was read.
    fn waits(&self) -> bool {
        self.sent < self.end || self.taps.wait(self.end)
    }

    /// Whether it passes here at all, and not straight to the host.
    pub fn is_relayed(&self) -> bool {
        !self.buffer.is_empty()
    }

    /// Whether there is more to come.
    pub fn is_open(&self) -> bool {
        self.source >= 0
    }

    /// Gives an owner all that comes from now on, through a pipe which is ours from here on.
    pub fn tap(&mut self, fd: Fd, owner: usize) -> bool {
        self.taps.add(fd, owner, self.end)
    }

    /// Moves what can be moved without waiting. The polls are those of [`Output::polls`], after the poll.
    pub fn pump(&mut self, log: &mut Log, polls: &[Poll]) {
        if polls[1].revents != 0 {
            self.send(true);
        }
        self.taps.handle(&polls[2..], &self.buffer[..self.end]);
        self.read(log, polls[0].revents != 0);
    }

    fn read(&mut self, log: &mut Log, ready: bool) {
        // Whoever held the buffer up may have gone without a word here.
        self.compact();
        if ready && !self.waits() && self.fill() {
            self.logged += log.append(self.name, &self.buffer[self.logged..self.end], false);
            self.send(false);
            self.taps.send(&self.buffer[..self.end]);
        }
        self.compact();
    }

    /// Reads what there is; true when that was something.
    fn fill(&mut self) -> bool {
        match sys::read(self.source, &mut self.buffer[self.end..]) {
            Ok(n @ 1..) => {
                self.end += n;
                self.taken += n as u64;
                self.touched = self.touched.max(self.end);
                self.last_read_ms = sys::now_ms();
                true
            }
            Err(Errno::EAGAIN) => false,
            // End of file; a terminal that nobody has open any more says EIO.
            _ => {
                self.close_source();
                false
            }
        }
    }

    fn send(&mut self, ready: bool) {
        while let (Some(sink), true) = (&self.sink, self.sent < self.end) {
            match sink.write(&self.buffer[self.sent..self.end], ready) {
                Ok(n) if n > 0 => self.sent += n,
                Err(Errno::EAGAIN) => return,
                refused => {
                    self.unwritten = refused.err().filter(|errno| !matches!(*errno, Errno::EPIPE | Errno::EIO));
                    self.drop_sink();
                }
            }
            if let Some(Sink { how: How::Shared, .. }) = self.sink {
                return;
            }
        }
        if self.sink.is_none() {
            self.sent = self.end;
        }
    }

    /// Brings an unfinished line to the buffer's beginning once all of it has been sent.
    fn compact(&mut self) {
        if self.waits() || self.logged == 0 {
            return;
        }
        self.buffer.copy_within(self.logged..self.end, 0);
        self.end -= self.logged;
        (self.sent, self.logged) = (self.end, 0);
        self.taps.rebase(self.end);
        debug_assert!(self.end < LINE_MAX);
    }

    /// The host no longer takes this stream; the log goes on.
    pub fn drop_sink(&mut self) {
        if let Some(mut sink) = self.sink.take() {
            close(&mut sink.fd);
        }
        self.sent = self.end;
    }

    fn close_source(&mut self) {
        close(&mut self.source);
    }

    /// After a run, all of which was logged and sent: reads from another source, which goes to the log alone.
    pub fn renew(&mut self, source: Fd) {
        self.close_source();
        self.drop_sink();
        (self.source, self.end, self.logged, self.sent) = (source, 0, 0, 0);
        (self.taken, self.last, self.unwritten) = (0, None, None);
    }

    /// Milliseconds until [`Output::settle`] or [`Output::give_up`] has something to do.
    pub fn wait_ms(&self) -> Option<u64> {
        [self.idle_ms(), self.taps_wait_ms()].into_iter().flatten().min()
    }

    /// Milliseconds until one who joined has lost it.
    pub fn taps_wait_ms(&self) -> Option<u64> {
        self.taps.wait_ms(self.end)
    }

    fn idle_ms(&self) -> Option<u64> {
        let something = self.logged < self.end || self.touched > PAGE;
        (something && !self.waits()).then(|| (self.last_read_ms + IDLE_MS).saturating_sub(sys::now_ms()))
    }

    /// Whose tap was closed since it took nothing for too long.
    pub fn give_up(&mut self) -> Option<usize> {
        self.taps.give_up(self.end)
    }

    /// After a while without output: logs an unfinished line, gives memory back.
    pub fn settle(&mut self, log: &mut Log) {
        if self.idle_ms() != Some(0) {
            return;
        }
        self.finish(log);
        if self.touched > PAGE {
            sys::forget_pages(&mut self.buffer[PAGE..]);
            self.touched = 0;
        }
    }

    /// Logs what is left.
    pub fn finish(&mut self, log: &mut Log) {
        self.logged += log.append(self.name, &self.buffer[self.logged..self.end], true);
        self.compact();
    }

    /// After the container's end: true while there is more to read or to send. Whoever else holds the
    /// stream open is not waited for, nor is more read than it held at the end: who writes on has no end.
    pub fn drain(&mut self, log: &mut Log) -> bool {
        let last = *self.last.get_or_insert_with(|| self.taken + capacity(self.source));
        while self.source >= 0 && !self.waits() {
            match self.taken < last && self.readable() {
                true => self.read(log, true),
                false => self.close_source(),
            }
        }
        self.waits()
    }

    fn readable(&self) -> bool {
        let mut poll = [Poll { fd: self.source, events: POLLIN, revents: 0 }];
        self.source >= 0 && sys::poll(&mut poll, Some(0)) == Ok(1) && poll[0].revents & POLLIN != 0
    }
}

/// The most that a pipe holds; a terminal holds less than a mebibyte.
fn capacity(source: Fd) -> u64 {
    sys::pipe_size(source).unwrap_or(1 << 20)
}

/// The container's standard input.
pub struct Input {
    source: Fd,
    target: Fd,
    terminal: bool,
    keep: bool,
    buffer: &'static mut [u8],
    sent: usize,
    end: usize,
    /// The last byte that the terminal got.
    last: u8,
}

impl Input {
    /// From the host's descriptor to a pipe, or to a terminal's master; -1 for none. With `keep` the pipe
    /// stays open after the end of the host's input.
    pub fn new(source: Option<Fd>, target: Fd, terminal: bool, keep: bool) -> sys::Result<Input> {
        let buffer = sys::map_anonymous(PAGE)?;
        let source = source.unwrap_or(-1);
        Ok(Input { source, target, terminal, keep, buffer, sent: 0, end: 0, last: b'\n' })
    }

    /// After a run: nobody writes to the next one's, which is given here, but who joins it.
    pub fn renew(&mut self, target: Fd) {
        self.close();
        (self.target, self.last) = (target, b'\n');
    }

    /// What to poll: the host's end when there is room; ours while something waits for it, or for word
    /// that the container has closed its end.
    pub fn polls(&self) -> [Poll; 2] {
        let waits = self.sent < self.end;
        let source = if waits { -1 } else { self.source };
        let target = if self.terminal && !waits { -1 } else { self.target };
        let events = if waits { POLLOUT } else { 0 };
        [Poll { fd: source, events: POLLIN, revents: 0 }, Poll { fd: target, events, revents: 0 }]
    }

    /// Whether there is an input that somebody who joins could write to.
    pub fn is_open(&self) -> bool {
        self.target >= 0
    }

    /// Whether something may be taken from those who joined.
    pub fn has_room(&self) -> bool {
        self.is_open() && self.sent == self.end
    }

    /// Takes what comes from one who joined, and says how much; none at the end of that, which is no end of the input.
    pub fn take(&mut self, from: Fd) -> Option<usize> {
        match sys::read(from, self.buffer) {
            Ok(n @ 1..) => {
                (self.sent, self.end) = (0, n);
                self.send();
                Some(n)
            }
            Err(Errno::EAGAIN) => Some(0),
            _ => None,
        }
    }

    /// Moves what can be moved without waiting.
    pub fn pump(&mut self, source: bool, target: i16) {
        if source {
            self.fill();
        }
        if self.sent < self.end {
            self.send();
        } else if target & sys::POLLERR != 0 {
            self.close();
        }
    }

    fn fill(&mut self) {
        match sys::read(self.source, self.buffer) {
            Ok(n @ 1..) => (self.sent, self.end) = (0, n),
            Err(Errno::EAGAIN) => {}
            _ => self.host_ended(),
        }
    }

    fn send(&mut self) {
        match sys::write(self.target, &self.buffer[self.sent..self.end]) {
            Ok(n) => {
                self.sent += n;
                self.last = self.buffer[self.sent - 1];
            }
            Err(Errno::EAGAIN) => {}
            Err(_) => self.close(),
        }
    }

    /// A terminal has no end to close: its line discipline takes a control-D at the beginning of a line,
    /// and a second one elsewhere, for the end of input.
    fn host_ended(&mut self) {
        close(&mut self.source);
        if self.terminal && !self.keep {
            let count = if self.last == b'\n' { 1 } else { 2 };
            self.buffer[..count].fill(4);
            (self.sent, self.end) = (0, count);
        } else if !self.keep {
            close(&mut self.target);
        }
    }

    /// The container takes no more.
    fn close(&mut self) {
        (self.sent, self.end) = (0, 0);
        close(&mut self.source);
        if !self.terminal {
            close(&mut self.target);
        }
    }
}

/// A low descriptor is replaced, not closed: its number has a meaning, and must not be given to another file.
pub fn close(fd: &mut Fd) {
    if (0..wire::fd::FIRST_FREE).contains(fd) {
        let _ = sys::openat(sys::AT_FDCWD, c"/dev/null", sys::O_RDWR, 0).and_then(|null| {
            let _ = sys::dup_to(null, *fd);
            sys::close(null)
        });
    } else {
        let _ = sys::close(*fd);
    }
    *fd = -1;
}

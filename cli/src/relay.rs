//! Between our own streams and those of something that runs in a container.

use std::fs::File;
use std::io::{self, Read, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::{Duration, Instant};

use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};

use crate::fail::Fail;
use crate::keys::Keys;
use crate::readers;

/// Our ends of its streams.
pub struct Streams {
    pub to: Option<OwnedFd>,
    pub out: Option<OwnedFd>,
    pub err: Option<OwnedFd>,
    /// The keys that detach; looked for in a terminal only.
    pub keys: Option<Keys>,
}

/// How the relay ended.
pub enum Ending<T> {
    /// What ran has ended, as the waiter tells.
    Ended(T),
    /// The user's keys; it goes on running.
    Detached,
}

/// Relays until `wait` returns, which runs in a thread of its own; what lies in the pipes by then is still written.
pub fn until_end<T: Send + 'static>(
    streams: Streams,
    wait: impl FnOnce() -> T + Send + 'static,
) -> Result<Ending<T>, Fail> {
    let (ended, bell) = nix::unistd::pipe2(OFlag::O_CLOEXEC).map_err(io::Error::from)?;
    let work = move || {
        let _bell = bell;
        wait()
    };
    let waiter = std::thread::Builder::new().spawn(work).map_err(Fail::thread)?;
    match Relay::new(streams)?.run(&ended).map_err(broken)? {
        Some(0) => Ok(Ending::Detached),
        Some(left) => Err(Fail::new(1, untaken(left))),
        None => match waiter.join() {
            Ok(result) => Ok(Ending::Ended(result)),
            Err(panic) => std::panic::resume_unwind(panic),
        },
    }
}

fn untaken(bytes: usize) -> String {
    format!(
        "detach: {bytes} bytes of what was typed before the keys are lost: what runs there has read nothing for {} s",
        PATIENCE.as_secs()
    )
}

/// What is in the foreground has written what nobody reads any more: it goes on without us.
fn broken(error: io::Error) -> Fail {
    match error.kind() {
        io::ErrorKind::BrokenPipe => Fail::silent(readers::BROKEN_PIPE),
        _ => error.into(),
    }
}

/// So much is read of what is typed before it is taken, to meet the keys in it.
const AHEAD: usize = 64 << 10;
/// Who types the keys is not kept by what reads nothing for so long.
const PATIENCE: Duration = Duration::from_secs(5);

struct Relay {
    /// Ours, until its end.
    input: Option<File>,
    to: Option<File>,
    /// Read and not yet taken.
    pending: Vec<u8>,
    out: Option<File>,
    err: Option<File>,
    keys: Option<Keys>,
}

impl Relay {
    fn new(streams: Streams) -> io::Result<Relay> {
        let Streams { to, out, err, keys } = streams;
        if let Some(to) = &to {
            // Its other end may take nothing for long, and the outputs must go on.
            fcntl(to, FcntlArg::F_SETFL(OFlag::O_NONBLOCK))?;
        }
        let input = to.as_ref().map(|_| io::stdin().as_fd().try_clone_to_owned().map(File::from)).transpose()?;
        let [to, out, err] = [to, out, err].map(|fd| fd.map(File::from));
        Ok(Relay { input, to, pending: Vec::new(), out, err, keys })
    }

    /// `None` at the end of what runs. When the user detached, how much of what he typed before that was not taken.
    fn run(mut self, ended: &OwnedFd) -> io::Result<Option<usize>> {
        loop {
            let [input, to, out, err, end] = self.ready(ended.as_fd(), PollTimeout::NONE)?;
            if out || err {
                self.show(out, err)?;
            } else if end {
                return self.drain(ended.as_fd()).map(|()| None);
            }
            if input && self.fill()? {
                return self.part(ended.as_fd()).map(Some);
            }
            if to {
                self.feed();
            }
        }
    }

    fn show(&mut self, out: bool, err: bool) -> io::Result<()> {
        copy(&mut self.out, io::stdout(), out)?;
        copy(&mut self.err, io::stderr(), err)
    }

    /// After the keys: what was typed before them is taken first. It may be waited for by who writes meanwhile.
    fn part(&mut self, ended: BorrowedFd<'_>) -> io::Result<usize> {
        self.input = None;
        let mut last = Instant::now();
        while !self.pending.is_empty() && last.elapsed() < PATIENCE {
            let left = PollTimeout::try_from(PATIENCE - last.elapsed().min(PATIENCE)).unwrap_or(PollTimeout::ZERO);
            let [_, to, out, err, end] = self.ready(ended, left)?;
            self.show(out, err)?;
            if end {
                return Ok(0);
            }
            if to {
                self.feed();
                last = Instant::now();
            }
        }
        Ok(self.pending.len())
    }

    /// What others hold the pipes open for is not waited for.
    fn drain(&mut self, ended: BorrowedFd<'_>) -> io::Result<()> {
        loop {
            let [_, _, out, err, _] = self.ready(ended, PollTimeout::ZERO)?;
            if !out && !err {
                return Ok(());
            }
            self.show(out, err)?;
        }
    }

    fn ready(&self, ended: BorrowedFd<'_>, timeout: PollTimeout) -> io::Result<[bool; 5]> {
        let waits = !self.pending.is_empty();
        let room = if self.keys.is_some() { AHEAD } else { 1 };
        let input = self.input.as_ref().filter(|_| self.pending.len() < room);
        let to = self.to.as_ref().filter(|_| waits);
        let wanted = [
            (input.map(AsFd::as_fd), PollFlags::POLLIN),
            (to.map(AsFd::as_fd), PollFlags::POLLOUT),
            (self.out.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
            (self.err.as_ref().map(AsFd::as_fd), PollFlags::POLLIN),
            (Some(ended), PollFlags::POLLIN),
        ];
        let mut fds: Vec<PollFd> = wanted.iter().filter_map(|(fd, flags)| Some(PollFd::new((*fd)?, *flags))).collect();
        match poll(&mut fds, timeout) {
            Ok(_) => {}
            Err(nix::errno::Errno::EINTR) => return Ok([false; 5]),
            Err(e) => return Err(e.into()),
        }
        let mut polled = fds.iter();
        Ok(wanted.map(|(fd, _)| fd.is_some() && polled.next().and_then(PollFd::any).unwrap_or(false)))
    }

    /// Takes what was typed; true when it was the keys that detach.
    fn fill(&mut self) -> io::Result<bool> {
        let mut buffer = [0; 16 << 10];
        let Some(input) = &mut self.input else { return Ok(false) };
        let n = match input.read(&mut buffer) {
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => return Ok(false),
            // A terminal that is gone.
            Err(e) if e.raw_os_error() == Some(nix::libc::EIO) => 0,
            read => read?,
        };
        if n == 0 {
            self.input = None;
            // A pipe's end is the end of its input; a terminal has none to give.
            self.to.take_if(|_| self.keys.is_none());
            return Ok(false);
        }
        let (passed, detach) = match &mut self.keys {
            Some(keys) => keys.filter(&buffer[..n]),
            None => (buffer[..n].to_vec(), false),
        };
        self.pending.extend(passed);
        Ok(detach)
    }

    fn feed(&mut self) {
        let Some(to) = &mut self.to else { return };
        match to.write(&self.pending) {
            Ok(n) if n > 0 => drop(self.pending.drain(..n)),
            Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => {}
            // It takes no more: what is typed from here on is nobody's.
            _ => {
                self.pending.clear();
                self.to = None;
                self.input = None;
            }
        }
    }
}

fn copy(from: &mut Option<File>, mut to: impl Write, ready: bool) -> io::Result<()> {
    let mut buffer = [0; 32 << 10];
    let Some(file) = from.as_mut().filter(|_| ready) else { return Ok(()) };
    match file.read(&mut buffer) {
        Ok(n) if n > 0 => {
            to.write_all(&buffer[..n])?;
            to.flush()
        }
        Err(e) if matches!(e.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted) => Ok(()),
        // A terminal that nobody has open any more says EIO.
        _ => {
            *from = None;
            Ok(())
        }
    }
}

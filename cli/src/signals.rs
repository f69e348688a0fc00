//! Signals sent to this command go to the container that it runs in the foreground.
//!
//! They are blocked and read from a descriptor by one thread, so no handler is installed and none
//! is lost: before the container runs they cancel the pull, after that they are passed on.

use std::os::fd::AsFd;
use std::sync::{Arc, Mutex, PoisonError};

use nix::sys::signal::{SigSet, Signal};
use nix::sys::signalfd::{SfdFlags, SignalFd};
use sampan::{Cancel, Container, Exec};

use crate::fail::Fail;
use crate::terminal;

const FORWARDED: &[Signal] = &[
    Signal::SIGHUP,
    Signal::SIGINT,
    Signal::SIGQUIT,
    Signal::SIGTERM,
    Signal::SIGUSR1,
    Signal::SIGUSR2,
    Signal::SIGALRM,
    Signal::SIGCONT,
    Signal::SIGIO,
    Signal::SIGPROF,
    Signal::SIGPWR,
    Signal::SIGVTALRM,
    Signal::SIGXCPU,
];

/// So many requests to end that the container ignores, and the command ends without it.
const PATIENCE: u32 = 3;

/// What runs in our foreground.
pub trait Foreground: Send + Sync {
    /// One that has ended gets none.
    fn signal(&self, signal: &str);
    /// One without a terminal has no size.
    fn resize(&self, rows: u32, columns: u32);
}

impl Foreground for Container {
    fn signal(&self, signal: &str) {
        let _ = self.kill(signal);
    }

    fn resize(&self, rows: u32, columns: u32) {
        let _ = Container::resize(self, rows, columns);
    }
}

impl Foreground for Exec {
    fn signal(&self, signal: &str) {
        let _ = self.kill(signal);
    }

    fn resize(&self, rows: u32, columns: u32) {
        let _ = Exec::resize(self, rows, columns);
    }
}

/// Who gets the signals, and what they cancel while nobody does.
#[derive(Clone, Default)]
pub struct Forwarder {
    target: Arc<Mutex<Target>>,
    pub cancel: Cancel,
}

#[derive(Default)]
struct Target {
    foreground: Option<Arc<dyn Foreground>>,
    /// What came while there was none. A container that has started in spite of it gets it late.
    early: Vec<Signal>,
}

impl Forwarder {
    /// Takes over the signals of this process; with `proxy` off, only the terminal's change of size.
    pub fn start(proxy: bool) -> Result<Forwarder, Fail> {
        let mut set = SigSet::empty();
        set.add(Signal::SIGWINCH);
        if proxy {
            FORWARDED.iter().for_each(|signal| set.add(*signal));
        }
        let unread = |e: nix::Error| Fail::usage(format_args!("read signals: {}", e.desc()));
        set.thread_block().map_err(unread)?;
        let fd = SignalFd::with_flags(&set, SfdFlags::SFD_CLOEXEC).map_err(unread)?;
        let forwarder = Forwarder::default();
        let theirs = forwarder.clone();
        let thread = std::thread::Builder::new().spawn(move || theirs.serve(&fd));
        thread.map_err(Fail::thread)?;
        Ok(forwarder)
    }

    /// From now on signals go there.
    pub fn aim(&self, foreground: Arc<dyn Foreground>) {
        let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
        target.early.drain(..).for_each(|signal| foreground.signal(signal.as_str()));
        resize(&*foreground);
        target.foreground = Some(foreground);
    }

    fn serve(&self, fd: &SignalFd) {
        let mut asked = 0;
        loop {
            let Ok(signal) = next(fd) else { return };
            asked += u32::from(matches!(signal, Signal::SIGINT | Signal::SIGTERM));
            let mut target = self.target.lock().unwrap_or_else(PoisonError::into_inner);
            match &target.foreground {
                Some(foreground) if signal == Signal::SIGWINCH => resize(&**foreground),
                Some(_) if asked >= PATIENCE => std::process::exit(128 + signal as i32),
                Some(foreground) => foreground.signal(signal.as_str()),
                None if matches!(signal, Signal::SIGWINCH | Signal::SIGCONT) => {}
                None => {
                    target.early.push(signal);
                    self.cancel.cancel();
                }
            }
        }
    }
}

fn next(fd: &SignalFd) -> nix::Result<Signal> {
    use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
    loop {
        if let Some(info) = fd.read_signal()? {
            return Signal::try_from(info.ssi_signo as i32);
        }
        poll(&mut [PollFd::new(fd.as_fd(), PollFlags::POLLIN)], PollTimeout::NONE)?;
    }
}

fn resize(foreground: &dyn Foreground) {
    if let Some((rows, columns)) = terminal::size() {
        foreground.resize(rows, columns);
    }
}

//! Waiting for a process that runs in the foreground: it becomes this process's child, as the runtime's helper ends and
//! leaves it to the nearest subreaper, and signals sent here go on to it.

use nix::sys::signal::{SigSet, Signal, kill};
use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};
use nix::unistd::Pid;
use sampan::{Error, Kind, Result};

/// Ready to wait.
pub struct Waiting {
    signals: SigSet,
}

/// Before the process is made, so that it comes here and no signal is missed.
pub fn prepare() -> Result<Waiting> {
    nix::sys::prctl::set_child_subreaper(true).map_err(|e| failed("become subreaper", e))?;
    let mut signals = SigSet::all();
    for own in [
        Signal::SIGSEGV,
        Signal::SIGBUS,
        Signal::SIGILL,
        Signal::SIGFPE,
        Signal::SIGABRT,
        Signal::SIGTTIN,
        Signal::SIGTTOU,
    ] {
        signals.remove(own);
    }
    signals.thread_block().map_err(|e| failed("block signals", e))?;
    Ok(Waiting { signals })
}

fn failed(operation: &'static str, errno: nix::Error) -> Error {
    Error::new(Kind::System, operation, "").because(errno.desc())
}

impl Waiting {
    /// Waits until the process has ended; its exit code as a shell has it.
    pub fn until_end(&self, pid: i32) -> Result<u8> {
        loop {
            if let Some(code) = reap(Pid::from_raw(pid))? {
                return Ok(code);
            }
            match self.signals.wait().map_err(|e| failed("wait for a signal", e))? {
                Signal::SIGCHLD | Signal::SIGURG | Signal::SIGWINCH => {}
                signal => drop(kill(Pid::from_raw(pid), signal)),
            }
        }
    }
}

/// All that have ended, orphans of the container too; the code of the one that is waited for.
fn reap(wanted: Pid) -> Result<Option<u8>> {
    let mut found = None;
    loop {
        match waitpid(None, Some(WaitPidFlag::WNOHANG)) {
            Ok(WaitStatus::Exited(pid, code)) if pid == wanted => found = Some(code as u8),
            Ok(WaitStatus::Signaled(pid, signal, _)) if pid == wanted => found = Some(128 + signal as i32 as u8),
            Ok(WaitStatus::StillAlive) => return Ok(found),
            Ok(_) => {}
            Err(nix::Error::ECHILD) if found.is_some() => return Ok(found),
            Err(errno) => return Err(failed("wait for the process", errno)),
        }
    }
}

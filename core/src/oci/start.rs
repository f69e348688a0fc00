//! `start`: the word that the payload waits for.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};

use super::hold::Held;
use super::state::{self, Record, State, Status, start_socket};
use super::{Runtime, hooks};
use crate::error::{Context, Error, Kind, Result};
use crate::launch;
use crate::plan::oci::Hook;
use crate::wire::{PACKET_MAX, Step};
use crate::{fs, plan};

impl Runtime {
    /// Starts the payload of a container that was created; returns once it runs.
    ///
    /// # Errors
    /// `Conflict` when the container is in another stage; `CommandNotFound` and the like when the payload can't run.
    pub fn start(&self, id: &str) -> Result<()> {
        let held = Held::known(self, id)?;
        let dir = held.path();
        let record = Record::read(dir)?;
        match record.status(dir)? {
            Status::Created => {}
            other => return Err(wrong_stage("start container", id, other)),
        }
        let poststart: Vec<Hook> = plan::oci::poststart(&state::config(dir)?)?;
        // A payload that has ended by the time of its hooks was running all the same.
        let state = State { status: Status::Running, ..self.state(id)? };
        let connection = connect_to(dir, SockFlag::empty())?.context("connect to container", id)?;
        send(connection.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).context("start container", id)?;
        let started = await_exec(&connection, id);
        fs::remove_file(&start_socket(dir))?;
        // Hooks may ask for the container, or end it.
        drop(held);
        started.and_then(|()| hooks::run(&poststart, &state, &self.helper)).inspect_err(|failed| {
            if is_of_hook(failed) {
                // That the hook has failed is what there is to tell.
                let _ = self.undo(id, &record);
            }
        })
    }

    /// Ends it and undoes its creation (runtime.md, "Lifecycle", 7 and 9), unless a hook has put another in its place.
    fn undo(&self, id: &str, record: &Record) -> Result<()> {
        let there = Record::read(&self.known(id)?)?;
        if (there.pid, there.pid_start) == (record.pid, record.pid_start) { self.delete(id, true) } else { Ok(()) }
    }
}

/// Whether a hook of the start has failed, inside or outside.
fn is_of_hook(error: &Error) -> bool {
    [hooks::RUN, Step::Hook.words()].contains(&error.operation())
}

pub(super) fn wrong_stage(operation: &'static str, id: &str, status: Status) -> Error {
    let word = format!("{status:?}").to_lowercase();
    Error::new(Kind::Conflict, operation, id).because(format!("the container is {word}"))
}

/// Whether somebody still waits for the word. A caller that was killed in the midst of a start leaves the socket's
/// name, behind which nobody listens once the payload runs.
pub(super) fn is_awaited(dir: &Path) -> Result<bool> {
    Ok(fs::exists(&start_socket(dir))?
        && match connect_to(dir, SockFlag::SOCK_NONBLOCK)? {
            // As many as may wait do so already.
            Ok(_) | Err(Errno::EAGAIN) => true,
            Err(_) => false,
        })
}

pub(super) fn connect_to(dir: &Path, flags: SockFlag) -> Result<nix::Result<OwnedFd>> {
    let open = fs::open_dir(dir)?;
    let path = format!("/proc/self/fd/{}/start", open.as_raw_fd());
    let subject = || start_socket(dir).display().to_string();
    let flags = flags | SockFlag::SOCK_CLOEXEC;
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, flags, None).context("make socket", subject())?;
    let address = UnixAddr::new(path.as_str()).context("make socket", subject())?;
    Ok(connect(socket.as_raw_fd(), &address).map(|()| socket))
}

/// The last word before the exec is that all is ready; then the exec closes the other end. A failure is told.
fn await_exec(connection: &OwnedFd, id: &str) -> Result<()> {
    let mut ready = false;
    loop {
        let mut packet = [0; PACKET_MAX];
        match recv(connection.as_raw_fd(), &mut packet, MsgFlags::empty()) {
            Ok(1) => ready = true,
            Ok(0) | Err(Errno::ECONNRESET) if ready => return Ok(()),
            Ok(0) | Err(Errno::ECONNRESET) => {
                return Err(Error::new(Kind::Launch, "start container", id)
                    .because("its first process was killed before the payload ran"));
            }
            Ok(n) => return Err(launch::told(&packet[..n])),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(Error::errno_in(errno as i32, "start container", id)),
        }
    }
}

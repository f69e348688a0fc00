//! `start`: the word that the payload waits for.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, connect, recv, send, socket};

use super::state::{self, Record, Status, start_socket};
use super::{Runtime, hooks};
use crate::error::{Context, Error, Kind, Result};
use crate::launch;
use crate::plan::oci::Hook;
use crate::wire::PACKET_MAX;
use crate::{fs, plan};

impl Runtime {
    /// Starts the payload of a container that was created; returns once it runs.
    ///
    /// # Errors
    /// `Conflict` when the container is in another stage; `CommandNotFound` and the like when the payload can't run.
    pub fn start(&self, id: &str) -> Result<()> {
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        match record.status(&dir)? {
            Status::Created => {}
            other => return Err(wrong_stage("start container", id, other)),
        }
        let config = state::config(&dir)?;
        let poststart: Vec<Hook> = plan::oci::poststart(&config)?;
        let connection = connect_to(&dir)?;
        send(connection.as_raw_fd(), b"g", MsgFlags::MSG_NOSIGNAL).context("start container", id)?;
        let started = await_exec(&connection);
        fs::remove_file(&start_socket(&dir))?;
        started?;
        hooks::run(&poststart, &self.state(id)?, &self.helper)
    }
}

pub(super) fn wrong_stage(operation: &'static str, id: &str, status: Status) -> Error {
    let word = format!("{status:?}").to_lowercase();
    Error::new(Kind::Conflict, operation, id).because(format!("the container is {word}"))
}

fn connect_to(dir: &Path) -> Result<OwnedFd> {
    let open = fs::open_dir(dir)?;
    let path = format!("/proc/self/fd/{}/start", open.as_raw_fd());
    let subject = || start_socket(dir).display().to_string();
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
        .context("make socket", subject())?;
    connect(socket.as_raw_fd(), &UnixAddr::new(path.as_str()).context("connect", subject())?)
        .context("connect", subject())?;
    Ok(socket)
}

/// The exec closes the other end; a failure is told before.
fn await_exec(connection: &OwnedFd) -> Result<()> {
    let mut packet = [0; PACKET_MAX];
    match recv(connection.as_raw_fd(), &mut packet, MsgFlags::empty()) {
        Ok(0) | Err(nix::Error::ECONNRESET) => Ok(()),
        Ok(n) => Err(launch::told(&packet[..n])),
        Err(errno) => Err(Error::errno_in(errno as i32, "start container", "")),
    }
}

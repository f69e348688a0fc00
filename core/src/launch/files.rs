//! A container's files, by a helper that has entered them: one question, one answer.

use std::cell::RefCell;
use std::io::IoSlice;
use std::os::fd::{AsRawFd, BorrowedFd, OwnedFd};
use std::time::Duration;

use nix::errno::Errno;
use nix::fcntl::{FcntlArg, OFlag, fcntl};
use nix::sys::socket::{ControlMessage, MsgFlags, sendmsg};

use super::control::receive;
use super::encode::{self, Writer};
use super::helper::HelperSource;
use super::spawn::{self, Shim};
use super::status::{Answer, died};
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::plan::launch::LaunchPlan;
use crate::wire::{self, FILES_PACKET, FileReply, FileStep, Reader, fd};

/// The helper. It ends with this value, and with this process.
#[derive(Debug)]
pub struct Files {
    shim: Shim,
    buffer: RefCell<Vec<u8>>,
    cancel: Cancel,
}

/// How long its end is waited for.
const PATIENCE: Duration = Duration::from_secs(2);

/// What is at a name.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct FileStat {
    /// Kind and permissions, as of `stat(2)`.
    pub mode: u32,
    /// Owner and group, as the container has them.
    pub owner: (u32, u32),
    /// How many names it has.
    pub nlink: u32,
    /// Bytes.
    pub size: u64,
    /// Its device's numbers and its own on that, which together no other file has.
    pub identity: (u32, u32, u64),
    /// Major and minor number of a device.
    pub device: (u32, u32),
    /// Seconds and nanoseconds of its last change.
    pub mtime: (i64, u32),
}

/// The answer to a question.
#[derive(Debug)]
pub struct Answered {
    /// Of a look.
    pub stat: FileStat,
    /// Where there is one.
    pub fd: Option<OwnedFd>,
    /// A link's target, names of attributes, the value of one.
    pub text: Vec<u8>,
}

/// A question; what it doesn't need is left out.
#[derive(Clone, Copy, Debug, Default)]
pub struct Question<'a> {
    /// See the steps.
    pub flags: u32,
    /// Kind and permissions.
    pub mode: u32,
    /// Owner and group, as the container has them.
    pub owner: (u32, u32),
    /// Seconds and nanoseconds.
    pub mtime: (i64, u32),
    /// A path or a name.
    pub path: &'a [u8],
    /// A link's target, an attribute's name.
    pub text: &'a [u8],
    /// An attribute's value.
    pub value: &'a [u8],
}

/// Enters the files of the container of which `inside` is the first process. The errno is EAGAIN as long as that makes its
/// root: what it sees is the host's.
pub fn enter(inside: BorrowedFd<'_>, mapped: bool, helper: &HelperSource, cancel: &Cancel) -> Result<Files> {
    let mut w = Writer::default();
    w.flag(false);
    w.flag(mapped);
    begin(w.finish()?, &[(fd::INSIDE, inside)], helper, cancel)
}

/// Makes the files of a container that doesn't run, as this plan would, and enters them. They are its alone for as long:
/// the helper has the lock.
pub fn enter_stopped(plan: &LaunchPlan, lock: BorrowedFd<'_>, helper: &HelperSource, cancel: &Cancel) -> Result<Files> {
    begin(making(plan)?, &[(fd::LOCK, lock)], helper, cancel)
}

/// Enters the tree of a container without namespaces, which may run meanwhile.
pub fn enter_tree(plan: &LaunchPlan, helper: &HelperSource, cancel: &Cancel) -> Result<Files> {
    begin(making(plan)?, &[], helper, cancel)
}

fn making(plan: &LaunchPlan) -> Result<Vec<u8>> {
    let mut w = Writer::default();
    w.flag(true);
    encode::launch_into(&mut w, plan);
    w.flag(plan.id_map.is_some());
    w.finish()
}

fn begin(body: Vec<u8>, passed: &[(i32, BorrowedFd<'_>)], helper: &HelperSource, cancel: &Cancel) -> Result<Files> {
    let shim = spawn::spawn(wire::Kind::Files, body, passed, helper)?;
    match shim.next(cancel, None).inspect_err(|_| shim.kill())? {
        Answer::Ready { .. } => {}
        Answer::Born(_) | Answer::Exited(_) => return Err(died()),
    }
    // A helper that is held up by a file system must not keep us waiting beyond a cancel.
    fcntl(&shim.status, FcntlArg::F_SETFL(OFlag::O_NONBLOCK)).context("set socket", "")?;
    Ok(Files { shim, buffer: RefCell::new(vec![0; FILES_PACKET]), cancel: cancel.clone() })
}

impl Drop for Files {
    /// Whoever comes next finds the container's lock free.
    fn drop(&mut self) {
        self.shim.hang_up(PATIENCE);
        // A file system that doesn't answer would keep it.
        self.shim.kill();
    }
}

impl Files {
    /// Asks for a step. A failure has the errno of the call, `operation` and `subject`.
    pub fn ask(
        &self,
        step: FileStep,
        question: &Question<'_>,
        fds: &[BorrowedFd<'_>],
        operation: &'static str,
    ) -> Result<Answered> {
        self.send(&encode(step, question)?, fds)?;
        let mut buffer = self.buffer.borrow_mut();
        let (n, fds) = loop {
            match receive(&self.shim.status, &mut buffer) {
                Ok((0, _)) => return Err(died()),
                Ok(heard) => break heard,
                Err(Errno::EAGAIN) => self.shim.wait(&self.cancel, None)?,
                Err(Errno::EINTR) => {}
                Err(e) => return Err(e).context("hear from the helper", ""),
            }
        };
        read(&buffer[..n], fds.into_iter().next(), || (operation, String::from_utf8_lossy(question.path).into_owned()))
    }

    fn send(&self, packet: &[u8], fds: &[BorrowedFd<'_>]) -> Result<()> {
        let raw: Vec<i32> = fds.iter().map(AsRawFd::as_raw_fd).collect();
        let rights = [ControlMessage::ScmRights(&raw)];
        let rights = if raw.is_empty() { &[][..] } else { &rights[..] };
        let socket = self.shim.status.as_raw_fd();
        match sendmsg::<()>(socket, &[IoSlice::new(packet)], rights, MsgFlags::MSG_NOSIGNAL, None) {
            Ok(_) => Ok(()),
            Err(Errno::EPIPE | Errno::ECONNRESET) => Err(died()),
            Err(e) => Err(e).context("ask the helper", ""),
        }
    }
}

fn encode(step: FileStep, q: &Question<'_>) -> Result<Vec<u8>> {
    let mut w = Writer::default();
    [step as u32, q.flags, q.mode, q.owner.0, q.owner.1].into_iter().for_each(|n| w.u32(n));
    w.u64(q.mtime.0 as u64);
    w.u32(q.mtime.1);
    w.path(q.path);
    w.path(q.text);
    w.raw(q.value);
    let packet = w.finish().map_err(|_| {
        let subject = q.path.escape_ascii().to_string();
        Error::new(Kind::InvalidArgument, "read path", subject).because("it contains a NUL byte")
    })?;
    match packet.len() > FILES_PACKET {
        true => Err(Error::errno_in(
            libc::ENAMETOOLONG,
            "read path",
            String::from_utf8_lossy(&q.path[..64.min(q.path.len())]),
        )),
        false => Ok(packet),
    }
}

fn read(packet: &[u8], fd: Option<OwnedFd>, what: impl FnOnce() -> (&'static str, String)) -> Result<Answered> {
    let reply: FileReply = Reader(packet).get().map_err(|_| died())?;
    if reply.errno != 0 {
        let (operation, subject) = what();
        return Err(Error::errno_in(reply.errno as i32, operation, subject));
    }
    let stat = FileStat {
        mode: reply.mode,
        owner: (reply.uid, reply.gid),
        nlink: reply.nlink,
        size: reply.size,
        identity: (reply.dev.0, reply.dev.1, reply.ino),
        device: reply.rdev,
        mtime: (reply.seconds as i64, reply.nanoseconds),
    };
    Ok(Answered { stat, fd, text: reply.text.to_vec() })
}

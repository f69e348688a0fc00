//! The clone, twice: how the shim becomes nobody's child without the host noticing.

use std::ffi::{CStr, c_char, c_int, c_void};
use std::io::IoSlice;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd, RawFd};
use std::ptr::null;
use std::sync::{Mutex, MutexGuard};

use nix::sys::socket::{AddressFamily, ControlMessage, MsgFlags, SockFlag, SockType, sendmsg, socketpair};

use super::helper::{self, Executable, HelperSource};
use super::refusal;
use crate::error::{Context, Error, Kind, Result};
use crate::wire::{self, ABI, fd};

/// A shim that has been started and asked.
#[derive(Debug)]
pub(super) struct Shim {
    pub status: OwnedFd,
    /// Readable once it is gone.
    pub pidfd: OwnedFd,
}

impl Shim {
    /// Sends a descriptor behind the request.
    pub fn pass(&self, fd: BorrowedFd<'_>) -> nix::Result<()> {
        self.send(b'd', fd)
    }

    /// Gives an idle one a descriptor, which gets this number there.
    pub fn pass_as(&self, number: i32, fd: BorrowedFd<'_>) -> nix::Result<()> {
        self.send(number as u8, fd)
    }

    /// A word without a descriptor.
    pub fn tell(&self, word: u8) -> nix::Result<()> {
        let sent = nix::sys::socket::send(self.status.as_raw_fd(), &[word], MsgFlags::MSG_NOSIGNAL);
        sent.map(drop)
    }

    fn send(&self, word: u8, fd: BorrowedFd<'_>) -> nix::Result<()> {
        let (word, fds) = ([word], [fd.as_raw_fd()]);
        let packet = [IoSlice::new(&word)];
        let rights = [ControlMessage::ScmRights(&fds)];
        sendmsg::<()>(self.status.as_raw_fd(), &packet, &rights, MsgFlags::MSG_NOSIGNAL, None).map(drop)
    }
}

/// Starts a shim with this request; `passed` are descriptors and their fixed numbers in it.
pub(super) fn spawn(
    kind: wire::Kind,
    body: Vec<u8>,
    passed: &[(i32, BorrowedFd<'_>)],
    helper: &HelperSource,
) -> Result<Shim> {
    let blob = helper::memory_file([&header(kind, passed, body.len()), &body]).map_err(unstarted)?;
    start(&[passed, &[(fd::BLOB, blob.as_fd())]].concat(), helper)
}

/// Starts one that has no request yet: it waits for descriptors, and the request is the last of them.
pub(super) fn idle(helper: &HelperSource) -> Result<Shim> {
    start(&[], helper)
}

fn start(passed: &[(i32, BorrowedFd<'_>)], helper: &HelperSource) -> Result<Shim> {
    reap_returned_shims();
    let mut executable = helper::executable(helper)?;
    let (ours, theirs) = socketpair(AddressFamily::Unix, SockType::SeqPacket, None, SockFlag::SOCK_CLOEXEC)
        .context("create status socket", "")?;
    let mut job = Job::new(&executable);
    passed.iter().for_each(|(to, from)| job.pass(from.as_raw_fd(), *to));
    job.pass(theirs.as_raw_fd(), fd::STATUS);
    let pidfd = match job.run() {
        Err(refused) if job.was_not_executable() => {
            executable = helper::instead(helper, &executable, std::io::Error::from_raw_os_error(job.error))?;
            job.executable = executable.as_raw_fd();
            job.run().map_err(|again| again.caused_by(refused))?
        }
        done => done?,
    };
    drop(executable);
    Ok(remember(Shim { status: ours, pidfd }))
}

pub(super) fn header(kind: wire::Kind, passed: &[(i32, BorrowedFd<'_>)], length: usize) -> [u8; wire::Header::SIZE] {
    let fds = passed.iter().fold(0, |bits, (to, _)| bits | fd::bit(*to));
    header_of(kind, fds, length)
}

/// The head of a request.
pub(super) fn header_of(kind: wire::Kind, fds: u32, length: usize) -> [u8; wire::Header::SIZE] {
    let mut bytes = [0; wire::Header::SIZE];
    for (chunk, word) in bytes.chunks_exact_mut(4).zip([ABI, kind as u32, fds, length as u32]) {
        chunk.copy_from_slice(&word.to_ne_bytes());
    }
    bytes
}

/// What both children work on, in the memory that they share with the host.
struct Job {
    executable: RawFd,
    /// From, to.
    moves: [(RawFd, RawFd); fd::FIRST_FREE as usize],
    count: usize,
    second_stack: *mut c_void,
    /// Errno of the first thing that failed.
    error: c_int,
    /// What the grandchild was at then.
    at: Stage,
    pidfd: RawFd,
}

/// What a grandchild does, one after the other.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stage {
    Descriptors,
    Null,
    Close,
    Execute,
}

const STACK: usize = 32 * 1024;
// Above every fixed number, so that no move overwrites a source that is still needed.
const ABOVE: c_int = 2 * fd::FIRST_FREE;

impl Job {
    fn new(executable: &Executable) -> Job {
        Job {
            executable: executable.as_raw_fd(),
            moves: [(-1, -1); fd::FIRST_FREE as usize],
            count: 0,
            second_stack: std::ptr::null_mut(),
            error: 0,
            at: Stage::Descriptors,
            pidfd: -1,
        }
    }

    /// The host refused the program itself, as policies for memory files and mounts without execution do.
    fn was_not_executable(&self) -> bool {
        self.at == Stage::Execute && matches!(self.error, libc::EACCES | libc::EPERM)
    }

    fn pass(&mut self, from: RawFd, to: RawFd) {
        self.moves[self.count] = (from, to);
        self.count += 1;
    }

    fn run(&mut self) -> Result<OwnedFd> {
        (self.error, self.at, self.pidfd) = (0, Stage::Descriptors, -1);
        let mut stacks = Vec::<u128>::with_capacity(2 * STACK / 16);
        let base = stacks.as_mut_ptr().cast::<u8>();
        // SAFETY: both tops lie in or at the end of the allocation, which outlives both children.
        let (first, second) = unsafe { (base.add(STACK), base.add(2 * STACK)) };
        self.second_stack = second.cast();
        let mut intermediate: RawFd = -1;
        let old = block_all_signals();
        // CLONE_FILES lets the intermediate leave the shim's pidfd in the host's table.
        let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_FILES | libc::CLONE_PIDFD;
        // SAFETY: with CLONE_VFORK this thread sleeps until the child has ended; the child runs raw system
        // calls only, on a stack of its own, and all signals are blocked meanwhile.
        let pid =
            unsafe { libc::clone(first_child, first.cast(), flags, (&raw mut *self).cast(), &raw mut intermediate) };
        let error = std::io::Error::last_os_error();
        restore_signals(&old);
        match pid {
            -1 => return Err(unstarted(error)),
            _ => reap(intermediate),
        }
        self.outcome()
    }

    fn outcome(&self) -> Result<OwnedFd> {
        // SAFETY: the clone put it into our table, and nobody else knows it.
        let pidfd = (self.pidfd >= 0).then(|| unsafe { OwnedFd::from_raw_fd(self.pidfd) });
        let error = match self.error {
            // Of a number to duplicate to that is beyond the limit.
            libc::EINVAL if self.at == Stage::Descriptors => libc::EMFILE,
            error => error,
        };
        match (error, pidfd) {
            (0, Some(pidfd)) => Ok(pidfd),
            (0, None) => Err(Error::new(Kind::Launch, "start helper", "").because("it was killed before it began")),
            (errno, _) if self.at == Stage::Null => Err(Error::errno_in(errno, "open", "/dev/null")
                .hint("containers need the host's own devices: mount a /dev that has them")),
            (errno, _) => Err(unstarted(std::io::Error::from_raw_os_error(errno))),
        }
    }
}

pub(super) fn unstarted(error: std::io::Error) -> Error {
    let errno = error.raw_os_error().unwrap_or(0);
    refusal::explain(Error::errno_in(errno, "start helper", ""), errno)
}

/// The intermediate: makes the grandchild and ends, so that the shim is nobody's.
extern "C" fn first_child(job: *mut c_void) -> c_int {
    let job: *mut Job = job.cast();
    let flags = libc::CLONE_VM | libc::CLONE_VFORK | libc::CLONE_PIDFD;
    // SAFETY: the job outlives this process, which sleeps until the grandchild has executed or ended.
    unsafe {
        if libc::clone(second_child, (*job).second_stack, flags, job.cast(), &raw mut (*job).pidfd) < 0 {
            (*job).error = *libc::__errno_location();
        }
    }
    0
}

/// The grandchild: puts the descriptors in place and becomes the shim.
extern "C" fn second_child(job: *mut c_void) -> c_int {
    let job: *mut Job = job.cast();
    // SAFETY: the job outlives this process's use of it; only async-signal-safe calls are made.
    unsafe {
        if arrange(&mut *job).is_some() {
            (*job).at = Stage::Execute;
            execute();
        }
        (*job).error = *libc::__errno_location();
    }
    1
}

/// Comes back only with errno set.
///
/// # Safety
/// Runs in a child of its own.
unsafe fn execute() {
    // The same number as a path, for hosts that hide the call.
    const PATH: &CStr = c"/proc/self/fd/8";
    const _: () = assert!(PATH.to_bytes()[14] - b'0' == fd::FIRST_FREE as u8 && PATH.to_bytes().len() == 15);
    let (argv, envp) = ([c"sampan-shim".as_ptr(), null()], [null::<c_char>()]);
    let (empty, flags) = (c"".as_ptr(), libc::AT_EMPTY_PATH);
    // SAFETY: all strings and vectors end in NUL and null; an exec that fails changes nothing.
    unsafe {
        libc::syscall(libc::SYS_execveat, fd::FIRST_FREE, empty, argv.as_ptr(), envp.as_ptr(), flags);
        if matches!(*libc::__errno_location(), libc::ENOSYS | libc::EPERM) {
            libc::execve(PATH.as_ptr(), argv.as_ptr(), envp.as_ptr());
        }
    }
}

/// `None` with errno set when a call failed.
///
/// # Safety
/// Runs in a child with a descriptor table of its own.
unsafe fn arrange(job: &mut Job) -> Option<()> {
    let ok = |result: c_int| (result >= 0).then_some(result);
    // SAFETY: plain calls on descriptor numbers.
    unsafe {
        let mut moves = job.moves;
        let executable = ok(libc::fcntl(job.executable, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        for (from, _) in &mut moves[..job.count] {
            *from = ok(libc::fcntl(*from, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        }
        job.at = Stage::Null;
        let nothing = ok(libc::open(c"/dev/null".as_ptr(), libc::O_RDWR | libc::O_CLOEXEC))?;
        job.at = Stage::Descriptors;
        let nothing = ok(libc::fcntl(nothing, libc::F_DUPFD_CLOEXEC, ABOVE))?;
        for to in 0..fd::FIRST_FREE {
            match moves[..job.count].iter().find(|(_, wanted)| *wanted == to) {
                Some((from, _)) => ok(libc::dup2(*from, to))?,
                // Taken, so that what an idle one is given comes above.
                None => ok(libc::dup2(nothing, to))?,
            };
        }
        ok(libc::dup3(executable, fd::FIRST_FREE, libc::O_CLOEXEC))?;
        job.at = Stage::Close;
        ok(libc::syscall(libc::SYS_close_range, fd::FIRST_FREE + 1, u32::MAX, 0) as c_int)?;
    }
    Some(())
}

/// All 64, those too that the C library keeps for itself: a handler run in a child would act on the host's memory.
fn block_all_signals() -> u64 {
    set_signals(u64::MAX)
}

fn restore_signals(old: &u64) {
    set_signals(*old);
}

fn set_signals(mask: u64) -> u64 {
    let mut old = 0u64;
    // SAFETY: both point to the eight bytes that the kernel's signal set has.
    unsafe { libc::syscall(libc::SYS_rt_sigprocmask, libc::SIG_SETMASK, &raw const mask, &raw mut old, 8usize) };
    old
}

/// The intermediate has ended. It signals nobody (exit signal 0); only a wait by its pidfd with `__WALL` sees it.
fn reap(pidfd: RawFd) {
    // SAFETY: the clone made it, and nobody else knows it.
    let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
    wait_by_pidfd(&pidfd, 0);
}

/// True once there is nothing left to wait for.
fn wait_by_pidfd(pidfd: &OwnedFd, flags: c_int) -> bool {
    // SAFETY: zero is a value of every field, and the pointer is valid for the call.
    let mut info: libc::siginfo_t = unsafe { std::mem::zeroed() };
    let options = libc::WEXITED | libc::__WALL | flags;
    // SAFETY: as above.
    let result = unsafe { libc::waitid(libc::P_PIDFD, pidfd.as_raw_fd() as libc::id_t, &mut info, options) };
    // SAFETY: waitid has filled it, or left it zero when nothing has ended.
    result != 0 || unsafe { info.si_pid() } != 0
}

// Where the host is PID 1 or a subreaper, shims come back to it as children. They are kept here and reaped by
// pidfd at the next call, never by a wait for any child.
static RETURNED: Mutex<Vec<OwnedFd>> = Mutex::new(Vec::new());

/// Held by another thread for instants only; or for good, where that was so when this process was forked.
fn returned() -> Option<MutexGuard<'static, Vec<OwnedFd>>> {
    const TRIES: u32 = 10_000;
    (0..TRIES).find_map(|_| RETURNED.try_lock().inspect_err(|_| std::thread::yield_now()).ok())
}

fn remember(shim: Shim) -> Shim {
    if adopts_orphans()
        && let (Ok(pidfd), Some(mut returned)) = (shim.pidfd.try_clone(), returned())
    {
        returned.push(pidfd);
    }
    shim
}

fn adopts_orphans() -> bool {
    let mut subreaper: c_int = 0;
    // SAFETY: the pointer is valid for the call.
    unsafe { libc::prctl(libc::PR_GET_CHILD_SUBREAPER, &raw mut subreaper) };
    subreaper != 0 || std::process::id() == 1
}

fn reap_returned_shims() {
    let Some(mut all) = returned().map(|mut returned| std::mem::take(&mut *returned)) else { return };
    all.retain(|pidfd| !wait_by_pidfd(pidfd, libc::WNOHANG));
    if let Some(mut returned) = returned() {
        returned.append(&mut all);
    }
}

//! Processes, credentials, signals and time.

use core::ffi::CStr;
use core::ptr::null;

use super::{Errno, Fd, Result, syscall};
use crate::arch;

pub const CLONE_NEWNS: u64 = 0x20000;
pub const CLONE_NEWTIME: u64 = 0x80;
pub const CLONE_NEWCGROUP: u64 = 0x2000000;
pub const CLONE_NEWUTS: u64 = 0x4000000;
pub const CLONE_NEWIPC: u64 = 0x8000000;
pub const CLONE_NEWUSER: u64 = 0x10000000;
pub const CLONE_NEWPID: u64 = 0x20000000;
pub const CLONE_NEWNET: u64 = 0x40000000;
const CLONE_PIDFD: u64 = 0x1000;
/// The child becomes its parent's sibling.
pub const CLONE_PARENT: u64 = 0x8000;
const CLONE_INTO_CGROUP: u64 = 0x200000000;

pub const SIGHUP: i32 = 1;
pub const SIGKILL: i32 = 9;
pub const SIGPIPE: i32 = 13;
pub const SIGTERM: i32 = 15;
pub const SIGCHLD: i32 = 17;

/// What a [`fork`] returns.
pub enum Forked {
    /// In the child.
    Child,
    /// In the parent: the child's pid, and a pidfd where the kernel gave one.
    Parent { pid: i32, pidfd: Fd },
}

/// A copy of this process in new namespaces (`CLONE_NEW*`; `CLONE_PARENT` too), born in a v2 cgroup when `cgroup` is its directory.
pub fn fork(namespaces: u64, cgroup: Option<Fd>) -> Result<Forked> {
    let mut pidfd: Fd = -1;
    let cgroup_flag = if cgroup.is_some() { CLONE_INTO_CGROUP } else { 0 };
    // A sibling's is its parent's, and must not be given.
    let exit_signal = if namespaces & CLONE_PARENT == 0 { SIGCHLD as u64 } else { 0 };
    let args: [u64; 11] = [
        namespaces | CLONE_PIDFD | cgroup_flag,
        &raw mut pidfd as u64,
        0,
        0,
        exit_signal,
        0,
        0,
        0,
        0,
        0,
        cgroup.unwrap_or(0) as u64,
    ];
    // Kernels before 5.7 know a shorter struct, and refuse the longer one only when its tail isn't zero.
    match syscall!(CLONE3, args.as_ptr(), size_of_val(&args))? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd }),
    }
}

/// The same by the older call, where clone3 is hidden by a seccomp filter.
pub fn fork_by_clone(namespaces: u64) -> Result<Forked> {
    let mut pidfd: Fd = -1;
    let flags = namespaces | CLONE_PIDFD | SIGCHLD as u64;
    match syscall!(CLONE, flags, 0, &raw mut pidfd, 0, 0)? {
        0 => Ok(Forked::Child),
        pid => Ok(Forked::Parent { pid: pid as i32, pidfd }),
    }
}

/// A copy of this process in new namespaces, by whichever call there is.
pub fn fork_plainly(namespaces: u64) -> Result<Forked> {
    fork(namespaces, None).or_else(|_| fork_by_clone(namespaces))
}

/// A thread of this process. It ends with that, at the exec, or by [`exit_thread`], and nobody has to wait for its end.
pub fn thread<T: Sync>(enter: extern "C" fn(&'static T) -> !, what: &'static T) -> Result {
    const CLONE_VM_FS_FILES_SIGHAND_THREAD: u64 = 0x100 | 0x200 | 0x400 | 0x800 | 0x10000;
    const STACK: usize = 64 << 10;
    let stack = super::map_anonymous(STACK)?.as_mut_ptr_range().end;
    // SAFETY: a fresh mapping, whose end is a page's; the function takes a pointer and doesn't return.
    match unsafe {
        arch::clone_onto(CLONE_VM_FS_FILES_SIGHAND_THREAD, stack, enter as usize, &raw const *what as usize)
    } {
        errno @ ..0 => Err(Errno(-errno as i32)),
        _ => Ok(()),
    }
}

pub fn exit_thread() -> ! {
    let _ = syscall!(EXIT, 0);
    arch::trap()
}

pub fn unshare(flags: u64) -> Result {
    syscall!(UNSHARE, flags).map(drop)
}

pub fn setns(fd: Fd, kind: u64) -> Result {
    syscall!(SETNS, fd, kind).map(drop)
}

/// Vectors of pointers that end in a null.
pub fn execve(path: &CStr, args: &[usize], env: &[usize]) -> Errno {
    syscall!(EXECVE, path.as_ptr(), args.as_ptr(), env.as_ptr()).err().unwrap_or(Errno::EIO)
}

/// How a child ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ended {
    pub pid: i32,
    /// Exit code, or 0 when a signal killed it.
    pub code: i32,
    /// The signal that killed it, or 0.
    pub signal: i32,
}

/// Waits for a child (`pid` -1: for any); `None` when `no_wait` and none has ended yet.
pub fn wait(pid: i32, no_wait: bool) -> Result<Option<Ended>> {
    const WNOHANG: i32 = 1;
    const WALL: i32 = 0x40000000;
    let mut status = 0i32;
    loop {
        let flags = WALL | if no_wait { WNOHANG } else { 0 };
        match syscall!(WAIT4, pid, &raw mut status, flags, null::<u8>()) {
            Err(Errno::EINTR) => continue,
            Err(e) => return Err(e),
            Ok(0) => return Ok(None),
            Ok(pid) => {
                let (code, signal) = ((status >> 8) & 0xff, status & 0x7f);
                return Ok(Some(Ended { pid: pid as i32, code, signal }));
            }
        }
    }
}

pub fn kill(pid: i32, signal: i32) -> Result {
    syscall!(KILL, pid, signal).map(drop)
}

pub fn pidfd_open(pid: i32) -> Result<Fd> {
    syscall!(PIDFD_OPEN, pid, 0).map(|fd| fd as Fd)
}

pub fn pidfd_send_signal(pidfd: Fd, signal: i32) -> Result {
    syscall!(PIDFD_SEND_SIGNAL, pidfd, signal, null::<u8>(), 0).map(drop)
}

pub fn getpid() -> i32 {
    syscall!(GETPID).unwrap_or(0) as i32
}

pub fn getuid() -> u32 {
    syscall!(GETUID).unwrap_or(0) as u32
}

pub fn getgid() -> u32 {
    syscall!(GETGID).unwrap_or(0) as u32
}

/// A process group of its own.
pub fn setpgid() -> Result {
    syscall!(SETPGID, 0, 0).map(drop)
}

pub fn setsid() -> Result {
    syscall!(SETSID).map(drop)
}

pub fn prctl(option: i32, a: usize, b: usize) -> Result<usize> {
    syscall!(PRCTL, option, a, b, 0, 0)
}

pub const PR_SET_PDEATHSIG: i32 = 1;
pub const PR_SET_DUMPABLE: i32 = 4;
pub const PR_SET_KEEPCAPS: i32 = 8;
pub const PR_SET_NAME: i32 = 15;
pub const PR_CAPBSET_DROP: i32 = 24;
pub const PR_SET_CHILD_SUBREAPER: i32 = 36;
pub const PR_SET_NO_NEW_PRIVS: i32 = 38;
pub const PR_CAP_AMBIENT: i32 = 47;
pub const PR_CAP_AMBIENT_RAISE: usize = 2;
pub const PR_CAP_AMBIENT_CLEAR_ALL: usize = 4;

pub fn capset(effective: u64, permitted: u64, inheritable: u64) -> Result {
    const VERSION_3: u32 = 0x20080522;
    let header = [VERSION_3, 0];
    let half = |shift: u32| [(effective >> shift) as u32, (permitted >> shift) as u32, (inheritable >> shift) as u32];
    let data = [half(0), half(32)];
    syscall!(CAPSET, header.as_ptr(), data.as_ptr()).map(drop)
}

pub fn setresuid(uid: u32) -> Result {
    syscall!(SETRESUID, uid, uid, uid).map(drop)
}

pub fn setresgid(gid: u32) -> Result {
    syscall!(SETRESGID, gid, gid, gid).map(drop)
}

pub fn setgroups(groups: &[u32]) -> Result {
    syscall!(SETGROUPS, groups.len(), groups.as_ptr()).map(drop)
}

/// Soft and hard, of a process, 0 for this one.
pub fn setrlimit(pid: i32, resource: u32, (soft, hard): (u64, u64)) -> Result {
    let limit = [soft, hard];
    syscall!(PRLIMIT64, pid, resource, limit.as_ptr(), null::<u8>()).map(drop)
}

/// The same as they are.
pub fn rlimit(pid: i32, resource: u32) -> Result<(u64, u64)> {
    let mut limit = [0u64; 2];
    syscall!(PRLIMIT64, pid, resource, null::<u8>(), limit.as_mut_ptr()).map(|_| (limit[0], limit[1]))
}

pub fn sethostname(name: &[u8]) -> Result {
    syscall!(SETHOSTNAME, name.as_ptr(), name.len()).map(drop)
}

pub fn setdomainname(name: &[u8]) -> Result {
    syscall!(SETDOMAINNAME, name.as_ptr(), name.len()).map(drop)
}

/// Execution domain, for 32-bit programs.
pub fn personality(persona: u64) -> Result {
    syscall!(PERSONALITY, persona).map(drop)
}

/// This process's scheduling policy.
pub fn scheduler() -> Result<usize> {
    syscall!(SCHED_GETSCHEDULER, 0)
}

pub const SCHED_OTHER: i32 = 0;
pub const SCHED_RESET_ON_FORK: i32 = 0x4000_0000;

/// `SCHED_OTHER`, perhaps with [`SCHED_RESET_ON_FORK`], and with the niceness that it has.
pub fn set_usual_scheduler(policy: i32) -> Result {
    syscall!(SCHED_SETSCHEDULER, 0, policy, &raw const NO_PRIORITY).map(drop)
}

static NO_PRIORITY: i32 = 0;

/// Policy and parameters of a process, 0 for this one: a `struct sched_attr`.
pub fn sched_setattr(pid: i32, attributes: &[u8]) -> Result {
    syscall!(SCHED_SETATTR, pid, attributes.as_ptr(), 0).map(drop)
}

/// CPUs of this process, bit n of byte n / 8.
pub fn sched_setaffinity(cpus: &[u8]) -> Result {
    syscall!(SCHED_SETAFFINITY, 0, cpus.len(), cpus.as_ptr()).map(drop)
}

/// From which nodes this process's memory comes, bit n of byte n / 8.
pub fn set_mempolicy(mode: u32, nodes: &[u8]) -> Result {
    // The kernel counts one bit more than there are, and takes no nodes as an address of none.
    let (at, bits) = if nodes.is_empty() { (null(), 0) } else { (nodes.as_ptr(), nodes.len() * 8 + 1) };
    syscall!(SET_MEMPOLICY, mode, at, bits).map(drop)
}

/// I/O class and level of this process, packed as `IOPRIO_PRIO_VALUE` does.
pub fn ioprio_set(priority: u32) -> Result {
    const IOPRIO_WHO_PROCESS: i32 = 1;
    syscall!(IOPRIO_SET, IOPRIO_WHO_PROCESS, 0, priority).map(drop)
}

/// Leaves the session keyring of the host for a new, anonymous one.
pub fn new_session_keyring() -> Result {
    const KEYCTL_JOIN_SESSION_KEYRING: i32 = 1;
    syscall!(KEYCTL, KEYCTL_JOIN_SESSION_KEYRING, null::<u8>()).map(drop)
}

pub const SECCOMP_FILTER_FLAG_NEW_LISTENER: u32 = 8;
pub const SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV: u32 = 32;

/// Installs a filter, an array of `struct sock_filter`; returns the listener's descriptor where one is asked for.
pub fn seccomp(filter: &[u8], flags: u32) -> Result<usize> {
    const SECCOMP_SET_MODE_FILTER: i32 = 1;
    #[repr(C)]
    struct Program {
        len: u16,
        filter: *const u8,
    }
    let program = Program { len: (filter.len() / 8) as u16, filter: filter.as_ptr() };
    syscall!(SECCOMP, SECCOMP_SET_MODE_FILTER, flags, &raw const program)
}

/// Bit n - 1 for signal n.
pub fn set_signal_mask(mask: u64) -> Result {
    const SIG_SETMASK: i32 = 2;
    syscall!(RT_SIGPROCMASK, SIG_SETMASK, &raw const mask, null::<u8>(), 8).map(drop)
}

/// The default action. No handlers, and nothing ignored: the shim has neither.
pub fn set_signal_action(signal: i32) -> Result {
    let action = [0u64; 4];
    syscall!(RT_SIGACTION, signal, action.as_ptr(), null::<u8>(), 8).map(drop)
}

/// A descriptor that the signals in `mask` are read from, as records of 128 bytes.
pub fn signalfd(mask: u64) -> Result<Fd> {
    syscall!(SIGNALFD4, -1i32, &raw const mask, 8, super::O_CLOEXEC | super::O_NONBLOCK).map(|fd| fd as Fd)
}

/// Seconds and nanoseconds; clock 0 is the calendar, 1 is monotonic.
pub fn clock(id: i32) -> (i64, u32) {
    let mut time = [0i64; 2];
    let _ = syscall!(CLOCK_GETTIME, id, time.as_mut_ptr());
    (time[0], time[1] as u32)
}

/// Milliseconds of the monotonic clock.
pub fn now_ms() -> u64 {
    let (s, ns) = clock(1);
    s as u64 * 1000 + ns as u64 / 1_000_000
}

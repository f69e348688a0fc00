//! Kills a process at its n-th system call, by `ptrace(2)`: no hook in what is tested, no step left out.

use std::collections::HashSet;
use std::os::unix::process::{CommandExt, ExitStatusExt};
use std::process::Command;

/// Who is killed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Role {
    /// The process that calls the library.
    Host,
    /// The first program that it executes.
    Shim,
    /// The first child of that.
    Init,
}

/// How a trial ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// The process made so many system calls, and was killed before this one: its number.
    Killed(i64),
    /// It ended by itself before that.
    Finished,
}

/// The victim's exit code when the call that is traced failed. A killed shim makes it fail, which is the point; when
/// nobody was killed, something else was in its way and the trial has shown nothing.
pub const REFUSED: i32 = 3;

/// Called by the victim where the counting is to begin. Outside of a trial it does nothing.
pub fn begin() {
    if std::env::var_os("SAMPAN_TRACED").is_some() {
        nix::sys::signal::raise(nix::sys::signal::Signal::SIGSTOP).unwrap();
    }
}

const SYSCALL_STOP: i32 = libc::SIGTRAP | 0x80;

fn ptrace(request: libc::c_uint, pid: i32, data: usize) -> libc::c_long {
    // SAFETY: no request used here lets the kernel write to this process's memory.
    unsafe { libc::ptrace(request, pid, 0usize, data) }
}

fn event_message(pid: i32) -> i32 {
    let mut message: libc::c_ulong = 0;
    // SAFETY: the kernel writes one word to it.
    unsafe { libc::ptrace(libc::PTRACE_GETEVENTMSG, pid, 0usize, &raw mut message) };
    message as i32
}

fn syscall_number(pid: i32) -> i64 {
    #[cfg(target_arch = "x86_64")]
    {
        // SAFETY: plain numbers, which the kernel fills in.
        let mut registers: libc::user_regs_struct = unsafe { std::mem::zeroed() };
        // SAFETY: the pointer is to a struct of the kernel's size.
        unsafe { libc::ptrace(libc::PTRACE_GETREGS, pid, 0usize, &raw mut registers) };
        registers.orig_rax as i64
    }
    #[cfg(not(target_arch = "x86_64"))]
    {
        let _ = pid;
        -1
    }
}

fn parent(pid: i32) -> Option<i32> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    stat.rsplit_once(')')?.1.split_whitespace().nth(1)?.parse().ok()
}

/// Before one of these a kill leaves just what it leaves before the call that follows.
fn leaves_nothing(number: i64) -> bool {
    use libc::*;
    [
        SYS_brk,
        SYS_close,
        SYS_fcntl,
        SYS_fstat,
        SYS_futex,
        SYS_getdents64,
        SYS_getrandom,
        SYS_lseek,
        SYS_madvise,
        SYS_mmap,
        SYS_mprotect,
        SYS_munmap,
        SYS_newfstatat,
        SYS_prctl,
        SYS_read,
        SYS_readlinkat,
        SYS_rt_sigprocmask,
        SYS_statx,
    ]
    .contains(&number)
}

struct Trial {
    role: Role,
    nth: usize,
    /// The calls counted so far.
    seen: usize,
    /// Stops come in pairs: at the entry of a call and at its exit.
    entering: bool,
    /// Who is counted, once it is known.
    counted: Option<i32>,
    shim: Option<i32>,
    /// Every thread that is traced.
    traced: HashSet<i32>,
    /// Every thread whose first stop was seen; it may come before its parent tells of it.
    met: HashSet<i32>,
    killed: Option<i64>,
}

/// Runs the victim (a test of this binary, by name) and kills `role` before its `nth` system call.
pub fn kill_at(victim: &str, environment: &[(&str, &str)], role: Role, nth: usize) -> Outcome {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", victim, "--nocapture", "--test-threads=1"]).env("SAMPAN_TRACED", "1");
    command.envs(environment.iter().copied()).stdout(std::process::Stdio::null()).stderr(std::process::Stdio::null());
    // SAFETY: one async-signal-safe call between fork and exec.
    unsafe {
        command.pre_exec(|| match ptrace(libc::PTRACE_TRACEME as _, 0, 0) {
            -1 => Err(std::io::Error::last_os_error()),
            _ => Ok(()),
        });
    }
    let victim = command.spawn().unwrap().id() as i32;
    let (traced, met) = (HashSet::from([victim]), HashSet::new());
    let mut trial = Trial { role, nth, seen: 0, entering: false, counted: None, shim: None, traced, met, killed: None };
    trial.run(victim);
    match trial.killed {
        Some(number) => Outcome::Killed(number),
        None => Outcome::Finished,
    }
}

impl Trial {
    fn run(&mut self, victim: i32) {
        let mut ended = None;
        while !self.traced.is_empty() {
            let mut status = 0;
            // SAFETY: the kernel writes one int. __WNOTHREAD: other tests' children are not ours to wait for.
            let pid = unsafe { libc::waitpid(-1, &raw mut status, libc::__WALL | libc::__WNOTHREAD) };
            assert!(pid > 0, "{}", std::io::Error::last_os_error());
            if libc::WIFSTOPPED(status) {
                self.stopped(pid, victim, status);
            } else {
                self.traced.remove(&pid);
                if pid == victim {
                    ended = Some(std::process::ExitStatus::from_raw(status));
                }
            }
        }
        let ended = ended.expect("the victim has ended");
        let as_it_should = match self.killed {
            None => ended.success(),
            Some(_) if self.role == Role::Host => ended.signal() == Some(libc::SIGKILL),
            Some(_) => ended.success() || ended.code() == Some(REFUSED),
        };
        assert!(as_it_should, "the victim failed: {ended}, {:?} was killed before {:?}", self.role, self.killed);
    }

    fn stopped(&mut self, pid: i32, victim: i32, status: i32) {
        let signal = libc::WSTOPSIG(status);
        let first = self.met.insert(pid);
        self.traced.insert(pid);
        match (signal, status >> 16) {
            (libc::SIGTRAP, libc::PTRACE_EVENT_EXEC) => self.executed(pid),
            (libc::SIGTRAP, libc::PTRACE_EVENT_CLONE | libc::PTRACE_EVENT_FORK | libc::PTRACE_EVENT_VFORK) => {
                self.born(pid, event_message(pid));
            }
            (SYSCALL_STOP, _) => return self.counting(pid, victim),
            // The first stop of the victim is its exec, of all others the SIGSTOP that tracing gives them.
            (libc::SIGTRAP | libc::SIGSTOP, 0) if first => {
                let options = libc::PTRACE_O_TRACESYSGOOD
                    | libc::PTRACE_O_TRACECLONE
                    | libc::PTRACE_O_TRACEFORK
                    | libc::PTRACE_O_TRACEVFORK
                    | libc::PTRACE_O_TRACEEXEC;
                ptrace(libc::PTRACE_SETOPTIONS, pid, options as usize);
                self.meet(pid);
                if !self.leads_to_counted(pid, victim) {
                    return self.let_go(pid);
                }
            }
            // The mark.
            (libc::SIGSTOP, 0) if self.role == Role::Host && self.counted.is_none() => self.counted = Some(pid),
            (libc::SIGSTOP, 0) => {}
            (other, _) => return self.go_on(pid, other),
        }
        self.go_on(pid, 0);
    }

    /// The first stop of a child may come before its parent tells of it: then its parent is asked for.
    fn meet(&mut self, pid: i32) {
        if let Some(shim) = self.shim
            && parent(pid) == Some(shim)
        {
            self.born(shim, pid);
        }
    }

    /// Only the victim's own threads, and what comes before the process that is counted.
    fn leads_to_counted(&self, pid: i32, victim: i32) -> bool {
        match self.role {
            Role::Host => std::path::Path::new(&format!("/proc/{victim}/task/{pid}")).exists(),
            _ => self.shim.is_none() || self.counted.is_none_or(|c| c == pid),
        }
    }

    fn executed(&mut self, pid: i32) {
        if self.shim.is_none() && pid_is_shim(pid) {
            self.shim = Some(pid);
            if self.role == Role::Shim {
                self.counted = Some(pid);
            }
        }
    }

    fn born(&mut self, parent: i32, child: i32) {
        if !self.met.contains(&child) {
            self.traced.insert(child);
        }
        if self.role == Role::Init && self.shim == Some(parent) && self.counted.is_none() {
            self.counted = Some(child);
        }
    }

    fn counting(&mut self, pid: i32, victim: i32) {
        self.entering = !self.entering;
        let number = syscall_number(pid);
        if !self.entering || leaves_nothing(number) || self.killed.is_some() {
            return self.go_on(pid, 0);
        }
        self.seen += 1;
        if self.seen > self.nth {
            self.killed = Some(number);
            let process = if self.role == Role::Host { victim } else { pid };
            // SAFETY: a plain kill of a process that this test has started.
            unsafe { libc::kill(process, libc::SIGKILL) };
            return;
        }
        self.go_on(pid, 0);
    }

    fn go_on(&self, pid: i32, signal: i32) {
        let request = if self.counted == Some(pid) { libc::PTRACE_SYSCALL } else { libc::PTRACE_CONT };
        ptrace(request, pid, signal as usize);
    }

    fn let_go(&mut self, pid: i32) {
        ptrace(libc::PTRACE_DETACH, pid, 0);
        self.traced.remove(&pid);
    }
}

fn pid_is_shim(pid: i32) -> bool {
    std::fs::read(format!("/proc/{pid}/cmdline")).is_ok_and(|line| line.starts_with(b"sampan-shim"))
}

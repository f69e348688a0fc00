//! The limits of the payload's process, and its score when memory runs out.
//!
//! A score below the one that a process was given, and a limit above its hard one, are for CAP_SYS_RESOURCE in the host's
//! user namespace to give (proc_pid_oom_score_adj(5), getrlimit(2)). What has entered a container's has it there alone, and
//! so finds both given by whoever is outside.

use core::sync::atomic::{AtomicU64, Ordering};

use crate::fail::{At, Fail, Outcome, keep};
use crate::records;
use crate::sys::{self, AT_FDCWD, Errno};
use crate::text::Text;
use crate::wire::{Process, Step};

/// This process, where a number is asked for.
pub const OWN: i32 = 0;

/// What only the host's root may give to a process of this number, or to this one.
pub fn give(process: &Process<'static>, pid: i32) -> Outcome {
    set_score(process, pid)?;
    raise(process, pid)
}

/// By the host's /proc, which nothing of the container can have touched.
pub fn set_score(process: &Process<'static>, pid: i32) -> Outcome {
    let Some(score) = process.oom_score_adj else { return Ok(()) };
    let mut path: Text<64> = Text::of(&[b"/proc/"]);
    match pid {
        OWN => path.push(b"self"),
        pid => path.dec(pid as u64),
    };
    path.push(b"/oom_score_adj");
    let mut text: Text<16> = Text::new();
    text.signed(score as i64);
    sys::put(AT_FDCWD, path.c(), text.bytes()).map_err(|errno| refused_score(text, path, errno))
}

/// What was asked for and what it has.
fn refused_score(mut asked: Text<16>, mut path: Text<64>, errno: Errno) -> Fail {
    let mut now = [0; 16];
    let length = records::read_file(path.c(), &mut now).unwrap_or(0);
    asked.push(b" ");
    Fail { step: Step::OomScore, errno, detail: keep(&Text::<32>::of(&[asked.bytes(), &now[..length]])) }
}

/// The same for a process that nobody may look into, whose files in /proc are root's: for this one write it is again as
/// its user made it. It must be outside of the container still.
pub fn set_score_unseen(process: &Process<'static>) -> Outcome {
    if process.oom_score_adj.is_none() {
        return Ok(());
    }
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 1, 0);
    let set = set_score(process, OWN);
    let _ = sys::prctl(sys::PR_SET_DUMPABLE, 0, 0);
    set
}

/// Hard limits that are to be above those there are. All else is for [`set`], when what it would hinder is done.
pub fn raise(process: &Process<'static>, pid: i32) -> Outcome {
    process.rlimits.iter().try_for_each(|(resource, _, hard)| {
        let (soft, now) = sys::rlimit(pid, resource).step(Step::Rlimit)?;
        if hard > now { set_one(pid, resource, (soft, hard)) } else { Ok(()) }
    })
}

/// The soft limit of open files that the shim had, which its children are to have; 0 while it has that still.
static FILES: AtomicU64 = AtomicU64::new(0);
const NOFILE: u32 = 7;

/// Lets the shim have as many files open as it may: its clients have up to five each, and what cannot be opened, and not even
/// waited for beyond that number, would make it deaf.
pub fn raise_files() {
    let Ok((soft, hard)) = sys::rlimit(OWN, NOFILE) else { return };
    if soft < hard && sys::setrlimit(OWN, NOFILE, (hard, hard)).is_ok() {
        FILES.store(soft, Ordering::Relaxed);
    }
}

/// What a child of the shim's has of that is not what the container was given.
fn restore_files() {
    let soft = FILES.load(Ordering::Relaxed);
    if let (1.., Ok((_, hard))) = (soft, sys::rlimit(OWN, NOFILE)) {
        let _ = sys::setrlimit(OWN, NOFILE, (soft.min(hard), hard));
    }
}

/// All of this process's.
pub fn set(process: &Process<'static>) -> Outcome {
    restore_files();
    process.rlimits.iter().try_for_each(|(resource, soft, hard)| set_one(OWN, resource, (soft, hard)))
}

fn set_one(pid: i32, resource: u32, limit: (u64, u64)) -> Outcome {
    sys::setrlimit(pid, resource, limit).map_err(|errno| {
        let now = sys::rlimit(pid, resource).map_or(0, |(_, hard)| hard);
        let mut detail: Text<64> = Text::new();
        detail.dec(resource as u64).push(b" ").dec(limit.1).push(b" ").dec(now);
        Fail { step: Step::Rlimit, errno, detail: keep(&detail) }
    })
}

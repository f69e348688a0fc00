//! `state.json` and `exit.json`: written beside their place and renamed there, so that a reader sees all of
//! a record or none. No fsync: after a crash of the machine the processes are gone
//! anyway, and a record that came out empty reads as the end of a container that nobody saw.

use core::ffi::CStr;

use crate::fail::Fail;
use crate::log_json::escape;
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::text::{Text, parse_dec};
use crate::time;
use crate::wire::{Oom, SOCKET};

const STATE: &CStr = c"state.json";
const STATE_NEW: &CStr = c"state.json.new";
const EXIT: &CStr = c"exit.json";
const EXIT_NEW: &CStr = c"exit.json.new";
/// More than any exit record but for one that tells of a path, whose rest still lies in the same block.
const RESERVED: usize = 512;
/// More than any exit record.
const LONGEST: usize = 4096;
/// Bytes of a path that an exit record tells of: each may take six.
const PATH: usize = 512;

/// When the container was started, as both records tell it.
pub type Moment = [u8; time::LENGTH];

/// Opens a container's directory for the functions below.
pub fn open_dir(path: &CStr) -> sys::Result<Fd> {
    sys::openat(AT_FDCWD, path, sys::O_PATH | sys::O_DIRECTORY, 0)
}

/// What `state.json` tells beside the members that the host gave.
pub struct State {
    /// The init; 0 while another start is waited for.
    pub init: i32,
    /// When it was started.
    pub started_at: Moment,
    /// How often it was started again.
    pub restarts: u32,
    /// It has ended, and another start is waited for.
    pub restarting: bool,
}

/// Writes `state.json`.
pub fn write_state(dir: Fd, prefix: &CStr, state: &State) -> sys::Result {
    let init = state.init;
    let shim = sys::getpid();
    let mut tail = Text::<320>::new();
    if !prefix.is_empty() {
        tail.push(b",");
    }
    tail.push(b"\"pid\":").signed(init.into()).push(b",\"pid_start\":").dec(start_time(init));
    tail.push(b",\"shim_pid\":").signed(shim.into()).push(b",\"shim_start\":").dec(start_time(shim));
    tail.push(b",\"restart_count\":")
        .dec(state.restarts.into())
        .push(b",\"restarting\":")
        .push(truth(state.restarting));
    tail.push(b",\"started_at\":\"").push(&state.started_at).push(b"\"}\n");
    let file = sys::openat(dir, STATE_NEW, sys::O_WRONLY | sys::O_CREAT | sys::O_TRUNC, 0o600)?;
    let written = [b"{", prefix.to_bytes(), tail.bytes()].iter().try_for_each(|part| sys::write_all(file, part));
    let _ = sys::close(file);
    written.and_then(|()| sys::renameat2(dir, STATE_NEW, dir, STATE, 0))
}

fn truth(yes: bool) -> &'static [u8] {
    if yes { b"true" } else { b"false" }
}

/// Takes `state.json`, what [`reserve_exit`] made and the socket back.
pub fn forget(dir: Fd) {
    for name in [STATE, STATE_NEW, EXIT_NEW, SOCKET] {
        let _ = sys::unlinkat(dir, name, 0);
    }
}

/// Takes the room for the exit record, so that it can be written when the disk has become full; leaves nothing where there
/// is none.
pub fn reserve_exit(dir: Fd) -> sys::Result {
    let file = sys::openat(dir, EXIT_NEW, sys::O_WRONLY | sys::O_CREAT | sys::O_TRUNC, 0o600)?;
    let taken = sys::write_all(file, &[b' '; RESERVED]);
    let _ = sys::close(file);
    taken.or_else(|errno| sys::unlinkat(dir, EXIT_NEW, 0).and(Err(errno)))
}

/// How a container ended.
pub struct Exit {
    /// Its exit code, 128 + n after signal n.
    pub code: i32,
    /// The signal that killed it, or 0.
    pub signal: i32,
    /// What the kernel killed for want of memory.
    pub oom: Oom,
    /// When it was started.
    pub started_at: Moment,
    /// When it ended.
    pub finished_at: Moment,
    /// What kept a part of the log from being written.
    pub log_error: Option<Errno>,
    /// What kept a part of its output from who started it.
    pub unwritten: Option<Errno>,
    /// How often it was started again before.
    pub restarts: u32,
    /// What kept it from being started again: it has not run at all.
    pub failed: Option<Fail>,
}

/// Writes `exit.json`.
pub fn write_exit(dir: Fd, exit: &Exit) -> sys::Result {
    let mut text = exit_text(exit);
    // Padded to the size of the reserved file: it is overwritten in place and needs no new block.
    while text.bytes().len() < RESERVED {
        text.push(b" ");
    }
    let file = sys::openat(dir, EXIT_NEW, sys::O_WRONLY | sys::O_CREAT, 0o600)?;
    let written = sys::write_all(file, text.bytes());
    let _ = sys::close(file);
    written.and_then(|()| sys::renameat2(dir, EXIT_NEW, dir, EXIT, 0))
}

fn exit_text(exit: &Exit) -> Text<LONGEST> {
    let mut text = Text::of(&[b"{\"version\":1,\"code\":"]);
    text.signed(exit.code.into()).push(b",\"signal\":");
    or_null(&mut text, exit.signal);
    or_none(&mut text, &exit.oom);
    text.push(b",\"started_at\":\"").push(&exit.started_at);
    text.push(b"\",\"finished_at\":\"").push(&exit.finished_at).push(b"\",\"log_error\":");
    or_null(&mut text, exit.log_error.map_or(0, |e| e.0));
    if let Some(errno) = exit.unwritten {
        text.push(b",\"unwritten\":").signed(errno.0.into());
    }
    text.push(b",\"restart_count\":").dec(exit.restarts.into()).push(b",\"failed_step\":");
    or_null(&mut text, exit.failed.map_or(0, |fail| fail.step as i32));
    text.push(b",\"failed_errno\":");
    or_null(&mut text, exit.failed.map_or(0, |fail| fail.errno.0));
    failed_on(&mut text, exit.failed.map_or(b"", |fail| fail.detail));
    text.push(b"}\n");
    text
}

fn failed_on<const N: usize>(text: &mut Text<N>, detail: &[u8]) {
    let (mut room, mut used) = ([0; 6 * PATH], 0);
    escape(&mut room, &mut used, &detail[..detail.len().min(PATH)]);
    text.push(b",\"failed_on\":\"").push(&room[..used]).push(b"\"");
}

fn or_none<const N: usize>(text: &mut Text<N>, oom: &Oom) {
    if oom.kills == 0 {
        text.push(b",\"oom_killed\":false");
        return;
    }
    text.push(b",\"oom_killed\":true,\"oom\":{\"kills\":").dec(oom.kills);
    text.push(b",\"limit\":").dec(oom.limit).push(b",\"peak\":").dec(oom.peak);
    text.push(b",\"hits\":").dec(oom.hits).push(b"}");
}

fn or_null<const N: usize>(text: &mut Text<N>, number: i32) {
    match number {
        0 => text.push(b"null"),
        n => text.signed(n.into()),
    };
}

/// When a process was started, in ticks since the boot; 0 when it can't be told.
fn start_time(pid: i32) -> u64 {
    let mut path = Text::<32>::new();
    path.push(b"/proc/").signed(pid.into()).push(b"/stat");
    let mut stat = [0; 512];
    let n = read_file(path.c(), &mut stat).unwrap_or(0);
    // Field 22; the second one is a name in parentheses that may hold spaces and parentheses.
    let after_name = stat[..n].rsplit(|b| *b == b')').next().unwrap_or_default();
    after_name.split(|b| *b == b' ').nth(20).and_then(parse_dec).unwrap_or(0)
}

/// Reads the beginning of a small file.
pub fn read_file(path: &CStr, buffer: &mut [u8]) -> sys::Result<usize> {
    let file = sys::openat(AT_FDCWD, path, sys::O_RDONLY, 0)?;
    let n = sys::read(file, buffer);
    let _ = sys::close(file);
    n
}

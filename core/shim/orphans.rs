//! Orphans that are told by nothing but what they stand on: of a container that has joined another's process ids, whose first
//! process they go to, and that has no cgroup which could be ended.

use core::ffi::CStr;

use crate::dirs::Entries;
use crate::sys::{self, AT_FDCWD, Fd};
use crate::text::{Text, parse_dec};
use crate::wire::{Launch, Namespace, RootfsKind};

/// What the kernel says of an overlay's upper directory.
type Mark = Text<4200>;

/// Kills those that a container has, and whom they start meanwhile; others' are never among them, as each has an upper
/// directory of its own.
pub fn kill(launch: &Launch<'static>, pauses: impl Iterator<Item = impl FnOnce()>) {
    let joined = matches!(launch.namespaces.pid, Namespace::Join(_)) && launch.cgroup.v2.is_none();
    let RootfsKind::Overlay(_, upper, ..) = launch.rootfs.kind else { return };
    if !joined {
        return;
    }
    let mark = Mark::of(&[b"upperdir=", upper.to_bytes(), b","]);
    for pause in pauses {
        if !kill_some(&mark).unwrap_or(false) {
            return;
        }
        pause();
    }
}

/// True when there was any.
fn kill_some(mark: &Mark) -> sys::Result<bool> {
    let proc = sys::openat(AT_FDCWD, c"/proc", sys::O_RDONLY | sys::O_DIRECTORY, 0)?;
    let (mut entries, mut any) = (Entries::new(), false);
    while let Ok(Some(entry)) = entries.next(proc) {
        if let Some(pid @ 2..) = parse_dec(entry.name.to_bytes()) {
            any |= kill_if_on(proc, pid as i32, mark);
        }
    }
    sys::close(proc).map(|()| any)
}

/// Held while it is looked at, so that its number is nobody else's by then.
fn kill_if_on(proc: Fd, pid: i32, mark: &Mark) -> bool {
    let Ok(process) = sys::pidfd_open(pid) else { return false };
    let mut path = Text::<32>::new();
    path.signed(pid.into()).push(b"/mountinfo");
    let is_on = stands_on(proc, path.c(), mark).unwrap_or(false);
    if is_on {
        let _ = sys::pidfd_send_signal(process, sys::SIGKILL);
    }
    let _ = sys::close(process);
    is_on
}

/// Whether a process's root is the overlay of that mark.
fn stands_on(proc: Fd, mounts: &CStr, mark: &Mark) -> sys::Result<bool> {
    let file = sys::openat(proc, mounts, sys::O_RDONLY, 0)?;
    let (mut text, mut held, mut found) = ([0; 16 * 1024], 0, false);
    while let Ok(n @ 1..) = sys::read(file, &mut text[held..]) {
        let end = held + n;
        let whole = text[..end].iter().rposition(|b| *b == b'\n').map_or(0, |at| at + 1);
        found |= text[..whole].split(|b| *b == b'\n').any(|line| is_root(line, mark));
        text.copy_within(whole..end, 0);
        // One that is longer than all of that is passed over.
        held = if whole == 0 && end == text.len() { 0 } else { end - whole };
    }
    sys::close(file).map(|()| found)
}

fn is_root(line: &[u8], mark: &Mark) -> bool {
    let place = line.split(|b| *b == b' ').nth(4);
    place == Some(b"/") && line.windows(mark.bytes().len()).any(|part| part == mark.bytes())
}

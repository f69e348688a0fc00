//! An init that a process in between bears, the caller's child all the same (`CLONE_PARENT`): what has to be made or joined
//! by who can't come back from there is that one's to do, and it ends when it has told the init's number.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome, keep};
use crate::launch;
use crate::sys::{self, Errno, Fd, Forked};
use crate::text::Text;
use crate::wire::{Launch, RootfsKind, Step};

/// The init, as the caller hears of it; `first` is what the one in between waits for.
pub fn heard(
    [ours, theirs]: [Fd; 2],
    (between, pidfd): (i32, Fd),
    first: impl FnOnce(Fd) -> Outcome,
) -> Outcome<Forked> {
    let _ = sys::close(theirs);
    let _ = sys::close(pidfd);
    let init = first(ours).and_then(|()| told(ours));
    // Who was told nothing ends by this.
    let _ = sys::close(ours);
    let _ = sys::wait(between, false);
    let pid = init?;
    let pidfd = sys::pidfd_open(pid).step(Step::Clone).inspect_err(|_| launch::end(pid))?;
    Ok(Forked::Parent { pid, pidfd })
}

/// Returns in the init alone; the one in between tells of it, and ends.
pub fn born<T>(launch: &Launch<'static>, theirs: Fd, forked: Outcome<(Forked, T)>) -> Outcome<(Forked, T)> {
    match forked {
        Ok((Forked::Child, _)) => {
            // Held here it would keep the caller from seeing the end of the one in between.
            let _ = sys::close(theirs);
            return forked;
        }
        Ok((Forked::Parent { pid, .. }, _)) => drop(sys::send(theirs, &pid.to_ne_bytes())),
        Err(failed) => tell(launch, theirs, &failed),
    }
    sys::exit(0)
}

/// A step, an errno and what belongs to them, of which the host is told no more than this.
pub const PACKET: usize = 1024;

fn told(ours: Fd) -> Outcome<i32> {
    let mut packet = [0; PACKET];
    match sys::recv(ours, &mut packet, false) {
        Ok(4) => Ok(i32::from_ne_bytes([packet[0], packet[1], packet[2], packet[3]])),
        Ok(length) => Err(failure(&packet[..length])),
        Err(_) => Err(failure(b"")),
    }
}

/// What the child failed at; it may have been killed, too.
pub fn failure(packet: &[u8]) -> Fail {
    let [a, b, c, d, e, f, g, h, ref detail @ ..] = *packet else {
        return Fail { step: Step::Died, errno: Errno(0), detail: b"" };
    };
    let step = Step::from_number(u32::from_ne_bytes([a, b, c, d])).unwrap_or(Step::Died);
    let detail = keep(&Text::<PACKET>::of(&[detail]));
    Fail { step, errno: Errno(i32::from_ne_bytes([e, f, g, h])), detail }
}

/// Tells what was failed at.
pub fn tell(launch: &Launch<'static>, to: Fd, fail: &Fail) {
    let detail = if fail.detail.is_empty() { place(launch, fail.step).to_bytes() } else { fail.detail };
    let numbers = [(fail.step as u32).to_ne_bytes(), fail.errno.0.to_ne_bytes()];
    let packet: Text<PACKET> = Text::of(&[&numbers[0], &numbers[1], detail]);
    let _ = sys::send(to, packet.bytes());
}

fn place(launch: &Launch<'static>, step: Step) -> &'static CStr {
    match launch.rootfs.kind {
        RootfsKind::Overlay(lower, ..) if step == Step::MapMount => lower.iter().next().map_or(c"", |layer| layer),
        RootfsKind::Overlay(_, place, ..) | RootfsKind::Directory(place) | RootfsKind::Tree(place)
            if step == Step::Overlay =>
        {
            place
        }
        _ => c"",
    }
}

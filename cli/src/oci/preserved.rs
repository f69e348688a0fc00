//! Descriptors that whoever called wants handed on: those of `--preserve-fds`, and sockets of an activation.

use std::os::fd::{BorrowedFd, RawFd};

use nix::fcntl::{FcntlArg, fcntl};
use sampan::{Error, Kind, Result};

/// The first behind the standard streams.
const FIRST: RawFd = 3;

/// So many of them are sockets of an activation that was meant for this process (sd_listen_fds(3)).
pub fn activated() -> u32 {
    let number = |name: &str| std::env::var(name).ok()?.parse::<u32>().ok();
    match number("LISTEN_PID") {
        Some(pid) if pid == std::process::id() => number("LISTEN_FDS").unwrap_or(0),
        _ => 0,
    }
}

/// The first so many, all of which must be open. Nothing of ours may have been opened before.
pub fn descriptors(count: u32) -> Result<Vec<BorrowedFd<'static>>> {
    (FIRST..).take(count as usize).map(|number| one(number, count)).collect()
}

fn one(number: RawFd, count: u32) -> Result<BorrowedFd<'static>> {
    // SAFETY: whoever called opened it, and nothing here closes it.
    let fd = unsafe { BorrowedFd::borrow_raw(number) };
    match fcntl(fd, FcntlArg::F_GETFD) {
        Ok(_) => Ok(fd),
        Err(_) => Err(Error::new(Kind::InvalidArgument, "read option", "preserve-fds")
            .because(format!("descriptor {number} is not open, and {count} from {FIRST} on are to be handed on"))),
    }
}

//! The user's own terminal: raw while a container has it, and put back whatever happens.

use std::io::{self, IsTerminal, stdin};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};

use nix::fcntl::{FcntlArg, FdFlag, fcntl};
use nix::libc::winsize;
use nix::pty::openpty;
use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, winsize);
nix::ioctl_write_ptr_bad!(set_window_size, nix::libc::TIOCSWINSZ, winsize);

/// Raw mode of standard input; dropping it restores the mode before.
pub struct Raw(Termios);

impl Raw {
    /// Every key goes to the container, Ctrl-C too.
    pub fn enter() -> nix::Result<Raw> {
        let before = tcgetattr(stdin().as_fd())?;
        let mut raw = before.clone();
        cfmakeraw(&mut raw);
        tcsetattr(stdin().as_fd(), SetArg::TCSANOW, &raw)?;
        Ok(Raw(before))
    }
}

impl Drop for Raw {
    fn drop(&mut self) {
        let _ = tcsetattr(stdin().as_fd(), SetArg::TCSANOW, &self.0);
    }
}

/// A terminal of our own, as a pipe that has the size of the user's: where it is read, and where it is written to.
pub fn pair() -> io::Result<(OwnedFd, OwnedFd)> {
    let ends = openpty(None, None)?;
    let mut raw = tcgetattr(&ends.slave)?;
    cfmakeraw(&mut raw);
    tcsetattr(&ends.slave, SetArg::TCSANOW, &raw)?;
    if let Some((rows, columns)) = size() {
        let size = winsize { ws_row: rows as u16, ws_col: columns as u16, ws_xpixel: 0, ws_ypixel: 0 };
        // SAFETY: TIOCSWINSZ reads one `winsize` and the pointer is to one of ours.
        unsafe { set_window_size(ends.slave.as_raw_fd(), &raw const size) }?;
    }
    for end in [&ends.master, &ends.slave] {
        fcntl(end, FcntlArg::F_SETFD(FdFlag::FD_CLOEXEC))?;
    }
    Ok((ends.master, ends.slave))
}

/// Whether standard input is a terminal.
pub fn is_input() -> bool {
    stdin().is_terminal()
}

/// Rows and columns, when there is a terminal to ask.
pub fn size() -> Option<(u32, u32)> {
    let mut size = winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let ask = |fd: i32, size: &mut winsize| {
        // SAFETY: TIOCGWINSZ writes one `winsize` and the pointer is to one of ours.
        unsafe { window_size(fd, size) }.is_ok() && size.ws_row > 0
    };
    let known = ask(0, &mut size) || ask(1, &mut size);
    known.then_some((u32::from(size.ws_row), u32::from(size.ws_col)))
}

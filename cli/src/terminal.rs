//! The user's own terminal: raw while a container has it, and put back whatever happens.

use std::io::{IsTerminal, stdin};
use std::os::fd::AsFd;

use nix::sys::termios::{SetArg, Termios, cfmakeraw, tcgetattr, tcsetattr};

nix::ioctl_read_bad!(window_size, nix::libc::TIOCGWINSZ, nix::libc::winsize);

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

/// Whether standard input is a terminal.
pub fn is_input() -> bool {
    stdin().is_terminal()
}

/// Rows and columns, when there is a terminal to ask.
pub fn size() -> Option<(u32, u32)> {
    let mut size = nix::libc::winsize { ws_row: 0, ws_col: 0, ws_xpixel: 0, ws_ypixel: 0 };
    let ask = |fd: i32, size: &mut nix::libc::winsize| {
        // SAFETY: TIOCGWINSZ writes one `winsize` and the pointer is to one of ours.
        unsafe { window_size(fd, size) }.is_ok() && size.ws_row > 0
    };
    let known = ask(0, &mut size) || ask(1, &mut size);
    known.then_some((u32::from(size.ws_row), u32::from(size.ws_col)))
}

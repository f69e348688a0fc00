//! Processes of a container, seen from outside.

use std::path::Path;
use std::time::Duration;

use super::Streams;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::sys::PidFd;

const MOST: u64 = 1 << 20;

/// A terminal needs somebody to look after it, and nobody wants one that is not there.
pub(super) fn check_console(terminal: Option<bool>, streams: &Streams<'_>) -> Result<()> {
    let refused = |because, hint| {
        Err(Error::new(Kind::InvalidArgument, "read option", "console-socket").because(because).hint(hint))
    };
    match (terminal.unwrap_or(false), streams.console.is_some()) {
        (true, false) => refused("process.terminal is true, so its master needs a receiver", "give --console-socket"),
        (false, true) => {
            refused("process.terminal is false, so there is no terminal to send", "leave --console-socket out")
        }
        _ => Ok(()),
    }
}

/// Written beside its place and renamed there: who waits for it reads all of the number.
pub(super) fn write_pid(path: Option<&Path>, pid: i32) -> Result<()> {
    let Some(path) = path else { return Ok(()) };
    let mut staged = path.as_os_str().to_owned();
    staged.push(format!(".{}", std::process::id()));
    fs::replace(path, Path::new(&staged), pid.to_string().as_bytes())
}

pub(super) fn kill_and_wait(pid: i32) {
    if let Ok(Some(first)) = PidFd::open(pid) {
        let _ = first.signal(libc::SIGKILL);
        let _ = first.wait(Some(Duration::from_secs(10)), &Cancel::new());
    }
}

/// The name of this user, where it has one.
pub(super) fn user_name() -> String {
    let id = nix::unistd::geteuid();
    let passwd = fs::read_following(Path::new("/etc/passwd"), MOST).unwrap_or_default();
    let wanted = id.to_string();
    let name = String::from_utf8_lossy(&passwd).lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1) == Some(&wanted)).then(|| name.to_owned())
    });
    name.unwrap_or(wanted)
}

//! Processes of a container, seen from outside.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::Streams;
use crate::cancel::Cancel;
use crate::cgroup::{self, Directory};
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
    fs::replace(path, Path::new(&staged), pid.to_string().as_bytes(), fs::Sync::No)
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

/// The directories, each once, and those that the container made in them, deepest first.
fn tree(cgroups: &[(String, String)]) -> Vec<PathBuf> {
    let mut dirs: Vec<PathBuf> = Vec::new();
    for (_, dir) in cgroups {
        if !dirs.iter().any(|known| known == Path::new(dir)) {
            dirs.extend(fs::directories_below(Path::new(dir)));
            dirs.push(dir.into());
        }
    }
    dirs
}

/// The processes in these cgroups and below them.
pub(super) fn members(cgroups: &[(String, String)]) -> Result<Vec<i32>> {
    // All hierarchies hold the same ones; one is enough.
    let first = &cgroups[..cgroups.len().min(1)];
    let mut pids = Vec::new();
    for dir in tree(first) {
        let text = fs::read_if_exists(&dir.join("cgroup.procs"), MOST)?.unwrap_or_default();
        pids.extend(String::from_utf8_lossy(&text).lines().filter_map(|line| line.parse::<i32>().ok()));
    }
    pids.sort_unstable();
    Ok(pids)
}

/// Sends a signal to all of them; 0 stands for one that can't be seen from here.
pub(super) fn signal_all(cgroups: &[(String, String)], signal: i32) -> Result<()> {
    for pid in members(cgroups)?.into_iter().filter(|pid| *pid > 1) {
        if let Some(process) = PidFd::open(pid)? {
            process.signal(signal)?;
        }
    }
    Ok(())
}

/// Ends what is left in them, and removes them.
pub(super) fn remove_cgroups(cgroups: &[(String, String)]) -> Result<()> {
    let directory = |path: &PathBuf| Directory { path: path.display().to_string(), ..Directory::default() };
    cgroup::end(&tree(cgroups).iter().map(directory).collect::<Vec<_>>());
    match tree(cgroups).into_iter().find(|dir| fs::exists(dir).unwrap_or(false)) {
        None => Ok(()),
        Some(left) => Err(Error::new(Kind::Conflict, "remove cgroup", left.display().to_string())
            .because("a process in it does not end")),
    }
}

//! The way into a container: by its first process where that may be looked into, and else by the namespaces that it gives
//! to who made it, as long as it waits for its start.

use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

use nix::errno::Errno;
use nix::sys::socket::{MsgFlags, SockFlag, send};

use super::start;
use crate::error::{Error, Kind, Result};
use crate::{fs, launch};

/// `/proc/PID/ns` entries and their `CLONE_NEW*`.
const NAMESPACES: [(&str, i32); 8] = [
    ("user", libc::CLONE_NEWUSER),
    ("mnt", libc::CLONE_NEWNS),
    ("pid", libc::CLONE_NEWPID),
    ("net", libc::CLONE_NEWNET),
    ("ipc", libc::CLONE_NEWIPC),
    ("uts", libc::CLONE_NEWUTS),
    ("cgroup", libc::CLONE_NEWCGROUP),
    ("time", libc::CLONE_NEWTIME),
];

/// Those of a container's namespaces that are not ours already: joining one's own user namespace is refused by the kernel.
#[derive(Debug, Default)]
pub(super) struct Way {
    /// `CLONE_NEW*` of those that its first process is asked for.
    pub namespaces: u64,
    /// Or the namespaces themselves, that of the users first.
    pub doors: Vec<OwnedFd>,
    /// Whether one of them is that of the users.
    pub mapped: bool,
}

/// To a container whose first process has this number.
///
/// # Errors
/// `PermissionDenied` where that is somebody else's.
pub(super) fn way(dir: &Path, pid: i32) -> Result<Way> {
    match by_process(pid) {
        Err(error) if error.kind() == Kind::PermissionDenied && start::is_awaited(dir)? => match ask(dir)? {
            // It runs by now.
            None => by_process(pid),
            Some(doors) => by_doors(doors)?.ok_or(error),
        },
        other => other,
    }
}

fn by_process(pid: i32) -> Result<Way> {
    let mut namespaces = 0;
    for (name, flag) in NAMESPACES {
        if fs::read_link(format!("/proc/{pid}/ns/{name}").as_ref())? != own(name)? {
            namespaces |= flag as u64;
        }
    }
    Ok(Way { namespaces, mapped: namespaces & libc::CLONE_NEWUSER as u64 != 0, ..Way::default() })
}

fn own(name: &str) -> Result<Option<String>> {
    fs::read_link(format!("/proc/self/ns/{name}").as_ref())
}

/// Of each kind that there is: with one that is missing, what enters would be outside of the container by that. A link to a
/// namespace says which it is: `user:[4026531837]`.
fn by_doors(doors: Vec<OwnedFd>) -> Result<Option<Way>> {
    let links = doors.iter().map(|door| fs::read_link(format!("/proc/self/fd/{}", door.as_raw_fd()).as_ref()));
    let links: Vec<String> = links.map(|link| Ok(link?.unwrap_or_default())).collect::<Result<_>>()?;
    let own: Vec<String> = NAMESPACES.iter().filter_map(|(name, _)| own(name).transpose()).collect::<Result<_>>()?;
    let kind = |link: &str| link.split(':').next().map(str::to_owned);
    if !own.iter().all(|own| links.iter().any(|link| kind(link) == kind(own))) {
        return Ok(None);
    }
    let others = doors.into_iter().zip(links).filter(|(_, link)| !own.contains(link));
    let (doors, links): (Vec<OwnedFd>, Vec<String>) = others.unzip();
    let mapped = links.iter().any(|link| link.starts_with("user:"));
    Ok(Some(Way { doors, mapped, ..Way::default() }))
}

/// `None` when it waits no more.
fn ask(dir: &Path) -> Result<Option<Vec<OwnedFd>>> {
    let failed = |errno: Errno| Error::errno_in(errno as i32, "ask container for its namespaces", "");
    let connection = match start::connect_to(dir, SockFlag::empty())? {
        Err(Errno::ECONNREFUSED | Errno::ENOENT) => return Ok(None),
        other => other.map_err(failed)?,
    };
    match send(connection.as_raw_fd(), b"n", MsgFlags::MSG_NOSIGNAL) {
        Err(Errno::EPIPE | Errno::ECONNRESET) => return Ok(None),
        sent => sent.map_err(failed)?,
    };
    loop {
        match launch::receive(&connection, &mut [0]) {
            Ok((0, _)) | Err(Errno::ECONNRESET) => return Ok(None),
            Ok((_, doors)) => return Ok(Some(doors)),
            Err(Errno::EINTR) => {}
            Err(errno) => return Err(failed(errno)),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn with_a_namespace_missing_nobody_enters() {
        let open = |name: &str| OwnedFd::from(std::fs::File::open(format!("/proc/self/ns/{name}")).unwrap());
        let there = || NAMESPACES.iter().map(|(name, _)| *name).filter(|name| own(name).unwrap().is_some());
        let all = by_doors(there().map(open).collect()).unwrap().unwrap();
        assert_eq!((all.doors.len(), all.mapped), (0, false));
        for missing in there() {
            let some = there().filter(|name| *name != missing).map(open).collect();
            assert!(by_doors(some).unwrap().is_none(), "{missing}");
        }
        assert!(by_doors(Vec::new()).unwrap().is_none());
    }
}

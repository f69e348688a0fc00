//! What the kernel's mandatory access control is to take the payload for.
//!
//! By the host's /proc, which nothing of the container can have touched (CVE-2019-16884, CVE-2025-52881): the files are
//! opened before the container's tree is in sight, and written to when hooks have run and nothing else is executed.

use core::ffi::CStr;

use crate::fail::{At, Fail, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::target::PROC_SUPER_MAGIC;
use crate::text::Text;
use crate::wire::{Process, Step};

/// Files of this process, which alone may write to them, with what is written there.
#[derive(Clone, Copy)]
pub struct Labels {
    apparmor: Option<AppArmor>,
}

#[derive(Clone, Copy)]
struct AppArmor {
    profile: &'static CStr,
    /// Takes effect with the next exec.
    exec: Fd,
    /// Takes effect at once.
    current: Fd,
}

/// The host's /proc, from where it is in sight; `None` for a process without labels.
pub fn host(process: &Process<'static>) -> Outcome<Option<Fd>> {
    let Some(profile) = process.apparmor else { return Ok(None) };
    let proc = sys::openat(AT_FDCWD, c"/proc", sys::O_PATH | sys::O_DIRECTORY, 0).at(Step::AppArmor, profile)?;
    check(proc).at(Step::AppArmor, profile)?;
    Ok(Some(proc))
}

/// In the process itself. What can't be had is told now.
pub fn open(proc: Option<Fd>, process: &Process<'static>) -> Outcome<Labels> {
    let Some((proc, profile)) = proc.zip(process.apparmor) else { return Ok(Labels { apparmor: None }) };
    let apparmor = AppArmor::open(proc, profile).at(Step::AppArmor, profile);
    let _ = sys::close(proc);
    Ok(Labels { apparmor: Some(apparmor?) })
}

/// Both at once, where nothing lies between them.
pub fn by_hosts_proc(process: &Process<'static>) -> Outcome<Labels> {
    open(host(process)?, process)
}

impl Labels {
    /// From here on the exec gives the labels, and so would any other.
    pub fn apply(&self) -> Outcome {
        let Some(apparmor) = &self.apparmor else { return Ok(()) };
        apparmor.order(apparmor.exec, b"exec ").at(Step::AppArmor, apparmor.profile)
    }

    /// For a process that executes nothing.
    pub fn enter(&self) -> Outcome {
        let Some(apparmor) = &self.apparmor else { return Ok(()) };
        apparmor.order(apparmor.current, b"changeprofile ").at(Step::AppArmor, apparmor.profile)
    }
}

impl AppArmor {
    fn open(proc: Fd, profile: &'static CStr) -> sys::Result<AppArmor> {
        // Without files of its own, before Linux 5.8, it has those that all such modules share.
        let own = |own: &CStr, shared: &CStr| match open_attribute(proc, own) {
            Err(Errno::ENOENT) => open_attribute(proc, shared),
            other => other,
        };
        let exec = own(c"thread-self/attr/apparmor/exec", c"thread-self/attr/exec")?;
        let current = own(c"thread-self/attr/apparmor/current", c"thread-self/attr/current")?;
        let apparmor = AppArmor { profile, exec, current };
        apparmor.order(current, b"permprofile ")?;
        Ok(apparmor)
    }

    /// The kernel takes an order as a whole.
    fn order(&self, file: Fd, verb: &[u8]) -> sys::Result {
        let order: Text<4096> = Text::of(&[verb, self.profile.to_bytes()]);
        if order.is_cut() { Err(Errno::ENAMETOOLONG) } else { sys::write(file, order.bytes()).map(drop) }
    }
}

/// Nothing is mounted on the way, and no link of somebody else's followed.
fn open_attribute(proc: Fd, path: &CStr) -> sys::Result<Fd> {
    let resolve = sys::RESOLVE_BENEATH | sys::RESOLVE_NO_XDEV | sys::RESOLVE_NO_MAGICLINKS;
    let file = sys::openat2(proc, path, sys::O_WRONLY, 0, resolve)?;
    check(file)?;
    Ok(file)
}

fn check(file: Fd) -> sys::Result {
    if sys::fs_magic(file)? == PROC_SUPER_MAGIC { Ok(()) } else { Err(Errno::ENODEV) }
}

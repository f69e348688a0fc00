//! What the kernel's mandatory access control is to take the payload for: an AppArmor profile, an SELinux label.
//!
//! By the host's /proc, which nothing of the container can have touched (CVE-2019-16884, CVE-2025-52881): the files are
//! opened before the container's tree is in sight, and written to when the host's hooks have run and nothing else of it is
//! executed.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::sys::{self, AT_FDCWD, Errno, Fd};
use crate::target::PROC_SUPER_MAGIC;
use crate::text::Text;
use crate::wire::{Process, Step};

/// Files of this process, which alone may write to them, with what is written there.
#[derive(Clone, Copy)]
pub struct Labels {
    apparmor: Option<AppArmor>,
    selinux: Option<SeLinux>,
}

#[derive(Clone, Copy)]
struct AppArmor {
    profile: &'static CStr,
    /// Takes effect with the next exec.
    exec: Fd,
    /// Takes effect at once.
    current: Fd,
}

#[derive(Clone, Copy)]
struct SeLinux {
    label: &'static CStr,
    /// Takes effect with the next exec.
    exec: Fd,
    /// Of the keys that this process makes; a kernel without keys has none.
    keys: Option<Fd>,
}

/// The host's /proc, from where it is in sight; `None` for a process without labels.
pub fn host(process: &Process<'static>) -> Outcome<Option<Fd>> {
    let of_selinux = process.selinux.map(|label| (Step::SeLinux, label));
    let Some((step, label)) = process.apparmor.map(|profile| (Step::AppArmor, profile)).or(of_selinux) else {
        return Ok(None);
    };
    let proc = sys::openat(AT_FDCWD, c"/proc", sys::O_PATH | sys::O_DIRECTORY, 0).at(step, label)?;
    check(proc).at(step, label)?;
    Ok(Some(proc))
}

/// In the process itself. What can't be had is told now.
pub fn open(proc: Option<Fd>, process: &Process<'static>) -> Outcome<Labels> {
    let Some(proc) = proc else { return Ok(Labels { apparmor: None, selinux: None }) };
    let apparmor = process.apparmor.map(|profile| AppArmor::open(proc, profile).at(Step::AppArmor, profile));
    let selinux = process.selinux.map(|label| SeLinux::open(proc, label).at(Step::SeLinux, label));
    let _ = sys::close(proc);
    Ok(Labels { apparmor: apparmor.transpose()?, selinux: selinux.transpose()? })
}

/// Both at once, where nothing lies between them.
pub fn by_hosts_proc(process: &Process<'static>) -> Outcome<Labels> {
    open(host(process)?, process)
}

impl Labels {
    /// From here on the exec gives the labels, and so would any other.
    pub fn apply(&self) -> Outcome {
        if let Some(apparmor) = &self.apparmor {
            apparmor.order(apparmor.exec, b"exec ").at(Step::AppArmor, apparmor.profile)?;
        }
        match &self.selinux {
            Some(selinux) => set(selinux.exec, selinux.label.to_bytes()).at(Step::SeLinux, selinux.label),
            None => Ok(()),
        }
    }

    /// For a process that executes nothing. SELinux gives labels by an exec alone.
    pub fn enter(&self) -> Outcome {
        match &self.apparmor {
            Some(apparmor) => apparmor.order(apparmor.current, b"changeprofile ").at(Step::AppArmor, apparmor.profile),
            None => Ok(()),
        }
    }

    /// What `make` makes of keys has the payload's label, which could not use it otherwise.
    pub fn with_keys<T>(&self, make: impl FnOnce() -> Outcome<T>) -> Outcome<T> {
        let Some((keys, label)) = self.selinux.and_then(|selinux| Some((selinux.keys?, selinux.label))) else {
            return make();
        };
        set(keys, label.to_bytes()).at(Step::SeLinux, label)?;
        let made = make();
        set(keys, NOTHING).at(Step::SeLinux, label)?;
        made
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

    fn order(&self, file: Fd, verb: &[u8]) -> sys::Result {
        let order: Text<4096> = Text::of(&[verb, self.profile.to_bytes()]);
        if order.is_cut() { Err(Errno::ENAMETOOLONG) } else { set(file, order.bytes()) }
    }
}

/// What takes a label back that was set.
const NOTHING: &[u8] = b"\n";

impl SeLinux {
    fn open(proc: Fd, label: &'static CStr) -> sys::Result<SeLinux> {
        let exec = open_attribute(proc, c"thread-self/attr/exec")?;
        let keys = match open_attribute(proc, c"thread-self/attr/keycreate") {
            Err(Errno::ENOENT) => None,
            other => Some(other?),
        };
        // The policy says whether there is such a label; until the end hooks of the host's may be
        // executed, which are not to have it.
        set(exec, label.to_bytes())?;
        set(exec, NOTHING)?;
        Ok(SeLinux { label, exec, keys })
    }
}

/// The kernel takes it as a whole.
fn set(file: Fd, text: &[u8]) -> sys::Result {
    sys::write(file, text).map(drop)
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

//! After the container's end: what it left running, its cgroups, the exit record, the removal.

use core::ffi::CStr;

use crate::control;
use crate::dirs::{DT_DIR, Entries};
use crate::events::{self, Renamed};
use crate::fail::{Fail, send};
use crate::orphans;
use crate::records::{self, Exit, Moment};
use crate::sys::{self, AT_FDCWD, Ended, Errno, Fd};
use crate::text::{Text, parse_dec};
use crate::tree;
use crate::wire::{Launch, Namespace, Oom, Status, shell_code};

/// Pauses of 1, 2, 4 … milliseconds: about two seconds in all, then what won't go is left to a later sweep.
const TRIES: u32 = 11;

/// How the container ended.
pub struct End {
    /// Its init's end.
    pub init: Ended,
    /// When it was started.
    pub started_at: Moment,
    /// When the init ended.
    pub finished_at: Moment,
    /// How long it ran.
    pub ran_ms: u64,
    /// What the kernel killed for want of memory.
    pub oom: Oom,
    /// What kept a part of the log from being written.
    pub log_error: Option<Errno>,
    /// What kept a part of its output from the host's own.
    pub unwritten: Option<Errno>,
    /// How often it was started again before.
    pub restarts: u32,
    /// What kept it from being started again.
    pub failed: Option<Fail>,
}

impl End {
    /// Writes `exit.json`.
    pub fn note(&self, dir: Fd) {
        let End { started_at, finished_at, oom, log_error, unwritten, restarts, failed, .. } = *self;
        let (code, signal) = (status(&self.init), self.init.signal);
        let exit = Exit { code, signal, oom, started_at, finished_at, log_error, unwritten, restarts, failed };
        let _ = records::write_exit(dir, &exit);
    }
}

/// Everything that is left to do; waiters wake when this process ends and lets the lock go.
pub fn conclude(launch: &Launch<'static>, dir: Fd, end: &End, orphaned: bool, users: Option<Fd>) {
    for cgroup in launch.cgroup.remove.iter() {
        remove_cgroup(cgroup);
    }
    end.note(dir);
    if launch.supervise.auto_remove || orphaned {
        remove(launch, users);
    } else {
        control::remove(dir);
    }
    tell(end);
}

/// Tells the host.
pub fn tell(end: &End) {
    let Ended { code, signal, .. } = end.init;
    send(&Status::Exited { code, signal, unwritten: end.unwritten.map_or(0, |errno| errno.0), oom: end.oom });
}

/// Tells whoever follows events.
pub fn tell_end(launch: &Launch<'static>, end: &End) {
    if end.oom.kills > 0 {
        events::tell(&launch.supervise, b"oom", &[]);
    }
    let (mut code, mut seconds) = (Text::<12>::new(), Text::<24>::new());
    code.signed(status(&end.init).into());
    seconds.dec(end.ran_ms / 1000);
    let attributes = [(&b"exitCode"[..], code.bytes()), (b"execDuration", seconds.bytes())];
    events::tell(&launch.supervise, b"die", &attributes);
}

/// As a shell gives it: 128 and the signal's number.
pub fn status(ended: &Ended) -> i32 {
    shell_code(ended.code, ended.signal)
}

/// The directory vanishes at once, by a rename; then comes what takes time.
fn remove(launch: &Launch<'static>, users: Option<Fd>) {
    if let Some(users) = users {
        // There the shim may delete what belongs to the container's users.
        let _ = sys::setns(users, sys::CLONE_NEWUSER);
    }
    let s = &launch.supervise;
    let named = Renamed::of(s);
    // The name first: once the directory is gone, its claim may be taken over at any time.
    for path in s.remove_also.iter().chain(named.claim()) {
        release_claim(path, s.dir);
    }
    let renamed = !s.trash.is_empty() && sys::renameat2(AT_FDCWD, s.dir, AT_FDCWD, s.trash, 0).is_ok();
    for path in s.remove_also.iter().filter(|path| link(path, &mut [0; 4096]).is_none()) {
        let volume = sys::statx(AT_FDCWD, path, sys::AT_SYMLINK_NOFOLLOW).is_ok_and(|stat| stat.is_dir());
        if volume && others_have(path, s.dir) {
            continue;
        }
        let _ = tree::remove(AT_FDCWD, path);
        if volume {
            events::tell_destroyed_volume(s, path);
        }
    }
    let _ = tree::remove(AT_FDCWD, if renamed { s.trash } else { s.dir });
    named.tell(s, b"destroy", &[]);
}

/// Leaves a volume; true when other containers still have it (`store/volumes.rs`).
fn others_have(volume: &CStr, dir: &CStr) -> bool {
    let id = last(dir.to_bytes());
    let mut users = Text::<4096>::of(&[volume.to_bytes(), b"/_users"]);
    let _ = sys::unlinkat(AT_FDCWD, Text::<4096>::of(&[users.bytes(), b"/", id]).c(), 0);
    sys::unlinkat(AT_FDCWD, users.c(), sys::AT_REMOVEDIR) == Err(Errno::ENOTEMPTY)
}

/// A claim is a symlink: of a name to the container's id, of ids to its directory. One that tells another is another's: this
/// container was renamed meanwhile, or is a copy.
fn release_claim(path: &CStr, dir: &CStr) {
    let id = last(dir.to_bytes());
    if !id.is_empty() && link(path, &mut [0; 4096]).is_some_and(|text| text == id || text == dir.to_bytes()) {
        let _ = sys::unlinkat(AT_FDCWD, path, 0);
    }
}

fn last(path: &[u8]) -> &[u8] {
    path.rsplit(|b| *b == b'/').next().unwrap_or_default()
}

/// The text of a symlink; `None` when it is none.
fn link<'a>(path: &CStr, buf: &'a mut [u8; 4096]) -> Option<&'a [u8]> {
    let n = sys::readlinkat(AT_FDCWD, path, buf).ok()?;
    Some(&buf[..n])
}

/// A container's own user namespace, kept for the removal.
pub fn user_namespace(launch: &Launch<'static>, init: i32) -> Option<Fd> {
    // What root has made for it belongs to root.
    launch.id_map.filter(|_| !launch.rootfs.shifted)?;
    let mut path = Text::<40>::new();
    path.push(b"/proc/").signed(init.into()).push(b"/ns/user");
    sys::openat(AT_FDCWD, path.c(), sys::O_RDONLY, 0).ok()
}

/// Without process ids of its own a container doesn't end with its init: what it started is killed, found by its cgroups, by
/// what it stands on and, since orphans become the shim's children unless it has joined another's, by descent.
pub fn kill_stragglers(launch: &Launch<'static>) {
    if launch.namespaces.pid == Namespace::New {
        return;
    }
    if let Some(cgroup) = launch.cgroup.v2 {
        let mut path = Text::<4096>::of(&[cgroup.to_bytes(), b"/cgroup.kill"]);
        let _ = sys::put(AT_FDCWD, path.c(), b"1");
    }
    orphans::kill(launch, pauses().map(|pause| move || pause.wait()));
    let mut path = Text::<80>::of(&[b"/proc/self/task/"]);
    path.signed(sys::getpid().into()).push(b"/children");
    for pause in pauses() {
        while let Ok(Some(_)) = sys::wait(-1, true) {}
        if sys::wait(-1, true) == Err(Errno::ECHILD) {
            return;
        }
        kill_listed(path.c());
        pause.wait();
    }
}

/// Kills the processes that a file lists; 0 stands for one that we can't see, and would mean ourselves.
fn kill_listed(path: &CStr) {
    let mut text = [0; 1024];
    let n = records::read_file(path, &mut text).unwrap_or(0);
    let complete = text[..n].iter().rposition(|b| b.is_ascii_whitespace()).unwrap_or(0);
    for word in text[..complete].split(|b| b.is_ascii_whitespace()) {
        match parse_dec(word) {
            Some(pid @ 2..) if pid as i32 != sys::getpid() => drop(sys::kill(pid as i32, sys::SIGKILL)),
            _ => {}
        }
    }
}

/// A cgroup is busy while its last processes are being taken apart.
fn remove_cgroup(path: &CStr) {
    for pause in pauses() {
        match sys::unlinkat(AT_FDCWD, path, sys::AT_REMOVEDIR) {
            Err(Errno::EBUSY) => {}
            _ => return,
        }
        let mut procs = Text::<4096>::of(&[path.to_bytes(), b"/cgroup.procs"]);
        kill_listed(procs.c());
        remove_below(path);
        pause.wait();
    }
}

/// Leaves of the cgroups what the first start found: another start enters none whose processes are to be in those below.
pub fn clear_cgroups(launch: &Launch<'static>) {
    launch.cgroup.remove.iter().for_each(remove_below);
    if let Some(cgroup) = launch.cgroup.v2 {
        disable_controllers(cgroup);
    }
}

/// A container that may write its cgroup may have handed controllers down, and none with processes below does
/// that and has processes of its own: cgroups(7), "no internal processes".
fn disable_controllers(cgroup: &CStr) {
    let mut path = Text::<4096>::of(&[cgroup.to_bytes(), b"/cgroup.subtree_control"]);
    let mut text = [0; 512];
    let n = records::read_file(path.c(), &mut text).unwrap_or(0);
    for word in text[..n].split(|b| b.is_ascii_whitespace()).filter(|word| !word.is_empty()) {
        let _ = sys::put(AT_FDCWD, path.c(), Text::<64>::of(&[b"-", word]).bytes());
    }
}

/// What the container made below its cgroup, and who is in there.
fn remove_below(path: &CStr) {
    let Ok(dir) = sys::openat(AT_FDCWD, path, sys::O_RDONLY | sys::O_DIRECTORY, 0) else { return };
    let mut entries = Entries::new();
    while let Ok(Some(entry)) = entries.next(dir) {
        if entry.kind == DT_DIR {
            let mut child = Text::<4096>::of(&[path.to_bytes(), b"/", entry.name.to_bytes()]);
            remove_nested(child.c());
        }
    }
    let _ = sys::close(dir);
}

fn remove_nested(path: &CStr) {
    let mut procs = Text::<4096>::of(&[path.to_bytes(), b"/cgroup.procs"]);
    kill_listed(procs.c());
    if sys::unlinkat(AT_FDCWD, path, sys::AT_REMOVEDIR) == Err(Errno::EBUSY) {
        remove_below(path);
        let _ = sys::unlinkat(AT_FDCWD, path, sys::AT_REMOVEDIR);
    }
}

struct Pause(u64);

impl Pause {
    fn wait(&self) {
        let _ = sys::poll(&mut [], Some(self.0));
    }
}

fn pauses() -> impl Iterator<Item = Pause> {
    (0..TRIES).map(|n| Pause(1 << n))
}

//! Disks to go wrong on: file systems of their own, in a mount namespace that one thread sees and that
//! takes them along when it ends. Only root can have them; for anyone else these tests do nothing.

#![allow(clippy::disallowed_methods)]

use std::path::{Path, PathBuf};
use std::process::Command;

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

const NONE: Option<&str> = None;

/// Runs `test` on a thread of its own in a mount namespace of its own.
fn apart(test: impl FnOnce(&Path) + Send) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    let ended = std::thread::scope(|scope| {
        let thread = scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            mount(NONE, "/", NONE, MsFlags::MS_REC | MsFlags::MS_PRIVATE, NONE).unwrap();
            test(dir.path());
        });
        thread.join()
    });
    ended.unwrap_or_else(|panic| std::panic::resume_unwind(panic));
}

/// In a directory in memory, of the size that `options` allow.
pub(crate) fn on_tmpfs(options: &str, test: impl FnOnce(&Path) + Send) {
    apart(|dir| {
        mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), Some(options)).unwrap();
        test(dir);
    });
}

/// Gives the tmpfs at `dir` another size.
pub(crate) fn resize(dir: &Path, options: &str) {
    mount(NONE, dir, NONE, MsFlags::MS_REMOUNT, Some(options)).unwrap();
}

/// Mounts something on `dir`, which then can't be removed.
pub(crate) fn cover(dir: &Path) {
    mount(Some("tmpfs"), dir, Some("tmpfs"), MsFlags::empty(), NONE).unwrap();
}

/// Makes the file system at `dir` read-only, or writable again.
pub(crate) fn read_only(dir: &Path, yes: bool) {
    let flags = if yes { MsFlags::MS_RDONLY } else { MsFlags::empty() };
    mount(NONE, dir, NONE, MsFlags::MS_REMOUNT | flags, NONE).unwrap();
}

/// An ext4 on a file.
pub(crate) struct Ext4 {
    image: PathBuf,
    pub(crate) dir: PathBuf,
}

/// On an ext4 of its own, 64 MiB large.
pub(crate) fn on_ext4(test: impl FnOnce(&Ext4) + Send) {
    apart(|dir| {
        let disk = Ext4 { image: dir.join("image"), dir: dir.join("mounted") };
        std::fs::File::create(&disk.image).unwrap().set_len(64 << 20).unwrap();
        run("mkfs.ext4", &["-q".as_ref(), disk.image.as_ref()]);
        attach(&disk.image, &disk.dir);
        test(&disk);
    });
}

impl Ext4 {
    /// What would be on the disk if the power failed now, mounted.
    pub(crate) fn after_power_failure(&self) -> PathBuf {
        // What is only in memory is in the file system's cache, not yet in the file under it.
        let (image, dir) = (self.image.with_extension("copy"), self.dir.with_extension("copy"));
        std::fs::copy(&self.image, &image).unwrap();
        attach(&image, &dir);
        dir
    }
}

fn attach(image: &Path, dir: &Path) {
    std::fs::create_dir(dir).unwrap();
    // The loop device goes with the mount.
    run("mount", &["-o".as_ref(), "loop".as_ref(), image.as_ref(), dir.as_ref()]);
}

fn run(program: &str, arguments: &[&std::ffi::OsStr]) {
    let done = Command::new(program).args(arguments).output().unwrap();
    assert!(done.status.success(), "{program}: {}", String::from_utf8_lossy(&done.stderr));
}

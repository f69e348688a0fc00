//! Helpers of this command that nobody else would bury: PID 1 may be a program that reaps no one.

use nix::sys::wait::{WaitPidFlag, WaitStatus, waitpid};

/// What a helper of ours leaves behind comes to this process, until this is dropped at the command's end.
#[must_use = "who has ended is buried when this is dropped"]
pub struct Orphans(());

impl Orphans {
    /// Before any helper is begun. Where it can't be had, they come to PID 1.
    pub fn adopt() -> Orphans {
        let _ = nix::sys::prctl::set_child_subreaper(true);
        Orphans(())
    }
}

impl Drop for Orphans {
    /// Buries those that have ended. Who runs on, as the shim of a container does, comes to PID 1 with our end.
    fn drop(&mut self) {
        let at_once = Some(WaitPidFlag::WNOHANG | WaitPidFlag::__WALL);
        while waitpid(None, at_once).is_ok_and(|ended| ended != WaitStatus::StillAlive) {}
    }
}

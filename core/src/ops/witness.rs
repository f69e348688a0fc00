//! How a container ended whose records went with it: the file of its exit record, held open from before the end.
//!
//! The shim writes that record into `exit.json.new`, in place, and renames it. Whoever has the file open reads it whatever
//! becomes of its name.

use std::fs::File;
use std::os::unix::fs::FileExt;

use super::{Context, list};
use crate::api::{ExitStatus, Status};
use crate::fs;
use crate::id::ContainerId;
use crate::lock;
use crate::paths::ContainerPaths;
use crate::spec::Restart;
use crate::store::containers::{self, Exit};
use crate::store::liveness;

/// More than any exit record.
const LONGEST: usize = 8 << 10;

/// Of one wait.
pub(super) struct Witness {
    at: ContainerPaths,
    name: String,
    /// The record that is to come, then the last that has come.
    files: [Option<File>; 2],
    /// It was seen running: the room that its shim took is no failed start's.
    ran: bool,
    /// The first run whose end is waited for.
    pub first_run: u32,
    /// It may be started again after its end.
    pub restarts: bool,
}

impl Drop for Witness {
    /// What was made for a shim that did not take it goes: its start has failed, or it had named its own file and ended
    /// just after it was looked at.
    fn drop(&mut self) {
        let ([Some(file), _], path) = (&self.files, self.at.exit_to_come()) else { return };
        let untaken = || is_empty(file) && !liveness::is_held(&self.at.lock()).unwrap_or(true);
        if untaken()
            // Who starts it waits for that, or its shim's file would go.
            && let Ok(_lock) = liveness::hold_files(&self.at.lock(), &self.name)
            && untaken()
            && lock::is_still(file, &path).unwrap_or(false)
        {
            let _ = fs::remove_file(&path);
        }
    }
}

impl Witness {
    /// Of the run that there is, or that is being started.
    pub fn new(context: &Context, id: &ContainerId) -> Witness {
        let mut witness = Witness {
            at: context.paths.container(id),
            name: id.short().to_owned(),
            files: [None, None],
            ran: false,
            first_run: 0,
            restarts: false,
        };
        witness.look();
        // The file first: from then on nothing is lost.
        if let Ok(Some(container)) = containers::load(&context.paths, id) {
            witness.ran = container.status() == Status::Running;
            witness.restarts = container.record.spec.restart != Restart::No;
            witness.name = container.record.name.to_string();
        }
        witness
    }

    /// Opens the file of the run that there is now; one that is gone leaves what was open.
    pub fn look(&mut self) {
        // Made in the shim's place where it has not come that far: it will take the same file. Of one that doesn't run
        // the records tell.
        let held = liveness::is_held(&self.at.lock()).unwrap_or(false);
        let to_come =
            if held { fs::open_or_create(&self.at.exit_to_come()) } else { fs::open(&self.at.exit_to_come()) };
        for (kept, found) in self.files.iter_mut().zip([to_come, fs::open(&self.at.exit())]) {
            *kept = found.ok().or(kept.take());
        }
    }

    /// How it ended; `None` when nobody has noted that.
    pub fn told(&self) -> Option<ExitStatus> {
        let mut exits = self.files.iter().flatten().filter_map(|file| serde_json::from_slice::<Exit>(&text(file)).ok());
        match exits.find(|exit| exit.restart_count >= self.first_run) {
            Some(exit) => Some(list::noted(&self.name, &exit)),
            None => self.ran.then(|| list::killed("the shim was killed")),
        }
    }
}

fn is_empty(file: &File) -> bool {
    file.metadata().is_ok_and(|found| found.len() == 0)
}

fn text(file: &File) -> Vec<u8> {
    let mut text = vec![0; LONGEST];
    let n = file.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(n);
    text
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Files of the test's own.
mod tests {
    use super::*;
    use crate::api::EngineOptions;

    /// A start that failed, or a shim that ended as the witness looked, takes no such file.
    #[test]
    fn a_file_that_nobody_has_taken_goes_with_its_witness() {
        let dir = tempfile::tempdir().unwrap();
        let at = |name: &str| Some(dir.path().join(name).display().to_string());
        let options = EngineOptions { root: at("root"), run: at("run"), ..EngineOptions::default() };
        let context = Context::open(&options).unwrap();
        let id = ContainerId::from_random([7; 32]);
        let at = context.paths.container(&id);
        std::fs::create_dir_all(at.dir()).unwrap();
        let made = |shim: &str, held_on: bool| {
            let lock = liveness::hold(&at.lock(), "c").unwrap();
            let witness = Witness::new(&context, &id);
            assert!(at.exit_to_come().exists());
            std::fs::write(at.exit_to_come(), shim).unwrap();
            let lock = held_on.then_some(lock);
            drop(witness);
            drop(lock);
            std::fs::remove_file(at.exit_to_come()).is_ok()
        };
        assert!(made("", true) && made("of a shim", false));
        assert!(!made("", false));
        drop(Witness::new(&context, &id));
        assert!(!at.exit_to_come().exists());
    }
}

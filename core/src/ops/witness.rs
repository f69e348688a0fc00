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
use crate::paths::ContainerPaths;
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
        };
        witness.look();
        // The file first: from then on nothing is lost.
        if let Ok(Some(container)) = containers::load(&context.paths, id) {
            witness.ran = container.status() == Status::Running;
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

fn text(file: &File) -> Vec<u8> {
    let mut text = vec![0; LONGEST];
    let n = file.read_at(&mut text, 0).unwrap_or(0);
    text.truncate(n);
    text
}

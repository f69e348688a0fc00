//! The helper as an installed file, for programs that are no command of ours: an AppArmor profile goes by the path of what
//! is executed, and an interpreter's would be everybody's.

use std::path::Path;

use super::host::Host;
use super::place::{Found, Place, Then};
use super::record::Record;
use super::{Act, State, Task};
use crate::error::Result;
use crate::launch;

pub(super) fn task(host: &Host<'_>, record: &Record, path: &Path) -> Result<Task> {
    let path = path.to_string_lossy().into_owned();
    let name = format!("helper {path}");
    if !path.starts_with('/') {
        return Ok(Task::new(name, State::Impossible, "its path must begin with /"));
    }
    if let Some(why) = host.replaceable(&path)? {
        return Ok(Task::new(name, State::Impossible, why));
    }
    let place = Place { path, bytes: launch::shim_image().to_vec(), mode: 0o755, then: Then::Nothing };
    Ok(match place.look(host, record)? {
        Found::Same => Task::new(name, State::Done, "is installed"),
        Found::Nothing => Task::to_do(name, "is installed", Act::Place(place)),
        Found::Older => Task::to_do(name, "becomes that of this version", Act::Place(place)),
        Found::Changed | Found::Others => {
            Task::new(name, State::NotNeeded, "is there, of another version or another origin, and stays as it is")
        }
    })
}

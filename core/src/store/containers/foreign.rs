//! Containers whose records can't be used: a crash or a disk has damaged them, or a newer version has written them. They hide
//! no others, can be removed, and nothing else.

use serde::Deserialize;

use super::{Exit, Record, State, ids};
use crate::error::{Error, Result};
use crate::id::{ContainerId, Digest, Name};
use crate::paths::Paths;
use crate::store::gc::Used;
use crate::store::record::{self, Fault};

/// Why a container can be listed and removed, and nothing else.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Unusable {
    /// Its record says nothing.
    Damaged,
    /// Who wrote it or runs it knows more than we do.
    Newer,
}

impl Unusable {
    /// The same in words.
    pub fn why(self) -> &'static str {
        match self {
            Unusable::Damaged => "its record is damaged",
            Unusable::Newer => "its record was written by a newer version of Sampan, and this one can't use it",
        }
    }
}

/// What every version tells of a container alike.
#[derive(Clone, Debug, Deserialize)]
pub struct Core {
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: Name,
    /// RFC 3339.
    pub created_at: String,
    /// The image as it was asked for.
    pub image: String,
    /// Digest of the image's config.
    pub image_id: Digest,
    /// Digest of the image's manifest.
    pub manifest: Digest,
}

/// Why a container can't be used; `None` for one that can, or that can't be read for another reason. To be asked once it
/// could not be loaded: that reads the same.
pub fn unusable(paths: &Paths, id: &ContainerId) -> Option<Unusable> {
    let at = paths.container(id);
    let newer_run = || record::is_newer::<State>(&at.state()) || record::is_newer::<Exit>(&at.exit());
    match record::fault::<Record>(&at.record()) {
        Some(Fault::Damaged(_)) => Some(Unusable::Damaged),
        Some(Fault::Newer(_)) => Some(Unusable::Newer),
        _ => newer_run().then_some(Unusable::Newer),
    }
}

/// Whether a container is here and its record damaged.
pub fn is_damaged(paths: &Paths, id: &ContainerId) -> bool {
    record::is_damaged::<Record>(&paths.container(id).record())
}

/// What is known of a container; `None` where that is nothing.
pub fn core(paths: &Paths, id: &ContainerId) -> Result<Option<Core>> {
    record::read_known_part(&paths.container(id).record())
}

/// The same of all containers.
pub fn cores(paths: &Paths) -> Result<Vec<Core>> {
    let mut cores = Vec::new();
    for id in ids(paths)? {
        cores.extend(core(paths, &id)?);
    }
    Ok(cores)
}

/// What the images of all containers must not lose. What a newer record names may be for something that we don't know: all
/// of it is held.
pub fn held(paths: &Paths) -> Result<Used> {
    let mut used = Used::default();
    for id in ids(paths)? {
        match record::read::<Record>(&paths.container(&id).record()) {
            Ok(record) => record.into_iter().for_each(|record| {
                used.manifests.push(record.manifest);
                used.layers.extend(record.layers);
            }),
            Err(e) => hold_named(paths, &id, e, &mut used)?,
        }
    }
    Ok(used)
}

fn hold_named(paths: &Paths, id: &ContainerId, unread: Error, used: &mut Used) -> Result<()> {
    let path = paths.container(id).record();
    if !record::is_newer::<Record>(&path) || core(paths, id)?.is_none() {
        used.unread.push(unread);
        return Ok(());
    }
    used.named.extend(record::digests(&path)?);
    Ok(())
}

//! A container's files in one tree, where nothing can be mounted.

use std::os::fd::AsFd;

use super::Context;
use crate::api::Rung;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::layer;
use crate::store::containers::Record;
use crate::store::layers;
use crate::store::tmp::Temp;

/// Copies the image's layers for a container that has no tree yet; its lock is held. It appears whole, or not at all.
pub(super) fn prepare(context: &Context, record: &Record, cancel: &Cancel) -> Result<()> {
    let tree = context.paths.container(&record.id).tree();
    if record.rung != Rung::Chroot || fs::exists(&tree)? {
        return Ok(());
    }
    let found = record.layers.iter().map(|diff_id| match layers::find(&context.paths, &record.form, diff_id)? {
        Some(dir) => Ok(dir),
        None => Err(Error::new(Kind::Store, "find layer", diff_id.as_str())
            .because("it is not in the store any more")
            .hint("pull the image again")),
    });
    let found = found.collect::<Result<Vec<_>>>()?;
    let staged = Temp::dir(&context.paths)?;
    fs::open_to_all(staged.path())?;
    layer::merge(&found, fs::open_dir(staged.path())?.as_fd(), cancel)
        .map_err(|e| e.within("copy the image's files", record.name.as_str()))?;
    staged.place(&tree).map(drop)
}

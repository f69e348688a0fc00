//! `rename`.

use super::{Context, list};
use crate::error::Result;
use crate::id::ContainerId;
use crate::store::containers;

/// Gives a container another name.
pub fn rename(context: &Context, id: &ContainerId, name: &str) -> Result<()> {
    let mut record = list::load(context, id)?.record;
    containers::rename(&context.paths, &mut record, name.parse()?).map_err(|e| e.within("rename container", id.short()))
}

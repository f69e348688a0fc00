//! `rename`.

use super::Context;
use crate::error::Result;
use crate::id::ContainerId;
use crate::store::containers;

/// Gives a container another name.
pub fn rename(context: &Context, id: &ContainerId, name: &str) -> Result<()> {
    containers::rename(&context.paths, id, name.parse()?).map_err(|e| e.within("rename container", id.short()))
}

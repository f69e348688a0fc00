//! `rename`.

use super::{Context, events};
use crate::error::Result;
use crate::id::ContainerId;
use crate::store::containers;

/// Gives a container another name.
pub fn rename(context: &Context, id: &ContainerId, name: &str) -> Result<()> {
    let done = containers::rename(&context.paths, id, name.parse()?);
    let (record, old) = done.map_err(|e| e.within("rename container", id.short()))?;
    if record.name != old {
        events::tell(context, &record, "rename", &[("oldName", old.as_str())]);
    }
    Ok(())
}

//! `rename`.

use super::{Context, events};
use crate::error::Result;
use crate::fs;
use crate::id::ContainerId;
use crate::store::containers;
use crate::store::events as stored;

/// Gives a container another name.
pub fn rename(context: &Context, id: &ContainerId, name: &str) -> Result<()> {
    let done = containers::rename(&context.paths, id, name.parse()?);
    let (record, old) = done.map_err(|e| e.within("rename container", id.short()))?;
    if record.name != old {
        // For the shim, which tells events and was started under the other name.
        let at = context.paths.container(id);
        let _ = fs::replace(&at.event_subject(), &at.dir().join(".subject"), stored::of_container(&record).as_bytes());
        events::tell(context, &record, "rename", &[("oldName", old.as_str())]);
    }
    Ok(())
}

//! `attach`: the streams of a running container, from any process, by the container's shim.

use super::{Context, events, list, wait};
use crate::api::{ExitStatus, Status};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::launch::{self, Attachment};

/// Joins a container's streams, its input among them when asked for.
pub fn attach(context: &Context, id: &ContainerId, interactive: bool, cancel: &Cancel) -> Result<Attachment> {
    cancel.check("attach to container", id.short())?;
    let container = list::load(context, id)?;
    let name = container.record.name.as_str();
    if container.status() != Status::Running {
        return Err(Error::new(Kind::Conflict, "attach to container", name)
            .because(format!("it is not running but {}", container.status().word()))
            .hint(list::cure(container.status())));
    }
    let mut attachment = launch::attach(context.paths.container(id).dir(), interactive, cancel)
        .map_err(|e| e.within("attach to container", name))?;
    attachment.name = format!("container {name}");
    events::tell(context, &container.record, "attach", &[]);
    Ok(attachment)
}

/// Waits for the container's end.
pub fn wait(attachment: &Attachment, cancel: &Cancel) -> Result<ExitStatus> {
    Ok(wait::ended(&attachment.name, attachment.wait(cancel)?))
}

/// Sets the size of the container's terminal.
pub fn resize(attachment: &Attachment, rows: u32, columns: u32) -> Result<()> {
    let size = |n: u32| u16::try_from(n).unwrap_or(u16::MAX);
    attachment.resize(size(rows), size(columns))
}

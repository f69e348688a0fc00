//! `events`: what happens in the store, told by every operation, read by whoever wants to know.

mod changes;
mod filter;
mod shims;

use std::collections::VecDeque;
use std::sync::Arc;

use jiff::Timestamp;

use self::changes::Changes;
use self::filter::Filter;
use self::shims::Shims;
use super::Context;
use super::logs::chain::Chain;
use super::logs::time;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::store::containers::{Container, Record};
use crate::store::events::{self, FILES};

/// Tells of a container.
pub(super) fn tell(context: &Context, record: &Record, action: &str, attributes: &[(&str, &str)]) {
    events::tell(&context.events, &events::of_container(record), action, attributes);
}

/// Tells of an image, by its id or the reference that was asked for.
pub(super) fn tell_image(context: &Context, id: &str, action: &str, name: &str) {
    events::tell(&context.events, &events::subject("image", id, &[("name", name)]), action, &[]);
}

/// Tells of a volume of a container.
pub(super) fn tell_volume(context: &Context, name: &str, action: &str, container: &Record) {
    let of = [("container", container.id.as_str())];
    events::tell(&context.events, &events::subject("volume", name, &of), action, &[]);
}

/// Tells of the end of a container whose shim was killed and told nothing, unless somebody has; the caller holds its lock.
pub(super) fn tell_lost(context: &Context, container: &Container) {
    let lost = context.paths.container(&container.record.id).lost();
    if container.state.is_some()
        && container.ended().is_none()
        && fs::create_new(&lost).is_ok_and(|made| made.is_some())
    {
        tell(context, &container.record, "die", &[("exitCode", "137")]);
    }
}

/// Reads events.
pub struct Reader {
    files: Chain,
    /// What was read and is not given out yet.
    buffer: VecDeque<u8>,
    filters: Vec<Filter>,
    since: Option<String>,
    until: Option<(String, Timestamp)>,
    /// An event was met that is later than the last one wanted.
    past: bool,
    changes: Changes,
    context: Arc<Context>,
    /// Watched from the first time on that events are waited for.
    shims: Option<Shims>,
}

impl std::fmt::Debug for Reader {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Reader").field("filters", &self.filters).finish_non_exhaustive()
    }
}

/// Opens the events of the store.
pub fn open(context: &Arc<Context>, options: &EventOptions) -> Result<Reader> {
    let filters = options.filters.iter().map(|f| Filter::parse(f)).collect::<Result<_>>()?;
    let since = options.since.as_deref().map(|s| time("since", s)).transpose()?;
    let until = options.until.as_deref().map(until).transpose()?;
    // Before the first look: what is written from then on is noticed.
    let changes = Changes::of(&context.paths.events());
    let mut files = Chain::open(&context.events, FILES)?;
    if since.is_none() {
        files.skip_all()?;
    }
    let (context, buffer) = (Arc::clone(context), VecDeque::new());
    Ok(Reader { files, buffer, filters, since, until, past: false, changes, context, shims: None })
}

fn until(text: &str) -> Result<(String, Timestamp)> {
    let sortable = time("until", text)?;
    let moment = sortable.parse().map_err(|_| Error::new(Kind::InvalidArgument, "read option", "until"))?;
    Ok((sortable, moment))
}

impl Reader {
    /// The next event.
    pub fn next(&mut self, cancel: &Cancel) -> Result<Option<EngineEvent>> {
        loop {
            cancel.check("read events", "")?;
            match self.at_hand() {
                None if !self.past => {}
                found => return Ok(found),
            }
            // Asked before the read: what came before that time is all there by then.
            let due = self.until.as_ref().is_some_and(|(_, moment)| Timestamp::now() >= *moment);
            if self.fill()? || self.files.extend()? {
                continue;
            }
            if due {
                return Ok(None);
            }
            let shims = self.shims.get_or_insert_with(|| Shims::of(&self.context));
            let until = self.until.as_ref().map(|(_, moment)| *moment);
            self.changes.wait(until.into_iter().chain(shims.look_again()).min(), shims.fds(), cancel);
            shims.bury(&self.context);
        }
    }

    /// The next event that was read already.
    fn at_hand(&mut self) -> Option<EngineEvent> {
        while !self.past
            && let Some(end) = self.buffer.iter().position(|b| *b == b'\n')
        {
            let line: Vec<u8> = self.buffer.drain(..=end).collect();
            let Some(event) = events::parse(&line) else { continue };
            if let (Some(shims), "container", "start") = (&mut self.shims, event.kind.as_str(), event.action.as_str()) {
                shims.watch(&self.context, &event.id);
            }
            self.past = self.until.as_ref().is_some_and(|(until, _)| event.time >= *until);
            let early = self.since.as_ref().is_some_and(|since| event.time < *since);
            if !self.past && !early && Filter::all_match(&self.filters, &event) {
                return Some(event);
            }
        }
        None
    }

    fn fill(&mut self) -> Result<bool> {
        let mut chunk = [0; 32 << 10];
        let n = self.files.read(&mut chunk)?;
        self.buffer.extend(&chunk[..n]);
        Ok(n > 0)
    }
}

#[cfg(test)]
mod tests;

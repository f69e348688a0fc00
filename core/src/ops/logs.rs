//! `logs`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

/// Reads a log file.
#[derive(Debug)]
pub struct Reader;

impl Reader {
    /// The next entry.
    pub fn next(&mut self, _: &Cancel) -> Result<Option<LogEntry>> {
        Ok(None)
    }
}

pub fn open(_: &Context, _: &ContainerId, _: &LogOptions) -> Result<Reader> {
    Err(Error::new(Kind::Unsupported, "logs", ""))
}

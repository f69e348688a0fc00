//! `rm`.

use super::Context;
use crate::api::*;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn remove(_: &Context, _: &ContainerId, _: &RemoveOptions) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "remove", ""))
}

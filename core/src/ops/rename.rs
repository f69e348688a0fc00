//! `rename`.

use super::Context;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn rename(_: &Context, _: &ContainerId, _: &str) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "rename", ""))
}

//! `start`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn start(_: &Context, _: &ContainerId, _: &Stdio, _: &Cancel) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "start", ""))
}

pub fn resize(_: &Context, _: &ContainerId, _: u32, _: u32) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "start", ""))
}

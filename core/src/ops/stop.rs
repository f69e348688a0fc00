//! `stop`, `restart`, `kill`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn stop(_: &Context, _: &ContainerId, _: &StopOptions, _: &Cancel) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "stop", ""))
}

pub fn restart(_: &Context, _: &ContainerId, _: &StopOptions, _: &Cancel) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "stop", ""))
}

pub fn kill(_: &Context, _: &ContainerId, _: &str) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "stop", ""))
}

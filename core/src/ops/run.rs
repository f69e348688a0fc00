//! `run`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::progress::Progress;

pub fn run(_: &Context, _: &RunOptions, _: &mut dyn Progress, _: &Cancel) -> Result<Output> {
    Err(Error::new(Kind::Unsupported, "run", ""))
}

pub fn spawn(_: &Context, _: &RunOptions, _: &Stdio, _: &mut dyn Progress, _: &Cancel) -> Result<ContainerId> {
    Err(Error::new(Kind::Unsupported, "run", ""))
}

pub fn plan(_: &Context, _: &RunOptions) -> Result<String> {
    Err(Error::new(Kind::Unsupported, "run", ""))
}

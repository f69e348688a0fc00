//! `create`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;
use crate::progress::Progress;

pub fn create(_: &Context, _: &RunOptions, _: &mut dyn Progress, _: &Cancel) -> Result<ContainerId> {
    Err(Error::new(Kind::Unsupported, "create", ""))
}

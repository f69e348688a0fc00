//! `wait`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn wait(_: &Context, _: &ContainerId, _: Option<f64>, _: &Cancel) -> Result<ExitStatus> {
    Err(Error::new(Kind::Unsupported, "wait", ""))
}

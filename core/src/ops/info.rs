//! `info`.

use super::Context;
use crate::api::*;
use crate::error::{Error, Kind, Result};

pub fn info(_: &Context) -> Result<EngineInfo> {
    Err(Error::new(Kind::Unsupported, "info", ""))
}

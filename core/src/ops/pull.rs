//! `pull`.

use super::Context;
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::progress::Progress;

pub fn pull(_: &Context, _: &str, _: &PullOptions, _: &mut dyn Progress, _: &Cancel) -> Result<ImageInfo> {
    Err(Error::new(Kind::Unsupported, "pull", ""))
}

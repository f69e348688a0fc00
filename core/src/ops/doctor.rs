//! `doctor`.

use super::Context;
use crate::api::*;
use crate::error::{Error, Kind, Result};

pub fn doctor(_: &Context) -> Result<DoctorReport> {
    Err(Error::new(Kind::Unsupported, "doctor", ""))
}

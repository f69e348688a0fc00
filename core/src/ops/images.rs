//! `images`, `inspect`, `tag`, `rmi`, gc.

use super::Context;
use crate::api::*;
use crate::error::{Error, Kind, Result};

pub fn list(_: &Context) -> Result<Vec<ImageInfo>> {
    Err(Error::new(Kind::Unsupported, "images", ""))
}

pub fn inspect(_: &Context, _: &str) -> Result<ImageInfo> {
    Err(Error::new(Kind::Unsupported, "images", ""))
}

pub fn tag(_: &Context, _: &str, _: &str) -> Result<()> {
    Err(Error::new(Kind::Unsupported, "images", ""))
}

pub fn remove(_: &Context, _: &str, _: &RemoveImageOptions) -> Result<Vec<RemovedImage>> {
    Err(Error::new(Kind::Unsupported, "images", ""))
}

pub fn gc(_: &Context) -> Result<PruneReport> {
    Err(Error::new(Kind::Unsupported, "images", ""))
}

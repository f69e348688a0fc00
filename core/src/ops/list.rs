//! `ps` and `inspect`.

use super::Context;
use crate::api::*;
use crate::error::{Error, Kind, Result};
use crate::id::ContainerId;

pub fn list(_: &Context, _: &ListOptions) -> Result<Vec<ContainerInfo>> {
    Err(Error::new(Kind::Unsupported, "list", ""))
}

pub fn find(_: &Context, _: &str) -> Result<ContainerId> {
    Err(Error::new(Kind::Unsupported, "list", ""))
}

pub fn inspect(_: &Context, _: &ContainerId) -> Result<ContainerInfo> {
    Err(Error::new(Kind::Unsupported, "list", ""))
}

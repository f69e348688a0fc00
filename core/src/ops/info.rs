//! `info`.

use super::{Context, images};
use crate::api::*;
use crate::error::Result;
use crate::store::containers;
use crate::sys;

/// Where this engine stands.
pub fn info(context: &Context) -> Result<EngineInfo> {
    let facts = context.facts()?;
    Ok(EngineInfo {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: context.paths.root().display().to_string(),
        run: context.paths.run().display().to_string(),
        rung: facts.rung,
        cgroup: facts.cgroups.mode.clone(),
        kernel: sys::kernel_release(),
        containers: containers::ids(&context.paths)?.len() as u64,
        images: images::list(context)?.len() as u64,
    })
}

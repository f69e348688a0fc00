//! What an engine knows: its options, its paths, and what this host allows.

use crate::api::EngineOptions;
use crate::error::Result;

/// Shared by all operations of one engine.
#[derive(Debug)]
pub struct Context {
    /// As given.
    pub options: EngineOptions,
}

impl Context {
    /// Opens the store, making it when it is missing.
    pub fn open(options: &EngineOptions) -> Result<Self> {
        Ok(Context { options: options.clone() })
    }
}

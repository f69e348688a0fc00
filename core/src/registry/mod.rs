//! The registry client: HTTP to a distribution registry, without the store.
//!
//! Everything blocks, everything ends at once on cancel, no thread is started, and nothing is believed
//! before its digest was checked.

mod agents;
mod auth;
mod blob;
mod client;
mod dns;
mod failure;
mod manifest;
mod platform;
mod proxy;
mod resolv_conf;
mod resolve;
mod retry;
#[cfg(test)]
pub mod tests;
mod transport;
mod trust;
mod url;

use std::time::Duration;

use crate::id::Digest;

pub use blob::BlobReader;
pub use client::Client;
pub use manifest::{Descriptor, Image};
pub use platform::Platform;

/// How to speak to registries.
#[derive(Clone, Debug)]
pub struct RegistryOptions {
    /// Registries (`host:port`) whose certificate is not checked, and that are spoken to without TLS where they
    /// don't speak it. Nothing else that they lead to is trusted so.
    pub insecure: Vec<String>,
    /// How long to wait for a connection, TLS included. Finding the addresses of its name comes before and has the
    /// times of `/etc/resolv.conf`.
    pub connect_timeout: Duration,
    /// How long a connection may be silent.
    pub idle_timeout: Duration,
}

impl Default for RegistryOptions {
    fn default() -> Self {
        RegistryOptions {
            insecure: Vec::new(),
            connect_timeout: Duration::from_secs(10),
            idle_timeout: Duration::from_secs(30),
        }
    }
}

/// An image found at a registry: its manifest for the platform, as it came and as it was read.
#[derive(Clone, Debug)]
pub struct Resolved {
    /// Digest of the manifest.
    pub digest: Digest,
    /// The manifest's bytes, unchanged.
    pub raw: Vec<u8>,
    /// What the manifest says.
    pub image: Image,
    /// The index that led to it.
    pub index: Option<Index>,
}

impl Resolved {
    /// What was resolved before, by the manifest's bytes.
    ///
    /// # Errors
    /// `InvalidImage` when they are no manifest.
    pub fn again(digest: Digest, raw: Vec<u8>) -> crate::error::Result<Resolved> {
        match manifest::read(&raw, None)? {
            manifest::Document::Image(image) => Ok(Resolved { digest, raw, image, index: None }),
            manifest::Document::Index(_) => {
                Err(crate::error::Error::new(crate::error::Kind::InvalidImage, "read manifest", digest.as_str())
                    .because("it is an index"))
            }
        }
    }
}

/// An index, as it came.
#[derive(Clone, Debug)]
pub struct Index {
    /// Digest of its bytes.
    pub digest: Digest,
    /// Its bytes, unchanged.
    pub raw: Vec<u8>,
}

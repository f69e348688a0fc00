//! An image as its manifest and config tell.

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::blobs;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;
use crate::paths::Paths;

/// Manifests may have 4 MiB; every registry has that limit or a lower one.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// Configs hold a line of history a layer.
pub const MAX_CONFIG: u64 = 8 << 20;

/// An image in the store.
#[derive(Clone, Debug)]
pub struct Image {
    /// Digest of its manifest.
    pub manifest: Digest,
    /// Digest of its config: its id.
    pub id: Digest,
    /// Diff ids of its layers, lowest first.
    pub layers: Vec<Digest>,
    /// Its config.
    pub config: ImageConfiguration,
}

/// What a manifest names. OCI's and Docker's schema 2 agree in these.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
pub struct Contents {
    config: Link,
    layers: Vec<Link>,
}

#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
struct Link {
    digest: Digest,
}

impl Contents {
    /// Reads the manifest's blob.
    pub fn read(paths: &Paths, manifest: &Digest) -> Result<Contents> {
        let bytes = blobs::read(paths, manifest, MAX_MANIFEST)?;
        serde_json::from_slice(&bytes).map_err(|e| malformed("read manifest", manifest, e.to_string()))
    }

    /// Digest of the config.
    pub fn config(&self) -> &Digest {
        &self.config.digest
    }

    /// Digests of the layers' blobs, lowest first.
    pub fn layers(&self) -> impl Iterator<Item = &Digest> {
        self.layers.iter().map(|l| &l.digest)
    }
}

/// Reads an image by its manifest's digest.
pub fn load(paths: &Paths, manifest: &Digest) -> Result<Image> {
    let contents = Contents::read(paths, manifest)?;
    let id = contents.config().clone();
    let config = read_config(paths, &id)?;
    let layers = diff_ids(&id, &config)?;
    Ok(Image { manifest: manifest.clone(), id, layers, config })
}

/// Reads a config.
pub fn read_config(paths: &Paths, id: &Digest) -> Result<ImageConfiguration> {
    let bytes = blobs::read(paths, id, MAX_CONFIG)?;
    serde_json::from_slice(&bytes).map_err(|e| malformed("read image config", id, e.to_string()))
}

/// The diff ids that a config names, lowest first.
pub fn diff_ids(id: &Digest, config: &ImageConfiguration) -> Result<Vec<Digest>> {
    let ids = config.rootfs().diff_ids().iter().map(|d| d.parse::<Digest>());
    ids.collect::<Result<_>>().map_err(|e| malformed("read image config", id, e.cause()))
}

fn malformed(operation: &'static str, digest: &Digest, why: String) -> Error {
    Error::new(Kind::InvalidImage, operation, digest.as_str()).because(why)
}

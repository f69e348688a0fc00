//! An image as its manifest and config tell.

use oci_spec::image::ImageConfiguration;
use serde::Deserialize;

use super::{blobs, record};
use crate::error::{Error, Kind, Result};
use crate::fs;
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
    /// What Docker adds to that.
    pub extension: Extension,
}

/// Members of the config that Docker knows and the OCI does not.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Extension {
    /// How a container's health is found out.
    pub healthcheck: Option<Healthcheck>,
    /// The shell of commands that are one text.
    pub shell: Option<Vec<String>>,
}

/// Spans are in nanoseconds; 0 stands for the default.
#[derive(Clone, Debug, Default, PartialEq, Deserialize)]
#[serde(rename_all = "PascalCase", default)]
pub struct Healthcheck {
    /// `NONE`, or `CMD` or `CMD-SHELL` and words.
    pub test: Option<Vec<String>>,
    /// Between two checks.
    pub interval: i64,
    /// After which one is killed.
    pub timeout: i64,
    /// From the start, in which failures don't count.
    pub start_period: i64,
    /// Between two checks in that time.
    pub start_interval: i64,
    /// Failures in a row.
    pub retries: i64,
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
    let bytes = blobs::read(paths, &id, MAX_CONFIG)?;
    let config = parse_config(&bytes, &id)?;
    let extension = extension(&bytes);
    let layers = diff_ids(&id, &config)?;
    Ok(Image { manifest: manifest.clone(), id, layers, config, extension })
}

/// The digests that a blob of this store names, of whatever kind it is; none for what is no document, or not here.
pub fn named_by(paths: &Paths, digest: &Digest) -> Result<Vec<Digest>> {
    let path = paths.blob(digest);
    if fs::file_size(&path)?.is_none_or(|size| size > MAX_CONFIG) {
        return Ok(Vec::new());
    }
    let bytes = fs::read_if_exists(&path, MAX_CONFIG)?.unwrap_or_default();
    Ok(serde_json::from_slice(&bytes).map(record::digests_in).unwrap_or_default())
}

/// Reads a config.
pub fn read_config(paths: &Paths, id: &Digest) -> Result<ImageConfiguration> {
    parse_config(&blobs::read(paths, id, MAX_CONFIG)?, id)
}

fn parse_config(bytes: &[u8], id: &Digest) -> Result<ImageConfiguration> {
    serde_json::from_slice(bytes).map_err(|e| malformed("read image config", id, e.to_string()))
}

/// What makes no sense there is as good as absent: an image is none the worse for it.
fn extension(bytes: &[u8]) -> Extension {
    #[derive(Deserialize)]
    struct Extended {
        config: Option<Extension>,
    }
    serde_json::from_slice::<Extended>(bytes).ok().and_then(|e| e.config).unwrap_or_default()
}

/// The diff ids that a config names, lowest first.
pub fn diff_ids(id: &Digest, config: &ImageConfiguration) -> Result<Vec<Digest>> {
    let ids = config.rootfs().diff_ids().iter().map(|d| d.parse::<Digest>());
    ids.collect::<Result<_>>().map_err(|e| malformed("read image config", id, e.cause()))
}

fn malformed(operation: &'static str, digest: &Digest, why: String) -> Error {
    Error::new(Kind::InvalidImage, operation, digest.as_str()).because(why)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_docker_adds_to_a_config_is_read_where_it_makes_sense() {
        let text = br#"{"config":{"Healthcheck":{"Test":["CMD","x"],"Interval":5000000000,"Retries":2},"Shell":["/ash"],"User":"u"}}"#;
        let read = extension(text);
        let check = read.healthcheck.unwrap();
        assert_eq!(
            (check.test, check.interval, check.retries),
            (Some(vec!["CMD".into(), "x".into()]), 5_000_000_000, 2)
        );
        assert_eq!((read.shell, check.timeout), (Some(vec!["/ash".into()]), 0));
        for none in [&br#"{"config":null}"#[..], b"{}", br#"{"config":{"Healthcheck":7}}"#] {
            assert_eq!(extension(none), Extension::default());
        }
    }
}

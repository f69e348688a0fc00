//! Image references: one file each, replaced by rename; and the OCI layout that is derived from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::{crash, record, tmp};
use crate::error::Result;
use crate::fs::{self, Sync};
use crate::id::Digest;
use crate::lock;
use crate::paths::Paths;
use crate::reference::Reference;

/// What a reference points to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Ref {
    /// See [`record::VERSION`].
    pub version: u32,
    /// The full reference.
    pub reference: Reference,
    /// Digest of the image's manifest.
    pub manifest: Digest,
    /// The manifest's media type.
    pub media_type: String,
    /// The manifest's bytes.
    pub size: u64,
    /// Digest of the image's config: the image id.
    pub id: Digest,
    /// Digest of the index that the manifest was chosen from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub index: Option<Digest>,
}

/// The version to write.
pub const VERSION: u32 = record::VERSION;

/// What a full reference points to, here or in a store below.
pub fn get(paths: &Paths, reference: &Reference) -> Result<Option<Ref>> {
    for store in paths.all() {
        if let Some(found) = record::read(&store.reference(&reference.to_string()))? {
            return Ok(Some(found));
        }
    }
    Ok(None)
}

/// All references, here and below, each once and in order.
pub fn list(paths: &Paths) -> Result<Vec<Ref>> {
    let mut all = BTreeMap::new();
    for store in paths.all() {
        for found in list_own(store)? {
            all.entry(found.reference.clone()).or_insert(found);
        }
    }
    Ok(all.into_values().collect())
}

/// The references of this store alone.
pub fn list_own(paths: &Paths) -> Result<Vec<Ref>> {
    let mut refs = Vec::new();
    for name in fs::list(&paths.refs())? {
        refs.extend(record::read::<Ref>(&paths.refs().join(name))?);
    }
    Ok(refs)
}

/// Points a reference to an image.
pub fn set(paths: &Paths, to: &Ref) -> Result<()> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    let path = paths.reference(&to.reference.to_string());
    let staged = tmp::fresh(paths, "ref")?;
    crash::point("ref staged");
    // What the user named and waited for: it must survive a power failure.
    fs::replace(&path, &staged, &record::encode(&path, to)?, Sync::Yes)?;
    crash::point("ref committed");
    write_layout(paths)
}

/// Removes a reference; false when it was not there.
pub fn remove(paths: &Paths, reference: &Reference) -> Result<bool> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    let removed = fs::remove_file(&paths.reference(&reference.to_string()))?;
    crash::point("ref removed");
    write_layout(paths)?;
    Ok(removed)
}

/// Derives the OCI layout anew, as a crash may have left it behind the references.
pub fn refresh_layout(paths: &Paths) -> Result<()> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    write_layout(paths)
}

/// `oci-layout` and `index.json` (OCI image-spec, image-layout.md). Its readers write nothing here.
fn write_layout(paths: &Paths) -> Result<()> {
    if !fs::exists(&paths.oci_layout())? {
        let layout = br#"{"imageLayoutVersion":"1.0.0"}"#;
        fs::replace(&paths.oci_layout(), &tmp::fresh(paths, "layout")?, layout, Sync::No)?;
    }
    let manifests: Vec<_> = list_own(paths)?.iter().flat_map(descriptors).collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    let bytes = record::encode(&paths.index(), &index)?;
    fs::replace(&paths.index(), &tmp::fresh(paths, "index")?, &bytes, Sync::No)?;
    crash::point("index written");
    Ok(())
}

/// One under the full name and, when it differs, one under the name that people write.
fn descriptors(r: &Ref) -> Vec<serde_json::Value> {
    let mut names = vec![r.reference.to_string(), r.reference.familiar()];
    names.dedup();
    let descriptor = |name: String| {
        json!({
            "mediaType": r.media_type,
            "digest": r.manifest,
            "size": r.size,
            "annotations": {"org.opencontainers.image.ref.name": name},
        })
    };
    names.into_iter().map(descriptor).collect()
}

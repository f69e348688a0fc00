//! Image references: one file each, replaced by rename; and the OCI layout that is derived from them.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use serde_json::json;

use super::tmp::Temp;
use super::{crash, record};
use crate::error::{Error, Kind, Result};
use crate::fs;
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

/// The references of this store alone, but for damaged and newer ones.
pub fn list_own(paths: &Paths) -> Result<Vec<Ref>> {
    let mut refs = Vec::new();
    for name in fs::list(&paths.refs())? {
        refs.extend(record::read_if_usable::<Ref>(&paths.refs().join(name))?);
    }
    Ok(refs)
}

/// The references of this store alone, what those of a newer version name, and the errors of those that tell nothing.
pub fn list_for_gc(paths: &Paths) -> Result<(Vec<Ref>, Vec<Digest>, Vec<Error>)> {
    let (mut refs, mut named, mut unread) = (Vec::new(), Vec::new(), Vec::new());
    for path in fs::list(&paths.refs())?.iter().map(|name| paths.refs().join(name)) {
        match record::read::<Ref>(&path) {
            Ok(found) => refs.extend(found),
            Err(e) if record::is_newer::<Ref>(&path) => match record::digests(&path)? {
                none if none.is_empty() => unread.push(e),
                all => named.extend(all),
            },
            Err(e) => unread.push(e),
        }
    }
    Ok((refs, named, unread))
}

/// Whether a reference is here and damaged: it can be removed, and nothing else.
pub fn is_damaged(paths: &Paths, reference: &Reference) -> bool {
    record::is_damaged::<Ref>(&paths.reference(&reference.to_string()))
}

/// An error where a reference is here and newer: neither can be told what it points to, nor is it to be removed.
pub fn refuse_newer(paths: &Paths, reference: &Reference) -> Result<()> {
    let path = paths.reference(&reference.to_string());
    if record::is_newer::<Ref>(&path) { record::read::<Ref>(&path).map(drop) } else { Ok(()) }
}

/// Points a reference to an image, which is on the disk by now ([`super::leases::Lease::settle`]).
pub fn set(paths: &Paths, to: &Ref) -> Result<()> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    let mut all = list_own(paths)?;
    all.retain(|r| r.reference != to.reference);
    all.push(to.clone());
    // Before the reference is in view, or a full disk would fail the call after it has had its effect.
    let layout = stage_layout(paths, all)?;
    let path = paths.reference(&to.reference.to_string());
    // What the user named and waited for: it must survive a power failure.
    let staged = Temp::synced(paths, &record::encode(&path, to)?)?;
    crash::point("ref staged");
    staged.replace(&path)?;
    fs::sync_dir_of(&path)?;
    crash::point("ref committed");
    place_layout(paths, layout)
}

/// Removes a reference; false when it was not there.
pub fn remove(paths: &Paths, reference: &Reference) -> Result<bool> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    let removed = fs::remove_file(&paths.reference(&reference.to_string()))?;
    crash::point("ref removed");
    match write_layout(paths) {
        // Removing is the cure for a full disk. The collection that follows derives the layout anew.
        Err(e) if e.kind() == Kind::NoSpace => Ok(removed),
        done => done.map(|()| removed),
    }
}

/// Derives the OCI layout anew, as a crash may have left it behind the references.
pub fn refresh_layout(paths: &Paths) -> Result<()> {
    let _guard = lock::exclusive(&paths.refs_lock())?;
    write_layout(paths)
}

fn write_layout(paths: &Paths) -> Result<()> {
    place_layout(paths, stage_layout(paths, list_own(paths)?)?)
}

/// Writes `index.json` (OCI image-spec, image-layout.md) beside. Its readers write nothing here.
fn stage_layout(paths: &Paths, mut refs: Vec<Ref>) -> Result<Temp> {
    if !fs::exists(&paths.oci_layout())? {
        Temp::holding(paths, br#"{"imageLayoutVersion":"1.0.0"}"#)?.replace(&paths.oci_layout())?;
    }
    refs.sort_by(|a, b| a.reference.cmp(&b.reference));
    let manifests: Vec<_> = refs.iter().flat_map(descriptors).collect();
    let index = json!({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": manifests,
    });
    Temp::holding(paths, &record::encode(&paths.index(), &index)?)
}

fn place_layout(paths: &Paths, staged: Temp) -> Result<()> {
    staged.replace(&paths.index())?;
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

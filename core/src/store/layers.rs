//! Unpacked layers by form and diff id. Immutable once in place.

use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

use super::tmp::Temp;
use super::{crash, record, tmp};
use crate::error::Result;
use crate::fs;
use crate::id::{Digest, Name};
use crate::lock::{Lock, Mode, Wait};
use crate::paths::Paths;
use crate::sys;

/// `layer.json`: what is known of a layer beside its files.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Layer {
    /// See [`VERSION`].
    pub version: u32,
    /// Digest of the uncompressed tar.
    pub diff_id: Digest,
    /// Bytes of the uncompressed tar.
    pub bytes: u64,
    /// Bytes that the files take.
    pub size: u64,
    /// Nothing below this layer shows.
    #[serde(default)]
    pub opaque_root: bool,
    /// How deleted files are marked, in the words of the layer room.
    #[serde(default)]
    pub whiteouts: String,
}

/// The version to write.
pub const VERSION: u32 = record::VERSION;

const RECORD: &str = "layer.json";

/// A file beside it, once all of the layer is known to be on the disk.
const SETTLED: &str = "settled";

/// The record as it is written: with the boot that the layer was unpacked in.
#[derive(Serialize)]
struct Written<'a> {
    #[serde(flatten)]
    layer: &'a Layer,
    boot: String,
}

/// Of a record, what tells when it was written.
#[derive(Deserialize)]
struct When {
    #[serde(default)]
    boot: String,
}

/// The directory of an unpacked layer (its files are in `fs/`), here or in a store below.
pub fn find(paths: &Paths, form: &Name, diff_id: &Digest) -> Result<Option<PathBuf>> {
    for store in paths.all() {
        let dir = store.layer(form, diff_id);
        // The record went in first, and the directory came by rename: it is whole.
        if fs::exists(&dir)? {
            return Ok(Some(dir));
        }
    }
    Ok(None)
}

/// Whether a layer is whole on the disk, too: the machine may have gone down between its renaming into place and the
/// end of its pull, and then names are there whose data is not.
pub fn is_settled(dir: &Path) -> Result<bool> {
    if fs::exists(&dir.join(SETTLED))? {
        return Ok(true);
    }
    is_of_this_boot(dir)
}

fn is_of_this_boot(dir: &Path) -> Result<bool> {
    let when = record::read_if_usable::<When>(&dir.join(RECORD))?;
    Ok(when.is_some_and(|w| !w.boot.is_empty() && w.boot == sys::boot_id()))
}

/// Notes that a layer of this store is on the disk, now that all that was written was synced. Of one of an earlier
/// boot that tells nothing: what the machine lost when it went down was never there to be synced.
pub fn settle(paths: &Paths, form: &Name, diff_id: &Digest) -> Result<()> {
    let dir = paths.layer(form, diff_id);
    match !fs::exists(&dir.join(SETTLED))? && is_of_this_boot(&dir)? {
        true => fs::open_or_create(&dir.join(SETTLED)).map(drop),
        false => Ok(()),
    }
}

/// What is known of a layer, here or below.
pub fn read(paths: &Paths, form: &Name, diff_id: &Digest) -> Result<Option<Layer>> {
    match find(paths, form, diff_id)? {
        Some(dir) => record::read(&dir.join(RECORD)),
        None => Ok(None),
    }
}

/// Bytes that a layer's files take, in whatever form it is here; 0 when it is in none.
pub fn size(paths: &Paths, diff_id: &Digest) -> Result<u64> {
    for store in paths.all() {
        for form in forms(store)? {
            if let Some(layer) = record::read_if_usable::<Layer>(&store.layer(&form, diff_id).join(RECORD))? {
                return Ok(layer.size);
            }
        }
    }
    Ok(0)
}

/// The forms that there are layers of in this store.
pub fn forms(paths: &Paths) -> Result<Vec<Name>> {
    let names = fs::list(&paths.layers())?;
    Ok(names.iter().filter_map(|n| n.to_str()?.parse().ok()).collect())
}

/// The right to unpack a layer. Whoever waited for it looks again whether the layer is there now.
pub fn lock(paths: &Paths, form: &Name, diff_id: &Digest, wait: Wait<'_>) -> Result<Lock> {
    Lock::take(&paths.layer_lock(form, diff_id), Mode::Exclusive, wait)
}

/// A directory to unpack a layer in.
pub fn stage(paths: &Paths) -> Result<Temp> {
    let staged = Temp::dir(paths);
    crash::point("layer staged");
    staged
}

/// Puts an unpacked layer in its place and returns its directory. Another process having done so first
/// is success.
pub fn commit(paths: &Paths, staged: Temp, form: &Name, layer: &Layer) -> Result<PathBuf> {
    let to = seal(paths, &staged, form, layer)?;
    staged.place(&to)?;
    crash::point("layer committed");
    Ok(to)
}

/// Puts it in the place of one that is there, which is returned, to be deleted. The caller holds its lock, and the
/// collection lock, so that no container comes to stand on the old one meanwhile.
pub fn replace(paths: &Paths, staged: Temp, form: &Name, layer: &Layer) -> Result<Option<PathBuf>> {
    let to = seal(paths, &staged, form, layer)?;
    let old = tmp::trash(paths, &to)?;
    staged.place(&to)?;
    Ok(old)
}

/// Writes all that is still missing, and returns where it goes.
fn seal(paths: &Paths, staged: &Temp, form: &Name, layer: &Layer) -> Result<PathBuf> {
    let file = staged.path().join(RECORD);
    let written = Written { layer, boot: sys::boot_id() };
    fs::write_new(&file, &record::encode(&file, &written)?)?;
    fs::make_dirs(&paths.layers().join(form.as_str()))?;
    crash::point("layer written");
    Ok(paths.layer(form, &layer.diff_id))
}

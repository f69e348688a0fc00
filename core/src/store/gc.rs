//! Garbage collection: what no reference, container or lease reaches goes.
//!
//! Marking and taking out of sight happen under the collection lock, so that nothing can come into use
//! in between; the slow part, deleting, happens after it is let go.

use std::collections::HashSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::image::{self, Contents};
use super::{crash, layers, leases, refs, tmp};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Digest, Name};
use crate::lock::{self, Lock, Mode, Wait};
use crate::paths::Paths;

/// Deletes a tree; what subordinate ids own only the caller knows how to.
pub type Remover<'a> = &'a dyn Fn(&Path) -> Result<()>;

/// What containers use.
#[derive(Debug, Default)]
pub struct Used {
    /// Manifests' digests.
    pub manifests: Vec<Digest>,
    /// Diff ids.
    pub layers: Vec<Digest>,
    /// What records of a newer version name, of whatever kind.
    pub named: Vec<Digest>,
    /// Records that may tell of more, but can't be read.
    pub unread: Vec<Error>,
}

/// What a collection removed.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Swept {
    /// Digests of blobs and diff ids of layers.
    pub removed: Vec<String>,
    /// Bytes freed.
    pub bytes: u64,
    /// Records that could not be read, and why. What they use is not known, so no content was removed.
    pub unread: Vec<String>,
}

/// Commits hold the lock for milliseconds; who holds it longer has hung.
const PATIENCE: Duration = Duration::from_secs(60);

/// Removes what nothing uses. `used` tells what containers use, and is asked under the lock.
pub fn collect(paths: &Paths, used: &dyn Fn(&Paths) -> Result<Used>, remover: Remover<'_>) -> Result<Swept> {
    let Collected { mut swept, own, left, layout } = collect_all(paths, used, remover)?;
    layout?;
    swept.bytes += own? + left?;
    Ok(swept)
}

/// The same for who removes one thing: what others have left and can't be deleted is not what it failed at.
pub fn collect_own(paths: &Paths, used: &dyn Fn(&Paths) -> Result<Used>, remover: Remover<'_>) -> Result<Swept> {
    let Collected { mut swept, own, left, layout } = collect_all(paths, used, remover)?;
    match layout {
        // What was to be removed is, and the next collection makes up for it.
        Err(e) if e.kind() == Kind::NoSpace => {}
        done => done?,
    }
    swept.bytes += own? + left.unwrap_or(0);
    Ok(swept)
}

/// What came of a collection's parts.
struct Collected {
    swept: Swept,
    /// Bytes of what this call has found unused.
    own: Result<u64>,
    /// Those of what others have left.
    left: Result<u64>,
    layout: Result<()>,
}

fn collect_all(paths: &Paths, used: &dyn Fn(&Paths) -> Result<Used>, remover: Remover<'_>) -> Result<Collected> {
    let (swept, own, left) = sweep(paths, used)?;
    let (own, left) = (delete(&own, remover), delete(&left, remover));
    crash::point("gc tmp swept");
    let layout = refresh_layout(paths, &swept);
    Ok(Collected { swept, own, left, layout })
}

/// At the end: before anything is deleted, a full disk has no room for it.
fn refresh_layout(paths: &Paths, swept: &Swept) -> Result<()> {
    if swept.unread.is_empty() { refs::refresh_layout(paths) } else { Ok(()) }
}

/// Takes what nothing uses out of sight, and returns what is to be deleted: what this call has found unused, then the rest.
fn sweep(paths: &Paths, used: &dyn Fn(&Paths) -> Result<Used>) -> Result<(Swept, Vec<PathBuf>, Vec<PathBuf>)> {
    let mut swept = Swept::default();
    let guard = Lock::take(&paths.gc_lock(), Mode::Exclusive, Wait { timeout: Some(PATIENCE), cancel: None })?;
    let (live, unread) = mark(paths, used(paths)?)?;
    crash::point("gc marked");
    let mut own = HashSet::new();
    if unread.is_empty() {
        sweep_blobs(paths, &live, &mut swept)?;
        own = sweep_layers(paths, &live, &mut swept)?;
    }
    swept.unread = unread.iter().map(ToString::to_string).collect();
    sweep_names(paths)?;
    sweep_locks(paths)?;
    let (own, left) = leftovers(paths)?.into_iter().partition(|path| own.contains(path));
    drop(guard);
    Ok((swept, own, left))
}

/// Removes what killed processes left in `tmp/`. Cheap when that is nothing, so done in passing.
pub fn tidy(paths: &Paths, remover: Remover<'_>) -> Result<()> {
    if fs::list(&paths.tmp())?.is_empty() {
        return Ok(());
    }
    // When it is busy, someone else will be the next to pass.
    let Some(guard) = Lock::try_take(&paths.gc_lock(), Mode::Exclusive)? else { return Ok(()) };
    // Before the staged container that a claim belongs to: once `tmp/` is empty nobody comes here again.
    sweep_names(paths)?;
    let leftovers = leftovers(paths)?;
    drop(guard);
    delete(&leftovers, remover).map(drop)
}

/// Every digest in use, and the records that may know more. A digest is a digest: blobs and layers need no
/// separate sets.
fn mark(paths: &Paths, used: Used) -> Result<(HashSet<Digest>, Vec<Error>)> {
    let mut live = leases::held(paths)?;
    live.extend(used.layers);
    let mut manifests: HashSet<Digest> = used.manifests.into_iter().collect();
    let (refs, named, mut unread) = refs::list_for_gc(paths)?;
    unread.extend(used.unread);
    live.extend(reached(paths, [used.named, named].concat())?);
    for r in refs {
        live.extend(r.index);
        manifests.insert(r.manifest);
    }
    for manifest in manifests {
        mark_image(paths, manifest, &mut live)?;
    }
    Ok((live, unread))
}

/// All that these lead to: what a record of a newer version names may be for something that we don't know.
fn reached(paths: &Paths, named: Vec<Digest>) -> Result<HashSet<Digest>> {
    let (mut all, mut left) = (HashSet::new(), named);
    while let Some(digest) = left.pop() {
        if all.insert(digest.clone()) {
            left.extend(image::named_by(paths, &digest)?);
        }
    }
    Ok(all)
}

/// What a damaged image names can't be told, nor used: only that much is skipped. A failure to read stops all.
fn mark_image(paths: &Paths, manifest: Digest, live: &mut HashSet<Digest>) -> Result<()> {
    let contents = unless_damaged(Contents::read(paths, &manifest))?;
    live.insert(manifest);
    let Some(contents) = contents else { return Ok(()) };
    live.extend(contents.layers().cloned());
    live.insert(contents.config().clone());
    let config = unless_damaged(image::read_config(paths, contents.config()))?;
    if let Some(ids) = config.and_then(|c| image::diff_ids(contents.config(), &c).ok()) {
        live.extend(ids);
    }
    Ok(())
}

fn unless_damaged<T>(read: Result<T>) -> Result<Option<T>> {
    match read {
        Ok(value) => Ok(Some(value)),
        Err(e) if is_damage(&e) => Ok(None),
        Err(e) => Err(e),
    }
}

/// Whether an image can't be read because of what it holds, not because reading failed.
pub fn is_damage(e: &Error) -> bool {
    matches!(e.kind(), Kind::NotFound | Kind::Integrity | Kind::InvalidImage | Kind::LimitExceeded)
}

fn sweep_blobs(paths: &Paths, live: &HashSet<Digest>, swept: &mut Swept) -> Result<()> {
    for name in fs::list(&paths.blobs())? {
        let digest = digest_of(&name);
        if digest.as_ref().is_some_and(|d| live.contains(d)) {
            continue;
        }
        let path = paths.blobs().join(name);
        let bytes = fs::tree_size(&path);
        fs::remove_tree(&path)?;
        crash::point("gc blob removed");
        swept.bytes += bytes;
        swept.removed.extend(digest.map(String::from));
    }
    Ok(())
}

fn digest_of(name: &std::ffi::OsStr) -> Option<Digest> {
    format!("sha256:{}", name.to_str()?).parse().ok()
}

fn sweep_layers(paths: &Paths, live: &HashSet<Digest>, swept: &mut Swept) -> Result<HashSet<PathBuf>> {
    let mut trash = HashSet::new();
    for form in layers::forms(paths)? {
        let dir = paths.layers().join(form.as_str());
        for name in fs::list(&dir)? {
            let digest = digest_of(&name);
            if digest.as_ref().is_some_and(|d| live.contains(d)) {
                continue;
            }
            trash.extend(tmp::trash(paths, &dir.join(name))?);
            crash::point("gc layer unlinked");
            swept.removed.extend(digest.map(String::from));
        }
    }
    Ok(trash)
}

/// Claims of names whose container is gone. One that is being created shares the collection lock.
fn sweep_names(paths: &Paths) -> Result<()> {
    let _guard = lock::exclusive(&paths.names_lock())?;
    for name in fs::list(&paths.names())? {
        let Some(name) = name.to_str().and_then(|n| n.parse::<Name>().ok()) else { continue };
        let id = fs::read_link(&paths.name(&name))?.and_then(|id| id.parse::<ContainerId>().ok());
        let alive = match id {
            Some(id) => fs::exists(paths.container(&id).dir())?,
            None => false,
        };
        if !alive {
            fs::remove_file(&paths.name(&name))?;
        }
    }
    Ok(())
}

/// Lock files of layers that nobody holds. Whoever opened one and waits notices that it is gone.
fn sweep_locks(paths: &Paths) -> Result<()> {
    for name in fs::list(&paths.locks())? {
        if !name.to_str().is_some_and(|n| n.starts_with("layer-")) {
            continue;
        }
        let path = paths.locks().join(name);
        if let Some(_lock) = Lock::try_take(&path, Mode::Exclusive)? {
            fs::remove_file(&path)?;
        }
    }
    Ok(())
}

/// What is in `tmp/` and nobody works on. Told under the lock: a container in the making holds it
/// shared rather than locking its directory.
fn leftovers(paths: &Paths) -> Result<Vec<PathBuf>> {
    let mut idle = Vec::new();
    for name in fs::list(&paths.tmp())? {
        idle.extend(tmp::reclaim(paths, &paths.tmp().join(name))?);
    }
    Ok(idle)
}

fn delete(leftovers: &[PathBuf], remover: Remover<'_>) -> Result<u64> {
    let (mut freed, mut failure) = (0, Ok(()));
    for path in leftovers {
        let bytes = fs::tree_size(path);
        match remover(path) {
            Ok(()) => freed += bytes,
            Err(e) => failure = failure.and(Err(e)),
        }
    }
    failure.map(|()| freed)
}

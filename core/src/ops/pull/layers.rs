//! Layers in parallel, each in one pass: network, blob digest, inflate, diff id, files.

use std::collections::HashSet;
use std::panic::resume_unwind;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::thread::{self, ScopedJoinHandle};

use nix::sys::signal::SigSet;

use super::Pull;
use super::events::{self, Post};
use super::stream::Stream;
use crate::cancel::Cancel;
use crate::error::{Context, Error, Kind, Result};
use crate::fs;
use crate::id::{Digest, Name};
use crate::launch::{self, HelperSource, Move};
use crate::layer::{self, Compression, UnpackOptions, Unpacked, Whiteouts};
use crate::lock::{Lock, Mode, Wait};
use crate::paths::Paths;
use crate::plan::launch::IdMap;
use crate::progress::{Event, Progress};
use crate::registry::{Client, Descriptor};
use crate::spec::{IdRange, Ids};
use crate::store::tmp::Temp;
use crate::store::{blobs, containers, layers};

/// A layer to have: the blob that it comes as, and what must come out of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Job {
    /// The compressed blob.
    pub blob: Descriptor,
    /// Digest of the tar in it.
    pub diff_id: Digest,
}

/// What the workers of one pull share.
struct Team<'a> {
    pull: &'a Pull<'a>,
    client: Client,
    jobs: &'a [Job],
    next: AtomicUsize,
    abort: &'a Cancel,
    // What is left of the image's bounds.
    bytes: AtomicU64,
    entries: AtomicU64,
    made: AtomicBool,
}

/// The unpacked layer, here or in a store below, if it is known to be whole.
pub fn find(pull: &Pull<'_>, diff_id: &Digest) -> Result<Option<PathBuf>> {
    let Some(dir) = layers::find(&pull.paths, &pull.form, diff_id)? else { return Ok(None) };
    let below = dir != pull.paths.layer(&pull.form, diff_id);
    let reliable = below || layers::is_settled(&dir)? || pull.used()?.contains(diff_id);
    Ok(reliable.then_some(dir))
}

/// The layers that containers stand on. These can't be replaced, and must be taken for whole.
#[derive(Debug)]
pub struct Used {
    layers: HashSet<Digest>,
    // Some container may stand on any.
    unknown: bool,
}

impl Used {
    /// As it is now.
    pub fn read(paths: &Paths, form: &Name) -> Result<Used> {
        let (records, unread) = containers::records_in_use(paths)?;
        let layers = records.into_iter().filter(|r| r.form == *form).flat_map(|r| r.layers).collect();
        Ok(Used { layers, unknown: !unread.is_empty() })
    }

    fn contains(&self, diff_id: &Digest) -> bool {
        self.unknown || self.layers.contains(diff_id)
    }
}

/// Has all `jobs` done, and tells whether there was anything to do. The first error ends the others.
pub fn fetch(pull: &Pull<'_>, client: &Client, jobs: &[Job], progress: &mut dyn Progress) -> Result<bool> {
    let abort = Cancel::new();
    let (bytes, entries) = (AtomicU64::new(pull.unpack.max_bytes), AtomicU64::new(pull.unpack.max_entries));
    let client = client.under(&abort);
    let (next, made) = (AtomicUsize::new(0), AtomicBool::new(false));
    let team = Team { pull, client, jobs, next, abort: &abort, bytes, entries, made };
    let (post, mail) = events::channel()?;
    let ended = thread::scope(|scope| {
        // Also when `progress` panics: the scope waits for its threads.
        let _ends_workers = AbortOnDrop(&abort);
        let workers = (0..pull.downloads.min(jobs.len())).map(|_| {
            let (team, post) = (&team, post.clone());
            thread::Builder::new().name("sampan-pull".into()).spawn_scoped(scope, move || work(team, &post))
        });
        let workers: Vec<_> = workers.collect::<Result<_, _>>().context("start a thread to pull", "")?;
        drop(post);
        mail.deliver(progress, pull.cancel, &abort);
        Ok(workers.into_iter().map(joined).collect::<Vec<_>>())
    })?;
    pull.cancel.check("fetch layers", "")?;
    worst(ended)?;
    Ok(team.made.into_inner())
}

struct AbortOnDrop<'a>(&'a Cancel);

impl Drop for AbortOnDrop<'_> {
    fn drop(&mut self) {
        self.0.cancel();
    }
}

fn joined(worker: ScopedJoinHandle<'_, Result<()>>) -> Result<()> {
    worker.join().unwrap_or_else(|panic| resume_unwind(panic))
}

/// The error that ended the others, not one of those that it ended.
fn worst(ended: Vec<Result<()>>) -> Result<()> {
    let errors = ended.into_iter().filter_map(Result::err);
    errors.min_by_key(|e| e.kind() == Kind::Cancelled).map_or(Ok(()), Err)
}

fn work(team: &Team<'_>, post: &Post) -> Result<()> {
    // Signals are the host's, and so are the threads that it handles them on.
    let _ = SigSet::all().thread_block();
    let _ends_others_on_panic = EndOthers(team.abort);
    while let Some(job) = team.jobs.get(team.next.fetch_add(1, Ordering::Relaxed)) {
        team.abort.check("fetch layer", job.blob.digest.as_str())?;
        if let Err(e) = team.have(job, post) {
            team.abort.cancel();
            return Err(e);
        }
    }
    Ok(())
}

struct EndOthers<'a>(&'a Cancel);

impl Drop for EndOthers<'_> {
    fn drop(&mut self) {
        if thread::panicking() {
            self.0.cancel();
        }
    }
}

impl Team<'_> {
    /// Makes sure of one layer; whoever else makes it is waited for.
    fn have(&self, job: &Job, post: &Post) -> Result<()> {
        let (digest, total) = (job.blob.digest.to_string(), job.blob.size);
        if find(self.pull, &job.diff_id)?.is_some() {
            post.send(Event::LayerSkipped { digest, total });
            return Ok(());
        }
        let wait = Wait::cancellable(self.abort);
        let _lock = layers::lock(&self.pull.paths, &self.pull.form, &job.diff_id, wait)?;
        if find(self.pull, &job.diff_id)?.is_some() {
            post.send(Event::LayerSkipped { digest, total });
            return Ok(());
        }
        post.send(Event::LayerStarted { digest: digest.clone(), total });
        let unpacked = self.make(job, post)?;
        self.made.store(true, Ordering::Relaxed);
        post.send(Event::LayerDone { digest, unpacked });
        Ok(())
    }

    /// From a blob that is kept, if it is right: after a power failure, or on a bad disk, one of the right size may have
    /// wrong bytes. In a store below it stays, and the right one comes into ours.
    fn make(&self, job: &Job, post: &Post) -> Result<u64> {
        let (paths, digest) = (&self.pull.paths, &job.blob.digest);
        let stored = blobs::find_of_size(paths, digest, job.blob.size)?;
        match (self.try_make(job, stored.as_deref(), post), stored) {
            (Err(e), Some(stored)) if is_of_content(&e) && !blobs::is_sound(&stored, digest)? => {
                post.send(Event::LayerDamaged { digest: digest.to_string(), total: job.blob.size });
                blobs::remove_damaged(paths, digest)?;
                self.try_make(job, blobs::find_sound(paths, digest)?.as_deref(), post)
            }
            (made, _) => made,
        }
    }

    fn try_make(&self, job: &Job, stored: Option<&Path>, post: &Post) -> Result<u64> {
        let paths = &self.pull.paths;
        let staged = layers::stage(paths)?;
        let mut stream = Stream::open(paths, stored, &self.client, &job.blob, self.pull.keep_blobs, post)?;
        let unpacked = self.unpack(&mut stream, job, &staged);
        let unpacked = unpacked.map_err(|e| stream.explain(e))?;
        stream.drain()?;
        check(job, &unpacked)?;
        self.spend(&unpacked)?;
        self.give_owners(&staged, job)?;
        stream.commit()?;
        self.place(staged, &record(&unpacked))?;
        Ok(unpacked.bytes)
    }

    /// Puts a layer in its place. One that is there already was left by a pull that a power failure ended: it makes
    /// way, unless a container has come to stand on it meanwhile.
    fn place(&self, staged: Temp, layer: &layers::Layer) -> Result<()> {
        let (paths, form) = (&self.pull.paths, &self.pull.form);
        if !fs::exists(&paths.layer(form, &layer.diff_id))? {
            return layers::commit(paths, staged, form, layer).map(drop);
        }
        let guard = Lock::take(&paths.gc_lock(), Mode::Exclusive, Wait::cancellable(self.abort))?;
        if Used::read(paths, form)?.contains(&layer.diff_id) {
            return Ok(());
        }
        let old = layers::replace(paths, staged, form, layer)?;
        drop(guard);
        old.iter().for_each(|trash| self.remove(trash));
        Ok(())
    }

    /// What can't be removed now is left to a collection.
    fn remove(&self, trash: &Path) {
        if let (Err(_), Some((map, helper))) = (fs::remove_tree(trash), &self.pull.owners) {
            let _ = launch::remove_trees(Some(map), &[trash.display().to_string()], helper);
        }
    }

    fn unpack(&self, stream: &mut Stream<'_>, job: &Job, staged: &Temp) -> Result<Unpacked> {
        let into = fs::open_dir(staged.path())?;
        let options = UnpackOptions {
            max_bytes: self.bytes.load(Ordering::Relaxed),
            max_entries: self.entries.load(Ordering::Relaxed),
            ..self.pull.unpack
        };
        use std::os::fd::AsFd;
        layer::unpack(stream, compression(&job.blob.media_type), into.as_fd(), &options, self.abort)
            .map_err(|e| e.within("unpack layer", job.blob.digest.as_str()))
    }

    /// What a plain user's process could not do while it unpacked.
    fn give_owners(&self, staged: &Temp, job: &Job) -> Result<()> {
        let Some((map, helper)) = &self.pull.owners else { return Ok(()) };
        use std::os::fd::AsFd;
        let mut debts = layer::owed(fs::open_dir(staged.path())?.as_fd())?;
        let root = staged.path().join(layer::FILES).display().to_string();
        while let Some(owed) = debts.next()? {
            self.abort.check("give files their owners", job.blob.digest.as_str())?;
            if !owed.owners.is_empty() || !owed.capabilities.is_empty() {
                let owed = match &self.pull.kept {
                    Some(kept) => kept.aside(owed, job)?,
                    None => owed,
                };
                give(owed, &root, map, helper, job)?;
            }
        }
        let moves = self.pull.kept.as_ref().map_or([].as_slice(), |kept| &kept.moves);
        match moves.is_empty() {
            true => Ok(()),
            false => launch::apply_owners(Some(map), &root, &[], &[], moves, helper),
        }
    }

    /// Takes a layer off the image's bounds, which hold for all its layers together.
    fn spend(&self, unpacked: &Unpacked) -> Result<()> {
        let spent = |from: &AtomicU64, n: u64| {
            from.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |left| left.checked_sub(n)).is_ok()
        };
        if spent(&self.bytes, unpacked.bytes) && spent(&self.entries, unpacked.entries + unpacked.implied) {
            return Ok(());
        }
        Err(Error::new(Kind::LimitExceeded, "unpack layers", "")
            .because("the image unpacks to more than allowed")
            .hint("raise max_unpacked_bytes or max_entries if the image is trusted"))
    }
}

/// The ids of a user whose own stay as they are. What is unpacked is his, and so is what the image has for the ids that are his
/// in the container: until all is unpacked, the latter go to ids that no image has.
#[derive(Debug)]
pub struct Kept {
    own: (u32, u32),
    spare: (u32, u32),
    moves: [Move; 2],
}

impl Kept {
    /// Of a container's ids.
    pub fn of(ids: &Ids) -> Kept {
        let own = |map: &[IdRange]| map.iter().find(|range| range.inside == range.outside).map_or(0, |own| own.inside);
        let last = |map: &[IdRange]| map.iter().map(|range| range.inside + range.length - 1).max().unwrap_or(0);
        let (own, spare) = ((own(&ids.uids), own(&ids.gids)), (last(&ids.uids), last(&ids.gids)));
        Kept { own, spare, moves: [(own, (0, 0)), (spare, own)] }
    }

    fn aside(&self, mut owed: layer::Owed, job: &Job) -> Result<layer::Owed> {
        for owner in &mut owed.owners {
            if owner.uid == self.spare.0 || owner.gid == self.spare.1 {
                return Err(Error::new(Kind::Unsupported, "give files their owners", job.blob.digest.as_str())
                    .because(format!(
                        "the image has files of the ids {}:{}, the last of this user's",
                        owner.uid, owner.gid
                    ))
                    .hint("leave out keep-id, or give this user a larger range in /etc/subuid and /etc/subgid"));
            }
            owner.uid = if owner.uid == self.own.0 { self.spare.0 } else { owner.uid };
            owner.gid = if owner.gid == self.own.1 { self.spare.1 } else { owner.gid };
        }
        Ok(owed)
    }
}

/// Gives some files of a layer their owners.
fn give(owed: layer::Owed, root: &str, map: &IdMap, helper: &HelperSource, job: &Job) -> Result<()> {
    let owners: Vec<_> = owed.owners.into_iter().map(|o| (o.path, o.uid, o.gid)).collect();
    launch::apply_owners(Some(map), root, &owners, &owed.capabilities, &[], helper).map_err(|e| match e.errno() {
        Some(libc::EINVAL) => e.within("give files their owners", job.blob.digest.as_str()).hint(
            "most likely the image has owners beyond the range in /etc/subuid or /etc/subgid: give this user a larger one",
        ),
        _ => e.within("give files their owners", job.blob.digest.as_str()),
    })
}

/// By the media type's suffix: OCI's `+gzip` and Docker's `.gzip`.
fn compression(media_type: &str) -> Compression {
    match media_type {
        t if t.ends_with("gzip") => Compression::Gzip,
        t if t.ends_with("zstd") => Compression::Zstd,
        _ => Compression::None,
    }
}

/// Whether it was the bytes that were wrong.
fn is_of_content(e: &Error) -> bool {
    matches!(e.kind(), Kind::InvalidImage | Kind::Integrity | Kind::LimitExceeded)
}

fn check(job: &Job, unpacked: &Unpacked) -> Result<()> {
    match unpacked.diff_id == job.diff_id {
        true => Ok(()),
        false => Err(Error::new(Kind::Integrity, "unpack layer", job.blob.digest.as_str())
            .because(format!("its archive is {}, and {} by the image's config", unpacked.diff_id, job.diff_id))),
    }
}

fn record(unpacked: &Unpacked) -> layers::Layer {
    let whiteouts = match unpacked.whiteouts {
        Whiteouts::Absent => "absent",
        Whiteouts::Native => "native",
        Whiteouts::Attributes => "attributes",
        Whiteouts::RecordedOnly => "recorded",
    };
    layers::Layer {
        version: layers::VERSION,
        diff_id: unpacked.diff_id.clone(),
        bytes: unpacked.bytes,
        size: unpacked.size_on_disk,
        opaque_root: unpacked.opaque_root,
        whiteouts: whiteouts.into(),
    }
}

//! `pull`: resolve, then config and layers, then the reference.
//!
//! Nothing is in view before it is whole: blobs and layers come by rename, the reference comes last. A
//! lease keeps what is there already, and what has just come, from a collection in between.

mod events;
mod layers;
mod stream;
#[cfg(test)]
mod tests;

use std::sync::OnceLock;

use oci_spec::image::ImageConfiguration;

use self::layers::{Job, Kept, Used};
use super::{Context, images};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::{Digest, Name};
use crate::launch::HelperSource;
use crate::layer::{Form, UnpackOptions};
use crate::paths::Paths;
use crate::plan::launch::IdMap;
use crate::plan::userns;
use crate::progress::{Event, Progress};
use crate::reference::Reference;
use crate::registry::{Client, Platform, RegistryOptions, Resolved};
use crate::spec::Ids;
use crate::store::image::{MAX_CONFIG, MAX_MANIFEST};
use crate::store::leases::Lease;
use crate::store::refs::{self, Ref};
use crate::store::{blobs, image, layers as stored};

const DEFAULT_DOWNLOADS: u32 = 3;
const MOST_DOWNLOADS: u32 = 32;
const DEFAULT_MAX_BYTES: u64 = 64 << 30;
const DEFAULT_MAX_ENTRIES: u64 = 4_000_000;

/// Pulls an image into the store and returns what it is.
pub fn pull(
    context: &Context,
    reference: &str,
    options: &PullOptions,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<ImageInfo> {
    let reference: Reference = reference.parse()?;
    let pull = Pull::new(context, options, cancel)?;
    pull.run(&reference, progress).map_err(|e| advised(e).within("pull image", reference.familiar()))?;
    let name = reference.familiar();
    super::events::tell_image(context, &name, "pull", &name);
    images::inspect(context, &reference.to_string())
}

/// With a cure for what is wrong with the store's disk, or with the image.
fn advised(error: Error) -> Error {
    match error.errno() {
        None if error.hint_text().is_some() => error,
        None if error.kind() == Kind::Integrity => error.hint(
            "the registry's copy is damaged, or something in between changes it: pull again, and push the image again if it stays",
        ),
        None if error.kind() == Kind::InvalidImage => error.hint("the image was made so: build it anew and push it again"),
        Some(libc::ENOSPC | libc::EDQUOT) => {
            error.hint("make room on the store's disk, or remove images and containers that are not needed")
        }
        Some(libc::EROFS) => error.hint("give a root that can be written to; this one can be an additional store"),
        _ => error,
    }
}

fn owners_by(context: &Context) -> Result<Option<(IdMap, HelperSource)>> {
    let facts = context.facts()?;
    let map = facts.id_map.clone().filter(|_| facts.rung == Rung::SubIds);
    Ok(map.map(|map| (map, context.helper())))
}

/// Unpacks an image that is here once more, for a container whose files have other ids on the disk than those of its rung.
pub(super) fn unpack_for(
    context: &Context,
    options: &RunOptions,
    image: &ImageInfo,
    ids: &Ids,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let how = PullOptions { platform: options.platform.clone(), ..PullOptions::default() };
    let owners = Some((userns::id_map(ids, context.facts()?), context.helper()));
    let (form, kept) = (userns::form(ids).parse()?, Some(Kept::of(ids)));
    let pull = Pull { form, owners, kept, ..Pull::new(context, &how, cancel)? };
    pull.unpacked(context, options, image, progress)
}

/// Unpacks an image that is here once more, since it is not in the form of this rung.
pub(super) fn unpack_here(
    context: &Context,
    options: &RunOptions,
    image: &ImageInfo,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    let how = PullOptions { platform: options.platform.clone(), ..PullOptions::default() };
    Pull::new(context, &how, cancel)?.unpacked(context, options, image, progress)
}

/// Where an image comes from, should some of it not be here any more.
fn named(context: &Context, image: &ImageInfo) -> Result<Reference> {
    match images::inspect(context, &image.id)?.tags.first() {
        Some(tag) => tag.parse(),
        None => Err(Error::new(Kind::NotFound, "unpack image", &image.id)
            .because("it was removed, and only its containers still use it")
            .hint("pull it again")),
    }
}

/// How layers are unpacked for what [`Context::form`] names.
fn layer_form(form: &Name) -> Form {
    match form.as_str() {
        "root" => Form::Root,
        "nested" => Form::NestedRoot,
        _ => Form::User,
    }
}

/// One pull: where to, for whom, within which bounds.
struct Pull<'a> {
    paths: Paths,
    form: Name,
    unpack: UnpackOptions,
    // Files get the image's owners as ids of this map, where the user has more than one id.
    owners: Option<(IdMap, HelperSource)>,
    // Where they are not those of the rung.
    kept: Option<Kept>,
    keep_blobs: bool,
    downloads: usize,
    platform: Platform,
    registry: RegistryOptions,
    cancel: &'a Cancel,
    // What containers stand on, read once where it is needed at all: there may be many.
    used: OnceLock<Used>,
}

impl<'a> Pull<'a> {
    fn new(context: &Context, options: &PullOptions, cancel: &'a Cancel) -> Result<Pull<'a>> {
        let engine = &context.options;
        let form = context.form()?;
        let downloads = options.max_downloads.unwrap_or(DEFAULT_DOWNLOADS).clamp(1, MOST_DOWNLOADS);
        Ok(Pull {
            paths: context.paths.clone(),
            unpack: UnpackOptions {
                form: layer_form(&form),
                max_bytes: engine.max_unpacked_bytes.unwrap_or(DEFAULT_MAX_BYTES),
                max_entries: engine.max_entries.unwrap_or(DEFAULT_MAX_ENTRIES),
            },
            owners: owners_by(context)?,
            kept: None,
            form,
            keep_blobs: engine.keep_blobs.unwrap_or(true),
            downloads: downloads as usize,
            platform: platform(options.platform.as_deref())?,
            registry: RegistryOptions { insecure: engine.insecure_registries.clone(), ..RegistryOptions::default() },
            cancel,
            used: OnceLock::new(),
        })
    }

    fn used(&self) -> Result<&Used> {
        match self.used.get() {
            Some(used) => Ok(used),
            None => Used::read(&self.paths, &self.form).map(|used| self.used.get_or_init(|| used)),
        }
    }

    fn run(&self, reference: &Reference, progress: &mut dyn Progress) -> Result<Ref> {
        let mut lease = Lease::new(&self.paths)?;
        if let Some(have) = self.pinned(reference, &mut lease)? {
            return Ok(have);
        }
        let client = Client::new(reference, &self.registry, self.cancel)?;
        let resolved = client.resolve(&self.platform)?;
        progress.event(&resolved_event(reference, &resolved));
        lease.hold(&digests(&resolved))?;
        let (config, jobs) = self.config(&client, &resolved)?;
        lease.hold(&jobs.iter().map(|j| j.diff_id.clone()).collect::<Vec<_>>())?;
        let fetched = layers::fetch(self, &client, &jobs, progress)?;
        let restored = self.commit(&resolved, &config)?;
        let made = wanted(reference, &resolved);
        // Where the reference stays, its layers may be new nevertheless, as after a change of the id map.
        if fetched || restored || refs::get(&self.paths, reference)?.as_ref() != Some(&made) {
            lease.settle()?;
            jobs.iter().try_for_each(|job| stored::settle(&self.paths, &self.form, &job.diff_id))?;
            refs::set(&self.paths, &made)?;
        }
        progress.event(&done_event(reference, &made.manifest));
        Ok(made)
    }

    /// Has an image that is here unpacked.
    fn unpacked(
        &self,
        context: &Context,
        options: &RunOptions,
        image: &ImageInfo,
        progress: &mut dyn Progress,
    ) -> Result<()> {
        let manifest = image.digest.parse()?;
        let have =
            image.layers.iter().map(|id| layers::find(self, &id.parse()?)).collect::<Result<Option<Vec<_>>>>()?;
        match have {
            Some(_) => Ok(()),
            None => self
                .anew(&named(context, image)?, manifest, progress)
                .map_err(|e| advised(e).within("unpack image", &options.image)),
        }
    }

    /// An image that is here, by its manifest.
    fn anew(&self, reference: &Reference, manifest: Digest, progress: &mut dyn Progress) -> Result<()> {
        let mut lease = Lease::new(&self.paths)?;
        lease.hold(std::slice::from_ref(&manifest))?;
        let resolved = Resolved::again(manifest.clone(), blobs::read(&self.paths, &manifest, MAX_MANIFEST)?)?;
        lease.hold(&digests(&resolved))?;
        let client = Client::new(reference, &self.registry, self.cancel)?;
        let (_, jobs) = self.config(&client, &resolved)?;
        lease.hold(&jobs.iter().map(|j| j.diff_id.clone()).collect::<Vec<_>>())?;
        layers::fetch(self, &client, &jobs, progress)?;
        lease.settle()?;
        jobs.iter().try_for_each(|job| stored::settle(&self.paths, &self.form, &job.diff_id))
    }

    /// The image that a digest names, when all of it is here: then nobody needs to be asked.
    fn pinned(&self, reference: &Reference, lease: &mut Lease) -> Result<Option<Ref>> {
        let Some(found) = reference.digest().and(refs::get(&self.paths, reference)?) else { return Ok(None) };
        lease.hold(&[found.manifest.clone(), found.id.clone()])?;
        let Ok(image) = image::load(&self.paths, &found.manifest) else { return Ok(None) };
        lease.hold(&image.layers)?;
        for diff_id in &image.layers {
            if layers::find(self, diff_id)?.is_none() {
                return Ok(None);
            }
        }
        Ok(Some(found))
    }

    /// The config's bytes, and what is to be unpacked by it.
    fn config(&self, client: &Client, resolved: &Resolved) -> Result<(Vec<u8>, Vec<Job>)> {
        let blob = &resolved.image.config;
        // One that is missing or damaged is fetched.
        let bytes = blobs::read(&self.paths, &blob.digest, MAX_CONFIG).or_else(|_| client.read(blob, MAX_CONFIG))?;
        let config: ImageConfiguration = serde_json::from_slice(&bytes)
            .map_err(|e| refuse(Kind::InvalidImage, format!("its config is malformed ({e})")))?;
        if resolved.index.is_none() {
            self.check_platform(&config)?;
        }
        let diff_ids = image::diff_ids(&blob.digest, &config)?;
        Ok((bytes, jobs(resolved, diff_ids)?))
    }

    /// An index was asked for the platform; a lone manifest tells only here what it is for.
    fn check_platform(&self, config: &ImageConfiguration) -> Result<()> {
        let (os, architecture) = (config.os().to_string(), config.architecture().to_string());
        let made_for = Platform::new(&os, &architecture, None);
        let unknown = os.is_empty() || architecture.is_empty();
        match unknown || made_for.same_machine(&self.platform) {
            true => Ok(()),
            false => Err(refuse(Kind::Unsupported, format!("the image is for {made_for}, not for {}", self.platform))
                .hint(format!("ask for platform {os}/{architecture} to pull it nevertheless"))),
        }
    }

    /// Stores what is small, and tells whether any of it was missing or damaged.
    fn commit(&self, resolved: &Resolved, config: &[u8]) -> Result<bool> {
        let index = resolved.index.as_ref().map(|i| i.raw.as_slice());
        let mut restored = false;
        for bytes in [Some(config), index, Some(&resolved.raw)].into_iter().flatten() {
            restored |= blobs::restore(&self.paths, bytes)?;
        }
        Ok(restored)
    }
}

/// What the reference is to say.
fn wanted(reference: &Reference, resolved: &Resolved) -> Ref {
    Ref {
        version: refs::VERSION,
        reference: reference.clone(),
        manifest: resolved.digest.clone(),
        media_type: resolved.image.media_type.clone(),
        size: resolved.raw.len() as u64,
        id: resolved.image.config.digest.clone(),
        index: resolved.index.as_ref().map(|i| i.digest.clone()),
    }
}

fn refuse(kind: Kind, why: impl Into<String>) -> Error {
    Error::new(kind, "read image", "").because(why)
}

/// The platform asked for; this machine's when none is.
pub(super) fn platform(asked: Option<&str>) -> Result<Platform> {
    let platform = asked.map_or_else(|| Ok(Platform::host()), str::parse::<Platform>)?;
    match platform.os.as_str() {
        "linux" => Ok(platform),
        other => Err(Error::new(Kind::Unsupported, "pull image for", platform.to_string())
            .because(format!("{other} images can't be unpacked here"))),
    }
}

fn digests(resolved: &Resolved) -> Vec<Digest> {
    let image = &resolved.image;
    let mut all = vec![resolved.digest.clone(), image.config.digest.clone()];
    all.extend(resolved.index.as_ref().map(|i| i.digest.clone()));
    all.extend(image.layers.iter().map(|l| l.digest.clone()));
    all
}

/// Each layer once: images that have one twice are legal.
fn jobs(resolved: &Resolved, diff_ids: Vec<Digest>) -> Result<Vec<Job>> {
    let layers = &resolved.image.layers;
    if layers.len() != diff_ids.len() {
        let why = format!("its manifest has {} layers and its config {}", layers.len(), diff_ids.len());
        return Err(refuse(Kind::InvalidImage, why));
    }
    let mut jobs: Vec<Job> = Vec::with_capacity(layers.len());
    for (blob, diff_id) in layers.iter().zip(diff_ids) {
        let job = Job { blob: blob.clone(), diff_id };
        if !jobs.contains(&job) {
            jobs.push(job);
        }
    }
    Ok(jobs)
}

fn resolved_event(reference: &Reference, resolved: &Resolved) -> Event {
    Event::Resolved {
        reference: reference.to_string(),
        digest: resolved.digest.to_string(),
        layers: resolved.image.layers.len() as u64,
        bytes: resolved.bytes(),
    }
}

fn done_event(reference: &Reference, manifest: &Digest) -> Event {
    Event::Done { reference: reference.to_string(), digest: manifest.to_string() }
}

#[cfg(test)]
mod cures {
    use super::*;

    #[test]
    fn a_damaged_image_has_a_cure_and_one_that_is_there_stays() {
        let hint = |kind| {
            let error = advised(Error::new(kind, "pull image", "x").because("y"));
            error.hint_text().map(str::to_owned).unwrap_or_default()
        };
        assert!(hint(Kind::Integrity).contains("pull again"));
        assert!(hint(Kind::InvalidImage).contains("build it anew"));
        assert_eq!(hint(Kind::Network), "");
        let own = advised(Error::new(Kind::InvalidImage, "pull image", "x").hint("own"));
        assert_eq!(own.hint_text(), Some("own"));
    }
}

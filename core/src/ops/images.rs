//! `images`, `inspect`, `tag`, `rmi`, gc.

use std::collections::BTreeMap;

use super::{Context, events, remove};
use crate::api::*;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;
use crate::paths::Paths;
use crate::reference::Reference;
use crate::store::containers::{self, Core};
use crate::store::events as stored;
use crate::store::gc;
use crate::store::image::{self, Image};
use crate::store::layers;
use crate::store::liveness;
use crate::store::refs::{self, Ref};

/// An image and what points to it.
#[derive(Clone, Debug)]
struct Known {
    id: Digest,
    manifest: Digest,
    refs: Vec<Ref>,
}

/// The images in the store, newest first. One that only containers use has no tags.
pub fn list(context: &Context) -> Result<Vec<ImageInfo>> {
    let all = known(&context.paths)?;
    let mut infos = all.iter().map(|known| listed(context, known)).collect::<Result<Vec<_>>>()?;
    let made = |info: &ImageInfo| info.created.as_deref().and_then(|c| c.parse::<jiff::Timestamp>().ok());
    infos.sort_by_cached_key(|info| std::cmp::Reverse(made(info)));
    Ok(infos)
}

/// A damaged image is listed too, by what is known of it: else it could not be found and removed.
fn listed(context: &Context, known: &Known) -> Result<ImageInfo> {
    match image::load(&context.paths, &known.manifest) {
        Ok(image) => full_info(context, &image, &known.refs),
        Err(e) if gc::is_damage(&e) => Ok(ImageInfo {
            id: known.id.to_string(),
            digest: known.manifest.to_string(),
            tags: tags(&known.refs),
            ..ImageInfo::default()
        }),
        Err(e) => Err(e),
    }
}

/// All there is to know about one image.
pub fn inspect(context: &Context, text: &str) -> Result<ImageInfo> {
    let found = find_known(&context.paths, text)?;
    full_info(context, &image::load(&context.paths, &found.known.manifest)?, &found.known.refs)
}

/// What a container needs to know of its image. Cheap: neither other tags nor sizes are looked up.
pub(super) fn for_container(context: &Context, text: &str) -> Result<ImageInfo> {
    let (image, unpacked) = at_hand(context, text)?;
    unpacked.map(|()| image)
}

/// The same, and whether it is unpacked as it is needed here.
pub(super) fn at_hand(context: &Context, text: &str) -> Result<(ImageInfo, Result<()>)> {
    let direct = parse(text).map(|r| refs::get(&context.paths, &r)).transpose()?.flatten();
    let manifest = match direct {
        Some(found) if !is_full_id(text) => found.manifest,
        _ => find_known(&context.paths, text)?.known.manifest,
    };
    let image = image::load(&context.paths, &manifest)?;
    Ok((info(&image), check_unpacked(context, text, &image)))
}

/// A store whose user has got another id map meanwhile has its images' layers in another form.
fn check_unpacked(context: &Context, text: &str, image: &Image) -> Result<()> {
    let form = context.form()?;
    for layer in &image.layers {
        if layers::find(&context.paths, &form, layer)?.is_none() {
            return Err(Error::new(Kind::NotFound, "find image", text)
                .because(format!("it is not unpacked in the form {:?} that is needed here", form.as_str()))
                .hint("pull it again"));
        }
    }
    Ok(())
}

/// Gives an image a further reference; one that has the reference loses it.
pub fn tag(context: &Context, text: &str, reference: &str) -> Result<()> {
    let to: Reference = reference.parse()?;
    if to.digest().is_some() {
        return Err(Error::new(Kind::InvalidArgument, "tag image", reference)
            .because("a tag can't hold a digest")
            .hint("give NAME[:TAG]"));
    }
    let paths = &context.paths;
    // So that it is not collected between the look and the tag.
    let _guard = crate::lock::shared(&paths.gc_lock())?;
    let known = find_known(paths, text)?.known;
    let like = known.refs.into_iter().next().ok_or_else(|| {
        Error::new(Kind::NotFound, "tag image", text).because("it was removed, and only its containers still use it")
    })?;
    let name = to.familiar();
    refs::set(paths, &Ref { reference: to, ..like })?;
    events::tell_image(context, known.id.as_str(), "tag", &name);
    Ok(())
}

/// Removes a tag, and the image with its last tag (Docker's rules).
pub fn remove(context: &Context, text: &str, options: &RemoveImageOptions) -> Result<Vec<RemovedImage>> {
    if let Some(damaged) = parse(text).filter(|r| refs::is_damaged(&context.paths, r)) {
        return untag(context, "", &[damaged]);
    }
    let Found { known, by } = find_known(&context.paths, text)?;
    let drop = match by {
        By::Reference(reference) => vec![reference],
        By::Id => known.refs.iter().map(|r| r.reference.clone()).collect(),
    };
    if drop.len() > 1 && !options.force {
        return Err(Error::new(Kind::Conflict, "remove image", text)
            .because(format!("several tags point to it: {}", tags(&known.refs).join(", ")))
            .hint("remove the tags one by one, or force"));
    }
    let last = drop.len() == known.refs.len();
    let users = users(&context.paths, &known.id)?;
    if last {
        check_unused(&context.paths, text, &users, options.force)?;
    }
    let mut removed = untag(context, known.id.as_str(), &drop)?;
    if last && users.is_empty() && collect(context, gc::collect_own)?.unread.is_empty() {
        removed.push(RemovedImage { deleted: Some(known.id.to_string()), ..RemovedImage::default() });
        events::tell_image(context, known.id.as_str(), "delete", text);
    }
    Ok(removed)
}

fn untag(context: &Context, id: &str, references: &[Reference]) -> Result<Vec<RemovedImage>> {
    let (paths, mut removed) = (&context.paths, Vec::new());
    for reference in references {
        if refs::remove(paths, reference)? {
            events::tell_image(context, id, "untag", &reference.familiar());
            removed.push(RemovedImage { untagged: Some(reference.to_string()), ..RemovedImage::default() });
        } else if refs::get(paths, reference)?.is_some() {
            return Err(Error::new(Kind::Conflict, "remove image", reference.to_string())
                .because("it belongs to a read-only store below this one"));
        }
    }
    Ok(removed)
}

fn check_unused(paths: &Paths, text: &str, users: &[Core], force: bool) -> Result<()> {
    let is_held = |user: &&Core| liveness::is_held(&paths.container(&user.id).lock()).unwrap_or(true);
    let running = users.iter().find(is_held);
    let conflict = |by: &Core, how: &'static str, hint: &'static str| {
        Err(Error::new(Kind::Conflict, "remove image", text)
            .because(format!("container {} ({}) {how}", by.name, by.id.short()))
            .hint(hint))
    };
    match (running, users.first()) {
        (Some(by), _) => conflict(by, "runs from it", "stop and remove the container first"),
        (None, Some(by)) if !force => conflict(by, "was made from it", "remove the container first, or force"),
        _ => Ok(()),
    }
}

/// Removes blobs, layers and leftovers that no image, container or lease uses.
pub fn gc(context: &Context) -> Result<PruneReport> {
    let swept = collect(context, gc::collect)?;
    let _ = stored::forget_old(&context.paths);
    Ok(PruneReport { removed: swept.removed, bytes: swept.bytes, unread: swept.unread })
}

type Collect = fn(&Paths, &dyn Fn(&Paths) -> Result<gc::Used>, gc::Remover<'_>) -> Result<gc::Swept>;

fn collect(context: &Context, how: Collect) -> Result<gc::Swept> {
    how(&context.paths, &containers::held, &|path| remove::remove_tree(context, path))
}

/// The containers that were made from an image.
fn users(paths: &Paths, id: &Digest) -> Result<Vec<Core>> {
    Ok(containers::cores(paths)?.into_iter().filter(|core| core.image_id == *id).collect())
}

/// Every image that a tag or a container keeps.
fn known(paths: &Paths) -> Result<Vec<Known>> {
    let mut all = BTreeMap::new();
    for r in refs::list(paths)? {
        let new = || Known { id: r.id.clone(), manifest: r.manifest.clone(), refs: Vec::new() };
        all.entry(r.id.clone()).or_insert_with(new).refs.push(r);
    }
    for core in containers::cores(paths)? {
        let new = || Known { id: core.image_id.clone(), manifest: core.manifest, refs: Vec::new() };
        all.entry(core.image_id.clone()).or_insert_with(new);
    }
    Ok(all.into_values().collect())
}

/// How an image was named.
#[derive(Clone, Debug, PartialEq, Eq)]
enum By {
    /// By this tag.
    Reference(Reference),
    /// By id, prefix of an id, or digest.
    Id,
}

struct Found {
    known: Known,
    by: By,
}

/// An image by full id, reference, `name@digest`, or prefix of an id, in this order: Docker's.
fn find_known(paths: &Paths, text: &str) -> Result<Found> {
    let reference = parse(text);
    reference.as_ref().map_or(Ok(()), |r| refs::refuse_newer(paths, r))?;
    let all = known(paths)?;
    let by_id = |known: &Known| Found { known: known.clone(), by: By::Id };
    if is_full_id(text) {
        return all.iter().find(|k| k.id.hex() == bare(text)).map(by_id).ok_or_else(|| unknown(text));
    }
    for known in &all {
        if let Some(r) = known.refs.iter().find(|r| Some(&r.reference) == reference.as_ref()) {
            return Ok(Found { known: known.clone(), by: By::Reference(r.reference.clone()) });
        }
    }
    if let Some(found) = all.iter().find(|k| reference.as_ref().is_some_and(|r| has_digest(k, r))) {
        return Ok(by_id(found));
    }
    let mut matches = all.iter().filter(|k| is_prefix(bare(text)) && k.id.hex().starts_with(bare(text)));
    match (matches.next(), matches.next()) {
        (Some(known), None) => Ok(by_id(known)),
        (Some(_), Some(_)) => Err(Error::new(Kind::InvalidArgument, "find image", text)
            .because("several ids begin with that")
            .hint("give more digits")),
        // A text that can't name any image is malformed rather than missing.
        _ => text.parse::<Reference>().map_or_else(Err, |_| Err(unknown(text))),
    }
}

fn unknown(text: &str) -> Error {
    Error::new(Kind::NotFound, "find image", text)
        .because("there is no such image in the store")
        .hint("check its name, or pull it first")
}

fn parse(text: &str) -> Option<Reference> {
    text.parse().ok()
}

fn bare(text: &str) -> &str {
    text.strip_prefix("sha256:").unwrap_or(text)
}

fn is_prefix(hex: &str) -> bool {
    !hex.is_empty() && hex.len() <= 64 && hex.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn is_full_id(text: &str) -> bool {
    bare(text).len() == 64 && is_prefix(bare(text))
}

/// `name@digest` means an image of that name, by its manifest or by the index it was chosen from.
fn has_digest(known: &Known, wanted: &Reference) -> bool {
    let Some(digest) = wanted.digest() else { return false };
    let same = |r: &Ref| r.manifest == *digest || r.index.as_ref() == Some(digest);
    known.refs.iter().any(|r| r.reference.name() == wanted.name() && same(r))
}

fn tags(refs: &[Ref]) -> Vec<String> {
    refs.iter().map(|r| r.reference.to_string()).collect()
}

fn full_info(context: &Context, image: &Image, refs: &[Ref]) -> Result<ImageInfo> {
    let mut size = 0;
    for layer in &image.layers {
        size += layers::size(&context.paths, layer)?;
    }
    Ok(ImageInfo { tags: tags(refs), size, ..info(image) })
}

/// What manifest and config tell.
fn info(image: &Image) -> ImageInfo {
    let config = image.config.config().clone().unwrap_or_default();
    ImageInfo {
        id: image.id.to_string(),
        digest: image.manifest.to_string(),
        created: image.config.created().clone(),
        os: image.config.os().to_string(),
        architecture: image.config.architecture().to_string(),
        variant: image.config.variant().clone().filter(|v| !v.is_empty()),
        layers: image.layers.iter().map(Digest::to_string).collect(),
        env: config.env().clone().unwrap_or_default(),
        entrypoint: config.entrypoint().clone().unwrap_or_default(),
        command: config.cmd().clone().unwrap_or_default(),
        workdir: config.working_dir().clone().unwrap_or_default(),
        user: config.user().clone().unwrap_or_default(),
        labels: config.labels().clone().unwrap_or_default().into_iter().collect(),
        exposed_ports: config.exposed_ports().clone().unwrap_or_default(),
        volumes: config.volumes().clone().unwrap_or_default(),
        stop_signal: config.stop_signal().clone().filter(|s| !s.is_empty()),
        healthcheck: image.extension.healthcheck.clone().map(healthcheck),
        shell: image.extension.shell.clone().unwrap_or_default(),
        ..ImageInfo::default()
    }
}

/// In seconds; what is negative is as good as absent.
fn healthcheck(check: image::Healthcheck) -> Healthcheck {
    let seconds = |ns: i64| ns.max(0) as f64 / 1e9;
    Healthcheck {
        test: check.test.unwrap_or_default(),
        interval: seconds(check.interval),
        timeout: seconds(check.timeout),
        start_period: seconds(check.start_period),
        start_interval: seconds(check.start_interval),
        retries: u32::try_from(check.retries).unwrap_or(0),
    }
}

#[cfg(test)]
mod tests;

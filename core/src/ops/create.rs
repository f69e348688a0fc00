//! `create`: find or pull the image, resolve the options against it, write the record.

use std::path::Path;

use super::start::Begun;
use super::{Context, disks, events, images, leftovers, list, pull, scoped, tree, userns};
use crate::api::*;
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::{ContainerId, Digest, Name};
use crate::launch::Early;
use crate::plan::facts::Facts;
use crate::plan::{self, borrowed, cgroup, identity, labels, resolve, security, sharing};
use crate::progress::Progress;
use crate::registry::Platform;
use crate::spec::{Spec, SpecMount};
use crate::store::containers::{self, Record};
use crate::store::volumes;
use crate::{fs, lock, sys};

/// Creates a container.
pub fn create(
    context: &Context,
    options: &RunOptions,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<ContainerId> {
    let image = gained(context, options, at_hand(context, options)?, progress, cancel)?;
    userns::unpack(context, options, &image, progress, cancel)?;
    let make = |record: &Record| containers::create(&context.paths, record);
    create_of(context, options, &image, |_| {}, make, cancel).map(|(record, ())| record.id)
}

/// Creates a container that the caller starts at once, with a last word on the spec; its lock is held, and its shim is
/// on its way.
pub(super) fn create_held(
    context: &Context,
    options: &RunOptions,
    adjust: impl FnOnce(&mut Spec),
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<(Record, Begun)> {
    let new_net = sharing::namespaces(options).is_ok_and(|shared| shared.has_own_net());
    let begin = || Early::begin(context.helper(), new_net);
    let early = begin();
    let (image, shim) = match at_hand(context, options)? {
        Found::Ready(image) => (image, early),
        // What takes long is not waited for with a process at hand.
        found => {
            drop(early);
            (gained(context, options, found, progress, cancel)?, begin())
        }
    };
    userns::unpack(context, options, &image, progress, cancel)?;
    // Given up together with the lock, of which a shim that is just starting may have a copy.
    let make = |record: &Record| containers::create_held(&context.paths, record).map(|lock| Begun { lock, shim });
    create_of(context, options, &image, adjust, make, cancel)
}

fn create_of<T>(
    context: &Context,
    options: &RunOptions,
    image: &ImageInfo,
    adjust: impl FnOnce(&mut Spec),
    make: impl FnOnce(&Record) -> Result<T>,
    cancel: &Cancel,
) -> Result<(Record, T)> {
    // An image that is at hand was not waited for, so nothing has asked yet.
    cancel.check("create container", &options.image)?;
    let mut record = record(context, options, image)?;
    adjust(&mut record.spec);
    leftovers::see_off(context, &record.name, cancel)?;
    let claimed = userns::claim(context, &mut record, cancel)?;
    // Until the record names the layers, nothing else keeps garbage collection from them.
    let _guard = lock::shared(&context.paths.gc_lock())?;
    let made = make(&record)?;
    claimed.keep();
    // After the record, or a kill in between would leave volumes that nobody knows of; a start makes up for it.
    let prepared = make_volumes(context, &record)
        .and_then(|()| tree::prepare(context, &record, cancel))
        .and_then(|()| userns::give_root(context, &record));
    if let Err(error) = prepared {
        drop(made);
        let _ = super::remove::discard(context, &record);
        return Err(error);
    }
    events::tell(context, &record, "create", &[]);
    Ok((record, made))
}

/// The record of a container that is not written yet.
pub(super) fn record(context: &Context, options: &RunOptions, image: &ImageInfo) -> Result<Record> {
    let id = ContainerId::from_random(random()?);
    let facts = context.facts()?;
    let options = with_profiles(options)?;
    let mut spec = resolve::resolve(&options, image, &id, &others(context, &options)?)?;
    if facts.rung == Rung::Chroot {
        plan::chroot::settle(&mut spec, &options)?;
    }
    spec.no_new_privs |= context.options.no_new_privileges;
    spec.limits.manager = context.options.cgroup_manager.unwrap_or_default();
    identity::share_name(&mut spec, &options, &facts.hostname);
    super::joined::name(context, &mut spec, options.hostname.is_some())?;
    userns::choose(context, &options, &mut spec)?;
    devices(&spec)?;
    // What is no profile is told now, not at the start.
    security::filter(&spec, facts)?;
    security::apparmor(&spec, facts)?;
    labels::of_container(&spec, facts)?;
    let here = &Facts { cgroups: scoped::cgroups(context, &id, &spec.limits)?, ..facts.clone() };
    let mut groups = cgroup::plan(&spec.limits, &id, &*disks::numbered(&here.cgroups, &spec.limits)?)?;
    plan::devices::hold(&mut groups, &spec, &[], &id, here)?;
    Ok(Record {
        version: containers::version(&spec),
        name: name(&options, &id)?,
        created_at: jiff::Timestamp::now().to_string(),
        image: options.image.clone(),
        image_id: image.id.parse()?,
        manifest: image.digest.parse()?,
        layers: image.layers.iter().map(|l| l.parse()).collect::<Result<Vec<Digest>>>()?,
        form: userns::form(context, &spec)?,
        rung: facts.rung,
        unenforced: groups.unenforced,
        options: RunOptions { stdin: None, ..options },
        spec,
        id,
    })
}

/// The mounts of the containers that it has volumes from.
fn others(context: &Context, options: &RunOptions) -> Result<Vec<SpecMount>> {
    let of = |text: &String| {
        let (name, read_only) = borrowed::named(text)?;
        let found = list::find(context, name).and_then(|id| list::load(context, &id));
        let record = found.map_err(|e| e.within("take volumes from", name))?.record;
        Ok(borrowed::of(&record.spec, &record.id, read_only))
    };
    options.volumes_from.iter().map(of).collect::<Result<Vec<_>>>().map(|all| all.concat())
}

/// A device is a node or a directory of nodes; anything else would be given away as a file.
fn devices(spec: &Spec) -> Result<()> {
    for (host, _) in &spec.devices {
        if fs::is_regular(Path::new(host)) {
            return Err(Error::new(Kind::InvalidArgument, "read option", "devices")
                .because(format!("{host:?} is a file and no device"))
                .hint("mount it as a bind mount"));
        }
    }
    Ok(())
}

/// The options with the texts of seccomp profiles in place of their paths.
fn with_profiles(options: &RunOptions) -> Result<RunOptions> {
    const MOST: u64 = 1 << 20;
    let mut options = options.clone();
    for option in &mut options.security_opt {
        if let Some(path) = security::profile_path(option) {
            let bytes = fs::read_following(Path::new(path), MOST)
                .map_err(|e| e.hint("use seccomp=FILE or seccomp=unconfined"))?;
            *option = format!("seccomp={}", String::from_utf8_lossy(&bytes));
        }
    }
    Ok(options)
}

fn random() -> Result<[u8; 32]> {
    sys::random_bytes().map_err(|e| Error::errno_in(e as i32, "make id", ""))
}

/// Docker's names are an adjective and a person; ours must only be easy to say and unlikely to meet.
fn name(options: &RunOptions, id: &ContainerId) -> Result<Name> {
    const FIRST: [&str; 16] = [
        "amber", "brisk", "calm", "deft", "eager", "fair", "gentle", "hardy", "keen", "lucid", "merry", "noble",
        "proud", "quiet", "swift", "warm",
    ];
    const SECOND: [&str; 16] = [
        "anchor", "bow", "cable", "deck", "eddy", "ferry", "gull", "harbour", "island", "jetty", "keel", "lantern",
        "mast", "oar", "reef", "tide",
    ];
    if let Some(name) = options.name.as_deref().filter(|n| !n.is_empty()) {
        return name.parse();
    }
    let digit = |at: usize| usize::from_str_radix(&id.as_str()[at..=at], 16).unwrap_or(0);
    format!("{}_{}_{}", FIRST[digit(0)], SECOND[digit(1)], &id.as_str()[2..8]).parse()
}

/// An image that a container is to be made from.
enum Found {
    Ready(ImageInfo),
    /// It is here, but not unpacked in the form of this rung.
    Packed(ImageInfo),
    /// To be pulled.
    Missing,
}

/// The image in the store; nothing is waited for.
fn at_hand(context: &Context, options: &RunOptions) -> Result<Found> {
    if options.image.is_empty() {
        return Err(Error::new(Kind::InvalidArgument, "read option", "image").because("no image was named"));
    }
    if options.pull == PullPolicy::Always {
        return Ok(Found::Missing);
    }
    let may_pull = options.pull == PullPolicy::Missing;
    let found = images::at_hand(context, &options.image)
        .and_then(|(image, unpacked)| ready(of_platform(image, options)?, unpacked, may_pull));
    match found {
        Err(e) if e.kind() == Kind::NotFound && may_pull => Ok(Found::Missing),
        found => found,
    }
}

fn ready(image: ImageInfo, unpacked: Result<()>, may_pull: bool) -> Result<Found> {
    match unpacked {
        // As after a change of the user's ids: what it is unpacked from is here.
        Err(e) if may_pull && e.kind() == Kind::NotFound => Ok(Found::Packed(image)),
        unpacked => unpacked.map(|()| Found::Ready(image)),
    }
}

/// What was found, made ready: that may take long.
fn gained(
    context: &Context,
    options: &RunOptions,
    found: Found,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<ImageInfo> {
    let image = match found {
        Found::Ready(image) => return Ok(image),
        Found::Missing => return pulled(context, options, progress, cancel),
        Found::Packed(image) => image,
    };
    match pull::unpack_here(context, options, &image, progress, cancel) {
        // Some of what it is unpacked from is not here any more.
        Err(e) if e.kind() == Kind::NotFound => pulled(context, options, progress, cancel),
        unpacked => unpacked.map(|()| image),
    }
}

fn pulled(context: &Context, options: &RunOptions, progress: &mut dyn Progress, cancel: &Cancel) -> Result<ImageInfo> {
    userns::check(context, options)?;
    let how = PullOptions { platform: options.platform.clone(), ..PullOptions::default() };
    pull::pull(context, &options.image, &how, progress, cancel)
}

/// An image for another machine than was asked for is as good as none.
fn of_platform(image: ImageInfo, options: &RunOptions) -> Result<ImageInfo> {
    let Some(asked) = options.platform.as_deref() else { return Ok(image) };
    let wanted = pull::platform(Some(asked))?;
    let made_for = Platform::new(&image.os, &image.architecture, image.variant.as_deref());
    match made_for.same_machine(&wanted) {
        true => Ok(image),
        false => Err(Error::new(Kind::NotFound, "find image", &options.image)
            .because(format!("the one that is here is for {made_for}, not for {wanted}"))),
    }
}

/// Makes those of its volumes that are missing, and notes of those that it has in common with another that it has.
pub(super) fn make_volumes(context: &Context, record: &Record) -> Result<()> {
    for mount in record.spec.mounts.iter().filter(|m| m.is_volume()) {
        let name = &mount.mount.source;
        if volumes::make(&context.paths, &name.parse()?)? {
            events::tell_volume(context, name, "create", record);
        }
        if mount.anonymous && !mount.from.is_empty() {
            share(context, record, mount)?;
        }
    }
    Ok(())
}

/// The other first: who leaves a volume that nobody else is noted of takes it along. Once this one is noted, so was the
/// other, which may have left since.
fn share(context: &Context, record: &Record, mount: &SpecMount) -> Result<()> {
    let (name, other) = (mount.mount.source.parse()?, mount.from.parse()?);
    if volumes::is_shared_by(&context.paths, &name, &record.id)? {
        return Ok(());
    }
    let is_there = || containers::load(&context.paths, &other).map(|found| found.is_some());
    if is_there()? {
        volumes::share(&context.paths, &name, &other)?;
    }
    volumes::share(&context.paths, &name, &record.id)?;
    // One that went meanwhile would never leave. One that goes after this look does so when it is gone.
    if !is_there()? {
        volumes::leave_again(&context.paths, &name, &other);
    }
    Ok(())
}

/// Leaves the volumes without a name of their own, and removes those that nobody else has.
pub(super) fn drop_volumes(context: &Context, record: &Record) {
    destroy(context, record, leave_volumes(context, record));
}

/// The same for a container that is gone, which somebody may have noted anew while its record was there still.
pub(super) fn drop_volumes_again(context: &Context, record: &Record, drop: bool) {
    let last = leaving(record, |name| volumes::leave_again(&context.paths, name, &record.id));
    destroy(context, record, if drop { last } else { Vec::new() });
}

fn destroy(context: &Context, record: &Record, mounts: Vec<&SpecMount>) {
    for mount in mounts {
        let trash = mount.mount.source.parse().and_then(|name| volumes::unlist(&context.paths, &name));
        if let Ok(Some(trash)) = trash {
            let _ = super::remove::remove_tree(context, &trash);
            events::tell_volume(context, &mount.mount.source, "destroy", record);
        }
    }
}

/// Leaves the volumes without a name of their own; returns those that nobody else has.
pub(super) fn leave_volumes<'a>(context: &Context, record: &'a Record) -> Vec<&'a SpecMount> {
    leaving(record, |name| volumes::leave(&context.paths, name, &record.id))
}

fn leaving(record: &Record, leave: impl Fn(&Name) -> bool) -> Vec<&SpecMount> {
    let last = |mount: &&SpecMount| mount.anonymous && mount.mount.source.parse().is_ok_and(|name: Name| leave(&name));
    record.spec.mounts.iter().filter(last).collect()
}

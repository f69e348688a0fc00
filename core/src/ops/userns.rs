//! The ids of root's containers that have a user namespace of their own. They are the machine's, and no two containers have
//! some in common, in whichever stores they are.

use std::path::{Path, PathBuf};

use super::{Context, facts, pull};
use crate::api::{ImageInfo, RunOptions, Rung};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::Name;
use crate::launch;
use crate::lock::Lock;
use crate::paths::{self, Paths};
use crate::plan::facts::Facts;
use crate::plan::userns::{self, Wanted};
use crate::progress::Progress;
use crate::spec::{IdRange, Spec};
use crate::store::containers::Record;
use crate::store::ids::{self, Claim};

/// Whose subordinate ids they are, of the first that has any: a line of our own, or that of Podman's, whose engine begins at
/// the other end and knows nothing of ours.
const OWNERS: [&str; 2] = ["sampan", "containers"];

/// Keeps others from choosing ids until the container that has chosen some is written.
pub(super) fn hold(context: &Context, options: &RunOptions) -> Result<Option<Lock>> {
    match userns::read(options)? {
        Wanted::Auto(_) if context.facts()?.rung == Rung::Root => ids::hold(&paths::claimed_ids()).map(Some),
        // Who may not have any is told why where they are chosen.
        _ => Ok(None),
    }
}

/// Gives a container the ids that it asks for.
pub(super) fn choose(context: &Context, options: &RunOptions, spec: &mut Spec) -> Result<()> {
    let size = match userns::read(options)? {
        Wanted::Shared => return Ok(()),
        Wanted::KeepId => return keep(context.facts()?, &context.paths, options, spec),
        Wanted::Auto(size) => size,
    };
    userns::check(spec, context.facts()?)?;
    check_devices(spec)?;
    let held = ids::held(&paths::claimed_ids())?;
    let uid = free("/etc/subuid", "/etc/passwd", size, held.iter().map(|claim| (claim.uid, claim.length)))?;
    let gid = free("/etc/subgid", "/etc/group", size, held.iter().map(|claim| (claim.gid, claim.length)))?;
    spec.ids = Some(userns::ids(uid, gid, size));
    Ok(())
}

/// The process is the user himself, unless another was asked for, as in Podman.
fn keep(facts: &Facts, paths: &Paths, options: &RunOptions, spec: &mut Spec) -> Result<()> {
    let ids = userns::kept(facts)?;
    [paths.root(), paths.run()].into_iter().try_for_each(check_way)?;
    if options.user.as_deref().unwrap_or_default().is_empty() {
        let own = |map: &[IdRange]| map.iter().find(|range| range.inside == range.outside).map_or(0, |own| own.inside);
        spec.user = format!("{}:{}", own(&ids.uids), own(&ids.gids));
    }
    spec.ids = Some(ids);
    Ok(())
}

fn check_way(dir: &Path) -> Result<()> {
    let own = nix::unistd::getegid().as_raw();
    let closed = |dir: &&Path| fs::group_and_mode(dir).is_some_and(|found| !userns::lets_through(found, own));
    match dir.ancestors().find(closed) {
        None => Ok(()),
        Some(dir) => Err(Error::new(Kind::Unsupported, "read option", "userns")
            .because(format!("keep-id: {} is closed, and its group is not this user's own", dir.display()))
            .hint(format!("give it that group (chgrp {own}) or let others pass (chmod o+x), or give another root and run directory"))),
    }
}

/// Has an image's layers unpacked for a container that has other ids than those of its rung.
pub(super) fn unpack(
    context: &Context,
    options: &RunOptions,
    image: &ImageInfo,
    progress: &mut dyn Progress,
    cancel: &Cancel,
) -> Result<()> {
    match userns::read(options)? {
        Wanted::KeepId => {
            check_way(context.paths.root())?;
            pull::unpack_for(context, options, image, &userns::kept(context.facts()?)?, progress, cancel)
        }
        Wanted::Shared | Wanted::Auto(_) => Ok(()),
    }
}

/// The form of the layers that a container stands on.
pub(super) fn form(context: &Context, spec: &Spec) -> Result<Name> {
    match &spec.ids {
        Some(ids) if !userns::is_roots(spec, context.facts()?) => userns::form(ids).parse(),
        _ => context.form(),
    }
}

/// The directory that the container's own root has, of one that a plain user has made.
pub(super) fn give_root(context: &Context, record: &Record) -> Result<()> {
    let Some(ids) = record.spec.ids.as_ref().filter(|_| record.rung != Rung::Root) else { return Ok(()) };
    let (map, dir) = (userns::id_map(ids, context.facts()?), context.paths.container(&record.id));
    let owners = [(b"upper".to_vec(), 0, 0)];
    launch::apply_owners(Some(&map), &dir.dir().display().to_string(), &owners, &[], &[], &context.helper())
}

/// The nodes are the host's, with the host's owners.
fn check_devices(spec: &Spec) -> Result<()> {
    match spec.devices.iter().find(|(host, _)| !fs::is_open_to_all(Path::new(host))) {
        None => Ok(()),
        Some((host, _)) => Err(Error::new(Kind::Unsupported, "read option", "userns")
            .because(format!("{host} is closed to the host's users, and so to a container with ids of its own"))
            .hint("give --userns host, or open the device to all (chmod 666)")),
    }
}

/// Free ids of those set aside in `file`: no container's, no account's, and nobody else's in the same file.
fn free(file: &str, accounts: &str, size: u32, claimed: impl Iterator<Item = (u32, u32)>) -> Result<u32> {
    let lines = facts::ranges(file);
    let of = |owner: &str| -> Vec<_> { lines.iter().filter(|line| line.0 == owner).map(|line| line.1).collect() };
    let owner = OWNERS.into_iter().find(|owner| !of(owner).is_empty());
    let others = lines.iter().filter(|line| Some(line.0.as_str()) != owner).map(|line| line.1);
    let taken: Vec<_> = claimed.chain(others).chain(facts::accounts(accounts)).collect();
    let Some(owner) = owner else { return Err(none(file, &taken)) };
    let ranges = of(owner);
    userns::place(&ranges, size, &taken).ok_or_else(|| full(file, owner, &ranges, size))
}

fn none(file: &str, taken: &[(u32, u32)]) -> Error {
    // A place that useradd(8) does not reach, of those that systemd keeps for containers.
    const ROOM: (u32, u32) = (700_000_000, 1_000_000_000);
    const MANY: u32 = 100 * userns::USUAL;
    let place = userns::place(&[ROOM], MANY, taken).unwrap_or(ROOM.0);
    Error::new(Kind::Unsupported, "choose ids", file)
        .because("there are no ids for containers in it")
        .hint(format!("set some aside that nobody has: echo sampan:{place}:{MANY} >>{file}"))
}

fn full(file: &str, owner: &str, ranges: &[(u32, u32)], size: u32) -> Error {
    let all: u64 = ranges.iter().map(|(_, length)| u64::from(*length)).sum();
    Error::new(Kind::LimitExceeded, "choose ids", file)
        .because(format!("no {size} in a row of the {all} ids of {owner:?} are free"))
        .hint("remove containers, ask for fewer with auto:size=NUMBER, or add another line for it")
}

/// A claim of a container that is not there yet: given up with this value.
pub(super) struct Claimed(Option<Claim>);

impl Claimed {
    /// It is the container's.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some(claim) = &self.0 {
            ids::release(&paths::claimed_ids(), claim);
        }
    }
}

/// Claims the ids of a container that is about to be written.
pub(super) fn claim(context: &Context, lock: Option<&Lock>, record: &Record) -> Result<Claimed> {
    let (Some(lock), Some(claim)) = (lock, of(record)) else { return Ok(Claimed(None)) };
    ids::claim(lock, &paths::claimed_ids(), &claim, context.paths.container(&record.id).dir())?;
    Ok(Claimed(Some(claim)))
}

/// Makes sure that a container still has its ids to itself: its store may have been moved, copied, or out of reach.
pub(super) fn ensure(context: &Context, record: &Record) -> Result<()> {
    let Some(claim) = of(record) else { return Ok(()) };
    let (claims, dir) = (paths::claimed_ids(), context.paths.container(&record.id));
    match ids::is_own(&claims, &claim, dir.dir()) {
        true => Ok(()),
        false => ids::claim(&ids::hold(&claims)?, &claims, &claim, dir.dir()),
    }
}

/// Frees the ids of a container that is gone.
pub(super) fn release(record: &Record) {
    if let Some(claim) = of(record) {
        ids::release(&paths::claimed_ids(), &claim);
    }
}

/// Where a container's claim is written.
pub(super) fn path(record: &Record) -> Option<PathBuf> {
    of(record).map(|claim| claim.path(&paths::claimed_ids()))
}

fn of(record: &Record) -> Option<Claim> {
    let ids = record.spec.ids.as_ref().filter(|_| record.rung == Rung::Root)?;
    let (uids, gids) = (ids.uids.first()?, ids.gids.first()?);
    Some(Claim { uid: uids.outside, gid: gids.outside, length: uids.length, id: record.id.clone() })
}

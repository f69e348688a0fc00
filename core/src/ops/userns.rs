//! The ids of root's containers that have a user namespace of their own. They are the machine's, and no two containers have
//! some in common, in whichever stores they are.

use std::path::{Path, PathBuf};

use super::{Context, facts};
use crate::api::{RunOptions, Rung};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::lock::Lock;
use crate::paths;
use crate::plan::userns::{self, Wanted};
use crate::spec::Spec;
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
    let Wanted::Auto(size) = userns::read(options)? else { return Ok(()) };
    userns::check(spec, context.facts()?)?;
    check_devices(spec)?;
    let held = ids::held(&paths::claimed_ids())?;
    let uid = free("/etc/subuid", "/etc/passwd", size, held.iter().map(|claim| (claim.uid, claim.length)))?;
    let gid = free("/etc/subgid", "/etc/group", size, held.iter().map(|claim| (claim.gid, claim.length)))?;
    spec.ids = Some(userns::ids(uid, gid, size));
    Ok(())
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
    let ids = record.spec.ids.as_ref()?;
    let (uids, gids) = (ids.uids.first()?, ids.gids.first()?);
    Some(Claim { uid: uids.outside, gid: gids.outside, length: uids.length, id: record.id.clone() })
}

//! The ids of root's containers that have a user namespace of their own. They are the machine's, and no two containers have
//! some in common, in whichever stores they are.

use std::cell::OnceCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::{Context, facts, pull};
use crate::api::{ImageInfo, RunOptions, Rung};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::Name;
use crate::launch;
use crate::lock::{Lock, Wait};
use crate::paths::{self, Paths};
use crate::plan::accounts::{self, Account};
use crate::plan::userns::{self, Wanted};
use crate::progress::Progress;
use crate::setup::{self, ids::Known};
use crate::spec::{IdRange, Ids, Spec};
use crate::store::containers::Record;
use crate::store::ids::{self, Claim};

/// Whose subordinate ids they are, of the first that has any: a line of our own, or that of Podman's, whose engine begins at
/// the other end and knows nothing of ours.
const OWNERS: [&str; 2] = ["sampan", "containers"];

/// Gives a container the ids that it asks for; nobody is kept from taking them before they are [claimed](claim).
pub(super) fn choose(context: &Context, options: &RunOptions, spec: &mut Spec) -> Result<()> {
    let size = match userns::read(options)? {
        Wanted::Shared => return Ok(()),
        Wanted::KeepId => return keep(kept(context)?, options, spec),
        Wanted::Auto(size) => size,
    };
    userns::check(spec, context.facts()?)?;
    check_devices(spec)?;
    spec.ids = Some(find(size)?);
    Ok(())
}

fn find(size: u32) -> Result<Ids> {
    let held = ids::held(&paths::claimed_ids(), &users())?;
    let range = |first: u32, length: u32| (u64::from(first), u64::from(first) + u64::from(length));
    let uid = free("/etc/subuid", size, held.iter().map(|claim| range(claim.uid, claim.length)))?;
    let gid = free("/etc/subgid", size, held.iter().map(|claim| range(claim.gid, claim.length)))?;
    Ok(userns::ids(uid, gid, size))
}

/// Tells whether processes have a claim's ids; all are looked at when it is first asked. Who can't tell says yes.
fn users() -> impl Fn(&Claim) -> bool {
    let all = OnceCell::new();
    move |claim| {
        let look = || Ok::<_, Error>((setup::ids::used("/etc/subuid")?, setup::ids::used("/etc/subgid")?));
        let has = |all: &[(u64, u64)], first: u32| {
            let (start, end) = (u64::from(first), u64::from(first) + u64::from(claim.length));
            all.iter().any(|(first, after)| *first < end && start < *after)
        };
        all.get_or_init(look).as_ref().map_or(true, |(uids, gids)| has(uids, claim.uid) || has(gids, claim.gid))
    }
}

/// The process is the user himself, unless another was asked for, as in Podman.
fn keep(ids: Ids, options: &RunOptions, spec: &mut Spec) -> Result<()> {
    if options.user.as_deref().unwrap_or_default().is_empty() {
        let own = |map: &[IdRange]| map.iter().find(|range| range.inside == range.outside).map_or(0, |own| own.inside);
        spec.user = format!("{}:{}", own(&ids.uids), own(&ids.gids));
    }
    spec.ids = Some(ids);
    Ok(())
}

fn kept(context: &Context) -> Result<Ids> {
    let ids = userns::kept(context.facts()?)?;
    check_ways(&context.paths, &ids).map(|()| ids)
}

/// Refuses what no image would make possible, before one is pulled.
pub(super) fn check(context: &Context, options: &RunOptions) -> Result<()> {
    match userns::read(options)? {
        Wanted::KeepId => kept(context).map(drop),
        Wanted::Shared | Wanted::Auto(_) => Ok(()),
    }
}

/// What the container's root can't reach would be told by a mount that fails.
fn check_ways(paths: &Paths, ids: &Ids) -> Result<()> {
    let closed = |dir: &&Path| fs::owners_and_mode(dir).is_some_and(|found| !userns::lets_through(found, ids));
    match paths.root().ancestors().chain(paths.run().ancestors()).find(closed) {
        None => Ok(()),
        Some(dir) => Err(Error::new(Kind::Unsupported, "read option", "userns")
            .because(format!("keep-id: {0} is closed, and its owner and group are not both this user's", dir.display()))
            .hint(format!(
                "let others pass (chmod o+x {0}), give it to this user and his group (chown {1}:{2} {0}), or give another root and run directory",
                dir.display(),
                nix::unistd::geteuid(),
                nix::unistd::getegid()
            ))),
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
        Wanted::KeepId => pull::unpack_for(context, options, image, &kept(context)?, progress, cancel),
        Wanted::Shared | Wanted::Auto(_) => Ok(()),
    }
}

/// Who starts a container in which he has his own id, as he is called now.
pub(super) fn account(record: &Record) -> Option<Account> {
    record.spec.ids.as_ref().filter(|_| record.rung != Rung::Root)?;
    let ids = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
    accounts::find(&facts::text("/etc/passwd"), &facts::text("/etc/group"), ids)
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

/// Free ids of those set aside in `file`: no container's, no process's, no account's, and nobody else's in the same file.
fn free(file: &str, size: u32, claimed: impl Iterator<Item = (u64, u64)>) -> Result<u32> {
    let known = setup::ids::known(file)?;
    let of = |owner: &str| -> Vec<_> {
        known.given.iter().filter(|line| line.0 == owner).filter_map(|line| in_row(line.1)).collect()
    };
    let owner = OWNERS.into_iter().find(|owner| !of(owner).is_empty());
    let others = known.given.iter().filter(|line| Some(line.0.as_str()) != owner).map(|line| line.1);
    let taken = claimed.chain(others).chain(known.accounts.iter().chain(&known.used).copied());
    let taken: Vec<_> = taken.filter_map(in_row).collect();
    let Some(owner) = owner else { return Err(none(file, &known, &taken)) };
    let ranges = of(owner);
    userns::place(&ranges, size, &taken).ok_or_else(|| full(file, owner, &ranges, size))
}

/// The first and how many, of those that are ids: the greatest number is none.
fn in_row((start, end): (u64, u64)) -> Option<(u32, u32)> {
    let end = u32::try_from(end).unwrap_or(u32::MAX);
    let start = u32::try_from(start).ok().filter(|start| *start < end)?;
    Some((start, end - start))
}

fn none(file: &str, known: &Known, taken: &[(u32, u32)]) -> Error {
    // A place that neither useradd(8) nor systemd reaches: its containers take any that are free below, its own images those
    // above.
    const ROOM: (u32, u32) = (1_879_048_192, 268_304_384);
    const MANY: u32 = 100 * userns::USUAL;
    let place = userns::place(&[ROOM], MANY, taken).unwrap_or(ROOM.0);
    let first = if known.unended { "\\n" } else { "" };
    let hint = match &known.elsewhere {
        None => format!("set some aside that nobody has: printf '{first}sampan:{place}:{MANY}\\n' >>{file}"),
        Some(source) => format!(
            "/etc/nsswitch.conf has ranges come from {source}: have one kept free there, and write it here as sampan:FIRST:{MANY}"
        ),
    };
    Error::new(Kind::Unsupported, "choose ids", file).because("there are no ids for containers in it").hint(hint)
}

fn full(file: &str, owner: &str, ranges: &[(u32, u32)], size: u32) -> Error {
    let all: u64 = ranges.iter().map(|(_, length)| u64::from(*length)).sum();
    Error::new(Kind::LimitExceeded, "choose ids", file)
        .because(format!("no {size} in a row of the {all} ids of {owner:?} are free"))
        .hint("remove containers, ask for fewer with auto:size=NUMBER, or add another line for it")
}

/// A claim of a container that is not there yet: given up with this value. Nobody else claims any meanwhile.
pub(super) struct Claimed(Option<(Lock, Claim, PathBuf)>);

impl Claimed {
    /// It is the container's.
    pub(super) fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for Claimed {
    fn drop(&mut self) {
        if let Some((_lock, claim, dir)) = &self.0 {
            ids::release(&paths::claimed_ids(), claim, dir);
        }
    }
}

/// Claims the ids of a container that is about to be written, or others where somebody has taken those meanwhile.
pub(super) fn claim(context: &Context, record: &mut Record, cancel: &Cancel) -> Result<Claimed> {
    let Some(mut own) = of(record) else { return Ok(Claimed(None)) };
    let (claims, dir) = (paths::claimed_ids(), context.paths.container(&record.id).dir().to_owned());
    let lock = ids::hold(&claims, Wait::cancellable(cancel))?;
    match ids::claim(&lock, &claims, &own, &dir, &users()) {
        Err(e) if e.kind() == Kind::Conflict => {
            record.spec.ids = Some(find(own.length)?);
            own = of(record).unwrap_or(own);
            ids::claim(&lock, &claims, &own, &dir, &users())?;
        }
        done => done?,
    }
    Ok(Claimed(Some((lock, own, dir))))
}

/// Makes sure that a container still has its ids to itself: its store may have been moved, copied, or out of reach.
pub(super) fn ensure(context: &Context, record: &Record) -> Result<()> {
    // Far longer than anybody holds it.
    const PATIENCE: Wait<'static> = Wait { timeout: Some(Duration::from_secs(20)), cancel: None };
    let Some(claim) = of(record) else { return Ok(()) };
    let (claims, dir) = (paths::claimed_ids(), context.paths.container(&record.id));
    match ids::is_own(&claims, &claim, dir.dir()) {
        true => Ok(()),
        false => ids::claim(&ids::hold(&claims, PATIENCE)?, &claims, &claim, dir.dir(), &users()),
    }
}

/// Frees the ids of a container that is gone.
pub(super) fn release(context: &Context, record: &Record) {
    if let Some(claim) = of(record) {
        ids::release(&paths::claimed_ids(), &claim, context.paths.container(&record.id).dir());
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

#[cfg(test)]
mod tests {
    use super::*;

    fn known() -> Known {
        Known { given: Vec::new(), accounts: Vec::new(), used: Vec::new(), elsewhere: None, unended: false }
    }

    #[test]
    fn ids_in_a_row_are_as_many_as_there_are() {
        assert_eq!(in_row((100_000, 165_536)), Some((100_000, 65_536)));
        // A count of more than there are is of all that there are, and nobody else's.
        assert_eq!(in_row((100_000, 10_000_000_000)), Some((100_000, u32::MAX - 100_000)));
        assert_eq!(in_row((1 << 32, 1 << 33)), None);
        assert_eq!(in_row((5, 5)), None);
    }

    #[test]
    fn the_cure_for_no_ids_can_be_copied() {
        let told = |known: &Known| none("/etc/subuid", known, &[]).to_string();
        assert!(told(&known()).contains(r"printf 'sampan:2140798976:6553600\n' >>/etc/subuid"), "{}", told(&known()));
        let unended = told(&Known { unended: true, ..known() });
        assert!(unended.contains(r"printf '\nsampan:"), "{unended}");
        let elsewhere = told(&Known { elsewhere: Some("sss".into()), ..known() });
        assert!(elsewhere.contains("sss") && !elsewhere.contains("printf"), "{elsewhere}");
    }

    /// A look at this machine: its own namespace is nobody's.
    #[test]
    fn what_is_known_of_this_machine() {
        let (users, groups) = (setup::ids::known("/etc/subuid").unwrap(), setup::ids::known("/etc/subgid").unwrap());
        assert!(users.accounts.contains(&(0, 1)) && groups.accounts.contains(&(0, 1)));
        assert!(users.used.iter().all(|(first, after)| (*first, *after) != (0, u64::from(u32::MAX))));
    }
}

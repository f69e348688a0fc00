//! `--userns`: whether a container has a user namespace of its own, and which ids of the host's it has there.

use super::facts::Facts;
use super::launch::{Extent, IdMap, MountIdMap, MountSource, MountStep};
use super::mounts;
use super::resolve::invalid;
use crate::api::{RunOptions, Rung};
use crate::capability;
use crate::error::{Error, Kind, Result};
use crate::spec::{IdRange, Ids, Spec};

/// How many ids a container has by default: as many as a program can name without thinking of user namespaces.
pub const USUAL: u32 = 65_536;
/// The fewest that a container can be asked to have: below are the users of every system.
const LEAST: u32 = 1024;
/// All that there is.
const MODES: &str = "host, auto, auto:size=NUMBER and keep-id";

/// What was asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Wanted {
    /// That of the rung.
    Shared,
    /// Ids that no other container has, so many of them.
    Auto(u32),
    /// Those of a plain user's rung, with the user's own as they are outside.
    KeepId,
}

/// Reads the option, in words of Docker's and Podman's.
pub fn read(options: &RunOptions) -> Result<Wanted> {
    match options.userns.as_deref().unwrap_or_default() {
        "" | "host" => Ok(Wanted::Shared),
        "auto" => Ok(Wanted::Auto(USUAL)),
        "keep-id" => Ok(Wanted::KeepId),
        text => match text.split_once(':') {
            Some(("auto", words)) => auto(text, words),
            _ => Err(refused(text)),
        },
    }
}

fn auto(text: &str, words: &str) -> Result<Wanted> {
    let size = words.strip_prefix("size=").and_then(|size| size.parse().ok()).filter(|size| *size >= LEAST);
    size.map(Wanted::Auto)
        .ok_or_else(|| invalid("userns", format!("{text:?} is not auto:size=NUMBER with {LEAST} ids or more")))
}

fn refused(text: &str) -> Error {
    let known = ["keep-id", "nomap", "container", "ns", "private"];
    match known.contains(&text.split(':').next().unwrap_or_default()) {
        true => Error::new(Kind::Unsupported, "read option", "userns")
            .because(format!("there is no user namespace {text:?} in this version"))
            .hint(format!("use one of {MODES}")),
        false => invalid("userns", format!("{text:?} is none of {MODES}")),
    }
}

/// Refuses what does not go together with ids of a container's own.
///
/// # Errors
/// `Unsupported`, with the reason.
pub fn check(spec: &Spec, facts: &Facts) -> Result<()> {
    let sharing = &spec.namespaces;
    let refusals: [(bool, &str, &str); 7] = [
        (
            facts.rung != Rung::Root,
            "root alone can give a container ids that no other has",
            "leave it out: a plain user's containers have a user namespace already",
        ),
        (
            facts.in_user_namespace,
            "this process is in a user namespace itself, whose ids are not the machine's to give away",
            "leave it out, or run it outside",
        ),
        (facts.kernel < (5, 19), "layers with other ids need Linux 5.19", "leave it out, or run as a plain user"),
        (
            spec.privileged,
            "privileged mode is incompatible with user namespaces",
            "give --userns host with --privileged",
        ),
        (
            sharing.host_net,
            "it cannot share the host's network namespace: there, its root would be nobody that may do anything",
            "give --userns host with --network host",
        ),
        (
            sharing.host_pid,
            "it cannot share the host's PID namespace: its own /proc can't be made there, and the host's tells all",
            "give --userns host with --pid host",
        ),
        (
            !sharing.joined.is_empty(),
            "another container's namespaces belong to that one's user namespace, which it can't join with its own",
            "give --userns host, or leave the other container's namespaces out",
        ),
    ];
    match refusals.into_iter().find(|(applies, ..)| *applies) {
        Some((_, because, hint)) => {
            Err(Error::new(Kind::Unsupported, "read option", "userns").because(because).hint(hint))
        }
        None => Ok(()),
    }
}

/// The first of `size` ids in a row that are in one of `ranges` and in none of `taken` (first and how many). The highest that
/// there are: whoever else gives ids of the same ranges away begins at the lowest.
pub fn place(ranges: &[(u32, u32)], size: u32, taken: &[(u32, u32)]) -> Option<u32> {
    ranges.iter().rev().find_map(|range| place_in(*range, size, taken))
}

fn place_in((first, length): (u32, u32), size: u32, taken: &[(u32, u32)]) -> Option<u32> {
    let mut taken = taken.to_vec();
    taken.sort_unstable_by_key(|(first, length)| std::cmp::Reverse(first.saturating_add(*length)));
    // The greatest number is no id: it stands for none.
    let mut end = first.saturating_add(length);
    for (taken, length) in taken {
        let after = taken.saturating_add(length);
        if end.checked_sub(size)? >= after {
            break;
        }
        end = end.min(taken);
    }
    end.checked_sub(size).filter(|place| *place >= first)
}

/// Ids from 0 on.
pub fn ids(uid: u32, gid: u32, length: u32) -> Ids {
    let one = |outside| vec![IdRange { inside: 0, outside, length }];
    Ids { uids: one(uid), gids: one(gid) }
}

/// A plain user's ids, with his own in their place and the subordinate ones around them.
///
/// # Errors
/// `Unsupported` where there are no subordinate ids, or they are root's own.
pub fn kept(facts: &Facts) -> Result<Ids> {
    let map = facts.id_map.as_ref().filter(|_| facts.rung == Rung::SubIds);
    let keep = |extents: &[Extent]| match extents {
        [own, rest] => Some(around(own.outside, rest)),
        _ => None,
    };
    let ids = map.and_then(|map| Some(Ids { uids: keep(&map.uids)?, gids: keep(&map.gids)? }));
    ids.ok_or_else(|| {
        let (because, hint) = match facts.rung {
            Rung::Root => ("root's own id is 0 already", "leave it out, or use auto"),
            _ => (
                "it needs subordinate ids, and this user's containers have one id",
                "have root run: sampan setup --user USER",
            ),
        };
        Error::new(Kind::Unsupported, "read option", "userns").because(format!("keep-id: {because}")).hint(hint)
    })
}

/// Whether the container's root, who is not the user, can go through a directory of this owner and group and these permissions.
/// Closed ones it goes through by its capabilities, which hold for what has both of its user namespace's (capabilities(7)).
pub fn lets_through((owner, group, mode): (u32, u32, u32), ids: &Ids) -> bool {
    let has =
        |map: &[IdRange], id: u32| map.iter().any(|range| id >= range.outside && id - range.outside < range.length);
    mode & 0o001 != 0 || has(&ids.uids, owner) && has(&ids.gids, group)
}

fn around(own: u32, rest: &Extent) -> Vec<IdRange> {
    let below = own.min(rest.length);
    let all = [
        IdRange { inside: 0, outside: rest.outside, length: below },
        IdRange { inside: own, outside: own, length: 1 },
        IdRange {
            inside: own.saturating_add(1),
            outside: rest.outside.saturating_add(below),
            length: rest.length - below,
        },
    ];
    all.into_iter().filter(|range| range.length > 0).collect()
}

/// The form of layers whose files have these ids on the disk: its name tells whose are kept, and where the others begin, which a
/// change of the user's subordinate ids moves.
pub fn form(ids: &Ids) -> String {
    let is_own = |range: &&IdRange| range.inside == range.outside;
    let own = |map: &[IdRange]| map.iter().find(is_own).map_or(0, |own| own.inside);
    let rest = |map: &[IdRange]| map.iter().find(|range| !is_own(range)).map_or(0, |rest| rest.outside);
    format!("keep-{}-{}-{}-{}", own(&ids.uids), own(&ids.gids), rest(&ids.uids), rest(&ids.gids))
}

/// The same for the ids of a plain user's rung: his own, and where the others begin.
pub fn subids_form(map: &IdMap) -> String {
    let first = |extents: &[Extent], at: usize| extents.get(at).map_or(0, |extent| extent.outside);
    let [own, rest] = [0, 1].map(|at| format!("{}-{}", first(&map.uids, at), first(&map.gids, at)));
    format!("subids-{own}-{rest}")
}

/// Whether the host's root has made it, and maps its mounts.
pub fn is_roots(spec: &Spec, facts: &Facts) -> bool {
    spec.ids.is_some() && facts.rung == Rung::Root
}

/// Whether a plain user's container could make a bind writable that was asked for read-only: who may mount where that was
/// made can.
pub fn is_nested(spec: &Spec, facts: &Facts, mounts: &[MountStep]) -> bool {
    let mighty = capability::bit("SYS_ADMIN").is_some_and(|bit| spec.capabilities & facts.capabilities & bit != 0);
    let asked = |step: &MountStep| spec.mounts.iter().any(|mount| mount.mount.target == step.target);
    let closed = |step: &MountStep| {
        matches!(step.source, MountSource::Bind { .. }) && step.attributes & mounts::RDONLY != 0 && asked(step)
    };
    let own = facts.id_map.is_some() && matches!(facts.rung, Rung::SubIds | Rung::SingleId);
    own && mighty && mounts.iter().any(closed)
}

/// The maps of a container's own user namespace, which the rung's helpers write.
pub fn id_map(ids: &Ids, facts: &Facts) -> IdMap {
    let helpers = facts.id_map.as_ref().and_then(|map| map.helpers.clone());
    IdMap { uids: extents(&ids.uids), gids: extents(&ids.gids), helpers }
}

/// The same for what lies on the disk with the container's ids as they are: volumes of root's.
pub fn mount_map(spec: &Spec, facts: &Facts) -> Option<MountIdMap> {
    let ids = spec.ids.as_ref().filter(|_| is_roots(spec, facts))?;
    Some(MountIdMap { uids: extents(&ids.uids), gids: extents(&ids.gids), recursive: false })
}

/// Whose a volume's mount point is that the image lacks, and so a new volume there, which looks as that does: the process's in a
/// plain user's container that keeps his id, as in Podman. Who is asked for by name has an id that
/// nobody knows yet; who is asked for without a group may have any.
pub fn volume_owner(spec: &Spec, facts: &Facts) -> Option<(u32, u32)> {
    spec.ids.as_ref().filter(|_| !is_roots(spec, facts))?;
    let (uid, gid) = spec.user.split_once(':').unwrap_or((&spec.user, "0"));
    Some((uid.parse().ok()?, gid.parse().ok()?))
}

fn extents(ranges: &[IdRange]) -> Vec<Extent> {
    let one = |range: &IdRange| Extent { inside: range.inside, outside: range.outside, length: range.length };
    ranges.iter().map(one).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::spec::Sharing;

    fn wanted(userns: &str) -> Result<Wanted> {
        read(&RunOptions { userns: Some(userns.into()), ..RunOptions::default() })
    }

    #[test]
    fn words_of_docker_and_podman() {
        assert_eq!(read(&RunOptions::default()).unwrap(), Wanted::Shared);
        assert_eq!(wanted("host").unwrap(), Wanted::Shared);
        assert_eq!(wanted("auto").unwrap(), Wanted::Auto(65_536));
        assert_eq!(wanted("auto:size=2048").unwrap(), Wanted::Auto(2048));
        for bad in ["auto:", "auto:size=1", "auto:size=x", "auto:uidmapping=0:0:1", "hosts", "remap"] {
            let error = wanted(bad).unwrap_err();
            assert!(error.kind() == Kind::InvalidArgument && error.to_string().contains("userns"), "{error}");
        }
        assert_eq!(wanted("keep-id").unwrap(), Wanted::KeepId);
        for other in ["keep-id:uid=5", "nomap", "container:web", "ns:/proc/1/ns/user", "private"] {
            let error = wanted(other).unwrap_err();
            assert!(error.kind() == Kind::Unsupported && error.to_string().contains("host, auto"), "{error}");
        }
    }

    #[test]
    fn what_does_not_go_together_is_refused() {
        let root = Facts { kernel: (6, 1), ..Facts::default() };
        let spec = |namespaces| Spec { namespaces, ..Spec::default() };
        assert!(check(&Spec::default(), &root).is_ok());
        let net = Sharing { host_net: true, ..Sharing::default() };
        let pid = Sharing { host_pid: true, ..Sharing::default() };
        let joined = Sharing { joined: [("net".to_owned(), "web".to_owned())].into(), ..Sharing::default() };
        let privileged = Spec { privileged: true, ..Spec::default() };
        for refused in [spec(net), spec(pid), spec(joined), privileged] {
            assert_eq!(check(&refused, &root).unwrap_err().kind(), Kind::Unsupported);
        }
        let old = Facts { kernel: (5, 15), ..root.clone() };
        let nested = Facts { in_user_namespace: true, ..root.clone() };
        let plain = Facts { rung: Rung::SubIds, ..root };
        for facts in [old, nested, plain] {
            assert_eq!(check(&Spec::default(), &facts).unwrap_err().kind(), Kind::Unsupported);
        }
    }

    #[test]
    fn a_users_own_ids_stay() {
        let extent = |inside, outside, length| Extent { inside, outside, length };
        let map = |own| vec![extent(0, own, 1), extent(1, 100_000, 65_536)];
        let with = |uid, gid| Facts {
            rung: Rung::SubIds,
            id_map: Some(IdMap { uids: map(uid), gids: map(gid), helpers: Some(("u".into(), "g".into())) }),
            ..Facts::default()
        };
        let words = |ranges: &[IdRange]| ranges.iter().map(|r| (r.inside, r.outside, r.length)).collect::<Vec<_>>();
        let ids = kept(&with(1000, 0)).unwrap();
        assert_eq!(words(&ids.uids), [(0, 100_000, 1000), (1000, 1000, 1), (1001, 101_000, 64_536)]);
        assert_eq!(words(&ids.gids), [(0, 0, 1), (1, 100_000, 65_536)]);
        assert_eq!(words(&kept(&with(70_000, 0)).unwrap().uids), [(0, 100_000, 65_536), (70_000, 70_000, 1)]);
        assert_eq!(form(&ids), "keep-1000-0-100000-100000");
        let moved =
            Ids { uids: around(1000, &extent(1, 200_000, 65_536)), gids: around(0, &extent(1, 300_000, 65_536)) };
        assert_eq!(form(&moved), "keep-1000-0-200000-300000");
        assert!(lets_through((0, 5, 0o711), &ids) && lets_through((1000, 0, 0o700), &ids));
        assert!(lets_through((100_000, 165_535, 0o750), &ids));
        // One of both is not enough: to the kernel it is somebody else's then.
        for (owner, group) in [(0, 0), (5, 0), (1000, 5), (1000, 165_536), (165_536, 0)] {
            assert!(!lets_through((owner, group, 0o770), &ids), "{owner}:{group}");
        }
        assert!(id_map(&ids, &with(1000, 0)).helpers.is_some());
        for facts in [Facts::default(), Facts { rung: Rung::SingleId, ..Facts::default() }] {
            assert_eq!(kept(&facts).unwrap_err().kind(), Kind::Unsupported);
        }
    }

    #[test]
    fn ids_that_nobody_has() {
        let one = [(100_000, 65_536)];
        assert_eq!(place(&one, 65_536, &[]), Some(100_000));
        assert_eq!(place(&one, 65_537, &[]), None);
        assert_eq!(place(&one, 1024, &[]), Some(164_512));
        assert_eq!(place(&one, 65_536, &[(100_000, 1)]), None);
        // The highest that is long enough, whoever has what is around it, in any order.
        assert_eq!(place(&one, 1024, &[(120_000, 1000), (164_600, 9)]), Some(163_576));
        assert_eq!(place(&one, 40_000, &[(150_000, 1), (160_000, 70_000)]), Some(110_000));
        assert_eq!(place(&one, 1000, &[(99_000, 65_536), (0, 10)]), Some(164_536));
        assert_eq!(place(&one, 1001, &[(99_000, 65_536)]), None);
        assert_eq!(place(&[(5, 10), (100, 20)], 15, &[]), Some(105));
        assert_eq!(place(&[(5, 20), (100, 10)], 15, &[]), Some(10));
        assert_eq!(place(&[], 1, &[]), None);
        assert_eq!(place(&[(u32::MAX - 5, 100)], 5, &[]), Some(u32::MAX - 5));
        assert_eq!(place(&[(u32::MAX - 5, 100)], 6, &[]), None);
    }
}

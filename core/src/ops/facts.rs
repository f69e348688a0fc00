//! Gathers what a plan must know of the host.

use std::path::Path;

use super::probe::{self, Found};
use super::{apparmor, chroot, selinux};
use crate::api::Rung;
use crate::capability;
use crate::error::{Error, Kind, Result};
use crate::launch::HelperSource;
use crate::paths::Paths;
use crate::plan;
use crate::plan::facts::{AppArmor, Cgroups, Facts, SeLinux};
use crate::plan::launch::{Extent, IdMap};
use crate::{cgroup, fs, sys};

const MOST: u64 = 4 << 20;
const SYS_ADMIN: u32 = 21;

/// Looks at the host once. A plain user's rung is found out by doing, once a boot.
pub fn gather(forced: Option<Rung>, paths: &Paths, helper: &HelperSource) -> Result<Found> {
    let settled = |rung_wanted, reason: &str| {
        facts(rung(rung_wanted)?, true).map(|facts| Found { facts, reason: reason.to_owned() })
    };
    match forced {
        Some(asked) => return settled(asked, "it was asked for"),
        None if is_mighty() => return settled(Rung::Root, "this process is root"),
        // Root in a container is often as poor as a plain user, and climbs as one.
        None => {}
    }
    let here = probe::sandbox();
    let memory = paths.run().join("rung");
    let text = fs::read_if_exists(&memory, 4096)?.unwrap_or_default();
    if let Some((rung_word, fresh)) = probe::recall(&String::from_utf8_lossy(&text), &here)
        && let Ok(found) = rung(rung_word).and_then(|r| facts(r, fresh))
    {
        return Ok(Found { facts: found, reason: "it worked before here, on this boot".into() });
    }
    let candidates = [Rung::SubIds, Rung::SingleId].map(|r| rung(r).and_then(|r| facts(r, true)));
    let found = probe::climb(candidates.into(), paths, helper)?;
    let staged = paths.run().join(format!(".rung-{}", std::process::id()));
    fs::replace(&memory, &staged, probe::remember(&found.facts, &here).as_bytes())?;
    Ok(found)
}

/// The host as it is to a caller that brings its own configuration.
pub fn of_host() -> Result<Facts> {
    facts((Rung::Root, None), true)
}

fn facts((rung, id_map): (Rung, Option<IdMap>), fresh_proc: bool) -> Result<Facts> {
    Ok(Facts {
        rung,
        capabilities: match (rung, &id_map) {
            (Rung::Chroot, _) => plan::chroot::capabilities(own_capabilities()),
            (_, Some(_)) => capability::ALL,
            (_, None) => own_capabilities(),
        },
        id_map,
        in_user_namespace: !is_initial_user_namespace(),
        cgroups: cgroups()?,
        kernel: sys::kernel_version(),
        fresh_proc: fresh_proc && rung != Rung::Chroot,
        boot_id: sys::boot_id(),
        machine_id: sys::machine_id(),
        hosts: text("/etc/hosts"),
        resolv_conf: text("/etc/resolv.conf"),
        hostname: nix::unistd::gethostname().map(|n| n.to_string_lossy().into_owned()).unwrap_or_default(),
        apparmor: if rung == Rung::Chroot { AppArmor::Unprepared(NO_LABELS.into()) } else { apparmor::found() },
        selinux: if rung == Rung::Chroot { SeLinux::Unprepared(NO_LABELS.into()) } else { selinux::found() },
    })
}

const NO_LABELS: &str = "on the rung `chroot` they stay what starts them is";

/// A file of the host's, as far as it can be read.
pub(super) fn text(path: &str) -> String {
    fs::read_following(Path::new(path), MOST).map(|b| String::from_utf8_lossy(&b).into_owned()).unwrap_or_default()
}

fn cgroups() -> Result<Cgroups> {
    let found = cgroup::detect()?;
    Ok(Cgroups {
        mode: found.mode.to_owned(),
        v1: found.v1,
        v2: found.v2,
        top: found.top,
        v2_controllers: found.v2_controllers,
        v2_crowded: found.v2_crowded,
        ..Cgroups::default()
    })
}

fn own_capabilities() -> u64 {
    let status = text("/proc/self/status");
    let bounding = status.lines().find_map(|l| l.strip_prefix("CapBnd:"));
    bounding.and_then(|hex| u64::from_str_radix(hex.trim(), 16).ok()).unwrap_or(0)
}

/// The initial user namespace maps every id to itself.
pub fn is_initial_user_namespace() -> bool {
    text("/proc/self/uid_map").split_whitespace().eq(["0", "0", "4294967295"])
}

/// Root that may make namespaces: in a container it often may not.
pub fn is_mighty() -> bool {
    is_root() && sys::has_capability(SYS_ADMIN)
}

fn is_root() -> bool {
    nix::unistd::geteuid().is_root()
}

/// A rung's id maps; an error when this host's set-up does not allow it.
fn rung(wanted: Rung) -> Result<(Rung, Option<IdMap>)> {
    match wanted {
        Rung::Root if is_root() => Ok((wanted, None)),
        Rung::Root => Err(Error::new(Kind::PermissionDenied, "choose rung", "root")
            .because("this process is not root")
            .hint("run as root, or leave the rung to be chosen")),
        Rung::Chroot => chroot::check().map(|()| (wanted, None)),
        Rung::SubIds => subids().map(|map| (wanted, Some(map))),
        Rung::SingleId => Ok((wanted, Some(single_id()))),
    }
}

fn ids() -> (u32, u32) {
    (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw())
}

fn single_id() -> IdMap {
    let (uid, gid) = ids();
    let one = |outside| vec![Extent { inside: 0, outside, length: 1 }];
    IdMap { uids: one(uid), gids: one(gid), helpers: None }
}

/// The user's own id as root and its subordinate range from 1 up.
pub fn subids() -> Result<IdMap> {
    let (uid, gid) = ids();
    let user = user_name(uid);
    let map = |own, file: &str| {
        let range = range_in(&text(file), &user, uid).ok_or_else(|| no_range(file, &user, uid))?;
        Ok::<_, Error>(vec![Extent { inside: 0, outside: own, length: 1 }, range])
    };
    let helpers = (helper("newuidmap")?, helper("newgidmap")?);
    Ok(IdMap { uids: map(uid, "/etc/subuid")?, gids: map(gid, "/etc/subgid")?, helpers: Some(helpers) })
}

fn no_range(file: &str, user: &str, uid: u32) -> Error {
    let user = if user.is_empty() { uid.to_string() } else { user.into() };
    Error::new(Kind::Unsupported, "find subordinate ids", file)
        .because(format!("there is no range for {user} in it"))
        .hint(format!(
            "have root run: sampan setup --user {user} (or usermod --add-subuids 100000-165535 --add-subgids 100000-165535 {user})"
        ))
}

fn user_name(uid: u32) -> String {
    let passwd = text("/etc/passwd");
    let mut lines = passwd.lines().map(|l| l.split(':').collect::<Vec<_>>());
    lines.find(|f| f.len() > 2 && f[2].parse() == Ok(uid)).map_or_else(String::new, |f| f[0].to_owned())
}

/// A line is `user:start:count`, the user by name or number (subuid(5)).
fn range_in(text: &str, user: &str, uid: u32) -> Option<Extent> {
    let uid = uid.to_string();
    text.lines().find_map(|line| {
        let fields: Vec<&str> = line.trim().split(':').collect();
        let [name, start, count] = fields[..] else { return None };
        let mine = (!user.is_empty() && name == user) || name == uid;
        let (start, length) = (start.parse().ok()?, count.parse().ok()?);
        (mine && length > 0).then_some(Extent { inside: 1, outside: start, length })
    })
}

/// A set-user-id program, looked for in the system's own directories only: PATH is the caller's to forge.
fn helper(name: &'static str) -> Result<String> {
    let places = ["/usr/bin", "/bin", "/usr/sbin", "/sbin", "/usr/local/bin", "/run/wrappers/bin"];
    let found = places.iter().map(|dir| format!("{dir}/{name}")).find(|p| fs::executable(Path::new(p)));
    found.ok_or_else(|| {
        Error::new(Kind::NotFound, "find helper", name)
            .because("it is not installed")
            .hint("apt install uidmap, or run with the single-id map")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ranges_are_found_by_name_or_number() {
        let text = "root:1:1\n# comment\na:100000:65536\n1001:200000:10\nbad:x:y\n";
        let range = |user, uid| range_in(text, user, uid).map(|e| (e.outside, e.length));
        assert_eq!(range("a", 1000), Some((100_000, 65_536)));
        assert_eq!(range("b", 1001), Some((200_000, 10)));
        assert_eq!(range("", 1001), Some((200_000, 10)));
        assert_eq!(range("bad", 7), None);
        assert_eq!(range("", 7), None);
    }

    #[test]
    fn a_rung_that_cannot_be_had_is_refused() {
        match rung(Rung::Root) {
            Ok((rung, map)) => assert!(is_root() && rung == Rung::Root && map.is_none()),
            Err(e) => assert_eq!(e.kind(), Kind::PermissionDenied),
        }
        let (rung, map) = rung(Rung::SingleId).unwrap();
        assert_eq!((rung, map.unwrap().uids[0].length), (Rung::SingleId, 1));
    }
}

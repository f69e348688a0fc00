//! Ids of the host's that one container has to itself, whichever store it is in.
//!
//! A claim is a symlink. Its name has the first user id, the first group id, how many, and the container's id; its text is
//! the container's directory, and it holds for as long as that is there: a removal, which begins by taking the directory out
//! of sight, frees the ids whatever is killed after it. A store can be moved, or hidden by a mount, while its containers run:
//! so it holds, too, for as long as a process has some of the ids. Claims are written under a lock that is held until the
//! directory is there. All of it is the machine's and outlives a boot, as do files with those ids.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::lock::{Lock, Mode, Wait};

/// Whose ids are whose.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Claim {
    /// The first user id.
    pub uid: u32,
    /// The first group id.
    pub gid: u32,
    /// How many of each.
    pub length: u32,
    /// Whose.
    pub id: ContainerId,
}

impl Claim {
    /// Where it is written.
    pub fn path(&self, claims: &Path) -> PathBuf {
        claims.join(format!("{}-{}-{}-{}", self.uid, self.gid, self.length, self.id))
    }

    fn parse(name: &str) -> Option<Claim> {
        let mut parts = name.split('-');
        let mut number = || parts.next()?.parse().ok();
        let (uid, gid, length) = (number()?, number()?, number()?);
        Some(Claim { uid, gid, length, id: parts.next()?.parse().ok()? })
    }

    fn meets(&self, other: &Claim) -> bool {
        let meet = |a: u32, b: u32| a < b.saturating_add(other.length) && b < a.saturating_add(self.length);
        meet(self.uid, other.uid) || meet(self.gid, other.gid)
    }
}

/// Whether processes have some of the ids now.
pub type Used<'a> = &'a dyn Fn(&Claim) -> bool;

/// Keeps others from claiming ids.
pub fn hold(claims: &Path, wait: Wait<'_>) -> Result<Lock> {
    fs::make_dirs(claims)?;
    Lock::take(&claims.join("lock"), Mode::Exclusive, wait)
}

/// The claims that hold.
pub fn held(claims: &Path, used: Used<'_>) -> Result<Vec<Claim>> {
    let all = fs::list(claims)?.into_iter().filter_map(|name| Claim::parse(name.to_str()?));
    Ok(all.filter(|claim| holds(claims, claim, used)).collect())
}

/// What can't be looked at is taken to be there.
fn holds(claims: &Path, claim: &Claim, used: Used<'_>) -> bool {
    match fs::read_link(&claim.path(claims)) {
        Ok(Some(dir)) => fs::exists(Path::new(&dir)).unwrap_or(true) || used(claim),
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Claims ids for the container whose directory is, or is about to be, `dir`; those that hold no more go. The lock is held.
///
/// # Errors
/// `Conflict` when another has some of them.
pub fn claim(_held: &Lock, claims: &Path, claim: &Claim, dir: &Path, used: Used<'_>) -> Result<()> {
    sweep(claims, used)?;
    if let Some(other) = held(claims, used)?.iter().find(|other| other.meets(claim)) {
        return Err(Error::new(Kind::Conflict, "claim ids", claim.id.short())
            .because(format!(
                "container {} has some of the {} ids from {} on",
                other.id.short(),
                claim.length,
                claim.uid
            ))
            .hint("create it anew, or remove the other"));
    }
    if used(claim) {
        return Err(Error::new(Kind::Conflict, "claim ids", claim.id.short())
            .because(format!("processes have some of the {} ids from {} on", claim.length, claim.uid))
            .hint("create it anew, or end them"));
    }
    // One of its own that tells another place is that of a store that was there.
    fs::remove_file(&claim.path(claims))?;
    fs::symlink_new(&dir.display().to_string(), &claim.path(claims)).map(drop)
}

fn sweep(claims: &Path, used: Used<'_>) -> Result<()> {
    for claim in fs::list(claims)?.into_iter().filter_map(|name| Claim::parse(name.to_str()?)) {
        if !holds(claims, &claim, used) {
            fs::remove_file(&claim.path(claims))?;
        }
    }
    Ok(())
}

/// Whether the container whose directory is `dir` still has what it was given.
pub fn is_own(claims: &Path, claim: &Claim, dir: &Path) -> bool {
    fs::read_link(&claim.path(claims)).ok().flatten().is_some_and(|text| Path::new(&text) == dir)
}

/// Frees the ids of the container whose directory was `dir`; those of the one that it was a copy of are that one's.
pub fn release(claims: &Path, claim: &Claim, dir: &Path) {
    if is_own(claims, claim, dir) {
        let _ = fs::remove_file(&claim.path(claims));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim_of(seed: u8, uid: u32, gid: u32) -> Claim {
        Claim { uid, gid, length: 10, id: ContainerId::from_random([seed; 32]) }
    }

    fn take(claims: &Path, one: &Claim, dir: &Path) -> Result<()> {
        claim(&hold(claims, Wait::FOREVER).unwrap(), claims, one, dir, &|_| false)
    }

    #[test]
    fn ids_have_one_owner() {
        let dir = tempfile::tempdir().unwrap();
        let (claims, there) = (dir.path().join("ids"), dir.path());
        take(&claims, &claim_of(1, 100, 500), there).unwrap();
        for (uid, gid) in [(100, 0), (109, 0), (91, 0), (0, 505)] {
            let error = take(&claims, &claim_of(2, uid, gid), there).unwrap_err();
            assert_eq!(error.kind(), Kind::Conflict);
        }
        take(&claims, &claim_of(2, 110, 490), there).unwrap();
        assert_eq!(held(&claims, &|_| false).unwrap().len(), 2);
        assert!(is_own(&claims, &claim_of(2, 110, 490), there));
        assert!(!is_own(&claims, &claim_of(2, 110, 490), &claims) && !is_own(&claims, &claim_of(3, 110, 490), there));
    }

    #[test]
    fn a_container_that_is_gone_has_none() {
        let dir = tempfile::tempdir().unwrap();
        let (claims, box_) = (dir.path().join("ids"), dir.path().join("box"));
        fs::make_dirs(&box_).unwrap();
        take(&claims, &claim_of(1, 100, 100), &box_).unwrap();
        assert!(take(&claims, &claim_of(2, 100, 100), &box_).is_err());
        // Killed between the removal and the release, or before it was made.
        fs::remove_dir(&box_).unwrap();
        assert_eq!(held(&claims, &|_| false).unwrap(), []);
        take(&claims, &claim_of(2, 100, 100), dir.path()).unwrap();
        assert_eq!(held(&claims, &|_| false).unwrap(), [claim_of(2, 100, 100)]);
        assert!(fs::read_link(&claim_of(1, 100, 100).path(&claims)).unwrap().is_none());
        // Its store has been moved.
        take(&claims, &claim_of(3, 200, 200), &box_).unwrap();
        take(&claims, &claim_of(3, 200, 200), dir.path()).unwrap();
        assert!(is_own(&claims, &claim_of(3, 200, 200), dir.path()));
        // A copy's removal frees nothing.
        release(&claims, &claim_of(3, 200, 200), &box_);
        assert!(is_own(&claims, &claim_of(3, 200, 200), dir.path()));
        release(&claims, &claim_of(3, 200, 200), dir.path());
        release(&claims, &claim_of(2, 100, 100), dir.path());
        assert_eq!(held(&claims, &|_| false).unwrap(), []);
    }

    /// A store that was moved, or hidden by a mount, while its container runs.
    #[test]
    fn what_processes_have_is_not_free() {
        let dir = tempfile::tempdir().unwrap();
        let (claims, gone) = (dir.path().join("ids"), dir.path().join("gone"));
        let used: Used<'_> = &|claim| claim.uid == 100;
        take(&claims, &claim_of(1, 100, 100), &gone).unwrap();
        let lock = hold(&claims, Wait::FOREVER).unwrap();
        let error = claim(&lock, &claims, &claim_of(2, 105, 900), &gone, used).unwrap_err();
        assert!(error.kind() == Kind::Conflict && error.to_string().contains("0101010101"), "{error}");
        assert_eq!(held(&claims, used).unwrap(), [claim_of(1, 100, 100)]);
        // Whoever they are.
        release(&claims, &claim_of(1, 100, 100), &gone);
        let error = claim(&lock, &claims, &claim_of(2, 100, 900), &gone, used).unwrap_err();
        assert!(error.kind() == Kind::Conflict && error.to_string().contains("processes"), "{error}");
    }
}

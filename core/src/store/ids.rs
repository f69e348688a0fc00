//! Ids of the host's that one container has to itself, whichever store it is in.
//!
//! A claim is a symlink. Its name has the first user id, the first group id, how many, and the container's id; its text is
//! the container's directory, and it holds for as long as that is there: a removal, which begins by taking the directory out
//! of sight, frees the ids whatever is killed after it. Claims are written under a lock that is held until the directory is
//! there. All of it is the machine's and outlives a boot, as do files with those ids.

use std::path::{Path, PathBuf};

use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::ContainerId;
use crate::lock::{self, Lock};

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

/// Keeps others from choosing ids.
pub fn hold(claims: &Path) -> Result<Lock> {
    fs::make_dirs(claims)?;
    lock::exclusive(&claims.join("lock"))
}

/// The claims that hold.
pub fn held(claims: &Path) -> Result<Vec<Claim>> {
    let all = fs::list(claims)?.into_iter().filter_map(|name| Claim::parse(name.to_str()?));
    Ok(all.filter(|claim| holds(claims, claim)).collect())
}

/// What can't be looked at is taken to be there.
fn holds(claims: &Path, claim: &Claim) -> bool {
    match fs::read_link(&claim.path(claims)) {
        Ok(Some(dir)) => fs::exists(Path::new(&dir)).unwrap_or(true),
        Ok(None) => false,
        Err(_) => true,
    }
}

/// Claims ids for the container whose directory is, or is about to be, `dir`; those that hold no more go. The lock is held.
///
/// # Errors
/// `Conflict` when another has some of them.
pub fn claim(_held: &Lock, claims: &Path, claim: &Claim, dir: &Path) -> Result<()> {
    sweep(claims)?;
    if let Some(other) = held(claims)?.iter().find(|other| other.meets(claim)) {
        return Err(Error::new(Kind::Conflict, "claim ids", claim.id.short())
            .because(format!(
                "container {} has some of the {} ids from {} on",
                other.id.short(),
                claim.length,
                claim.uid
            ))
            .hint("create it anew, or remove the other"));
    }
    // One of its own that tells another place is that of a store that was there.
    fs::remove_file(&claim.path(claims))?;
    fs::symlink_new(&dir.display().to_string(), &claim.path(claims)).map(drop)
}

fn sweep(claims: &Path) -> Result<()> {
    for claim in fs::list(claims)?.into_iter().filter_map(|name| Claim::parse(name.to_str()?)) {
        if !holds(claims, &claim) {
            fs::remove_file(&claim.path(claims))?;
        }
    }
    Ok(())
}

/// Whether the container whose directory is `dir` still has what it was given.
pub fn is_own(claims: &Path, claim: &Claim, dir: &Path) -> bool {
    fs::read_link(&claim.path(claims)).ok().flatten().is_some_and(|text| Path::new(&text) == dir)
}

/// Frees the ids of a container whose directory is gone.
pub fn release(claims: &Path, claim: &Claim) {
    let _ = fs::remove_file(&claim.path(claims));
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim_of(seed: u8, uid: u32, gid: u32) -> Claim {
        Claim { uid, gid, length: 10, id: ContainerId::from_random([seed; 32]) }
    }

    fn take(claims: &Path, one: &Claim, dir: &Path) -> Result<()> {
        claim(&hold(claims).unwrap(), claims, one, dir)
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
        assert_eq!(held(&claims).unwrap().len(), 2);
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
        assert_eq!(held(&claims).unwrap(), []);
        take(&claims, &claim_of(2, 100, 100), dir.path()).unwrap();
        assert_eq!(held(&claims).unwrap(), [claim_of(2, 100, 100)]);
        assert!(fs::read_link(&claim_of(1, 100, 100).path(&claims)).unwrap().is_none());
        // Its store has been moved.
        take(&claims, &claim_of(3, 200, 200), &box_).unwrap();
        take(&claims, &claim_of(3, 200, 200), dir.path()).unwrap();
        assert!(is_own(&claims, &claim_of(3, 200, 200), dir.path()));
        release(&claims, &claim_of(3, 200, 200));
        release(&claims, &claim_of(2, 100, 100));
        assert_eq!(held(&claims).unwrap(), []);
    }
}

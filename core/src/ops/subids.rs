//! The form of a plain user's layers, which tells the ids that their files have on the disk.
//!
//! An older version had them in one form whatever the ids. That one stays with the ids that it was written with: a link from
//! their name to it notes that, and a directory of that name that it was written with others.

use std::ffi::OsStr;
use std::os::fd::AsFd;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use super::Context;
use crate::api::Rung;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{Digest, Name};
use crate::layer::{self, FILES};
use crate::paths::Paths;
use crate::plan::launch::{Extent, IdMap};
use crate::plan::userns;
use crate::store::containers::Record;

/// Of whatever ids.
const UNNAMED: &str = "subids";

/// The form for these ids.
pub(super) fn form(paths: &Paths, map: &IdMap) -> Result<Name> {
    let named: Name = userns::subids_form(map).parse()?;
    let place = paths.layers().join(named.as_str());
    if is_unnamed(&place)? {
        return UNNAMED.parse();
    }
    let decided = fs::exists(&place)? || !fs::exists(&paths.layers().join(UNNAMED))?;
    if decided || !adopt(paths, map, &place)? { Ok(named) } else { UNNAMED.parse() }
}

fn is_unnamed(place: &Path) -> Result<bool> {
    Ok(fs::read_link(place)?.is_some_and(|to| to == UNNAMED))
}

/// Decides whose an older version's layers are. A note that can't be written is made by the next who asks.
fn adopt(paths: &Paths, map: &IdMap, place: &Path) -> Result<bool> {
    let dir = paths.layers();
    for name in fs::list(&dir)? {
        if is_unnamed(&dir.join(name))? {
            let _ = fs::make_dir(place);
            return Ok(false);
        }
    }
    let unnamed = dir.join(UNNAMED);
    let all = fs::list(&unnamed)?;
    let fits = all.iter().all(|layer| fits(&unnamed.join(layer), map));
    let _ = if fits { fs::symlink_new(UNNAMED, place) } else { fs::make_dir(place) };
    Ok(fits)
}

/// Whether a layer's files have these ids. One whose files are all root's has them in any case, and so has one that tells
/// nothing.
fn fits(layer: &Path, map: &IdMap) -> bool {
    first_owner(layer).ok().flatten().is_none_or(|(said, found)| {
        let outside = (outside(&map.uids, said.0), outside(&map.gids, said.1));
        outside == (Some(found.0), Some(found.1))
    })
}

type Ids = (u32, u32);

/// Of the first file that is not root's and can be looked at: its owner by the image, and on the disk.
fn first_owner(layer: &Path) -> Result<Option<(Ids, Ids)>> {
    let mut debts = layer::owed(fs::open_dir(layer)?.as_fd())?;
    while let Some(owed) = debts.next()? {
        for owner in owed.owners.iter().filter(|owner| (owner.uid, owner.gid) != (0, 0)) {
            if let Some(found) = fs::owners(&layer.join(FILES).join(OsStr::from_bytes(&owner.path))) {
                return Ok(Some(((owner.uid, owner.gid), found)));
            }
        }
    }
    Ok(None)
}

fn outside(map: &[Extent], id: u32) -> Option<u32> {
    let of =
        |extent: &Extent| id.checked_sub(extent.inside).filter(|at| *at < extent.length).map(|at| extent.outside + at);
    map.iter().find_map(of)
}

/// Refuses a container whose files have other ids than this user has now: they would be nobody's in it.
pub(super) fn check(context: &Context, record: &Record) -> Result<()> {
    if record.rung != Rung::SubIds || record.spec.ids.is_some() {
        return Ok(());
    }
    let form = context.form()?;
    if record.form == form || is_of(context, record)? {
        return Ok(());
    }
    Err(Error::new(Kind::Conflict, "start container", record.name.as_str())
        .because(format!("its files have the ids of another range than this user's ({} and not {form})", record.form))
        .hint("give this user that range again in /etc/subuid and /etc/subgid, or create the container anew"))
}

/// Whether all layers of a container of an older version have this user's ids.
fn is_of(context: &Context, record: &Record) -> Result<bool> {
    let Some(map) = context.facts()?.id_map.as_ref().filter(|_| record.form.as_str() == UNNAMED) else {
        return Ok(false);
    };
    let dir = |diff_id: &Digest| context.paths.layer(&record.form, diff_id);
    Ok(record.layers.iter().all(|diff_id| fits(&dir(diff_id), map)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(first: u32) -> IdMap {
        let one = |own| {
            vec![Extent { inside: 0, outside: own, length: 1 }, Extent { inside: 1, outside: first, length: 65_536 }]
        };
        IdMap { uids: one(1000), gids: one(1001), helpers: None }
    }

    fn store() -> (tempfile::TempDir, Paths) {
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        paths.make().unwrap();
        (dir, paths)
    }

    /// A layer of an older version, in which `f` should be the image's user's `uid` and is whoever's who runs this.
    fn layer(paths: &Paths, seed: u8, uid: u32) {
        let digest = Digest::from_sha256([seed; 32]);
        let dir = paths.layer(&UNNAMED.parse().unwrap(), &digest);
        fs::make_dirs(&dir.join(FILES)).unwrap();
        fs::write_new(&dir.join(FILES).join("f"), b"").unwrap();
        let told = if uid == 0 { String::new() } else { format!("o {uid} 0 100644 f\0") };
        fs::write_new(&dir.join(layer::SIDECAR), format!("sampan-layer 1\0{told}").as_bytes()).unwrap();
    }

    #[test]
    fn a_new_store_has_a_form_for_each_range() {
        let (_dir, paths) = store();
        let told = |first| form(&paths, &map(first)).unwrap().to_string();
        assert_eq!(told(400_000), "subids-1000-1001-400000-400000");
        assert_eq!(told(500_000), "subids-1000-1001-500000-500000");
        assert_eq!(fs::list(&paths.layers()).unwrap(), Vec::<std::ffi::OsString>::new());
    }

    #[test]
    fn an_older_one_stays_with_whom_it_was_written_for() {
        let own = (nix::unistd::geteuid().as_raw(), nix::unistd::getegid().as_raw());
        // Whoever runs this is the image's user 7 by this map, and its group 0.
        let mine = |inside| IdMap {
            uids: vec![Extent { inside, outside: own.0, length: 1 }],
            gids: vec![Extent { inside: 0, outside: own.1, length: 1 }, Extent { inside: 1, outside: 9, length: 1 }],
            helpers: None,
        };
        let (_dir, paths) = store();
        layer(&paths, 1, 0);
        layer(&paths, 2, 7);
        let told = |map: &IdMap| form(&paths, map).unwrap().to_string();
        // Twice, as the first look is noted.
        for _ in 0..2 {
            assert_ne!(told(&map(400_000)), UNNAMED);
        }
        for _ in 0..2 {
            assert_eq!(told(&mine(7)), UNNAMED);
            layer(&paths, 3 + fs::list(&paths.layers().join(UNNAMED)).unwrap().len() as u8, 8);
        }
        let (_dir, paths) = store();
        layer(&paths, 1, 0);
        // It may be anybody's, and is then no other's.
        let told = |first| form(&paths, &map(first)).unwrap().to_string();
        assert_eq!([told(400_000), told(400_000)], [UNNAMED, UNNAMED]);
        assert_eq!(told(500_000), "subids-1000-1001-500000-500000");
    }
}

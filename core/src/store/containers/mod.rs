//! Containers on disk: what they were created as, which process runs them, how they ended.
//!
//! `record.json` is the host's, `state.json` and `exit.json` are the shim's. What a container is doing
//! is derived, never stored: a shim holds `lock` for as long as it lives, so a `kill -9` of anything
//! leaves nothing to repair.

mod foreign;
mod names;
mod owner;
mod place;
mod run;

use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStrExt;
use std::path::PathBuf;

use serde::{Deserialize, Serialize};

use self::names::{claim, release, release_name};
use super::tmp::{self, Temp};
use super::{crash, events, liveness, record};
use crate::api::{RunOptions, Rung, Tie};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Digest, Name};
use crate::lock;
use crate::paths::{ContainerPaths, Paths};
use crate::spec::Spec;

pub use self::foreign::{Core, core, cores, held, is_damaged, unusable};
pub use self::names::{claimed_name, owner_of};
pub use self::owner::Owner;
pub use self::place::Whose;
pub use self::run::{Cgroups, Container, Exit, Oom, State};

/// The version of the records that this library writes, but for those of [`version`].
pub const VERSION: u32 = record::VERSION;

/// The version that a container's record is written with. One that did not know of ids of its own would run it as the host's
/// root.
pub fn version(spec: &Spec) -> u32 {
    if spec.ids.is_some() { record::MAPPED } else { VERSION }
}

/// `record.json`: what a container was created as.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Record {
    /// See [`version`].
    pub version: u32,
    /// Its id.
    pub id: ContainerId,
    /// Its name.
    pub name: Name,
    /// RFC 3339.
    pub created_at: String,
    /// The image as it was asked for.
    pub image: String,
    /// Digest of the image's config.
    pub image_id: Digest,
    /// Digest of the image's manifest.
    pub manifest: Digest,
    /// Diff ids of the image's layers, lowest first.
    pub layers: Vec<Digest>,
    /// The form that its layers are unpacked in.
    pub form: Name,
    /// The rung that it was created on.
    pub rung: Rung,
    /// Limits that could not be enforced when it was created.
    pub unenforced: Vec<String>,
    /// Options as given.
    pub options: RunOptions,
    /// As resolved.
    pub spec: Spec,
}

/// Writes a new container; it appears whole, with its name, or not at all.
pub fn create(paths: &Paths, record: &Record) -> Result<()> {
    create_with(paths, record, |_| Ok(()))
}

/// The same for one that is started at once. It is held from the first instant it is seen: should this process
/// die before the start, nobody holds it, and it is told from one that was only to be created.
pub fn create_held(paths: &Paths, record: &Record) -> Result<OwnedFd> {
    create_with(paths, record, |staged| liveness::hold_half_made(&staged.lock(), record.name.as_str()))
}

fn create_with<T>(paths: &Paths, record: &Record, prepare: impl FnOnce(&ContainerPaths) -> Result<T>) -> Result<T> {
    let staged = Temp::dir_named(paths, record.id.as_str())?;
    crash::point("container staged");
    let at = ContainerPaths::at(staged.path().to_owned());
    let made = fill(&at, record).and_then(|()| prepare(&at)).and_then(|prepared| {
        // The directory is locked by now, which tells others that the claim's owner lives.
        claim(paths, "create container", &record.name, &record.id).map(|()| prepared)
    });
    let prepared = made.inspect_err(|_| empty(&at))?;
    crash::point("name claimed");
    // An id is 32 random bytes: nothing can be there.
    staged.place(paths.container(&record.id).dir()).inspect_err(|_| release(paths, record))?;
    crash::point("container placed");
    Ok(prepared)
}

/// Takes back what [`fill`] has made, without a descriptor: of those there may be no more.
fn empty(staged: &ContainerPaths) {
    let _ = (fs::remove_file(&staged.record()), fs::remove_file(&staged.lock()));
    let _ = (fs::remove_dir(&staged.work()), fs::remove_dir(&staged.upper()));
}

fn fill(staged: &ContainerPaths, record: &Record) -> Result<()> {
    fs::make_dirs(&staged.upper())?;
    // Its mode is the mode of the container's root: closed, it would keep out every user but root.
    fs::open_to_all(&staged.upper())?;
    fs::make_dirs(&staged.work())?;
    fs::write_new(&staged.lock(), &liveness::text(goes(&record.spec)))?;
    fs::write_new(&staged.record(), &record::encode(&staged.record(), record)?)
}

/// What takes a container away once it has run.
fn goes(spec: &Spec) -> liveness::Goes {
    match spec.tie {
        _ if spec.auto_remove => liveness::Goes::ByItself,
        Tie::Host => liveness::Goes::WithItsOwner,
        _ => liveness::Goes::Never,
    }
}

/// Changes a container's record. Nobody else does between the reading and the writing: what they had changed would
/// be lost. Nothing is written when `edit` fails.
pub fn change<T>(paths: &Paths, id: &ContainerId, edit: impl FnOnce(&mut Record) -> Result<T>) -> Result<T> {
    let guard = lock(paths, id)?;
    change_locked(&guard, paths, id, edit)
}

/// The same by who keeps all others from it already, by [`lock`].
pub fn change_locked<T>(
    _guard: &lock::Lock,
    paths: &Paths,
    id: &ContainerId,
    edit: impl FnOnce(&mut Record) -> Result<T>,
) -> Result<T> {
    let mut record = record::read::<Record>(&paths.container(id).record())?.ok_or_else(|| gone(id))?;
    let edited = edit(&mut record)?;
    write(paths, &record).map(|()| edited)
}

/// Waits until nobody changes a container's record, and keeps all from it.
pub fn lock(paths: &Paths, id: &ContainerId) -> Result<lock::Lock> {
    lock::exclusive(&paths.container(id).record_lock()).map_err(|e| or_gone(id, e))
}

fn lock_record(paths: &Paths, id: &ContainerId) -> Result<(lock::Lock, Record)> {
    let guard = lock(paths, id)?;
    let record = record::read::<Record>(&paths.container(id).record())?.ok_or_else(|| gone(id))?;
    Ok((guard, record))
}

/// Where the directory is missing, the container is.
fn or_gone(id: &ContainerId, e: Error) -> Error {
    if e.errno() == Some(libc::ENOENT) { gone(id) } else { e }
}

fn gone(id: &ContainerId) -> Error {
    Error::new(Kind::NotFound, "find container", id.short()).because("it was removed meanwhile")
}

fn write(paths: &Paths, record: &Record) -> Result<()> {
    let at = paths.container(&record.id);
    let staged = at.dir().join(".record.json");
    fs::replace(&at.record(), &staged, &record::encode(&at.record(), record)?).map_err(|e| or_gone(&record.id, e))
}

/// Gives a container another name; returns its record from then on, and the name before.
pub fn rename(paths: &Paths, id: &ContainerId, name: Name) -> Result<(Record, Name)> {
    let (_guard, mut record) = lock_record(paths, id)?;
    let old = std::mem::replace(&mut record.name, name);
    if old == record.name {
        return Ok((record, old));
    }
    claim(paths, "rename container", &record.name, id)?;
    write(paths, &record).inspect_err(|_| release(paths, &record))?;
    tell_shim(paths, &record);
    release_name(paths, &old, id)?;
    Ok((record, old))
}

/// A shim that does not hear of the new name tells events by the old one, and leaves a claim that nobody owns.
fn tell_shim(paths: &Paths, record: &Record) {
    let (at, claim) = (paths.container(&record.id), paths.name(&record.name));
    let text = [claim.as_os_str().as_bytes(), b"\0", events::of_container(record).as_bytes()].concat();
    let _ = fs::replace(&at.renamed(), &at.dir().join(".renamed"), &text);
}

/// All ids, unordered.
pub fn ids(paths: &Paths) -> Result<Vec<ContainerId>> {
    let names = fs::list(&paths.containers())?;
    Ok(names.iter().filter_map(|n| n.to_str()?.parse().ok()).collect())
}

/// Reads a container; `None` when there is no such container.
pub fn load(paths: &Paths, id: &ContainerId) -> Result<Option<Container>> {
    let at = paths.container(id);
    let Some(record) = record::read::<Record>(&at.record())? else { return Ok(None) };
    // The lock first: a shim writes its records before it lets go, so what is then read is complete.
    let held = liveness::is_held(&at.lock())?;
    // Nobody syncs the shim's records, so a crash of the machine may leave empty ones.
    let mut damaged = false;
    // The exit first: the state that is there when it is written says what comes of it.
    let exit = record::read_noting_damage(&at.exit(), &mut damaged)?;
    let state = record::read_noting_damage::<State>(&at.state(), &mut damaged)?;
    // Who has begun to start a copy has not put away yet what runs the other.
    let is_own = |state: &State| !held || state.is_of(at.dir()) || place::is_of_holder(state, &at);
    let (there, state) = (state.is_some(), state.filter(is_own));
    let foreign = there && state.is_none();
    Ok(Some(Container { record, state, exit, held, damaged, foreign }))
}

/// Who runs a container whose record can't be used, as far as that can be told.
pub fn state(paths: &Paths, id: &ContainerId) -> Result<Option<State>> {
    record::read_known_part(&paths.container(id).state())
}

/// What the shim has found of a container's health; `None` as long as that is nothing.
pub fn health<T: serde::de::DeserializeOwned>(paths: &Paths, id: &ContainerId) -> Result<Option<T>> {
    record::read_if_usable(&paths.container(id).health())
}

/// Forgets the last run, before a new one.
pub fn clear_run(paths: &Paths, id: &ContainerId) -> Result<()> {
    let at = paths.container(id);
    fs::remove_file(&at.exit())?;
    fs::remove_file(&at.health())?;
    fs::remove_file(&at.lost())?;
    fs::remove_file(&at.state()).map(drop)
}

/// The records of all containers, but for damaged ones, and those that can't be read.
pub fn records_in_use(paths: &Paths) -> Result<(Vec<Record>, Vec<Error>)> {
    let mut alive = Vec::new();
    for id in ids(paths)? {
        let at = paths.container(&id);
        let read = record::read::<Record>(&at.record());
        if read.is_ok() || !is_damaged(paths, &id) || liveness::is_held(&at.lock())? {
            alive.push(read);
        }
    }
    Ok(record::sorted_out(alive.into_iter()))
}

/// Takes a container out of sight and frees its name; what is returned is the caller's to delete, `None`
/// when another took it.
pub fn unlist(paths: &Paths, record: &Record) -> Result<Option<PathBuf>> {
    // The name first: once the directory is gone, its claim may be taken over at any time.
    release_name(paths, &record.name, &record.id)?;
    crash::point("name released");
    let trash = tmp::trash(paths, paths.container(&record.id).dir());
    crash::point("container unlinked");
    trash
}

/// The same for one whose record can't be used.
pub fn unlist_unusable(paths: &Paths, id: &ContainerId) -> Result<Option<PathBuf>> {
    if let Some(name) = claimed_name(paths, id)? {
        release_name(paths, &name, id)?;
    }
    tmp::trash(paths, paths.container(id).dir())
}

#[cfg(test)]
pub(crate) mod tests {
    use super::foreign::Unusable;
    use super::*;
    use crate::api::Status;

    struct Store {
        _dir: tempfile::TempDir,
        paths: Paths,
    }

    fn store() -> Store {
        let dir = tempfile::tempdir().unwrap();
        let at = |s: &str| dir.path().join(s).display().to_string();
        let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
        paths.make().unwrap();
        Store { _dir: dir, paths }
    }

    #[test]
    fn a_name_that_is_taken_is_told_by_what_wanted_it() {
        let store = store();
        for (seed, name) in [(1, "one"), (2, "two")] {
            create(&store.paths, &record(seed, name)).unwrap();
        }
        let error = create(&store.paths, &record(3, "one")).unwrap_err().to_string();
        assert!(error.starts_with("create container one: the name is in use by container 0101"), "{error}");
        let error = rename(&store.paths, &record(2, "two").id, "one".parse().unwrap()).unwrap_err().to_string();
        assert!(error.starts_with("rename container one: the name is in use by container 0101"), "{error}");
    }

    pub(crate) fn record(seed: u8, name: &str) -> Record {
        Record {
            version: VERSION,
            id: ContainerId::from_random([seed; 32]),
            name: name.parse().unwrap(),
            created_at: "2024-01-01T00:00:00Z".into(),
            image: "busybox".into(),
            image_id: Digest::from_sha256([1; 32]),
            manifest: Digest::from_sha256([2; 32]),
            layers: vec![Digest::from_sha256([3; 32])],
            form: "root".parse().unwrap(),
            rung: Rung::Root,
            unenforced: Vec::new(),
            options: RunOptions::default(),
            spec: Spec::default(),
        }
    }

    fn status(store: &Store, id: &ContainerId) -> Status {
        load(&store.paths, id).unwrap().unwrap().status()
    }

    #[test]
    fn a_name_has_one_owner() {
        let store = store();
        create(&store.paths, &record(1, "db")).unwrap();
        let error = create(&store.paths, &record(2, "db")).unwrap_err();
        assert_eq!(error.kind(), Kind::AlreadyExists);
        assert!(error.to_string().contains("0101010101"), "{error}");
        assert_eq!(ids(&store.paths).unwrap().len(), 1);
        assert!(fs::list(&store.paths.tmp()).unwrap().is_empty());
    }

    /// The options refuse what they do not know, and so did those of all older versions.
    #[test]
    fn a_record_has_only_what_was_asked_for() {
        let store = store();
        let mounts = vec![crate::api::Mount { source: "/a".into(), target: "/b".into(), ..Default::default() }];
        let options = RunOptions { image: "busybox".into(), memory: Some(0), mounts, ..RunOptions::default() };
        create(&store.paths, &Record { options: options.clone(), ..record(1, "a") }).unwrap();
        let path = store.paths.container(&record(1, "a").id).record();
        let text = fs::read_bounded(&path, 1 << 20).unwrap();
        let json: serde_json::Value = serde_json::from_slice(&text).unwrap();
        let expected =
            serde_json::json!({"image": "busybox", "memory": 0, "mounts": [{"source": "/a", "target": "/b"}]});
        assert_eq!((&json["options"], &json["version"]), (&expected, &serde_json::json!(1)));
        assert_eq!(load(&store.paths, &record(1, "a").id).unwrap().unwrap().record.options, options);
        // Elsewhere they are told whole.
        assert!(serde_json::to_value(&options).unwrap().get("privileged").is_some());
        let own = Spec { ids: Some(Default::default()), ..Spec::default() };
        assert_eq!((version(&own), version(&Spec::default())), (2, 1));
        let mapped = Record { version: version(&own), spec: own, ..record(2, "b") };
        create(&store.paths, &mapped).unwrap();
        assert_eq!(load(&store.paths, &mapped.id).unwrap().unwrap().record.spec, mapped.spec);
    }

    #[test]
    fn what_a_later_version_has_added_is_no_damage() {
        let store = store();
        create(&store.paths, &record(1, "a")).unwrap();
        let (id, path) = (record(1, "a").id, store.paths.container(&record(1, "a").id).record());
        let text = String::from_utf8(fs::read_bounded(&path, 1 << 20).unwrap()).unwrap();
        let cases = [("\"options\":{}", "\"options\":{\"new\":1}"), ("\"rung\":\"root\"", "\"rung\":\"new\"")];
        for (old, new) in cases.into_iter().chain([("\"version\":1", "\"version\":3")]) {
            let newer = text.replacen(old, new, 1);
            assert_ne!(newer, text);
            fs::replace(&path, &path.with_extension("new"), newer.as_bytes()).unwrap();
            let error = load(&store.paths, &id).unwrap_err().to_string();
            assert!(error.contains("use a newer Sampan") && !is_damaged(&store.paths, &id), "{error}");
            assert_eq!(unusable(&store.paths, &id), Some(Unusable::Newer));
            assert_eq!(cores(&store.paths).unwrap()[0].image_id, record(1, "a").image_id);
        }
        fs::replace(&path, &path.with_extension("new"), &text.as_bytes()[..text.len() / 2]).unwrap();
        assert!(is_damaged(&store.paths, &id));
    }

    #[test]
    fn a_claim_that_a_crash_left_is_taken_over() {
        let store = store();
        let dead = ContainerId::from_random([9; 32]);
        fs::symlink_new(dead.as_str(), &store.paths.name(&"db".parse().unwrap())).unwrap();
        create(&store.paths, &record(1, "db")).unwrap();
        assert_eq!(owner_of(&store.paths, &"db".parse().unwrap()).unwrap(), Some(record(1, "db").id));
    }

    #[test]
    fn a_claim_of_a_container_in_the_making_holds_until_its_maker_dies() {
        let store = store();
        let making = record(9, "db");
        let staged = Temp::dir_named(&store.paths, making.id.as_str()).unwrap();
        claim(&store.paths, "create container", &making.name, &making.id).unwrap();
        assert_eq!(create(&store.paths, &record(1, "db")).unwrap_err().kind(), Kind::AlreadyExists);
        std::mem::forget(fs::rename(staged.path(), &store.paths.tmp().join("elsewhere")));
        create(&store.paths, &record(1, "db")).unwrap();
        // What the dead one's removal releases is no longer its own.
        unlist(&store.paths, &making).unwrap();
        assert_eq!(owner_of(&store.paths, &making.name).unwrap(), Some(record(1, "db").id));
    }

    #[test]
    fn one_of_many_gets_a_name() {
        let store = store();
        let paths = &store.paths;
        let dead = ContainerId::from_random([250; 32]);
        for round in 0..20 {
            // Each round begins with a stale claim, which all of them find.
            let name: Name = format!("n{round}").parse().unwrap();
            fs::symlink_new(dead.as_str(), &store.paths.name(&name)).unwrap();
            let makers = (1..=6u8).map(|seed| (seed + round * 6, name.as_str()));
            let won = std::thread::scope(|scope| {
                let threads: Vec<_> = makers
                    .map(|(seed, name)| scope.spawn(move || create(paths, &record(seed, name)).is_ok()))
                    .collect();
                threads.into_iter().map(|t| t.join().unwrap()).filter(|won| *won).count()
            });
            assert_eq!(won, 1);
        }
        assert_eq!(ids(&store.paths).unwrap().len(), 20);
    }

    #[test]
    fn a_rename_frees_the_old_name_and_keeps_it_when_the_new_one_is_taken() {
        let store = store();
        let (a, b) = (record(1, "a"), record(2, "b"));
        create(&store.paths, &a).unwrap();
        create(&store.paths, &b).unwrap();
        assert!(rename(&store.paths, &a.id, "b".parse().unwrap()).is_err());
        assert_eq!(owner_of(&store.paths, &"a".parse().unwrap()).unwrap(), Some(a.id.clone()));
        rename(&store.paths, &a.id, "c".parse().unwrap()).unwrap();
        assert_eq!(owner_of(&store.paths, &"a".parse().unwrap()).unwrap(), None);
        assert_eq!(load(&store.paths, &a.id).unwrap().unwrap().record.name.as_str(), "c");
    }

    #[test]
    fn changes_at_the_same_time_lose_none() {
        let store = store();
        let id = &record(1, "a").id;
        create(&store.paths, &record(1, "a")).unwrap();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let paths = &store.paths;
                scope.spawn(move || {
                    for round in 0..25 {
                        let added = format!("{thread}-{round}");
                        change(paths, id, |record| {
                            record.unenforced.push(added);
                            Ok(())
                        })
                        .unwrap();
                        rename(paths, id, format!("n{thread}-{round}").parse().unwrap()).unwrap();
                    }
                });
            }
        });
        let record = load(&store.paths, id).unwrap().unwrap().record;
        assert_eq!(record.unenforced.len(), 100);
        assert_eq!(fs::list(&store.paths.names()).unwrap(), [record.name.as_str()]);
        let refused = change(&store.paths, id, |record| {
            record.unenforced.clear();
            Err::<(), _>(Error::new(Kind::Conflict, "refuse", ""))
        });
        assert_eq!(refused.unwrap_err().kind(), Kind::Conflict);
        assert_eq!(load(&store.paths, id).unwrap().unwrap().record.unenforced.len(), 100);
        let nobody = ContainerId::from_random([9; 32]);
        assert_eq!(change(&store.paths, &nobody, |_| Ok(())).unwrap_err().kind(), Kind::NotFound);
        let removed_meanwhile = change(&store.paths, id, |record| Ok(unlist(&store.paths, record).map(drop)));
        let error = removed_meanwhile.unwrap_err();
        assert!(error.kind() == Kind::NotFound && error.to_string().contains("removed meanwhile"), "{error}");
    }

    #[test]
    fn status_is_derived_from_the_lock_and_the_shims_records() {
        let store = store();
        let id = record(1, "a").id;
        create(&store.paths, &record(1, "a")).unwrap();
        let at = store.paths.container(&id);
        assert_eq!(status(&store, &id), Status::Created);
        let held = liveness::hold(&at.lock(), "a").unwrap();
        assert_eq!(status(&store, &id), Status::Created);
        let state = r#"{"version":1,"boot_id":"b","machine_id":"m","pid":7,"pid_start":1,"shim_pid":6,"shim_start":1,"started_at":"t"}"#;
        fs::write_new(&at.state(), state.as_bytes()).unwrap();
        assert_eq!(status(&store, &id), Status::Running);
        drop(held);
        assert_eq!(status(&store, &id), Status::Dead);
        fs::write_new(&at.exit(), br#"{"version":1,"code":3,"signal":null,"finished_at":"t"}"#).unwrap();
        assert_eq!(status(&store, &id), Status::Exited);
        clear_run(&store.paths, &id).unwrap();
        assert_eq!(status(&store, &id), Status::Created);
    }

    #[test]
    fn a_newer_record_is_refused_and_left_as_it_is() {
        let store = store();
        let id = record(1, "a").id;
        create(&store.paths, &record(1, "a")).unwrap();
        let at = store.paths.container(&id).record();
        fs::remove_file(&at).unwrap();
        fs::write_new(&at, br#"{"version":2,"new":true}"#).unwrap();
        let error = load(&store.paths, &id).unwrap_err();
        assert_eq!(error.kind(), Kind::Store);
        assert!(error.to_string().contains("version 2"), "{error}");
        assert_eq!(fs::read_bounded(&at, 100).unwrap(), br#"{"version":2,"new":true}"#);
    }
}

//! Names: each is claimed by a symlink whose text is the id of the container that has it.

use super::Record;
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::id::{ContainerId, Name};
use crate::lock;
use crate::paths::Paths;
use crate::store::tmp;

/// Takes a name: the symlink is made exclusively, and whole from the first instant. An error says what it was wanted for.
pub(super) fn claim(paths: &Paths, what_for: &'static str, name: &Name, id: &ContainerId) -> Result<()> {
    // The lock is needed to give the name up, and then there may be no room for it.
    fs::open_or_create(&paths.names_lock())?;
    if fs::symlink_new(id.as_str(), &paths.name(name))? {
        return Ok(());
    }
    // Only under the lock may a claim be found stale, or two finders would each remove the other's new one.
    let _guard = lock::exclusive(&paths.names_lock())?;
    loop {
        if let Some(owner) = owner_of(paths, name)? {
            return Err(Error::new(Kind::AlreadyExists, what_for, name.as_str())
                .because(format!("the name is in use by container {}", owner.short()))
                .hint("remove or rename that container, or choose another name"));
        }
        fs::remove_file(&paths.name(name))?;
        // Whoever finds no claim makes one without the lock, and may have come first.
        if fs::symlink_new(id.as_str(), &paths.name(name))? {
            return Ok(());
        }
    }
}

/// Gives up the name of a record that did not come to be.
pub(super) fn release(paths: &Paths, record: &Record) {
    let _ = release_name(paths, &record.name, &record.id);
}

/// Removes the claim if it is still this container's; under the lock, so that it does not become another's
/// between the look and the removal.
pub(super) fn release_name(paths: &Paths, name: &Name, id: &ContainerId) -> Result<()> {
    let _guard = lock::exclusive(&paths.names_lock())?;
    match fs::read_link(&paths.name(name))?.as_deref() == Some(id.as_str()) {
        true => fs::remove_file(&paths.name(name)).map(drop),
        false => Ok(()),
    }
}

/// The container that has a name; `None` when none has, or its claim was left by a crash.
pub fn owner_of(paths: &Paths, name: &Name) -> Result<Option<ContainerId>> {
    let Some(Ok(id)) = fs::read_link(&paths.name(name))?.map(|text| text.parse::<ContainerId>()) else {
        return Ok(None);
    };
    // In this order: one that is put in place between the two looks is seen by the second.
    let making = tmp::is_busy(&paths.tmp().join(id.as_str()))?;
    Ok((making || fs::exists(paths.container(&id).dir())?).then_some(id))
}

/// The name that a container has by its claim, for one whose record is damaged.
pub fn claimed_name(paths: &Paths, id: &ContainerId) -> Result<Option<Name>> {
    for name in fs::list(&paths.names())? {
        let Some(name) = name.to_str().and_then(|n| n.parse::<Name>().ok()) else { continue };
        if fs::read_link(&paths.name(&name))?.as_deref() == Some(id.as_str()) {
            return Ok(Some(name));
        }
    }
    Ok(None)
}

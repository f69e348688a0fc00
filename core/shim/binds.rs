//! Binds made before there is a container, where its root could not make them: their source is closed to it, or they
//! have id maps of their own, which only the root of where the file system was mounted may set.

use core::ffi::CStr;

use crate::fail::{At, Outcome};
use crate::idmap;
use crate::memory;
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Errno, Fd, MountAttr};
use crate::wire::{Launch, Mount, MountIdMap, MountSource, Step};

/// The trees by their mounts' places in the plan; 0 for other mounts. `all` of the binds when the container's root is
/// somebody else, and else those with maps.
pub fn make_all(launch: &Launch<'static>, all: bool) -> Outcome<&'static [usize]> {
    if !all && launch.mounts.iter().all(|mount| mount.id_map.is_none()) {
        return Ok(&[]);
    }
    let trees = memory::words(launch.mounts.len()).step(Step::MapMount)?;
    for (tree, mount) in trees.iter_mut().zip(launch.mounts.iter()) {
        if let MountSource::Bind(path, recursive) = mount.source {
            *tree = match mount.id_map {
                Some(map) => mapped(&mount, &map, path, recursive)? as usize,
                None if all => plain(path, recursive)?,
                None => 0,
            };
        }
    }
    Ok(trees)
}

fn plain(path: &'static CStr, recursive: bool) -> Outcome<usize> {
    match sys::open_tree_clone(AT_FDCWD, path, recursive, 0) {
        // A plain user may not here, but there.
        Err(Errno::EPERM) => Ok(0),
        other => other.at(Step::MountSource, path).map(|tree| tree as usize),
    }
}

fn mapped(mount: &Mount<'static>, map: &MountIdMap<'static>, path: &'static CStr, recursive: bool) -> Outcome<Fd> {
    let tree = sys::open_tree_clone(AT_FDCWD, path, recursive, 0).at(Step::MapMount, mount.target)?;
    let namespace = idmap::namespace(map)?;
    let attr = MountAttr { set: sys::MOUNT_ATTR_IDMAP, userns_fd: namespace as u64, ..MountAttr::default() };
    let all = if map.recursive { AT_RECURSIVE } else { 0 };
    let done = sys::mount_setattr(tree, c"", AT_EMPTY_PATH | all, &attr).at(Step::MapMount, mount.target);
    let _ = sys::close(namespace);
    done.map(|()| tree)
}

//! The plan's mounts: each source becomes a detached mount, which is moved onto the resolved target.

use core::ffi::CStr;

use crate::copy;
use crate::fail::{At, Fail, Outcome};
use crate::fill;
use crate::near::Near;
use crate::other;
use crate::scratch::Scratch;
use crate::sys::{self, AT_EMPTY_PATH, AT_FDCWD, AT_RECURSIVE, Errno, Fd, MountAttr};
use crate::target::{self, Missing};
use crate::text::Text;
use crate::wire::{Launch, List, Mount, MountSource, Step};

/// All of a plan, in its order.
/// `binds` are trees that were made outside, by their mounts' places in the plan, 0 for others; behind all there may be
/// those through which they are filled. `states` tell the volumes' states (`fill.rs`).
pub fn apply_all(
    root: Fd,
    launch: &Launch<'static>,
    scratch: &mut Scratch,
    binds: &[usize],
    states: &[usize],
) -> Outcome {
    let (mut near, count) = (Near::new(), launch.mounts.len());
    let all = launch.mounts.iter().enumerate().try_for_each(|(at, mount)| {
        let given = |fds: &[usize], at: usize| fds.get(at).map(|fd| *fd as Fd).filter(|fd| *fd > 0);
        let (made, state) = (|at| given(binds, at), given(states, at));
        match made(at) {
            Some(tree) => attach_made(root, &mount, (tree, made(count + at), state), &mut near),
            None => apply(root, &mount, state, scratch, &mut near),
        }
    });
    near.forget();
    fill::close_states(states);
    all
}

/// One mount; an optional one that fails is skipped, one with a fallback is replaced by it.
fn apply(root: Fd, mount: &Mount<'static>, state: Option<Fd>, scratch: &mut Scratch, near: &mut Near) -> Outcome {
    let failed = match source(mount, scratch).and_then(|tree| attach(root, mount, (tree, state), near)) {
        Ok(()) => return Ok(()),
        Err(fail) => fail,
    };
    match mount.fallback {
        // A hostile target stays hostile whatever is to be mounted there.
        Some(path) if failed.step != Step::Hostile => {
            let bind = Mount { source: MountSource::Bind(path, true), recursive_attributes: true, ..*mount };
            source(&bind, scratch).and_then(|tree| attach(root, &bind, (tree, None), near)).or(skip(mount, failed))
        }
        _ => skip(mount, failed),
    }
}

fn skip(mount: &Mount<'static>, failed: Fail) -> Outcome {
    if mount.optional && failed.step != Step::Hostile { Ok(()) } else { Err(failed) }
}

fn source(mount: &Mount<'static>, scratch: &mut Scratch) -> Outcome<Fd> {
    match mount.source {
        MountSource::Fs(fstype, options) => {
            // What is to be filled is made read-only afterwards.
            let later = if mount.copy_up { sys::MOUNT_ATTR_RDONLY } else { 0 };
            let tree = new_fs(fstype, &options, mount.attributes & !later).at(Step::MountFs, mount.target)?;
            set_below(tree, mount)?;
            Ok(tree)
        }
        MountSource::Bind(path, recursive) => bind(mount, path, recursive),
        MountSource::File(content, mode) => {
            let tree = scratch.file(content, mode).at(Step::Scratch, mount.target)?;
            set_attributes(tree, mount, false)?;
            Ok(tree)
        }
        MountSource::Memory(namespace, path) => {
            let tree = other::memory(namespace, path).at(Step::MountSource, path)?;
            set_attributes(tree, mount, false)?;
            Ok(tree)
        }
    }
}

fn new_fs(fstype: &CStr, options: &List<'static, (&'static CStr, &'static CStr)>, attributes: u64) -> sys::Result<Fd> {
    let context = sys::fsopen(fstype)?;
    let made = (|| {
        // Else the mount table shows "none".
        if !options.iter().any(|(key, _)| key == c"source") {
            sys::fsconfig_set(context, c"source", fstype)?;
        }
        let takes = |key: &CStr| key != LABEL || fstype != c"mqueue";
        options
            .iter()
            .filter(|(key, _)| takes(key))
            .try_for_each(|(key, value)| sys::fsconfig_set(context, key, value))?;
        sys::fsconfig_create(context)?;
        let tree = sys::fsmount(context, attributes)?;
        options.iter().filter(|(key, _)| !takes(key)).try_for_each(|(_, label)| give_label(tree, label))?;
        Ok(tree)
    })();
    let _ = sys::close(context);
    made
}

/// The option by which SELinux labels everything on a file system.
const LABEL: &CStr = c"context";

/// Of the root of a file system that does not know the option; one of a user namespace has no labels.
fn give_label(tree: Fd, label: &CStr) -> sys::Result {
    let root = sys::openat(tree, c".", sys::O_RDONLY | sys::O_DIRECTORY, 0)?;
    let given = sys::fsetxattr(root, copy::LABEL, label.to_bytes());
    let _ = sys::close(root);
    match given {
        Err(Errno::EOPNOTSUPP) => Ok(()),
        other => other,
    }
}

fn bind(mount: &Mount<'static>, path: &'static CStr, recursive: bool) -> Outcome<Fd> {
    let tree = sys::open_tree_clone(AT_FDCWD, path, recursive, 0).at(Step::MountSource, path)?;
    set_attributes(tree, mount, recursive)?;
    Ok(tree)
}

/// What is planned for a mount, and how mounts are passed on between it and others.
pub fn set_attributes(tree: Fd, mount: &Mount<'static>, recursive: bool) -> Outcome {
    let propagation = if mount.propagation == 0 { sys::MS_PRIVATE } else { mount.propagation };
    let atime = mount.attributes & sys::MOUNT_ATTR_ATIME != 0;
    let clear = mount.cleared | if atime { sys::MOUNT_ATTR_ATIME } else { 0 };
    let attr = MountAttr { set: mount.attributes, clear, propagation, userns_fd: 0 };
    let all = if recursive && mount.recursive_attributes { AT_RECURSIVE } else { 0 };
    sys::mount_setattr(tree, c"", AT_EMPTY_PATH | all, &attr).at(Step::MountAttributes, mount.target)?;
    if recursive && all == 0 {
        let attr = MountAttr { propagation, ..MountAttr::default() };
        sys::mount_setattr(tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr).at(Step::MountAttributes, mount.target)?;
    }
    set_below(tree, mount)
}

fn set_below(tree: Fd, mount: &Mount<'static>) -> Outcome {
    let (set, clear) = mount.below;
    if (set, clear) == (0, 0) {
        return Ok(());
    }
    let attr = MountAttr { set, clear, ..MountAttr::default() };
    sys::mount_setattr(tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr).at(Step::MountAttributes, mount.target)
}

/// A tree that was made outside. What is to be filled has no path here: it is made read-only afterwards, or another mount
/// of it is there for that.
fn attach_made(
    root: Fd,
    mount: &Mount<'static>,
    (tree, writable, state): (Fd, Option<Fd>, Option<Fd>),
    near: &mut Near,
) -> Outcome {
    let target = find_target(root, mount, tree, near)?;
    if mount.copy_up {
        fill::volume(state, writable.unwrap_or(tree), target).at(Step::CopyUp, mount.target)?;
    }
    writable.into_iter().for_each(|fd| drop(sys::close(fd)));
    let recursive = matches!(mount.source, MountSource::Bind(_, true));
    set_attributes(tree, mount, recursive)?;
    put(mount, tree, target, near)
}

fn attach(root: Fd, mount: &Mount<'static>, (tree, state): (Fd, Option<Fd>), near: &mut Near) -> Outcome {
    let target = find_target(root, mount, tree, near)?;
    if mount.copy_up {
        copy_up(mount, (tree, state), target)?;
    }
    put(mount, tree, target, near)
}

fn find_target(root: Fd, mount: &Mount<'static>, tree: Fd, near: &mut Near) -> Outcome<Fd> {
    let missing = if is_directory(mount, tree)? { Missing::Directory } else { Missing::File };
    let target = match near.make(root, mount.target, missing) {
        Some(made) => made,
        None => match mount.target_owner {
            Some(owner) if missing == Missing::Directory => target_of(root, mount.target, owner)?,
            _ => target::require(root, mount.target, missing, Step::MountTarget)?,
        },
    };
    target::check_place(target, mount.target).map(|()| target)
}

/// A directory that is somebody's when it is made here.
fn target_of(root: Fd, path: &'static CStr, (uid, gid): (u32, u32)) -> Outcome<Fd> {
    if let Some(there) = target::open(root, path, Missing::Nothing, Step::MountTarget)? {
        return Ok(there);
    }
    let made = target::require(root, path, Missing::Directory, Step::MountTarget)?;
    sys::fchownat(made, c"", uid, gid, AT_EMPTY_PATH).at(Step::MountTarget, path)?;
    Ok(made)
}

fn put(mount: &Mount<'static>, tree: Fd, target: Fd, near: &mut Near) -> Outcome {
    let moved = sys::move_mount_onto(tree, target).at(Step::MountAttach, mount.target);
    near.mounted(mount.target);
    let _ = sys::close(target);
    let _ = sys::close(tree);
    moved
}

fn is_directory(mount: &Mount<'static>, tree: Fd) -> Outcome<bool> {
    match mount.source {
        MountSource::Fs(..) | MountSource::Memory(..) => Ok(true),
        MountSource::File(..) => Ok(false),
        MountSource::Bind(path, _) => Ok(sys::fstat(tree).at(Step::MountSource, path)?.is_dir()),
    }
}

/// What the image has at the target goes into an empty volume or a new file system.
fn copy_up(mount: &Mount<'static>, (tree, state): (Fd, Option<Fd>), target: Fd) -> Outcome {
    match mount.source {
        MountSource::Bind(path, _) => fill_volume(path, state, target).at(Step::CopyUp, path),
        MountSource::Fs(_, options) => {
            let has_mode = options.iter().any(|(key, _)| key == c"mode");
            fill_new(mount.attributes, tree, target, has_mode).at(Step::CopyUp, mount.target)
        }
        MountSource::File(..) | MountSource::Memory(..) => Ok(()),
    }
}

/// Its own permissions are the image's, unless they were asked for.
fn fill_new(attributes: u64, tree: Fd, target: Fd, has_mode: bool) -> sys::Result {
    let asked = sys::fstat(tree)?.mode & 0o7777;
    fill::fresh(tree, target)?;
    if has_mode {
        sys::fchmodat(tree, c".", asked)?;
    }
    let attr = MountAttr { set: attributes & sys::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    sys::mount_setattr(tree, c"", AT_EMPTY_PATH, &attr)
}

/// By the volume's own path: the mount may be read-only already.
fn fill_volume(volume: &CStr, state: Option<Fd>, target: Fd) -> sys::Result {
    let to = sys::openat(AT_FDCWD, volume, sys::O_RDONLY | sys::O_DIRECTORY, 0)?;
    let filled = fill::volume(state, to, target);
    let _ = sys::close(to);
    filled
}

/// Hides a path: a directory under an empty one, anything else under /dev/null.
pub fn mask(root: Fd, path: &'static CStr, scratch: &mut Scratch) -> Outcome {
    let Some(target) = target::open(root, path, Missing::Nothing, Step::Mask)? else { return Ok(()) };
    let cover = match sys::fstat(target).at(Step::Mask, path)?.is_dir() {
        true => scratch.empty_directory(),
        false => scratch.null(),
    }
    .at(Step::Mask, path)?;
    let moved = sys::move_mount_onto(cover, target).at(Step::Mask, path);
    let _ = sys::close(target);
    if !scratch.keeps(cover) {
        let _ = sys::close(cover);
    }
    moved
}

/// Makes a path and everything mounted below it read-only.
pub fn make_readonly(root: Fd, path: &'static CStr) -> Outcome {
    let Some(target) = target::open(root, path, Missing::Nothing, Step::ReadonlyPath)? else { return Ok(()) };
    let attr = MountAttr { set: sys::MOUNT_ATTR_RDONLY, ..MountAttr::default() };
    let covered = sys::open_tree_clone(target, c"", true, AT_EMPTY_PATH).and_then(|tree| {
        sys::mount_setattr(tree, c"", AT_EMPTY_PATH | AT_RECURSIVE, &attr)?;
        sys::move_mount_onto(tree, target)?;
        sys::close(tree)
    });
    let _ = sys::close(target);
    covered.at(Step::ReadonlyPath, path)
}

/// Links in the container; one that is there already stays. Those of one directory stand together in a plan:
/// it is opened once.
pub fn symlinks(root: Fd, links: &List<'static, (&'static CStr, &'static CStr)>) -> Outcome {
    let (mut at, mut parent) = (&b""[..], root);
    for (path, to) in links.iter() {
        let (dir, name) = target::split(path);
        if dir != at {
            (at, parent) = (dir, target::parent(root, dir).at(Step::Symlink, path)?);
        }
        symlink(parent, name, to).at(Step::Symlink, path)?;
    }
    Ok(())
}

fn symlink(parent: Fd, name: &[u8], to: &CStr) -> sys::Result {
    match sys::symlinkat(to, parent, Text::<256>::of(&[name]).c()) {
        Err(Errno::EEXIST) => Ok(()),
        other => other,
    }
}

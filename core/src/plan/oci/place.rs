//! What a container can't have whose processes are in a mount namespace that isn't its own.

use oci_spec::runtime::{LinuxNamespaceType, Mount, Spec};

use super::{mounts, unsupported};
use crate::error::Result;
use crate::plan::launch::Namespace;

/// Whether there is a mount namespace of its own, in which its root is.
pub fn has_own_mounts(spec: &Spec) -> bool {
    let linux = spec.linux().as_ref().and_then(|linux| linux.namespaces().as_ref());
    let mut namespaces = linux.into_iter().flatten();
    namespaces.any(|one| {
        one.typ() == LinuxNamespaceType::Mount && one.path().as_deref().is_none_or(|path| path.as_os_str().is_empty())
    })
}

/// Its root and its mounts are in no namespace, so that nothing comes or goes by propagation.
pub(super) fn check(spec: &Spec, mount: &Namespace) -> Result<()> {
    if *mount == Namespace::New {
        return Ok(());
    }
    let word = spec.linux().as_ref().and_then(|linux| linux.rootfs_propagation().as_deref()).unwrap_or_default();
    check_word("linux.rootfsPropagation", word)?;
    let by_path = matches!(mount, Namespace::Join(_));
    check_hooks(spec, by_path)?;
    spec.mounts()
        .iter()
        .flatten()
        .enumerate()
        .try_for_each(|(at, one)| check_mount(&format!("mounts[{at}]"), one, by_path))
}

/// AppArmor knows a file by its path from the top of a mount namespace, and lets none through that is in no namespace of
/// the process's, the payload neither.
pub(super) fn check_profile(spec: &Spec, profile: &str) -> Result<()> {
    match has_own_mounts(spec) || matches!(profile, "" | "unconfined") {
        true => Ok(()),
        false => Err(unsupported(
            "process.apparmorProfile",
            format!("{profile:?} would let nothing be executed, without a mount namespace of the container's own"),
        )),
    }
}

/// Run in the container's namespaces, but by paths of the runtime's (runtime-spec, config.md, "CreateContainer Hooks").
fn check_hooks(spec: &Spec, by_path: bool) -> Result<()> {
    let hooks = spec.hooks().as_ref().and_then(|hooks| hooks.create_container().as_ref());
    match by_path && hooks.is_some_and(|hooks| !hooks.is_empty()) {
        true => Err(unsupported(
            "hooks.createContainer",
            "in a mount namespace by path another program may have theirs: use createRuntime or startContainer",
        )),
        false => Ok(()),
    }
}

fn check_mount(field: &str, mount: &Mount, by_path: bool) -> Result<()> {
    let options = mount.options().iter().flatten();
    options.enumerate().try_for_each(|(at, word)| check_word(&format!("{field}.options[{at}]"), word))?;
    let is_mapped = mount.uid_mappings().is_some()
        || mount.options().iter().flatten().any(|word| word == "idmap" || word == "ridmap");
    match by_path && is_mapped {
        true => Err(unsupported(field, "ids are not mapped of what a mount namespace by path has")),
        false => Ok(()),
    }
}

fn check_word(field: &str, word: &str) -> Result<()> {
    match mounts::propagation(word).is_some_and(|flags| flags & libc::MS_PRIVATE == 0) {
        true => Err(unsupported(
            field,
            format!("{word:?} needs a mount namespace of the container's own, and there is none"),
        )),
        false => Ok(()),
    }
}

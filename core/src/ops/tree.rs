//! A container's files in one tree, where nothing can be mounted.

use std::os::fd::AsFd;
use std::path::{Path, PathBuf};

use super::Context;
use crate::api::Rung;
use crate::cancel::Cancel;
use crate::error::{Context as _, Error, Kind, Result};
use crate::fs;
use crate::layer;
use crate::paths::Paths;
use crate::store::containers::Record;
use crate::store::layers;
use crate::store::tmp::Temp;

/// Copies the image's layers for a container that has no tree yet; its lock is held. It appears whole, or not at all.
pub(super) fn prepare(context: &Context, record: &Record, cancel: &Cancel) -> Result<()> {
    let tree = context.paths.container(&record.id).tree();
    if record.rung != Rung::Chroot || fs::exists(&tree)? {
        return Ok(());
    }
    let found = record.layers.iter().map(|diff_id| match layers::find(&context.paths, &record.form, diff_id)? {
        Some(dir) => Ok(dir),
        None => Err(Error::new(Kind::Store, "find layer", diff_id.as_str())
            .because("it is not in the store any more")
            .hint("pull the image again")),
    });
    let found = found.collect::<Result<Vec<_>>>()?;
    copy(&context.paths, &found, &tree, cancel).map_err(|e| e.within("copy the image's files", record.name.as_str()))
}

/// On the disk before it has its name: a machine that goes down meanwhile would leave a tree that looks whole and has files
/// without their content, and a later start couldn't tell. What the container writes there from then on is its own to sync.
fn copy(paths: &Paths, layers: &[PathBuf], tree: &Path, cancel: &Cancel) -> Result<()> {
    let staged = Temp::dir(paths)?;
    fs::open_to_all(staged.path())?;
    let into = fs::open_dir(staged.path())?;
    layer::merge(layers, into.as_fd(), cancel)?;
    nix::unistd::syncfs(&into).context("sync", staged.path().display())?;
    staged.place(tree)?;
    fs::sync_dir_of(tree)
}

#[cfg(test)]
#[allow(clippy::disallowed_methods)] // Files of the test's own.
mod tests {
    use super::*;
    use crate::api::EngineOptions;
    use crate::store::tests::disk::on_ext4;

    #[test]
    fn a_tree_is_whole_after_the_power_failed() {
        on_ext4(|disk| {
            let context = Context::open(&EngineOptions {
                root: Some(disk.dir.join("store").display().to_string()),
                run: Some(disk.dir.join("run").display().to_string()),
                ..EngineOptions::default()
            });
            let unpacked = disk.dir.join("layer");
            std::fs::create_dir_all(unpacked.join("fs/dir")).unwrap();
            std::fs::write(unpacked.join("fs/dir/file"), vec![7; 1 << 20]).unwrap();
            std::fs::write(unpacked.join(layer::SIDECAR), "").unwrap();
            copy(&context.unwrap().paths, &[unpacked], &disk.dir.join("store/tree"), &Cancel::new()).unwrap();
            let tree = disk.after_power_failure().join("store/tree");
            assert!(std::fs::read(tree.join("dir/file")).unwrap() == [7; 1 << 20]);
            assert!(tree.join("dev").is_dir());
        });
    }
}

//! A full disk.

use nix::mount::{MsFlags, mount};
use nix::sched::{CloneFlags, unshare};

use super::*;
use crate::error::Kind;

/// Runs `test` in a directory on a tiny file system that only its thread sees. Skipped when not root.
fn on_a_tiny_disk(test: impl FnOnce(&Path) + Send) {
    if !nix::unistd::geteuid().is_root() {
        return;
    }
    let dir = tempfile::tempdir().unwrap();
    std::thread::scope(|scope| {
        scope.spawn(|| {
            unshare(CloneFlags::CLONE_NEWNS).unwrap();
            let none = None::<&str>;
            mount(none, "/", none, MsFlags::MS_REC | MsFlags::MS_PRIVATE, none).unwrap();
            mount(Some("tmpfs"), dir.path(), Some("tmpfs"), MsFlags::empty(), Some("size=256k")).unwrap();
            test(dir.path());
        });
    });
}

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    on_a_tiny_disk(|dir| {
        let paths = store_at(dir);
        let image = sample("small");
        pull(&paths, &image, "small:1");
        let mut writer = blobs::Writer::new(&paths, blobs::Check::Size).unwrap();
        let full = (0..100).find_map(|_| writer.write_all(&[7; 8192]).err()).unwrap();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        // While the disk is full even a small blob fails, by its right name.
        let e = blobs::put(&paths, &[1; 8192]).unwrap_err();
        assert_eq!(e.kind(), Kind::NoSpace, "{e}");
        let e = refs::set(&paths, &image.reference("other:1")).unwrap_err();
        assert_eq!(e.kind(), Kind::NoSpace, "{e}");
        assert!(refs::get(&paths, &"other:1".parse().unwrap()).unwrap().is_none());
        drop(writer);
        assert!(fs::list(&paths.tmp()).unwrap().is_empty());
        assert_whole(&paths, &image);
        refs::set(&paths, &image.reference("other:1")).unwrap();
    });
}

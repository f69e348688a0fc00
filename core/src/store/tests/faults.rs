//! A full disk.

use super::disk::on_tmpfs;
use super::*;
use crate::error::Kind;

#[test]
fn a_full_disk_is_told_and_leaves_nothing() {
    on_tmpfs("size=256k", |dir| {
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

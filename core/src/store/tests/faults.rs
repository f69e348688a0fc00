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

/// What is to be deleted is what makes room for all else.
#[test]
fn a_collection_on_a_full_disk_makes_room() {
    on_tmpfs("size=512k", |dir| {
        let paths = store_at(dir);
        let files = paths.layer(&"root".parse().unwrap(), &digest(b"unused")).join("fs");
        fs::make_dirs(&files).unwrap();
        fs::write_new(&files.join("large"), &[7; 256 << 10]).unwrap();
        let mut filler = fs::create_new(&dir.join("filler")).unwrap().unwrap();
        let full = (0..1000).find_map(|_| filler.write_all(&[7; 4096]).err()).unwrap();
        assert_eq!(full.raw_os_error(), Some(libc::ENOSPC));
        assert_eq!(collect(&paths).removed, [digest(b"unused").to_string()]);
        assert!(fs::list(&paths.tmp()).unwrap().is_empty() && fs::exists(&paths.index()).unwrap());
    });
}

/// Nothing that a removal needs is only made by it.
#[test]
fn a_container_is_removed_where_no_file_can_be_made() {
    on_tmpfs("size=4m,nr_inodes=200", |dir| {
        let paths = store_at(dir);
        let record = crate::store::containers::tests::record(1, "one");
        crate::store::containers::create(&paths, &record).unwrap();
        fs::make_dirs(&dir.join("fill")).unwrap();
        let full = (0..300).find_map(|n| fs::create_new(&dir.join(format!("fill/{n}"))).err()).unwrap();
        assert_eq!(full.kind(), Kind::NoSpace);
        let trash = crate::store::containers::unlist(&paths, &record).unwrap().unwrap();
        fs::remove_tree(&trash).unwrap();
        assert!(fs::list(&paths.names()).unwrap().is_empty() && fs::list(&paths.containers()).unwrap().is_empty());
    });
}

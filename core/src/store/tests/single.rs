//! One process.

use super::*;
use crate::error::Kind;
use crate::store::{image, leases::Lease, record, volumes};

#[test]
fn an_image_comes_and_goes_whole() {
    let s = scratch();
    let (one, two) = (sample("1"), sample("2"));
    pull(&s.paths, &one, "a:1");
    pull(&s.paths, &two, "a:2");
    assert_eq!(collect(&s.paths), gc::Swept::default());
    assert_whole(&s.paths, &one);
    let names: Vec<_> = refs::list(&s.paths).unwrap().iter().map(|r| r.reference.familiar()).collect();
    assert_eq!(names, ["a:1", "a:2"]);
    assert!(refs::remove(&s.paths, &"a:1".parse().unwrap()).unwrap());
    assert!(!refs::remove(&s.paths, &"a:1".parse().unwrap()).unwrap());
    let swept = collect(&s.paths);
    assert_eq!(swept.removed.len(), 4);
    assert!(swept.bytes > 0);
    assert_whole(&s.paths, &two);
    refs::remove(&s.paths, &"a:2".parse().unwrap()).unwrap();
    collect(&s.paths);
    assert_empty(&s.paths);
}

#[test]
fn containers_and_leases_keep_what_they_use() {
    let s = scratch();
    let (used, leased) = (sample("used"), sample("leased"));
    pull(&s.paths, &used, "a:1");
    pull(&s.paths, &leased, "a:2");
    let mut lease = Lease::new(&s.paths).unwrap();
    lease.hold(&leased.digests()).unwrap();
    for tag in ["a:1", "a:2"] {
        refs::remove(&s.paths, &tag.parse().unwrap()).unwrap();
    }
    let manifests = vec![digest(&used.manifest)];
    let of_containers = |_: &Paths| Ok(gc::Used { manifests: manifests.clone(), ..gc::Used::default() });
    assert_eq!(gc::collect(&s.paths, &of_containers, &fs::remove_tree).unwrap(), gc::Swept::default());
    assert_whole(&s.paths, &used);
    assert_whole(&s.paths, &leased);
    drop(lease);
    assert_eq!(collect(&s.paths).removed.len(), 8);
    assert_empty(&s.paths);
}

#[test]
fn a_blob_must_be_what_its_digest_says() {
    let s = scratch();
    let write = |bytes: &[u8], digest: &Digest, size| {
        let mut writer = blobs::Writer::new(&s.paths, blobs::Check::Digest).unwrap();
        writer.write_all(bytes).unwrap();
        writer.commit(digest, size)
    };
    let right = digest(b"right");
    assert_eq!(write(b"wrong", &right, 5).unwrap_err().kind(), Kind::Integrity);
    assert_eq!(write(b"righ", &right, 5).unwrap_err().kind(), Kind::Integrity);
    assert!(blobs::find(&s.paths, &right).unwrap().is_none());
    write(b"right", &right, 5).unwrap();
    write(b"right", &right, 5).unwrap();
    let of_size = |size| blobs::find_of_size(&s.paths, &right, size).unwrap().is_some();
    assert!(of_size(5) && !of_size(6));
    assert_eq!(blobs::read(&s.paths, &digest(b"none"), 9).unwrap_err().kind(), Kind::NotFound);
    assert!(fs::list(&s.paths.tmp()).unwrap().is_empty());
}

#[test]
fn a_blob_cut_short_is_seen_and_replaced() {
    let s = scratch();
    let id = digest(b"whole");
    fs::write_new(&s.paths.blob(&id), b"who").unwrap();
    assert_eq!(blobs::read(&s.paths, &id, 9).unwrap_err().kind(), Kind::Integrity);
    blobs::put(&s.paths, b"whole").unwrap();
    assert_eq!(blobs::read(&s.paths, &id, 9).unwrap(), b"whole");
}

#[test]
fn a_newer_record_is_refused_and_left_alone() {
    let s = scratch();
    let path = s.paths.reference("docker.io/library/a:1");
    let newer = br#"{"version":2,"reference":7}"#;
    fs::write_new(&path, newer).unwrap();
    let e = refs::get(&s.paths, &"a:1".parse().unwrap()).unwrap_err();
    assert_eq!(e.kind(), Kind::Store);
    assert!(e.to_string().contains("library%2Fa%3A1: it has version 2"), "{e}");
    assert_eq!(collect(&s.paths).unread.len(), 1);
    assert_eq!(fs::read_bounded(&path, 99).unwrap(), newer);
    fs::remove_file(&path).unwrap();
    fs::write_new(&path, b"{").unwrap();
    let damaged = record::read::<Ref>(&path).unwrap_err();
    assert!(damaged.to_string().contains("it is damaged"), "{damaged}");
}

#[test]
fn stores_below_are_read_and_never_written() {
    let (low, high) = (scratch(), scratch());
    let image = sample("low");
    pull(&low.paths, &image, "low:1");
    let below = low.paths.root().display().to_string();
    let paths = high.paths.clone().with_below(&[below]).unwrap();
    assert_whole(&paths, &image);
    assert!(refs::get(&paths, &"low:1".parse().unwrap()).unwrap().is_some());
    assert_eq!(layers::size(&paths, &image.diff_id).unwrap(), 7);
    refs::set(&paths, &sample("high").reference("low:1")).unwrap();
    assert_eq!(refs::list(&paths).unwrap().len(), 1);
    refs::remove(&paths, &"low:1".parse().unwrap()).unwrap();
    collect(&paths);
    assert_whole(&low.paths, &image);
}

#[test]
fn the_layout_follows_the_references() {
    let s = scratch();
    pull(&s.paths, &sample("1"), "127.0.0.1:5000/debian:12");
    pull(&s.paths, &sample("1"), "alpine");
    let index: serde_json::Value = serde_json::from_slice(&fs::read_bounded(&s.paths.index(), 9999).unwrap()).unwrap();
    let names: Vec<&str> = index["manifests"]
        .as_array()
        .unwrap()
        .iter()
        .map(|m| m["annotations"]["org.opencontainers.image.ref.name"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["127.0.0.1:5000/debian:12", "docker.io/library/alpine:latest", "alpine:latest"]);
    assert!(s.paths.oci_layout().exists());
}

#[test]
fn a_damaged_image_does_not_stop_collection_nor_lose_others() {
    let s = scratch();
    let (bad, good) = (sample("bad"), sample("good"));
    pull(&s.paths, &bad, "bad:1");
    pull(&s.paths, &good, "good:1");
    let manifest = s.paths.blob(&digest(&bad.manifest));
    fs::remove_file(&manifest).unwrap();
    fs::write_new(&manifest, b"{}").unwrap();
    assert_eq!(image::load(&s.paths, &digest(&bad.manifest)).unwrap_err().kind(), Kind::Integrity);
    collect(&s.paths);
    assert_whole(&s.paths, &good);
}

#[test]
fn volumes_are_made_once_and_removed_out_of_sight() {
    let s = scratch();
    let name: Name = "data".parse().unwrap();
    let data = volumes::data(&s.paths, &name);
    assert!(volumes::make(&s.paths, &name).unwrap());
    fs::write_new(&data.join("f"), b"x").unwrap();
    assert!(!volumes::make(&s.paths, &name).unwrap());
    let trash = volumes::unlist(&s.paths, &name).unwrap().unwrap();
    assert!(!data.exists() && trash.exists());
    gc::tidy(&s.paths, &fs::remove_tree).unwrap();
    assert!(!trash.exists());
    assert!(volumes::unlist(&s.paths, &name).unwrap().is_none());
}

#[test]
fn tidying_leaves_alone_what_is_being_made() {
    let s = scratch();
    let staged = layers::stage(&s.paths).unwrap();
    fs::make_dirs(&s.paths.tmp().join("left/behind")).unwrap();
    gc::tidy(&s.paths, &fs::remove_tree).unwrap();
    assert_eq!(fs::list(&s.paths.tmp()).unwrap(), [staged.path().file_name().unwrap()]);
    drop(staged);
    assert!(fs::list(&s.paths.tmp()).unwrap().is_empty());
}

#[test]
fn claims_of_containers_that_are_gone_go() {
    let s = scratch();
    let id = crate::id::ContainerId::from_random([7; 32]);
    fs::symlink_new(id.as_str(), &s.paths.name(&"dead".parse().unwrap())).unwrap();
    fs::symlink_new(id.as_str(), &s.paths.name(&"alive".parse().unwrap())).unwrap();
    fs::make_dirs(s.paths.container(&id).dir()).unwrap();
    collect(&s.paths);
    assert_eq!(fs::list(&s.paths.names()).unwrap().len(), 2);
    fs::remove_dir(s.paths.container(&id).dir()).unwrap();
    collect(&s.paths);
    assert_empty(&s.paths);
    assert!(s.dir.path().exists());
}

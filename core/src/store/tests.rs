mod crashes;
pub(crate) mod disk;
mod faults;
mod many;
mod single;
mod skopeo;

use std::io::Write;
use std::path::Path;

use super::layers::{self, Layer};
use super::refs::{self, Ref};
use super::{blobs, gc};
use crate::fs;
use crate::id::{Digest, Name};
use crate::lock::Wait;
use crate::paths::Paths;

/// A store in a directory of its own.
struct Scratch {
    dir: tempfile::TempDir,
    paths: Paths,
}

fn scratch() -> Scratch {
    // In memory where that is possible: these tests make and sync thousands of files.
    let dir = tempfile::tempdir_in("/dev/shm").or_else(|_| tempfile::tempdir()).unwrap();
    let paths = store_at(dir.path());
    Scratch { dir, paths }
}

fn store_at(dir: &Path) -> Paths {
    let at = |s: &str| dir.join(s).display().to_string();
    let paths = Paths::new(Some(&at("root")), Some(&at("run"))).unwrap();
    paths.make().unwrap();
    paths
}

fn form() -> Name {
    "root".parse().unwrap()
}

/// An image of one layer; `seed` makes its bytes its own.
pub(crate) struct Sample {
    layer_blob: Vec<u8>,
    config: Vec<u8>,
    pub(crate) manifest: Vec<u8>,
    pub(crate) diff_id: Digest,
}

fn digest(bytes: &[u8]) -> Digest {
    use sha2::Digest as _;
    Digest::from_sha256(sha2::Sha256::digest(bytes).into())
}

pub(crate) fn sample(seed: &str) -> Sample {
    let layer_blob = format!("layer {seed}").into_bytes();
    let diff_id = digest(format!("tar {seed}").as_bytes());
    let config = serde_json::json!({
        "architecture": "amd64", "os": "linux", "created": "2024-01-02T03:04:05Z",
        "config": {"Env": ["A=b"], "Cmd": [seed]},
        "rootfs": {"type": "layers", "diff_ids": [diff_id]},
    });
    let config = config.to_string().into_bytes();
    let link = |media: &str, bytes: &[u8]| serde_json::json!({"mediaType": media, "digest": digest(bytes), "size": bytes.len()});
    let manifest = serde_json::json!({
        "schemaVersion": 2, "mediaType": MANIFEST,
        "config": link("application/vnd.oci.image.config.v1+json", &config),
        "layers": [link("application/vnd.oci.image.layer.v1.tar+gzip", &layer_blob)],
    });
    Sample { layer_blob, config, manifest: manifest.to_string().into_bytes(), diff_id }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

impl Sample {
    fn digests(&self) -> Vec<Digest> {
        let mut all: Vec<Digest> = [&self.layer_blob, &self.config, &self.manifest].map(|b| digest(b)).into();
        all.push(self.diff_id.clone());
        all
    }

    fn reference(&self, reference: &str) -> Ref {
        Ref {
            version: refs::VERSION,
            reference: reference.parse().unwrap(),
            manifest: digest(&self.manifest),
            media_type: MANIFEST.into(),
            size: self.manifest.len() as u64,
            id: digest(&self.config),
            index: None,
        }
    }
}

/// As a pull does it, but for the network.
pub(crate) fn pull(paths: &Paths, image: &Sample, reference: &str) {
    let mut lease = super::leases::Lease::new(paths).unwrap();
    lease.hold(&image.digests()).unwrap();
    let mut writer = blobs::Writer::new(paths, blobs::Check::Digest).unwrap();
    writer.write_all(&image.layer_blob).unwrap();
    writer.commit(&digest(&image.layer_blob), image.layer_blob.len() as u64).unwrap();
    unpack(paths, &image.diff_id);
    blobs::put(paths, &image.config).unwrap();
    blobs::put(paths, &image.manifest).unwrap();
    refs::set(paths, &image.reference(reference)).unwrap();
}

fn unpack(paths: &Paths, diff_id: &Digest) {
    let _lock = layers::lock(paths, &form(), diff_id, Wait::FOREVER).unwrap();
    if layers::find(paths, &form(), diff_id).unwrap().is_some() {
        return;
    }
    let staged = layers::stage(paths).unwrap();
    fs::make_dirs(&staged.path().join("fs/etc")).unwrap();
    fs::write_new(&staged.path().join("fs/etc/f"), b"content").unwrap();
    let layer = Layer {
        version: layers::VERSION,
        diff_id: diff_id.clone(),
        bytes: 1024,
        size: 7,
        opaque_root: false,
        whiteouts: "absent".into(),
    };
    layers::commit(paths, staged, &form(), &layer).unwrap();
}

fn collect(paths: &Paths) -> gc::Swept {
    gc::collect(paths, &|_| Ok(gc::Used::default()), &fs::remove_tree).unwrap()
}

/// Nothing but the fixed files and directories is left.
pub(crate) fn assert_empty(paths: &Paths) {
    for dir in [paths.blobs(), paths.refs(), paths.containers(), paths.names(), paths.tmp(), paths.leases()] {
        assert_eq!(fs::list(&dir).unwrap(), Vec::<std::ffi::OsString>::new(), "{}", dir.display());
    }
    for form in layers::forms(paths).unwrap() {
        assert!(fs::list(&paths.layers().join(form.as_str())).unwrap().is_empty());
    }
    assert_eq!(fs::list(&paths.locks()).unwrap(), ["gc", "names", "refs"]);
}

/// Whether an image is whole in the store.
fn assert_whole(paths: &Paths, image: &Sample) {
    let loaded = super::image::load(paths, &digest(&image.manifest)).unwrap();
    assert_eq!((&loaded.id, &loaded.layers[..]), (&digest(&image.config), &[image.diff_id.clone()][..]));
    assert_eq!(blobs::read(paths, &digest(&image.layer_blob), 99).unwrap(), image.layer_blob);
    let dir = layers::find(paths, &form(), &image.diff_id).unwrap().unwrap();
    assert_eq!(fs::read_bounded(&dir.join("fs/etc/f"), 99).unwrap(), b"content");
}

//! Images made in memory, and a registry that serves them.

use std::collections::HashMap;
use std::io::Write;

use serde_json::{Value, json};

use crate::id::Digest;
use crate::registry::tests::server::{Answer, Request, digest};

/// How a layer is packed.
#[derive(Clone, Copy, Debug)]
pub enum Pack {
    Plain,
    Gzip,
    Zstd,
}

impl Pack {
    fn media_type(self) -> &'static str {
        match self {
            Pack::Plain => "application/vnd.oci.image.layer.v1.tar",
            Pack::Gzip => "application/vnd.docker.image.rootfs.diff.tar.gzip",
            Pack::Zstd => "application/vnd.oci.image.layer.v1.tar+zstd",
        }
    }

    fn pack(self, tar: &[u8]) -> Vec<u8> {
        match self {
            Pack::Plain => tar.to_vec(),
            Pack::Zstd => zstd::encode_all(tar, 3).unwrap(),
            Pack::Gzip => {
                let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
                gzip.write_all(tar).unwrap();
                gzip.finish().unwrap()
            }
        }
    }
}

/// A tar of files.
pub fn tar(files: &[(&str, &[u8])]) -> Vec<u8> {
    let mut tar = tar::Builder::new(Vec::new());
    for (name, content) in files {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        tar.append_data(&mut header, name, *content).unwrap();
    }
    tar.into_inner().unwrap()
}

/// An image: what its registry has, by digest.
#[derive(Clone, Default)]
pub struct Image {
    pub blobs: HashMap<String, Vec<u8>>,
    pub layers: Vec<Digest>,
    pub diff_ids: Vec<Digest>,
    pub manifest: Vec<u8>,
    descriptors: Vec<Value>,
}

impl Image {
    /// An image of layers.
    pub fn new(layers: &[(Pack, Vec<u8>)]) -> Image {
        let mut image = Image::default();
        for (pack, tar) in layers {
            image.diff_ids.push(digest(tar));
            image.layer(pack.media_type(), pack.pack(tar));
        }
        image.sealed()
    }

    /// An image of one layer of which the last third is missing.
    pub fn cut(pack: Pack, tar: &[u8]) -> Image {
        let mut image = Image { diff_ids: vec![digest(tar)], ..Image::default() };
        let mut blob = pack.pack(tar);
        blob.truncate(blob.len() * 2 / 3);
        image.layer(pack.media_type(), blob);
        image.sealed()
    }

    fn layer(&mut self, media_type: &str, blob: Vec<u8>) {
        let found = digest(&blob);
        self.descriptors.push(json!({"mediaType": media_type, "digest": found, "size": blob.len()}));
        self.layers.push(found.clone());
        self.blobs.insert(found.to_string(), blob);
    }

    /// With config and manifest made anew.
    pub fn sealed(mut self) -> Image {
        let config = json!({"os": "linux", "architecture": crate::registry::Platform::host().architecture,
            "rootfs": {"type": "layers", "diff_ids": self.diff_ids}});
        let config = config.to_string().into_bytes();
        let media_type = "application/vnd.oci.image.config.v1+json";
        self.manifest = json!({"schemaVersion": 2, "layers": self.descriptors,
            "config": {"mediaType": media_type, "digest": digest(&config), "size": config.len()}})
        .to_string()
        .into_bytes();
        self.blobs.insert(digest(&config).to_string(), config);
        self
    }

    /// What a good registry answers.
    pub fn answer(&self, request: &Request) -> Answer {
        let name = request.path.rsplit('/').next().unwrap_or_default();
        match (request.path.contains("/manifests/"), self.blobs.get(name)) {
            (true, _) => Answer::new(200, self.manifest.clone()),
            (false, Some(blob)) => Answer::new(200, blob.clone()),
            _ => Answer::new(404, ""),
        }
    }
}

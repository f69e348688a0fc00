//! Manifests and indexes: what they may be, what is refused, which entry fits the platform.

use oci_spec::image::{Descriptor as OciDescriptor, ImageIndex, ImageManifest};
use serde_json::Value;

use super::platform::Platform;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;

/// Largest manifest or index, as registries agree on.
pub const MAX_MANIFEST: u64 = 4 << 20;
/// More layers than any image has that a host could mount.
const MAX_LAYERS: usize = 1000;

const OCI_INDEX: &str = "application/vnd.oci.image.index.v1+json";
const OCI_MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const OCI_CONFIG: &str = "application/vnd.oci.image.config.v1+json";
const DOCKER_LIST: &str = "application/vnd.docker.distribution.manifest.list.v2+json";
const DOCKER_MANIFEST: &str = "application/vnd.docker.distribution.manifest.v2+json";
const DOCKER_CONFIG: &str = "application/vnd.docker.container.image.v1+json";
const SCHEMA1_WORD: &str = "manifest.v1+";

/// The `Accept` headers of a request for a manifest.
pub const ACCEPT: [&str; 4] = [OCI_INDEX, OCI_MANIFEST, DOCKER_LIST, DOCKER_MANIFEST];

/// A blob: what to fetch and what it must be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Descriptor {
    /// Its media type, as the manifest says.
    pub media_type: String,
    /// Its digest.
    pub digest: Digest,
    /// Its exact size.
    pub size: u64,
}

/// What a manifest says of an image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    /// The manifest's media type.
    pub media_type: String,
    /// The config blob.
    pub config: Descriptor,
    /// The layers, lowest first.
    pub layers: Vec<Descriptor>,
}

/// One document that a registry gave for a reference.
#[derive(Clone, Debug)]
pub enum Document {
    /// It leads to the manifests of several platforms.
    Index(Box<ImageIndex>),
    /// It is an image's.
    Image(Image),
}

fn refuse(kind: Kind, why: impl Into<String>) -> Error {
    Error::new(kind, "read manifest", "").because(why)
}

/// Reads a manifest or an index.
///
/// Its kind follows from what is in it; a document that could be read as both is refused, since two
/// readers would then see two images under one digest (CVE-2021-41190).
pub fn read(bytes: &[u8], content_type: Option<&str>) -> Result<Document> {
    let shape: Value =
        serde_json::from_slice(bytes).map_err(|e| refuse(Kind::InvalidImage, format!("it is not JSON ({e})")))?;
    let said = shape.get("mediaType").and_then(Value::as_str).unwrap_or_default();
    refuse_schema1(&shape, said, content_type)?;
    let (index, image) = (shape.get("manifests").is_some(), shape.get("layers").or(shape.get("config")).is_some());
    if index && image {
        return Err(refuse(Kind::InvalidImage, "it has both 'manifests' and 'layers'"));
    }
    for claim in [said, content_type.unwrap_or_default()] {
        refuse_contradiction(claim, index)?;
    }
    match (index, image) {
        (true, _) => {
            serde_json::from_slice(bytes).map(|i| Document::Index(Box::new(i))).map_err(|e| malformed("index", &e))
        }
        (_, true) => read_image(bytes, said).map(Document::Image),
        _ => Err(refuse(Kind::InvalidImage, "it has neither 'manifests' nor 'layers'")),
    }
}

fn malformed(what: &str, error: &serde_json::Error) -> Error {
    refuse(Kind::InvalidImage, format!("the {what} is malformed ({error})"))
}

fn refuse_schema1(shape: &Value, said: &str, content_type: Option<&str>) -> Result<()> {
    let old = shape.get("schemaVersion").and_then(Value::as_u64) == Some(1)
        || said.contains(SCHEMA1_WORD) && said.contains("docker")
        || content_type.is_some_and(|t| t.contains(SCHEMA1_WORD) && t.contains("docker"));
    match old {
        true => Err(refuse(Kind::Unsupported, "it is of Docker's schema 1, given up since 2017")
            .hint("push the image again with a present-day tool")),
        false => Ok(()),
    }
}

fn refuse_contradiction(claim: &str, is_index: bool) -> Result<()> {
    let claim = claim.split(';').next().unwrap_or_default().trim();
    let contradicts = match is_index {
        true => [OCI_MANIFEST, DOCKER_MANIFEST].contains(&claim),
        false => [OCI_INDEX, DOCKER_LIST].contains(&claim),
    };
    match contradicts {
        true => Err(refuse(Kind::InvalidImage, format!("it is said to be {claim} and is not"))),
        false => Ok(()),
    }
}

fn read_image(bytes: &[u8], said: &str) -> Result<Image> {
    let manifest: ImageManifest = serde_json::from_slice(bytes).map_err(|e| malformed("manifest", &e))?;
    let config = descriptor(manifest.config())?;
    if ![OCI_CONFIG, DOCKER_CONFIG].contains(&config.media_type.as_str()) {
        return Err(refuse(Kind::Unsupported, format!("it is not a container image but {:?}", config.media_type)));
    }
    if manifest.layers().len() > MAX_LAYERS {
        return Err(refuse(Kind::LimitExceeded, format!("it has {} layers", manifest.layers().len())));
    }
    let layers = manifest.layers().iter().map(layer).collect::<Result<_>>()?;
    let media_type = if said.is_empty() { OCI_MANIFEST } else { said }.to_owned();
    Ok(Image { media_type, config, layers })
}

fn layer(given: &OciDescriptor) -> Result<Descriptor> {
    let layer = descriptor(given)?;
    if given.urls().as_ref().is_some_and(|u| !u.is_empty()) {
        return Err(refuse(Kind::Unsupported, format!("its layer {} is to be fetched from elsewhere", layer.digest))
            .hint("such images hold parts that may not be distributed; Linux images have none"));
    }
    match layer.media_type.contains("tar") && !layer.media_type.contains("encrypted") {
        true => Ok(layer),
        false => Err(refuse(Kind::Unsupported, format!("a layer is of type {:?}", layer.media_type))),
    }
}

fn descriptor(given: &OciDescriptor) -> Result<Descriptor> {
    let digest = given.digest().to_string();
    let digest = digest.parse().map_err(|_| match digest.starts_with("sha256:") {
        true => refuse(Kind::InvalidImage, format!("the digest {digest:?} is malformed")),
        false => refuse(Kind::Unsupported, format!("the digest {digest:?} is not a sha256")),
    })?;
    Ok(Descriptor { media_type: given.media_type().to_string(), digest, size: given.size() })
}

/// The entry of `index` that fits `platform` best; the first of equals.
pub fn choose(index: &ImageIndex, platform: &Platform) -> Result<Descriptor> {
    let entries = index.manifests().iter();
    let fitting = entries.filter_map(|d| Some((platform.fit(&platform_of(d)?)?, d)));
    match fitting.min_by_key(|(fit, _)| *fit) {
        Some((_, best)) => descriptor(best),
        None => Err(refuse(Kind::NotFound, format!("the image is not there for {platform}"))
            .hint(format!("it is there for: {}", offered(index)))),
    }
}

fn platform_of(descriptor: &OciDescriptor) -> Option<Platform> {
    let given = descriptor.platform().as_ref()?;
    let variant = given.variant().as_deref();
    Some(Platform::new(&given.os().to_string(), &given.architecture().to_string(), variant))
}

fn offered(index: &ImageIndex) -> String {
    let known = index.manifests().iter().filter_map(platform_of).filter(|p| p.os != "unknown");
    let names: Vec<String> = known.map(|p| p.to_string()).take(20).collect();
    if names.is_empty() { "no platform at all".into() } else { names.join(", ") }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn hex(n: u8) -> String {
        format!("sha256:{}", format!("{n:02x}").repeat(32))
    }

    fn image() -> Value {
        json!({
            "schemaVersion": 2, "mediaType": OCI_MANIFEST,
            "config": {"mediaType": OCI_CONFIG, "digest": hex(1), "size": 2},
            "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar+zstd", "digest": hex(2), "size": 3}],
        })
    }

    fn entry(n: u8, os: &str, architecture: &str, variant: Option<&str>) -> Value {
        let mut platform = json!({"os": os, "architecture": architecture});
        if let Some(v) = variant {
            platform["variant"] = v.into();
        }
        json!({"mediaType": OCI_MANIFEST, "digest": hex(n), "size": 1, "platform": platform})
    }

    fn index(entries: Vec<Value>) -> Value {
        json!({"schemaVersion": 2, "mediaType": OCI_INDEX, "manifests": entries})
    }

    fn kind(document: &Value, content_type: Option<&str>) -> Result<(), Kind> {
        read(document.to_string().as_bytes(), content_type).map(drop).map_err(|e| e.kind())
    }

    fn chosen(document: &Value, platform: &str) -> Result<Digest> {
        match read(document.to_string().as_bytes(), None)? {
            Document::Index(i) => choose(&i, &platform.parse()?).map(|d| d.digest),
            Document::Image(_) => panic!("an image"),
        }
    }

    #[test]
    fn an_image_is_read() {
        let Ok(Document::Image(read)) = read(image().to_string().as_bytes(), Some(OCI_MANIFEST)) else { panic!() };
        assert_eq!((read.config.size, read.layers.len(), read.layers[0].size), (2, 1, 3));
    }

    #[test]
    fn what_can_be_read_in_two_ways_is_refused() {
        let mut both = image();
        both["manifests"] = json!([]);
        assert_eq!(kind(&both, None), Err(Kind::InvalidImage));
        assert_eq!(kind(&image(), Some(OCI_INDEX)), Err(Kind::InvalidImage));
        assert_eq!(
            kind(&index(vec![]), Some("application/vnd.docker.distribution.manifest.v2+json; charset=utf-8")),
            Err(Kind::InvalidImage)
        );
        let mut liar = image();
        liar["mediaType"] = DOCKER_LIST.into();
        assert_eq!(kind(&liar, None), Err(Kind::InvalidImage));
    }

    #[test]
    fn what_is_no_image_is_refused() {
        assert_eq!(kind(&json!({"schemaVersion": 1, "fsLayers": []}), None), Err(Kind::Unsupported));
        assert_eq!(
            kind(&json!({}), Some("application/vnd.docker.distribution.manifest.v1+prettyjws")),
            Err(Kind::Unsupported)
        );
        assert_eq!(kind(&json!({}), None), Err(Kind::InvalidImage));
        assert_eq!(kind(&json!([1]), None), Err(Kind::InvalidImage));
        let with = |path: &str, value: Value| {
            let mut document = image();
            *document.pointer_mut(path).unwrap() = value;
            kind(&document, None)
        };
        assert_eq!(
            with("/config/mediaType", "application/vnd.cncf.helm.config.v1+json".into()),
            Err(Kind::Unsupported)
        );
        assert_eq!(with("/layers/0/mediaType", "application/octet-stream".into()), Err(Kind::Unsupported));
        for digest in ["sha256:../../etc/passwd", "sha256:AB", "", "sha512:00"] {
            assert!(with("/layers/0/digest", digest.into()).is_err(), "{digest}");
        }
        assert!(with("/layers/0/size", (-1).into()).is_err());
        let mut foreign = image();
        foreign["layers"][0]["urls"] = json!(["https://evil.io/x"]);
        assert_eq!(kind(&foreign, None), Err(Kind::Unsupported));
    }

    #[test]
    fn the_best_platform_is_chosen() {
        let document = index(vec![
            entry(1, "windows", "amd64", None),
            entry(2, "linux", "arm", Some("v6")),
            entry(3, "linux", "arm", Some("v7")),
            entry(4, "linux", "arm64", None),
            entry(5, "linux", "amd64", None),
            entry(6, "linux", "amd64", Some("v3")),
            entry(7, "unknown", "unknown", None),
        ]);
        for (platform, digest) in
            [("linux/amd64", 5), ("linux/arm64", 4), ("linux/arm/v7", 3), ("linux/arm/v6", 2), ("linux/amd64/v4", 6)]
        {
            assert_eq!(chosen(&document, platform).unwrap().as_str(), hex(digest), "{platform}");
        }
        let error = chosen(&document, "linux/s390x").unwrap_err();
        assert_eq!(error.kind(), Kind::NotFound);
        assert!(error.to_string().contains("linux/arm/v6") && !error.to_string().contains("unknown"), "{error}");
    }
}

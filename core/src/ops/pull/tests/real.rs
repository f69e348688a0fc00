//! Against a real registry: Debian's `docker-registry`, filled by `skopeo`.

#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use serde_json::json;

use super::*;

/// The registry; ended when dropped.
pub struct Registry {
    process: Child,
    /// `127.0.0.1:port`
    pub host: String,
    pub dir: tempfile::TempDir,
}

impl Registry {
    /// On a port that the kernel chooses.
    pub fn start() -> Registry {
        Registry::in_dir(tempfile::tempdir().unwrap(), &json!({"addr": "127.0.0.1:0"}))
    }

    /// With `http` as the configuration's section of that name.
    pub fn in_dir(dir: tempfile::TempDir, http: &serde_json::Value) -> Registry {
        let config = json!({"version": 0.1, "log": {"level": "info"}, "http": http,
            "storage": {"filesystem": {"rootdirectory": dir.path().join("data")}}});
        let file = dir.path().join("config.yml");
        fs::write_new(&file, config.to_string().as_bytes()).unwrap();
        let skopeo = Command::new("skopeo").arg("--version").stdout(Stdio::null()).status();
        skopeo.expect("skopeo is missing: apt install skopeo");
        let mut command = Command::new("docker-registry");
        command.arg("serve").arg(&file).env_remove("PORT");
        let process = command.stdout(Stdio::null()).stderr(Stdio::piped()).spawn();
        let mut process = process.expect("docker-registry is missing: apt install docker-registry");
        let mut log = BufReader::new(process.stderr.take().unwrap());
        let host = loop {
            let mut line = String::new();
            assert!(log.read_line(&mut line).unwrap() > 0, "the registry ended");
            if let Some((_, rest)) = line.split_once("listening on ") {
                let end = rest.find(|c: char| c != '.' && c != ':' && !c.is_ascii_digit());
                break rest[..end.unwrap_or(rest.len())].to_owned();
            }
        };
        // Its log goes on; a full pipe would stop it.
        std::thread::spawn(move || std::io::copy(&mut log, &mut std::io::sink()));
        Registry { process, host, dir }
    }

    /// Pushes an OCI layout, blobs as they are.
    pub fn push(&self, layout: &Path, name: &str) {
        let (from, to) = (format!("oci:{}", layout.display()), format!("docker://{}/{name}", self.host));
        let mut skopeo = Command::new("skopeo");
        skopeo.args(["copy", "-q", "--all", "--preserve-digests", "--dest-tls-verify=false", &from, &to]);
        assert!(skopeo.status().unwrap().success());
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";
const INDEX: &str = "application/vnd.oci.image.index.v1+json";

/// Serves `image` as `name`.
pub fn push_image(registry: &Registry, image: &Image, name: &str) {
    let layout = registry.dir.path().join("layout");
    write_layout(&layout, &[(&Platform::host().architecture, image)]);
    registry.push(&layout, name);
}

/// Writes images as an OCI layout whose one entry is an index of them, one a platform.
fn write_layout(dir: &Path, images: &[(&str, &Image)]) {
    let blobs = dir.join("blobs/sha256");
    fs::make_dirs(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let _ = fs::write_new(&blobs.join(digest(bytes).hex()), bytes);
        json!({"digest": digest(bytes), "size": bytes.len()})
    };
    let entries = images.iter().map(|(architecture, image)| {
        image.blobs.values().for_each(|b| drop(put(b)));
        let mut entry = put(&image.manifest);
        entry["mediaType"] = MANIFEST.into();
        entry["platform"] = json!({"os": "linux", "architecture": architecture});
        entry
    });
    let index = |entries: serde_json::Value| {
        json!({"schemaVersion": 2, "mediaType": INDEX, "manifests": entries}).to_string().into_bytes()
    };
    let mut list = put(&index(entries.collect::<Vec<_>>().into()));
    list["mediaType"] = INDEX.into();
    fs::write_new(&dir.join("index.json"), &index(json!([list]))).unwrap();
    fs::write_new(&dir.join("oci-layout"), br#"{"imageLayoutVersion":"1.0.0"}"#).unwrap();
}

#[test]
fn an_index_with_layers_of_every_kind_is_pulled() {
    let registry = Registry::start();
    let host = Platform::host().architecture;
    let (ours, other) = (three_layers(), Image::new(&[(Pack::Gzip, tar(&[("other", b"")]))]));
    let foreign = if host == "s390x" { "amd64" } else { "s390x" };
    let layout = registry.dir.path().join("layout");
    write_layout(&layout, &[(foreign, &other), (&host, &ours)]);
    registry.push(&layout, "team/app:1");

    let (store, cancel) = (Store::new(), Cancel::new());
    let named = |tag: &str| format!("{}/team/app:{tag}", registry.host).parse::<Reference>().unwrap();
    let made = store.pull(&cancel).run(&named("1"), &mut crate::Quiet).unwrap();
    assert_eq!((made.manifest, made.index.is_some()), (digest(&ours.manifest), true));
    assert_eq!(store.file(&ours.diff_ids[1], "b"), b"zstd");
    assert!(store.layer(&other.diff_ids[0]).is_none());

    let pull = Pull { platform: Platform::new("linux", foreign, None), ..store.pull(&cancel) };
    assert_eq!(pull.run(&named("1"), &mut crate::Quiet).unwrap().manifest, digest(&other.manifest));
    let error = store.pull(&cancel).run(&named("2"), &mut crate::Quiet).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound, "{error}");

    let view = format!("oci:{}:{}", store.paths.root().display(), named("1"));
    let seen = Command::new("skopeo").args(["inspect", &view]).output().unwrap();
    assert!(seen.status.success(), "{}", String::from_utf8_lossy(&seen.stderr));
}

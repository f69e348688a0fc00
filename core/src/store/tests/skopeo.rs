//! The derived OCI layout, read by another tool.

use std::process::Command;

use super::*;

/// What `skopeo inspect oci:…` says; `None` where skopeo is not installed.
fn inspect(paths: &Paths, name: &str) -> Option<serde_json::Value> {
    #[allow(clippy::disallowed_methods)]
    let mut command = Command::new("skopeo");
    command.arg("inspect").arg(format!("oci:{}:{name}", paths.root().display()));
    let output = match command.output() {
        Err(e) if e.kind() == std::io::ErrorKind::NotFound => return None,
        output => output.unwrap(),
    };
    assert!(output.status.success(), "{name}: {}", String::from_utf8_lossy(&output.stderr));
    Some(serde_json::from_slice(&output.stdout).unwrap())
}

#[test]
fn skopeo_inspects_images_by_full_and_by_familiar_name() {
    let s = scratch();
    let (alpine, debian) = (sample("alpine"), sample("debian"));
    pull(&s.paths, &alpine, "alpine");
    pull(&s.paths, &debian, "127.0.0.1:5000/debian:12");
    for (name, image) in [
        ("alpine:latest", &alpine),
        ("docker.io/library/alpine:latest", &alpine),
        ("127.0.0.1:5000/debian:12", &debian),
    ] {
        let Some(told) = inspect(&s.paths, name) else { return };
        assert_eq!(told["Digest"], digest(&image.manifest).as_str(), "{name}");
        assert_eq!(told["Layers"][0], digest(&image.layer_blob).as_str(), "{name}");
    }
}

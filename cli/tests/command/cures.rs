//! What can go wrong is told in one sentence that ends with what can be done about it.

use std::io::{BufRead, BufReader, Write};
use std::net::TcpListener;
use std::thread;

use crate::common;
use crate::host::Host;

#[test]
fn each_bad_input_has_its_cure() {
    let host = Host::new();
    let registry = common::image().split_once('/').unwrap().0.to_owned();
    let cases: [(&[&str], i32, &str, &str); 13] = [
        (&["run", "--pull", "never", "no-such"], 125, "find image no-such", "pull it first"),
        (&["rmi", "no-such"], 1, "find image no-such", "check its name"),
        (&["pull", &format!("{registry}/nothing:1")], 1, "it has no such image", "check its name and its tag"),
        (&["pull", "127.0.0.1:1/x"], 1, "reach registry 127.0.0.1:1", "check the registry's name"),
        (&["pull", "Box/Name"], 1, "\"Box/Name\"", "lower case; write name"),
        (&["pull", "box@sha256:12"], 1, "\"box@sha256:12\"", "64 lower-case hex digits"),
        (&["run", "--rm", "box", "no-such"], 127, "run command \"no-such\"", "PATH"),
        (&["run", "--rm", "box", "/etc"], 126, "run command \"/etc\"", "chmod +x"),
        (&["run", "--rm", "-u", "stranger", "box", "true"], 125, "find user \"stranger\"", "numeric id"),
        (&["run", "--rm", "-u", "0:strangers", "box", "true"], 125, "find group \"strangers\"", "numeric id"),
        (&["run", "--rm", "--device", "/dev/no-such", "box", "true"], 125, "/dev/no-such", "check the path"),
        (&["exec", "no-such", "true"], 1, "find container no-such", "ps -a"),
        (&["--root", "/proc/no-such", "images"], 1, "make directory /proc/no-such", "give another root"),
    ];
    for (line, code, subject, cure) in cases {
        let ended = host.run(line);
        let told = ended.stderr.lines().last().unwrap_or_default().to_owned();
        assert_eq!(ended.code, code, "{line:?}: {ended:?}");
        let cure_given = told.split_once(subject).is_some_and(|(_, rest)| rest.contains(cure));
        assert!(told.starts_with("sampan: ") && cure_given, "{line:?}: {told}");
    }
    assert!(host.names().is_empty());
}

const DIGEST: &str = "sha256:aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa";

/// A registry whose blobs are other bytes than their digests say; its address.
fn damaged_registry() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    thread::spawn(move || {
        for mut stream in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                let head: Vec<String> =
                    BufReader::new(&stream).lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
                let (kind, body) = match head.first() {
                    Some(line) if line.contains("/manifests/") => {
                        ("application/vnd.oci.image.manifest.v1+json", manifest())
                    }
                    Some(line) if line.contains("/blobs/") => ("application/octet-stream", "other".to_owned()),
                    _ => ("application/json", "{}".to_owned()),
                };
                let length = body.len();
                write!(
                    stream,
                    "HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n{body}"
                )
            });
        }
    });
    address
}

fn manifest() -> String {
    let of = |kind: &str| format!(r#"{{"mediaType":"application/vnd.oci.image.{kind}","digest":"{DIGEST}","size":5}}"#);
    let (config, layer) = (of("config.v1+json"), of("layer.v1.tar"));
    format!(
        r#"{{"schemaVersion":2,"mediaType":"application/vnd.oci.image.manifest.v1+json","config":{config},"layers":[{layer}]}}"#
    )
}

#[test]
fn a_damaged_blob_tells_where_the_damage_may_be() {
    let host = Host::empty();
    let ended = host.run(&["pull", &format!("{}/x", damaged_registry())]);
    let told = ended.stderr.lines().last().unwrap_or_default();
    assert_eq!(ended.code, 1, "{ended:?}");
    assert!(told.contains(&format!("fetch blob {DIGEST}: its bytes are those of sha256:")), "{told}");
    assert!(told.ends_with("pull again, and push the image again if it stays"), "{told}");
    assert_eq!(host.ok(&["images", "-q"]), "");
}

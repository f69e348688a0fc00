//! The client against a registry that misbehaves.

mod net;
pub mod server;

use std::collections::HashMap;
use std::time::{Duration, Instant};

use serde_json::json;

use self::server::{Answer, Request, Server, digest};
use super::manifest::Descriptor;
use super::{Client, Platform, RegistryOptions, Resolved};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::reference::Reference;

const MANIFEST: &str = "application/vnd.oci.image.manifest.v1+json";

fn blob(bytes: &[u8]) -> Descriptor {
    Descriptor { media_type: "x".into(), digest: digest(bytes), size: bytes.len() as u64 }
}

/// Bytes that don't repeat, so that a wrong place shows.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 1u32;
    let next = |_| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        (state >> 24) as u8
    };
    (0..len).map(next).collect()
}

fn manifest_of(config: &[u8]) -> Vec<u8> {
    let config = blob(config);
    json!({"schemaVersion": 2, "mediaType": MANIFEST, "layers": [], "config": {
        "mediaType": "application/vnd.oci.image.config.v1+json", "digest": config.digest, "size": config.size}})
    .to_string()
    .into_bytes()
}

fn client_of(host: &str, cancel: &Cancel) -> Client {
    let reference: Reference = format!("{host}/team/app:1").parse().unwrap();
    let options = RegistryOptions { idle_timeout: Duration::from_secs(20), ..RegistryOptions::default() };
    Client::new(&reference, &options, cancel).unwrap()
}

fn resolve(server: &Server) -> Result<Resolved> {
    client_of(&server.host, &Cancel::new()).resolve(&Platform::host())
}

fn fetch(server: &Server, wanted: &Descriptor) -> Result<Vec<u8>> {
    client_of(&server.host, &Cancel::new()).read(wanted, u64::MAX)
}

/// Gives `first` in turn, then `then`.
fn script(first: Vec<Answer>, then: Answer) -> impl FnMut(&Request) -> Answer + Send {
    let mut first = first.into_iter();
    move |_| first.next().unwrap_or_else(|| then.clone())
}

#[test]
fn a_tag_is_resolved_and_its_bytes_are_kept() {
    let raw = manifest_of(b"{}");
    let server = Server::start(script(vec![], Answer::new(200, raw.clone()).header("content-type", MANIFEST)));
    let found = resolve(&server).unwrap();
    assert_eq!((found.digest, &found.raw), (digest(&raw), &raw));
    let request = &server.requests()[0];
    assert_eq!(request.path, "/v2/team/app/manifests/1");
    assert!(request.header("accept").unwrap().contains("manifest.list.v2+json"));
    assert!(request.header("user-agent").unwrap().starts_with("sampan/"));
}

#[test]
fn an_index_leads_to_the_manifest_and_its_digest_is_checked() {
    let raw = manifest_of(b"{}");
    let host = Platform::host();
    let entry = |size: usize| {
        json!({"mediaType": MANIFEST, "digest": digest(&raw), "size": size,
            "platform": {"os": "linux", "architecture": host.architecture}})
    };
    let serve = |size: usize, bytes: Vec<u8>| {
        let index = json!({"schemaVersion": 2, "manifests": [entry(size)]}).to_string();
        Server::start(move |r| match r.path.contains("sha256:") {
            true => Answer::new(200, bytes.clone()),
            false => Answer::new(200, index.clone()),
        })
    };
    let found = resolve(&serve(raw.len(), raw.clone())).unwrap();
    assert_eq!((found.digest, found.index.is_some()), (digest(&raw), true));
    let other = manifest_of(b"other");
    for (size, bytes) in [(raw.len(), other), (raw.len() + 1, raw.clone())] {
        assert_eq!(resolve(&serve(size, bytes)).unwrap_err().kind(), Kind::Integrity);
    }
}

#[test]
fn the_bytes_of_a_tag_are_those_that_the_registry_tells_of() {
    let raw = manifest_of(b"{}");
    let told = |digest: String| {
        let answer = Answer::new(200, raw.clone()).header("content-type", MANIFEST);
        resolve(&Server::start(script(vec![], answer.header("docker-content-digest", digest))))
    };
    assert_eq!(told(digest(&raw).to_string()).unwrap().digest, digest(&raw));
    let error = told(digest(&manifest_of(b"pushed")).to_string()).unwrap_err();
    assert_eq!((error.kind(), error.subject()), (Kind::Integrity, digest(&raw).as_str()), "{error}");
    // Another algorithm than ours, and a word that is none.
    for other in [format!("sha512:{}", "0".repeat(128)), "so".to_owned()] {
        assert_eq!(told(other).unwrap().digest, digest(&raw));
    }
}

#[test]
fn a_manifest_that_is_two_things_or_too_long_is_refused() {
    let both = json!({"schemaVersion": 2, "manifests": [], "layers": [], "config": {}}).to_string();
    let server = Server::start(script(vec![], Answer::new(200, both)));
    assert_eq!(resolve(&server).unwrap_err().kind(), Kind::InvalidImage);
    let server = Server::start(script(vec![], Answer::new(200, vec![b' '; (4 << 20) + 1])));
    assert_eq!(resolve(&server).unwrap_err().kind(), Kind::LimitExceeded);
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn a_missing_image_is_said_to_be_missing() {
    let body = r#"{"errors":[{"code":"MANIFEST_UNKNOWN","message":"manifest\nunknown"}]}"#;
    let server = Server::start(script(vec![], Answer::new(404, body)));
    let error = resolve(&server).unwrap_err();
    assert_eq!(error.kind(), Kind::NotFound);
    assert!(
        error.to_string().ends_with("it has no such image (manifestunknown); check its name and its tag"),
        "{error}"
    );
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn a_busy_registry_is_asked_again() {
    let raw = manifest_of(b"{}");
    let busy = vec![Answer::new(503, ""), Answer::new(429, "").header("retry-after", "0"), Answer::new(500, "").cut(0)];
    let server = Server::start(script(busy, Answer::new(200, raw.clone())));
    assert_eq!(resolve(&server).unwrap().raw, raw);
    assert_eq!(server.paths().len(), 4);
}

#[test]
fn a_registry_that_stays_busy_is_given_up() {
    let server = Server::start(script(vec![], Answer::new(429, "").header("retry-after", "0")));
    assert_eq!(resolve(&server).unwrap_err().kind(), Kind::Registry);
    assert_eq!(server.paths().len(), 5);
    let server = Server::start(script(vec![], Answer::new(429, "").header("retry-after", "7200")));
    assert!(resolve(&server).unwrap_err().to_string().contains("try again in 7200 s"));
    assert_eq!(server.paths().len(), 1);
}

#[test]
fn a_broken_download_goes_on_where_it_broke() {
    let bytes = noise(300_000);
    let (served, mut cuts) = (bytes.clone(), vec![100_000, 50_000]);
    let server = Server::start(move |r| {
        let from = r.range().unwrap_or(0);
        let range = format!("bytes {from}-{}/{}", served.len() - 1, served.len());
        let answer = Answer::new(if from > 0 { 206 } else { 200 }, &served[from..]).header("content-range", range);
        cuts.pop().map_or(answer.clone(), |c| answer.cut(c))
    });
    assert_eq!(fetch(&server, &blob(&bytes)).unwrap(), bytes);
    let ranges: Vec<_> = server.requests().iter().map(Request::range).collect();
    assert_eq!(ranges, [None, Some(50_000), Some(150_000)]);
}

#[test]
fn a_server_that_ignores_ranges_is_survived() {
    let bytes = noise(200_000);
    let whole = Answer::new(200, bytes.clone());
    let server = Server::start(script(vec![whole.clone().cut(70_000), whole.clone().cut(90_000)], whole));
    assert_eq!(fetch(&server, &blob(&bytes)).unwrap(), bytes);
    assert_eq!(server.paths().len(), 3);
}

#[test]
fn a_blob_that_is_always_cut_short_is_given_up() {
    let bytes = noise(1000);
    let server = Server::start(script(vec![], Answer::new(200, bytes.clone()).cut(500)));
    assert_eq!(fetch(&server, &blob(&bytes)).unwrap_err().kind(), Kind::Network);
    assert_eq!(server.paths().len(), 5);
}

#[test]
fn wrong_bytes_and_sizes_are_never_asked_for_again() {
    let (bytes, mut corrupt) = (noise(1000), noise(1000));
    corrupt[500] ^= 1;
    let (short, mut long) = (noise(999), noise(1000));
    long.push(0);
    let chunked: Vec<u8> = [b"3e9\r\n".as_slice(), &long, b"\r\n0\r\n\r\n"].concat();
    let chunked = Answer::new(200, chunked).header("transfer-encoding", "chunked");
    for answer in [Answer::new(200, corrupt), Answer::new(200, short), Answer::new(200, long), chunked] {
        let server = Server::start(script(vec![], answer));
        assert_eq!(fetch(&server, &blob(&bytes)).unwrap_err().kind(), Kind::Integrity);
        assert_eq!(server.paths().len(), 1);
    }
}

#[test]
fn redirects_are_followed_and_bounded() {
    let bytes = noise(1000);
    let served = bytes.clone();
    let server = Server::start(move |r| match r.path.as_str() {
        "/elsewhere" => Answer::new(200, served.clone()),
        _ => Answer::new(307, "").header("location", "/elsewhere"),
    });
    assert_eq!(fetch(&server, &blob(&bytes)).unwrap(), bytes);
    let server = Server::start(script(vec![], Answer::new(302, "").header("location", "/v2/again")));
    let error = fetch(&server, &blob(&bytes)).unwrap_err();
    assert!(error.to_string().contains("redirects more than ten times"), "{error}");
    assert_eq!(server.paths().len(), 11);
}

#[test]
fn a_token_is_fetched_once_and_kept_from_other_origins() {
    let bytes = noise(1000);
    let served = bytes.clone();
    let elsewhere = Server::start(move |_| Answer::new(200, served.clone()));
    let to = format!("http://{}/cdn", elsewhere.host);
    let server = Server::start(move |r| match (r.path.starts_with("/token"), r.header("authorization")) {
        (true, _) => Answer::new(200, r#"{"token":"secret"}"#),
        (_, Some("Bearer secret")) => Answer::new(307, "").header("location", to.clone()),
        _ => {
            let realm = format!(r#"Bearer realm="http://{}/token",service="a, b""#, r.header("host").unwrap());
            Answer::new(401, "").header("www-authenticate", realm)
        }
    });
    let client = client_of(&server.host, &Cancel::new());
    for _ in 0..2 {
        assert_eq!(client.read(&blob(&bytes), u64::MAX).unwrap(), bytes);
    }
    let tokens: Vec<_> = server.paths().into_iter().filter(|p| p.starts_with("/token")).collect();
    assert_eq!(tokens, ["/token?service=a,%20b&scope=repository:team/app:pull"]);
    assert!(elsewhere.requests().iter().all(|r| r.header("authorization").is_none()));
}

#[test]
fn a_registry_that_wants_a_password_says_so() {
    let server = Server::start(script(vec![], Answer::new(401, "").header("www-authenticate", "Basic realm=x")));
    assert_eq!(resolve(&server).unwrap_err().kind(), Kind::Unauthorized);
    let server = Server::start(script(vec![], Answer::new(401, "")));
    assert_eq!(resolve(&server).unwrap_err().kind(), Kind::Unauthorized);
}

#[test]
fn every_refusal_is_one_sentence_of_its_kind() {
    let body = r#"{"errors":[{"code":"X","message":"so it is"}]}"#;
    for (status, kind, words, tries) in [
        (401, Kind::Unauthorized, "it wants credentials, or has no such repository (so it is)", 1),
        (403, Kind::Unauthorized, "it refuses access (so it is)", 1),
        (404, Kind::NotFound, "it has no such image (so it is)", 1),
        (418, Kind::Registry, "it answered 418 (so it is)", 1),
        (429, Kind::Registry, "it had too many requests from here (so it is)", 5),
        (500, Kind::Registry, "it answered 500 (so it is)", 5),
        (503, Kind::Registry, "it answered 503 (so it is)", 5),
    ] {
        // 503 and 429 say when to come back; 500 does not and is asked again after pauses of our own.
        let server = Server::start(script(vec![], Answer::new(status, body).header("retry-after", "0")));
        let error = resolve(&server).unwrap_err();
        assert_eq!((error.kind(), error.operation(), error.subject()), (kind, "ask registry", server.host.as_str()));
        assert_eq!(error.cause(), words);
        assert_eq!(server.paths().len(), tries, "{status}");
    }
}

#[test]
fn a_closed_port_is_told_soon() {
    let host = std::net::TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let error = client_of(&host, &Cancel::new()).resolve(&Platform::host()).unwrap_err();
    assert_eq!(error.kind(), Kind::Network);
    assert!(error.to_string().starts_with(&format!("reach registry {host}: connection refused; ")), "{error}");
}

#[test]
fn a_silent_registry_ends_in_time() {
    let server = Server::start(|_| Answer::hang(0, b""));
    let reference: Reference = format!("{}/a", server.host).parse().unwrap();
    let options = RegistryOptions { idle_timeout: Duration::from_millis(50), ..RegistryOptions::default() };
    let client = Client::new(&reference, &options, &Cancel::new()).unwrap();
    let error = client.resolve(&Platform::host()).unwrap_err();
    assert_eq!((error.kind(), error.cause().as_str()), (Kind::Network, "it does not answer"));
}

/// Sockets of this process to `host`, by the kernel's table: other tests have sockets too.
pub fn connections_to(host: &str) -> usize {
    let port: u16 = host.rsplit(':').next().unwrap().parse().unwrap();
    let remote = format!("0100007F:{port:04X}");
    let table = crate::fs::read_bounded(std::path::Path::new("/proc/self/net/tcp"), 16 << 20).unwrap();
    let table = String::from_utf8(table).unwrap();
    let ours = |l: &&str| l.split_whitespace().nth(2) == Some(&remote) && l.split_whitespace().nth(3) == Some("01");
    table.lines().filter(ours).count()
}

/// Cancels when the server has been asked, and tells what came of it and how long it took.
fn cancelled_during(answer: &Answer, call: impl Fn(&Client) -> Result<()> + Sync) -> (Error, Duration) {
    let cancel = Cancel::new();
    let (ring, answer) = (cancel.clone(), answer.clone());
    let server = Server::start(move |_| {
        ring.cancel();
        answer.clone()
    });
    let client = client_of(&server.host, &cancel);
    let begun = Instant::now();
    let error = call(&client).unwrap_err();
    let took = begun.elapsed();
    drop(client);
    assert_eq!(connections_to(&server.host), 0);
    (error, took)
}

#[test]
fn a_cancel_ends_any_wait_at_once_and_closes_the_socket() {
    let bytes = noise(1 << 20);
    let wanted = blob(&bytes);
    let calls: HashMap<&str, (Answer, bool)> = HashMap::from([
        ("silence", (Answer::hang(0, b""), true)),
        ("half a blob", (Answer::hang(200, &bytes[..1000]).header("content-length", bytes.len().to_string()), false)),
        ("a pause before the next try", (Answer::new(503, "").header("retry-after", "30"), true)),
    ]);
    for (name, (answer, manifest)) in calls {
        let (error, took) = cancelled_during(&answer, |client| match manifest {
            true => client.resolve(&Platform::host()).map(drop),
            false => client.read(&wanted, u64::MAX).map(drop),
        });
        assert_eq!(error.kind(), Kind::Cancelled, "{name}");
        assert!(took < Duration::from_secs(5), "{name}: {took:?}");
    }
}

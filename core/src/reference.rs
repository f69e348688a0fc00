//! Image references in Docker's grammar: `[registry/]repository[:tag][@digest]`.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};
use crate::id::Digest;

/// The registry that is meant when a reference names none.
pub const DEFAULT_REGISTRY: &str = "docker.io";
/// The tag that is meant when a reference has neither tag nor digest.
pub const DEFAULT_TAG: &str = "latest";

// Docker Hub's old name, which still stands in scripts.
const LEGACY_DEFAULT_REGISTRY: &str = "index.docker.io";
const OFFICIAL_PREFIX: &str = "library/";
const MAX_REPOSITORY: usize = 255;
const MAX_TAG: usize = 128;

/// Which image: registry, repository, and a tag, a digest or both.
///
/// Parsing fills in what Docker fills in, so every part that identifies an image is there:
///
/// ```
/// use sampan::reference::Reference;
/// let r: Reference = "alpine".parse()?;
/// assert_eq!(r.to_string(), "docker.io/library/alpine:latest");
/// assert_eq!(r.familiar(), "alpine:latest");
/// # Ok::<(), sampan::Error>(())
/// ```
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    registry: String,
    repository: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

impl Reference {
    /// Host and port of the registry: `docker.io`, `localhost:5000`, `[::1]:5000`.
    pub fn registry(&self) -> &str {
        &self.registry
    }

    /// The path at the registry: `library/alpine`.
    pub fn repository(&self) -> &str {
        &self.repository
    }

    /// The tag; absent only when there is a digest.
    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    /// The digest, which wins over the tag when the image is fetched.
    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// Registry and repository: `docker.io/library/alpine`.
    pub fn name(&self) -> String {
        format!("{}/{}", self.registry, self.repository)
    }

    /// The name as people write it: `alpine`.
    pub fn familiar_name(&self) -> String {
        if self.registry != DEFAULT_REGISTRY {
            return self.name();
        }
        match self.repository.strip_prefix(OFFICIAL_PREFIX) {
            Some(short) if !short.contains('/') => short.to_owned(),
            _ => self.repository.clone(),
        }
    }

    /// The reference as tables show it: `alpine:latest`.
    pub fn familiar(&self) -> String {
        self.familiar_name() + &self.suffix()
    }

    /// The same repository under a digest alone.
    pub fn with_digest(&self, digest: Digest) -> Reference {
        Reference { tag: None, digest: Some(digest), ..self.clone() }
    }

    fn suffix(&self) -> String {
        let tag = self.tag.as_ref().map(|t| format!(":{t}")).unwrap_or_default();
        let digest = self.digest.as_ref().map(|d| format!("@{d}")).unwrap_or_default();
        tag + &digest
    }
}

impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}{}", self.registry, self.repository, self.suffix())
    }
}

impl FromStr for Reference {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        parse(text).map_err(|fault| fault.into_error(text))
    }
}

impl TryFrom<String> for Reference {
    type Error = Error;
    fn try_from(text: String) -> Result<Self> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> String {
        reference.to_string()
    }
}

/// What is wrong with a reference, and how to right it.
struct Fault {
    because: String,
    cure: Option<String>,
}

impl Fault {
    fn new(because: impl Into<String>) -> Self {
        Fault { because: because.into(), cure: None }
    }

    fn cure(mut self, cure: impl Into<String>) -> Self {
        self.cure = Some(cure.into());
        self
    }

    fn into_error(self, text: &str) -> Error {
        let error =
            Error::new(Kind::InvalidArgument, "parse image reference", format!("{text:?}")).because(self.because);
        match self.cure {
            Some(cure) => error.hint(cure),
            None => error,
        }
    }
}

fn parse(text: &str) -> Result<Reference, Fault> {
    refuse_what_is_no_reference(text)?;
    let (rest, digest) = match text.split_once('@') {
        Some((rest, digest)) => (rest, Some(parse_digest(digest)?)),
        None => (text, None),
    };
    let (name, tag) = split_tag(rest);
    let tag = tag.map(check_tag).transpose()?;
    let (registry, repository) = split_registry(name);
    check_registry(registry)?;
    let repository = match registry == DEFAULT_REGISTRY && !repository.contains('/') {
        true => format!("{OFFICIAL_PREFIX}{repository}"),
        false => repository.to_owned(),
    };
    check_repository(&repository)?;
    let tag = tag.or_else(|| digest.is_none().then(|| DEFAULT_TAG.to_owned()));
    Ok(Reference { registry: registry.to_owned(), repository, tag, digest })
}

fn refuse_what_is_no_reference(text: &str) -> Result<(), Fault> {
    let is_hex = |b: u8| matches!(b, b'0'..=b'9' | b'a'..=b'f');
    if text.is_empty() {
        return Err(Fault::new("it is empty").cure("give a name such as alpine or registry.example:5000/team/app:1.2"));
    }
    if let Some((scheme, rest)) = text.split_once("://") {
        return Err(Fault::new(format!("a reference has no scheme ({scheme}://)")).cure(format!("write {rest}")));
    }
    // It would be told from an image id by nothing.
    if text.len() == 64 && text.bytes().all(is_hex) {
        return Err(Fault::new("a repository can't be named by 64 hex digits, which read as an image id"));
    }
    Ok(())
}

fn parse_digest(text: &str) -> Result<Digest, Fault> {
    text.parse().map_err(|_| match text.split_once(':') {
        Some((algorithm @ ("sha384" | "sha512"), _)) => {
            Fault::new(format!("digests by {algorithm} are not supported")).cure("use the image's sha256 digest")
        }
        _ => Fault::new("the digest after '@' must be 'sha256:' and 64 lower-case hex digits"),
    })
}

/// A colon after the last slash begins a tag; one before it a port.
fn split_tag(rest: &str) -> (&str, Option<&str>) {
    let path = rest.rfind('/').map_or(0, |i| i + 1);
    match rest[path..].find(':') {
        Some(colon) => (&rest[..path + colon], Some(&rest[path + colon + 1..])),
        None => (rest, None),
    }
}

fn check_tag(tag: &str) -> Result<String, Fault> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    if tag.len() > MAX_TAG {
        return Err(Fault::new(format!("the tag has {} characters, {MAX_TAG} at most", tag.len())));
    }
    match tag.bytes().next().is_some_and(word) && tag.bytes().all(|b| word(b) || b".-".contains(&b)) {
        true => Ok(tag.to_owned()),
        false => Err(Fault::new(format!(
            "the tag {tag:?} must begin with a letter, digit or '_' and hold only those, '.' and '-'"
        ))),
    }
}

/// Docker's rule for what is a registry and what the first part of a path on Docker Hub.
fn split_registry(name: &str) -> (&str, &str) {
    match name.split_once('/') {
        Some((LEGACY_DEFAULT_REGISTRY, rest)) => (DEFAULT_REGISTRY, rest),
        Some((first, rest)) if names_a_host(first) => (first, rest),
        _ => (DEFAULT_REGISTRY, name),
    }
}

fn names_a_host(first: &str) -> bool {
    first.contains(['.', ':']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_registry(registry: &str) -> Result<(), Fault> {
    let bad = || Fault::new(format!("{registry:?} is not a registry's host[:port]"));
    let (host, port) = split_port(registry);
    if port.is_some_and(|p| p.parse::<u16>().is_err() || !p.bytes().all(|b| b.is_ascii_digit())) {
        return Err(bad().cure("a port is a number from 0 to 65535"));
    }
    match is_ipv6(host) || host.split('.').all(is_domain_part) {
        true => Ok(()),
        false => Err(bad()),
    }
}

/// Host and port; the colons of an IPv6 address stand in brackets.
fn split_port(registry: &str) -> (&str, Option<&str>) {
    let after_address = registry.rfind(']').map_or(0, |i| i + 1);
    match registry[after_address..].find(':') {
        Some(i) => (&registry[..after_address + i], Some(&registry[after_address + i + 1..])),
        None => (registry, None),
    }
}

fn is_ipv6(host: &str) -> bool {
    let inner = host.strip_prefix('[').and_then(|h| h.strip_suffix(']'));
    inner.is_some_and(|address| address.parse::<std::net::Ipv6Addr>().is_ok())
}

fn is_domain_part(part: &str) -> bool {
    let edge = |b: Option<u8>| b.is_some_and(|b| b.is_ascii_alphanumeric());
    edge(part.bytes().next())
        && edge(part.bytes().last())
        && part.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
}

fn check_repository(repository: &str) -> Result<(), Fault> {
    if repository.len() > MAX_REPOSITORY {
        return Err(Fault::new(format!(
            "the repository has {} characters, {MAX_REPOSITORY} at most",
            repository.len()
        )));
    }
    if repository.bytes().any(|b| b.is_ascii_uppercase()) {
        let given = repository.strip_prefix(OFFICIAL_PREFIX).unwrap_or(repository);
        return Err(
            Fault::new("a repository is written in lower case").cure(format!("write {}", given.to_ascii_lowercase()))
        );
    }
    match repository.split('/').find(|part| !is_path_part(part)) {
        None => Ok(()),
        Some("") => Err(Fault::new("a part of the repository is empty")),
        Some(part) => Err(Fault::new(format!(
            "the part {part:?} of the repository must be letters and digits, joined by single '.', '_', by '__' or by dashes"
        ))),
    }
}

/// `[a-z0-9]+ ((. | _ | __ | -+) [a-z0-9]+)*`
fn is_path_part(part: &str) -> bool {
    let word = |b: u8| matches!(b, b'a'..=b'z' | b'0'..=b'9');
    let ends_in_words = part.bytes().next().is_some_and(word) && part.bytes().last().is_some_and(word);
    let separators = part.split(|c: char| c.is_ascii() && word(c as u8)).filter(|s| !s.is_empty());
    ends_in_words && separators.into_iter().all(|s| matches!(s, "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e692418e4cbaf90ca69d05a66403747baa33ee08806650b51fab815ad7fc331f";

    fn parse(text: &str) -> Reference {
        text.parse().unwrap_or_else(|e| panic!("{text}: {e}"))
    }

    #[test]
    fn fills_in_what_docker_fills_in() {
        let digest = format!("sha256:{HEX}");
        for (text, full, familiar) in [
            ("alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("alpine:3.20", "docker.io/library/alpine:3.20", "alpine:3.20"),
            ("user/app", "docker.io/user/app:latest", "user/app:latest"),
            ("a/b/c", "docker.io/a/b/c:latest", "a/b/c:latest"),
            ("library/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("index.docker.io/alpine", "docker.io/library/alpine:latest", "alpine:latest"),
            ("docker.io/library/a/b", "docker.io/library/a/b:latest", "library/a/b:latest"),
            ("localhost/app", "localhost/app:latest", "localhost/app:latest"),
            ("localhost:5000/app", "localhost:5000/app:latest", "localhost:5000/app:latest"),
            ("localhost:5000", "docker.io/library/localhost:5000", "localhost:5000"),
            ("127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1", "127.0.0.1:5000/a/b:v1"),
            ("[::1]:5000/app", "[::1]:5000/app:latest", "[::1]:5000/app:latest"),
            ("[fe80::1]/app:x", "[fe80::1]/app:x", "[fe80::1]/app:x"),
            ("ghcr.io/Org", "", ""),
            ("Org/app", "Org/app:latest", "Org/app:latest"),
            ("a.b-c.d:80/x__y/z--w.v:T_1.-", "a.b-c.d:80/x__y/z--w.v:T_1.-", "a.b-c.d:80/x__y/z--w.v:T_1.-"),
        ] {
            match full {
                "" => assert!(text.parse::<Reference>().is_err(), "{text}"),
                _ => assert_eq!((parse(text).to_string().as_str(), parse(text).familiar().as_str()), (full, familiar)),
            }
        }
        let both = parse(&format!("app:1@{digest}"));
        assert_eq!((both.tag(), both.digest().unwrap().as_str()), (Some("1"), digest.as_str()));
        let pinned = parse(&format!("app@{digest}"));
        assert_eq!((pinned.tag(), pinned.to_string()), (None, format!("docker.io/library/app@{digest}")));
    }

    #[test]
    fn what_it_prints_parses_to_itself() {
        for text in ["alpine", "localhost:5000/a:b", "[::1]:1/x", &format!("a/b:c@sha256:{HEX}")] {
            let once = parse(text);
            assert_eq!(once, parse(&once.to_string()));
            assert_eq!(once, parse(&once.familiar()));
            let json = serde_json::to_string(&once).unwrap();
            assert_eq!(once, serde_json::from_str(&json).unwrap());
        }
    }

    #[test]
    fn refuses_what_docker_refuses() {
        let (long_tag, long_name) = (format!("a:{}", "t".repeat(129)), format!("x.io/{}", "n".repeat(256)));
        for text in [
            "",
            ":",
            ":tag",
            "@",
            "/",
            "/a",
            "a/",
            "a//b",
            "a:",
            "a@",
            "a:b:c",
            "-a",
            "a-",
            "a..b",
            "a._b",
            "a___b",
            "_a",
            ".a",
            "a.",
            "a b",
            "a\n",
            "a\0",
            "é",
            "a/é",
            "A",
            "Alpine:3",
            "x.io/A",
            "a:-x",
            "a:.x",
            "a:é",
            "a@sha256:abc",
            "a@sha512:00",
            "a@md5:00",
            "x.io:/a",
            "x.io:http/a",
            "x.io:99999/a",
            "x.io:+1/a",
            "-x.io/a",
            "x-.io/a",
            "x..io/a",
            "[::1/a",
            "[::g]:1/a",
            "::1/a",
            "https://x.io/a",
            HEX,
            &long_tag,
            &long_name,
            "../a",
            "a/../b",
            "a/./b",
        ] {
            assert_eq!(text.parse::<Reference>().map_err(|e| e.kind()), Err(Kind::InvalidArgument), "{text:?}");
        }
        assert!(format!("a:{}", "t".repeat(128)).parse::<Reference>().is_ok());
        assert!(format!("x.io/{}", "n".repeat(255)).parse::<Reference>().is_ok());
        assert!(format!("a@sha256:{}", HEX.to_uppercase()).parse::<Reference>().is_err());
    }

    #[test]
    fn errors_tell_the_cure() {
        let says = |text: &str| text.parse::<Reference>().unwrap_err().to_string();
        assert_eq!(
            says("Alpine"),
            "parse image reference \"Alpine\": a repository is written in lower case; write alpine"
        );
        assert!(says("docker://alpine").ends_with("a reference has no scheme (docker://); write alpine"));
        assert!(says(&format!("a@sha512:{HEX}{HEX}")).contains("sha512 are not supported"));
        assert!(says(&format!("a:{}", "t".repeat(129))).contains("129 characters, 128 at most"));
    }
}

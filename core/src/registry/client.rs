//! One repository at one registry: requests, redirects, the token, manifests.

use std::sync::{Mutex, PoisonError, RwLock};

use sha2::{Digest as _, Sha256};
use ureq::Body;
use ureq::http::header::{AUTHORIZATION, CONTENT_TYPE, LOCATION};
use ureq::http::{Response, StatusCode, Uri};

use super::agents::Agents;
use super::blob::BlobReader;
use super::failure::{self, Again, Failure};
use super::manifest::{self, ACCEPT, Descriptor, Document, MAX_MANIFEST};
use super::platform::Platform;
use super::resolve::Home;
use super::retry::retrying;
use super::url::{self, Origin};
use super::{Index, RegistryOptions, Resolved, auth};
use crate::cancel::Cancel;
use crate::error::{Error, Kind, Result};
use crate::id::Digest;
use crate::reference::{DEFAULT_REGISTRY, Reference};

/// Docker Hub's name is not its address.
const DOCKER_HUB: &str = "registry-1.docker.io";
const MAX_REDIRECTS: usize = 10;
/// An index may lead to an index, but not round and round.
const MAX_INDEX_DEPTH: usize = 3;
const MAX_TOKEN_ANSWER: u64 = 256 << 10;

/// A client for the repository of one reference. Shared between threads by `&`.
#[derive(Debug)]
pub struct Client {
    agents: Agents,
    base: RwLock<Uri>,
    reference: Reference,
    token: Mutex<Option<String>>,
    cancel: Cancel,
}

impl Client {
    /// A client; asks the registry only where it must find out whether it speaks TLS.
    pub fn new(reference: &Reference, options: &RegistryOptions, cancel: &Cancel) -> Result<Client> {
        let host = match reference.registry() {
            DEFAULT_REGISTRY => DOCKER_HUB,
            other => other,
        };
        let (loopback, insecure) = (url::is_loopback(host), options.insecure.iter().any(|i| i == host));
        let base = base_url(if loopback { "http" } else { "https" }, host)?;
        let home = Home::new(base.host().unwrap_or(host));
        let agents = Agents::new(options, home, insecure.then_some(host), cancel);
        let (reference, cancel) = (reference.clone(), cancel.clone());
        let client = Client { agents, base: RwLock::new(base), reference, token: Mutex::new(None), cancel };
        if insecure && !loopback && !client.speaks_tls()? {
            client.speak("http")?;
        }
        Ok(client)
    }

    /// The same client, with what it has learnt, whose calls end by another token.
    pub fn under(&self, cancel: &Cancel) -> Client {
        let token = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        Client {
            agents: self.agents.under(cancel),
            base: RwLock::new(self.base()),
            reference: self.reference.clone(),
            token: Mutex::new(token),
            cancel: cancel.clone(),
        }
    }

    fn base(&self) -> Uri {
        self.base.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Changes the scheme that the registry is spoken to in.
    fn speak(&self, scheme: &str) -> Result<()> {
        let base = self.base();
        let changed = base_url(scheme, base.authority().map_or("", |a| a.as_str()))?;
        *self.base.write().unwrap_or_else(PoisonError::into_inner) = changed;
        Ok(())
    }

    /// The token that ends every call.
    pub fn cancel(&self) -> &Cancel {
        &self.cancel
    }

    /// Finds the image of `platform` that the reference means.
    pub fn resolve(&self, platform: &Platform) -> Result<Resolved> {
        let tag = self.reference.tag().unwrap_or_default();
        let mut wanted = self.reference.digest().cloned();
        let (mut size, mut index) = (None, None);
        for _ in 0..=MAX_INDEX_DEPTH {
            let what = wanted.as_ref().map_or(tag, |d| d.as_str());
            let Given { raw, content_type, told } = self.manifest(what)?;
            let digest = check(&raw, wanted.as_ref().or(told.as_ref()), size)?;
            match manifest::read(&raw, content_type.as_deref())? {
                Document::Image(image) => return Ok(Resolved { digest, raw, image, index }),
                Document::Index(list) => {
                    let chosen = manifest::choose(&list, platform)?;
                    (wanted, size) = (Some(chosen.digest), Some(chosen.size));
                    index = index.or(Some(Index { digest, raw }));
                }
            }
        }
        Err(Error::new(Kind::InvalidImage, "read manifest", "").because("its indexes lead from one to the next"))
    }

    /// Reads a blob that came before, or a small one whole: a config.
    pub fn read(&self, blob: &Descriptor, limit: u64) -> Result<Vec<u8>> {
        if blob.size > limit {
            return Err(Error::new(Kind::LimitExceeded, "fetch blob", blob.digest.as_str())
                .because(format!("it has {} bytes, {limit} at most", blob.size)));
        }
        self.blob(blob).read_whole()
    }

    /// A blob as it comes, verified by the time its end is read.
    pub fn blob(&self, blob: &Descriptor) -> BlobReader<'_> {
        BlobReader::new(self, blob.clone())
    }

    fn manifest(&self, what: &str) -> Result<Given> {
        let path = format!("manifests/{what}");
        let accept = ACCEPT.join(", ");
        retrying(&self.cancel, || {
            let asked = self.get(&path, &[("accept", &accept)]);
            let (url, answer) = if self.wants_tls(&asked)? { self.get(&path, &[("accept", &accept)]) } else { asked }?;
            let (status, headers) = (answer.status(), answer.headers().clone());
            if status != StatusCode::OK {
                return Err(failure::of_status(status, &headers, answer.into_body(), &url));
            }
            let header = |name: &str| headers.get(name).and_then(|v| v.to_str().ok());
            let content_type = header(CONTENT_TYPE.as_str()).map(str::to_owned);
            let told = header(CONTENT_DIGEST).and_then(|text| text.parse().ok());
            Ok(Given { raw: self.body(answer, MAX_MANIFEST, &url)?, content_type, told })
        })
    }

    fn body(&self, answer: Response<Body>, limit: u64, url: &Uri) -> Result<Vec<u8>, Failure> {
        let read = answer.into_body().into_with_config().limit(limit).read_to_vec();
        read.map_err(|e| match e {
            ureq::Error::BodyExceedsLimit(_) => Failure::fatal(
                Error::new(Kind::LimitExceeded, "ask registry", self.reference.registry())
                    .because(format!("its answer has more than {limit} bytes")),
            ),
            e => failure::of_transport(e, url, &self.cancel),
        })
    }

    /// One try at `path` of the repository: the answer, whatever its status, and where it came from.
    /// Redirects are followed, and a challenge is met once.
    pub(super) fn get(&self, path: &str, headers: &[(&str, &str)]) -> Result<(Uri, Response<Body>), Failure> {
        let url = self.url(&format!("/v2/{}/{path}", self.reference.repository()))?;
        let known = self.token.lock().unwrap_or_else(PoisonError::into_inner).clone();
        let (from, answer) = self.follow(url.clone(), headers, known.as_deref())?;
        let challenged = answer.status() == StatusCode::UNAUTHORIZED && Origin::of(&from) == Origin::of(&self.base());
        let challenges = auth::challenges(answer.headers());
        if !challenged || challenges.is_empty() {
            return Ok((from, answer));
        }
        let fresh = self.new_token(&challenges, known.as_deref())?;
        self.follow(url, headers, Some(&fresh))
    }

    fn url(&self, path: &str) -> Result<Uri> {
        url::join(&self.base(), path).ok_or_else(|| not_a_url(path))
    }

    /// A token other than `spent`; another thread may have fetched one meanwhile.
    fn new_token(&self, challenges: &[auth::Challenge], spent: Option<&str>) -> Result<String, Failure> {
        let mut held = self.token.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(token) = held.as_ref().filter(|t| Some(t.as_str()) != spent) {
            return Ok(token.clone());
        }
        let url = auth::token_url(challenges, &self.base(), self.reference.repository())?;
        let (from, answer) = self.follow(url, &[], None)?;
        let (status, headers) = (answer.status(), answer.headers().clone());
        if status != StatusCode::OK {
            return Err(failure::of_status(status, &headers, answer.into_body(), &from));
        }
        let body = self.body(answer, MAX_TOKEN_ANSWER, &from)?;
        let token = auth::token(&body).ok_or_else(|| {
            Error::new(Kind::Registry, "log in to registry", self.reference.registry()).because("it gave no token")
        })?;
        *held = Some(token.clone());
        Ok(token)
    }

    /// Sends a request and follows redirects. The token goes to the registry's own origin only.
    fn follow(
        &self,
        mut url: Uri,
        headers: &[(&str, &str)],
        token: Option<&str>,
    ) -> Result<(Uri, Response<Body>), Failure> {
        for _ in 0..=MAX_REDIRECTS {
            let at_home = Origin::of(&url) == Origin::of(&self.base());
            let answer = self.send(&url, headers, token.filter(|_| at_home))?;
            if !matches!(answer.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
                return Ok((url, answer));
            }
            url = redirected(&url, &answer).map_err(|why| self.astray(why))?;
        }
        Err(self.astray("it redirects more than ten times").into())
    }

    fn astray(&self, why: &'static str) -> Error {
        Error::new(Kind::Registry, "ask registry", self.reference.registry()).because(why)
    }

    fn send(&self, url: &Uri, headers: &[(&str, &str)], token: Option<&str>) -> Result<Response<Body>, Failure> {
        let mut request = self.agents.of(url)?.get(url);
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        if let Some(token) = token {
            request = request.header(AUTHORIZATION, format!("Bearer {token}"));
        }
        request.call().map_err(|e| {
            let failure = failure::of_transport(e, url, &self.cancel);
            match self.agents.proxy(url).ok().flatten() {
                Some(proxy) => failure.through(&format!("{}:{}", proxy.host(), proxy.port())),
                None => failure,
            }
        })
    }

    /// A registry on this machine is taken to speak without TLS, as most do. Whether it has given to understand
    /// that it does not, and turned out to speak TLS: then we do so from now on.
    fn wants_tls(&self, asked: &Result<(Uri, Response<Body>), Failure>) -> Result<bool> {
        let puzzled = match asked {
            Ok((_, answer)) => answer.status() == StatusCode::BAD_REQUEST,
            Err(failure) => {
                matches!(failure.error.kind(), Kind::Network | Kind::Registry) && failure.again != Again::Once
            }
        };
        let base = self.base();
        if !puzzled
            || base.scheme_str() == Some("https")
            || !base.authority().is_some_and(|a| url::is_loopback(a.as_str()))
        {
            return Ok(false);
        }
        self.speak("https")?;
        let speaks = self.speaks_tls();
        if !matches!(speaks, Ok(true)) {
            self.speak("http")?;
        }
        speaks
    }

    /// Whether the registry answers in TLS. One that can't be connected to at all is an error.
    fn speaks_tls(&self) -> Result<bool> {
        let url = self.url("/v2/")?;
        match self.agents.of(&url)?.get(&url).call() {
            Ok(_) => Ok(true),
            Err(e) if failure::is_certificate(&e) => Ok(true),
            Err(_) if self.cancel.is_cancelled() => {
                Err(failure::of_transport(ureq::Error::ConnectionFailed, &url, &self.cancel).error)
            }
            Err(e @ (ureq::Error::HostNotFound | ureq::Error::Timeout(_))) => {
                Err(failure::of_transport(e, &url, &self.cancel).error)
            }
            // Nothing on port 443, or something that does not speak TLS.
            Err(_) => Ok(false),
        }
    }
}

fn not_a_url(text: &str) -> Error {
    Error::new(Kind::InvalidArgument, "ask registry", text).because("not a host that a request can be sent to")
}

fn base_url(scheme: &str, host: &str) -> Result<Uri> {
    url::parse(&format!("{scheme}://{host}/")).ok_or_else(|| not_a_url(host))
}

fn redirected(from: &Uri, answer: &Response<Body>) -> Result<Uri, &'static str> {
    let location = answer.headers().get(LOCATION).and_then(|l| l.to_str().ok());
    let location = location.ok_or("it redirects to nowhere")?;
    let to = url::join(from, location).ok_or("it redirects to what is no web address")?;
    let is_inside = |url: &Uri| Origin::of(url).is_some_and(|o| o.is_inside());
    match (from.scheme_str(), to.scheme_str()) {
        (Some("https"), Some("http")) => Err("it redirects from TLS to plain text"),
        _ if is_inside(&to) && !is_inside(from) => Err("it redirects into this machine"),
        _ => Ok(to),
    }
}

/// A manifest as the registry gave it.
struct Given {
    raw: Vec<u8>,
    content_type: Option<String>,
    /// What the registry says it is, whatever name it was asked by. Of a tag nothing else tells that the bytes are not
    /// those that were pushed.
    told: Option<Digest>,
}

/// Distribution specification, "Pulling manifests". One of another algorithm can't be compared, and is no word.
const CONTENT_DIGEST: &str = "docker-content-digest";

/// The digest of a manifest's bytes, if it is what was asked for.
fn check(raw: &[u8], wanted: Option<&Digest>, size: Option<u64>) -> Result<Digest> {
    let digest = Digest::from_sha256(Sha256::digest(raw).into());
    let bad = |why: String| Error::new(Kind::Integrity, "check manifest", digest.as_str()).because(why);
    if let Some(wanted) = wanted.filter(|w| **w != digest) {
        return Err(bad(format!("the registry gave it for {wanted}")));
    }
    match size.filter(|s| *s != raw.len() as u64) {
        Some(size) => Err(bad(format!("it has {} bytes, and {size} by its index", raw.len()))),
        None => Ok(digest),
    }
}

impl Resolved {
    /// Bytes of all layers, compressed.
    pub fn bytes(&self) -> u64 {
        self.image.layers.iter().fold(0, |sum, l| sum.saturating_add(l.size))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn redirects_lead_neither_to_plain_text_nor_into_this_machine() {
        let to = |from: &str, location: &str| {
            let answer =
                Response::builder().status(307).header(LOCATION, location).body(Body::builder().data("")).unwrap();
            redirected(&from.parse().unwrap(), &answer).map(|u| u.to_string())
        };
        assert_eq!(to("https://r.io/v2/", "https://cdn.io/b").as_deref(), Ok("https://cdn.io/b"));
        assert!(to("https://r.io/v2/", "http://cdn.io/b").is_err());
        assert!(to("http://r.io/v2/", "http://127.0.0.1:2375/b").is_err());
        assert!(to("http://r.io/v2/", "http://169.254.169.254/latest").is_err());
        assert!(to("http://127.0.0.1:5000/v2/", "http://localhost:5001/b").is_ok());
    }
}

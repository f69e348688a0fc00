//! What went wrong in one try, and whether another may help.

use std::io;
use std::time::Duration;

use ureq::http::{HeaderMap, StatusCode, Uri};
use ureq::{Body, Timeout};

use super::resolve::LeadsInside;
use crate::cancel::Cancel;
use crate::error::{Error, Kind};

/// Most that is read of a registry's error text.
const MAX_ERROR_BODY: u64 = 16 << 10;

/// Whether the same request may succeed when sent again.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Again {
    /// It won't.
    Never,
    /// It may, but each try costs the user much time, or it hardly ever helps.
    Once,
    /// It may, after a while.
    Soon,
    /// The registry said when.
    After(Duration),
}

/// One failed try.
#[derive(Debug)]
pub struct Failure {
    /// For the user, when no further try is made.
    pub error: Error,
    /// Whether to try again.
    pub again: Again,
}

impl Failure {
    /// A failure that no further try can mend.
    pub fn fatal(error: Error) -> Failure {
        Failure { error, again: Again::Never }
    }

    /// The same of a request that went through a proxy, which may be what failed.
    pub fn through(mut self, proxy: &str) -> Failure {
        if self.error.kind() == Kind::Network {
            let told = self.error.hint_text().map(|h| format!("{h}; ")).unwrap_or_default();
            self.error =
                self.error.hint(format!("{told}it was asked through the proxy {proxy}; see HTTPS_PROXY and NO_PROXY"));
        }
        self
    }
}

impl From<Error> for Failure {
    fn from(error: Error) -> Failure {
        Failure::fatal(error)
    }
}

/// The failure of a request to `url` that got no answer.
pub fn of_transport(error: ureq::Error, url: &Uri, cancel: &Cancel) -> Failure {
    let host = url.authority().map_or("", |a| a.as_str());
    let failed = |kind, why: String| Error::new(kind, "reach registry", host).because(why);
    if cancel.is_cancelled() {
        return Failure::fatal(failed(Kind::Cancelled, "cancelled".into()));
    }
    let (kind, why, again) = explain(error);
    let error = failed(kind, why);
    Failure { again, error: hinted(error, host, again) }
}

fn hinted(error: Error, host: &str, again: Again) -> Error {
    // Docker's grammar takes a capital in the first part for a registry.
    match host.bytes().any(|b| b.is_ascii_uppercase()) && !host.contains(['.', ':']) {
        true => error.hint(format!("a repository is written in lower case: {}/…", host.to_ascii_lowercase())),
        false if error.cause() == NOT_VOUCHED_FOR => error.hint(
            "add its authority to the system's store, name it in SSL_CERT_FILE, or list the registry as insecure",
        ),
        false if again == Again::Once => error.hint("check the registry's name and the network"),
        false => error,
    }
}

fn explain(error: ureq::Error) -> (Kind, String, Again) {
    use ureq::Error as E;
    match error {
        E::Io(e) => explain_io(&e),
        E::HostNotFound => (Kind::Network, "its host name can't be resolved".into(), Again::Once),
        E::Other(e) if e.is::<LeadsInside>() => (Kind::Registry, e.to_string(), Again::Never),
        E::Other(e) => (Kind::Network, e.to_string(), Again::Once),
        E::Timeout(Timeout::Connect) => (Kind::Network, "no connection in the time allowed".into(), Again::Never),
        E::Timeout(_) => (Kind::Network, "it does not answer".into(), Again::Once),
        E::Rustls(e) => (Kind::Network, tls_words(&e.to_string()), Again::Never),
        E::Tls(e) => (Kind::Network, tls_words(e), Again::Never),
        E::ConnectProxyFailed(e) => (Kind::Network, format!("the proxy refused: {e}"), Again::Never),
        e @ (E::Protocol(_) | E::LargeResponseHeader(..) | E::Http(_)) => {
            (Kind::Registry, format!("its answer is not proper HTTP ({e})"), Again::Never)
        }
        e => (Kind::Network, e.to_string(), Again::Soon),
    }
}

/// What rustls says of every certificate that it refuses.
const BAD_CERTIFICATE: &str = "invalid peer certificate";
const NOT_VOUCHED_FOR: &str = "nobody that is trusted here vouches for its certificate";

/// Whether TLS was spoken, and only the certificate is not believed.
pub fn is_certificate(error: &ureq::Error) -> bool {
    error.to_string().contains(BAD_CERTIFICATE)
}

fn tls_words(told: &str) -> String {
    if !told.contains(BAD_CERTIFICATE) {
        return format!("TLS failed: {told}");
    }
    match told {
        t if t.contains("UnknownIssuer") || t.contains("CaUsedAsEndEntity") => NOT_VOUCHED_FOR.into(),
        t if t.contains("xpired") => "its certificate has expired".into(),
        t if t.contains("NotValidForName") || t.contains("not valid for name") => {
            "its certificate is for another name".into()
        }
        t => format!("its certificate is not valid: {}", t.rsplit(": ").next().unwrap_or(t)),
    }
}

fn explain_io(error: &io::Error) -> (Kind, String, Again) {
    use io::ErrorKind as K;
    match error.kind() {
        K::ConnectionRefused => (Kind::Network, "connection refused".into(), Again::Once),
        K::HostUnreachable | K::NetworkUnreachable | K::AddrNotAvailable | K::NetworkDown => {
            (Kind::Network, "no route to it".into(), Again::Once)
        }
        // rustls speaks of certificates and of peers that don't speak TLS through these.
        K::InvalidData => (Kind::Network, tls_words(&error.to_string()), Again::Never),
        K::UnexpectedEof => (Kind::Network, "the connection broke off".into(), Again::Soon),
        _ => match error.raw_os_error() {
            Some(n @ (libc::EMFILE | libc::ENFILE | libc::EACCES | libc::EPERM)) => {
                (Kind::System, io::Error::from_raw_os_error(n).to_string(), Again::Never)
            }
            _ => (Kind::Network, format!("the connection broke off ({error})"), Again::Soon),
        },
    }
}

/// The failure that an answer other than success stands for.
pub fn of_status(status: StatusCode, headers: &HeaderMap, body: Body, url: &Uri) -> Failure {
    let host = url.authority().map_or("", |a| a.as_str());
    let told = told(body).map_or(String::new(), |t| format!(" ({t})"));
    let failed = |kind, why: &str| Error::new(kind, "ask registry", host).because(format!("{why}{told}"));
    let again = match status.as_u16() {
        429 | 503 => retry_after(headers).map_or(Again::Soon, Again::After),
        408 | 500 | 502 | 504 => Again::Soon,
        _ => Again::Never,
    };
    let error = match status.as_u16() {
        401 => failed(Kind::Unauthorized, "it wants credentials, or has no such repository"),
        403 => failed(Kind::Unauthorized, "it refuses access"),
        404 => failed(Kind::NotFound, "it has no such image").hint("check its name and its tag"),
        429 => failed(Kind::Registry, "it had too many requests from here").hint("try again later"),
        n => failed(Kind::Registry, &format!("it answered {n}")),
    };
    Failure { error, again }
}

/// `Retry-After`, in seconds or as a date.
fn retry_after(headers: &HeaderMap) -> Option<Duration> {
    let text = headers.get("retry-after")?.to_str().ok()?.trim();
    if let Ok(seconds) = text.parse() {
        return Some(Duration::from_secs(seconds));
    }
    let when = jiff::fmt::rfc2822::parse(text).ok()?.timestamp();
    Some(when.duration_since(jiff::Timestamp::now()).try_into().unwrap_or_default())
}

/// What the registry says in its error document, fit for one line.
fn told(body: Body) -> Option<String> {
    let bytes = body.into_with_config().limit(MAX_ERROR_BODY).read_to_vec().ok()?;
    let document: serde_json::Value = serde_json::from_slice(&bytes).ok()?;
    let first = document.get("errors")?.get(0)?;
    let text = first.get("message").or_else(|| first.get("code"))?.as_str()?;
    let clean: String = text.chars().filter(|c| !c.is_control()).take(200).collect();
    (!clean.is_empty()).then_some(clean)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(value: &str) -> Option<Duration> {
        let mut headers = HeaderMap::new();
        headers.insert("retry-after", value.parse().unwrap());
        retry_after(&headers)
    }

    #[test]
    fn a_proxy_hides_no_other_cure() {
        let url: Uri = "https://r.io/v2/".parse().unwrap();
        let unknown = io::Error::new(io::ErrorKind::InvalidData, format!("{BAD_CERTIFICATE}: UnknownIssuer"));
        let failure = of_transport(ureq::Error::Io(unknown), &url, &Cancel::new()).through("p:1");
        let hint = failure.error.hint_text().unwrap();
        assert!(hint.contains("SSL_CERT_FILE") && hint.contains("through the proxy p:1"), "{hint}");
    }

    #[test]
    fn retry_after_is_seconds_or_a_date() {
        assert_eq!(after("7"), Some(Duration::from_secs(7)));
        assert_eq!(after("Wed, 21 Oct 2015 07:28:00 GMT"), Some(Duration::ZERO));
        assert!(after("Fri, 20 Oct 2090 07:28:00 GMT").unwrap() > Duration::from_secs(3600));
        assert_eq!(after("soon"), None);
    }
}

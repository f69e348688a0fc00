//! Where a request goes: origins, and what a `Location` means.

use ureq::http::Uri;

/// Host and port, as credentials are bound to them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin {
    scheme: String,
    host: String,
    port: u16,
}

impl Origin {
    /// The origin of an absolute URL.
    pub fn of(url: &Uri) -> Option<Origin> {
        let scheme = url.scheme_str()?.to_owned();
        let default_port = if scheme == "https" { 443 } else { 80 };
        let host = url.host()?.to_ascii_lowercase();
        Some(Origin { scheme, host, port: url.port_u16().unwrap_or(default_port) })
    }

    /// True when what is sent there can be read on the way.
    pub fn is_plain(&self) -> bool {
        self.scheme != "https"
    }

    /// True for what answers on this machine alone: itself, and the link that clouds give credentials out on.
    ///
    /// Told by addresses as they are spelled, and `localhost`. To which addresses other names lead is seen when they are
    /// connected to (`Home`).
    pub fn is_inside(&self) -> bool {
        is_inside(&self.host)
    }
}

/// True when `host[:port]` names this machine itself.
pub fn is_loopback(host: &str) -> bool {
    let bare = match host.rfind(']') {
        Some(end) => host[..end].trim_start_matches('['),
        None => host.split(':').next().unwrap_or(host),
    };
    let address = bare.parse::<std::net::IpAddr>();
    bare.eq_ignore_ascii_case("localhost") || address.is_ok_and(|a| a.is_loopback())
}

fn is_inside(host: &str) -> bool {
    let Ok(address) = host.trim_start_matches('[').trim_end_matches(']').parse::<std::net::IpAddr>() else {
        let name = host.trim_end_matches('.');
        return name == "localhost" || name.ends_with(".localhost");
    };
    is_own(address)
}

/// True for an address that this machine alone answers at, or the link that clouds give credentials out on.
pub fn is_own(address: std::net::IpAddr) -> bool {
    match address.to_canonical() {
        std::net::IpAddr::V4(v4) => v4.is_loopback() || v4.is_unspecified() || v4.is_link_local(),
        // The last is the same of a cloud whose link has addresses of a private network.
        std::net::IpAddr::V6(v6) => {
            v6.is_loopback() || v6.is_unspecified() || v6.is_unicast_link_local() || v6 == CREDENTIALS_V6
        }
    }
}

/// The metadata service of Amazon's machines (EC2 user guide, "Access instance metadata").
const CREDENTIALS_V6: std::net::Ipv6Addr = std::net::Ipv6Addr::new(0xfd00, 0xec2, 0, 0, 0, 0, 0, 0x254);

/// What `location` means in an answer from `base`: http or https, without user and password.
pub fn join(base: &Uri, location: &str) -> Option<Uri> {
    let (scheme, authority) = (base.scheme_str()?, base.authority()?);
    let absolute = if location.contains("://") {
        location.to_owned()
    } else if location.starts_with("//") {
        format!("{scheme}:{location}")
    } else if location.starts_with('/') {
        format!("{scheme}://{authority}{location}")
    } else {
        let directory = base.path().rsplit_once('/').map_or("", |(d, _)| d);
        format!("{scheme}://{authority}{directory}/{location}")
    };
    // A fragment is the client's business; the server never sees it.
    parse(absolute.split('#').next().unwrap_or_default())
}

/// An absolute http or https URL, without user and password.
pub fn parse(text: &str) -> Option<Uri> {
    let url: Uri = text.parse().ok()?;
    let web = matches!(url.scheme_str(), Some("http" | "https"));
    let anonymous = url.authority().is_some_and(|a| !a.as_str().contains('@') && !a.host().is_empty());
    (web && anonymous).then_some(url)
}

/// `text` as the value of a query parameter.
pub fn encode(text: &str) -> String {
    let plain = |b: u8| b.is_ascii_alphanumeric() || b"-._~:/,".contains(&b);
    text.bytes().map(|b| if plain(b) { (b as char).to_string() } else { format!("%{b:02X}") }).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn locations_are_joined_as_browsers_do() {
        let base: Uri = "https://r.io:5000/v2/a/blobs/x?y=1".parse().unwrap();
        for (location, expected) in [
            ("https://cdn.io/b?c=d#e", Some("https://cdn.io/b?c=d")),
            ("//cdn.io/b", Some("https://cdn.io/b")),
            ("/b", Some("https://r.io:5000/b")),
            ("b", Some("https://r.io:5000/v2/a/blobs/b")),
            ("ftp://cdn.io/b", None),
            ("file:///etc/passwd", None),
            ("https://user:secret@cdn.io/b", None),
        ] {
            assert_eq!(join(&base, location).map(|u| u.to_string()).as_deref(), expected, "{location}");
        }
    }

    #[test]
    fn origins_differ_by_scheme_host_and_port() {
        let origin = |text: &str| Origin::of(&text.parse().unwrap()).unwrap();
        assert_eq!(origin("https://R.io/a"), origin("https://r.io:443/b"));
        assert_ne!(origin("https://r.io"), origin("http://r.io:443"));
        assert_ne!(origin("https://r.io"), origin("https://r.io:444"));
    }

    #[test]
    fn what_is_inside_is_known_in_every_spelling() {
        let inside = |host: &str| Origin::of(&format!("http://{host}/").parse().unwrap()).unwrap().is_inside();
        let all = "LOCALHOST a.localhost localhost. 127.9.9.9:1 0.0.0.0 169.254.169.254 [::1] [::] [::ffff:127.0.0.1]:5 [fe80::1]";
        assert!(all.split(' ').all(inside));
        assert!(!"r.io 10.0.0.1 8.8.8.8 [fd00::1] localhost.r.io".split(' ').any(inside));
    }

    #[test]
    fn loopback_is_this_machine() {
        for host in ["localhost", "localhost:5000", "127.0.0.1", "127.8.9.1:5000", "[::1]:5000", "[::1]"] {
            assert!(is_loopback(host), "{host}");
        }
        for host in ["localhost.evil.io", "128.0.0.1", "[::2]:5000", "10.0.0.1", "r.io"] {
            assert!(!is_loopback(host), "{host}");
        }
    }
}

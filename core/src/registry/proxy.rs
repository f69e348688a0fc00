//! Which requests go through a proxy, by the variables that `curl` and Go's tools read too, with Go's rules for
//! `NO_PROXY`; beyond Go, `ALL_PROXY` counts where a scheme has none of its own, as with `curl`.

use std::net::IpAddr;

use ureq::Proxy;
use ureq::http::Uri;

use super::url;
use crate::error::{Error, Kind, Result};

/// The proxies, as the environment tells.
#[derive(Clone, Debug, Default)]
pub struct Proxies {
    http: Option<String>,
    https: Option<String>,
    without: Vec<String>,
}

impl Proxies {
    /// Of this process's environment.
    pub fn from_env() -> Proxies {
        Proxies::of(|name| std::env::var(name).ok())
    }

    fn of(variable: impl Fn(&str) -> Option<String>) -> Proxies {
        let first = |names: &[&str]| names.iter().find_map(|n| variable(n).filter(|v| !v.trim().is_empty()));
        // A CGI server sets HTTP_PROXY to whatever its client sends (CVE-2016-5385).
        let http =
            if variable("REQUEST_METHOD").is_some() { &["http_proxy"][..] } else { &["http_proxy", "HTTP_PROXY"] };
        let all = || first(&["all_proxy", "ALL_PROXY"]);
        let without = first(&["no_proxy", "NO_PROXY"]).unwrap_or_default();
        Proxies {
            http: first(http).or_else(all),
            https: first(&["https_proxy", "HTTPS_PROXY"]).or_else(all),
            without: without.split([',', ' ']).filter(|e| !e.is_empty()).map(str::to_ascii_lowercase).collect(),
        }
    }

    /// The proxy for requests to `url`; this machine itself needs none.
    pub fn of_url(&self, url: &Uri) -> Result<Option<Proxy>> {
        let host = url.host().unwrap_or_default();
        let proxy = if url.scheme_str() == Some("https") { &self.https } else { &self.http };
        match proxy {
            Some(proxy) if !url::is_loopback(host) && !self.is_without(host, port(url)) => parse(proxy).map(Some),
            _ => Ok(None),
        }
    }

    fn is_without(&self, host: &str, port: u16) -> bool {
        let host = host.trim_start_matches('[').trim_end_matches(']').to_ascii_lowercase();
        self.without.iter().any(|entry| covers(entry, &host, port))
    }
}

fn port(url: &Uri) -> u16 {
    url.port_u16().unwrap_or(if url.scheme_str() == Some("https") { 443 } else { 80 })
}

fn parse(proxy: &str) -> Result<Proxy> {
    let found = Proxy::new(proxy).ok();
    let scheme = found.as_ref().and_then(|p| p.uri().scheme_str()).unwrap_or_default().to_owned();
    found.filter(|_| scheme == "http").ok_or_else(|| {
        // Without what may be a password.
        let shown = proxy.rsplit('@').next().unwrap_or_default();
        // A connection that is in TLS already gets no TLS of its own from our HTTP library: what is meant for the
        // registry alone would be read by the proxy.
        let why = match scheme.as_str() {
            "https" => "a proxy that is spoken to in TLS is not supported",
            _ => "it is no http proxy",
        };
        Error::new(Kind::InvalidArgument, "use proxy", shown).because(why).hint("write http://HOST:PORT in HTTPS_PROXY")
    })
}

/// As in Go: `*`, a name with all below it, an address, a range of addresses, each maybe with a port.
fn covers(entry: &str, host: &str, port: u16) -> bool {
    if entry == "*" {
        return true;
    }
    if let Some((network, bits)) = entry.split_once('/') {
        return in_range(network, bits, host);
    }
    let (name, wanted) = match entry.rsplit_once(':') {
        Some((name, digits)) if !name.contains(':') => (name, digits.parse().ok()),
        _ => (entry, None),
    };
    let name = name.trim_start_matches('*');
    let bare = name.trim_start_matches('.');
    let below = host.strip_suffix(bare).is_some_and(|front| front.ends_with('.'));
    wanted.is_none_or(|w: u16| w == port) && (below || (host == bare && !name.starts_with('.')))
}

fn in_range(network: &str, bits: &str, host: &str) -> bool {
    let (Ok(network), Ok(host), Ok(bits)) = (network.parse(), host.parse(), bits.parse::<u32>()) else { return false };
    match (network, host) {
        (IpAddr::V4(n), IpAddr::V4(h)) => same_front(u32::from(n).into(), u32::from(h).into(), 32, bits),
        (IpAddr::V6(n), IpAddr::V6(h)) => same_front(n.into(), h.into(), 128, bits),
        _ => false,
    }
}

fn same_front(a: u128, b: u128, width: u32, bits: u32) -> bool {
    bits == 0 || bits <= width && (a ^ b) >> (width - bits) == 0
}

#[cfg(test)]
mod tests {
    use super::*;

    fn proxies(variables: &[(&str, &str)]) -> Proxies {
        Proxies::of(|name| variables.iter().find(|(n, _)| *n == name).map(|(_, v)| (*v).to_owned()))
    }

    fn by(proxies: &Proxies, url: &str) -> Option<String> {
        proxies.of_url(&url.parse().unwrap()).unwrap().map(|p| p.host().to_owned())
    }

    #[test]
    fn each_scheme_has_its_proxy() {
        let both = proxies(&[("HTTPS_PROXY", "http://s:1"), ("HTTP_PROXY", "h:2"), ("ALL_PROXY", "http://a:3")]);
        assert_eq!(by(&both, "https://r.io/").as_deref(), Some("s"));
        assert_eq!(by(&both, "http://r.io/").as_deref(), Some("h"));
        let one = proxies(&[("https_proxy", "http://s:1"), ("HTTPS_PROXY", "http://upper:1")]);
        assert_eq!(by(&one, "https://r.io/").as_deref(), Some("s"));
        assert_eq!(by(&one, "http://r.io/"), None);
        assert_eq!(
            by(&proxies(&[("ALL_PROXY", "http://a:3"), ("http_proxy", " ")]), "http://r.io/").as_deref(),
            Some("a")
        );
        assert_eq!(by(&proxies(&[("HTTP_PROXY", "http://evil:1"), ("REQUEST_METHOD", "GET")]), "http://r.io/"), None);
        assert_eq!(by(&both, "https://127.0.0.1:5000/"), None);
    }

    #[test]
    fn what_needs_no_proxy_is_listed_as_in_go() {
        let list = "intern.io, .below.io,*.star.io,10.0.0.0/8,fd00::/8,port.io:5000,::5";
        let some = proxies(&[("ALL_PROXY", "http://p:1"), ("NO_PROXY", list)]);
        let direct = [
            "intern.io",
            "r.INTERN.io",
            "r.below.io",
            "r.star.io",
            "10.9.8.7:5000",
            "[fd12::1]:5000",
            "port.io:5000",
            "[::5]",
        ];
        for host in direct {
            assert_eq!(by(&some, &format!("https://{host}/")), None, "{host}");
        }
        for host in ["evilintern.io", "below.io", "11.0.0.1", "port.io", "[fe00::1]", "[::6]"] {
            assert!(by(&some, &format!("https://{host}/")).is_some(), "{host}");
        }
        assert_eq!(by(&proxies(&[("ALL_PROXY", "http://p:1"), ("no_proxy", "*")]), "https://r.io/"), None);
    }

    #[test]
    fn a_proxy_that_can_not_be_used_is_told_without_its_password() {
        for bad in ["https://me:secret@p:1", "socks5://me:secret@p:1", "ftp://me:secret@p", "http://me:secret@", "::"] {
            let error = proxies(&[("ALL_PROXY", bad)]).of_url(&"https://r.io/".parse().unwrap()).unwrap_err();
            assert_eq!(error.kind(), Kind::InvalidArgument, "{bad}");
            assert!(!error.to_string().contains("secret"), "{error}");
        }
    }
}

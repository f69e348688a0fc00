//! `/etc/resolv.conf`: which name servers to ask, for which names, and for how long.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};
use std::time::Duration;

/// As in the C library.
const MAX_SERVERS: usize = 3;
const PORT: u16 = 53;

/// What the file says, with resolv.conf(5)'s defaults and bounds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ResolvConf {
    /// In the order to ask.
    pub servers: Vec<SocketAddr>,
    /// Domains that a short name may be in.
    pub search: Vec<String>,
    /// A name of so many dots is first taken as it is.
    pub ndots: usize,
    /// Rounds through the servers.
    pub attempts: u32,
    /// How long each server may take.
    pub timeout: Duration,
}

impl ResolvConf {
    /// Reads the file's text.
    pub fn parse(text: &str) -> ResolvConf {
        let mut conf = ResolvConf {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            attempts: 2,
            timeout: Duration::from_secs(5),
        };
        for line in text.lines() {
            let mut words = line.split_whitespace();
            match words.next() {
                Some("nameserver") => conf.servers.extend(words.next().and_then(server)),
                Some("search" | "domain") => conf.search = words.map(|w| w.trim_matches('.').to_owned()).collect(),
                Some("options") => words.for_each(|w| conf.option(w)),
                _ => {}
            }
        }
        conf.search.retain(|domain| !domain.is_empty());
        conf.servers.truncate(MAX_SERVERS);
        if conf.servers.is_empty() {
            conf.servers.push(([127, 0, 0, 1], PORT).into());
        }
        conf
    }

    fn option(&mut self, word: &str) {
        let Some((name, Ok(value))) = word.split_once(':').map(|(n, v)| (n, v.parse::<u32>())) else { return };
        match name {
            "ndots" => self.ndots = value.min(15) as usize,
            "timeout" => self.timeout = Duration::from_secs(value.clamp(1, 30).into()),
            "attempts" => self.attempts = value.clamp(1, 5),
            _ => {}
        }
    }

    /// The full names that `host` may stand for, in the order to ask.
    pub fn names(&self, host: &str) -> Vec<String> {
        if let Some(full) = host.strip_suffix('.') {
            return vec![full.to_owned()];
        }
        let mut names: Vec<String> = self.search.iter().map(|domain| format!("{host}.{domain}")).collect();
        let at = if host.matches('.').count() >= self.ndots { 0 } else { names.len() };
        names.insert(at, host.to_owned());
        names
    }
}

/// `10.0.0.1`, `fd00::1`, or `fe80::1%eth0`.
fn server(text: &str) -> Option<SocketAddr> {
    if let Ok(ip) = text.parse::<IpAddr>() {
        return Some(SocketAddr::new(ip, PORT));
    }
    let (ip, device) = text.split_once('%')?;
    let scope = device.parse().ok().or_else(|| nix::net::if_::if_nametoindex(device).ok())?;
    Some(SocketAddrV6::new(ip.parse().ok()?, PORT, 0, scope).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_file_is_read_with_its_bounds() {
        let text = "# c\nnameserver 10.0.0.1\nnameserver fe80::1%lo\nnameserver x\ndomain old.io\nsearch a.io. b.io\n\
            options ndots:2 timeout:99 attempts:0 rotate\nnameserver 10.0.0.3\nnameserver 10.0.0.4\n";
        let conf = ResolvConf::parse(text);
        let servers: Vec<String> = conf.servers.iter().map(ToString::to_string).collect();
        assert_eq!(servers, ["10.0.0.1:53", "[fe80::1%1]:53", "10.0.0.3:53"]);
        assert_eq!((conf.ndots, conf.attempts, conf.timeout), (2, 1, Duration::from_secs(30)));
        assert_eq!(conf.names("r"), ["r.a.io", "r.b.io", "r"]);
        assert_eq!(conf.names("r.x.y"), ["r.x.y", "r.x.y.a.io", "r.x.y.b.io"]);
        assert_eq!(conf.names("r.x."), ["r.x"]);
        assert_eq!(ResolvConf::parse("").servers, ["127.0.0.1:53".parse().unwrap()]);
    }
}

//! Host names to addresses, on the calling thread.

use std::net::{IpAddr, SocketAddr, ToSocketAddrs};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

/// As many addresses as the list holds.
const MAX_ADDRESSES: usize = 16;

/// Asks the system, which bounds the time itself (`resolv.conf`: five seconds, two tries).
///
/// The system's resolver can't be interrupted, so a cancel waits for it. A thread left behind with
/// the question would break the promise that no thread outlives a call.
#[derive(Debug)]
pub struct SystemResolver;

impl Resolver for SystemResolver {
    fn resolve(&self, url: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = url.host().ok_or(Error::HostNotFound)?;
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        let mut found = self.empty();
        for address in addresses(host, port)?.into_iter().take(MAX_ADDRESSES) {
            found.push(address);
        }
        match found.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(found),
        }
    }
}

fn addresses(host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
    let bare = host.trim_start_matches('[').trim_end_matches(']');
    if let Ok(ip) = bare.parse::<IpAddr>() {
        return Ok(vec![SocketAddr::new(ip, port)]);
    }
    let found = (bare, port).to_socket_addrs().map_err(|_| Error::HostNotFound)?;
    Ok(found.collect())
}

//! Host names to addresses, ended at once by a cancel.
//!
//! The C library's `getaddrinfo` can't be interrupted, and a thread left behind with the question would break the
//! promise that no thread outlives a call. So the usual sources, `/etc/hosts` and the name servers, are asked by
//! ourselves, as Go's programs do. Only where `/etc/nsswitch.conf` names others is the C library asked, and a
//! cancel waits for it: some seconds at most (resolv.conf(5)).

use std::fmt;
use std::net::{IpAddr, SocketAddr, ToSocketAddrs, UdpSocket};
use std::path::Path;
use std::sync::{Arc, OnceLock};

use ureq::Error;
use ureq::config::Config;
use ureq::http::Uri;
use ureq::unversioned::resolver::{ResolvedSocketAddrs, Resolver};
use ureq::unversioned::transport::NextTimeout;

use super::dns::{self, Reply};
use super::resolv_conf::ResolvConf;
use super::url;
use crate::cancel::Cancel;
use crate::fs;

/// As many addresses as the list holds.
const MAX_ADDRESSES: usize = 16;
/// Files of the host's that are larger are not what they should be.
const MAX_FILE: u64 = 4 << 20;

/// Asks as the system's files say.
#[derive(Debug)]
pub struct SystemResolver {
    /// Ends a question at once.
    pub cancel: Cancel,
    /// Where the names must not lead out of; none for those of a proxy, which the user has named himself.
    pub home: Option<Arc<Home>>,
}

/// The registry that was asked for, whose word is behind all other names. One elsewhere must not send us into this
/// machine, however it calls it.
#[derive(Debug)]
pub struct Home {
    host: String,
    // Settled by the first look, or a name could come to mean another machine.
    inside: OnceLock<bool>,
}

impl Home {
    /// A registry that was not looked for yet.
    pub fn new(host: &str) -> Home {
        Home { host: host.to_ascii_lowercase(), inside: OnceLock::new() }
    }

    /// Those of a name's addresses that may be connected to. A registry whose name leads elsewhere, too, is elsewhere:
    /// it could else make itself one of this machine by one address more.
    fn admit(&self, host: &str, found: Vec<SocketAddr>) -> Result<Vec<SocketAddr>, Error> {
        let is_inside = |address: &SocketAddr| url::is_own(address.ip());
        let all_inside = !found.is_empty() && found.iter().all(is_inside);
        let home = match host.eq_ignore_ascii_case(&self.host) {
            true => *self.inside.get_or_init(|| all_inside),
            // Asked through a proxy it is never looked for here, and is elsewhere.
            false => self.inside.get().copied().unwrap_or(false),
        };
        match (home, all_inside) {
            (true, _) => Ok(found),
            (false, true) => Err(Error::Other(Box::new(LeadsInside))),
            (false, false) => Ok(found.into_iter().filter(|address| !is_inside(address)).collect()),
        }
    }
}

/// A name that leads into this machine.
#[derive(Debug)]
pub struct LeadsInside;

impl fmt::Display for LeadsInside {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the registry sends there, and its name leads into this machine")
    }
}

impl std::error::Error for LeadsInside {}

impl Resolver for SystemResolver {
    fn resolve(&self, url: &Uri, _: &Config, _: NextTimeout) -> Result<ResolvedSocketAddrs, Error> {
        let host = url.host().ok_or(Error::HostNotFound)?;
        let port = url.port_u16().unwrap_or(if url.scheme_str() == Some("http") { 80 } else { 443 });
        let mut found = self.empty();
        let addresses = self.addresses(host, port)?;
        let addresses = match &self.home {
            Some(home) => home.admit(host, addresses)?,
            None => addresses,
        };
        addresses.into_iter().take(MAX_ADDRESSES).for_each(|address| found.push(address));
        match found.is_empty() {
            true => Err(Error::HostNotFound),
            false => Ok(found),
        }
    }
}

impl SystemResolver {
    fn addresses(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, Error> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        if let Ok(ip) = bare.parse::<IpAddr>() {
            return Ok(vec![SocketAddr::new(ip, port)]);
        }
        if is_for_c_library(&text("/etc/nsswitch.conf"), bare) {
            return Ok((bare, port).to_socket_addrs().map_err(|_| Error::HostNotFound)?.collect());
        }
        let mut found = in_hosts(&text("/etc/hosts"), bare);
        if found.is_empty() {
            found = ask(&ResolvConf::parse(&text("/etc/resolv.conf")), bare, &self.cancel)?;
        }
        // Those that there is a route to first, and of these IPv6: RFC 6724 in short.
        found.sort_by_cached_key(|ip| (!has_route(*ip), ip.is_ipv4()));
        Ok(found.into_iter().map(|ip| SocketAddr::new(ip, port)).collect())
    }
}

fn text(path: &str) -> String {
    fs::read_following(Path::new(path), MAX_FILE).map_or_else(|_| String::new(), |b| String::from_utf8_lossy(&b).into())
}

/// Whether `host` may be known to a source that only the C library can ask: multicast DNS, a directory service.
fn is_for_c_library(nsswitch: &str, host: &str) -> bool {
    let line = nsswitch.lines().find_map(|l| l.trim().strip_prefix("hosts:")).unwrap_or("files dns");
    let line = line.split('#').next().unwrap_or_default();
    line.split_whitespace().any(|source| match source {
        "files" | "dns" | "resolve" => false,
        s if s.starts_with('[') || s.ends_with(']') => false,
        "myhostname" | "mymachines" => !host.contains('.'),
        s if s.starts_with("mdns") => host.trim_end_matches('.').ends_with(".local"),
        _ => true,
    })
}

fn in_hosts(hosts: &str, host: &str) -> Vec<IpAddr> {
    let wanted = host.trim_end_matches('.');
    if wanted.eq_ignore_ascii_case("localhost") || wanted.to_ascii_lowercase().ends_with(".localhost") {
        return vec![IpAddr::from([127, 0, 0, 1]), IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1u16])];
    }
    let lines = hosts.lines().map(|l| l.split('#').next().unwrap_or_default().split_whitespace());
    let named = lines.filter_map(|mut words| {
        let ip = words.next()?.parse().ok()?;
        words.any(|name| name.eq_ignore_ascii_case(wanted)).then_some(ip)
    });
    named.collect()
}

/// Connecting a datagram socket sends nothing, and fails where there is no route.
fn has_route(ip: IpAddr) -> bool {
    let any: SocketAddr = if ip.is_ipv4() { ([0, 0, 0, 0], 0).into() } else { ([0u16; 8], 0).into() };
    UdpSocket::bind(any).and_then(|s| s.connect((ip, 9))).is_ok()
}

/// No name server could be made to answer.
#[derive(Debug)]
struct NoServer;

impl fmt::Display for NoServer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("no name server of /etc/resolv.conf answers for its host name")
    }
}

impl std::error::Error for NoServer {}

/// The addresses of the first of the names that `host` may stand for. As in the C library, a failure that a server
/// tells of says nothing of the other names, which are asked nevertheless; where none answers, none would for these.
fn ask(conf: &ResolvConf, host: &str, cancel: &Cancel) -> Result<Vec<IpAddr>, Error> {
    let mut failed = false;
    for name in conf.names(host) {
        match ask_for(conf, &name, cancel)? {
            Reply::Addresses(found) if !found.is_empty() => return Ok(found),
            Reply::Failed => failed = true,
            Reply::Silent => return Err(Error::Other(Box::new(NoServer))),
            _ => {}
        }
    }
    Err(if failed { Error::Other(Box::new(NoServer)) } else { Error::HostNotFound })
}

/// Each server in turn, as often as allowed. One that knows of no such name has the last word on it.
fn ask_for(conf: &ResolvConf, name: &str, cancel: &Cancel) -> Result<Reply, Error> {
    let mut failure = Reply::Silent;
    for _ in 0..conf.attempts {
        for server in &conf.servers {
            match dns::ask(*server, name, conf.timeout, cancel)? {
                Reply::Silent => {}
                Reply::Failed => failure = Reply::Failed,
                reply => return Ok(reply),
            }
        }
    }
    Ok(failure)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use simple_dns::rdata::{A, AAAA, RData};
    use simple_dns::{CLASS, Packet, PacketFlag, QTYPE, RCODE, ResourceRecord, TYPE};

    use super::*;

    #[test]
    fn a_name_means_home_by_the_first_look_alone() {
        let inside = SocketAddr::from(([127, 0, 0, 1], 1));
        let outside = SocketAddr::from(([10, 0, 0, 1], 1));
        let home = Home::new("R.io");
        assert!(home.admit("cdn.io", vec![inside]).is_err());
        assert_eq!(home.admit("cdn.io", vec![outside]).unwrap(), [outside]);
        assert_eq!(home.admit("r.io", vec![outside]).unwrap(), [outside]);
        assert!(home.admit("r.io", vec![inside]).is_err());
        let near = Home::new("r.io");
        assert_eq!(near.admit("r.io", vec![inside]).unwrap(), [inside]);
        assert_eq!(near.admit("cdn.io", vec![outside, inside]).unwrap(), [outside, inside]);
    }

    #[test]
    fn a_name_with_an_address_elsewhere_is_elsewhere() {
        let inside = SocketAddr::from(([127, 0, 0, 1], 1));
        let outside = SocketAddr::from(([10, 0, 0, 1], 1));
        let home = Home::new("r.io");
        assert_eq!(home.admit("r.io", vec![inside, outside]).unwrap(), [outside]);
        assert!(home.admit("cdn.io", vec![inside]).is_err());
        assert_eq!(home.admit("cdn.io", vec![inside, outside]).unwrap(), [outside]);
        assert!(home.admit("gone.io", Vec::new()).unwrap().is_empty());
    }

    #[test]
    fn hosts_are_read_as_the_c_library_does() {
        let hosts = "127.0.0.1 me # not r.io\n# 9.9.9.9 r.io\n10.0.0.1\tr.io R2\nbad r.io\nfd00::1 r.io\n";
        assert_eq!(in_hosts(hosts, "R.IO"), ["10.0.0.1".parse::<IpAddr>().unwrap(), "fd00::1".parse().unwrap()]);
        assert_eq!(in_hosts(hosts, "r2").len(), 1);
        assert_eq!(in_hosts(hosts, "a.localhost").len(), 2);
        assert!(in_hosts(hosts, "other").is_empty());
    }

    #[test]
    fn odd_sources_are_left_to_the_c_library() {
        let usual = "passwd: ldap\nhosts: files mdns4_minimal [NOTFOUND=return] resolve [!UNAVAIL=return] dns myhostname # ldap";
        assert!(!is_for_c_library(usual, "r.io") && !is_for_c_library("", "r"));
        assert!(is_for_c_library(usual, "printer.local") && is_for_c_library(usual, "box"));
        assert!(is_for_c_library("hosts: files ldap dns", "r.io"));
    }

    /// A name server; its thread ends with the process, as nothing can wake it.
    fn serve(answer: impl Fn(&Packet<'_>) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
        serve_on(UdpSocket::bind("127.0.0.1:0").unwrap(), answer)
    }

    fn serve_on(socket: UdpSocket, answer: impl Fn(&Packet<'_>) -> Option<Vec<u8>> + Send + 'static) -> SocketAddr {
        let address = socket.local_addr().unwrap();
        std::thread::spawn(move || {
            let mut buffer = [0; 2048];
            while let Ok((n, from)) = socket.recv_from(&mut buffer) {
                if let Some(reply) = Packet::parse(&buffer[..n]).ok().and_then(|p| answer(&p)) {
                    let _ = socket.send_to(&reply, from);
                }
            }
        });
        address
    }

    fn reply(question: &Packet<'_>, code: RCODE, known: &str) -> Option<Vec<u8>> {
        let asked = &question.questions[0];
        let mut reply = Packet::new_reply(question.id());
        reply.set_flags(PacketFlag::RESPONSE);
        *reply.rcode_mut() = code;
        reply.questions.push(asked.clone());
        let data = match asked.qtype {
            QTYPE::TYPE(TYPE::A) => RData::A(A { address: 0x0a00_0001 }),
            _ => RData::AAAA(AAAA { address: 1 }),
        };
        if asked.qname.to_string() == known {
            reply.answers.push(ResourceRecord::new(asked.qname.clone(), CLASS::IN, 60, data));
        } else {
            *reply.rcode_mut() = RCODE::NameError;
        }
        reply.build_bytes_vec().ok()
    }

    fn conf(servers: &[SocketAddr]) -> ResolvConf {
        let timeout = Duration::from_secs(30);
        ResolvConf { servers: servers.to_vec(), search: vec!["intern.io".into()], ndots: 1, attempts: 2, timeout }
    }

    fn asked(conf: &ResolvConf, host: &str) -> Result<Vec<String>, String> {
        let found = ask(conf, host, &Cancel::new());
        found.map(|all| all.iter().map(IpAddr::to_string).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn servers_are_asked_for_both_kinds_and_by_the_search_list() {
        let server = serve(|q| reply(q, RCODE::NoError, "r.intern.io"));
        let both = Ok(vec!["10.0.0.1".to_owned(), "::1".to_owned()]);
        assert_eq!(asked(&conf(&[server]), "r.intern.io"), both);
        assert_eq!(asked(&conf(&[server]), "r"), both);
        assert_eq!(asked(&conf(&[server]), "r."), Err(Error::HostNotFound.to_string()));
        assert_eq!(asked(&conf(&[server]), "other.io"), Err(Error::HostNotFound.to_string()));
    }

    #[test]
    fn an_answer_that_does_not_fit_is_fetched_whole() {
        use std::io::{Read, Write};
        // One port for both, which of one kind only may be another test's.
        let both = || {
            let listener = std::net::TcpListener::bind("127.0.0.1:0").ok()?;
            Some((UdpSocket::bind(listener.local_addr().ok()?).ok()?, listener))
        };
        let (socket, listener) = std::iter::repeat_with(both).flatten().next().unwrap();
        let server = serve_on(socket, |q| {
            let mut short = Packet::new_reply(q.id());
            short.set_flags(PacketFlag::RESPONSE | PacketFlag::TRUNCATION);
            short.questions.push(q.questions[0].clone());
            short.build_bytes_vec().ok()
        });
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..2 {
                    let (mut stream, mut length) = (listener.accept().unwrap().0, [0; 2]);
                    stream.read_exact(&mut length).unwrap();
                    let mut question = vec![0; u16::from_be_bytes(length).into()];
                    stream.read_exact(&mut question).unwrap();
                    let reply = reply(&Packet::parse(&question).unwrap(), RCODE::NoError, "r.io").unwrap();
                    let length = u16::try_from(reply.len()).unwrap().to_be_bytes();
                    // In two parts, as networks do.
                    stream.write_all(&[&length[..], &reply[..5]].concat()).unwrap();
                    stream.write_all(&reply[5..]).unwrap();
                }
            });
            assert_eq!(asked(&conf(&[server]), "r.io").unwrap(), ["10.0.0.1", "::1"]);
        });
    }

    #[test]
    fn a_server_that_fails_is_passed_over() {
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let failing = serve(|q| reply(q, RCODE::ServerFailure, &q.questions[0].qname.to_string()));
        let good = serve(|q| reply(q, RCODE::NoError, "r.io"));
        assert_eq!(asked(&conf(&[closed, failing, good]), "r.io").unwrap().len(), 2);
        let none = asked(&conf(&[closed, failing]), "r.io").unwrap_err();
        assert!(none.contains("no name server"), "{none}");
    }

    #[test]
    fn one_kind_of_address_is_enough_when_the_other_is_never_answered() {
        for answered in [TYPE::A, TYPE::AAAA] {
            let server = serve(move |q| {
                (q.questions[0].qtype == QTYPE::TYPE(answered)).then(|| reply(q, RCODE::NoError, "r.io"))?
            });
            let conf = ResolvConf { timeout: Duration::from_millis(50), ..conf(&[server]) };
            assert_eq!(asked(&conf, "r.io").unwrap().len(), 1, "{answered:?}");
        }
    }

    #[test]
    fn a_search_domain_that_fails_does_not_hide_the_name_itself() {
        let server = serve(|q| match q.questions[0].qname.to_string().as_str() {
            failing @ "r.intern.io" => reply(q, RCODE::ServerFailure, failing),
            _ => reply(q, RCODE::NoError, "r"),
        });
        assert_eq!(asked(&conf(&[server]), "r").unwrap().len(), 2);
        let none = asked(&conf(&[server]), "other.intern.io").unwrap_err();
        assert_eq!(none, Error::HostNotFound.to_string());
    }

    #[test]
    fn servers_that_do_not_answer_at_all_are_not_asked_for_the_other_names() {
        let (tell, told) = std::sync::mpsc::channel();
        let silent = serve(move |q| {
            tell.send(q.questions[0].qname.to_string()).unwrap();
            None
        });
        let closed = UdpSocket::bind("127.0.0.1:0").unwrap().local_addr().unwrap();
        let conf = ResolvConf { timeout: Duration::from_millis(50), attempts: 1, ..conf(&[silent, closed]) };
        assert!(asked(&conf, "r").unwrap_err().contains("no name server"));
        assert!(told.try_iter().all(|name| name == "r.intern.io"));
    }

    #[test]
    fn what_was_not_asked_is_not_believed() {
        // Another id, another question, no packet at all; then the truth.
        let server = serve(|q| {
            let mut forged = q.clone();
            forged.set_id(q.id().wrapping_add(1));
            reply(&forged, RCODE::NoError, "r.io")
        });
        let conf = ResolvConf { timeout: Duration::from_millis(50), attempts: 1, ..conf(&[server]) };
        assert!(asked(&conf, "r.io").unwrap_err().contains("no name server"));
    }

    #[test]
    fn a_silent_server_ends_by_time_or_by_cancel() {
        let silent = UdpSocket::bind("127.0.0.1:0").unwrap();
        let soon = ResolvConf { timeout: Duration::from_millis(20), ..conf(&[silent.local_addr().unwrap()]) };
        assert!(asked(&soon, "r.io").unwrap_err().contains("no name server"));
        let cancel = Cancel::new();
        let late = ResolvConf { timeout: Duration::from_secs(3600), ..soon };
        std::thread::scope(|scope| {
            let question = scope.spawn(|| ask(&late, "r.io", &cancel));
            // It was asked, so it waits now, or soon.
            silent.recv(&mut [0; 512]).unwrap();
            cancel.cancel();
            assert!(question.join().unwrap().is_err());
        });
    }
}

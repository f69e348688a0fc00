//! Who sends a request: one agent a kind of connection, made when it is first needed.

use std::sync::{Arc, OnceLock};

use ureq::config::Config;
use ureq::http::Uri;
use ureq::tls::{RootCerts, TlsConfig};
use ureq::unversioned::transport::{ConnectProxyConnector, Connector, RustlsConnector};
use ureq::{Agent, Proxy};

use super::RegistryOptions;
use super::proxy::Proxies;
use super::resolve::{Home, SystemResolver};
use super::transport::SocketConnector;
use super::trust;
use crate::cancel::Cancel;
use crate::error::Result;

const READ_BUFFER: usize = 256 << 10;

/// The agents of one client.
#[derive(Debug)]
pub struct Agents {
    way: Arc<Way>,
    cancel: Cancel,
    // Of each trust: straight, and through a proxy.
    made: [[OnceLock<Agent>; 2]; 3],
}

/// How requests are sent; shared by clients of one pull.
#[derive(Debug)]
struct Way {
    options: RegistryOptions,
    home: Arc<Home>,
    insecure: Option<String>,
    proxies: Proxies,
    // Reading the system's takes milliseconds, and a registry without TLS needs none.
    roots: OnceLock<RootCerts>,
}

/// What is asked of a server's certificate.
#[derive(Clone, Copy, Debug)]
enum Trust {
    /// It has none.
    Plain,
    /// Somebody that is trusted vouches for it.
    Checked,
    /// Nothing.
    Blind,
}

impl Agents {
    /// Agents whose calls end by `cancel`. The certificate of the host `insecure` is not checked; those of
    /// others, to which it may send us, are; these are to be outside of this machine, unless `home` is in it.
    pub fn new(options: &RegistryOptions, home: Home, insecure: Option<&str>, cancel: &Cancel) -> Agents {
        let (insecure, proxies) = (insecure.map(str::to_owned), Proxies::from_env());
        let way = Way { options: options.clone(), home: Arc::new(home), insecure, proxies, roots: OnceLock::new() };
        Agents { way: Arc::new(way), cancel: cancel.clone(), made: Default::default() }
    }

    /// The same, but ended by another token.
    pub fn under(&self, cancel: &Cancel) -> Agents {
        Agents { way: self.way.clone(), cancel: cancel.clone(), made: Default::default() }
    }

    /// The agent for a request to `url`.
    pub fn of(&self, url: &Uri) -> Result<&Agent> {
        let proxy = self.proxy(url)?;
        let trust = self.way.trust(url);
        let place = &self.made[trust as usize][usize::from(proxy.is_some())];
        if let Some(agent) = place.get() {
            return Ok(agent);
        }
        let tls = match trust {
            Trust::Plain => TlsConfig::default(),
            Trust::Checked => TlsConfig::builder().root_certs(self.way.roots()?).build(),
            Trust::Blind => TlsConfig::builder().disable_verification(true).build(),
        };
        Ok(place.get_or_init(|| self.agent(proxy, tls)))
    }

    /// The proxy that requests to `url` go through.
    pub fn proxy(&self, url: &Uri) -> Result<Option<Proxy>> {
        self.way.proxies.of_url(url)
    }

    fn agent(&self, proxy: Option<Proxy>, tls: TlsConfig) -> Agent {
        let options = &self.way.options;
        let home = proxy.is_none().then(|| self.way.home.clone());
        let config = Config::builder()
            .http_status_as_error(false)
            .max_redirects(0)
            .max_redirects_will_error(false)
            .user_agent(concat!("sampan/", env!("CARGO_PKG_VERSION")))
            .accept_encoding("identity")
            .input_buffer_size(READ_BUFFER)
            .timeout_connect(Some(options.connect_timeout))
            .timeout_per_read(Some(options.idle_timeout))
            .timeout_per_write(Some(options.idle_timeout))
            .proxy(proxy)
            .tls_config(tls)
            .build();
        let connector =
            ().chain(ConnectProxyConnector::default())
                .chain(SocketConnector { cancel: self.cancel.clone() })
                .chain(RustlsConnector::default());
        Agent::with_parts(config, connector, SystemResolver { cancel: self.cancel.clone(), home })
    }
}

impl Way {
    fn trust(&self, url: &Uri) -> Trust {
        let host = url.authority().map(|a| a.as_str());
        match url.scheme_str() == Some("https") {
            false => Trust::Plain,
            true if host.is_some() && host == self.insecure.as_deref() => Trust::Blind,
            true => Trust::Checked,
        }
    }

    fn roots(&self) -> Result<RootCerts> {
        if let Some(roots) = self.roots.get() {
            return Ok(roots.clone());
        }
        let found = trust::roots()?;
        Ok(self.roots.get_or_init(|| found).clone())
    }
}

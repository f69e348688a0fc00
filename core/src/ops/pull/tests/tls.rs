//! TLS, proxies and the environment, against Debian's `docker-registry` with a certificate of our own making.
//!
//! The environment is the process's, so each pull runs in a child of this test.

#![allow(clippy::disallowed_methods)]

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::{Arc, Mutex};

use serde_json::json;

use super::real::{Registry, push_image};
use super::*;

/// The name by which the proxy knows the registry, and nobody else does.
const NAME: &str = "registry.invalid";

fn openssl(dir: &Path, arguments: &str) {
    let run = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).output();
    let run = run.expect("openssl is missing: apt install openssl");
    assert!(run.status.success(), "{}", String::from_utf8_lossy(&run.stderr));
}

/// A registry that speaks TLS, its certificate from `ca.pem`, which nobody else trusts.
fn secure() -> Registry {
    let dir = tempfile::tempdir().unwrap();
    openssl(
        dir.path(),
        "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 2 -subj /CN=ca -keyout ca.key -out ca.pem",
    );
    openssl(
        dir.path(),
        "req -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj /CN=r -keyout key.pem -out r.csr",
    );
    let names = format!("subjectAltName=IP:127.0.0.1,DNS:{NAME}");
    fs::write_new(&dir.path().join("ext"), names.as_bytes()).unwrap();
    openssl(
        dir.path(),
        "x509 -req -in r.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 2 -extfile ext -out cert.pem",
    );
    let file = |name: &str| dir.path().join(name);
    let http = json!({"addr": "127.0.0.1:0", "tls": {"certificate": file("cert.pem"), "key": file("key.pem")}});
    let registry = Registry::in_dir(dir, &http);
    push_image(&registry, &three_layers(), "team/app:1");
    registry
}

const CHILD: &str = "SAMPAN_TEST_PULL";

#[test]
fn child() {
    // Runs only as a child of the tests below: `insecure host`, or the host alone.
    let Ok(text) = std::env::var(CHILD) else { return };
    let (insecure, host) = text.split_once(' ').unwrap();
    let (store, cancel) = (Store::new(), Cancel::new());
    let mut pull = store.pull(&cancel);
    pull.registry.insecure = insecure.split(',').map(str::to_owned).collect();
    let pulled = pull.run(&format!("{host}/team/app:1").parse().unwrap(), &mut crate::Quiet);
    match pulled {
        Ok(made) => println!("<{}>", made.manifest),
        Err(e) => {
            store.assert_clean();
            println!("<{}: {e}>", e.kind().word());
        }
    }
}

/// What a pull from `host` comes to, with these variables and none of the usual ones.
fn pulled(host: &str, insecure: &str, variables: &[(&str, &str)]) -> String {
    let mut command = Command::new(std::env::current_exe().unwrap());
    command.args(["--exact", "ops::pull::tests::tls::child", "--nocapture", "--test-threads=1"]);
    for name in ["http_proxy", "https_proxy", "no_proxy", "all_proxy", "ssl_cert_file", "ssl_cert_dir"] {
        command.env_remove(name).env_remove(name.to_ascii_uppercase());
    }
    command.envs(variables.iter().copied()).env(CHILD, format!("{insecure} {host}"));
    let output = command.stderr(Stdio::inherit()).output().unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    let told = text.split_once('<').and_then(|(_, rest)| rest.rsplit_once('>'));
    told.unwrap_or_else(|| panic!("{text}")).0.to_owned()
}

fn expected() -> String {
    digest(&three_layers().manifest).to_string()
}

#[test]
fn a_certificate_counts_when_its_authority_is_trusted() {
    let registry = secure();
    let ca = registry.dir.path().join("ca.pem").display().to_string();
    assert_eq!(pulled(&registry.host, "", &[("SSL_CERT_FILE", &ca)]), expected());
    let refused = pulled(&registry.host, "", &[]);
    let start =
        format!("network: reach registry {}: nobody that is trusted here vouches for its certificate; ", registry.host);
    assert!(refused.starts_with(&start) && refused.contains("SSL_CERT_FILE"), "{refused}");
    assert_eq!(pulled(&registry.host, &registry.host, &[]), expected());
    // Under a name that the certificate is not for.
    let other = registry.host.replace("127.0.0.1", "localhost");
    let refused = pulled(&other, "", &[("SSL_CERT_FILE", &ca)]);
    assert!(refused.contains("its certificate is for another name"), "{refused}");
}

#[test]
fn a_directory_of_authorities_counts_too() {
    let registry = secure();
    let dir = registry.dir.path().join("authorities");
    fs::make_dirs(&dir).unwrap();
    // Its name is by the certificate's hash, as `openssl rehash` makes it.
    openssl(registry.dir.path(), "x509 -in ca.pem -out authorities/ca.pem");
    openssl(registry.dir.path(), "rehash authorities");
    assert_eq!(pulled(&registry.host, "", &[("SSL_CERT_DIR", &dir.display().to_string())]), expected());
}

#[test]
fn a_variable_that_leads_to_no_certificate_is_an_error() {
    let registry = secure();
    for (name, value) in [("SSL_CERT_FILE", "/nonexistent/ca.pem"), ("SSL_CERT_FILE", "/etc/hostname")] {
        let refused = pulled(&registry.host, "", &[(name, value)]);
        assert!(refused.starts_with("invalid_argument: ") && refused.contains(name), "{refused}");
    }
}

#[test]
fn a_registry_without_tls_is_reached_where_it_is_insecure() {
    let registry = Registry::start();
    push_image(&registry, &three_layers(), "team/app:1");
    assert_eq!(pulled(&registry.host, "", &[]), expected());
    let proxy = Proxy::to(&registry.host);
    let through = [("http_proxy", proxy.url.as_str()), ("https_proxy", proxy.url.as_str())];
    assert_eq!(pulled(NAME, NAME, &through), expected());
    // TLS was tried first, and not given up for who did not ask for it.
    let asked = proxy.asked();
    assert!(asked[0].ends_with(":443") && asked.last().unwrap().ends_with(":80"), "{asked:?}");
    let refused = pulled(NAME, "", &through);
    assert!(
        refused.starts_with(&format!("network: pull image {NAME}/team/app:1: "))
            || refused.starts_with("network: reach registry"),
        "{refused}"
    );
}

/// A proxy that knows `CONNECT`, and leads every name to one address.
struct Proxy {
    url: String,
    asked: Arc<Mutex<Vec<String>>>,
}

impl Proxy {
    /// Its threads end with the process, as they may wait for a client that keeps its connection.
    fn to(target: &str) -> Proxy {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let url = format!("http://me:secret@{}", listener.local_addr().unwrap());
        let (asked, target) = (Arc::new(Mutex::new(Vec::new())), target.to_owned());
        let log = asked.clone();
        std::thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let (log, target) = (log.clone(), target.clone());
                std::thread::spawn(move || tunnel(client, &target, &log));
            }
        });
        Proxy { url, asked }
    }

    fn asked(&self) -> Vec<String> {
        self.asked.lock().unwrap().clone()
    }
}

fn tunnel(mut client: TcpStream, target: &str, log: &Mutex<Vec<String>>) {
    let mut reader = BufReader::new(client.try_clone().unwrap());
    let lines: Vec<String> = reader.by_ref().lines().map_while(Result::ok).take_while(|l| !l.is_empty()).collect();
    let Some(wanted) = lines.first().and_then(|l| l.strip_prefix("CONNECT ")?.strip_suffix(" HTTP/1.1")) else {
        return;
    };
    // "me:secret"
    let known = lines.iter().any(|l| l.eq_ignore_ascii_case("proxy-authorization: Basic bWU6c2VjcmV0"));
    log.lock().unwrap().push(wanted.to_owned());
    let server = TcpStream::connect(target).ok().filter(|_| known);
    let Some(mut server) = server else {
        let _ = client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\n\r\n");
        return;
    };
    let _ = client.write_all(b"HTTP/1.1 200 OK\r\n\r\n");
    let (mut back, mut out) = (server.try_clone().unwrap(), client.try_clone().unwrap());
    let answers = std::thread::spawn(move || {
        let _ = std::io::copy(&mut back, &mut out);
        let _ = out.shutdown(Shutdown::Both);
    });
    let _ = std::io::copy(&mut reader, &mut server);
    let _ = server.shutdown(Shutdown::Both);
    let _ = answers.join();
}

#[test]
fn a_proxy_is_used_where_the_variables_say_so() {
    let registry = secure();
    let ca = registry.dir.path().join("ca.pem").display().to_string();
    let proxy = Proxy::to(&registry.host);
    let with = |extra: &[(&'static str, &str)], url: &str| {
        let mut all = vec![("SSL_CERT_FILE", ca.as_str()), ("HTTPS_PROXY", url)];
        all.extend(extra.iter().copied());
        pulled(NAME, "", &all)
    };
    assert_eq!(with(&[], &proxy.url), expected());
    assert!(proxy.asked().iter().all(|a| *a == format!("{NAME}:443")) && !proxy.asked().is_empty());
    // This machine itself, and what is listed, is reached without it.
    let before = proxy.asked().len();
    assert_eq!(pulled(&registry.host, "", &[("SSL_CERT_FILE", &ca), ("HTTPS_PROXY", &proxy.url)]), expected());
    let direct = with(&[("NO_PROXY", "registry.invalid")], &proxy.url);
    assert!(direct.contains("its host name can't be resolved"), "{direct}");
    assert_eq!(proxy.asked().len(), before);
    // One that refuses, one that is not there, one that is none.
    let refused = with(&[], &proxy.url.replace("secret", "wrong"));
    assert!(refused.starts_with("network: reach registry registry.invalid: the proxy refused: "), "{refused}");
    assert!(refused.contains("407") && !refused.contains("wrong"), "{refused}");
    let closed = TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().to_string();
    let refused = with(&[], &format!("http://{closed}"));
    assert!(
        refused.contains("connection refused") && refused.contains(&format!("through the proxy {closed}")),
        "{refused}"
    );
    let refused = with(&[], "socks5://p.invalid:1");
    assert!(refused.starts_with("invalid_argument: use proxy "), "{refused}");
}

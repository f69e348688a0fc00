//! Whose word counts for a registry's certificate.

use std::sync::Arc;

use ureq::tls::{Certificate, RootCerts};

use crate::error::{Error, Kind, Result};

/// What OpenSSL reads, and with it every other tool on the host.
const VARIABLES: [&str; 2] = ["SSL_CERT_FILE", "SSL_CERT_DIR"];

/// The authorities that the variables name; else the system's; else, where a slim image has none, Mozilla's.
///
/// A variable that leads to no certificate is an error: whoever set it does not want the others.
pub fn roots() -> Result<RootCerts> {
    let found = rustls_native_certs::load_native_certs();
    if !found.certs.is_empty() {
        let owned = found.certs.iter().map(|c| Certificate::from_der(c).to_owned()).collect();
        return Ok(RootCerts::Specific(Arc::new(owned)));
    }
    match VARIABLES.into_iter().find(|v| std::env::var_os(v).is_some()) {
        None => Ok(RootCerts::WebPki),
        Some(variable) => {
            let why = found.errors.first().map_or("there is no certificate in it".into(), ToString::to_string);
            Err(Error::new(Kind::InvalidArgument, "read certificates of", variable)
                .because(why)
                .hint("name a file (or directory) of certificates in PEM form, or unset it"))
        }
    }
}

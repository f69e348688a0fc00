//! What a container is called: host name, domain name, and what others note on it.

use super::resolve::{invalid, no_nul};
use super::sharing;
use crate::api::RunOptions;
use crate::error::Result;
use crate::id::ContainerId;
use crate::spec::Spec;

/// The one that is asked for, or the short id.
pub fn hostname(options: &RunOptions, id: &ContainerId) -> Result<String> {
    let Some(name) = &options.hostname else { return Ok(id.short().to_owned()) };
    check_owned("hostname", options)?;
    match is_name(name, 63) {
        true => Ok(name.clone()),
        false => Err(invalid("hostname", "a host name has 1 to 63 letters, digits, '-' and '.'")),
    }
}

/// The one that is asked for; empty for the kernel's default.
pub fn domainname(options: &RunOptions) -> Result<String> {
    let Some(name) = options.domainname.as_ref().filter(|name| !name.is_empty()) else { return Ok(String::new()) };
    check_owned("domainname", options)?;
    // `__NEW_UTS_LEN` of linux/utsname.h.
    match is_name(name, 64) {
        true => Ok(name.clone()),
        false => Err(invalid("domainname", "a domain name has up to 64 letters, digits, '-' and '.'")),
    }
}

fn is_name(name: &str, most: usize) -> bool {
    let may = |b: u8| b.is_ascii_alphanumeric() || b == b'-' || b == b'.';
    (1..=most).contains(&name.len()) && name.bytes().all(may)
}

/// Names belong to the UTS namespace: in one that is shared they would be another's.
fn check_owned(option: &str, options: &RunOptions) -> Result<()> {
    let sharing = sharing::namespaces(options)?;
    match sharing.host_uts || sharing.joined.contains_key("uts") {
        true => Err(invalid(option, "with the UTS namespace of another, its names are that one's too")
            .hint("leave the option out, or --uts")),
        false => Ok(()),
    }
}

/// As in Docker, who shares the host's network or names without a name of his own is called as the host is.
pub fn share_name(spec: &mut Spec, options: &RunOptions, host: &str) {
    let shared = spec.namespaces.host_net || spec.namespaces.host_uts;
    if shared && options.hostname.is_none() && !host.is_empty() {
        spec.hostname = host.to_owned();
    }
}

/// They are kept and shown, and mean nothing to this library.
pub fn check_annotations(options: &RunOptions) -> Result<()> {
    options.annotations.iter().try_for_each(|(key, value)| {
        no_nul("annotations", key).and_then(|()| no_nul("annotations", value))?;
        match key.is_empty() {
            true => Err(invalid("annotations", "an annotation has a name").hint("write it as NAME=VALUE")),
            false => Ok(()),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::Kind;

    fn id() -> ContainerId {
        ContainerId::from_random([0xab; 32])
    }

    #[test]
    fn names_are_plain() {
        let domain = |name: &str| domainname(&RunOptions { domainname: Some(name.into()), ..RunOptions::default() });
        assert_eq!(domain("lab.example").unwrap(), "lab.example");
        assert_eq!(domain("").unwrap(), "");
        for bad in ["a b", "a/b", &"a".repeat(65), "a\0"] {
            assert_eq!(domain(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad:?}");
        }
        let host = |name: &str| hostname(&RunOptions { hostname: Some(name.into()), ..RunOptions::default() }, &id());
        assert_eq!(host("box-1.x").unwrap(), "box-1.x");
        assert!(host("").is_err() && host(&"a".repeat(64)).is_err());
        assert_eq!(hostname(&RunOptions::default(), &id()).unwrap(), "abababababab");
    }

    #[test]
    fn a_shared_name_is_not_given() {
        for uts in ["host", "container:web"] {
            let uts = Some(uts.to_owned());
            let given = RunOptions { uts: uts.clone(), hostname: Some("box".into()), ..RunOptions::default() };
            assert!(hostname(&given, &id()).unwrap_err().to_string().contains("hostname"));
            let given = RunOptions { uts, domainname: Some("lab".into()), ..RunOptions::default() };
            assert!(domainname(&given).unwrap_err().to_string().contains("domainname"));
            assert!(hostname(&RunOptions { hostname: None, ..given }, &id()).is_ok());
        }
    }

    #[test]
    fn who_shares_the_hosts_network_has_its_name() {
        let named = |network: Option<&str>, own: Option<&str>| {
            let (network, hostname) = (network.map(str::to_owned), own.map(str::to_owned));
            let options = RunOptions { network, hostname, ..RunOptions::default() };
            let mut spec = Spec { namespaces: sharing::namespaces(&options).unwrap(), ..Spec::default() };
            spec.hostname = super::hostname(&options, &id()).unwrap();
            share_name(&mut spec, &options, "machine");
            spec.hostname
        };
        assert_eq!(named(Some("host"), None), "machine");
        assert_eq!(named(Some("host"), Some("box")), "box");
        assert_eq!(named(None, None), "abababababab");
    }
}

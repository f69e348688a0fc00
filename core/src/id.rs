//! Validated ids: what becomes part of a path or a cgroup name is checked here, once.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

use crate::error::{Error, Kind, Result};

/// A container's id: 64 lower-case hex digits, as Docker's.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ContainerId(String);

/// A container's or volume's name: `[A-Za-z0-9][A-Za-z0-9_.-]*`, at most 128 characters.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Name(String);

/// A content digest, `sha256:` and 64 lower-case hex digits (OCI image-spec, descriptor.md).
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Digest(String);

fn is_hex(s: &str, len: usize) -> bool {
    s.len() == len && s.bytes().all(|b| matches!(b, b'0'..=b'9' | b'a'..=b'f'))
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|b| format!("{b:02x}")).collect()
}

impl ContainerId {
    /// A new id from 32 random bytes.
    pub fn from_random(bytes: [u8; 32]) -> Self {
        ContainerId(hex(&bytes))
    }

    /// The first twelve digits: the default hostname and what tables show.
    pub fn short(&self) -> &str {
        &self.0[..12]
    }
}

impl Digest {
    /// From the 32 bytes of a SHA-256.
    pub fn from_sha256(bytes: [u8; 32]) -> Self {
        Digest(format!("sha256:{}", hex(&bytes)))
    }

    /// The 64 hex digits, safe as a file name.
    pub fn hex(&self) -> &str {
        &self.0["sha256:".len()..]
    }
}

fn invalid(what: &'static str, text: &str, rule: &'static str) -> Error {
    Error::new(Kind::InvalidArgument, what, format!("{text:?}")).because(rule)
}

impl FromStr for ContainerId {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match is_hex(s, 64) {
            true => Ok(ContainerId(s.to_owned())),
            false => Err(invalid("parse container id", s, "an id is 64 lower-case hex digits")),
        }
    }
}

impl FromStr for Name {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        let word = |b: u8| b.is_ascii_alphanumeric();
        let ok =
            s.len() <= 128 && s.bytes().next().is_some_and(word) && s.bytes().all(|b| word(b) || b"_.-".contains(&b));
        match ok {
            true => Ok(Name(s.to_owned())),
            false => Err(invalid(
                "check name",
                s,
                "a name begins with a letter or digit and holds only letters, digits, '_', '.' and '-' (128 at most)",
            )),
        }
    }
}

impl FromStr for Digest {
    type Err = Error;
    fn from_str(s: &str) -> Result<Self> {
        match s.strip_prefix("sha256:").is_some_and(|h| is_hex(h, 64)) {
            true => Ok(Digest(s.to_owned())),
            false => Err(invalid("parse digest", s, "a digest is 'sha256:' and 64 lower-case hex digits")),
        }
    }
}

macro_rules! string_newtype {
    ($($t:ident)+) => {$(
        impl $t {
            /// The text.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }
        impl fmt::Display for $t {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
        impl TryFrom<String> for $t {
            type Error = Error;
            fn try_from(s: String) -> Result<Self> {
                s.parse()
            }
        }
        impl From<$t> for String {
            fn from(v: $t) -> String {
                v.0
            }
        }
    )+};
}
string_newtype!(ContainerId Name Digest);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_unsafe_for_a_path_passes() {
        for bad in ["", ".", "..", "../x", "a/b", "-a", ".a", "a b", "a\0b", "é"] {
            assert!(bad.parse::<Name>().is_err(), "{bad:?}");
        }
        for bad in ["sha256:", "sha256:..", "sha512:00", "sha256:../../etc/passwd"] {
            assert!(bad.parse::<Digest>().is_err(), "{bad:?}");
        }
        assert!("web-1.a_b".parse::<Name>().is_ok());
        assert_eq!(ContainerId::from_random([0xab; 32]).short(), "abababababab");
    }
}

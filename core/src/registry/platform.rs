//! Which of an index's images fits this host.

use std::fmt;
use std::str::FromStr;

use crate::error::{Error, Kind, Result};

/// Operating system, architecture and variant, in Go's words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Platform {
    /// `linux`.
    pub os: String,
    /// `amd64`, `arm64`, ….
    pub architecture: String,
    /// `v8`, ….
    pub variant: Option<String>,
}

impl Platform {
    /// This host's.
    pub fn host() -> Platform {
        Platform::new("linux", std::env::consts::ARCH, None)
    }

    /// A platform in canonical words, whatever name its architecture was given by.
    pub fn new(os: &str, architecture: &str, variant: Option<&str>) -> Platform {
        let (architecture, implied) = canonical(architecture);
        let variant = variant.filter(|v| !v.is_empty()).map(|v| match v.starts_with('v') {
            true => v.to_owned(),
            false => format!("v{v}"),
        });
        let variant = variant.or_else(|| implied.map(str::to_owned));
        Platform { os: os.to_ascii_lowercase(), architecture, variant }
    }

    /// Whether operating system and architecture are the same.
    pub fn same_machine(&self, other: &Platform) -> bool {
        (&self.os, &self.architecture) == (&other.os, &other.architecture)
    }

    /// How well an image for `other` runs here: 0 is best, `None` not at all.
    pub fn fit(&self, other: &Platform) -> Option<u32> {
        if !self.same_machine(other) {
            return None;
        }
        let (mine, theirs) = (level(self), level(other));
        // A processor runs what was made for an older variant of it.
        mine.checked_sub(theirs)
    }
}

/// An architecture's canonical name, and the variant that is meant when none is given.
fn canonical(architecture: &str) -> (String, Option<&'static str>) {
    let lower = architecture.to_ascii_lowercase();
    let (name, variant) = match lower.as_str() {
        "x86_64" | "x86-64" | "amd64" => ("amd64", None),
        "aarch64" | "arm64" => ("arm64", Some("v8")),
        "armhf" | "armv7l" | "armv7" | "arm" => ("arm", Some("v7")),
        "armel" | "armv6l" | "armv6" => ("arm", Some("v6")),
        "x86" | "i386" | "i486" | "i586" | "i686" | "386" => ("386", None),
        "powerpc64" if cfg!(target_endian = "little") => ("ppc64le", None),
        "powerpc64le" => ("ppc64le", None),
        "loongarch64" => ("loong64", None),
        other => (other, None),
    };
    (name.to_owned(), variant)
}

/// The number in `v8`; a bare architecture is its first variant.
fn level(platform: &Platform) -> u32 {
    let number = platform.variant.as_deref().and_then(|v| v.trim_start_matches('v').split('.').next()?.parse().ok());
    number.unwrap_or(1)
}

impl FromStr for Platform {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let word = |p: &&str| !p.is_empty() && p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._-".contains(&b));
        match (parts.as_slice(), parts.iter().all(word)) {
            ([os, architecture], true) => Ok(Platform::new(os, architecture, None)),
            ([os, architecture, variant], true) => Ok(Platform::new(os, architecture, Some(variant))),
            _ => Err(Error::new(Kind::InvalidArgument, "parse platform", format!("{text:?}"))
                .because("a platform is os/architecture[/variant]")
                .hint("write, for example, linux/amd64 or linux/arm/v7")),
        }
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        self.variant.as_ref().map_or(Ok(()), |v| write!(f, "/{v}"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_canonical() {
        for (text, canonical) in [
            ("linux/x86_64", "linux/amd64"),
            ("linux/aarch64", "linux/arm64/v8"),
            ("linux/arm64", "linux/arm64/v8"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/arm/6", "linux/arm/v6"),
            ("Linux/riscv64", "linux/riscv64"),
        ] {
            assert_eq!(platform(text).to_string(), canonical);
        }
        for bad in ["", "linux", "linux/", "/amd64", "a/b/c/d", "linux/am d"] {
            assert!(bad.parse::<Platform>().is_err(), "{bad:?}");
        }
    }

    #[test]
    fn older_variants_run_newer_ones_do_not() {
        let fit = |mine: &str, theirs: &str| platform(mine).fit(&platform(theirs));
        assert_eq!(fit("linux/arm64", "linux/arm64/v8"), Some(0));
        assert_eq!(fit("linux/arm/v7", "linux/arm/v6"), Some(1));
        assert_eq!(fit("linux/arm/v7", "linux/arm/v5"), Some(2));
        assert_eq!(fit("linux/arm/v6", "linux/arm/v7"), None);
        assert_eq!(fit("linux/amd64", "linux/amd64/v2"), None);
        assert_eq!(fit("linux/amd64/v3", "linux/amd64"), Some(2));
        assert_eq!(fit("linux/amd64", "linux/arm64"), None);
        assert_eq!(fit("linux/amd64", "windows/amd64"), None);
    }
}

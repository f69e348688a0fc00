//! `--log-driver` and `--log-opt`, in Docker's words.

use std::collections::BTreeMap;

use super::resolve::invalid;
use crate::api::RunOptions;
use crate::error::Result;

const DRIVERS: [&str; 3] = ["json-file", "local", "none"];
const OPTIONS: [&str; 2] = ["max-file", "max-size"];

/// How a container's output is logged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Logging {
    /// At all.
    pub log: bool,
    /// In the form of Docker's `json-file`.
    pub json: bool,
    /// Bytes after which a log is put aside; 0 for never.
    pub max_size: u64,
    /// How many there may be.
    pub max_files: u32,
}

/// Reads the options. Without a driver the log is one of ours that is never put aside; `local`, when it is asked for
/// by its name, has Docker's bounds.
pub(super) fn read(options: &RunOptions) -> Result<Logging> {
    let driver = options.log_driver.as_deref().filter(|d| !d.is_empty());
    let plain = Logging { log: true, json: false, max_size: 0, max_files: 1 };
    let logging = match driver {
        None => plain,
        Some("local") => Logging { max_size: 20_000_000, max_files: 5, ..plain },
        Some("json-file") => Logging { json: true, ..plain },
        Some("none") => Logging { log: false, ..plain },
        Some(other) => {
            return Err(invalid("log_driver", format!("{other:?} is none of: {}", DRIVERS.join(" ")))
                .hint("use `local` and have another program read the log"));
        }
    };
    with_options(logging, driver, &options.log_opt)
}

fn with_options(mut logging: Logging, driver: Option<&str>, given: &BTreeMap<String, String>) -> Result<Logging> {
    for (key, value) in given {
        match key.as_str() {
            "max-size" if logging.log => logging.max_size = size(value)?,
            "max-file" if logging.log => logging.max_files = count(value)?,
            _ if !logging.log => {
                return Err(invalid("log_opt", format!("the driver {} has no options", driver.unwrap_or_default())));
            }
            _ => return Err(invalid("log_opt", format!("{key:?} is none of: {}", OPTIONS.join(" ")))),
        }
    }
    Ok(logging)
}

/// As Docker reads it here, by powers of 1000; -1 for no limit.
fn size(text: &str) -> Result<u64> {
    let refused = || invalid("log_opt", format!("max-size: {text:?} is neither a size such as 10m nor -1"));
    if text == "-1" {
        return Ok(0);
    }
    let lower = text.to_ascii_lowercase();
    let number = lower.trim_end_matches('b').trim_end_matches(['k', 'm', 'g', 't']);
    let unit = match lower[number.len()..].trim_end_matches('b') {
        "" => 1,
        "k" => 1000,
        "m" => 1000_u64.pow(2),
        "g" => 1000_u64.pow(3),
        "t" => 1000_u64.pow(4),
        _ => return Err(refused()),
    };
    let bytes = number.parse::<f64>().ok().filter(|n| (0.0..1e9).contains(n)).ok_or_else(refused)? * unit as f64;
    if bytes >= 1.0 { Ok(bytes as u64) } else { Err(refused()) }
}

fn count(text: &str) -> Result<u32> {
    const MOST: u32 = 100;
    match text.parse() {
        Ok(n @ 1..=MOST) => Ok(n),
        _ => Err(invalid("log_opt", format!("max-file: {text:?} is not a number from 1 to {MOST}"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read_of(driver: &str, options: &[(&str, &str)]) -> Result<Logging> {
        let log_opt = options.iter().map(|(k, v)| (k.to_string(), v.to_string())).collect();
        read(&RunOptions { log_driver: Some(driver.into()), log_opt, ..RunOptions::default() })
    }

    #[test]
    fn drivers_have_docker_s_bounds() {
        let logging = |log, json, max_size, max_files| Logging { log, json, max_size, max_files };
        assert_eq!(read_of("", &[]).unwrap(), logging(true, false, 0, 1));
        assert_eq!(read_of("json-file", &[("max-size", "1.5k")]).unwrap(), logging(true, true, 1500, 1));
        assert_eq!(read_of("local", &[("max-file", "3")]).unwrap(), logging(true, false, 20_000_000, 3));
        assert_eq!(read_of("local", &[("max-size", "-1")]).unwrap().max_size, 0);
        assert!(!read_of("none", &[]).unwrap().log);
    }

    #[test]
    fn sizes_are_decimal_as_docker_reads_them() {
        for (text, bytes) in [("10", 10), ("10b", 10), ("10k", 10_000), ("10MB", 10_000_000), ("1g", 1_000_000_000)] {
            assert_eq!(size(text).unwrap(), bytes, "{text}");
        }
        for text in ["", "0", "ten", "-2", "1x", "nan", "inf", "1kk", "0.5"] {
            assert!(size(text).is_err(), "{text}");
        }
    }

    #[test]
    fn what_is_not_known_is_refused_with_what_is() {
        let told = |driver, options: &[(&str, &str)]| read_of(driver, options).unwrap_err().to_string();
        assert!(told("syslog", &[]).contains("json-file local none"));
        assert!(told("local", &[("compress", "true")]).contains("max-file max-size"));
        assert!(told("none", &[("max-size", "1m")]).contains("has no options"));
        assert!(told("local", &[("max-file", "0")]).contains("max-file"));
    }
}

//! The kernel's names: signals, capabilities, resource limits.

use std::str::FromStr;

use nix::sys::signal::Signal;

use crate::capability;
use crate::error::{Error, Kind, Result};

/// Docker's fourteen.
const DEFAULT_CAPABILITIES: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// Resource limits by number, as of `getrlimit(2)` on Linux.
const RLIMITS: [&str; 16] = [
    "cpu",
    "fsize",
    "data",
    "stack",
    "core",
    "rss",
    "nproc",
    "nofile",
    "memlock",
    "as",
    "locks",
    "sigpending",
    "msgqueue",
    "nice",
    "rtprio",
    "rttime",
];

/// A signal by name, with or without `SIG`, or by number 1 to 64.
pub fn signal(text: &str) -> Result<i32> {
    let upper = text.to_ascii_uppercase();
    let bare = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Ok(number) = bare.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number).ok_or_else(|| unknown_signal(text));
    }
    if let Some(number) = realtime(bare) {
        return Ok(number);
    }
    Signal::from_str(&format!("SIG{bare}")).map(|s| s as i32).map_err(|_| unknown_signal(text))
}

/// `RTMIN+n` and `RTMAX-n`; the first two are glibc's own, so `RTMIN` is 34.
fn realtime(bare: &str) -> Option<i32> {
    let offset = |rest: &str, sign| match rest {
        "" => Some(0),
        _ => rest.strip_prefix(sign)?.parse::<i32>().ok(),
    };
    let number = match (bare.strip_prefix("RTMIN"), bare.strip_prefix("RTMAX")) {
        (Some(rest), _) => 34 + offset(rest, '+')?,
        (_, Some(rest)) => 64 - offset(rest, '-')?,
        _ => return None,
    };
    (34..=64).contains(&number).then_some(number)
}

fn unknown_signal(text: &str) -> Error {
    Error::new(Kind::InvalidArgument, "read signal", format!("{text:?}"))
        .because("there is no such signal")
        .hint("give a name like SIGTERM or a number from 1 to 64")
}

fn capability(text: &str) -> Result<u64> {
    capability::bit(text).ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "read capability", format!("{text:?}"))
            .because("there is no such capability")
            .hint("see capabilities(7)")
    })
}

fn capability_set(names: &[String]) -> Result<u64> {
    names.iter().try_fold(0, |set, name| match name.eq_ignore_ascii_case("ALL") {
        true => Ok(capability::ALL),
        false => Ok(set | capability(name)?),
    })
}

/// Docker's rule: from the default set what is dropped goes, and then what is added comes. `ALL` that is dropped leaves what
/// is added alone, and `ALL` that is added goes before it. What a privileged container drops stays dropped, which Docker
/// passes over.
pub fn capabilities(add: &[String], drop: &[String], privileged: bool) -> Result<u64> {
    let (added, dropped) = (capability_set(add)?, capability_set(drop)?);
    let default = DEFAULT_CAPABILITIES.iter().try_fold(0, |set, name| Ok::<_, Error>(set | capability(name)?))?;
    Ok(match dropped == capability::ALL {
        true => added,
        false if privileged || added == capability::ALL => capability::ALL & !dropped,
        false => default & !dropped | added,
    })
}

/// The name of a resource limit by its number.
pub fn rlimit_name(number: u64) -> &'static str {
    usize::try_from(number)
        .ok()
        .and_then(|number| RLIMITS.get(number))
        .copied()
        .unwrap_or("of a kernel that is newer than this version")
}

/// The number of a resource limit: `nofile` or `RLIMIT_NOFILE`.
pub fn rlimit(text: &str) -> Result<u32> {
    let lower = text.to_ascii_lowercase();
    let bare = lower.strip_prefix("rlimit_").unwrap_or(&lower);
    RLIMITS.iter().position(|r| *r == bare).map(|n| n as u32).ok_or_else(|| {
        Error::new(Kind::InvalidArgument, "read ulimit", format!("{text:?}"))
            .because("there is no such resource limit")
            .hint("one of: cpu fsize data stack core rss nproc nofile memlock as locks sigpending msgqueue nice rtprio rttime")
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signals_by_any_name() {
        for (text, number) in [("SIGTERM", 15), ("term", 15), ("9", 9), ("SIGRTMIN+3", 37), ("RTMAX", 64), ("HUP", 1)] {
            assert_eq!(signal(text).unwrap(), number, "{text}");
        }
        for bad in ["", "0", "65", "SIGFOO", "RTMIN+40", "-9"] {
            assert_eq!(signal(bad).unwrap_err().kind(), Kind::InvalidArgument, "{bad:?}");
        }
    }

    #[test]
    fn capabilities_drop_then_add() {
        let s = |names: &[&str]| names.iter().map(|n| n.to_string()).collect::<Vec<_>>();
        // Docker's default mask, as `docker run` shows it in CapBnd.
        assert_eq!(capabilities(&[], &[], false).unwrap(), 0xa804_25fb);
        assert_eq!(capabilities(&s(&["CAP_NET_ADMIN"]), &s(&["ALL"]), false).unwrap(), 1 << 12);
        assert_eq!(capabilities(&s(&["ALL"]), &s(&["sys_admin"]), false).unwrap(), capability::ALL & !(1 << 21));
        assert_eq!(capabilities(&[], &[], true).unwrap(), capability::ALL);
        assert_eq!(capabilities(&s(&["NET_ADMIN"]), &s(&["NET_ADMIN", "CHOWN"]), false).unwrap(), 0xa804_35fa);
        assert_eq!(capabilities(&s(&["ALL"]), &s(&["ALL"]), false).unwrap(), capability::ALL);
        assert_eq!(capabilities(&[], &s(&["SYS_ADMIN"]), true).unwrap(), capability::ALL & !(1 << 21));
        assert!(capabilities(&s(&["FLY"]), &[], false).is_err());
    }

    #[test]
    fn rlimits_by_name() {
        assert_eq!(rlimit("nofile").unwrap(), libc::RLIMIT_NOFILE);
        assert_eq!(rlimit("RLIMIT_RTTIME").unwrap(), libc::RLIMIT_RTTIME);
        assert!(rlimit("files").is_err());
    }
}

//! Times, sizes and names for people, in Docker's phrases.

use jiff::Timestamp;

/// `2 hours ago`, from a time of RFC 3339; empty when there is none.
pub fn ago(time: &str) -> String {
    match since(time) {
        Some(span) => format!("{span} ago"),
        None => String::new(),
    }
}

/// `2 hours`, from a time of RFC 3339 until now.
pub fn since(time: &str) -> Option<String> {
    let then: Timestamp = time.parse().ok()?;
    Some(span(Timestamp::now().as_second().saturating_sub(then.as_second()).max(0) as u64))
}

/// A span of seconds, roughly.
fn span(seconds: u64) -> String {
    let (minutes, hours) = (seconds / 60, (seconds + 1800) / 3600);
    match (seconds, minutes, hours) {
        (0, ..) => "Less than a second".to_owned(),
        (1, ..) => "1 second".to_owned(),
        (..60, ..) => format!("{seconds} seconds"),
        (_, 1, _) => "About a minute".to_owned(),
        (_, ..60, _) => format!("{minutes} minutes"),
        (_, _, 1) => "About an hour".to_owned(),
        (_, _, ..48) => format!("{hours} hours"),
        (_, _, 48..336) => format!("{} days", hours / 24),
        (_, _, 336..1440) => format!("{} weeks", hours / 24 / 7),
        (_, _, 1440..17520) => format!("{} months", hours / 24 / 30),
        _ => format!("{} years", hours / 24 / 365),
    }
}

/// `4.21MB`: three digits and a decimal unit.
pub fn size(bytes: u64) -> String {
    let units = ["B", "kB", "MB", "GB", "TB", "PB", "EB"];
    let mut value = bytes as f64;
    let mut unit = 0;
    // 999.5 would be printed as 1000.
    while value >= 999.5 && unit + 1 < units.len() {
        value /= 1000.0;
        unit += 1;
    }
    let decimals = match value {
        _ if unit == 0 => 0,
        v if v >= 99.95 => 0,
        v if v >= 9.995 => 1,
        _ => 2,
    };
    let number = format!("{value:.decimals$}");
    match decimals {
        0 => format!("{number}{}", units[unit]),
        _ => format!("{}{}", number.trim_end_matches('0').trim_end_matches('.'), units[unit]),
    }
}

/// The first twelve digits of an id or digest.
pub fn short(id: &str) -> &str {
    let hex = id.strip_prefix("sha256:").unwrap_or(id);
    hex.get(..12).unwrap_or(hex)
}

/// An image's name without what everyone leaves out.
pub fn familiar(reference: &str) -> &str {
    let rest = reference.strip_prefix("docker.io/").unwrap_or(reference);
    rest.strip_prefix("library/").filter(|_| rest.len() < reference.len()).unwrap_or(rest)
}

/// The repository and the tag of a familiar name.
pub fn split_tag(name: &str) -> (&str, &str) {
    if let Some((repository, _)) = name.split_once('@') {
        return (repository, "<none>");
    }
    match name.rsplit_once(':') {
        Some((repository, tag)) if !tag.contains('/') => (repository, tag),
        _ => (name, "<none>"),
    }
}

/// At most `limit` characters, the last one `…` when some are left out.
pub fn ellipsis(text: &str, limit: usize) -> String {
    match text.chars().count() > limit {
        true => text.chars().take(limit - 1).chain(['…']).collect(),
        false => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn spans_are_docker_s() {
        for (seconds, text) in [
            (0, "Less than a second"),
            (1, "1 second"),
            (59, "59 seconds"),
            (60, "About a minute"),
            (3500, "58 minutes"),
            (3600, "About an hour"),
            (7200, "2 hours"),
            (86400 * 3, "3 days"),
            (86400 * 20, "2 weeks"),
            (86400 * 90, "3 months"),
            (86400 * 365 * 3, "3 years"),
        ] {
            assert_eq!(span(seconds), text);
        }
    }

    #[test]
    fn sizes_have_three_digits() {
        for (bytes, text) in [
            (0, "0B"),
            (999, "999B"),
            (1000, "1kB"),
            (4_213_000, "4.21MB"),
            (99_960_000, "100MB"),
            (999_600, "1MB"),
            (77_800_000, "77.8MB"),
        ] {
            assert_eq!(size(bytes), text);
        }
    }

    #[test]
    fn names_are_shortened_as_docker_does() {
        assert_eq!(familiar("docker.io/library/alpine:3"), "alpine:3");
        assert_eq!(familiar("docker.io/a/b:1"), "a/b:1");
        assert_eq!(familiar("host:5000/library/x:1"), "host:5000/library/x:1");
        assert_eq!(split_tag("host:5000/x"), ("host:5000/x", "<none>"));
        assert_eq!(split_tag("host:5000/x:1"), ("host:5000/x", "1"));
        assert_eq!(split_tag("x@sha256:0"), ("x", "<none>"));
        assert_eq!(short("sha256:0123456789abcdef"), "0123456789ab");
        assert_eq!(ellipsis("abcdef", 4), "abc…");
    }
}

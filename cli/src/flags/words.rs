//! The small grammars of single flags: `KEY=VALUE`, files of them, streams, limits.

use std::collections::BTreeMap;

use sampan::{PullPolicy, Tie, Ulimit};

use crate::fail::Fail;

/// A standard stream to attach.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum StdStream {
    In,
    Out,
    Err,
}

pub fn stream(text: &str) -> Result<StdStream, String> {
    match text.to_ascii_lowercase().as_str() {
        "stdin" => Ok(StdStream::In),
        "stdout" => Ok(StdStream::Out),
        "stderr" => Ok(StdStream::Err),
        _ => Err("expected STDIN, STDOUT or STDERR".to_owned()),
    }
}

/// A yes or a no as Docker reads it (Go's `strconv.ParseBool`).
pub fn truth(text: &str) -> Result<bool, String> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Ok(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Ok(false),
        _ => Err("expected true or false".to_owned()),
    }
}

pub fn pull_policy(text: &str) -> Result<PullPolicy, String> {
    if text.is_empty() {
        return Ok(PullPolicy::default());
    }
    text.parse::<PullPolicy>().map_err(|e| e.cause())
}

/// What a script gives for a variable that it has not set: nothing, and so the default, as with Docker.
pub fn given(text: &Option<String>) -> Option<String> {
    text.clone().filter(|text| !text.is_empty())
}

/// Seconds to wait; for ever with a number below zero, as with Docker.
pub fn patience(text: &str) -> Result<f64, String> {
    const EVER: f64 = 1e10;
    match text.parse::<f64>() {
        Ok(seconds) if seconds < 0.0 => Ok(EVER),
        Ok(seconds) => Ok(seconds),
        Err(_) => Err("expected a number of seconds".to_owned()),
    }
}

pub fn tie(text: &str) -> Result<Tie, String> {
    text.parse::<Tie>().map_err(|e| e.cause())
}

pub fn pair(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("expected KEY=VALUE".to_owned()),
    }
}

/// `nofile=1024:2048`, `nofile=1024`, `core=-1`.
pub fn ulimit(text: &str) -> Result<Ulimit, String> {
    let (name, limits) = text.split_once('=').ok_or("expected TYPE=SOFT[:HARD]")?;
    let (soft, hard) = limits.split_once(':').unwrap_or((limits, limits));
    let number = |word: &str| match word {
        "unlimited" => Ok(-1),
        _ => word.parse::<i64>().ok().filter(|n| *n >= -1).ok_or(format!("{word:?} is not a limit")),
    };
    let (soft, hard) = (number(soft)?, number(hard)?);
    match hard != -1 && (soft == -1 || soft > hard) {
        true => Err(format!("the soft limit {soft} is above the hard limit {hard}")),
        false => Ok(Ulimit { name: name.to_owned(), soft, hard }),
    }
}

/// Files first, flags over them. A key alone is taken from our environment, or left out.
pub fn env(files: &[String], flags: &[String]) -> Result<BTreeMap<String, String>, Fail> {
    let mut all = BTreeMap::new();
    for word in lines(files)?.iter().chain(flags) {
        match word.split_once('=') {
            Some(("", _)) => return Err(Fail::usage(format_args!("the variable {word:?} has no name"))),
            Some((key, value)) => drop(all.insert(key.to_owned(), value.to_owned())),
            None if word.is_empty() => return Err(Fail::usage("a variable that is to be set has no name")),
            None => drop(std::env::var(word).map(|value| all.insert(word.clone(), value))),
        }
    }
    Ok(all)
}

/// Files first, flags over them. A key alone has an empty value.
pub fn labels(files: &[String], flags: &[String]) -> Result<BTreeMap<String, String>, Fail> {
    let words = lines(files)?;
    let label = |word: &String| {
        let (key, value) = word.split_once('=').unwrap_or((word, ""));
        (key.to_owned(), value.to_owned())
    };
    Ok(words.iter().chain(flags).map(label).collect())
}

fn lines(files: &[String]) -> Result<Vec<String>, Fail> {
    let mut lines = Vec::new();
    for file in files {
        let text = std::fs::read_to_string(file).map_err(|e| Fail::usage(format_args!("read {file}: {e}")))?;
        let kept = text.lines().map(str::trim_start).filter(|line| !line.is_empty() && !line.starts_with('#'));
        lines.extend(kept.map(str::to_owned));
    }
    Ok(lines)
}

/// A span as Go writes it, `1m30s` or `500ms`, in seconds; a number alone is of seconds.
pub fn duration(text: &str) -> Result<f64, String> {
    const UNITS: [(&str, f64); 6] = [("ms", 1e-3), ("us", 1e-6), ("ns", 1e-9), ("h", 3600.0), ("m", 60.0), ("s", 1.0)];
    let refused = || format!("{text:?} is not a span such as 30s, 1m30s or 500ms");
    if let Ok(seconds @ 0.0..) = text.parse::<f64>() {
        return Ok(seconds);
    }
    let (mut rest, mut seconds) = (text, 0.0);
    while !rest.is_empty() {
        let digits = rest.find(|c: char| !c.is_ascii_digit() && c != '.').ok_or_else(refused)?;
        let number: f64 = rest[..digits].parse().map_err(|_| refused())?;
        let (unit, size) = UNITS.iter().find(|(unit, _)| rest[digits..].starts_with(unit)).ok_or_else(refused)?;
        seconds += number * size;
        rest = &rest[digits + unit.len()..];
    }
    if text.is_empty() { Err(refused()) } else { Ok(seconds) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn strings(words: &[&str]) -> Vec<String> {
        words.iter().map(|w| w.to_string()).collect()
    }

    #[test]
    fn files_come_first_and_flags_win() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# comment\n\nA=file\nB=a=b c \nSAMPAN_TEST_UNSET\n").unwrap();
        let files = strings(&[file.path().to_str().unwrap()]);
        let env = env(&files, &strings(&["A=flag", "PATH"])).unwrap();
        assert_eq!((env["A"].as_str(), env["B"].as_str()), ("flag", "a=b c "));
        assert_eq!(env["PATH"], std::env::var("PATH").unwrap());
        assert!(!env.contains_key("SAMPAN_TEST_UNSET"));
        let labels = labels(&files, &strings(&["only"])).unwrap();
        assert_eq!((labels["only"].as_str(), labels["A"].as_str()), ("", "file"));
        assert!(super::env(&[], &strings(&["=x"])).is_err());
        assert!(super::env(&strings(&["/nonexistent"]), &[]).is_err());
    }

    #[test]
    fn nothing_is_the_default_and_less_than_nothing_is_for_ever() {
        assert_eq!((given(&Some(String::new())), given(&Some("x".into()))), (None, Some("x".into())));
        assert_eq!((patience("-1"), patience("0.5")), (Ok(1e10), Ok(0.5)));
        assert!(patience("soon").is_err() && super::env(&[], &strings(&[""])).is_err());
        assert_eq!(pull_policy(""), Ok(PullPolicy::Missing));
    }

    #[test]
    fn limits_are_checked() {
        assert_eq!(ulimit("core=-1").unwrap(), Ulimit { name: "core".into(), soft: -1, hard: -1 });
        assert_eq!(ulimit("nofile=5").unwrap().hard, 5);
        for bad in ["nofile", "nofile=x", "nofile=5:4", "nofile=-1:4", "nofile=-2"] {
            assert!(ulimit(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn spans_are_go_s() {
        for (text, seconds) in
            [("30s", 30.0), ("1m30s", 90.0), ("500ms", 0.5), ("1h", 3600.0), ("0", 0.0), ("2.5", 2.5)]
        {
            assert!((duration(text).unwrap() - seconds).abs() < 1e-9, "{text}");
        }
        for text in ["", "s", "1x", "-1s", "1m30", "-1"] {
            assert!(duration(text).is_err(), "{text}");
        }
    }
}

//! One line of a log file, in either form.

use serde::Deserialize;

use crate::api::{LogEntry, Stream};

/// Reads a line with its end; `None` for what is none of ours.
pub(super) fn parse(line: &[u8]) -> Option<LogEntry> {
    match line.first() {
        Some(b'{') => json(line),
        _ => cri(line),
    }
}

/// `TIME STREAM TAG TEXT\n`, the tag `F` for a whole line and `P` for a part (Kubernetes' CRI logging).
fn cri(line: &[u8]) -> Option<LogEntry> {
    let mut fields = line.splitn(4, |b| *b == b' ');
    let time = std::str::from_utf8(fields.next()?).ok()?.to_owned();
    let stream = stream(fields.next()?)?;
    let whole = fields.next()? == b"F";
    let text = fields.next()?;
    let data = if whole { text } else { text.strip_suffix(b"\n").unwrap_or(text) };
    Some(LogEntry { time, stream, data: data.to_vec() })
}

/// Docker's `json-file`.
#[derive(Deserialize)]
struct Json {
    log: String,
    stream: String,
    time: String,
}

fn json(line: &[u8]) -> Option<LogEntry> {
    let Json { log, stream: name, time } = serde_json::from_slice(line).ok()?;
    Some(LogEntry { time, stream: stream(name.as_bytes())?, data: log.into_bytes() })
}

fn stream(name: &[u8]) -> Option<Stream> {
    match name {
        b"stdout" => Some(Stream::Stdout),
        b"stderr" => Some(Stream::Stderr),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_forms_say_the_same() {
        let time = "2024-05-01T00:00:00.000000001Z";
        let entry = |stream, data: &str| Some(LogEntry { time: time.into(), stream, data: data.into() });
        assert_eq!(parse(format!("{time} stderr F a b\n").as_bytes()), entry(Stream::Stderr, "a b\n"));
        assert_eq!(parse(format!("{time} stdout P a b\n").as_bytes()), entry(Stream::Stdout, "a b"));
        let json = |log: &str| format!("{{\"log\":\"{log}\",\"stream\":\"stdout\",\"time\":\"{time}\"}}\n");
        assert_eq!(parse(json(r#"a\u003c\"\n"#).as_bytes()), entry(Stream::Stdout, "a<\"\n"));
        for odd in ["", "\n", "{}\n", "{\"log\":\"a\"", "x stdnone F a\n"] {
            assert_eq!(parse(odd.as_bytes()), None, "{odd:?}");
        }
    }
}

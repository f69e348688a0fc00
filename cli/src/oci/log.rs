//! Failures, in the forms that engines read them in.

use std::io::Write;

use serde_json::json;

use super::words::Global;

/// One line on standard error, and one in the log.
pub fn failure(global: &Global, error: &sampan::Error) {
    let message = message(error);
    let _ = writeln!(std::io::stderr(), "{message}");
    let Some(path) = &global.log else { return };
    let time = jiff::Timestamp::now();
    let line = match global.log_format.as_str() {
        "json" => json!({"level": "error", "msg": message, "time": time.to_string()}).to_string(),
        _ => format!("time=\"{time}\" level=error msg={}", json!(message)),
    };
    // A log that can't be written is no further failure: standard error has it.
    if let Ok(mut file) = std::fs::OpenOptions::new().append(true).create(true).open(path) {
        let _ = writeln!(file, "{line}");
    }
}

/// Engines tell 127 and 126 by runc's words for them.
fn message(error: &sampan::Error) -> String {
    match error.kind() {
        sampan::Kind::CommandNotFound => format!("{error}: executable file not found in $PATH"),
        sampan::Kind::CommandNotExecutable => format!("{error}: permission denied"),
        _ => error.to_string(),
    }
}

//! The OCI runtime in runc's words: `sampan oci …`, or the command under the name `sampan-oci`.
//!
//! Engines call it with flags of their own before the verb, so it has a command line of its own.

mod foreground;
mod log;
mod preserved;
mod ps;
mod update;
mod verbs;
mod words;

use std::ffi::{OsStr, OsString};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;

use words::{Verb, Words};

/// The name under which the command is the runtime and nothing else.
const NAME: &str = "sampan-oci";

/// The words of the runtime, when it was called as one.
pub fn asked(mut args: impl Iterator<Item = OsString>) -> Option<Vec<OsString>> {
    let program = args.next()?;
    let called_so = Path::new(&program).file_name() == Some(OsStr::new(NAME));
    let mut rest: Vec<OsString> = args.collect();
    if !called_so {
        if rest.first().map(OsString::as_os_str) != Some(OsStr::new("oci")) {
            return None;
        }
        rest.remove(0);
    }
    rest.insert(0, NAME.into());
    Some(rest)
}

/// Runs one verb. A failure goes to standard error and to the log that the engine reads.
pub fn main(words: Vec<OsString>) -> ExitCode {
    let words = match Words::try_parse_from(words) {
        Ok(words) => words,
        Err(error) => error.exit(),
    };
    match verbs::execute(&words) {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            log::failure(&words.global, &error);
            // A command's own end is told from this by another number, as by runc.
            ExitCode::from(if matches!(words.verb, Verb::Exec(_)) { 255 } else { 1 })
        }
    }
}

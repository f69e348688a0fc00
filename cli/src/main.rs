//! The `sampan` command: Docker's words and flags over the library's public facade.
//!
//! Arguments become options (`flags`), options become calls (`commands`), answers become text
//! (`output`). Nothing here knows how a container is made.

// The rooms of the library have one for files; the command reads what its flags name by itself.
#![allow(clippy::disallowed_methods)]

mod cli;
mod commands;
mod fail;
mod flags;
mod grammar;
mod keys;
mod late;
mod oci;
mod orphans;
mod output;
mod progress;
mod readers;
mod relay;
mod signals;
mod terminal;
mod unsupported;

use std::ffi::OsString;
use std::process::ExitCode;

#[cfg(target_env = "musl")]
#[global_allocator]
static HEAP: dlmalloc::GlobalDlmalloc = dlmalloc::GlobalDlmalloc;

fn main() -> ExitCode {
    writes_fail_instead_of_killing();
    if let Some(words) = oci::asked(std::env::args_os()) {
        return oci::main(words);
    }
    let words: Vec<OsString> = std::env::args_os().collect();
    // Dropped behind what is begun here.
    let _orphans = grammar::starts_helpers(&words).then(orphans::Orphans::adopt);
    let _ahead = grammar::starts_one(&words).map(sampan::ahead::begin);
    let result = match grammar::parse(words) {
        Ok(cli) => commands::execute(cli),
        Err(error) => unsupported::explain(error),
    };
    match result {
        Ok(code) => ExitCode::from(code),
        Err(fail) => fail.report(),
    }
}

/// Beyond a limit of file sizes a write is answered by SIGXFSZ, which would end us with what is half done in place.
fn writes_fail_instead_of_killing() {
    use nix::sys::signal::{SigHandler, Signal, signal};
    // SAFETY: no handler is installed.
    let _ = unsafe { signal(Signal::SIGXFSZ, SigHandler::SigIgn) };
}

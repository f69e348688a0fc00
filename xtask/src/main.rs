//! Generators and gates: `cargo run -p xtask -- COMMAND`.
//!
//! | command | job |
//! |---|---|
//! | `generate [--check]` | writes, or checks, every file that is derived from the facade |
//! | `floors` | checks that every import of the core goes down |
//! | `parity` | checks that C, Python, Node and the command have all that the facade has |
//! | `abi [--debug \| --profile P]` | checks the header, the library's symbols, and both against the baseline |
//! | `abi --renew` | writes the baseline anew |
//! | `install [--prefix P] [--destdir D] [--libdir L] [--debug \| --profile P]` | builds and installs `libsampan` |
#![allow(
    clippy::disallowed_methods,
    reason = "the tools of the workshop may run programs and touch files; the library may not"
)]

mod abi;
mod api;
mod clib;
mod floors;
mod generate;
mod install;
mod parity;
mod parse;
mod repo;

use anyhow::{Result, bail};

const USAGE: &str =
    "usage: cargo run -p xtask -- generate [--check] | floors | parity | abi [--renew | --debug | --profile P] |
    install [--prefix P] [--destdir D] [--libdir L] [--debug | --profile P]";

fn main() -> Result<()> {
    let args: Vec<String> = std::env::args().skip(1).collect();
    let args: Vec<&str> = args.iter().map(String::as_str).collect();
    match args[..] {
        ["generate"] => generate::run(false),
        ["generate", "--check"] => generate::run(true),
        ["floors"] => floors::run(),
        ["parity"] => parity::run(),
        ["abi", ref rest @ ..] => abi::run(rest),
        ["install", ref rest @ ..] => install::run(rest),
        _ => bail!("{USAGE}"),
    }
}

//! The order of the command's functions in its file, where it is static and a start counts: `packaging/order.sh`.
//!
//! It is written for GNU's linker. Any other is tried first, by a program that does nothing: where it doesn't take the
//! order, or makes what doesn't run, functions lie as they come, which costs a start some page faults and nothing else.
//! `SAMPAN_ORDER=0` leaves it out.

// The rooms of the library are for itself.
#![allow(clippy::disallowed_methods)]

use std::env::{self, consts};
use std::fs;
use std::process::{Command, Stdio};

const ORDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/order.ld");

fn main() {
    println!("cargo::rerun-if-changed={ORDER}");
    println!("cargo::rerun-if-env-changed=SAMPAN_ORDER");
    if !is_wanted() {
        return;
    }
    // As the compilers' own option: other than by -Wl, a path may have a comma, and the linker be called by itself.
    let order = format!("-T{ORDER}");
    match is_taken(&order) {
        true => println!("cargo::rustc-link-arg-bins={order}"),
        false => println!("cargo::warning=this linker takes no order of functions; the command starts without it"),
    }
}

fn is_wanted() -> bool {
    is("CARGO_CFG_TARGET_ENV", "musl") && is("PROFILE", "release") && !is("SAMPAN_ORDER", "0")
}

fn is(name: &str, value: &str) -> bool {
    env::var(name).is_ok_and(|is| is == value)
}

/// By the compiler, the linker and the flags that the command will be linked with.
fn is_taken(order: &str) -> bool {
    let var = |name| env::var(name).unwrap_or_default();
    let program = format!("{}/ordered", var("OUT_DIR"));
    let source = format!("{program}.rs");
    if fs::write(&source, "fn main() {}").is_err() {
        return false;
    }
    let mut compiler = Command::new(var("RUSTC"));
    compiler.args(["--edition=2024", "--target", &var("TARGET"), "-o", &program, &source]);
    compiler.arg(format!("-Clink-arg={order}"));
    compiler.args(env::var("RUSTC_LINKER").map(|linker| format!("-Clinker={linker}")));
    compiler.args(var("CARGO_ENCODED_RUSTFLAGS").split('\x1f').filter(|flag| !flag.is_empty()));
    succeeds(&mut compiler) && (!runs_here() || succeeds(&mut Command::new(&program)))
}

fn runs_here() -> bool {
    is("CARGO_CFG_TARGET_OS", consts::OS) && is("CARGO_CFG_TARGET_ARCH", consts::ARCH)
}

fn succeeds(command: &mut Command) -> bool {
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).status().is_ok_and(|ended| ended.success())
}

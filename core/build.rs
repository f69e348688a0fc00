//! Compiles the shim (`core/shim/`), a static program without libc, for the library to embed.
//!
//! It has no manifest of its own: a nested `Cargo.toml` would be dropped from the packaged crate.

#![allow(clippy::disallowed_methods)]

use std::env;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    let manifest = PathBuf::from(env::var_os("CARGO_MANIFEST_DIR").expect("cargo sets CARGO_MANIFEST_DIR"));
    let shim = manifest.join("shim");
    println!("cargo:rerun-if-changed={}", shim.display());
    println!("cargo:rerun-if-changed={}", manifest.join("src/wire").display());
    compile(&shim.join("main.rs"));
}

fn compile(main: &Path) {
    let out = PathBuf::from(env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    let status = Command::new(env::var_os("RUSTC").expect("cargo sets RUSTC"))
        .arg(main)
        .args([
            "--edition=2024",
            "--crate-type=bin",
            "--crate-name=sampan_shim",
            "--cfg=shim",
            "--check-cfg=cfg(shim,test)",
        ])
        .args(["--target", &env::var("TARGET").expect("cargo sets TARGET")])
        .args(linker())
        .arg(layout(&out))
        .args(CODEGEN.iter().chain(own_start_files()).chain(for_processor()).flat_map(|flag| ["-C", flag]))
        .arg("-o")
        .arg(out.join("sampan-shim"))
        .status()
        .expect("rustc runs");
    assert!(status.success(), "the shim does not compile: {status}");
}

/// The linker that cargo was configured with, if any; `SAMPAN_SHIM_LINKER` where that one, such as zig's, can't link a
/// program without a C library.
fn linker() -> Vec<String> {
    println!("cargo:rerun-if-env-changed=SAMPAN_SHIM_LINKER");
    let linker = env::var("SAMPAN_SHIM_LINKER").or_else(|_| env::var("RUSTC_LINKER"));
    linker.map(|l| vec!["-C".into(), format!("linker={l}")]).unwrap_or_default()
}

/// A musl target brings start files of its own, which it links whatever the linker is told.
fn own_start_files() -> &'static [&'static str] {
    let musl = env::var("CARGO_CFG_TARGET_ENV").is_ok_and(|env| env == "musl");
    if musl { &["link-self-contained=no"] } else { &[] }
}

/// The compiled `core` brings tables for unwinding, a tenth of the program; nobody unwinds here. And what is executed while
/// a container runs lies together, so that the rest need not be in memory then (`shed_program`).
fn layout(out: &Path) -> String {
    let script = out.join("shim.ld");
    let of =
        |module: &&str| format!("*(.text.*11sampan_shim{}{module}*) *(.text.*sampan_shim..{module}..*)", module.len());
    let while_it_runs: Vec<String> = WHILE_IT_RUNS.iter().map(of).collect();
    let text = format!(
        "SECTIONS {{ .text.rest : {{ {} *(.text.mem*) *(.text.*4core*) . = ALIGN(4096); rest_ends = .; }} }} INSERT BEFORE .text;\n\
         SECTIONS {{ /DISCARD/ : {{ *(.eh_frame) *(.eh_frame.*) *(.comment) }} }} INSERT AFTER .text;\n",
        while_it_runs.join(" ")
    );
    std::fs::write(&script, text).expect("OUT_DIR can be written");
    format!("-Clink-arg=-Wl,-T,{}", script.display())
}

/// The shim's modules that have a part in that.
const WHILE_IT_RUNS: &[&str] = &[
    "supervise",
    "relay",
    "log",
    "log_json",
    "taps",
    "probe",
    "oom",
    "reaper",
    "memory",
    "sys",
    "text",
    "time",
    "owners",
    "control",
    "wire",
    "records",
    "fail",
    "rotate",
];

/// Atomics by instructions of aarch64: the routines that choose between them at run time ask the C library.
fn for_processor() -> &'static [&'static str] {
    let arm = env::var("CARGO_CFG_TARGET_ARCH").is_ok_and(|arch| arch == "aarch64");
    if arm { &["target-feature=-outline-atomics"] } else { &[] }
}

/// Small, static at a fixed address, no start files: an exec of it costs a tenth of a millisecond.
const CODEGEN: &[&str] = &[
    "panic=abort",
    "opt-level=s",
    "lto=fat",
    "codegen-units=1",
    "debuginfo=0",
    "strip=symbols",
    "overflow-checks=off",
    "force-unwind-tables=no",
    "relocation-model=static",
    "target-feature=+crt-static",
    "link-arg=-nostartfiles",
    "link-arg=-nostdlib",
    "link-arg=-static",
    "link-arg=-no-pie",
    "link-arg=-Wl,--gc-sections,--build-id=none,-z,norelro,-z,noseparate-code,-z,noexecstack,--no-eh-frame-hdr",
];

//! Builds `libsampan`, shared and static, by cargo.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};
use serde_json::Value;

use crate::repo;

/// What a build made.
pub struct Built {
    /// `libsampan.so`.
    pub shared: PathBuf,
    /// `libsampan.a`.
    pub archive: PathBuf,
    /// What a program that links the archive must link too: `-lpthread -lm …`.
    pub system_libs: String,
}

/// The soname: the ABI's major number alone decides which programs a library can serve.
pub fn soname() -> Result<String> {
    Ok(format!("libsampan.so.{}", define("SAMPAN_ABI_MAJOR")?))
}

/// The number of a `#define` of the header.
pub fn define(name: &str) -> Result<u32> {
    let header = repo::read("include/sampan.h")?;
    let value = header.lines().find_map(|line| line.strip_prefix("#define ")?.strip_prefix(name)?.strip_prefix(' '));
    value.and_then(|v| v.trim().parse().ok()).with_context(|| format!("the header defines no number {name}"))
}

/// Builds both in a profile. rustc's own version script lets out what is `no_mangle` in Rust and nothing else.
pub fn build(profile: &str) -> Result<Built> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    cargo
        .current_dir(repo::path(""))
        .args(["rustc", "--quiet", "--package=sampan", "--lib", "--features=capi", "--crate-type=cdylib,staticlib"])
        .args(["--profile", profile, "--message-format=json", "--"])
        .arg(format!("-Clink-arg=-Wl,-soname,{}", soname()?))
        .arg("--print=native-static-libs");
    if profile == "release" {
        // A package with a setting of its own loses the profile's.
        cargo.arg("-Cstrip=symbols");
    }
    let output = cargo.stderr(Stdio::inherit()).output().context("run cargo")?;
    let messages = String::from_utf8(output.stdout)?;
    let messages: Vec<Value> = messages.lines().filter_map(|line| serde_json::from_str(line).ok()).collect();
    if !output.status.success() {
        messages.iter().filter_map(|m| m["message"]["rendered"].as_str()).for_each(|text| eprint!("{text}"));
        bail!("libsampan does not build");
    }
    built(&messages)
}

/// Reads cargo's messages. It repeats those of rustc when nothing had to be built.
fn built(messages: &[Value]) -> Result<Built> {
    let mut libs =
        messages.iter().filter_map(|m| m["message"]["message"].as_str()?.strip_prefix("native-static-libs: "));
    let libs = libs.next().context("rustc named no system libraries")?;
    Ok(Built { shared: file(messages, "so")?, archive: file(messages, "a")?, system_libs: unique(libs) })
}

fn file(messages: &[Value], extension: &str) -> Result<PathBuf> {
    let ours = |m: &&Value| m["reason"] == "compiler-artifact" && m["target"]["name"] == "sampan";
    let files = messages.iter().filter(ours).flat_map(|m| m["filenames"].as_array().into_iter().flatten());
    let file = files.filter_map(Value::as_str).find(|f| Path::new(f).extension().is_some_and(|e| e == extension));
    file.map(PathBuf::from).with_context(|| format!("cargo made no .{extension}"))
}

/// Each library once; the last place of one that is named twice is the one that matters to a linker.
fn unique(libs: &str) -> String {
    let libs: Vec<&str> = libs.split_whitespace().collect();
    let last = |(at, lib): &(usize, &&str)| !libs[at + 1..].contains(*lib);
    libs.iter().enumerate().filter(last).map(|(_, lib)| *lib).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cargo_s_messages_are_read() {
        let text = r#"{"reason":"compiler-artifact","target":{"name":"libc"},"filenames":["/t/liblibc.a"]}
{"reason":"compiler-message","message":{"message":"native-static-libs: -lc -lm -lc"}}
{"reason":"compiler-artifact","target":{"name":"sampan"},"filenames":["/t/libsampan.so","/t/libsampan.a"]}
{"reason":"build-finished"}"#;
        let messages: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
        let built = built(&messages).unwrap();
        assert_eq!(built.shared, Path::new("/t/libsampan.so"));
        assert_eq!(built.archive, Path::new("/t/libsampan.a"));
        assert_eq!(built.system_libs, "-lm -lc");
    }

    #[test]
    fn the_soname_is_of_the_abi() {
        assert_eq!(soname().unwrap(), format!("libsampan.so.{}", define("SAMPAN_ABI_MAJOR").unwrap()));
        assert!(define("SAMPAN_NO_SUCH").is_err());
    }
}

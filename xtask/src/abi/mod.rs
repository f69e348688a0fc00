//! The gate of the C ABI: the header stands on its own, the library exports it and nothing else, and no program that
//! was compiled with the baseline's header breaks.

mod baseline;
pub mod header;

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::process::{Command, Output};
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Context, Result, bail};

use crate::{clib, repo};
use header::Header;

/// Checks, or with `--renew` writes the baseline anew.
pub fn run(args: &[&str]) -> Result<()> {
    let header = header::read(&repo::read("include/sampan.h")?);
    if args == ["--renew"] {
        return baseline::renew(&header);
    }
    let profile = match *args {
        [] => "release",
        ["--debug"] => "dev",
        ["--profile", name] => name,
        _ => bail!("abi [--renew | --debug | --profile P]"),
    };
    compiles()?;
    baseline::check(&header)?;
    exports(&header, &clib::build(profile)?.shared)?;
    println!("abi: {} functions, as the baseline has them", header.functions.len());
    Ok(())
}

/// A scratch directory; removed when it is dropped.
struct Scratch(PathBuf);

impl Scratch {
    fn new() -> Result<Scratch> {
        static COUNT: AtomicUsize = AtomicUsize::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let dir = std::env::temp_dir().join(format!("sampan-abi-{}-{number}", std::process::id()));
        std::fs::create_dir_all(&dir)?;
        Ok(Scratch(dir))
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let _ = std::fs::remove_dir_all(&self.0);
    }
}

/// The compiler of a language, as `make` names it.
fn compiler(variable: &str, default: &str) -> Command {
    Command::new(std::env::var(variable).unwrap_or_else(|_| default.to_owned()))
}

fn done(command: &mut Command, what: &str) -> Result<Output> {
    let output = command.output().with_context(|| format!("run {:?}", command.get_program()))?;
    if !output.status.success() {
        let text = [output.stdout, output.stderr].concat();
        bail!("{what}:\n{}", String::from_utf8_lossy(&text));
    }
    Ok(output)
}

/// Alone, twice, and every INIT macro in use: in each standard that a user may have.
fn compiles() -> Result<()> {
    let scratch = Scratch::new()?;
    let header = repo::read("include/sampan.h")?;
    let inits = header.lines().filter_map(|l| l.strip_prefix("#define ")?.split_once("_INIT ").map(|(name, _)| name));
    let uses: String = inits.map(|name| format!("{} a_{name} = {name}_INIT;\n", name.to_lowercase())).collect();
    let text = format!("#include <sampan.h>\n#include <sampan.h>\n{uses}");
    for (standard, variable, default, file) in [
        ("c99", "CC", "cc", "header.c"),
        ("c11", "CC", "cc", "header.c"),
        ("c++11", "CXX", "c++", "header.cc"),
        ("c++17", "CXX", "c++", "header.cc"),
    ] {
        let file = scratch.0.join(file);
        std::fs::write(&file, &text)?;
        let mut command = compiler(variable, default);
        command.arg(format!("-std={standard}")).args(["-Wall", "-Wextra", "-Werror", "-pedantic", "-fsyntax-only"]);
        command.arg("-I").arg(repo::path("include")).arg(&file);
        done(&mut command, &format!("the header is not {standard}"))?;
    }
    Ok(())
}

/// The library's symbols are the header's functions, its soname is of the ABI, and it needs no library beyond libc's.
fn exports(header: &Header, library: &Path) -> Result<()> {
    let declared: BTreeSet<&str> = header.functions.keys().map(String::as_str).collect();
    let table = readelf("--dyn-syms", library)?;
    let exported: BTreeSet<&str> = table.lines().filter_map(defined).collect();
    let missing: Vec<_> = declared.difference(&exported).collect();
    let undeclared: Vec<_> = exported.difference(&declared).collect();
    if !missing.is_empty() || !undeclared.is_empty() {
        bail!("the library lacks {missing:?} of the header and exports {undeclared:?} beside it");
    }
    let dynamic = readelf("--dynamic", library)?;
    let soname = clib::soname()?;
    if !dynamic.contains(&format!("Library soname: [{soname}]")) {
        bail!("the soname is not {soname}");
    }
    let needed: Vec<&str> = dynamic.lines().filter_map(|l| l.split_once("Shared library: [").map(|(_, n)| n)).collect();
    match needed.iter().find(|n| !["libc.", "libgcc_s.", "ld-linux", "libm."].iter().any(|known| n.starts_with(known)))
    {
        Some(other) => bail!("the library needs {}", other.trim_end_matches(']')),
        None => Ok(()),
    }
}

/// The name in a line of a symbol table, when it is defined here and visible: `N: value size type bind vis ndx name`.
fn defined(line: &str) -> Option<&str> {
    let words: Vec<&str> = line.split_whitespace().collect();
    match words[..] {
        [_, _, _, _, "GLOBAL" | "WEAK", _, index, name] if index != "UND" && index != "Ndx" => Some(name),
        _ => None,
    }
}

fn readelf(what: &str, library: &Path) -> Result<String> {
    let output = done(Command::new("readelf").args(["--wide", what]).arg(library), "readelf")?;
    Ok(String::from_utf8(output.stdout)?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_defined_counts() {
        let line = |ndx: &str| format!("    12: 00000000000f8a78    23 FUNC    GLOBAL DEFAULT {ndx} sampan_version");
        assert_eq!(defined(&line("   15")), Some("sampan_version"));
        assert_eq!(defined(&line("  UND")), None);
    }
}

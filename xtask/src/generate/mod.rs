//! Writes what would otherwise drift: everything that repeats the facade in another form.

pub mod c;
mod docs;
mod header;
pub mod names;
mod python;
mod tables;
mod typescript;

use std::fs;
use std::io::Write;
use std::process::{Command, Stdio};

use anyhow::{Context, Result, bail};

use crate::{api::Api, parse, repo};

/// A file as it should be.
pub struct Output {
    /// Path in the repository.
    pub path: &'static str,
    /// All of it.
    pub text: String,
}

fn output(path: &'static str, text: String) -> Output {
    Output { path, text }
}

/// Writes every derived file; with `check`, fails on the stale ones instead.
pub fn run(check: bool) -> Result<()> {
    let api = parse::api()?;
    // The header is read from the C face, so that has to be as it should be first.
    let face = output("core/src/capi/generated.rs", rustfmt(&c::rust(&api)?)?);
    if !check && is_stale(&face) {
        write(&face)?;
    }
    let all = std::iter::once(face).chain(outputs(&api)?);
    let stale: Vec<Output> = all.filter(is_stale).collect();
    if check && !stale.is_empty() {
        let paths: Vec<&str> = stale.iter().map(|o| o.path).collect();
        bail!("stale, run `cargo run -p xtask -- generate`: {}", paths.join(", "));
    }
    stale.iter().try_for_each(write)
}

fn outputs(api: &Api) -> Result<Vec<Output>> {
    let header = header::header(api)?;
    let tables = tables::tables(api, &header)?;
    Ok(vec![
        output("core/api.json", serde_json::to_string_pretty(api)? + "\n"),
        output("include/sampan.h", header),
        output("bindings-python/python/sampan/_types.py", python::types(api)),
        output("bindings-python/python/sampan/_exceptions.py", python::exceptions(api)?),
        output("bindings-node/lib/types.ts", typescript::types(api)),
        output("bindings-node/lib/shapes.ts", typescript::shapes(api)),
        output("docs/reference/options.md", docs::options(api)),
        output("docs/reference/info.md", docs::info(api)),
        output("docs/reference/errors.md", docs::errors(api)),
        output("tests/conformance/c/tables.h", tables),
    ])
}

fn is_stale(output: &Output) -> bool {
    fs::read(repo::path(output.path)).ok().as_deref() != Some(output.text.as_bytes())
}

fn write(output: &Output) -> Result<()> {
    let path = repo::path(output.path);
    fs::create_dir_all(path.parent().context("a file lies in a directory")?)?;
    fs::write(&path, &output.text).with_context(|| format!("write {}", output.path))?;
    eprintln!("wrote {}", output.path);
    Ok(())
}

/// The text as `cargo fmt` leaves it.
fn rustfmt(text: &str) -> Result<String> {
    let mut child = Command::new("rustfmt")
        .args(["--edition", "2024", "--config-path"])
        .arg(repo::path("rustfmt.toml"))
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .context("run rustfmt")?;
    // rustfmt reads all before it writes, so neither waits for the other.
    child.stdin.take().context("rustfmt has an input")?.write_all(text.as_bytes())?;
    let output = child.wait_with_output()?;
    if !output.status.success() {
        bail!("rustfmt refused the generated code");
    }
    Ok(String::from_utf8(output.stdout)?)
}

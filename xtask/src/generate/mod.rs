//! Writes what would otherwise drift: everything that repeats the facade in another form.

mod docs;
pub mod names;
mod python;
mod typescript;

use std::fs;

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
    let stale: Vec<Output> = outputs(&api)?.into_iter().filter(is_stale).collect();
    if check && !stale.is_empty() {
        let paths: Vec<&str> = stale.iter().map(|o| o.path).collect();
        bail!("stale, run `cargo run -p xtask -- generate`: {}", paths.join(", "));
    }
    stale.iter().try_for_each(write)
}

fn outputs(api: &Api) -> Result<Vec<Output>> {
    Ok(vec![
        output("core/api.json", serde_json::to_string_pretty(api)? + "\n"),
        output("bindings-python/python/sampan/_types.py", python::types(api)),
        output("bindings-python/python/sampan/_exceptions.py", python::exceptions(api)?),
        output("bindings-node/lib/types.ts", typescript::types(api)),
        output("bindings-node/lib/shapes.ts", typescript::shapes(api)),
        output("docs/reference/options.md", docs::options(api)),
        output("docs/reference/info.md", docs::info(api)),
        output("docs/reference/errors.md", docs::errors(api)),
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

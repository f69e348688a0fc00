//! What Python has: the public classes of the package, their methods and their parameters.

use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

use anyhow::{Context, Result, bail};
use serde::Deserialize;
use serde_json::Value;

use super::Face;
use crate::repo;

/// What `exports.py` prints.
#[derive(Deserialize)]
struct Exports {
    public: Vec<String>,
    methods: BTreeMap<String, BTreeSet<String>>,
    attributes: BTreeMap<String, Value>,
    fields: BTreeMap<String, BTreeSet<String>>,
}

/// Reads the package; `takes` says which method's parameters are a record's fields.
pub fn face(takes: &BTreeMap<String, String>) -> Result<Face> {
    let exports = exports()?;
    let mut fields = exports.fields;
    for (record, method) in takes {
        let parameters = exports.methods.get(method).with_context(|| format!("Python has no {method}"))?;
        fields.insert(record.clone(), parameters.clone());
    }
    let kind = |name: &String| exports.attributes.get(&format!("{name}.kind"))?.as_str().map(str::to_owned);
    let errors = exports.public.iter().filter_map(kind).collect();
    let functions = exports.public.iter().map(|name| format!("sampan.{name}"));
    let methods = functions.chain(exports.methods.into_keys()).chain(exports.attributes.into_keys()).collect();
    Ok(Face { methods, fields, errors })
}

fn exports() -> Result<Exports> {
    let mut python = Command::new(std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned()));
    let output = python.args(["-c", include_str!("exports.py")]).arg(repo::path("bindings-python/python/sampan"));
    let output = output.output().context("run python3")?;
    if !output.status.success() {
        bail!("read the Python package: {}", String::from_utf8_lossy(&output.stderr));
    }
    Ok(serde_json::from_slice(&output.stdout)?)
}

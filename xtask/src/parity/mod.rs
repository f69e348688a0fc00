//! The gate of the faces: whatever the facade can do can be done from C, Python, Node and the command, or
//! `xtask/parity.toml` says why not.
//!
//! What a face has is read from what its users get: the header, the Python package's public classes and signatures, the
//! Node package's exported classes and interfaces, and the calls that the command makes.

mod c;
mod command;
mod node;
mod python;

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result, bail};
use serde::Deserialize;

use crate::api::{Api, Role};
use crate::{parse, repo};

const RULES: &str = "xtask/parity.toml";

/// What a face has, under the facade's names for records and fields.
#[derive(Debug, Default)]
struct Face {
    /// `Class.method`, or a function of C.
    methods: BTreeSet<String>,
    /// Record to fields.
    fields: BTreeMap<String, BTreeSet<String>>,
    /// Words of error kinds.
    errors: BTreeSet<String>,
}

/// By face, by item of the facade.
type Table = BTreeMap<String, BTreeMap<String, String>>;

/// `xtask/parity.toml`.
#[derive(Debug, Default, Deserialize)]
#[serde(deny_unknown_fields)]
struct Rules {
    /// Another name for the same thing.
    names: Table,
    /// Where the fields of a record are taken: a method's parameters, or an interface.
    takes: Table,
    /// What is not there, and why.
    lacks: Table,
}

/// Checks every face.
pub fn run() -> Result<()> {
    let api = parse::api()?;
    let rules: Rules = toml::from_str(&repo::read(RULES)?).context(RULES)?;
    let none = BTreeMap::new();
    let takes = |face: &str| rules.takes.get(face).unwrap_or(&none);
    let faces = [
        ("c", c::face(&api)?),
        ("python", python::face(takes("python"))?),
        ("node", node::face(takes("node"))?),
        ("command", command::face(&api)?),
    ];
    let faults: Vec<String> = faces.iter().flat_map(|(name, face)| faults(&api, &rules, name, face)).collect();
    if !faults.is_empty() {
        bail!("the faces differ; give each what it lacks, or tell why in {RULES}:\n{}", faults.join("\n"));
    }
    let lacking: usize = rules.lacks.values().map(BTreeMap::len).sum();
    println!(
        "parity: {} items in C, Python, Node and the command, but for {lacking} with a reason",
        items(&api, "c").len()
    );
    Ok(())
}

/// What is missing without a reason, and reasons and names of nothing.
fn faults(api: &Api, rules: &Rules, face: &str, has: &Face) -> Vec<String> {
    let none = BTreeMap::new();
    let names = rules.names.get(face).unwrap_or(&none);
    let lacks = rules.lacks.get(face).unwrap_or(&none);
    let items = items(api, face);
    let mut faults = Vec::new();
    for item in &items {
        let there = has.has(face, item, names.get(item).map(String::as_str));
        match (there, lacks.get(item)) {
            (false, None) => faults.push(format!("{face}: {item} is not there")),
            // No fault, or whoever gives a face what it lacked would break the gate with it.
            (true, Some(_)) => eprintln!("{face}: {item} is there by now; take it out of {RULES}"),
            _ => {}
        }
    }
    let unknown = names.keys().chain(lacks.keys()).filter(|item| !items.contains(*item));
    faults.extend(unknown.map(|item| format!("{face}: {item} is nothing of the facade: {RULES}")));
    faults
}

/// What a face must have. The command prints whole records, so only what it asks for is looked for.
fn items(api: &Api, face: &str) -> BTreeSet<String> {
    let asks_only = face == "command";
    let methods = api.classes.iter().flat_map(|c| c.methods.iter().map(move |m| format!("{}.{}", c.name, m.name)));
    let records = api.records.iter().filter(|r| !asks_only || r.role == Role::Options);
    let fields = records.flat_map(|r| r.fields.iter().map(move |f| format!("{}.{}", r.name, f.name)));
    let errors = api.errors.iter().filter(|_| !asks_only).map(|e| format!("Error.{}", e.word));
    methods.chain(fields).chain(errors).collect()
}

impl Face {
    fn has(&self, face: &str, item: &str, name: Option<&str>) -> bool {
        let (class, member) = item.split_once('.').expect("an item is two names");
        if class == "Error" {
            return self.errors.contains(member);
        }
        if let Some(name) = name.filter(|name| name.contains('.') || name.starts_with("sampan_")) {
            return self.methods.contains(name);
        }
        let member = name.unwrap_or(member);
        let field = self.fields.get(class).is_some_and(|fields| fields.contains(member));
        field || self.methods.contains(&method_name(face, class, member))
    }
}

/// The name that a method has in a face by default.
fn method_name(face: &str, class: &str, method: &str) -> String {
    match face {
        "c" => c::function(class, method),
        "node" => format!("{class}.{}", crate::generate::names::camel(method)),
        "command" => method.to_owned(),
        _ => format!("{class}.{method}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(pairs: &[(&str, &str)]) -> Table {
        let table = pairs.iter().map(|(item, value)| ((*item).to_owned(), (*value).to_owned())).collect();
        BTreeMap::from([("python".to_owned(), table)])
    }

    #[test]
    fn what_is_missing_is_told_and_what_is_not_of_the_facade() {
        let api = parse::api().unwrap();
        let mut has = Face::default();
        for item in items(&api, "python") {
            let (class, member) = item.split_once('.').unwrap();
            has.methods.insert(item.clone());
            has.errors.insert(member.to_owned());
            if api.find_record(class).is_some() {
                has.fields.entry(class.to_owned()).or_default().insert(member.to_owned());
                has.methods.remove(&item);
            }
        }
        let faults = |has: &Face, rules: &Rules| faults(&api, rules, "python", has).join("\n");
        assert_eq!(faults(&has, &Rules::default()), "");
        has.methods.remove("Engine.pull");
        assert_eq!(faults(&has, &Rules::default()), "python: Engine.pull is not there");
        let excused = Rules { lacks: of(&[("Engine.pull", "because")]), ..Rules::default() };
        assert_eq!(faults(&has, &excused), "");
        let named = Rules { names: of(&[("Engine.pull", "Engine.gc")]), ..Rules::default() };
        assert_eq!(faults(&has, &named), "");
        let vain = Rules { lacks: of(&[("Engine.pull", "x"), ("Engine.no", "x")]), ..Rules::default() };
        assert!(faults(&has, &vain).contains("Engine.no is nothing of the facade"));
    }
}

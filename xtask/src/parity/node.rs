//! What Node has: the exported classes and interfaces of `bindings-node/lib`.
//!
//! Its TypeScript is formatted by one tool, so that a line tells what it is: no parser of the language is needed.

use std::collections::{BTreeMap, BTreeSet};

use anyhow::{Context, Result};

use super::Face;
use crate::generate::names::snake;
use crate::repo;

/// Reads the package; `takes` says which interface has a record's fields.
pub fn face(takes: &BTreeMap<String, String>) -> Result<Face> {
    let index = repo::read("bindings-node/lib/index.ts")?;
    let mut face = Face::default();
    let mut interfaces = BTreeMap::new();
    let mut used = String::new();
    face.methods.extend(index.lines().filter_map(constant).map(|name| format!("sampan.{name}")));
    for entry in std::fs::read_dir(repo::path("bindings-node/lib"))? {
        let path = entry?.path();
        let text = std::fs::read_to_string(&path)?;
        for (head, body) in blocks(&text) {
            if let Some(name) = named(head, "export class ").filter(|name| exported(&index, name)) {
                face.methods.extend(body.iter().filter_map(|l| member(l)).map(|m| format!("{name}.{m}")));
                face.methods.insert(name.to_owned());
            }
            if let Some(name) = named(head, "export interface ") {
                interfaces.insert(name.to_owned(), interface(head, &body));
            }
        }
        if !path.ends_with("types.ts") {
            used.push_str(&text);
        }
        face.errors
            .extend(text.split_once("export const errorCodes = {").map_or("", |(_, t)| t).lines().filter_map(code));
    }
    for (name, all) in fields(&interfaces) {
        face.fields.insert(name, all);
    }
    for (record, interface) in takes {
        let all = face.fields.get(interface).with_context(|| format!("Node has no interface {interface}"))?;
        face.fields.insert(record.clone(), all.clone());
    }
    // Options that no function takes are no options.
    face.fields
        .retain(|name, _| !name.ends_with("Options") || takes.contains_key(name) || used.contains(name.as_str()));
    Ok(face)
}

/// Each `export … {` in the first column with its lines, up to the `}` there.
fn blocks(text: &str) -> Vec<(&str, Vec<&str>)> {
    let mut lines = text.lines();
    let mut found = Vec::new();
    while let Some(head) = lines.next() {
        if head.starts_with("export ") && head.ends_with('{') {
            found.push((head, lines.by_ref().take_while(|line| !line.starts_with('}')).collect()));
        }
    }
    found
}

fn named<'a>(head: &'a str, kind: &str) -> Option<&'a str> {
    head.strip_prefix(kind)?.split([' ', '<']).next()
}

/// The name of `export const version: string = …`.
fn constant(line: &str) -> Option<&str> {
    line.strip_prefix("export const ")?.split([':', ' ']).next()
}

fn exported(index: &str, class: &str) -> bool {
    index.lines().any(|line| line.starts_with("export {") && line.split([' ', ',']).any(|word| word == class))
}

/// A public member of a class: two spaces, perhaps a modifier, a name, and what follows a name.
fn member(line: &str) -> Option<&str> {
    // A member that is a parameter of the constructor has the margin of one.
    let line = line.strip_prefix("  ").filter(|rest| rest.starts_with("  readonly ")).unwrap_or(line);
    let line = line.strip_prefix("  ").filter(|rest| !rest.starts_with([' ', '}', ')', '/', '*', '#', '@', '[']))?;
    let mut rest = line;
    while let Some(after) = ["static ", "async ", "get ", "readonly "].iter().find_map(|m| rest.strip_prefix(m)) {
        rest = after;
    }
    let rest = rest.strip_prefix('*').unwrap_or(rest);
    let end = rest.find(|c: char| !c.is_alphanumeric() && c != '_')?;
    let (name, after) = rest.split_at(end);
    let follows = after.starts_with(['(', '<', ':', '?']);
    (follows && !name.is_empty() && name != "constructor").then_some(name)
}

/// What an interface has of its own, what it takes from others, and what of theirs it leaves out.
type Interface = (BTreeSet<String>, Vec<String>, BTreeSet<String>);

fn interface(head: &str, body: &[&str]) -> Interface {
    let own = body.iter().filter_map(|line| member(line)).map(snake).collect();
    let parents = head.split_once(" extends ").map_or("", |(_, parents)| parents);
    let words = |text: &str| -> Vec<String> {
        text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty()).map(str::to_owned).collect()
    };
    let quoted: BTreeSet<String> = parents.split('\'').skip(1).step_by(2).map(snake).collect();
    let names = words(parents).into_iter().filter(|word| word.starts_with(char::is_uppercase) && word != "Omit");
    (own, names.collect(), quoted)
}

fn fields(interfaces: &BTreeMap<String, Interface>) -> BTreeMap<String, BTreeSet<String>> {
    interfaces.keys().map(|name| (name.clone(), all_fields(interfaces, name))).collect()
}

fn all_fields(interfaces: &BTreeMap<String, Interface>, name: &str) -> BTreeSet<String> {
    let Some((own, parents, without)) = interfaces.get(name) else { return BTreeSet::new() };
    let inherited = parents.iter().flat_map(|parent| all_fields(interfaces, parent));
    inherited.filter(|field| !without.contains(field)).chain(own.iter().cloned()).collect()
}

/// The word in a line of the error table: `  not_found: 4,`.
fn code(line: &str) -> Option<String> {
    let (word, number) = line.strip_prefix("  ")?.split_once(": ")?;
    number.trim_end_matches(',').parse::<i32>().ok().map(|_| word.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn members_are_told_from_the_rest() {
        assert_eq!(member("  async pull(reference: string): Promise<Image> {"), Some("pull"));
        assert_eq!(member("  static async open(options: EngineOptions = {}): Promise<Engine> {"), Some("open"));
        assert_eq!(member("  async *readings(): AsyncGenerator<Reading> {"), Some("readings"));
        assert_eq!(member("  readonly images: Images"), Some("images"));
        assert_eq!(member("  get id(): string {"), Some("id"));
        assert_eq!(member("    readonly id: string,"), Some("id"));
        assert_eq!(member("  keepBlobs?: boolean"), Some("keepBlobs"));
        for line in [
            "  private x() {",
            "    deeper(x)",
            "  #secret(",
            "  }",
            "  constructor(",
            "  /** pull() */",
            "  [Symbol.x](",
        ] {
            assert_eq!(member(line), None, "{line}");
        }
    }

    #[test]
    fn an_interface_has_what_its_parents_have() {
        let text = "export interface A {\n  one?: string\n  two?: string\n}\n\nexport interface B extends Omit<A, 'two'>, C {\n  threeFour?: number\n}\n";
        let all = blocks(text)
            .into_iter()
            .map(|(h, b)| (named(h, "export interface ").unwrap().to_owned(), interface(h, &b)));
        assert_eq!(fields(&all.collect())["B"], ["one", "three_four"].map(str::to_owned).into());
    }
}

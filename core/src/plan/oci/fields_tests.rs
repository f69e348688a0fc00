//! The table of `docs/oci.md` against what is done: every field of the specification that can be read is in it, and
//! what it says of each is so.

use std::collections::BTreeMap;

use oci_spec::runtime::Spec;
use serde_json::Value;

use super::{Groups, Request, groups, plan};
use crate::error::{Kind, Result};
use crate::plan::facts::{AppArmor, Cgroups, Facts, SeLinux};

const TABLE: &str = include_str!("../../../../docs/oci.md");

fn every_field() -> Value {
    serde_json::from_str(include_str!("every_field.json")).unwrap()
}

/// Keys that whoever writes a configuration chooses.
fn is_chosen(key: &str) -> bool {
    key.contains('*') || key == "monotonic"
}

fn paths(value: &Value, at: &str, into: &mut Vec<String>) {
    match value {
        Value::Object(members) => members.iter().for_each(|(key, value)| match is_chosen(key) {
            true => paths(value, at, into),
            false => paths(value, &if at.is_empty() { key.clone() } else { format!("{at}.{key}") }, into),
        }),
        Value::Array(items) if items.iter().any(Value::is_object) => {
            items.iter().for_each(|item| paths(item, &format!("{at}[]"), into));
        }
        _ => into.push(at.to_owned()),
    }
}

/// What the table says of each field.
fn table() -> BTreeMap<String, String> {
    let rows = TABLE.lines().skip_while(|line| !line.starts_with("## Configuration")).skip(1);
    let rows = rows.take_while(|line| !line.starts_with("## ")).filter(|line| line.starts_with("| `"));
    let mut table = BTreeMap::new();
    for row in rows {
        let mut cells = row.trim_matches('|').split(" | ").map(str::trim);
        let (fields, says) = (cells.next().unwrap(), cells.next().unwrap());
        for field in fields.split('`').filter(|field| !field.trim().is_empty()) {
            assert_eq!(table.insert(field.to_owned(), says.to_owned()), None, "{field} is there twice");
        }
    }
    table
}

fn facts(mode: &str) -> Facts {
    let names = [
        "memory", "cpu", "cpuacct", "pids", "freezer", "devices", "cpuset", "blkio", "hugetlb", "net_cls", "net_prio",
        "rdma",
    ];
    let v1 = if mode == "v1" { names.map(|c| (c.to_owned(), format!("/cg/{c}"))).into() } else { BTreeMap::new() };
    let v2 = (mode == "v2").then(|| "/cg".to_owned());
    let cgroups = Cgroups { mode: mode.into(), v1, v2, ..Cgroups::default() };
    let (apparmor, selinux) = (AppArmor::Unprepared(String::new()), SeLinux::Unprepared(String::new()));
    Facts { cgroups, kernel: (6, 1), capabilities: u64::MAX, apparmor, selinux, ..Facts::default() }
}

fn planned(config: &Value, mode: &str) -> Result<()> {
    let spec: Spec = serde_json::from_value(config.clone()).unwrap();
    let facts = facts(mode);
    let groups: Groups = groups(&spec, "one", &facts, None)?;
    plan(&spec, &Request { id: "one", bundle: "/bundle", facts: &facts, groups: &groups }).map(drop)
}

/// Takes a field, with all of its list or map, out of a configuration.
fn without(config: &mut Value, field: &str) -> Option<Value> {
    let (head, rest) = field.split_once('.').map_or((field, None), |(head, rest)| (head, Some(rest)));
    let members = config.as_object_mut()?;
    match (head.strip_suffix("[]"), rest) {
        (Some(list), Some(rest)) => {
            members.get_mut(list)?.as_array_mut()?.iter_mut().find_map(|item| without(item, rest))
        }
        (None, Some(rest)) => without(members.get_mut(head)?, rest),
        (_, None) => members.remove(head),
    }
}

#[test]
fn no_field_is_left_unset() {
    let spec: Spec = serde_json::from_value(every_field()).unwrap();
    let shown = format!("{spec:#?}");
    let unset: Vec<&str> = shown.lines().map(str::trim).filter(|line| line.ends_with(": None,")).collect();
    let of_other_systems = ["solaris", "windows", "vm", "zos", "command_line", "username"];
    // Of a list whose other items have it; of the whole document, where the specification has none; not read, and refused
    // with what they are in.
    let not_there = ["path", "uid_mappings", "gid_mappings", "enable_cmt", "enable_mbm"];
    let others = [&of_other_systems[..], &not_there].concat();
    let ours: Vec<&&str> =
        unset.iter().filter(|line| !others.iter().any(|o| **line == format!("{o}: None,"))).collect();
    assert!(ours.is_empty(), "every_field.json lacks {ours:?}");
}

#[test]
fn the_table_has_each_field_and_no_other() {
    let mut fields = Vec::new();
    paths(&every_field(), "", &mut fields);
    fields.sort_unstable();
    fields.dedup();
    let told: Vec<String> = table().into_keys().collect();
    let missing: Vec<&String> = fields.iter().filter(|field| !told.contains(field)).collect();
    let unknown: Vec<&String> = told.iter().filter(|field| !fields.contains(field)).collect();
    assert!(missing.is_empty() && unknown.is_empty(), "missing: {missing:#?}, unknown: {unknown:#?}");
}

#[test]
fn what_the_table_calls_supported_is_planned() {
    for (mode, other) in [("v1", "v2"), ("v2", "v1")] {
        let mut config = every_field();
        for (field, says) in table() {
            if says.starts_with("refused") || says.starts_with(other) {
                without(&mut config, section(&field));
            }
        }
        planned(&config, mode).unwrap_or_else(|e| panic!("{mode}: {e}"));
    }
}

#[test]
fn what_the_table_calls_refused_is_refused_by_its_name() {
    let full = every_field();
    for (mode, other) in [("v1", "v2"), ("v2", "v1")] {
        let refused: Vec<(String, String)> =
            table().into_iter().filter(|(_, says)| says.starts_with("refused") || says.starts_with(other)).collect();
        for (field, _) in &refused {
            // All others that are not supported are left out.
            let mut config = full.clone();
            refused.iter().filter(|(other, _)| section(other) != section(field)).for_each(|(other, _)| {
                without(&mut config, section(other));
            });
            let error = planned(&config, mode).expect_err(field);
            assert!(matches!(error.kind(), Kind::Unsupported | Kind::InvalidArgument), "{field}: {error}");
            let named = section(field).replace("[]", "");
            assert!(error.to_string().contains(&named), "{mode} {field}: {error}");
        }
    }
}

/// Some are refused as a whole.
fn section(field: &str) -> &str {
    let whole = ["linux.intelRdt", "linux.resources.network.priorities"];
    whole.into_iter().find(|whole| field.starts_with(whole)).unwrap_or(field)
}

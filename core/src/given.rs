//! Options that come from another language by name: read into a record, or refused by their name.

use serde::de::value::Error as Stop;
use serde::de::{DeserializeOwned, Deserializer, Error as _, Visitor};
use serde_json::Value;

use crate::error::{Error, Kind, Result};

/// What other tools call an option, without case and underscores, and its name here.
const ELSEWHERE: &[(&str, &str)] = &[
    ("args", "command"),
    ("binds", "volumes"),
    ("cgroupnsmode", "cgroupns"),
    ("cmd", "command"),
    ("cpucount", "cpus"),
    ("cwd", "workdir"),
    ("environment", "env"),
    ("exposedports", "ports"),
    ("healthcheck", "health_cmd"),
    ("ipcmode", "ipc"),
    ("logconfig", "log_driver"),
    ("memlimit", "memory"),
    ("memreservation", "memory_reservation"),
    ("memswaplimit", "memory_swap"),
    ("memswappiness", "memory_swappiness"),
    ("nanocpus", "cpus"),
    ("net", "network"),
    ("networkmode", "network"),
    ("openstdin", "interactive"),
    ("pidmode", "pid"),
    ("portbindings", "ports"),
    ("publish", "ports"),
    ("readonlyrootfs", "read_only"),
    ("remove", "auto_remove"),
    ("restartpolicy", "restart"),
    ("rm", "auto_remove"),
    ("stdinopen", "interactive"),
    ("usernsmode", "userns"),
    ("utsmode", "uts"),
    ("workingdir", "workdir"),
];

/// A record of `what` from its options by name. `also` are names that the language takes beside the record's own, `spell`
/// writes a name as it does.
///
/// # Errors
/// `invalid_argument`, with the option's name: one that there is not, or a value of the wrong kind.
pub fn read<T: DeserializeOwned>(
    what: &'static str,
    also: &[&str],
    given: Value,
    spell: fn(&str) -> String,
) -> Result<T> {
    let known = [names::<T>(), also].concat();
    let other = |fields: &serde_json::Map<_, _>| fields.keys().find(|key| !known.contains(&key.as_str())).cloned();
    match given.as_object().and_then(other) {
        Some(word) => Err(unknown(what, &word, &known)),
        None => serde_path_to_error::deserialize(given).map_err(|e| wrong(&spell(&e.path().to_string()), e.inner())),
    }
}

/// The name of `known` that `word` is taken for: another way of writing it, another tool's word, or a slip of the pen.
fn nearest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    let word = plain(word);
    let meant = ELSEWHERE.iter().find(|(other, _)| *other == word).map_or(word, |(_, ours)| plain(ours));
    let far = |name: &&&str| distance(&plain(name), &meant);
    let slips = if meant.chars().count() < 3 { 0 } else { (meant.chars().count() / 4).max(1) };
    known.iter().min_by_key(far).filter(|name| far(name) <= slips).copied()
}

/// The error for an option of `what` that is none of `known`: `invalid_argument` on `what`, with the one that is meant.
pub fn unknown(what: &str, word: &str, known: &[&str]) -> Error {
    let error = Error::new(Kind::InvalidArgument, "read options of", what).because(format!("unknown option `{word}`"));
    match nearest(word, known) {
        Some(name) => error.hint(format!("did you mean `{name}`?")),
        None => error,
    }
}

/// Rust's words for kinds of values, and everybody's.
const KINDS: &[(&str, &str)] = &[
    ("a sequence", "a list"),
    ("f64", "a number"),
    ("i32", "a whole number"),
    ("i64", "a whole number"),
    ("u32", "a whole number from 0 on"),
    ("u64", "a whole number from 0 on"),
];

fn wrong(name: &str, why: &serde_json::Error) -> Error {
    let mut why = why.to_string();
    if let Some((said, expected)) = why.split_once(", expected ") {
        let kind = KINDS.iter().find(|(rust, _)| *rust == expected).map_or(expected, |(_, ours)| ours);
        let kind = if kind.starts_with("struct ") { "its members by name" } else { kind };
        why = format!("{said}, expected {kind}");
    }
    Error::new(Kind::InvalidArgument, "read option", name).because(why)
}

fn plain(name: &str) -> String {
    name.chars().filter(|c| c.is_alphanumeric()).flat_map(char::to_lowercase).collect()
}

/// How many characters are put in, left out or exchanged (Levenshtein's distance).
fn distance(from: &str, to: &str) -> usize {
    let to: Vec<char> = to.chars().collect();
    let mut row: Vec<usize> = (0..=to.len()).collect();
    for (i, a) in from.chars().enumerate() {
        let mut corner = std::mem::replace(&mut row[0], i + 1);
        for (j, b) in to.iter().enumerate() {
            let exchanged = corner + usize::from(a != *b);
            corner = row[j + 1];
            row[j + 1] = exchanged.min(corner + 1).min(row[j] + 1);
        }
    }
    row[to.len()]
}

/// The names of a record's fields, which it tells whoever is to read it.
fn names<T: DeserializeOwned>() -> &'static [&'static str] {
    let mut names: &[&str] = &[];
    let _ = T::deserialize(Names(&mut names));
    names
}

struct Names<'a>(&'a mut &'static [&'static str]);

impl<'de> Deserializer<'de> for Names<'_> {
    type Error = Stop;

    fn deserialize_any<V: Visitor<'de>>(self, _: V) -> Result<V::Value, Stop> {
        Err(Stop::custom("no record"))
    }

    fn deserialize_struct<V: Visitor<'de>>(
        self,
        _: &'static str,
        fields: &'static [&'static str],
        _: V,
    ) -> Result<V::Value, Stop> {
        *self.0 = fields;
        Err(Stop::custom("its names are all that is wanted"))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 u8 u16 u32 u64 f32 f64 char str string bytes byte_buf option unit unit_struct newtype_struct
        seq tuple tuple_struct map enum identifier ignored_any
    }
}

#[cfg(test)]
mod tests {
    use serde::Deserialize;
    use serde_json::json;

    use super::*;

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Asked {
        env: std::collections::BTreeMap<String, String>,
        cap_add: Vec<String>,
        auto_remove: bool,
        memory: Option<i64>,
        mounts: Vec<Inner>,
    }

    #[derive(Debug, Default, Deserialize)]
    #[serde(default, deny_unknown_fields)]
    struct Inner {
        target: String,
    }

    fn refused(given: Value) -> String {
        read::<Asked>("run", &["volumes"], given, str::to_owned).unwrap_err().to_string()
    }

    #[test]
    fn what_is_known_is_read() {
        let asked: Asked = read("run", &[], json!({ "env": { "A": "1" }, "cap_add": ["X"] }), str::to_owned).unwrap();
        assert_eq!((asked.env["A"].as_str(), asked.cap_add.len()), ("1", 1));
    }

    #[test]
    fn what_is_unknown_has_a_neighbour() {
        for (word, meant) in [
            ("environment", "env"),
            ("mem_limit", "memory"),
            ("remove", "auto_remove"),
            ("capAdd", "cap_add"),
            ("Binds", "volumes"),
            ("memorry", "memory"),
            ("evv", "env"),
        ] {
            let expected = format!("read options of run: unknown option `{word}`; did you mean `{meant}`?");
            assert_eq!(refused(json!({ word: 1 })), expected);
        }
        assert_eq!(refused(json!({ "colour": 1 })), "read options of run: unknown option `colour`");
    }

    #[test]
    fn a_wrong_value_is_told_with_its_place() {
        for (given, expected) in [
            (json!({ "cap_add": "X" }), r#"read option cap_add: invalid type: string "X", expected a list"#),
            (
                json!({ "memory": "lots" }),
                r#"read option memory: invalid type: string "lots", expected a whole number"#,
            ),
            (json!({ "env": { "A": 1 } }), "read option env.A: invalid type: integer `1`, expected a string"),
            (
                json!({ "mounts": ["x"] }),
                r#"read option mounts[0]: invalid type: string "x", expected its members by name"#,
            ),
            (
                json!({ "mounts": [{ "target": 1 }] }),
                "read option mounts[0].target: invalid type: integer `1`, expected a string",
            ),
        ] {
            assert_eq!(refused(given), expected);
        }
        assert!(refused(json!({ "mounts": [{ "sauce": 1 }] })).contains("unknown field `sauce`, expected `target`"));
    }
}

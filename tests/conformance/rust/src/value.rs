//! Records by their schema: from the words of a case to options, and from results to values that can be compared.

use std::collections::BTreeMap;

use anyhow::{Context, Result, bail};
use serde_json::{Map, Value as Json, json};

/// What a case can look at. A text is rendered already.
#[derive(Clone, Debug)]
pub enum Value {
    None,
    Text(String),
    List(Vec<Value>),
    Record(BTreeMap<String, Value>),
}

impl Value {
    pub fn text(text: &str) -> Value {
        Value::Text(escape(text.as_bytes()))
    }

    pub fn record<const N: usize>(members: [(&str, Value); N]) -> Value {
        Value::Record(members.into_iter().map(|(name, value)| (name.to_owned(), value)).collect())
    }

    pub fn find(&self, path: &str) -> Result<&Value> {
        match self {
            Value::Record(members) => {
                // A key of a map may hold dots.
                if let Some(value) = members.get(path) {
                    return Ok(value);
                }
                let (name, rest) = path.split_once('.').with_context(|| format!("there is no {path}"))?;
                members.get(name).with_context(|| format!("there is no {name}"))?.find(rest)
            }
            Value::List(items) => {
                let (index, rest) = path.split_once('.').unwrap_or((path, ""));
                let index = if index == "last" { items.len().wrapping_sub(1) } else { index.parse()? };
                let item = items.get(index).with_context(|| format!("there are {} items", items.len()))?;
                if rest.is_empty() { Ok(item) } else { item.find(rest) }
            }
            _ => bail!("there is no {path}"),
        }
    }

    pub fn show(&self, path: &str) -> Result<String> {
        if path == "len" || path.ends_with(".len") {
            let list = if path == "len" { self } else { self.find(&path[..path.len() - 4])? };
            return match list {
                Value::List(items) => Ok(items.len().to_string()),
                Value::Record(members) => Ok(members.len().to_string()),
                _ => bail!("{path} is not the length of a list"),
            };
        }
        match if path.is_empty() { self } else { self.find(path)? } {
            Value::None => Ok("none".to_owned()),
            Value::Text(text) => Ok(text.clone()),
            Value::List(items) => Ok(items.iter().map(|i| i.show("")).collect::<Result<Vec<_>>>()?.join(" ")),
            Value::Record(_) => bail!("{path} is a record"),
        }
    }
}

/// `core/api.json`: the members of every record and their types.
pub struct Schema(BTreeMap<String, Vec<(String, String)>>);

impl Schema {
    pub fn read(path: &str) -> Result<Schema> {
        let api: Json = serde_json::from_str(&std::fs::read_to_string(path)?)?;
        let text = |value: &Json| value.as_str().unwrap_or_default().to_owned();
        let fields = |record: &Json| {
            let fields = record["fields"].as_array().into_iter().flatten();
            fields.map(|field| (text(&field["name"]), text(&field["type"]))).collect()
        };
        let records = api["records"].as_array().context("api.json has no records")?;
        Ok(Schema(records.iter().map(|record| (text(&record["name"]), fields(record))).collect()))
    }

    fn type_of(&self, record: &str, field: &str) -> Result<&str> {
        let fields = self.0.get(record).with_context(|| format!("there is no record {record}"))?;
        let found = fields.iter().find(|(name, _)| name == field);
        found.map(|(_, ty)| plain(ty)).with_context(|| format!("{record} has no {field}"))
    }

    /// A record of options from words `field.key=text`.
    pub fn options(&self, record: &str, words: &[(String, String)]) -> Result<Json> {
        let mut options = Map::new();
        for (path, text) in words {
            self.put(&mut options, record, path, text).with_context(|| format!("{path}={text}"))?;
        }
        Ok(Json::Object(options))
    }

    fn put(&self, into: &mut Map<String, Json>, record: &str, path: &str, text: &str) -> Result<()> {
        let (field, rest) = path.split_once('.').unwrap_or((path, ""));
        let ty = self.type_of(record, field)?;
        if ty == "map" {
            into.entry(field).or_insert(json!({}))[rest] = json!(text);
        } else if ty == "list<string>" {
            into.entry(field).or_insert(json!([])).as_array_mut().context("not a list")?.push(json!(text));
        } else if let Some(of) = ty.strip_prefix("list<").and_then(|ty| ty.strip_suffix('>')) {
            let (index, member) = rest.split_once('.').context("write field.0.member=")?;
            let list = into.entry(field).or_insert(json!([])).as_array_mut().context("not a list")?;
            if list.len() == index.parse::<usize>()? {
                list.push(json!({}));
            }
            let item = list.last_mut().and_then(Json::as_object_mut).context("not a record")?;
            self.put(item, of, member, text)?;
        } else {
            into.insert(field.to_owned(), scalar(ty, text)?);
        }
        Ok(())
    }

    /// A value of that type, as its JSON tells it.
    pub fn shape(&self, ty: &str, json: &Json) -> Value {
        match (plain(ty), json) {
            (_, Json::Null) => Value::None,
            ("bytes", Json::Array(bytes)) => {
                let bytes = bytes.iter().filter_map(Json::as_u64).filter_map(|b| u8::try_from(b).ok());
                Value::Text(escape(&bytes.collect::<Vec<u8>>()))
            }
            (ty, Json::Array(items)) => {
                let of = ty.strip_prefix("list<").and_then(|ty| ty.strip_suffix('>')).unwrap_or("string");
                Value::List(items.iter().map(|item| self.shape(of, item)).collect())
            }
            (ty, Json::Object(members)) => {
                let of = |name: &str| self.type_of(ty, name).unwrap_or("string");
                Value::Record(members.iter().map(|(n, v)| (n.clone(), self.shape(of(n), v))).collect())
            }
            (_, Json::String(text)) => Value::text(text),
            (_, Json::Number(n)) => Value::Text(n.to_string().trim_end_matches(".0").to_owned()),
            (_, Json::Bool(b)) => Value::Text(b.to_string()),
        }
    }
}

fn plain(ty: &str) -> &str {
    ty.strip_prefix("option<").and_then(|ty| ty.strip_suffix('>')).unwrap_or(ty)
}

fn scalar(ty: &str, text: &str) -> Result<Json> {
    Ok(match ty {
        "bool" => json!(text.parse::<bool>()?),
        "f64" => json!(text.parse::<f64>()?),
        "i32" | "i64" => json!(text.parse::<i64>()?),
        "u32" | "u64" => json!(text.parse::<u64>()?),
        "bytes" => json!(unescape(text)?),
        _ => json!(text),
    })
}

/// Printable ASCII but for `\n`, `\t`, `\\` and `\xNN`.
pub fn escape(bytes: &[u8]) -> String {
    let mut text = String::new();
    for byte in bytes {
        match byte {
            b'\n' => text.push_str("\\n"),
            b'\t' => text.push_str("\\t"),
            b'\\' => text.push_str("\\\\"),
            b' '..=b'~' => text.push(char::from(*byte)),
            _ => text.push_str(&format!("\\x{byte:02x}")),
        }
    }
    text
}

pub fn unescape(text: &str) -> Result<Vec<u8>> {
    let (mut bytes, mut rest) = (Vec::new(), text);
    while let Some((before, after)) = rest.split_once('\\') {
        bytes.extend_from_slice(before.as_bytes());
        let kind = after.chars().next().context("a backslash at the end")?;
        rest = &after[kind.len_utf8()..];
        match kind {
            'n' => bytes.push(b'\n'),
            't' => bytes.push(b'\t'),
            '\\' => bytes.push(b'\\'),
            'x' => {
                bytes.push(u8::from_str_radix(rest.get(..2).context("\\x wants two digits")?, 16)?);
                rest = &rest[2..];
            }
            other => bail!("\\{other} is unknown"),
        }
    }
    bytes.extend_from_slice(rest.as_bytes());
    Ok(bytes)
}

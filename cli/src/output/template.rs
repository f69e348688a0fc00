//! The part of Go's templates that people use with Docker: `{{.Field}}`, `{{.A.B}}`, `{{json .A}}`.

use serde_json::Value;

/// A parsed template.
#[derive(Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Field { path: Vec<String>, json: bool },
}

impl Template {
    /// Reads a template; what it can't do is an error, not an empty text.
    pub fn parse(text: &str) -> Result<Template, String> {
        let mut pieces = Vec::new();
        let mut rest = text;
        while let Some((before, after)) = rest.split_once("{{") {
            let (inside, after) = after.split_once("}}").ok_or_else(|| format!("the template {text:?} has no end"))?;
            pieces.push(Piece::Text(unescape(before)));
            pieces.push(field(inside.trim())?);
            rest = after;
        }
        pieces.push(Piece::Text(unescape(rest)));
        Ok(Template(pieces))
    }

    /// Fills it.
    pub fn render(&self, value: &Value) -> Result<String, String> {
        self.0.iter().map(|piece| piece.render(value)).collect()
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn field(text: &str) -> Result<Piece, String> {
    let (json, path) = match text.strip_prefix("json ") {
        Some(path) => (true, path.trim()),
        None => (false, text),
    };
    let names = path.strip_prefix('.').filter(|p| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b)));
    let names =
        names.ok_or_else(|| format!("{{{{{text}}}}} is not understood: use {{{{.Field}}}} or {{{{json .Field}}}}"))?;
    Ok(Piece::Field { path: names.split('.').filter(|n| !n.is_empty()).map(str::to_owned).collect(), json })
}

impl Piece {
    fn render(&self, value: &Value) -> Result<String, String> {
        match self {
            Piece::Text(text) => Ok(text.clone()),
            Piece::Field { path, json } => {
                let found = path.iter().try_fold(value, |value, name| step(value, name))?;
                match json {
                    true => serde_json::to_string(found).map_err(|e| e.to_string()),
                    false => Ok(plain(found)),
                }
            }
        }
    }
}

/// One field down; `.ImageID`, `.image_id` and `.ImageId` are the same.
fn step<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
    let same = |key: &str| fold(key) == fold(name);
    let map = value.as_object().ok_or_else(|| format!("there is nothing below .{name}"))?;
    map.get(name).or_else(|| map.iter().find(|(key, _)| same(key)).map(|(_, v)| v)).ok_or_else(|| {
        let known: Vec<&str> = map.keys().map(String::as_str).collect();
        format!("there is no field .{name}; there are: {}", known.join(" "))
    })
}

fn fold(name: &str) -> String {
    name.chars().filter(|c| *c != '_').map(|c| c.to_ascii_lowercase()).collect()
}

/// A value as a person reads it: text without quotes.
pub fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(values) => values.iter().map(plain).collect::<Vec<_>>().join(" "),
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn fill(template: &str) -> Result<String, String> {
        let value = json!({"id": "abc", "image_id": "i", "exit": {"code": 3}, "labels": {"a": "b"}, "command": ["a", "b"], "pid": null});
        Template::parse(template)?.render(&value)
    }

    #[test]
    fn fields_are_found_as_people_write_them() {
        assert_eq!(fill("{{.ID}}\\t{{ .ImageID }}!").unwrap(), "abc\ti!");
        assert_eq!(fill("{{.Exit.Code}}{{.Pid}}").unwrap(), "3");
        assert_eq!(fill("{{json .Labels}} {{.command}}").unwrap(), "{\"a\":\"b\"} a b");
        assert!(fill("{{json .}}").unwrap().starts_with("{\"command\""));
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for bad in ["{{.ID", "{{range .X}}", "{{.Nope}}", "{{.ID.Code}}"] {
            assert!(fill(bad).is_err(), "{bad}");
        }
    }
}

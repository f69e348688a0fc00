//! The part of Go's templates that people use with Docker: `{{.Field}}`, `{{.A.B}}`, `{{json .A}}`,
//! `{{index .A "key"}}` and `{{.Label "key"}}`.

use serde_json::Value;

use super::Column;

/// A parsed template.
#[derive(Debug, PartialEq)]
pub struct Template(Vec<Piece>);

#[derive(Debug, PartialEq)]
enum Piece {
    Text(String),
    Field { path: Vec<Step>, json: bool },
}

/// One step down a value.
#[derive(Debug, PartialEq)]
enum Step {
    /// A field, as people write it.
    Field(String),
    /// A key or a place in a list, as it stands.
    Key(String),
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

    /// The head of the columns that it fills; those that are known have a name of their own.
    pub fn heading(&self, known: &[Column]) -> String {
        self.0.iter().map(|piece| piece.heading(known)).collect()
    }
}

fn unescape(text: &str) -> String {
    text.replace("\\t", "\t").replace("\\n", "\n")
}

fn field(text: &str) -> Result<Piece, String> {
    let words = words(text);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let (json, words) = match words[..] {
        ["json", ref rest @ ..] => (true, rest),
        ["index", ref rest @ ..] if rest.len() > 1 => (false, rest),
        _ => (false, &words[..]),
    };
    let (path, keys) = words.split_first().unwrap_or((&"", &[]));
    let known = |p: &&str| p.bytes().all(|b| b.is_ascii_alphanumeric() || b"._".contains(&b));
    let names = path.strip_prefix('.').filter(known).filter(|_| keys.len() < 2 || text.starts_with("index"));
    let names = names.ok_or_else(|| {
        format!(
            "{{{{{text}}}}} is not understood: use {{{{.Field}}}}, {{{{json .Field}}}} or {{{{index .Field \"key\"}}}}, \
             or have all of it by --format json"
        )
    })?;
    let names = names.split('.').filter(|n| !n.is_empty()).map(|n| Step::Field(n.to_owned()));
    let keys = keys.iter().map(|key| Step::Key((*key).to_owned()));
    Ok(Piece::Field { path: names.chain(keys).collect(), json })
}

/// Words, and texts in quotes, which come without them.
fn words(text: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (nth, part) in text.split('"').enumerate() {
        match nth % 2 {
            0 => words.extend(part.split_whitespace().map(str::to_owned)),
            _ => words.push(part.to_owned()),
        }
    }
    words
}

/// `CreatedAt` as the head of a column.
fn heading(name: &str) -> String {
    let mut text = String::new();
    let mut before = true;
    for c in name.chars() {
        if c.is_uppercase() && !before {
            text.push(' ');
        }
        before = c.is_uppercase();
        text.extend(c.to_uppercase());
    }
    text
}

impl Piece {
    fn heading(&self, known: &[Column]) -> String {
        let name = match self {
            Piece::Text(text) => return text.clone(),
            Piece::Field { path, .. } => match path.last() {
                Some(Step::Field(name) | Step::Key(name)) => name,
                None => return String::new(),
            },
        };
        let column = known.iter().find(|(_, field)| fold(field) == fold(name));
        column.map_or_else(|| heading(name), |(heading, _)| (*heading).to_owned())
    }

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

fn step<'a>(value: &'a Value, step: &Step) -> Result<&'a Value, String> {
    match step {
        Step::Field(name) => field_of(value, name),
        // Go gives nothing for a key that a map does not have.
        Step::Key(key) => Ok(match value {
            Value::Array(values) => key.parse().ok().and_then(|n: usize| values.get(n)).unwrap_or(&Value::Null),
            _ => value.get(key).unwrap_or(&Value::Null),
        }),
    }
}

/// `.ImageID`, `.image_id` and `.ImageId` are the same.
fn field_of<'a>(value: &'a Value, name: &str) -> Result<&'a Value, String> {
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
    fn keys_and_places() {
        assert_eq!(fill("{{index .Labels \"a\"}}{{.Labels \"none\"}}").unwrap(), "b");
        assert_eq!(fill("{{index .Command 1}}").unwrap(), "b");
    }

    #[test]
    fn headings_are_those_of_the_columns_or_made_of_the_names() {
        let template = Template::parse("{{.ID}}\\t{{.CreatedAt}}\\t{{.Label \"app\"}}").unwrap();
        assert_eq!(template.heading(&[("CONTAINER ID", "ID")]), "CONTAINER ID\tCREATED AT\tAPP");
    }

    #[test]
    fn what_is_not_understood_is_said() {
        for bad in ["{{.ID", "{{range .X}}", "{{.Nope}}", "{{.ID.Code}}", "{{}}", "{{.A \"b\" \"c\"}}", "{{x .ID}}"] {
            assert!(fill(bad).is_err(), "{bad}");
        }
    }
}

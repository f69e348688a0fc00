//! Answers as text: tables, JSON lines, templates, times and sizes for people.

pub mod human;
mod table;
mod template;

pub use table::align;

use std::collections::BTreeMap;
use std::io::{self, Write};

use serde::Serialize;
use serde_json::Value;

use crate::cli::ListArgs;
use crate::fail::Fail;
pub use template::Template;

/// A column: its heading and the field of a row that it shows.
pub type Column = (&'static str, &'static str);

/// One row, field by field, in Docker's field names.
pub type Row = serde_json::Map<String, Value>;

/// The field that only a template can ask for: labels by their keys, `{{.Label "key"}}`.
pub const LABEL: &str = "Label";

/// Prints rows as the flags ask: ids, a table, JSON lines or a template.
pub fn list(args: &ListArgs, columns: &[Column], rows: &[Row]) -> Result<(), Fail> {
    let mut out = io::stdout().lock();
    match args.format.as_deref() {
        _ if args.quiet => {
            for row in rows {
                writeln!(out, "{}", template::plain(row.get("ID").unwrap_or(&Value::Null)))?;
            }
        }
        None | Some("table") => out.write_all(table::render(columns, rows).as_bytes())?,
        Some("json") => {
            for row in rows {
                let fields: BTreeMap<_, _> = row.iter().filter(|(name, _)| *name != LABEL).collect();
                writeln!(out, "{}", serde_json::to_string(&fields)?)?;
            }
        }
        Some(text) => template_rows(&mut out, text, columns, rows)?,
    }
    Ok(())
}

fn template_rows(out: &mut impl Write, text: &str, columns: &[Column], rows: &[Row]) -> Result<(), Fail> {
    let (headed, text) = match text.strip_prefix("table ") {
        Some(rest) => (true, rest),
        None => (false, text),
    };
    let template = Template::parse(text).map_err(Fail::usage)?;
    let mut lines = Vec::new();
    if headed {
        lines.push(template.heading(columns));
    }
    for row in rows {
        lines.push(template.render(&Value::Object(row.clone())).map_err(Fail::usage)?);
    }
    match headed {
        true => out.write_all(table::align(&lines).as_bytes())?,
        false => lines.iter().try_for_each(|line| writeln!(out, "{line}"))?,
    }
    Ok(())
}

/// Prints one record: pretty JSON by `json`, or a template.
pub fn record<T: Serialize>(format: &str, record: &T) -> Result<(), Fail> {
    let value = serde_json::to_value(record)?;
    let text = match format {
        "json" => serde_json::to_string(&value)?,
        _ => Template::parse(format).and_then(|t| t.render(&value)).map_err(Fail::usage)?,
    };
    Ok(writeln!(io::stdout(), "{text}")?)
}

/// Prints a line.
pub fn line(text: impl std::fmt::Display) -> Result<(), Fail> {
    Ok(writeln!(io::stdout(), "{text}")?)
}

//! The facade as data: what `core/api.json` holds and every generator reads.

use std::fmt;
use std::str::FromStr;

use anyhow::{Result, bail};
use serde::{Deserialize, Serialize};

/// The whole public API.
#[derive(Debug, Serialize, Deserialize)]
pub struct Api {
    /// Enums of plain words.
    pub enums: Vec<Enum>,
    /// Option and info records.
    pub records: Vec<Record>,
    /// The error table.
    pub errors: Vec<ErrorKind>,
    /// Progress events.
    pub events: Vec<Event>,
    /// `Engine`, `Container`, ….
    pub classes: Vec<Class>,
}

/// An enum of plain words.
#[derive(Debug, Serialize, Deserialize)]
pub struct Enum {
    pub name: String,
    pub doc: String,
    /// The first is the default.
    pub variants: Vec<Variant>,
}

/// One word of an enum.
#[derive(Debug, Serialize, Deserialize)]
pub struct Variant {
    pub name: String,
    pub word: String,
    pub doc: String,
}

/// Which way a record goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// From the caller; each member may be left out.
    Options,
    /// To the caller.
    Info,
}

/// A record of named members.
#[derive(Debug, Serialize, Deserialize)]
pub struct Record {
    pub name: String,
    pub role: Role,
    pub doc: String,
    pub fields: Vec<Field>,
}

/// One member.
#[derive(Debug, Serialize, Deserialize)]
pub struct Field {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: Type,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub doc: String,
}

/// One row of the error table.
#[derive(Debug, Serialize, Deserialize)]
pub struct ErrorKind {
    pub name: String,
    pub code: i32,
    pub word: String,
    pub doc: String,
}

/// One kind of progress event.
#[derive(Debug, Serialize, Deserialize)]
pub struct Event {
    pub name: String,
    pub word: String,
    pub doc: String,
    pub fields: Vec<Field>,
}

/// A handle and its methods.
#[derive(Debug, Serialize, Deserialize)]
pub struct Class {
    pub name: String,
    pub doc: String,
    pub methods: Vec<Method>,
}

/// One method. Types outside the records' own set (`&Cancel`, `&mut dyn Progress`) stay Rust text.
#[derive(Debug, Serialize, Deserialize)]
pub struct Method {
    pub name: String,
    pub doc: String,
    /// Has no receiver.
    #[serde(rename = "static")]
    pub is_static: bool,
    pub params: Vec<Param>,
    pub returns: String,
}

/// One parameter.
#[derive(Debug, Serialize, Deserialize)]
pub struct Param {
    pub name: String,
    #[serde(rename = "type")]
    pub ty: String,
}

/// The small set of types that records keep to.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub enum Type {
    Bool,
    I32,
    I64,
    U32,
    U64,
    F64,
    String,
    Bytes,
    /// String to string.
    Map,
    /// An enum or a record.
    Named(String),
    List(Box<Type>),
    Option(Box<Type>),
}

impl fmt::Display for Type {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Type::Bool => f.write_str("bool"),
            Type::I32 => f.write_str("i32"),
            Type::I64 => f.write_str("i64"),
            Type::U32 => f.write_str("u32"),
            Type::U64 => f.write_str("u64"),
            Type::F64 => f.write_str("f64"),
            Type::String => f.write_str("string"),
            Type::Bytes => f.write_str("bytes"),
            Type::Map => f.write_str("map"),
            Type::Named(name) => f.write_str(name),
            Type::List(of) => write!(f, "list<{of}>"),
            Type::Option(of) => write!(f, "option<{of}>"),
        }
    }
}

impl FromStr for Type {
    type Err = anyhow::Error;
    fn from_str(s: &str) -> Result<Self> {
        let inner = |prefix: &str| s.strip_prefix(prefix).and_then(|rest| rest.strip_suffix('>'));
        if let Some(of) = inner("list<") {
            return Ok(Type::List(Box::new(of.parse()?)));
        }
        if let Some(of) = inner("option<") {
            return Ok(Type::Option(Box::new(of.parse()?)));
        }
        Ok(match s {
            "bool" => Type::Bool,
            "i32" => Type::I32,
            "i64" => Type::I64,
            "u32" => Type::U32,
            "u64" => Type::U64,
            "f64" => Type::F64,
            "string" => Type::String,
            "bytes" => Type::Bytes,
            "map" => Type::Map,
            name if name.starts_with(char::is_uppercase) => Type::Named(name.to_owned()),
            _ => bail!("unknown type {s:?}"),
        })
    }
}

impl TryFrom<String> for Type {
    type Error = anyhow::Error;
    fn try_from(s: String) -> Result<Self> {
        s.parse()
    }
}

impl From<Type> for String {
    fn from(t: Type) -> String {
        t.to_string()
    }
}

impl Api {
    /// The enum of that name.
    pub fn find_enum(&self, name: &str) -> Option<&Enum> {
        self.enums.iter().find(|e| e.name == name)
    }

    /// The record of that name.
    pub fn find_record(&self, name: &str) -> Option<&Record> {
        self.records.iter().find(|r| r.name == name)
    }

    /// The records of a role.
    pub fn records_of(&self, role: Role) -> impl Iterator<Item = &Record> {
        self.records.iter().filter(move |r| r.role == role)
    }

    /// Refuses what the generators can't carry: an unknown name, an enum whose default is not 0 in C.
    pub fn check(&self) -> Result<()> {
        for record in &self.records {
            for field in &record.fields {
                self.check_type(&field.ty).map_err(|e| anyhow::anyhow!("{}.{}: {e}", record.name, field.name))?;
            }
        }
        Ok(())
    }

    fn check_type(&self, ty: &Type) -> Result<()> {
        match ty {
            Type::Named(n) if self.find_enum(n).is_none() && self.find_record(n).is_none() => {
                bail!("{n} is neither an enum nor a record")
            }
            Type::List(of) => match **of {
                Type::String => Ok(()),
                Type::Named(ref n) if self.find_record(n).is_some() => Ok(()),
                _ => bail!("a list holds strings or records, not {of}"),
            },
            Type::Option(of) => match **of {
                Type::Option(_) => bail!("an option of an option"),
                Type::Map => bail!("a map is empty when it is absent"),
                ref of => self.check_type(of),
            },
            _ => Ok(()),
        }
    }
}

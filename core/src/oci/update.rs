//! `update`: other limits for a container that exists.

use std::path::Path;

use oci_spec::runtime::{LinuxResources, LinuxResourcesBuilder};
use serde_json::Value;

use super::hold::Held;
use super::start::wrong_stage;
use super::state::{self, Record, Status};
use super::{Runtime, groups, scope};
use crate::error::{Error, Kind, Result};
use crate::plan::oci::{ResourceWrite, resource_writes};
use crate::{cgroup, fs};

const READ: &str = "read resources";

/// A file of a cgroup, and what it held before.
type Before = (std::path::PathBuf, String);

impl Runtime {
    /// Changes the limits of a container to those in a document of the form of the configuration's `linux.resources`;
    /// what is not in it stays as it is, and so do the rules on devices.
    ///
    /// # Errors
    /// `Conflict` when it has ended; `InvalidArgument` and `Unsupported` with the field, and then nothing is changed.
    pub fn update(&self, id: &str, resources: &str) -> Result<()> {
        let held = Held::known(self, id)?;
        let record = Record::read(held.path())?;
        match record.status(held.path())? {
            Status::Created | Status::Running | Status::Paused => {}
            other => return Err(wrong_stage("update container", id, other)),
        }
        let asked: Value = serde_json::from_str(resources).map_err(|e| invalid(&e))?;
        let config = held.path().join("config.json");
        let mut whole: Value =
            serde_json::from_slice(&fs::read_bounded(&config, state::MOST)?).map_err(|e| invalid(&e))?;
        merge(&mut whole["linux"]["resources"], &asked);
        let wanted = with_context(&asked, &whole["linux"]["resources"])?;
        let writes = resource_writes(&wanted, groups::is_v2(&record.cgroups))?;
        let before = apply(&writes, &record.cgroups)?;
        scope::update(&record, &writes).inspect_err(|_| restore(&before))?;
        let staged = held.path().join("config.json.new");
        fs::replace(&config, &staged, whole.to_string().as_bytes())
    }
}

fn invalid(error: &serde_json::Error) -> Error {
    Error::new(Kind::InvalidArgument, READ, "").because(error.to_string())
}

fn merge(into: &mut Value, changes: &Value) {
    match changes {
        Value::Object(changes) if into.is_object() => {
            changes.iter().filter(|(_, value)| !value.is_null()).for_each(|(key, value)| merge(&mut into[key], value));
        }
        other => *into = other.clone(),
    }
}

/// What is asked for, where one file holds two members with both of them; devices are not changed.
fn with_context(asked: &Value, merged: &Value) -> Result<LinuxResources> {
    let mut wanted = asked.clone();
    for key in ["cpu", "memory"] {
        if asked[key].is_object() {
            wanted[key] = merged[key].clone();
        }
    }
    let mut wanted: LinuxResources = match wanted {
        Value::Null => LinuxResourcesBuilder::default().build().unwrap_or_default(),
        wanted => state::read(READ, wanted)?,
    };
    wanted.set_devices(None);
    Ok(wanted)
}

/// All of them or none; returns what was there before. The kernel holds some against others, so that either may have to
/// come first.
fn apply(writes: &[ResourceWrite], cgroups: &groups::Cgroups) -> Result<Vec<Before>> {
    let files: Vec<File> = writes.iter().map(|write| file(write, cgroups)).collect::<Result<_>>()?;
    let before: Vec<Before> = files.iter().filter_map(|(path, _)| Some((path.clone(), value(path)?))).collect();
    let put = |(path, value): &File| fs::write_kernel(path, value);
    let refused: Vec<_> = files.iter().filter(|file| put(file).is_err()).collect();
    let done = refused.iter().try_for_each(|file| put(file).map_err(|e| explain(e, file)));
    done.inspect_err(|_| restore(&before))?;
    Ok(before)
}

/// A file, and what is written into it.
type File<'a> = (std::path::PathBuf, std::borrow::Cow<'a, str>);

fn file<'a>(write: &'a ResourceWrite, cgroups: &groups::Cgroups) -> Result<File<'a>> {
    let controller = if groups::is_v2(cgroups) { "" } else { write.controller };
    match cgroups.iter().find(|(name, _)| name == controller) {
        Some((_, dir)) => Ok(cgroup::target(Path::new(dir), &write.file, &write.value)),
        None => Err(Error::new(Kind::Unsupported, "update container", write.file.clone())
            .because("this host gives it no such cgroup controller")),
    }
}

/// A file of several lines takes changes and has no value to be put back.
fn value(path: &Path) -> Option<String> {
    let text = fs::read_bounded(path, 4096).ok()?;
    let text = String::from_utf8_lossy(&text).trim_end().to_owned();
    (!text.contains('\n') && !text.is_empty()).then_some(text)
}

fn restore(before: &[Before]) {
    // Twice, for the same reason.
    for _ in 0..2 {
        before.iter().for_each(|(path, value)| drop(fs::write_kernel(path, value)));
    }
}

fn explain(error: Error, (path, value): &File) -> Error {
    let file = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
    match error.errno() {
        Some(libc::EINVAL | libc::ERANGE | libc::EBUSY) => Error::new(Kind::InvalidArgument, "set limit", file)
            .because(format!("the kernel does not take the value {value} now")),
        Some(libc::ENOENT | libc::EOPNOTSUPP) => {
            Error::new(Kind::UnenforceableLimit, "set limit", file).because("this kernel does not have it")
        }
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_is_not_asked_for_stays_and_is_known_where_it_is_needed() {
        let mut whole =
            json!({"cpu": {"quota": 5000, "shares": 2}, "pids": {"limit": 7}, "devices": [{"allow": false}]});
        let asked = json!({"cpu": {"period": 20000, "quota": null}});
        merge(&mut whole, &asked);
        assert_eq!(whole["cpu"], json!({"quota": 5000, "shares": 2, "period": 20000}));
        let wanted = with_context(&asked, &whole).unwrap();
        assert!(wanted.pids().is_none() && wanted.devices().is_none());
        let writes = resource_writes(&wanted, true).unwrap();
        assert!(writes.iter().any(|write| write.file == "cpu.max" && write.value == "5000 20000"), "{writes:?}");
    }
}

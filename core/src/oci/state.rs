//! What is kept of a container, and what follows from it.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use oci_spec::runtime::{Process, Spec};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use super::scope::Kept;
use super::{Runtime, groups, start};
use crate::error::{Error, Kind, Result};
use crate::fs;
use crate::sys::{self, PidFd};

/// Newer ones are refused.
const VERSION: u32 = 1;
/// More than any configuration.
pub(super) const MOST: u64 = 16 << 20;

/// In which stage of its life a container is (runtime.md, "State").
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// On the way, or left there by a call that was killed.
    Creating,
    /// Made, its payload not started.
    Created,
    /// Its payload runs.
    Running,
    /// The same, frozen.
    Paused,
    /// Its payload has ended.
    Stopped,
}

/// The state of a container, as the specification has it, with what runc adds.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct State {
    /// Version of the specification that its configuration follows.
    pub oci_version: String,
    /// Its id.
    pub id: String,
    /// Stage of its life.
    pub status: Status,
    /// Its first process; 0 before there is one and once it has ended.
    pub pid: i32,
    /// Its bundle.
    pub bundle: PathBuf,
    /// Its root file system.
    pub rootfs: PathBuf,
    /// When it was made, as RFC 3339 has it.
    pub created: String,
    /// Who made it.
    pub owner: String,
    /// Annotations of its configuration.
    pub annotations: BTreeMap<String, String>,
}

/// What lies in `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(super) struct Record {
    pub version: u32,
    pub id: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    /// 0 before there is one.
    pub pid: i32,
    pub pid_start: u64,
    pub boot_id: String,
    pub created: String,
    pub owner: String,
    /// Controller and directory; the empty name for v2.
    pub cgroups: Vec<(String, String)>,
    /// systemd's scope that they are.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub scope: Option<Kept>,
}

impl Record {
    pub fn read(dir: &Path) -> Result<Record> {
        let path = dir.join("state.json");
        let bytes = fs::read_bounded(&path, MOST)?;
        let record: Record = serde_json::from_slice(&bytes)
            .map_err(|e| Error::new(Kind::Store, "read state", path.display().to_string()).because(e.to_string()))?;
        match record.version {
            VERSION => Ok(record),
            newer => Err(Error::new(Kind::Unsupported, "read state", path.display().to_string())
                .because(format!("it has version {newer} and this library knows {VERSION}"))
                .hint("use a newer Sampan")),
        }
    }

    pub fn write(&self, dir: &Path) -> Result<()> {
        let text = serde_json::to_vec(self)
            .map_err(|e| Error::new(Kind::Store, "write state", dir.display().to_string()).because(e.to_string()))?;
        fs::replace(&dir.join("state.json"), &dir.join("state.json.new"), &text)
    }

    pub fn version() -> u32 {
        VERSION
    }

    /// Its first process, unless that has ended.
    pub fn process(&self) -> Result<Option<PidFd>> {
        if self.pid == 0 || self.boot_id != sys::boot_id() {
            return Ok(None);
        }
        Ok(PidFd::open_started(self.pid, self.pid_start)?.filter(|_| !sys::is_zombie(self.pid)))
    }

    pub fn status(&self, dir: &Path) -> Result<Status> {
        Ok(match self.process()? {
            None if self.pid == 0 => Status::Creating,
            None => Status::Stopped,
            Some(_) if groups::freezer(&self.cgroups).is_some_and(|freezer| freezer.is_held()) => Status::Paused,
            Some(_) if start::is_awaited(dir)? => Status::Created,
            Some(_) => Status::Running,
        })
    }
}

/// There as long as the payload was not started.
pub(super) fn start_socket(dir: &Path) -> PathBuf {
    dir.join("start")
}

/// The configuration that the container was made from; the bundle's may have changed since.
pub(super) fn config(dir: &Path) -> Result<Spec> {
    parse(&fs::read_bounded(&dir.join("config.json"), MOST)?)
}

const READ: &str = "read config.json";

pub(super) fn parse(bytes: &[u8]) -> Result<Spec> {
    let mut whole = value(READ, bytes)?;
    if let Some(root) = whole.get("root").filter(|root| root.get("path").is_none_or(|path| path == "")) {
        let because = if root.is_object() { "it is missing" } else { "its root is no object" };
        return Err(Error::new(Kind::InvalidArgument, READ, "root.path").because(because));
    }
    // Without these the reader would put in namespaces and masks of its own.
    whole.as_object_mut().map(|whole| whole.entry("linux").or_insert_with(|| json!({})));
    whole.get_mut("process").map(complete);
    read(READ, whole)
}

/// A process alone.
pub(super) fn process(bytes: &[u8]) -> Result<Process> {
    let mut whole = value("read process", bytes)?;
    complete(&mut whole);
    read("read process", whole)
}

/// The user may be missing, and is root then.
fn complete(process: &mut Value) {
    process.as_object_mut().map(|process| process.entry("user").or_insert_with(|| json!({"uid": 0, "gid": 0})));
}

/// A member that is null is as good as none, as engines in Go write and read it.
fn value(operation: &'static str, bytes: &[u8]) -> Result<Value> {
    let mut whole: Value = serde_json::from_slice(bytes)
        .map_err(|e| Error::new(Kind::InvalidArgument, operation, "").because(e.to_string()))?;
    strip_nulls(&mut whole);
    spell_flags(&mut whole);
    Ok(whole)
}

fn strip_nulls(value: &mut Value) {
    match value {
        Value::Object(members) => {
            members.retain(|_, member| !member.is_null());
            members.values_mut().for_each(strip_nulls);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_nulls),
        _ => {}
    }
}

/// A document of the specification; what is wrong with it is told with the field.
pub(super) fn read<T: DeserializeOwned>(operation: &'static str, whole: Value) -> Result<T> {
    serde_path_to_error::deserialize(whole).map_err(|e| {
        let field = Some(e.path().to_string()).filter(|field| field != ".").unwrap_or_default();
        Error::new(Kind::InvalidArgument, operation, field).because(e.into_inner().to_string())
    })
}

/// The reader of these documents spells one flag otherwise than the specification.
fn spell_flags(whole: &mut Value) {
    for pointer in ["/process/scheduler/flags", "/scheduler/flags"] {
        let flags = whole.pointer_mut(pointer).and_then(Value::as_array_mut);
        for flag in flags.into_iter().flatten().filter(|flag| *flag == "SCHED_FLAG_DL_OVERRUN") {
            *flag = "SCHED_FLAG_D_L_OVERRUN".into();
        }
    }
}

pub(super) fn config_of_bundle(bundle: &Path) -> Result<Vec<u8>> {
    let path = bundle.join("config.json");
    fs::read_following(&path, MOST).map_err(|e| e.hint("give the directory of a bundle with --bundle"))
}

impl Runtime {
    /// The state of a container.
    ///
    /// # Errors
    /// `NotFound` when there is none with this id.
    pub fn state(&self, id: &str) -> Result<State> {
        let dir = self.known(id)?;
        let record = Record::read(&dir)?;
        let config = config(&dir)?;
        let status = record.status(&dir)?;
        Ok(State {
            oci_version: config.version().clone(),
            id: record.id,
            status,
            pid: if status == Status::Stopped { 0 } else { record.pid },
            bundle: record.bundle,
            rootfs: record.rootfs,
            created: record.created,
            owner: record.owner,
            annotations: config.annotations().clone().into_iter().flatten().collect(),
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(changes: Value) -> String {
        let mut whole = super::super::example(false);
        for (pointer, value) in changes.as_object().unwrap() {
            let (at, key) = pointer.rsplit_once('/').unwrap();
            whole.pointer_mut(at).unwrap()[key] = value.clone();
        }
        parse(whole.to_string().as_bytes()).map_or_else(|e| e.to_string(), |_| "read".to_owned())
    }

    #[test]
    fn a_value_that_is_not_known_is_told_with_its_field() {
        let rule = json!([{"names": ["read"], "action": "SCMP_ACT_MAYBE"}]);
        let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "syscalls": rule});
        for (pointer, value, field) in [
            ("/linux/seccomp", seccomp, "linux.seccomp.syscalls[0].action: unknown variant `SCMP_ACT_MAYBE`"),
            ("/linux/namespaces", json!([{"type": "mount"}, {"type": "moon"}]), "linux.namespaces[1].type"),
            ("/process/rlimits", json!([{"type": "RLIMIT_HOPE", "soft": 1, "hard": 1}]), "process.rlimits[0].type"),
            ("/process/scheduler", json!({"policy": "SCHED_LATER"}), "process.scheduler.policy"),
            ("/process/user", json!({"uid": -1}), "process.user.uid"),
            ("/linux/personality", json!({"domain": "BSD"}), "linux.personality.domain"),
        ] {
            let told = told(json!({ (pointer): value }));
            assert!(told.contains(field), "{pointer}: {told}");
        }
    }

    #[test]
    fn what_is_null_is_as_good_as_missing() {
        for (pointer, field) in
            [("/process/cwd", "process: missing field `cwd`"), ("/root/path", "root.path: it is missing")]
        {
            let told = told(json!({ (pointer): null }));
            assert!(told.contains(field), "{pointer}: {told}");
        }
        for pointer in ["/process/user", "/process/args", "/linux", "/mounts", "/linux/resources", "/annotations"] {
            assert_eq!(told(json!({ (pointer): null })), "read", "{pointer}");
        }
        assert_eq!(told(json!({"/linux/resources": {"pids": {"limit": null}}})), "read");
    }

    #[test]
    fn nothing_is_put_in_for_what_is_missing() {
        let spec = parse(br#"{"ociVersion": "1.0.2", "root": {"path": "r"}, "process": {"cwd": "/"}}"#).unwrap();
        let linux = spec.linux().clone().unwrap();
        assert!(linux.namespaces().is_none() && linux.masked_paths().is_none(), "{linux:?}");
        assert_eq!(spec.process().as_ref().unwrap().user().uid(), 0);
    }

    #[test]
    fn values_are_spelled_as_the_specification_does() {
        let scheduler = |flag: &str| json!({"policy": "SCHED_DEADLINE", "flags": [flag]});
        for flag in ["RECLAIM", "DL_OVERRUN", "KEEP_POLICY", "KEEP_PARAMS", "UTIL_CLAMP_MIN", "UTIL_CLAMP_MAX"] {
            assert_eq!(told(json!({"/process/scheduler": scheduler(&format!("SCHED_FLAG_{flag}"))})), "read", "{flag}");
        }
        for arch in
            ["X86", "X86_64", "X32", "ARM", "AARCH64", "RISCV64", "S390X", "PPC64LE", "MIPS64N32", "LOONGARCH64"]
        {
            let seccomp = json!({"defaultAction": "SCMP_ACT_ALLOW", "architectures": [format!("SCMP_ARCH_{arch}")]});
            assert_eq!(told(json!({"/linux/seccomp": seccomp})), "read", "{arch}");
        }
    }
}

//! Reads Docker's form of a profile, of which the OCI runtime specification's is a part.

use serde::Deserialize;

use super::{Action, Arch, Compare, Condition, Policy, Rule};
use crate::capability;
use crate::error::{Error, Kind, Result};

/// What the parts of a profile depend on.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Circumstances {
    /// The machine's architecture.
    pub arch: Arch,
    /// What the container may, bit n for capability n.
    pub capabilities: u64,
    /// Major and minor version of the running kernel.
    pub kernel: (u32, u32),
    /// Whether the container has no namespaces, so that the host's processes are in its reach.
    pub without_namespaces: bool,
    /// Whether such a container's files are to stay as they are, which no mount sees to.
    pub read_only: bool,
}

const EPERM: u16 = 1;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Document {
    default_action: String,
    default_errno_ret: Option<u16>,
    #[serde(default)]
    architectures: Option<Vec<String>>,
    #[serde(default)]
    arch_map: Option<Vec<Family>>,
    #[serde(default)]
    syscalls: Option<Vec<Entry>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Family {
    architecture: String,
    #[serde(default)]
    sub_architectures: Option<Vec<String>>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    #[serde(default)]
    name: Option<String>,
    #[serde(default)]
    names: Option<Vec<String>>,
    action: String,
    errno_ret: Option<u16>,
    #[serde(default)]
    args: Option<Vec<Argument>>,
    #[serde(default)]
    includes: Option<Filter>,
    #[serde(default)]
    excludes: Option<Filter>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Argument {
    index: u8,
    value: u64,
    #[serde(default)]
    value_two: u64,
    op: String,
}

#[derive(Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Filter {
    #[serde(default)]
    caps: Option<Vec<String>>,
    #[serde(default)]
    arches: Option<Vec<String>>,
    min_kernel: Option<String>,
}

fn invalid(field: &str, because: impl Into<String>) -> Error {
    Error::new(Kind::InvalidArgument, "read seccomp profile", field).because(because)
}

/// The policy that a profile in JSON gives in these circumstances.
///
/// # Errors
/// `InvalidArgument` naming the field for what is not a profile.
pub fn read(json: &str, around: &Circumstances) -> Result<Policy> {
    let document: Document = serde_json::from_str(json)
        .map_err(|e| invalid("profile", e.to_string()).hint("give a profile in the form of Docker's default.json"))?;
    let default = action(&document.default_action, document.default_errno_ret, "defaultAction")?;
    let arches = arches(&document, around)?;
    let mut rules = Vec::new();
    for (at, entry) in document.syscalls.into_iter().flatten().enumerate() {
        if applies(&entry, around, at)? {
            rules.extend(self::rules(entry, at)?);
        }
    }
    Ok(Policy { default, arches, rules })
}

fn action(name: &str, errno: Option<u16>, field: &str) -> Result<Action> {
    Ok(match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => Action::KillThread,
        "SCMP_ACT_KILL_PROCESS" => Action::KillProcess,
        "SCMP_ACT_TRAP" => Action::Trap,
        "SCMP_ACT_ERRNO" => Action::Errno(errno.unwrap_or(EPERM)),
        "SCMP_ACT_TRACE" => Action::Trace(errno.unwrap_or(EPERM)),
        "SCMP_ACT_ALLOW" => Action::Allow,
        "SCMP_ACT_LOG" => Action::Log,
        "SCMP_ACT_NOTIFY" => Action::Notify,
        other => return Err(invalid(field, format!("there is no action {other:?}")).hint("see seccomp(2)")),
    })
}

/// The native one first. Those of machines that this one can't run are left out: their calls are never seen here.
fn arches(document: &Document, around: &Circumstances) -> Result<Vec<Arch>> {
    let listed = document.architectures.as_deref().filter(|list| !list.is_empty());
    let families = document.arch_map.as_deref().filter(|map| !map.is_empty());
    let named: Vec<&String> = match (listed, families) {
        (Some(_), Some(_)) => {
            return Err(invalid("archMap", "a profile has architectures or archMap, not both"));
        }
        (Some(list), None) => list.iter().collect(),
        (None, Some(map)) => {
            let native = map.iter().find(|family| family.architecture == around.arch.oci_name());
            native.into_iter().flat_map(|family| family.sub_architectures.iter().flatten()).collect()
        }
        (None, None) => Vec::new(),
    };
    let mut arches = vec![around.arch];
    arches.extend(named.into_iter().filter_map(|name| Arch::from_oci(name)).filter(|arch| *arch != around.arch));
    Ok(arches)
}

fn applies(entry: &Entry, around: &Circumstances, at: usize) -> Result<bool> {
    let (includes, excludes) = (entry.includes.as_ref(), entry.excludes.as_ref());
    Ok(includes.map_or(Ok(true), |filter| included(filter, around, at))?
        && !excludes.map_or(Ok(false), |filter| excluded(filter, around, at))?)
}

/// All that it names must be there.
fn included(filter: &Filter, around: &Circumstances, at: usize) -> Result<bool> {
    let caps = held(filter, around, at)?;
    Ok(is_arch(filter, around).unwrap_or(true)
        && caps.iter().all(|held| *held)
        && is_kernel(filter, around, at)?.unwrap_or(true))
}

/// Any of what it names is enough.
fn excluded(filter: &Filter, around: &Circumstances, at: usize) -> Result<bool> {
    let caps = held(filter, around, at)?;
    Ok(is_arch(filter, around).unwrap_or(false)
        || caps.iter().any(|held| *held)
        || is_kernel(filter, around, at)?.unwrap_or(false))
}

fn is_arch(filter: &Filter, around: &Circumstances) -> Option<bool> {
    let arches = filter.arches.as_deref().filter(|list| !list.is_empty())?;
    Some(arches.iter().any(|name| name == around.arch.go_name()))
}

fn held(filter: &Filter, around: &Circumstances, at: usize) -> Result<Vec<bool>> {
    let bit = |name: &String| match capability::bit(name) {
        Some(bit) => Ok(around.capabilities & bit != 0),
        None => Err(invalid(&format!("syscalls[{at}].caps"), format!("there is no capability {name:?}"))),
    };
    filter.caps.iter().flatten().map(bit).collect()
}

fn is_kernel(filter: &Filter, around: &Circumstances, at: usize) -> Result<Option<bool>> {
    let Some(text) = filter.min_kernel.as_deref().filter(|text| !text.is_empty()) else { return Ok(None) };
    let version = text.split_once('.').and_then(|(major, minor)| Some((major.parse().ok()?, minor.parse().ok()?)));
    let least: (u32, u32) = version.ok_or_else(|| {
        invalid(&format!("syscalls[{at}].minKernel"), format!("{text:?} is not a version")).hint("write it as \"4.8\"")
    })?;
    Ok(Some(around.kernel >= least))
}

/// One rule; several where an argument is compared twice, as runc takes such comparisons for alternatives.
fn rules(entry: Entry, at: usize) -> Result<Vec<Rule>> {
    let field = format!("syscalls[{at}]");
    let action = action(&entry.action, entry.errno_ret, &field)?;
    let names: Vec<String> = entry.name.into_iter().chain(entry.names.into_iter().flatten()).collect();
    if names.is_empty() {
        return Err(invalid(&field, "it names no call"));
    }
    let args = entry.args.unwrap_or_default();
    let conditions = args.iter().map(|argument| condition(argument, &field)).collect::<Result<Vec<_>>>()?;
    Ok(match repeats(&conditions) {
        false => vec![Rule { names, action, conditions }],
        true => {
            conditions.into_iter().map(|one| Rule { names: names.clone(), action, conditions: vec![one] }).collect()
        }
    })
}

fn repeats(conditions: &[Condition]) -> bool {
    let mut seen = [false; 6];
    conditions.iter().any(|condition| std::mem::replace(&mut seen[usize::from(condition.argument)], true))
}

fn condition(argument: &Argument, field: &str) -> Result<Condition> {
    if argument.index > 5 {
        return Err(invalid(field, format!("a call has arguments 0 to 5, not {}", argument.index)));
    }
    let (compare, value) = match argument.op.as_str() {
        "SCMP_CMP_NE" => (Compare::NotEqual, argument.value),
        "SCMP_CMP_LT" => (Compare::Less, argument.value),
        "SCMP_CMP_LE" => (Compare::LessOrEqual, argument.value),
        "SCMP_CMP_EQ" => (Compare::Equal, argument.value),
        "SCMP_CMP_GE" => (Compare::GreaterOrEqual, argument.value),
        "SCMP_CMP_GT" => (Compare::Greater, argument.value),
        "SCMP_CMP_MASKED_EQ" => (Compare::MaskedEqual(argument.value), argument.value_two),
        other => return Err(invalid(field, format!("there is no comparison {other:?}"))),
    };
    Ok(Condition { argument: argument.index, compare, value })
}

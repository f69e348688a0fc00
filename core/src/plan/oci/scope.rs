//! A container's cgroup as a scope of systemd's, in the words of runc's `--systemd-cgroup` (systemd.resource-control(5)).

use std::collections::HashMap;

use oci_spec::runtime::Spec;

use super::invalid;
use super::resources::Write;
use super::tuning::mask;
use crate::error::Result;
use crate::systemd::{self, About, Property, Value, Whose};

/// A manager that is asked for scopes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Systemd {
    /// Whose it is.
    pub whose: Whose,
    /// What is known of it.
    pub about: About,
}

/// A scope to be started with the container's first process.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Scope {
    /// Its name.
    pub unit: String,
    /// Whose manager's it is.
    pub whose: Whose,
    /// All but the process.
    pub properties: Vec<Property>,
}

impl Scope {
    /// The scope that `linux.cgroupsPath` names, and its cgroup below the hierarchy's root.
    pub(super) fn read(spec: &Spec, path: Option<&str>, id: &str, systemd: &Systemd) -> Result<(Scope, String)> {
        let (slice, prefix, name) = words(path, id, systemd.whose)?;
        let below = systemd::slice_path(&slice)
            .ok_or_else(|| invalid("linux.cgroupsPath", format!("{slice:?} is not the name of a slice")))?;
        let unit = format!("{prefix}-{name}.scope");
        if !systemd::is_plain(&unit) || name.ends_with(".slice") {
            return Err(invalid("linux.cgroupsPath", format!("{unit:?} is not the name of a scope")));
        }
        let mut properties = basic(&name, slice);
        properties.extend(asked(spec.annotations().as_ref())?);
        let path = format!("{}{below}/{unit}", systemd.about.cgroup);
        Ok((Scope { unit, whose: systemd.whose, properties }, path))
    }
}

/// Slice, prefix and name of `slice:prefix:name`.
fn words(path: Option<&str>, id: &str, whose: Whose) -> Result<(String, String, String)> {
    let usual = match whose {
        Whose::System => "system.slice",
        Whose::User => "user.slice",
    };
    let Some(path) = path.filter(|path| !path.is_empty()) else {
        return Ok((usual.into(), "sampan".into(), id.into()));
    };
    match path.split(':').collect::<Vec<_>>()[..] {
        [slice, prefix, name] => Ok((if slice.is_empty() { usual } else { slice }.into(), prefix.into(), name.into())),
        _ => Err(invalid(
            "linux.cgroupsPath",
            format!("with --systemd-cgroup it is slice:prefix:name, and not {path:?}"),
        )),
    }
}

/// Those of every scope, as runc has them.
fn basic(name: &str, slice: String) -> Vec<Property> {
    let yes = |name: &str| (name.to_owned(), Value::Bool(true));
    vec![
        ("Description".into(), Value::Text(format!("sampan container {name}"))),
        ("Slice".into(), Value::Text(slice)),
        yes("Delegate"),
        yes("MemoryAccounting"),
        yes("CPUAccounting"),
        yes("IOAccounting"),
        yes("TasksAccounting"),
        ("DefaultDependencies".into(), Value::Bool(false)),
    ]
}

/// Those of annotations, `org.systemd.property.TimeoutStopUSec: "uint64 30000000"`, by name so that they have an order.
fn asked(annotations: Option<&HashMap<String, String>>) -> Result<Vec<Property>> {
    const PREFIX: &str = "org.systemd.property.";
    let named = annotations.into_iter().flatten().filter_map(|(key, text)| Some((key.strip_prefix(PREFIX)?, text)));
    let mut named: Vec<(&str, &String)> = named.collect();
    named.sort();
    let one = |(name, text): (&str, &String)| {
        let is_name = name.len() >= 3 && name.bytes().all(|b| b.is_ascii_alphabetic());
        let property = if is_name { property(name, text) } else { None };
        property.ok_or_else(|| {
            invalid(format!("annotations.{PREFIX}{name}"), format!("{text:?} is no value of a property"))
        })
    };
    named.into_iter().map(one).collect()
}

/// A value as GVariant writes it. Times in seconds are systemd's in microseconds.
fn property(name: &str, text: &str) -> Option<Property> {
    let text = text.trim();
    if let Some(stem) = name.strip_suffix("Sec").filter(|stem| !stem.ends_with('U')) {
        let seconds = text.rsplit(' ').next()?.parse::<f64>().ok().filter(|s| (0.0..1e12).contains(s))?;
        return Some((format!("{stem}USec"), Value::U64((seconds * 1e6) as u64)));
    }
    let value = match text.split_once(' ') {
        Some(("uint32", n)) => Value::U32(n.parse().ok()?),
        Some(("int32", n)) => Value::I32(n.parse().ok()?),
        Some(("uint64", n)) => Value::U64(n.parse().ok()?),
        Some(("int64", n)) => Value::I64(n.parse().ok()?),
        _ => plain(text)?,
    };
    Some((name.to_owned(), value))
}

fn plain(text: &str) -> Option<Value> {
    if let Some(items) = text.strip_prefix('[').and_then(|rest| rest.strip_suffix(']')) {
        return items.split(',').map(|item| quoted(item.trim())).collect::<Option<_>>().map(Value::Texts);
    }
    match text {
        "true" | "false" => Some(Value::Bool(text == "true")),
        _ => quoted(text).map(Value::Text).or_else(|| text.parse().ok().map(Value::I32)),
    }
}

/// Without escapes, which no property needs.
fn quoted(text: &str) -> Option<String> {
    let of = |quote: char| text.strip_prefix(quote)?.strip_suffix(quote);
    of('\'').or_else(|| of('"')).filter(|text| !text.contains(['\\', '\'', '"'])).map(str::to_owned)
}

/// The properties that say the same as files of the cgroup, so that systemd, which writes them again, agrees; files that
/// it does not know have none.
pub fn properties(writes: &[Write], version: u32) -> Vec<Property> {
    let idle = version >= 252 && writes.iter().any(|write| write.file == "cpu.idle" && write.value == "1");
    let mut all = Vec::new();
    for Write { file, value, .. } in writes {
        let number = || limit(value);
        let mut put = |name: &str, value: Option<Value>| all.extend(value.map(|value| (name.to_owned(), value)));
        match file.as_str() {
            "memory.max" => put("MemoryMax", number()),
            "memory.high" => put("MemoryHigh", number()),
            "memory.low" => put("MemoryLow", number()),
            "memory.min" => put("MemoryMin", number()),
            "memory.swap.max" => put("MemorySwapMax", number()),
            "pids.max" => put("TasksMax", number()),
            "cpu.weight" if !idle => put("CPUWeight", number()),
            "cpu.idle" if idle => put("CPUWeight", Some(Value::U64(0))),
            "cpuset.cpus" => put("AllowedCPUs", mask(value).map(Value::Bytes)),
            "cpuset.mems" => put("AllowedMemoryNodes", mask(value).map(Value::Bytes)),
            "cpu.max" => all.extend(quota(value).into_iter().flatten()),
            _ => {}
        }
    }
    all
}

/// Known only when the scope is started.
pub(super) fn oom_policy(writes: &[Write], version: u32) -> Option<Property> {
    let group = writes.iter().find(|write| write.file == "memory.oom.group").filter(|_| version >= 253)?;
    let policy = if group.value == "1" { "kill" } else { "continue" };
    Some(("OOMPolicy".into(), Value::Text(policy.into())))
}

fn limit(value: &str) -> Option<Value> {
    if value == "max" { Some(Value::U64(u64::MAX)) } else { value.trim().parse().ok().map(Value::U64) }
}

/// `quota period`, as microseconds of each second. systemd knows whole percents: rounded up, so that the exact one, which
/// is written too, fits.
fn quota(value: &str) -> Option<[Property; 2]> {
    const PERCENT: u64 = 10_000;
    const SECOND: u64 = 1_000_000;
    let (quota, period) = value.split_once(' ').unwrap_or((value, "100000"));
    let period: u64 = period.trim().parse().ok().filter(|period| *period > 0)?;
    let each_second = match quota {
        "max" => u64::MAX,
        quota => (quota.parse::<u64>().ok()?.checked_mul(SECOND)? / period).next_multiple_of(PERCENT),
    };
    Some([("CPUQuotaPeriodUSec".into(), Value::U64(period)), ("CPUQuotaPerSecUSec".into(), Value::U64(each_second))])
}

#[cfg(test)]
mod tests {
    use super::*;

    fn systemd(whose: Whose, cgroup: &str) -> Systemd {
        Systemd { whose, about: About { cgroup: cgroup.into(), version: 252 } }
    }

    fn named(path: &str, systemd: &Systemd) -> Result<(String, String)> {
        let spec = Spec::default();
        Scope::read(&spec, Some(path), "one", systemd).map(|(scope, path)| (scope.unit, path))
    }

    #[test]
    fn a_scope_lies_in_its_slice() {
        let system = systemd(Whose::System, "");
        let two = |a: &str, b: &str| (a.to_owned(), b.to_owned());
        assert_eq!(named("", &system).unwrap(), two("sampan-one.scope", "/system.slice/sampan-one.scope"));
        assert_eq!(
            named("a-b.slice:libpod:x", &system).unwrap(),
            two("libpod-x.scope", "/a.slice/a-b.slice/libpod-x.scope")
        );
        let user = systemd(Whose::User, "/user.slice/u.slice/user@1.service");
        assert_eq!(named(":p:x", &user).unwrap().1, "/user.slice/u.slice/user@1.service/user.slice/p-x.scope");
        for bad in ["/a/b", "a:b", "a:b:c", "a.slice:b:c.slice", "a.slice:b:../c", "a.slice:b:c:d"] {
            let error = named(bad, &system).unwrap_err().to_string();
            assert!(error.contains("linux.cgroupsPath"), "{error}");
        }
    }

    #[test]
    fn annotations_are_properties() {
        let told = |name: &str, text: &str| property(name, text).map(|(name, value)| format!("{name} {value:?}"));
        assert_eq!(told("TimeoutStopUSec", "uint64 5").as_deref(), Some("TimeoutStopUSec U64(5)"));
        assert_eq!(told("TimeoutStopSec", "1.5").as_deref(), Some("TimeoutStopUSec U64(1500000)"));
        assert_eq!(
            told("CollectMode", "'inactive-or-failed'").as_deref(),
            Some("CollectMode Text(\"inactive-or-failed\")")
        );
        assert_eq!(
            told("After", "['a.service', 'b.service']").as_deref(),
            Some("After Texts([\"a.service\", \"b.service\"])")
        );
        assert_eq!(told("SendSIGHUP", "true").as_deref(), Some("SendSIGHUP Bool(true)"));
        assert_eq!(told("CollectMode", "inactive"), None);
        let bad = HashMap::from([("org.systemd.property.A b".to_owned(), "true".to_owned())]);
        assert!(asked(Some(&bad)).unwrap_err().to_string().contains("org.systemd.property.A b"));
    }

    #[test]
    fn limits_are_properties_too() {
        let write = |file: &str, value: &str| Write { controller: "", file: file.into(), value: value.into() };
        let told = |file: &str, value: &str| {
            let all = properties(&[write(file, value)], 252);
            all.iter().map(|(name, value)| format!("{name} {value:?}")).collect::<Vec<_>>().join(" ")
        };
        assert_eq!(told("memory.max", "4096"), "MemoryMax U64(4096)");
        assert_eq!(told("pids.max", "max"), format!("TasksMax U64({})", u64::MAX));
        assert_eq!(told("cpu.max", "12345 50000"), "CPUQuotaPeriodUSec U64(50000) CPUQuotaPerSecUSec U64(250000)");
        assert_eq!(
            told("cpu.max", "max 100000"),
            format!("CPUQuotaPeriodUSec U64(100000) CPUQuotaPerSecUSec U64({})", u64::MAX)
        );
        assert_eq!(told("cpuset.cpus", "0-1"), "AllowedCPUs Bytes([3, 0, 0, 0, 0, 0, 0, 0])");
        assert_eq!(told("cpu.idle", "1"), "CPUWeight U64(0)");
        assert_eq!(told("hugetlb.2MB.max", "1") + &told("memory.max", "many"), "");
    }
}

//! `update` and `events`.

use std::io::Read;
use std::path::Path;

use sampan::Result;
use sampan::oci::Runtime;
use serde_json::{Value, json};

use super::verbs::{io, print};
use super::words::{Events, Update};

pub fn update(runtime: &Runtime, args: &Update) -> Result<u8> {
    let resources = match args.resources.as_deref() {
        Some(path) => read(path)?,
        None => from_flags(args).to_string(),
    };
    runtime.update(&args.id, &resources).map(|()| 0)
}

fn read(path: &Path) -> Result<String> {
    let told = |e: std::io::Error| io("read resources", &path.display().to_string(), &e);
    if path != Path::new("-") {
        return std::fs::read_to_string(path).map_err(told);
    }
    let mut text = String::new();
    std::io::stdin().read_to_string(&mut text).map_err(told)?;
    Ok(text)
}

fn from_flags(args: &Update) -> Value {
    let groups = [
        ("blockIO", json!({"weight": args.blkio_weight})),
        (
            "cpu",
            json!({
                "shares": args.cpu_share, "quota": args.cpu_quota, "period": args.cpu_period, "burst": args.cpu_burst,
                "realtimePeriod": args.cpu_rt_period, "realtimeRuntime": args.cpu_rt_runtime, "idle": args.cpu_idle,
                "cpus": args.cpuset_cpus, "mems": args.cpuset_mems,
            }),
        ),
        ("memory", json!({"limit": args.memory, "reservation": args.memory_reservation, "swap": args.memory_swap})),
        ("pids", json!({"limit": args.pids_limit})),
    ];
    let given = groups.into_iter().map(|(name, group)| (name.to_owned(), without_nulls(group)));
    given.filter(|(_, group)| group.as_object().is_some_and(|group| !group.is_empty())).collect()
}

fn without_nulls(group: Value) -> Value {
    let members = group.as_object().cloned().unwrap_or_default();
    members.into_iter().filter(|(_, value)| !value.is_null()).collect()
}

pub fn events(runtime: &Runtime, args: &Events) -> Result<u8> {
    let print = |value: &Value| print(&value.to_string()).map(drop);
    match args.stats {
        true => print(&runtime.stats(&args.id)?)?,
        false => runtime.events(&args.id, args.interval, print)?,
    }
    Ok(0)
}

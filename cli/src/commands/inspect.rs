//! `inspect`: records as JSON, of containers, then of images.

use sampan::{ContainerInfo, DeviceRate, Engine, Error, Health, ImageInfo, Kind, Probe, RunOptions, Status};
use serde_json::{Value, json};

use crate::cli::InspectArgs;
use crate::fail::{Outcome, complain};
use crate::output;

pub fn inspect(engine: &Engine, args: &InspectArgs, kind: Option<&str>) -> Outcome {
    let mut found = Vec::new();
    let mut code = 0;
    for name in &args.names {
        match look_up(engine, name, kind) {
            Ok(value) => found.push(value),
            Err(error) => {
                complain(error);
                code = 1;
            }
        }
    }
    match args.format.as_deref() {
        None => output::line(serde_json::to_string_pretty(&found)?)?,
        Some(format) => found.iter().try_for_each(|value| output::record(format, value))?,
    }
    Ok(code)
}

fn look_up(engine: &Engine, name: &str, kind: Option<&str>) -> Result<Value, Error> {
    let container = || engine.container(name).and_then(|c| c.inspect()).and_then(with_state);
    let image = || engine.inspect_image(name).and_then(with_config);
    match kind {
        Some("container") => container(),
        Some(_) => image(),
        None => container().or_else(|error| match error.kind() {
            Kind::NotFound | Kind::InvalidArgument => image().map_err(|_| nothing(name)),
            _ => Err(error),
        }),
    }
}

fn nothing(name: &str) -> Error {
    Error::new(Kind::NotFound, "inspect", name).because("there is no such container or image")
}

/// What we say of a container, and beside it what Docker says of its state and its limits in the same words.
fn with_state(info: ContainerInfo) -> Result<Value, Error> {
    let (state, mut limits, restarts) = (state(&info), limits(&info.options), info.restart_count);
    limits["UsernsMode"] = info.options.userns.as_deref().unwrap_or_default().into();
    if !info.uid_map.is_empty() {
        limits["IDMappings"] = json!({ "UidMap": info.uid_map, "GidMap": info.gid_map });
    }
    let config = config(&info);
    let mut value = as_json(info)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("Config".to_owned(), config);
        members.insert("HostConfig".to_owned(), limits);
        members.insert("State".to_owned(), state);
        members.insert("RestartCount".to_owned(), restarts.into());
    }
    Ok(value)
}

fn config(info: &ContainerInfo) -> Value {
    json!({
        "Image": info.image,
        "Cmd": info.command,
        "Env": info.env,
        "Labels": info.labels,
        "User": info.user,
        "WorkingDir": info.workdir,
        "Hostname": info.hostname,
        "Tty": info.options.tty,
        "OpenStdin": info.options.interactive,
        "StopSignal": info.stop_signal,
    })
}

/// What we say of an image, and beside it what Docker says of it by other names.
fn with_config(info: ImageInfo) -> Result<Value, Error> {
    let config = json!({
        "Cmd": info.command,
        "Entrypoint": info.entrypoint,
        "Env": info.env,
        "Labels": info.labels,
        "User": info.user,
        "WorkingDir": info.workdir,
        "StopSignal": info.stop_signal,
    });
    let tags = json!(info.tags);
    let mut value = as_json(info)?;
    if let Some(members) = value.as_object_mut() {
        members.insert("Config".to_owned(), config);
        members.insert("RepoTags".to_owned(), tags);
    }
    Ok(value)
}

fn state(info: &ContainerInfo) -> Value {
    let exit = info.exit.clone().unwrap_or_default();
    let mut state = json!({
        "Status": info.status.word(),
        "Running": matches!(info.status, Status::Running | Status::Paused | Status::Restarting),
        "Paused": info.status == Status::Paused,
        "Restarting": info.status == Status::Restarting,
        "OOMKilled": exit.oom_killed || info.oom_kills.is_some_and(|kills| kills > 0),
        "Dead": info.status == Status::Dead,
        "Pid": info.pid.unwrap_or(0),
        "ExitCode": exit.code,
        "Error": exit.error.unwrap_or_default(),
        "StartedAt": info.started_at,
        "FinishedAt": exit.finished_at,
    });
    if let Some(found) = &info.health {
        state["Health"] = health(found);
    }
    state
}

/// As in Docker: 0 stands for no limit, and null for what is the host's.
fn limits(options: &RunOptions) -> Value {
    let rates = |rates: &[DeviceRate]| -> Value {
        rates.iter().map(|of| json!({ "Path": of.path, "Rate": of.rate })).collect()
    };
    let weights = options.blkio_weight_device.iter().map(|of| json!({ "Path": of.path, "Weight": of.weight }));
    json!({
        "BlkioWeight": options.blkio_weight.unwrap_or(0),
        "BlkioWeightDevice": weights.collect::<Value>(),
        "BlkioDeviceReadBps": rates(&options.device_read_bps),
        "BlkioDeviceWriteBps": rates(&options.device_write_bps),
        "BlkioDeviceReadIOps": rates(&options.device_read_iops),
        "BlkioDeviceWriteIOps": rates(&options.device_write_iops),
        "CgroupParent": options.cgroup_parent.clone().unwrap_or_default(),
        "CpuPeriod": options.cpu_period.unwrap_or(0),
        "CpuQuota": options.cpu_quota.unwrap_or(0),
        "CpuRealtimePeriod": options.cpu_rt_period.unwrap_or(0),
        "CpuRealtimeRuntime": options.cpu_rt_runtime.unwrap_or(0),
        "CpuShares": options.cpu_shares.unwrap_or(0),
        "CpusetCpus": options.cpuset_cpus.clone().unwrap_or_default(),
        "CpusetMems": options.cpuset_mems.clone().unwrap_or_default(),
        "Memory": options.memory.unwrap_or(0),
        "MemoryReservation": options.memory_reservation.unwrap_or(0),
        "MemorySwap": options.memory_swap.unwrap_or(0),
        "MemorySwappiness": options.memory_swappiness.filter(|n| *n >= 0),
        "NanoCpus": (options.cpus.unwrap_or(0.0) * 1e9).round() as i64,
        "OomKillDisable": options.oom_kill_disable,
        "OomScoreAdj": options.oom_score_adj.unwrap_or(0),
        "PidsLimit": options.pids_limit,
    })
}

fn health(found: &Health) -> Value {
    let probe = |probe: &Probe| {
        json!({
            "Start": probe.started_at,
            "End": probe.finished_at,
            "ExitCode": probe.exit_code,
            "Output": probe.output,
        })
    };
    let log: Vec<Value> = found.log.iter().map(probe).collect();
    json!({ "Status": found.status.word(), "FailingStreak": found.failing_streak, "Log": log })
}

fn as_json<T: serde::Serialize>(record: T) -> Result<Value, Error> {
    serde_json::to_value(record).map_err(|e| Error::new(Kind::System, "write JSON", "").because(e.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan::{ExitStatus, HealthStatus};

    #[test]
    fn limits_have_docker_s_names() {
        let options = RunOptions {
            blkio_weight: Some(300),
            device_write_iops: vec![DeviceRate { path: "/dev/sda".into(), rate: 9 }],
            cpus: Some(1.5),
            cpuset_mems: Some("0".into()),
            ..RunOptions::default()
        };
        let told = limits(&options);
        assert!(told["BlkioWeight"] == 300 && told["NanoCpus"] == 1_500_000_000 && told["CpusetMems"] == "0");
        assert_eq!(told["BlkioDeviceWriteIOps"], json!([{ "Path": "/dev/sda", "Rate": 9 }]));
        assert_eq!(told["BlkioDeviceReadBps"], json!([]));
        assert!(told["MemorySwappiness"].is_null() && told["OomKillDisable"] == false && told["CpuQuota"] == 0);
    }

    #[test]
    fn the_state_is_docker_s() {
        let exit = ExitStatus { code: 137, oom_killed: true, ..ExitStatus::default() };
        let of = |status, exit| state(&ContainerInfo { status, exit, ..ContainerInfo::default() });
        let restarting = of(Status::Restarting, Some(exit));
        for member in ["Running", "Restarting", "OOMKilled"] {
            assert_eq!(restarting[member], true, "{member}");
        }
        assert!(restarting["ExitCode"] == 137 && restarting["Status"] == "restarting");
        let killed = ContainerInfo { status: Status::Running, oom_kills: Some(1), ..ContainerInfo::default() };
        let log = vec![Probe { exit_code: -1, output: "late".into(), ..Probe::default() }];
        let found = Health { status: HealthStatus::Unhealthy, failing_streak: 3, log };
        let ill = state(&ContainerInfo { health: Some(found), ..killed.clone() });
        assert!(ill["Health"]["Status"] == "unhealthy" && ill["Health"]["Log"][0]["ExitCode"] == -1);
        assert!(state(&killed).get("Health").is_none());
        assert!(state(&killed)["OOMKilled"] == true && of(Status::Running, None)["OOMKilled"] == false);
    }
}

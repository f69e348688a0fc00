//! `ps`, with Docker's columns and phrases.

use sampan::{ContainerInfo, Engine, HealthStatus, ListOptions, Status};
use serde_json::json;

use crate::cli::PsArgs;
use crate::fail::Outcome;
use crate::output::{self, Column, Row, human};

const COLUMNS: &[Column] = &[
    ("CONTAINER ID", "ID"),
    ("IMAGE", "Image"),
    ("COMMAND", "Command"),
    ("CREATED", "RunningFor"),
    ("STATUS", "Status"),
    ("PORTS", "Ports"),
    ("NAMES", "Names"),
];

pub fn ps(engine: &Engine, args: &PsArgs) -> Outcome {
    let last = if args.latest { Some(1) } else { args.last };
    let options = ListOptions { all: args.all || last.is_some(), filters: args.filter.clone() };
    let infos = engine.containers(&options)?;
    let shown = infos.iter().take(last.unwrap_or(usize::MAX));
    let rows: Vec<Row> = shown.map(|info| row(info, args.list.no_trunc)).collect();
    output::list(&args.list, COLUMNS, &rows)?;
    Ok(0)
}

fn row(info: &ContainerInfo, whole: bool) -> Row {
    let command = info.command.join(" ");
    let labels = info.labels.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>();
    let mounts = info.mounts.iter().map(|m| if m.source.is_empty() { &*m.target } else { &*m.source });
    let row = json!({
        "ID": if whole { &info.id } else { human::short(&info.id) },
        "Image": human::familiar(&info.image),
        "ImageID": info.image_id,
        "Command": format!("{:?}", if whole { command } else { human::ellipsis(&command, 20) }),
        "CreatedAt": info.created_at,
        "RunningFor": human::ago(&info.created_at),
        "Status": status(info),
        "State": info.status.word(),
        "Ports": "",
        "Names": info.name,
        "Labels": labels.join(","),
        output::LABEL: info.labels,
        "Mounts": mounts.collect::<Vec<_>>().join(","),
        "Networks": info.network,
    });
    row.as_object().cloned().unwrap_or_default()
}

fn status(info: &ContainerInfo) -> String {
    let up = || info.started_at.as_deref().and_then(human::since).unwrap_or_default();
    match (info.status, &info.exit) {
        (Status::Running, _) => format!("Up {}{}", up(), health(info)),
        (Status::Paused, _) => format!("Up {} (Paused)", up()),
        (Status::Restarting, Some(exit)) => format!("Restarting ({}) {}", exit.code, human::ago(&exit.finished_at)),
        (Status::Restarting, None) => "Restarting".to_owned(),
        (Status::Created, _) => "Created".to_owned(),
        (Status::Exited, Some(exit)) => format!("Exited ({}) {}", exit.code, human::ago(&exit.finished_at)),
        (Status::Exited, None) => "Exited".to_owned(),
        (Status::Dead, _) => "Dead".to_owned(),
    }
}

fn health(info: &ContainerInfo) -> String {
    match info.health.as_ref().map(|health| health.status) {
        Some(HealthStatus::Starting) => " (health: starting)".to_owned(),
        Some(status) => format!(" ({})", status.word()),
        None => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use sampan::ExitStatus;

    #[test]
    fn a_row_has_docker_s_words() {
        let exit = ExitStatus { code: 137, finished_at: "2001-01-01T00:00:00Z".into(), ..Default::default() };
        let info = ContainerInfo {
            id: "0123456789abcdef".into(),
            image: "docker.io/library/alpine:3".into(),
            command: vec!["sleep".into(), "1000000000000000000".into()],
            status: Status::Exited,
            exit: Some(exit),
            ..Default::default()
        };
        let row = row(&info, false);
        assert_eq!((row["ID"].as_str(), row["Image"].as_str()), (Some("0123456789ab"), Some("alpine:3")));
        assert_eq!(row["Command"], "\"sleep 1000000000000…\"");
        let status = row["Status"].as_str().unwrap();
        assert!(status.starts_with("Exited (137) ") && status.ends_with(" years ago"), "{status}");
    }
}

//! The `sampan` command: Docker's words for what the library does so far.

use std::io::{IsTerminal, Write};
use std::process::ExitCode;

use clap::{Args, Parser, Subcommand};
use sampan::{
    Cancel, Container, Engine, EngineOptions, Event, ListOptions, LogOptions, PullOptions, RemoveImageOptions,
    RemoveOptions, Result, RunOptions, Stdio, StopOptions, Stream,
};

#[derive(Parser)]
#[command(name = "sampan", version, about = "Runs OCI containers without a daemon")]
struct Cli {
    /// The store.
    #[arg(long, global = true, env = "SAMPAN_ROOT")]
    root: Option<String>,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(Subcommand)]
enum Verb {
    /// Create and run a container.
    Run(Run),
    /// Pull an image.
    Pull { image: String },
    /// List images.
    Images,
    /// Give an image a further reference.
    Tag { image: String, reference: String },
    /// Remove images.
    Rmi { images: Vec<String> },
    /// List containers.
    Ps {
        /// Also those that don't run.
        #[arg(short, long)]
        all: bool,
        /// key=value
        #[arg(short, long)]
        filter: Vec<String>,
    },
    /// Show all there is to know about containers, as JSON.
    Inspect { containers: Vec<String> },
    /// Show a container's log.
    Logs {
        /// Go on until it ends.
        #[arg(short, long)]
        follow: bool,
        /// Only the last lines.
        #[arg(long)]
        tail: Option<u64>,
        container: String,
    },
    /// Start containers.
    Start { containers: Vec<String> },
    /// Stop containers.
    Stop {
        /// Seconds to wait before SIGKILL.
        #[arg(short, long)]
        time: Option<f64>,
        containers: Vec<String>,
    },
    /// Send a signal to containers.
    Kill {
        #[arg(short, long, default_value = "KILL")]
        signal: String,
        containers: Vec<String>,
    },
    /// Wait for containers to end and print their exit codes.
    Wait { containers: Vec<String> },
    /// Remove containers.
    Rm {
        /// Kill it first when it runs.
        #[arg(short, long)]
        force: bool,
        /// Also remove its anonymous volumes.
        #[arg(short, long)]
        volumes: bool,
        containers: Vec<String>,
    },
    /// Give a container another name.
    Rename { container: String, name: String },
    /// Tell what this host allows, and run a self-test.
    Doctor,
}

#[derive(Args)]
struct Run {
    /// Run in the background and print the id.
    #[arg(short, long)]
    detach: bool,
    /// Read standard input.
    #[arg(short, long)]
    interactive: bool,
    /// Remove it when it has ended.
    #[arg(long)]
    rm: bool,
    /// A name.
    #[arg(long)]
    name: Option<String>,
    /// KEY=VALUE, or KEY to pass it on.
    #[arg(short, long)]
    env: Vec<String>,
    /// Working directory.
    #[arg(short, long)]
    workdir: Option<String>,
    /// user[:group]
    #[arg(short, long)]
    user: Option<String>,
    /// none or host.
    #[arg(long)]
    network: Option<String>,
    image: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

impl Run {
    fn options(&self) -> RunOptions {
        RunOptions {
            image: self.image.clone(),
            command: self.command.clone(),
            name: self.name.clone(),
            env: self.env.iter().filter_map(|e| assignment(e)).collect(),
            workdir: self.workdir.clone(),
            user: self.user.clone(),
            network: self.network.clone(),
            auto_remove: self.rm && self.detach,
            ..RunOptions::default()
        }
    }
}

fn assignment(text: &str) -> Option<(String, String)> {
    match text.split_once('=') {
        Some((key, value)) => Some((key.into(), value.into())),
        None => Some((text.into(), std::env::var(text).ok()?)),
    }
}

fn main() -> ExitCode {
    let cli = Cli::parse();
    match work(&cli) {
        Ok(code) => ExitCode::from(code),
        Err(e) => {
            eprintln!("sampan: {e}");
            ExitCode::from(if matches!(cli.verb, Verb::Run(_)) { e.exit_code() as u8 } else { 1 })
        }
    }
}

fn work(cli: &Cli) -> Result<u8> {
    let engine = Engine::open(&EngineOptions { root: cli.root.clone(), ..EngineOptions::default() })?;
    let cancel = Cancel::new();
    let each = |names: &[String], act: &dyn Fn(Container) -> Result<()>| {
        names.iter().try_for_each(|name| engine.container(name).and_then(act).map(|()| println!("{name}"))).map(|()| 0)
    };
    match &cli.verb {
        Verb::Run(run) => return run_container(&engine, run, &cancel),
        Verb::Pull { image } => {
            let info = engine.pull(image, &PullOptions::default(), &mut progress(), &cancel)?;
            println!("{}", info.digest);
        }
        Verb::Images => images(&engine)?,
        Verb::Tag { image, reference } => engine.tag(image, reference)?,
        Verb::Rmi { images } => remove_images(&engine, images)?,
        Verb::Ps { all, filter } => containers(&engine, &ListOptions { all: *all, filters: filter.clone() })?,
        Verb::Inspect { containers } => {
            let infos = containers.iter().map(|c| engine.container(c)?.inspect()).collect::<Result<Vec<_>>>()?;
            println!("{}", serde_json::to_string_pretty(&infos).expect("records are JSON"));
        }
        Verb::Logs { follow, tail, container } => {
            let options = LogOptions { follow: *follow, tail: *tail, ..LogOptions::default() };
            logs(&engine.container(container)?, &options, &cancel)?;
        }
        Verb::Start { containers } => return each(containers, &|c| c.start(&Stdio::default(), &cancel)),
        Verb::Stop { time, containers } => {
            return each(containers, &|c| c.stop(&StopOptions { timeout: *time, signal: None }, &cancel));
        }
        Verb::Kill { signal, containers } => return each(containers, &|c| c.kill(signal)),
        Verb::Wait { containers } => {
            for name in containers {
                println!("{}", engine.container(name)?.wait(None, &cancel)?.code);
            }
        }
        Verb::Rm { force, volumes, containers } => {
            return each(containers, &|c| c.remove(&RemoveOptions { force: *force, volumes: *volumes }));
        }
        Verb::Rename { container, name } => engine.container(container)?.rename(name)?,
        Verb::Doctor => return doctor(&engine),
    }
    Ok(0)
}

/// The container's streams are this process's own: the library copies, the command only waits.
fn run_container(engine: &Engine, run: &Run, cancel: &Cancel) -> Result<u8> {
    let attached = Stdio { stdin: run.interactive.then_some(0), stdout: Some(1), stderr: Some(2) };
    let stdio = if run.detach { Stdio::default() } else { attached };
    let container = engine.spawn(&run.options(), &stdio, &mut progress(), cancel)?;
    if run.detach {
        println!("{}", container.id());
        return Ok(0);
    }
    let exit = container.wait(None, cancel)?;
    if run.rm {
        container.remove(&RemoveOptions { force: false, volumes: true })?;
    }
    Ok(exit.code as u8)
}

fn progress() -> impl FnMut(&Event) {
    let terminal = std::io::stderr().is_terminal();
    move |event| match event {
        Event::LayerStarted { digest, total } if terminal => eprintln!("{}: {total} bytes", &digest[7..19]),
        Event::LayerDone { digest, .. } if terminal => eprintln!("{}: done", &digest[7..19]),
        _ => {}
    }
}

fn table(header: &[&str], rows: Vec<Vec<String>>) {
    let mut table = comfy_table::Table::new();
    table.set_header(header).add_rows(rows);
    println!("{table}");
}

fn short(digest: &str) -> String {
    digest.trim_start_matches("sha256:").chars().take(12).collect()
}

fn images(engine: &Engine) -> Result<()> {
    let rows = engine.images()?.into_iter().map(|i| {
        let created = i.created.unwrap_or_default();
        vec![i.tags.join(" "), short(&i.id), created, i.size.to_string()]
    });
    table(&["REFERENCE", "IMAGE ID", "CREATED", "SIZE"], rows.collect());
    Ok(())
}

fn remove_images(engine: &Engine, images: &[String]) -> Result<()> {
    for image in images {
        for step in engine.remove_image(image, &RemoveImageOptions::default())? {
            step.untagged.iter().for_each(|t| println!("Untagged: {t}"));
            step.deleted.iter().for_each(|d| println!("Deleted: {d}"));
        }
    }
    Ok(())
}

fn containers(engine: &Engine, options: &ListOptions) -> Result<()> {
    let rows = engine
        .containers(options)?
        .into_iter()
        .map(|c| vec![short(&c.id), c.image, c.command.join(" "), c.created_at, c.status.word().to_owned(), c.name]);
    table(&["CONTAINER ID", "IMAGE", "COMMAND", "CREATED", "STATUS", "NAMES"], rows.collect());
    Ok(())
}

fn logs(container: &Container, options: &LogOptions, cancel: &Cancel) -> Result<()> {
    let mut log = container.logs(options)?;
    while let Some(entry) = log.next(cancel)? {
        // A reader that is gone wants no more.
        let written = match entry.stream {
            Stream::Stdout => std::io::stdout().write_all(&entry.data),
            Stream::Stderr => std::io::stderr().write_all(&entry.data),
        };
        if written.is_err() {
            break;
        }
    }
    Ok(())
}

fn doctor(engine: &Engine) -> Result<u8> {
    let report = engine.doctor()?;
    for check in &report.checks {
        println!("{:<5} {:<14} {}", check.status.word(), check.name, check.detail);
        check.hint.iter().for_each(|hint| println!("{:21}{hint}", ""));
    }
    println!("rung {}: {}", report.rung.word(), report.reason);
    Ok(if report.ok { 0 } else { 1 })
}

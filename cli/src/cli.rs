//! The command line: every command and its flags, in Docker's words.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};
use clap_complete::Shell;
use sampan::{CgroupManager, EngineOptions, Rung};

use crate::flags::{CreateArgs, ExecArgs, Limits, RunArgs, patience};
use crate::late::Late;

const EXAMPLES: &str = "\
Examples:
  sampan run --rm alpine echo hello          run a command, remove the container
  sampan run -it --rm debian                 a shell in a container
  sampan run -d --name web -m 256m nginx     in the background, limited
  sampan exec -it web sh                     a shell beside it
  sampan logs -f web                         read its output
  sampan doctor                              what this machine allows";

/// Containers without a daemon, in Docker's words.
#[derive(Debug, Parser)]
#[command(name = "sampan", version, after_help = EXAMPLES, disable_help_subcommand = true, arg_required_else_help = true)]
pub struct Cli {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Clone, Debug, Args)]
pub struct Global {
    /// The store of images and containers
    #[arg(long, env = "SAMPAN_ROOT", value_name = "DIR", global = true, help_heading = "Store")]
    root: Option<String>,
    /// Sockets and leases that need not outlive a boot
    #[arg(long, env = "SAMPAN_RUN", value_name = "DIR", global = true, help_heading = "Store")]
    run_dir: Option<String>,
    /// Isolate by `root`, `subids` or `single-id` instead of the best that works
    #[arg(long, env = "SAMPAN_RUNG", value_name = "RUNG", value_parser = rung, global = true, help_heading = "Store")]
    rung: Option<Rung>,
    /// Who makes the cgroups of containers, `cgroupfs` (the default) or `systemd`: often a plain user's only way to limits
    #[arg(long, env = "SAMPAN_CGROUP_MANAGER", value_name = "WHO", value_parser = cgroup_manager, global = true, help_heading = "Store")]
    cgroup_manager: Option<CgroupManager>,
    /// A registry spoken to without TLS (loopback needs no entry)
    #[arg(long, value_name = "HOST:PORT", global = true, help_heading = "Store")]
    insecure_registry: Vec<String>,
}

fn rung(word: &str) -> Result<Rung, String> {
    word.parse::<Rung>().map_err(|e| e.cause())
}

fn cgroup_manager(word: &str) -> Result<CgroupManager, String> {
    word.parse::<CgroupManager>().map_err(|e| e.cause())
}

impl Global {
    pub fn options(&self) -> EngineOptions {
        EngineOptions {
            root: self.root.clone(),
            run: self.run_dir.clone(),
            rung: self.rung,
            cgroup_manager: self.cgroup_manager,
            insecure_registries: self.insecure_registry.clone(),
            ..Default::default()
        }
    }
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Create a container and run a command in it
    Run(Late<RunArgs>),
    /// Create a container without starting it
    Create(Late<CreateArgs>),
    /// Run a command in a running container
    Exec(Late<ExecArgs>),
    /// Freeze the processes of running containers
    Pause(Late<Names>),
    /// Let frozen containers go on
    Unpause(Late<Names>),
    /// List a container's processes
    Top(Late<TopArgs>),
    /// Show what running containers use
    Stats(Late<StatsArgs>),
    /// Change the limits and the restart policy of containers
    Update(Late<UpdateArgs>),
    /// Start containers that don't run
    Start(Late<StartArgs>),
    /// Take part in a running container: its output from now on, its input
    Attach(Late<AttachArgs>),
    /// Copy files between a container and this machine
    Cp(Late<CpArgs>),
    /// Stop running containers
    Stop(Late<StopArgs>),
    /// Stop containers and start them again
    Restart(Late<StopArgs>),
    /// Send a signal to running containers
    Kill(Late<KillArgs>),
    /// Wait until containers end, and print their exit codes
    Wait(Late<Names>),
    /// Remove containers
    Rm(Late<RmArgs>),
    /// Give a container another name
    Rename(Late<RenameArgs>),
    /// List containers
    Ps(Late<PsArgs>),
    /// Print what a container has written
    Logs(Late<LogsArgs>),
    /// All there is to know about containers or images, as JSON
    Inspect(Late<InspectArgs>),
    /// Show what happens: containers, images, volumes, whichever process does it
    Events(Late<EventsArgs>),
    /// List images
    Images(Late<ImagesArgs>),
    /// Pull an image from a registry
    Pull(Late<PullArgs>),
    /// Remove images
    Rmi(Late<RmiArgs>),
    /// Give an image a further name
    Tag(Late<TagArgs>),
    /// Where the engine stands
    Info(Late<FormatArg>),
    /// The version
    Version(Late<FormatArg>),
    /// What this machine allows, and what would better it
    Doctor(Late<FormatArg>),
    /// As root, once: give plain users of this machine what they need to run containers
    Setup(Late<SetupArgs>),
    /// Remove data that no image or container uses
    Gc,
    /// A completion script for a shell
    Completion { shell: Shell },
    /// The OCI runtime, in runc's words; also the name `sampan-oci` (see `sampan oci --help`)
    #[command(disable_help_flag = true)]
    Oci {
        #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
        words: Vec<std::ffi::OsString>,
    },
    /// Manage containers
    #[command(subcommand)]
    Container(Late<ContainerCommand>),
    /// Manage images
    #[command(subcommand)]
    Image(Late<ImageCommand>),
    /// Manage the store
    #[command(subcommand)]
    System(Late<SystemCommand>),
}

#[derive(Debug, Subcommand)]
pub enum ContainerCommand {
    /// Create a container and run a command in it
    Run(Late<RunArgs>),
    /// Create a container without starting it
    Create(Late<CreateArgs>),
    /// Run a command in a running container
    Exec(Late<ExecArgs>),
    /// Freeze the processes of running containers
    Pause(Late<Names>),
    /// Let frozen containers go on
    Unpause(Late<Names>),
    /// List a container's processes
    Top(Late<TopArgs>),
    /// Show what running containers use
    Stats(Late<StatsArgs>),
    /// Change the limits and the restart policy of containers
    Update(Late<UpdateArgs>),
    /// Start containers that don't run
    Start(Late<StartArgs>),
    /// Take part in a running container: its output from now on, its input
    Attach(Late<AttachArgs>),
    /// Copy files between a container and this machine
    Cp(Late<CpArgs>),
    /// Stop running containers
    Stop(Late<StopArgs>),
    /// Stop containers and start them again
    Restart(Late<StopArgs>),
    /// Send a signal to running containers
    Kill(Late<KillArgs>),
    /// Wait until containers end, and print their exit codes
    Wait(Late<Names>),
    /// Remove containers
    #[command(visible_alias = "remove")]
    Rm(Late<RmArgs>),
    /// Give a container another name
    Rename(Late<RenameArgs>),
    /// List containers
    #[command(visible_aliases = ["list", "ps"])]
    Ls(Late<PsArgs>),
    /// Print what a container has written
    Logs(Late<LogsArgs>),
    /// All there is to know about containers, as JSON
    Inspect(Late<InspectArgs>),
    /// Remove every container that does not run
    Prune(Late<ForceArg>),
}

#[derive(Debug, Subcommand)]
pub enum ImageCommand {
    /// List images
    #[command(visible_alias = "list")]
    Ls(Late<ImagesArgs>),
    /// Pull an image from a registry
    Pull(Late<PullArgs>),
    /// Remove images
    #[command(visible_alias = "remove")]
    Rm(Late<RmiArgs>),
    /// Give an image a further name
    Tag(Late<TagArgs>),
    /// All there is to know about images, as JSON
    Inspect(Late<InspectArgs>),
    /// Remove image data that nothing uses
    Prune(Late<ForceArg>),
}

#[derive(Debug, Subcommand)]
pub enum SystemCommand {
    /// Where the engine stands
    Info(Late<FormatArg>),
    /// Show what happens: containers, images, volumes, whichever process does it
    Events(Late<EventsArgs>),
    /// Remove containers that don't run, and data that nothing uses
    Prune(Late<ForceArg>),
}

#[derive(Debug, Args)]
pub struct Names {
    /// Names, ids or unique beginnings of ids
    #[arg(value_name = "CONTAINER", required = true)]
    pub containers: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TopArgs {
    pub container: String,
    /// `json`, `table`, or a template such as '{{.PID}} {{.CMD}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

#[derive(Debug, Args)]
pub struct StatsArgs {
    /// Only once
    #[arg(long)]
    pub no_stream: bool,
    /// Don't shorten
    #[arg(long)]
    pub no_trunc: bool,
    /// `json`, `table`, or a template such as '{{.Name}} {{.CPUPerc}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Names or ids; all that run by default
    #[arg(value_name = "CONTAINER")]
    pub containers: Vec<String>,
}

#[derive(Debug, Args)]
pub struct UpdateArgs {
    #[command(flatten)]
    pub limits: Limits,
    /// What follows its end: no, on-failure[:MAX], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    pub restart: Option<String>,
    #[command(flatten)]
    pub names: Names,
}

#[derive(Debug, Args)]
pub struct StartArgs {
    /// Attach standard output and error, forward signals, return the exit code
    #[arg(short, long)]
    pub attach: bool,
    /// Attach standard input
    #[arg(short, long)]
    pub interactive: bool,
    /// The keys that detach, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    #[command(flatten)]
    pub names: Names,
}

#[derive(Debug, Args)]
pub struct AttachArgs {
    /// Don't pass standard input on
    #[arg(long)]
    pub no_stdin: bool,
    /// The keys that detach, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    /// Pass signals on to the container
    #[arg(long, value_name = "BOOL", default_value_t = true, num_args = 0..=1, require_equals = true, default_missing_value = "true", action = clap::ArgAction::Set)]
    pub sig_proxy: bool,
    pub container: String,
}

const CP_EXAMPLES: &str = "\
Examples:
  sampan cp web:/etc/nginx .                 a directory out of a container, running or not
  sampan cp site/. web:/usr/share/nginx/html what is in a directory, into it
  sampan cp -L web:/etc/localtime zone       what a link leads to
  tar c src | sampan cp - build:/work        an archive is unpacked
  sampan cp db:/var/lib/data - | tar t       and one is written";

#[derive(Debug, Args)]
#[command(after_help = CP_EXAMPLES)]
pub struct CpArgs {
    /// Keep the owners of files
    #[arg(short, long)]
    pub archive: bool,
    /// Copy what a link leads to when the source is a link
    #[arg(short = 'L', long)]
    pub follow_link: bool,
    /// Say nothing in a terminal either
    #[arg(short, long)]
    pub quiet: bool,
    /// CONTAINER:PATH, a path of this machine, or `-` for an archive from standard input
    #[arg(value_name = "SRC")]
    pub source: String,
    /// The same; `-` for an archive to standard output
    #[arg(value_name = "DEST")]
    pub dest: String,
}

#[derive(Debug, Args)]
pub struct StopArgs {
    /// Signal to send instead of the container's stop signal
    #[arg(short, long)]
    pub signal: Option<String>,
    /// Seconds to wait before SIGKILL
    #[arg(short = 't', long = "timeout", visible_alias = "time", value_name = "SECONDS", allow_hyphen_values = true, value_parser = patience)]
    pub timeout: Option<f64>,
    #[command(flatten)]
    pub names: Names,
}

#[derive(Debug, Args)]
pub struct KillArgs {
    /// Signal to send
    #[arg(short, long, default_value = "KILL")]
    pub signal: String,
    #[command(flatten)]
    pub names: Names,
}

#[derive(Debug, Args)]
pub struct RmArgs {
    /// Kill a running container first; say nothing of one that is missing
    #[arg(short, long)]
    pub force: bool,
    /// Remove its anonymous volumes too
    #[arg(short, long)]
    pub volumes: bool,
    #[command(flatten)]
    pub names: Names,
}

#[derive(Debug, Args)]
pub struct RenameArgs {
    pub container: String,
    pub name: String,
}

#[derive(Debug, Args)]
pub struct PsArgs {
    /// Also those that don't run
    #[arg(short, long)]
    pub all: bool,
    /// id=, name=, label=KEY[=VALUE], status=, ancestor=IMAGE, exited=CODE
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// The last N created, whatever their state
    #[arg(short = 'n', long, value_name = "N")]
    pub last: Option<usize>,
    /// The last created, whatever its state
    #[arg(short, long)]
    pub latest: bool,
    #[command(flatten)]
    pub list: ListArgs,
}

#[derive(Debug, Args)]
pub struct ListArgs {
    /// Ids only
    #[arg(short, long)]
    pub quiet: bool,
    /// Don't shorten
    #[arg(long)]
    pub no_trunc: bool,
    /// `json`, `table`, or a template such as '{{.ID}} {{.Names}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

#[derive(Debug, Args)]
pub struct LogsArgs {
    /// Go on until the container ends
    #[arg(short, long)]
    pub follow: bool,
    /// Only from this time on: 2024-01-02T15:04:05Z, Unix seconds, or 10m ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// Only before this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// Only the last N lines, or `all`
    #[arg(short = 'n', long, value_name = "N", default_value = "all", value_parser = tail, allow_hyphen_values = true)]
    pub tail: Tail,
    /// Show when each line was written
    #[arg(short, long)]
    pub timestamps: bool,
    pub container: String,
}

#[derive(Debug, Args)]
pub struct EventsArgs {
    /// Also what has happened, from this time on: 2024-01-02T15:04:05Z, Unix seconds, or 10m ago
    #[arg(long, value_name = "TIME")]
    pub since: Option<String>,
    /// End at this time
    #[arg(long, value_name = "TIME")]
    pub until: Option<String>,
    /// container=, image=, volume=, type=, event=, label=KEY[=VALUE]
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    /// `json`, or a template such as '{{.Time}} {{.Action}} {{.Actor.ID}}'
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

/// How many lines from the end; `None` is all.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Tail(pub Option<u64>);

fn tail(text: &str) -> Result<Tail, String> {
    match text {
        "all" => Ok(Tail(None)),
        // Docker takes any negative number for all.
        _ if text.starts_with('-') && text[1..].parse::<u64>().is_ok() => Ok(Tail(None)),
        _ => text.parse().map(|n| Tail(Some(n))).map_err(|_| "expected a number of lines or `all`".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct InspectArgs {
    /// `json` or a template such as '{{.status}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
    /// Only containers or only images
    #[arg(long = "type", value_name = "TYPE", value_parser = ["container", "image"])]
    pub kind: Option<String>,
    /// Containers or images
    #[arg(value_name = "NAME", required = true)]
    pub names: Vec<String>,
}

#[derive(Debug, Args)]
pub struct ImagesArgs {
    /// Accepted as Docker's; every image is shown
    #[arg(short, long, hide = true)]
    pub all: bool,
    /// Show digests
    #[arg(long)]
    pub digests: bool,
    /// reference=PATTERN, label=KEY[=VALUE], dangling=true|false
    #[arg(short, long, value_name = "KEY=VALUE")]
    pub filter: Vec<String>,
    #[command(flatten)]
    pub list: ListArgs,
    /// Only this repository, or this one tag
    #[arg(value_name = "REPOSITORY[:TAG]")]
    pub reference: Option<String>,
}

#[derive(Debug, Args)]
pub struct PullArgs {
    /// Print nothing but the image's name
    #[arg(short, long)]
    pub quiet: bool,
    /// os/arch[/variant]; this machine's by default
    #[arg(long, value_name = "PLATFORM")]
    pub platform: Option<String>,
    /// NAME[:TAG|@DIGEST]
    pub image: String,
}

#[derive(Debug, Args)]
pub struct RmiArgs {
    /// Also when stopped containers use it, or several tags point to it
    #[arg(short, long)]
    pub force: bool,
    #[arg(value_name = "IMAGE", required = true)]
    pub images: Vec<String>,
}

#[derive(Debug, Args)]
pub struct TagArgs {
    #[arg(value_name = "IMAGE")]
    pub source: String,
    #[arg(value_name = "NEW_NAME[:TAG]")]
    pub target: String,
}

#[derive(Debug, Args)]
pub struct FormatArg {
    /// `json` or a template such as '{{.version}}'
    #[arg(short, long, value_name = "FORMAT")]
    pub format: Option<String>,
}

const SETUP_EXAMPLES: &str = "\
Examples:
  sampan setup --dry-run --user alice        what would be done, and what is there already
  sudo sampan setup --user alice --user bob  subordinate ids, cgroups, an AppArmor profile
  sudo sampan setup --remove                 what was done is taken back, and nothing else";

#[derive(Debug, Args)]
#[command(after_help = SETUP_EXAMPLES)]
pub struct SetupArgs {
    /// Give this user subordinate ids, and a cgroup where no systemd does it; a name, or a number
    #[arg(long, value_name = "USER")]
    pub user: Vec<String>,
    /// Install the helper here, for programs that name it to their engine, and give it an AppArmor profile too
    #[arg(long, value_name = "PATH")]
    pub helper: Option<PathBuf>,
    /// Say what would be done, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    /// Take back what was done, and nothing that anybody has changed since
    #[arg(long, conflicts_with_all = ["user", "helper"])]
    pub remove: bool,
    /// `json` or a template such as '{{.name}} {{.state}}', for each step
    #[arg(long, value_name = "FORMAT")]
    pub format: Option<String>,
}

#[derive(Debug, Args)]
pub struct ForceArg {
    /// Don't ask
    #[arg(short, long)]
    pub force: bool,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tail_is_docker_s() {
        assert_eq!(tail("all"), Ok(Tail(None)));
        assert_eq!(tail("-1"), Ok(Tail(None)));
        assert_eq!(tail("20"), Ok(Tail(Some(20))));
        assert!(tail("few").is_err());
    }
}

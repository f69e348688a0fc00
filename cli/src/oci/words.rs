//! The command line of the runtime: runc's verbs and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use crate::flags::size;

/// In runc's form, which Docker reads.
const VERSION: &str = concat!("version ", env!("CARGO_PKG_VERSION"), "\nspec: 1.3.0");

/// An OCI runtime: containers from bundles.
#[derive(Debug, Parser)]
#[command(name = "sampan-oci", version = VERSION, disable_help_subcommand = true)]
pub struct Words {
    #[command(flatten)]
    pub global: Global,
    #[command(subcommand)]
    pub verb: Verb,
}

#[derive(Debug, Args)]
pub struct Global {
    /// Where containers are kept [default: /run/sampan/oci]
    #[arg(long, value_name = "DIR")]
    pub root: Option<PathBuf>,
    /// A file that failures are also written to
    #[arg(long, value_name = "FILE")]
    pub log: Option<PathBuf>,
    /// `text` or `json`
    #[arg(long, value_name = "FORM", default_value = "text", value_parser = ["text", "json"])]
    pub log_format: String,
    /// Accepted; nothing more is told than without it
    #[arg(long)]
    pub debug: bool,
    /// Cgroups by systemd, as scopes: linux.cgroupsPath is slice:prefix:name
    #[arg(long)]
    pub systemd_cgroup: bool,
    /// Accepted: what can be had is found out by trying
    #[arg(long, value_name = "WHETHER", num_args = 0..=1, default_missing_value = "true", require_equals = true)]
    pub rootless: Option<String>,
}

#[derive(Debug, Subcommand)]
pub enum Verb {
    /// Make a container from a bundle; its payload waits for `start`
    Create(Create),
    /// Start the payload of a container
    Start(Id),
    /// Make a container, start it, wait until it ends and delete it
    Run(Run),
    /// The state of a container, as JSON
    State(Id),
    /// Send a signal to a container's first process
    Kill(Kill),
    /// Delete a container that has ended
    Delete(Delete),
    /// Run a further process in a container
    Exec(Exec),
    /// The processes of a container
    Ps(Ps),
    /// Freeze a container
    Pause(Id),
    /// Let a paused container go on
    Resume(Id),
    /// Change the limits of a container
    Update(Box<Update>),
    /// What a container uses, and when its processes are killed for want of memory, as JSON
    Events(Events),
    /// The containers
    List(List),
    /// What this runtime can do, as JSON
    Features,
    /// Write a configuration to begin with
    Spec(Spec),
}

#[derive(Debug, Args)]
pub struct Id {
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Create {
    /// The bundle
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// A socket that receives the master of the terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// A file for the number of the first process
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Accepted: the root is pivoted where that can be, else moved
    #[arg(long)]
    pub no_pivot: bool,
    /// Accepted: the session keyring is new in any case
    #[arg(long)]
    pub no_new_keyring: bool,
    /// Further descriptors to hand on, from 3 on
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub preserve_fds: u32,
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Run {
    #[command(flatten)]
    pub create: Create,
    /// Return once the payload runs
    #[arg(long, short)]
    pub detach: bool,
    /// Do not delete the container once it has ended
    #[arg(long)]
    pub keep: bool,
}

#[derive(Debug, Args)]
pub struct Kill {
    /// To all processes of the container
    #[arg(long, short)]
    pub all: bool,
    pub id: String,
    #[arg(default_value = "SIGTERM")]
    pub signal: String,
}

#[derive(Debug, Args)]
pub struct Delete {
    /// End it first; one that is not there is no failure
    #[arg(long, short)]
    pub force: bool,
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Exec {
    /// A socket that receives the master of the terminal
    #[arg(long, value_name = "SOCKET")]
    pub console_socket: Option<PathBuf>,
    /// Working directory
    #[arg(long, value_name = "DIR")]
    pub cwd: Option<String>,
    /// NAME=value
    #[arg(long, short, value_name = "VARIABLE")]
    pub env: Vec<String>,
    /// Give it a terminal
    #[arg(long, short)]
    pub tty: bool,
    /// uid[:gid]
    #[arg(long, short, value_name = "USER")]
    pub user: Option<String>,
    /// The AppArmor profile that it enters [default: the container's]
    #[arg(long, value_name = "PROFILE")]
    pub apparmor: Option<String>,
    /// The SELinux label that it gets [default: the container's]
    #[arg(long, value_name = "LABEL")]
    pub process_label: Option<String>,
    /// The whole process, in a JSON file
    #[arg(long, short, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Return once it runs
    #[arg(long, short)]
    pub detach: bool,
    /// A capability that it has besides
    #[arg(long, value_name = "CAPABILITY")]
    pub cap: Vec<String>,
    /// A group that it belongs to besides
    #[arg(long, short = 'g', value_name = "GID")]
    pub additional_gids: Vec<u32>,
    /// It gains no privileges by an exec
    #[arg(long)]
    pub no_new_privs: bool,
    /// Also in a paused container, where it waits with the others
    #[arg(long)]
    pub ignore_paused: bool,
    /// A file for its number
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Further descriptors to hand on, from 3 on
    #[arg(long, value_name = "COUNT", default_value_t = 0)]
    pub preserve_fds: u32,
    pub id: String,
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub command: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Ps {
    /// `table` or `json`
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    pub id: String,
    /// Options of ps(1), whose table this is [default: -ef]
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
}

#[derive(Debug, Args)]
pub struct Update {
    /// The limits in the form of the configuration's `linux.resources`; `-` reads standard input. No other option counts then
    #[arg(long, short, value_name = "FILE")]
    pub resources: Option<PathBuf>,
    /// Weight of its block I/O
    #[arg(long, value_name = "WEIGHT")]
    pub blkio_weight: Option<u16>,
    /// Period of the CPU quota, in microseconds
    #[arg(long, value_name = "TIME")]
    pub cpu_period: Option<u64>,
    /// CPU time in a period, in microseconds; -1 for no limit
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub cpu_quota: Option<i64>,
    /// CPU time saved up beyond the quota, in microseconds
    #[arg(long, value_name = "TIME")]
    pub cpu_burst: Option<u64>,
    /// Relative CPU weight
    #[arg(long, value_name = "SHARES")]
    pub cpu_share: Option<u64>,
    /// Period of the real-time quota
    #[arg(long, value_name = "TIME")]
    pub cpu_rt_period: Option<u64>,
    /// Real-time quota
    #[arg(long, value_name = "TIME")]
    pub cpu_rt_runtime: Option<i64>,
    /// 1 for only what nobody else wants
    #[arg(long, value_name = "IDLE")]
    pub cpu_idle: Option<i64>,
    /// CPUs to run on
    #[arg(long, value_name = "CPUS")]
    pub cpuset_cpus: Option<String>,
    /// Memory nodes to use
    #[arg(long, value_name = "NODES")]
    pub cpuset_mems: Option<String>,
    /// Memory limit: bytes, 512m, 2g; -1 for none
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_or_unlimited, allow_hyphen_values = true)]
    pub memory: Option<i64>,
    /// Memory to be left with under pressure
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_or_unlimited, allow_hyphen_values = true)]
    pub memory_reservation: Option<i64>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_or_unlimited, allow_hyphen_values = true)]
    pub memory_swap: Option<i64>,
    /// Largest number of processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pub pids_limit: Option<i64>,
    pub id: String,
}

#[derive(Debug, Args)]
pub struct Events {
    /// Print what it uses once
    #[arg(long)]
    pub stats: bool,
    /// Seconds (or 500ms, 2m) from one to the next
    #[arg(long, value_name = "TIME", default_value = "5s", value_parser = duration)]
    pub interval: std::time::Duration,
    pub id: String,
}

/// As Go writes it, of one number; a bare number is in seconds.
fn duration(text: &str) -> Result<std::time::Duration, String> {
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    let scale = match unit {
        "ms" => 0.001,
        "" | "s" => 1.0,
        "m" => 60.0,
        "h" => 3600.0,
        _ => return Err(format!("{unit:?} is not one of ms, s, m and h")),
    };
    let seconds = number.parse::<f64>().map_err(|_| format!("{text:?} is no time"))? * scale;
    match seconds > 0.0 && seconds < 1e9 {
        true => Ok(std::time::Duration::from_secs_f64(seconds)),
        false => Err("it must be longer than nothing".to_owned()),
    }
}

#[derive(Debug, Args)]
pub struct List {
    /// `table` or `json`
    #[arg(long, short, value_name = "FORM", default_value = "table", value_parser = ["table", "json"])]
    pub format: String,
    /// Ids alone
    #[arg(long, short)]
    pub quiet: bool,
}

#[derive(Debug, Args)]
pub struct Spec {
    /// The bundle to write it into
    #[arg(long, short, value_name = "DIR", default_value = ".")]
    pub bundle: PathBuf,
    /// For a plain user
    #[arg(long)]
    pub rootless: bool,
}

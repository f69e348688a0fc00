//! The command line of the runtime: runc's verbs and flags.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

/// An OCI runtime: containers from bundles.
#[derive(Debug, Parser)]
#[command(name = "sampan-oci", version, disable_help_subcommand = true)]
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
    /// Cgroups by systemd: refused, they are made directly
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
    /// Further descriptors to hand on: refused unless 0
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
    /// The whole process, in a JSON file
    #[arg(long, short, value_name = "FILE")]
    pub process: Option<PathBuf>,
    /// Return once it runs
    #[arg(long, short)]
    pub detach: bool,
    /// A file for its number
    #[arg(long, value_name = "FILE")]
    pub pid_file: Option<PathBuf>,
    /// Further descriptors to hand on: refused unless 0
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
    /// Options of ps(1): not used, the numbers are printed
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub options: Vec<String>,
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

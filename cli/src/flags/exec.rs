//! The flags of `exec`.

use std::collections::BTreeMap;

use clap::Args;

use super::words;
use crate::fail::Fail;

const EXAMPLES: &str = "\
Examples:
  sampan exec web nginx -s reload
  sampan exec -it web sh
  sampan exec -u postgres -e PGOPTIONS=-q db psql -c 'select 1'
  tar c . | sampan exec -i build tar x -C /src";

#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct ExecArgs {
    /// Return at once; the command's output goes nowhere
    #[arg(short, long)]
    pub detach: bool,
    /// Attach standard input
    #[arg(short, long)]
    pub interactive: bool,
    /// Give the command a terminal
    #[arg(short, long)]
    pub tty: bool,
    /// User and group, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    pub user: Option<String>,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    pub workdir: Option<String>,
    /// Set a variable; without a value, take it from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// All capabilities; not a security boundary
    #[arg(long)]
    pub privileged: bool,
    /// Seconds after which the command is killed
    #[arg(long, value_name = "SECONDS")]
    pub timeout: Option<f64>,
    /// Keys that leave the command running and end this one
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    // One argument, so that whatever follows the container belongs to the command, dashes and all.
    /// The container, the command and its arguments
    #[arg(value_names = ["CONTAINER", "COMMAND"], trailing_var_arg = true, required = true, num_args = 2..)]
    container_and_command: Vec<String>,
}

impl ExecArgs {
    pub fn container(&self) -> &str {
        &self.container_and_command[0]
    }

    pub fn command(&self) -> &[String] {
        &self.container_and_command[1..]
    }

    pub fn env(&self) -> Result<BTreeMap<String, String>, Fail> {
        words::env(&self.env_file, &self.env)
    }
}

//! How a container's health is found out.

use clap::Args;
use sampan::RunOptions;

use super::words;

#[derive(Debug, Args)]
#[command(next_help_heading = "Health")]
pub struct HealthFlags {
    /// A command of the shell's that tells by its code whether it is healthy
    #[arg(long, value_name = "COMMAND")]
    health_cmd: Option<String>,
    /// Between two checks: 30s, 1m30s
    #[arg(long, value_name = "DURATION", value_parser = words::duration)]
    health_interval: Option<f64>,
    /// Failures in a row that make it unhealthy
    #[arg(long, value_name = "N")]
    health_retries: Option<u32>,
    /// Between two checks in the start period
    #[arg(long, value_name = "DURATION", value_parser = words::duration)]
    health_start_interval: Option<f64>,
    /// From the start, in which failures don't count
    #[arg(long, value_name = "DURATION", value_parser = words::duration)]
    health_start_period: Option<f64>,
    /// After which a check is killed, and has failed
    #[arg(long, value_name = "DURATION", value_parser = words::duration)]
    health_timeout: Option<f64>,
    /// Don't check its health, whatever the image says
    #[arg(long)]
    no_healthcheck: bool,
}

impl HealthFlags {
    pub fn fill(&self, options: &mut RunOptions) {
        options.health_cmd = self.health_cmd.clone();
        options.health_interval = self.health_interval;
        options.health_retries = self.health_retries;
        options.health_start_interval = self.health_start_interval;
        options.health_start_period = self.health_start_period;
        options.health_timeout = self.health_timeout;
        options.no_healthcheck = self.no_healthcheck;
    }
}

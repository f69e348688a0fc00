//! Limits, which a container is made with and which `update` changes.

use clap::Args;
use sampan::{RunOptions, UpdateOptions};

use super::size;

#[derive(Debug, Args)]
pub struct Limits {
    /// Memory limit: 512m, 2g
    #[arg(short, long, value_name = "SIZE", value_parser = size::bytes)]
    memory: Option<i64>,
    /// Memory and swap together; -1 for no limit
    #[arg(long, value_name = "SIZE", value_parser = size::bytes_or_unlimited, allow_hyphen_values = true)]
    memory_swap: Option<i64>,
    /// Memory to be left with under pressure
    #[arg(long, value_name = "SIZE", value_parser = size::bytes)]
    memory_reservation: Option<i64>,
    /// Number of CPUs: 1.5
    #[arg(long, value_name = "N")]
    cpus: Option<f64>,
    /// Relative CPU weight
    #[arg(short, long, value_name = "N")]
    cpu_shares: Option<u64>,
    /// CPUs to run on: 0-2,4
    #[arg(long, value_name = "CPUS")]
    cpuset_cpus: Option<String>,
    /// Largest number of processes; -1 for no limit
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    pids_limit: Option<i64>,
}

impl Limits {
    pub fn fill(&self, options: &mut RunOptions) {
        options.memory = self.memory;
        options.memory_swap = self.memory_swap;
        options.memory_reservation = self.memory_reservation;
        options.cpus = self.cpus;
        options.cpu_shares = self.cpu_shares;
        options.cpuset_cpus = self.cpuset_cpus.clone();
        options.pids_limit = self.pids_limit;
    }

    pub fn changes(&self) -> UpdateOptions {
        UpdateOptions {
            memory: self.memory,
            memory_swap: self.memory_swap,
            memory_reservation: self.memory_reservation,
            cpus: self.cpus,
            cpu_shares: self.cpu_shares,
            cpuset_cpus: self.cpuset_cpus.clone(),
            pids_limit: self.pids_limit,
            restart: None,
        }
    }
}

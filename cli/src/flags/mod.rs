//! The flags of `run` and `create`, and how they become options.

mod exec;
mod health;
mod limits;
mod mount;
pub mod size;
mod words;

use clap::{ArgAction, Args};
use sampan::{PullPolicy, RunOptions, Tie};

use crate::fail::Fail;
pub use exec::ExecArgs;
pub use limits::Limits;
pub use words::{StdStream, given, patience, truth};

const RUN_EXAMPLES: &str = "\
Examples:
  sampan run --rm alpine echo hello
  sampan run -it --rm -v \"$PWD\":/src:ro -w /src debian bash
  sampan run -d --name db -e POSTGRES_PASSWORD=x -m 512m --cpus 1.5 --network host postgres:16
  sampan run --rm --read-only --tmpfs /tmp:size=16m --cap-drop ALL -u 1000 alpine id
  sampan run --dry-run alpine | jq .          what would be done, as JSON";

#[derive(Debug, Args)]
#[command(disable_help_flag = true, after_help = RUN_EXAMPLES)]
pub struct RunArgs {
    /// Run in the background and print the container's id
    #[arg(short, long)]
    pub detach: bool,
    /// Attach only these: STDIN, STDOUT, STDERR
    #[arg(short, long, value_name = "STREAM", value_parser = words::stream, conflicts_with = "detach")]
    pub attach: Vec<words::StdStream>,
    /// Forward signals to the container
    #[arg(long, value_name = "BOOL", default_value = "true", default_missing_value = "true", num_args = 0..=1, require_equals = true, action = ArgAction::Set, value_parser = truth)]
    pub sig_proxy: bool,
    /// Keys that leave the container running and end this command, in a terminal
    #[arg(long, value_name = "KEYS", default_value = "ctrl-p,ctrl-q")]
    pub detach_keys: String,
    /// Print what would be done, as JSON, and do nothing
    #[arg(long)]
    pub dry_run: bool,
    #[command(flatten)]
    pub create: Flags,
}

#[derive(Debug, Args)]
#[command(disable_help_flag = true)]
pub struct CreateArgs {
    #[command(flatten)]
    pub create: Flags,
}

/// What `run` and `create` share.
#[derive(Debug, Args)]
pub struct Flags {
    /// Print this help
    #[arg(long, action = ArgAction::Help)]
    help: Option<bool>,
    /// Say nothing of the pull
    #[arg(short, long)]
    pub quiet: bool,
    /// Write the container's id to a new file
    #[arg(long, value_name = "FILE")]
    pub cidfile: Option<String>,
    #[command(flatten)]
    process: ProcessFlags,
    #[command(flatten)]
    files: FileFlags,
    #[command(flatten)]
    limits: LimitFlags,
    #[command(flatten)]
    isolation: IsolationFlags,
    #[command(flatten)]
    life: LifeFlags,
    #[command(flatten)]
    health: health::HealthFlags,
    // One argument, so that whatever follows the image belongs to the command, dashes and all.
    /// The image, and the command to run instead of the image's
    #[arg(value_names = ["IMAGE", "COMMAND"], trailing_var_arg = true, required = true, num_args = 1..)]
    image_and_command: Vec<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Process")]
struct ProcessFlags {
    /// Keep standard input open and attach it
    #[arg(short, long)]
    interactive: bool,
    /// Give the process a terminal
    #[arg(short, long)]
    tty: bool,
    /// Set a variable; without a value, take it from the environment
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    env: Vec<String>,
    /// Read variables from a file
    #[arg(long, value_name = "FILE")]
    env_file: Vec<String>,
    /// Working directory in the container
    #[arg(short, long, value_name = "DIR")]
    workdir: Option<String>,
    /// User and group, by name or number
    #[arg(short, long, value_name = "USER[:GROUP]")]
    user: Option<String>,
    /// A further group
    #[arg(long, value_name = "GROUP")]
    group_add: Vec<String>,
    /// Replace the image's entrypoint; an empty one clears it
    #[arg(long, value_name = "COMMAND")]
    entrypoint: Option<String>,
    /// Limits of the process: nofile=1024:2048
    #[arg(long, value_name = "TYPE=SOFT[:HARD]", value_parser = words::ulimit)]
    ulimit: Vec<sampan::Ulimit>,
    /// Run a small first process that buries orphans and passes signals on
    #[arg(long)]
    init: bool,
    /// Adjust the OOM killer's choice, -1000 to 1000
    #[arg(long, value_name = "N", allow_hyphen_values = true)]
    oom_score_adj: Option<i32>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Files")]
struct FileFlags {
    /// Bind a path or a volume: SOURCE:TARGET[:ro,…]
    #[arg(short, long, value_name = "VOLUME", value_parser = mount::volume)]
    volume: Vec<sampan::Mount>,
    /// The volumes and binds of another container too
    #[arg(long, value_name = "CONTAINER[:ro]")]
    volumes_from: Vec<String>,
    /// A mount in long form: type=bind,source=…,target=…[,readonly]
    #[arg(long, value_name = "MOUNT", value_parser = mount::mount)]
    mount: Vec<sampan::Mount>,
    /// A file system in memory: TARGET[:size=64m,mode=1777]
    #[arg(long, value_name = "TARGET[:OPTIONS]", value_parser = mount::tmpfs)]
    tmpfs: Vec<sampan::Mount>,
    /// Make the root file system read-only
    #[arg(long)]
    read_only: bool,
    /// Size of /dev/shm
    #[arg(long, value_name = "SIZE", value_parser = size::unsigned)]
    shm_size: Option<u64>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Limits")]
struct LimitFlags {
    #[command(flatten)]
    limits: limits::Limits,
    #[command(flatten)]
    fixed: limits::Fixed,
    /// Run even when a limit can't be enforced here
    #[arg(long)]
    best_effort: bool,
    /// Parent of the container's cgroup
    #[arg(long, value_name = "CGROUP")]
    cgroup_parent: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Isolation")]
struct IsolationFlags {
    /// `none`, `host` or `container:NAME`
    #[arg(long, visible_alias = "net", value_name = "NETWORK")]
    network: Option<String>,
    /// Host name
    #[arg(short = 'h', long)]
    hostname: Option<String>,
    /// NIS domain name
    #[arg(long, value_name = "NAME")]
    domainname: Option<String>,
    /// Add a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_add: Vec<String>,
    /// Drop a capability
    #[arg(long, value_name = "CAPABILITY")]
    cap_drop: Vec<String>,
    /// All capabilities, nothing hidden; not a security boundary
    #[arg(long)]
    privileged: bool,
    /// no-new-privileges, seccomp=FILE, seccomp=unconfined
    #[arg(long, value_name = "OPTION")]
    security_opt: Vec<String>,
    /// A device of the host: /dev/fuse, or /dev/sdc:/dev/disk:r to be read at another path
    #[arg(long, value_name = "DEVICE[:PATH][:rwm]")]
    device: Vec<String>,
    /// Devices that the container may make and use: 'c 42:* rwm'
    #[arg(long, value_name = "RULE")]
    device_cgroup_rule: Vec<String>,
    /// A kernel parameter of the container's namespaces
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::pair)]
    sysctl: Vec<(String, String)>,
    /// PID namespace: `private`, `host` or `container:NAME`
    #[arg(long, value_name = "MODE")]
    pid: Option<String>,
    /// IPC namespace: `private`, `host` or `container:NAME`
    #[arg(long, value_name = "MODE")]
    ipc: Option<String>,
    /// UTS namespace: `private`, `host` or `container:NAME`
    #[arg(long, value_name = "MODE")]
    uts: Option<String>,
    /// User namespace: `host`; for root `auto[:size=N]` for one of its own; for a plain user `keep-id`
    #[arg(long, value_name = "MODE")]
    userns: Option<String>,
    /// Cgroup namespace: `private`, `host` or `container:NAME`
    #[arg(long, value_name = "MODE")]
    cgroupns: Option<String>,
}

#[derive(Debug, Args)]
#[command(next_help_heading = "Life")]
struct LifeFlags {
    /// A name for the container
    #[arg(long)]
    name: Option<String>,
    /// Remove the container when it has ended
    #[arg(long)]
    rm: bool,
    /// Start it again when it has ended: no, on-failure[:MAX], always or unless-stopped
    #[arg(long, value_name = "POLICY")]
    restart: Option<String>,
    /// End the container with this command, even when it is killed
    #[arg(long, value_name = "OWNER", value_parser = words::tie)]
    tie: Option<Tie>,
    /// Label the container
    #[arg(short, long, value_name = "KEY[=VALUE]")]
    label: Vec<String>,
    /// Read labels from a file
    #[arg(long, value_name = "FILE")]
    label_file: Vec<String>,
    /// Note something on it for other programs
    #[arg(long, value_name = "KEY[=VALUE]")]
    annotation: Vec<String>,
    /// Signal that asks it to stop
    #[arg(long, value_name = "SIGNAL")]
    stop_signal: Option<String>,
    /// Seconds from that signal to SIGKILL
    #[arg(long, value_name = "SECONDS", allow_hyphen_values = true, value_parser = words::patience)]
    stop_timeout: Option<f64>,
    /// What becomes of its output: local, json-file or none
    #[arg(long, value_name = "DRIVER")]
    log_driver: Option<String>,
    /// max-size=10m, max-file=3
    #[arg(long, value_name = "KEY=VALUE", value_parser = words::pair)]
    log_opt: Vec<(String, String)>,
    /// Pull the image: missing, always or never
    #[arg(long, value_name = "WHEN", value_parser = words::pull_policy, default_value = "missing")]
    pull: PullPolicy,
    /// os/arch[/variant] to pull
    #[arg(long, value_name = "PLATFORM")]
    platform: Option<String>,
}

impl Flags {
    /// Whether standard input is wanted. In the options it would stay open after ours has ended, which
    /// only a container in the background wants.
    pub fn interactive(&self) -> bool {
        self.process.interactive
    }

    /// The options. Reads the files and variables that the flags name, and makes the missing
    /// directories that `-v` binds, as Docker does.
    pub fn options(&self) -> Result<RunOptions, Fail> {
        let mut options = RunOptions { cgroup_parent: self.limits.cgroup_parent.clone(), ..Default::default() };
        let mut words = self.image_and_command.iter().cloned();
        options.image = words.next().unwrap_or_default();
        options.command = words.collect();
        self.process.fill(&mut options)?;
        self.files.fill(&mut options)?;
        self.limits.fill(&mut options);
        self.isolation.fill(&mut options);
        self.life.fill(&mut options)?;
        self.health.fill(&mut options);
        Ok(options)
    }
}

impl ProcessFlags {
    fn fill(&self, options: &mut RunOptions) -> Result<(), Fail> {
        options.tty = self.tty;
        options.env = words::env(&self.env_file, &self.env)?;
        options.workdir = self.workdir.clone();
        options.user = self.user.clone();
        options.group_add = self.group_add.clone();
        options.entrypoint = self.entrypoint.clone().map(|word| vec![word]);
        options.ulimits = self.ulimit.clone();
        options.oom_score_adj = self.oom_score_adj;
        options.init = self.init;
        Ok(())
    }
}

impl FileFlags {
    fn fill(&self, options: &mut RunOptions) -> Result<(), Fail> {
        mount::make_missing(&self.volume)?;
        options.mounts = [&self.volume[..], &self.mount, &self.tmpfs].concat();
        options.volumes_from = self.volumes_from.clone();
        options.read_only = self.read_only;
        options.shm_size = self.shm_size;
        Ok(())
    }
}

impl LimitFlags {
    fn fill(&self, options: &mut RunOptions) {
        self.limits.fill(options);
        self.fixed.fill(options);
        options.best_effort = self.best_effort;
    }
}

impl IsolationFlags {
    fn fill(&self, options: &mut RunOptions) {
        options.network = self.network.clone();
        options.hostname = words::given(&self.hostname);
        options.domainname = words::given(&self.domainname);
        options.cap_add = self.cap_add.clone();
        options.cap_drop = self.cap_drop.clone();
        options.privileged = self.privileged;
        options.security_opt = self.security_opt.clone();
        options.sysctls = self.sysctl.iter().cloned().collect();
        options.pid = self.pid.clone();
        options.ipc = self.ipc.clone();
        options.uts = self.uts.clone();
        options.userns = self.userns.clone();
        options.cgroupns = self.cgroupns.clone();
        options.devices = self.device.clone();
        options.device_cgroup_rules = self.device_cgroup_rule.clone();
    }
}

impl LifeFlags {
    fn fill(&self, options: &mut RunOptions) -> Result<(), Fail> {
        options.name = self.name.clone();
        options.auto_remove = self.rm;
        options.restart = self.restart.clone();
        options.tie = self.tie.unwrap_or_default();
        options.labels = words::labels(&self.label_file, &self.label)?;
        options.annotations = words::labels(&[], &self.annotation)?;
        options.stop_signal = self.stop_signal.clone();
        options.stop_timeout = self.stop_timeout;
        options.log_driver = self.log_driver.clone();
        options.log_opt = self.log_opt.iter().cloned().collect();
        options.pull = self.pull;
        options.platform = words::given(&self.platform);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli::{Cli, Command};
    use clap::Parser;

    fn run(line: &str) -> crate::late::Late<RunArgs> {
        let words = ["sampan", "run"].into_iter().chain(line.split(' '));
        match Cli::try_parse_from(words).unwrap().command {
            Command::Run(args) => args,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn what_follows_the_image_is_the_command_s() {
        let args = run("-it --rm alpine ls -la --rm -d");
        let options = args.create.options().unwrap();
        assert_eq!(options.image, "alpine");
        assert_eq!(options.command, ["ls", "-la", "--rm", "-d"]);
        assert!(options.tty && args.create.interactive() && options.auto_remove && !args.detach);
    }

    #[test]
    fn flags_become_options() {
        let line = "-m 512m --memory-swap -1 --cpus 1.5 -c 512 --pids-limit -1 -u 1000:1000 -w /src -h box \
                    --net host --cap-drop ALL --ulimit nofile=1024:2048 --oom-score-adj -500 --stop-timeout 3 \
                    --sysctl net.ipv4.ip_forward=1 --shm-size 1m --pull never -l a=b -e X=1 --sig-proxy=false \
                    --device-cgroup-rule a:b --volumes-from web:ro --domainname lab --annotation job=7 --annotation bare x";
        let args = run(&line.split_whitespace().collect::<Vec<_>>().join(" "));
        let o = args.create.options().unwrap();
        assert!(!args.sig_proxy);
        assert_eq!((o.memory, o.memory_swap, o.cpus, o.cpu_shares), (Some(512 << 20), Some(-1), Some(1.5), Some(512)));
        assert_eq!((o.pids_limit, o.oom_score_adj, o.stop_timeout), (Some(-1), Some(-500), Some(3.0)));
        assert_eq!((o.user.as_deref(), o.workdir.as_deref()), (Some("1000:1000"), Some("/src")));
        assert_eq!((o.hostname.as_deref(), o.network.as_deref()), (Some("box"), Some("host")));
        assert_eq!((o.domainname.as_deref(), o.annotations["job"].as_str()), (Some("lab"), "7"));
        assert_eq!((&o.device_cgroup_rules[..], &o.volumes_from[..]), (&["a:b".into()][..], &["web:ro".into()][..]));
        assert_eq!(o.annotations["bare"], "");
        assert_eq!(o.ulimits[0], sampan::Ulimit { name: "nofile".into(), soft: 1024, hard: 2048 });
        assert_eq!((o.sysctls["net.ipv4.ip_forward"].as_str(), o.shm_size), ("1", Some(1 << 20)));
        assert_eq!((o.pull, o.labels["a"].as_str(), o.env["X"].as_str()), (PullPolicy::Never, "b", "1"));
    }

    #[test]
    fn an_empty_entrypoint_clears_the_image_s() {
        let args = run("--entrypoint= alpine id");
        assert_eq!(args.create.options().unwrap().entrypoint, Some(vec![String::new()]));
    }
}

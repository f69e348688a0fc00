//! The OCI runtime: containers from bundles, for engines that bring images and networks themselves.
//!
//! The verbs are those of the runtime specification and of `runc`, so that Podman, Docker and containerd can use
//! Sampan in its place. Each is one call on a [`Runtime`]; what there is of a container lies in one directory below the
//! runtime's root, and is found there by any later process.

mod create;
mod delete;
mod doors;
mod events;
mod example;
mod exec;
mod features;
mod freeze;
mod groups;
mod hold;
mod hooks;
mod list;
mod listener;
mod namespaces;
mod process;
mod scope;
mod start;
mod state;
mod update;

use std::os::fd::BorrowedFd;
use std::path::{Path, PathBuf};

pub use example::example;
pub use features::features;
pub use state::{State, Status};

use crate::error::{Error, Kind, Result};
use crate::launch::HelperSource;
use crate::{fs, id, ops};

/// Where the containers of one runtime are kept.
#[derive(Clone, Debug)]
pub struct Runtime {
    root: PathBuf,
    helper: HelperSource,
}

/// The caller's descriptors that become the container's, or that its terminal is sent over.
#[derive(Clone, Copy, Debug)]
pub struct Streams<'a> {
    /// Standard input, output and error, where the process has no terminal.
    pub standard: [BorrowedFd<'a>; 3],
    /// A connected socket that receives the master of its terminal; needed exactly when it has one.
    pub console: Option<BorrowedFd<'a>>,
    /// Further ones, which the process has from 3 on.
    pub preserved: &'a [BorrowedFd<'a>],
}

/// How a container is made.
#[derive(Clone, Debug, Default)]
pub struct CreateOptions {
    /// The directory with `config.json`.
    pub bundle: PathBuf,
    /// A file to write the number of its first process to.
    pub pid_file: Option<PathBuf>,
    /// So many of [`Streams::preserved`] are sockets of an activation, of which its process is told (sd_listen_fds(3)).
    pub listen_fds: u32,
    /// Its cgroup is a scope of systemd's: `linux.cgroupsPath` is `slice:prefix:name`.
    pub systemd_cgroup: bool,
}

/// A further process.
#[derive(Clone, Debug, Default)]
pub struct ExecOptions {
    /// The process, as JSON in the form of the configuration's `process`; else the container's own with these changes.
    pub process: Option<String>,
    /// Its arguments.
    pub args: Vec<String>,
    /// Further environment variables.
    pub env: Vec<String>,
    /// `uid[:gid]`.
    pub user: Option<String>,
    /// Working directory.
    pub cwd: Option<String>,
    /// Give it a terminal.
    pub tty: Option<bool>,
    /// The AppArmor profile that it enters; by default the container's.
    pub apparmor: Option<String>,
    /// The SELinux label that it gets; by default the container's.
    pub selinux: Option<String>,
    /// Capabilities that it has besides, in its bounding, effective and permitted sets.
    pub capabilities: Vec<String>,
    /// Groups that it belongs to besides.
    pub groups: Vec<u32>,
    /// It gains no privileges by an exec.
    pub no_new_privileges: bool,
    /// Also in a paused container, where it waits with the others.
    pub ignore_paused: bool,
    /// A file to write its number to.
    pub pid_file: Option<PathBuf>,
}

impl Runtime {
    /// The runtime with this root; by default `/run/sampan/oci`, or below `XDG_RUNTIME_DIR` for a plain user,
    /// also as the root of a user namespace.
    ///
    /// # Errors
    /// `InvalidArgument` where neither is known.
    pub fn open(root: Option<&Path>) -> Result<Runtime> {
        let root = match root {
            Some(given) => fs::absolute(given)?,
            None => default_root()?,
        };
        Ok(Runtime { helper: HelperSource { installed: None, temp_dir: Some(root.clone()) }, root })
    }

    /// The directory of a container, whose id is checked: it becomes a path.
    fn dir(&self, id: &str) -> Result<PathBuf> {
        let name: id::Name = id.parse()?;
        Ok(self.root.join(name.as_str()))
    }

    fn known(&self, id: &str) -> Result<PathBuf> {
        let dir = self.dir(id)?;
        match fs::exists(&dir)? {
            true => Ok(dir),
            false => Err(not_found(id)),
        }
    }
}

fn not_found(id: &str) -> Error {
    Error::new(Kind::NotFound, "find container", id).because("container does not exist")
}

/// The root of a user namespace is some plain user's, whose engine it is: `/run` is not its to write.
fn default_root() -> Result<PathBuf> {
    let is_root = nix::unistd::geteuid().is_root();
    let run = std::env::var_os("XDG_RUNTIME_DIR").filter(|dir| !dir.is_empty());
    match run.filter(|_| !is_root || !ops::facts::is_initial_user_namespace()) {
        Some(dir) => Ok(Path::new(&dir).join("sampan/oci")),
        None if is_root => Ok("/run/sampan/oci".into()),
        None => Err(Error::new(Kind::InvalidArgument, "open runtime", "")
            .because("XDG_RUNTIME_DIR is not set")
            .hint("give --root")),
    }
}

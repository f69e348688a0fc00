//! `create`: everything but the payload.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use oci_spec::runtime::Spec;

use super::state::{self, Record, start_socket};
use super::{CreateOptions, Runtime, Streams, process};
use crate::error::{Context, Error, Kind, Result};
use crate::launch::bundle::{self, BundleFds};
use crate::plan::facts::Facts;
use crate::plan::oci::{self, Groups, Request};
use crate::{cgroup, fs, ops, sys};

impl Runtime {
    /// Makes a container from a bundle; its payload waits for [`Runtime::start`]. Returns its first process.
    ///
    /// # Errors
    /// `AlreadyExists`; those of the configuration, with the field. Nothing is left of a container that failed.
    pub fn create(&self, id: &str, options: &CreateOptions, streams: &Streams<'_>) -> Result<i32> {
        // Without a slash at its end, as engines compare it.
        let bundle: PathBuf = fs::absolute(&options.bundle)?.components().collect();
        let bytes = state::config_of_bundle(&bundle)?;
        let config = state::parse(&bytes)?;
        process::check_console(config.process().as_ref().and_then(|p| p.terminal()), streams)?;
        let dir = Dir::make(self, id)?;
        fs::write_new(&dir.path.join("config.json"), &bytes)?;
        let pid =
            Creation { runtime: self, id, bundle: &bundle, config: &config, dir: &dir.path }.run(options, streams)?;
        dir.keep();
        Ok(pid)
    }
}

/// The container's directory, which goes away with this value unless it is kept.
struct Dir {
    path: PathBuf,
    kept: bool,
}

impl Dir {
    fn make(runtime: &Runtime, id: &str) -> Result<Dir> {
        let path = runtime.dir(id)?;
        fs::make_dirs(&runtime.root)?;
        match fs::make_dir(&path)? {
            true => Ok(Dir { path, kept: false }),
            false => Err(Error::new(Kind::AlreadyExists, "create container", id)
                .because("container with that id exists already")),
        }
    }

    fn keep(mut self) {
        self.kept = true;
    }
}

impl Drop for Dir {
    fn drop(&mut self) {
        if !self.kept {
            let _ = fs::remove_tree(&self.path);
        }
    }
}

struct Creation<'a> {
    runtime: &'a Runtime,
    id: &'a str,
    bundle: &'a Path,
    config: &'a Spec,
    dir: &'a Path,
}

impl Creation<'_> {
    fn run(&self, options: &CreateOptions, streams: &Streams<'_>) -> Result<i32> {
        let facts = ops::facts::of_host()?;
        let groups = oci::groups(self.config, self.id, &facts)?;
        let plan = self.plan(&facts, &groups)?;
        let made = cgroup::make(&groups.dirs, &groups.enable)?;
        let start = listen_at(self.dir)?;
        let fds = BundleFds { streams: streams.standard, console: streams.console };
        let pid = bundle::create(&plan, &fds, start.as_fd(), &self.runtime.helper)?;
        let told = self.record(pid, &groups, &plan).and_then(|()| process::write_pid(options.pid_file.as_deref(), pid));
        if let Err(error) = told {
            process::kill_and_wait(pid);
            return Err(error);
        }
        made.keep();
        Ok(pid)
    }

    fn plan(&self, facts: &Facts, groups: &Groups) -> Result<oci::BundlePlan> {
        let bundle = self.bundle.to_str().ok_or_else(|| {
            Error::new(Kind::InvalidArgument, "create container", self.bundle.display().to_string())
                .because("the bundle's path is not UTF-8")
        })?;
        oci::plan(self.config, &Request { id: self.id, bundle, facts, groups })
    }

    fn record(&self, pid: i32, groups: &Groups, plan: &oci::BundlePlan) -> Result<()> {
        let pid_start = sys::start_time(pid).ok_or_else(|| {
            Error::new(Kind::Launch, "create container", self.id).because("its first process was killed at once")
        })?;
        let record = Record {
            version: Record::version(),
            id: self.id.to_owned(),
            bundle: self.bundle.to_owned(),
            rootfs: PathBuf::from(&plan.launch.rootfs.attach_at),
            pid,
            pid_start,
            boot_id: sys::boot_id(),
            created: jiff::Timestamp::now().to_string(),
            owner: process::user_name(),
            cgroups: groups.by_controller.clone(),
        };
        record.write(self.dir)
    }
}

/// A socket that whoever starts the container connects to; by the directory's descriptor, as the path may be long.
fn listen_at(dir: &Path) -> Result<OwnedFd> {
    let open = fs::open_dir(dir)?;
    let path = format!("/proc/self/fd/{}/start", open.as_raw_fd());
    let subject = || start_socket(dir).display().to_string();
    let socket = socket(AddressFamily::Unix, SockType::SeqPacket, SockFlag::SOCK_CLOEXEC, None)
        .context("make socket", subject())?;
    let address = UnixAddr::new(path.as_str()).context("make socket", subject())?;
    bind(socket.as_raw_fd(), &address).context("bind socket", subject())?;
    listen(&socket, Backlog::new(8).unwrap_or(Backlog::MAXCONN)).context("listen on socket", subject())?;
    Ok(socket)
}

//! `create`: everything but the payload.
//!
//! The record is there before the first cgroup, and the helper waits for the last word before it leaves the container
//! alone: a caller that is killed on the way leaves nothing but what `delete` finds.

use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

use nix::sys::socket::{AddressFamily, Backlog, SockFlag, SockType, UnixAddr, bind, listen, socket};
use oci_spec::runtime::Spec;

use super::hold::Held;
use super::scope::{self, Kept};
use super::state::{self, Record, start_socket};
use super::{CreateOptions, Runtime, Streams, groups, hooks, listener, namespaces, process};
use crate::error::{Context, Error, Kind, Result};
use crate::launch::bundle::{self, BundleFds};
use crate::plan::facts::Facts;
use crate::plan::oci::{self, Groups, Request};
use crate::systemd::Starting;
use crate::{cgroup, fs, ops, sys};

impl Runtime {
    /// Makes a container from a bundle; its payload waits for [`Runtime::start`]. Returns its first process.
    ///
    /// # Errors
    /// `AlreadyExists`; `Conflict` when its cgroup is in use; those of the configuration, with the field. Nothing is
    /// left of a container that failed.
    pub fn create(&self, id: &str, options: &CreateOptions, streams: &Streams<'_>) -> Result<i32> {
        // Without a slash at its end, as engines compare it.
        let bundle: PathBuf = fs::absolute(&options.bundle)?.components().collect();
        let bytes = state::config_of_bundle(&bundle)?;
        let config = namespaces::without_own(activated(state::parse(&bytes)?, options.listen_fds));
        process::check_console(config.process().as_ref().and_then(|p| p.terminal()), streams)?;
        let new = New(Some(Held::new(self, id)?));
        fs::write_new(&new.path().join("config.json"), &bytes)?;
        let creation = Creation { runtime: self, id, bundle: &bundle, config: &config, dir: new.path() };
        let pid = creation.run(options, streams)?;
        new.keep();
        Ok(pid)
    }
}

/// Its process knows of the sockets that are its own (sd_listen_fds(3)), as the container's first.
fn activated(mut config: Spec, listen_fds: u32) -> Spec {
    if let (true, Some(process)) = (listen_fds > 0, config.process_mut().as_mut()) {
        let told = [format!("LISTEN_FDS={listen_fds}"), "LISTEN_PID=1".to_owned()];
        process.set_env(Some(process.env().iter().flatten().cloned().chain(told).collect()));
    }
    config
}

/// The container's directory, which goes away with this value unless it is kept.
struct New(Option<Held>);

impl New {
    fn path(&self) -> &Path {
        self.0.as_ref().map_or(Path::new(""), Held::path)
    }

    fn keep(mut self) {
        self.0 = None;
    }
}

impl Drop for New {
    fn drop(&mut self) {
        if let Some(held) = self.0.take() {
            let _ = held.remove();
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
        let systemd = options.systemd_cgroup.then(scope::manager).transpose()?;
        let groups = oci::groups(self.config, self.id, &facts, systemd.as_ref())?;
        let plan = self.plan(&facts, &groups)?;
        let record = self.record(&groups, &plan);
        groups::claim(self.runtime, &record, self.dir)?;
        let starting = record.scope.as_ref().map(|scope| Starting::new(scope.whose, &scope.unit));
        let made = match starting {
            None => cgroup::make_or_share(&groups.dirs, &groups.enable)?,
            Some(_) => cgroup::Made::default(),
        };
        let place = |pid| starting.as_ref().map_or(Ok(()), |starting| scope::place(&groups, starting, pid));
        let pid = self.launch(&plan, record, options, streams, &place).inspect_err(|_| self.after_failure())?;
        made.keep();
        starting.iter().for_each(Starting::keep);
        Ok(pid)
    }

    /// Makes its first process, which is let go only when the record tells of it.
    fn launch(
        &self,
        plan: &oci::BundlePlan,
        record: Record,
        options: &CreateOptions,
        streams: &Streams<'_>,
        place: &dyn Fn(i32) -> Result<()>,
    ) -> Result<i32> {
        let start = listen_at(self.dir)?;
        let listener = listener::connection(self.config)?;
        let fds = BundleFds {
            streams: streams.standard,
            console: streams.console,
            preserved: streams.preserved,
            listener: listener.as_ref().map(AsFd::as_fd),
            doors: &[],
        };
        let created = bundle::create(plan, &fds, start.as_fd(), &self.runtime.helper, place)?;
        let pid_start = sys::start_time(created.pid).ok_or_else(|| {
            Error::new(Kind::Launch, "create container", self.id).because("its first process was killed at once")
        })?;
        Record { pid: created.pid, pid_start, ..record }.write(self.dir)?;
        process::write_pid(options.pid_file.as_deref(), created.pid)?;
        created.keep()
    }

    /// Hooks that ran on the way have a counterpart (runtime.md, "Lifecycle").
    fn after_failure(&self) {
        if let (Ok(hooks), Ok(state)) = (oci::poststop(self.config), self.runtime.state(self.id)) {
            hooks::run_all(
                &hooks,
                &super::State { status: super::Status::Stopped, pid: 0, ..state },
                &self.runtime.helper,
            );
        }
    }

    fn plan(&self, facts: &Facts, groups: &Groups) -> Result<oci::BundlePlan> {
        let bundle = self.bundle.to_str().ok_or_else(|| {
            Error::new(Kind::InvalidArgument, "create container", self.bundle.display().to_string())
                .because("the bundle's path is not UTF-8")
        })?;
        oci::plan(self.config, &Request { id: self.id, bundle, facts, groups })
    }

    /// Of one that has no process yet.
    fn record(&self, groups: &Groups, plan: &oci::BundlePlan) -> Record {
        Record {
            version: Record::version(),
            id: self.id.to_owned(),
            bundle: self.bundle.to_owned(),
            rootfs: PathBuf::from(&plan.launch.rootfs.attach_at),
            pid: 0,
            pid_start: 0,
            boot_id: sys::boot_id(),
            created: jiff::Timestamp::now().to_string(),
            owner: process::user_name(),
            cgroups: groups.by_controller.clone(),
            scope: groups.scope.as_ref().map(|scope| Kept { unit: scope.unit.clone(), whose: scope.whose }),
        }
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

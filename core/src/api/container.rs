//! One container.

use std::fs::File;
use std::os::fd::BorrowedFd;

use super::{
    Attachment, ContainerInfo, ContainerStats, CopyOptions, Engine, Exec, ExecOptions, ExecOutput, ExitStatus,
    LogOptions, LogStream, PathStat, ProcessInfo, RemoveOptions, StatsStream, Stdio, StopOptions, UpdateOptions,
};
use crate::cancel::Cancel;
use crate::error::Result;
use crate::id::ContainerId;
use crate::ops;

/// A container of an engine's store, by id; any process of the same user may hold one.
///
/// Dropping it does nothing to the container.
#[derive(Clone, Debug)]
pub struct Container {
    engine: Engine,
    id: ContainerId,
}

impl Container {
    pub(super) fn new(engine: Engine, id: ContainerId) -> Self {
        Container { engine, id }
    }

    fn context(&self) -> &ops::Context {
        &self.engine.context
    }

    /// Its id.
    pub fn id(&self) -> &str {
        self.id.as_str()
    }

    /// Starts it, and returns once its process runs. The streams are those of this run: another that its restart policy
    /// brings has the log alone.
    pub fn start(&self, stdio: &Stdio, cancel: &Cancel) -> Result<()> {
        ops::start::start(self.context(), &self.id, stdio, cancel)
    }

    /// Sends its stop signal, then SIGKILL after the timeout; returns once it has ended.
    pub fn stop(&self, options: &StopOptions, cancel: &Cancel) -> Result<()> {
        ops::stop::stop(self.context(), &self.id, options, cancel)
    }

    /// Stops it when it runs, and starts it again.
    pub fn restart(&self, options: &StopOptions, cancel: &Cancel) -> Result<()> {
        ops::stop::restart(self.context(), &self.id, options, cancel)
    }

    /// Sends a signal to its process: `SIGHUP`, `HUP` or `1`.
    ///
    /// Its stop signal, SIGKILL, SIGTERM, SIGINT and SIGQUIT end its restart policy too; while the next start is waited for
    /// that is all they do.
    pub fn kill(&self, signal: &str) -> Result<()> {
        ops::stop::kill(self.context(), &self.id, signal)
    }

    /// Waits until it has ended, at most `timeout` seconds.
    ///
    /// With a restart policy: until its next end, whether or not another start follows. The first wait by the engine that
    /// started it with streams tells how the run ended that they belonged to, also when that is over by then.
    ///
    /// One with `auto_remove` takes its records along: who waits by then is told how it ended, in whatever process, and later
    /// only who asks the engine that started it; for any other it is not found.
    pub fn wait(&self, timeout: Option<f64>, cancel: &Cancel) -> Result<ExitStatus> {
        ops::wait::wait(self.context(), &self.id, timeout, cancel)
    }

    /// Waits until its health check finds it healthy, at most `timeout` seconds.
    ///
    /// [`Kind::Conflict`](crate::Kind::Conflict) when it is unhealthy or has ended, [`Kind::InvalidArgument`](crate::Kind::InvalidArgument)
    /// when it has no check.
    pub fn wait_healthy(&self, timeout: Option<f64>, cancel: &Cancel) -> Result<()> {
        ops::health::wait_healthy(self.context(), &self.id, timeout, cancel)
    }

    /// Reads its log from byte 0, or a part of it.
    pub fn logs(&self, options: &LogOptions) -> Result<LogStream> {
        Ok(LogStream::new(ops::logs::open(self.context(), &self.id, options)?))
    }

    /// All there is to know about it.
    pub fn inspect(&self) -> Result<ContainerInfo> {
        ops::list::inspect(self.context(), &self.id)
    }

    /// Gives it another name.
    pub fn rename(&self, name: &str) -> Result<()> {
        ops::rename::rename(self.context(), &self.id, name)
    }

    /// Removes it with all that it wrote.
    pub fn remove(&self, options: &RemoveOptions) -> Result<()> {
        ops::remove::remove(self.context(), &self.id, options)
    }

    /// Freezes its processes; returns once all stand still.
    pub fn pause(&self, cancel: &Cancel) -> Result<()> {
        ops::pause::pause(self.context(), &self.id, cancel)
    }

    /// Lets its frozen processes go on.
    pub fn unpause(&self) -> Result<()> {
        ops::pause::unpause(self.context(), &self.id)
    }

    /// Its processes, as this host sees them.
    pub fn top(&self) -> Result<Vec<ProcessInfo>> {
        ops::top::top(self.context(), &self.id)
    }

    /// What it uses now. A share of the processors follows from two of these.
    pub fn stats(&self) -> Result<ContainerStats> {
        ops::stats::stats(self.context(), &self.id)
    }

    /// What it uses now, and then again every `interval` seconds until it has ended for good: between two runs that its
    /// restart policy brings, a reading is waited for.
    pub fn stats_stream(&self, interval: f64) -> Result<StatsStream> {
        Ok(StatsStream::new(ops::stats::stream(&self.engine.context, &self.id, interval)?))
    }

    /// Changes its limits and its restart policy, now and for later starts; what is not named stays.
    pub fn update(&self, options: &UpdateOptions) -> Result<()> {
        ops::update::update(self.context(), &self.id, options)
    }

    /// Runs a command in it to the command's end, and returns what it wrote and how it ended.
    pub fn exec(&self, options: &ExecOptions, cancel: &Cancel) -> Result<ExecOutput> {
        ops::exec::run(self.context(), &self.id, options, cancel)
    }

    /// Starts a command in it and returns while it runs.
    pub fn exec_start(&self, options: &ExecOptions, cancel: &Cancel) -> Result<Exec> {
        Exec::new(ops::exec::start(self.context(), &self.id, options, cancel)?, options)
    }

    /// Joins its streams as they are from now on, its input among them when `interactive`.
    pub fn attach(&self, interactive: bool, cancel: &Cancel) -> Result<Attachment> {
        Ok(Attachment::new(ops::attach::attach(self.context(), &self.id, interactive, cancel)?))
    }

    /// Copies what is at `path` in it to `dest` here, by the rules of `docker cp`; it need not run.
    ///
    /// Devices and sockets are left out, and set-id bits but with `archive`.
    pub fn copy_from(&self, path: &str, dest: &str, options: &CopyOptions, cancel: &Cancel) -> Result<()> {
        ops::copy::from(self.context(), &self.id, (path, dest), options, cancel)
    }

    /// Copies what is at `src` here to `path` in it, by the rules of `docker cp`; it need not run.
    ///
    /// Devices and sockets are left out.
    pub fn copy_to(&self, src: &str, path: &str, options: &CopyOptions, cancel: &Cancel) -> Result<()> {
        ops::copy::to(self.context(), &self.id, (src, path), options, cancel)
    }

    /// What is at `path` in it.
    pub fn path_stat(&self, path: &str, options: &CopyOptions, cancel: &Cancel) -> Result<PathStat> {
        ops::copy::path_stat(self.context(), &self.id, path, options, cancel)
    }

    /// Writes a tar archive of what is at `path` in it to a descriptor.
    pub fn get_archive(&self, path: &str, to: BorrowedFd<'_>, options: &CopyOptions, cancel: &Cancel) -> Result<()> {
        ops::copy::get_archive(self.context(), &self.id, path, to, options, cancel)
    }

    /// Unpacks a tar archive, plain or compressed by gzip or zstd, from a descriptor into the directory at `path` in it.
    ///
    /// Files get the owners that the archive says; devices are left out.
    pub fn put_archive(&self, path: &str, from: BorrowedFd<'_>, cancel: &Cancel) -> Result<()> {
        ops::copy::put_archive(self.context(), &self.id, path, from, cancel)
    }

    /// Opens a regular file in it, in a mode as of `fopen(3)`: `r`, `r+`, `w`, `w+`, `a`, `a+`, `x`, …. It need not run.
    ///
    /// The file stays open whatever becomes of the container.
    pub fn open(&self, path: &str, mode: &str, cancel: &Cancel) -> Result<File> {
        ops::copy::open(self.context(), &self.id, path, mode, cancel)
    }

    /// Sets the size of its terminal.
    pub fn resize(&self, rows: u32, columns: u32) -> Result<()> {
        ops::start::resize(self.context(), &self.id, rows, columns)
    }
}

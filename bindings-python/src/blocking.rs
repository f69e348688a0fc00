//! Calls that may block: the GIL is released, and Ctrl-C ends them at once.
//!
//! Python runs signal handlers on its main thread only, between two of its own instructions. A call
//! made there works in a scoped thread, while the main thread sleeps in `poll` where a signal wakes
//! it. Any other thread works for itself.

use std::os::fd::AsFd;
use std::time::{Duration, Instant};

use nix::errno::Errno;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use pyo3::prelude::*;
use sampan::{Error, Kind, Progress, Result};

use crate::error::raise;
use crate::progress::{Direct, Queue, Sender};

/// Ends the calls it was given to, from any thread.
#[pyclass(frozen, module = "sampan._sampan")]
#[derive(Default)]
pub struct Cancel(pub sampan::Cancel);

#[pymethods]
impl Cancel {
    #[new]
    fn new() -> Self {
        Self::default()
    }

    fn cancel(&self) {
        self.0.cancel();
    }

    #[getter]
    fn cancelled(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// What a blocking call is given besides its own arguments.
#[derive(Default)]
pub struct Call<'a> {
    pub progress: Option<Py<PyAny>>,
    pub cancel: Option<&'a Cancel>,
    /// The operation and its subject, for the error when the time is up.
    pub name: (&'static str, &'a str),
    /// Seconds, of the whole call.
    pub timeout: Option<f64>,
}

/// A short call: file system work that needs no cancelling.
pub fn brief<T: Send>(py: Python<'_>, work: impl FnOnce() -> Result<T> + Send) -> PyResult<T> {
    py.detach(work).map_err(|e| raise(py, e))
}

impl Call<'_> {
    /// Runs `work` with the GIL released.
    pub fn run<T, F>(self, py: Python<'_>, work: F) -> PyResult<T>
    where
        T: Send,
        F: FnOnce(&mut dyn Progress, &sampan::Cancel) -> Result<T> + Send,
    {
        self.run_or_undo(py, work, |_| Ok(()))
    }

    /// As `run`; `undo` takes back what a call made that ended well although a signal handler or the callback raised: the
    /// caller hears of that alone, and would have lost it.
    pub fn run_or_undo<T, F, U>(self, py: Python<'_>, work: F, undo: U) -> PyResult<T>
    where
        T: Send,
        F: FnOnce(&mut dyn Progress, &sampan::Cancel) -> Result<T> + Send,
        U: FnOnce(T) -> Result<()> + Send,
    {
        let (raised, result) = match self.timeout.is_some() || on_main_thread() {
            true => self.supervise(py, work)?,
            false => self.here(py, work),
        };
        match (raised, result) {
            (Some(error), Ok(made)) => Err(taken_back(py, error, || undo(made))),
            (Some(error), Err(_)) => Err(error),
            (None, result) => result.map_err(|e| raise(py, e)),
        }
    }

    /// What the callback raised, and how the work ended.
    fn here<T, F>(self, py: Python<'_>, work: F) -> (Option<PyErr>, Result<T>)
    where
        T: Send,
        F: FnOnce(&mut dyn Progress, &sampan::Cancel) -> Result<T> + Send,
    {
        let token = self.cancel.map(|c| c.0.clone()).unwrap_or_default();
        let mut progress = Direct { callback: self.progress.as_ref(), cancel: &token, raised: None };
        let result = py.detach(|| work(&mut progress, &token));
        (progress.raised, result)
    }

    /// What a signal handler or the callback raised, and how the work ended: an error of `late` when the time was up first.
    fn supervise<T, F>(self, py: Python<'_>, work: F) -> PyResult<(Option<PyErr>, Result<T>)>
    where
        T: Send,
        F: FnOnce(&mut dyn Progress, &sampan::Cancel) -> Result<T> + Send,
    {
        let queue = Queue::new().map_err(|e| raise(py, Error::errno_in(e as i32, "make eventfd", "")))?;
        let deadline = self.timeout.map(|s| Instant::now() + seconds(s));
        // Its own: when the time is up or Ctrl-C comes, other calls with the caller's token go on.
        let token = sampan::Cancel::new();
        self.pass_on(&token);
        let (watched, result) = std::thread::scope(|scope| {
            let (queue, token) = (&queue, &token);
            let worker = scope.spawn(move || {
                // Rung on unwinding too, or the main thread would sleep for ever.
                let _bell = Bell(queue);
                work(&mut Sender(queue), token)
            });
            let watched = self.watch(py, queue, token, deadline, || worker.is_finished());
            if !matches!(watched, Ok(Watched::Done)) {
                token.cancel();
            }
            (watched, py.detach(|| worker.join()))
        });
        let result = result.unwrap_or_else(|p| std::panic::resume_unwind(p));
        let late = matches!(watched, Ok(Watched::Late));
        let raised = watched.map_or_else(Some, |_| queue.deliver(py, self.progress.as_ref()).err());
        // What was done just as the time ran out is done.
        Ok((raised, if late { result.map_err(|_| self.late()) } else { result }))
    }

    /// Returns when the worker is done or the time is up; an error when a signal handler or the callback raised. The
    /// caller's cancel is passed on.
    fn watch(
        &self,
        py: Python<'_>,
        queue: &Queue,
        token: &sampan::Cancel,
        deadline: Option<Instant>,
        done: impl Fn() -> bool + Sync,
    ) -> PyResult<Watched> {
        loop {
            py.check_signals()?;
            queue.deliver(py, self.progress.as_ref())?;
            if done() {
                return Ok(Watched::Done);
            }
            self.pass_on(token);
            let given = self.cancel.map(|c| &c.0).filter(|_| !token.is_cancelled());
            match py.detach(|| sleep(queue, given, deadline)) {
                Ok(_) if deadline.is_some_and(|d| Instant::now() >= d) && !done() => return Ok(Watched::Late),
                Ok(_) | Err(Errno::EINTR) => {}
                Err(e) => return Err(raise(py, Error::errno_in(e as i32, "poll", ""))),
            }
        }
    }

    fn pass_on(&self, token: &sampan::Cancel) {
        if self.cancel.is_some_and(|given| given.0.is_cancelled()) {
            token.cancel();
        }
    }

    fn late(&self) -> Error {
        let seconds = self.timeout.unwrap_or_default();
        Error::new(Kind::Timeout, self.name.0, self.name.1).because(format!("it took longer than {seconds} s"))
    }
}

/// Why the calling thread looks at the worker no more.
enum Watched {
    Done,
    Late,
}

/// `error`, which tells why the undoing failed when it did.
fn taken_back(py: Python<'_>, error: PyErr, undo: impl FnOnce() -> Result<()> + Send) -> PyErr {
    if let Err(left) = py.detach(undo) {
        error.set_cause(py, Some(raise(py, left)));
    }
    error
}

struct Bell<'a>(&'a Queue);

impl Drop for Bell<'_> {
    fn drop(&mut self) {
        self.0.ring();
    }
}

/// A signal between the check and `poll` wakes nobody; it is then noticed after this.
const LOOK_AGAIN: Duration = Duration::from_millis(100);

fn sleep(queue: &Queue, cancel: Option<&sampan::Cancel>, deadline: Option<Instant>) -> nix::Result<i32> {
    let mut fds = vec![PollFd::new(queue.bell.as_fd(), PollFlags::POLLIN)];
    fds.extend(cancel.and_then(sampan::Cancel::fd).map(|fd| PollFd::new(fd, PollFlags::POLLIN)));
    let left = deadline.map_or(LOOK_AGAIN, |d| d.saturating_duration_since(Instant::now()).min(LOOK_AGAIN));
    // Rounded up, or the last millisecond would be spent in a loop.
    let timeout = PollTimeout::try_from(left.as_millis() + 1).unwrap_or(PollTimeout::MAX);
    poll(&mut fds, timeout)
}

/// Seconds as asked for; nonsense becomes "at once" or "a very long time".
pub fn seconds(s: f64) -> Duration {
    const LONG: f64 = 1e9;
    Duration::from_secs_f64(if s.is_nan() { 0.0 } else { s.clamp(0.0, LONG) })
}

/// The thread that Python runs signal handlers on, but for a Python embedded in another thread: there
/// nothing is lost but the wake-up.
fn on_main_thread() -> bool {
    nix::unistd::gettid() == nix::unistd::getpid()
}

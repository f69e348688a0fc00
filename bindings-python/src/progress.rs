//! Progress events on their way to a Python callable.

use std::sync::Mutex;

use nix::sys::eventfd::{EfdFlags, EventFd};
use pyo3::prelude::*;
use sampan::{Event, Progress};

use crate::value::to_python;

/// Events that a worker has seen and the calling thread has not; the descriptor wakes that thread.
///
/// A callable is thus only ever called on the thread that made the call: a notebook shows a thread's
/// output elsewhere, and a bar drawn from two threads is torn.
pub struct Queue {
    events: Mutex<Vec<Event>>,
    pub bell: EventFd,
}

impl Queue {
    pub fn new() -> nix::Result<Self> {
        let bell = EventFd::from_value_and_flags(0, EfdFlags::EFD_CLOEXEC | EfdFlags::EFD_NONBLOCK)?;
        Ok(Queue { events: Mutex::default(), bell })
    }

    /// Wakes the calling thread.
    pub fn ring(&self) {
        let _ = self.bell.write(1);
    }

    /// Calls `callback` with each event so far.
    pub fn deliver(&self, py: Python<'_>, callback: Option<&Py<PyAny>>) -> PyResult<()> {
        let _ = self.bell.read();
        let events = std::mem::take(&mut *self.events.lock().unwrap_or_else(|e| e.into_inner()));
        let Some(callback) = callback else { return Ok(()) };
        events.iter().try_for_each(|event| call(py, callback, event))
    }
}

/// The worker's end.
pub struct Sender<'a>(pub &'a Queue);

impl Progress for Sender<'_> {
    fn event(&mut self, event: &Event) {
        self.0.events.lock().unwrap_or_else(|e| e.into_inner()).push(event.clone());
        self.0.ring();
    }
}

/// Calls straight from the thread that works, since it is the one that called.
pub struct Direct<'a> {
    pub callback: Option<&'a Py<PyAny>>,
    pub cancel: &'a sampan::Cancel,
    /// What the callable raised.
    pub raised: Option<PyErr>,
}

impl Progress for Direct<'_> {
    fn event(&mut self, event: &Event) {
        let Some(callback) = self.callback.filter(|_| self.raised.is_none()) else { return };
        if let Err(error) = Python::attach(|py| call(py, callback, event)) {
            self.raised = Some(error);
            self.cancel.cancel();
        }
    }
}

fn call(py: Python<'_>, callback: &Py<PyAny>, event: &Event) -> PyResult<()> {
    callback.call1(py, (to_python(py, event)?,)).map(drop)
}

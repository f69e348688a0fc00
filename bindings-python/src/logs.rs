//! A log, entry by entry.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sampan::{Error, Kind};

use crate::blocking::{Call, Cancel, brief};
use crate::kept::Kept;

/// An open log. One reader at a time.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct LogStream {
    /// `None` once it is closed.
    stream: Mutex<Option<sampan::LogStream>>,
    /// Read by calls that were interrupted as they returned.
    kept: Kept<sampan::LogEntry>,
    container: String,
    follow: bool,
}

/// Entries taken at once: what is at hand costs no call, and no thread, of its own.
const BATCH: usize = 256;

type Entry<'py> = (String, &'static str, Bound<'py, PyBytes>);

impl LogStream {
    pub fn new(stream: sampan::LogStream, container: &str, follow: bool) -> Self {
        LogStream { stream: Mutex::new(Some(stream)), kept: Kept::default(), container: container.to_owned(), follow }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Vec<sampan::LogEntry>> {
        let mut stream = self.stream.try_lock().map_err(|_| {
            Error::new(Kind::Conflict, "read log", &self.container).because("another thread is reading it")
        })?;
        let Some(stream) = stream.as_mut() else { return Ok(Vec::new()) };
        match self.kept.first(BATCH) {
            kept if kept.is_empty() => stream.next_batch(BATCH, cancel),
            kept => Ok(kept),
        }
    }
}

#[pymethods]
impl LogStream {
    /// Time, stream and bytes of the next entries; none at the end.
    #[pyo3(signature = (timeout=None, cancel=None))]
    fn next<'py>(&self, py: Python<'py>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<Vec<Entry<'py>>> {
        let entries = match self.follow {
            true => Call { cancel, timeout, name: ("read log", &self.container), progress: None }.run_or_undo(
                py,
                |_, cancel| self.read(cancel),
                |entries| self.kept.put_back(entries),
            )?,
            false => brief(py, || self.read(&sampan::Cancel::new()))?,
        };
        Ok(entries.into_iter().map(|e| (e.time, e.stream.word(), PyBytes::new(py, &e.data))).collect())
    }

    /// Lets go of its descriptors, unless another thread is reading just now.
    fn close(&self) {
        if let Ok(mut stream) = self.stream.try_lock() {
            *stream = None;
        }
    }
}

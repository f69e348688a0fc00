//! A log, entry by entry.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sampan::{Error, Kind};

use crate::blocking::{Call, Cancel, brief};

/// An open log. One reader at a time.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct LogStream {
    /// `None` once it is closed.
    stream: Mutex<Option<sampan::LogStream>>,
    container: String,
    follow: bool,
}

/// Entries taken at once: what is at hand costs no call, and no thread, of its own.
const BATCH: usize = 256;

type Entry<'py> = (String, &'static str, Bound<'py, PyBytes>);

impl LogStream {
    pub fn new(stream: sampan::LogStream, container: &str, follow: bool) -> Self {
        LogStream { stream: Mutex::new(Some(stream)), container: container.to_owned(), follow }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Vec<sampan::LogEntry>> {
        let mut stream = self.stream.try_lock().map_err(|_| {
            Error::new(Kind::Conflict, "read log", &self.container).because("another thread is reading it")
        })?;
        stream.as_mut().map_or_else(|| Ok(Vec::new()), |stream| stream.next_batch(BATCH, cancel))
    }
}

#[pymethods]
impl LogStream {
    /// Time, stream and bytes of the next entries; none at the end.
    #[pyo3(signature = (timeout=None, cancel=None))]
    fn next<'py>(&self, py: Python<'py>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<Vec<Entry<'py>>> {
        let entries = match self.follow {
            true => Call { cancel, timeout, name: ("read log", &self.container), progress: None }
                .run(py, |_, cancel| self.read(cancel))?,
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

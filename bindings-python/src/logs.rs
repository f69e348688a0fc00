//! A log, entry by entry.

use std::sync::Mutex;

use pyo3::prelude::*;
use pyo3::types::PyBytes;
use sampan::{Error, Kind};

use crate::blocking::{Call, Cancel, brief};

/// An open log. One reader at a time.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct LogStream {
    stream: Mutex<sampan::LogStream>,
    container: String,
    follow: bool,
}

/// Entries taken at once from a log that is not followed, where no read ever waits.
const BATCH: usize = 256;

type Entry<'py> = (String, &'static str, Bound<'py, PyBytes>);

impl LogStream {
    pub fn new(stream: sampan::LogStream, container: &str, follow: bool) -> Self {
        LogStream { stream: Mutex::new(stream), container: container.to_owned(), follow }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Vec<sampan::LogEntry>> {
        let mut stream = self.stream.try_lock().map_err(|_| {
            Error::new(Kind::Conflict, "read log", &self.container).because("another thread is reading it")
        })?;
        let most = if self.follow { 1 } else { BATCH };
        let mut entries = Vec::new();
        while entries.len() < most
            && let Some(entry) = stream.next(cancel)?
        {
            entries.push(entry);
        }
        Ok(entries)
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
}

//! What a container uses, reading by reading.

use std::sync::Mutex;

use pyo3::prelude::*;
use sampan::{Error, Kind};

use crate::blocking::{Call, Cancel};
use crate::value::to_python;

/// Readings at intervals. One reader at a time.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct StatsStream {
    stream: Mutex<sampan::StatsStream>,
    container: String,
}

impl StatsStream {
    pub fn new(stream: sampan::StatsStream, container: &str) -> Self {
        StatsStream { stream: Mutex::new(stream), container: container.to_owned() }
    }
}

#[pymethods]
impl StatsStream {
    /// The next reading; `None` when the container has ended.
    #[pyo3(signature = (cancel=None))]
    fn next<'py>(&self, py: Python<'py>, cancel: Option<&Cancel>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let call = Call { cancel, name: ("read statistics", &self.container), ..Call::default() };
        let reading = call.run(py, |_, cancel| {
            let mut stream = self.stream.try_lock().map_err(|_| {
                Error::new(Kind::Conflict, "read statistics", &self.container).because("another thread is reading them")
            })?;
            stream.next(cancel)
        })?;
        reading.map(|reading| to_python(py, &reading)).transpose()
    }
}

//! What happens in a store, event by event.

use std::sync::Mutex;

use pyo3::prelude::*;
use sampan::{Error, Kind};

use crate::blocking::{Call, Cancel};
use crate::kept::Kept;
use crate::value::to_python;

/// Open events. One reader at a time.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct EventStream {
    /// `None` once it is closed.
    stream: Mutex<Option<sampan::EventStream>>,
    /// Read by calls that were interrupted as they returned.
    kept: Kept<sampan::EngineEvent>,
}

impl EventStream {
    pub fn new(stream: sampan::EventStream) -> Self {
        EventStream { stream: Mutex::new(Some(stream)), kept: Kept::default() }
    }

    fn read(&self, cancel: &sampan::Cancel) -> sampan::Result<Option<sampan::EngineEvent>> {
        let mut stream = self
            .stream
            .try_lock()
            .map_err(|_| Error::new(Kind::Conflict, "read events", "").because("another thread is reading them"))?;
        let Some(stream) = stream.as_mut() else { return Ok(None) };
        self.kept.first(1).pop().map_or_else(|| stream.next(cancel), |event| Ok(Some(event)))
    }
}

#[pymethods]
impl EventStream {
    /// The next event; `None` at the end.
    #[pyo3(signature = (timeout=None, cancel=None))]
    fn next<'py>(
        &self,
        py: Python<'py>,
        timeout: Option<f64>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        let call = Call { cancel, timeout, name: ("read events", ""), progress: None };
        let event = call.run_or_undo(py, |_, cancel| self.read(cancel), |event| self.kept.put_back(event))?;
        event.map(|event| to_python(py, &event)).transpose()
    }

    /// Lets go of its descriptors, unless another thread is reading just now.
    fn close(&self) {
        if let Ok(mut stream) = self.stream.try_lock() {
            *stream = None;
        }
    }
}

//! Errors as Python's exceptions. The classes are Python's own, in `sampan._exceptions`.

use pyo3::prelude::*;
use pyo3::types::PyDict;
use sampan::Error;

/// The exception of an error; when even that fails, the exception that came instead.
pub fn raise(py: Python<'_>, error: Error) -> PyErr {
    match exception(py, &error) {
        Ok(value) => PyErr::from_value(value),
        Err(other) => other,
    }
}

fn exception<'py>(py: Python<'py>, error: &Error) -> PyResult<Bound<'py, PyAny>> {
    let fields = PyDict::new(py);
    fields.set_item("operation", error.operation())?;
    fields.set_item("subject", error.subject())?;
    fields.set_item("errno", error.errno())?;
    fields.set_item("hint", error.hint_text())?;
    fields.set_item("leftovers", error.leftovers())?;
    fields.set_item("retryable", error.retryable())?;
    fields.set_item("exit_code", error.exit_code())?;
    let classes = py.import("sampan._exceptions")?.getattr("by_kind")?;
    classes.get_item(error.kind().word())?.call((error.to_string(),), Some(&fields))
}

//! A container's streams, joined.

use pyo3::prelude::*;

use crate::blocking::{Call, Cancel, brief};
use crate::streams::Streams;
use crate::value::to_python;

/// The streams of a running container.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct Attachment {
    attachment: sampan::Attachment,
    streams: Streams,
}

impl Attachment {
    pub fn new(mut attachment: sampan::Attachment) -> Self {
        let streams = Streams::new([attachment.take_stdin(), attachment.take_stdout(), attachment.take_stderr()]);
        Attachment { attachment, streams }
    }
}

#[pymethods]
impl Attachment {
    /// Descriptors of its input, output and errors, for the caller to close; a second call gives none.
    fn take(&self) -> [Option<i32>; 3] {
        self.streams.take()
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<Bound<'py, PyAny>> {
        let call = Call { cancel, timeout, name: ("wait for container", ""), progress: None };
        to_python(py, &call.run(py, |_, cancel| self.attachment.wait(cancel))?)
    }

    fn resize(&self, py: Python<'_>, rows: u32, columns: u32) -> PyResult<()> {
        brief(py, || self.attachment.resize(rows, columns))
    }
}

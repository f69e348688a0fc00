//! A container's streams, joined.

use std::os::fd::{IntoRawFd, OwnedFd};
use std::sync::Mutex;

use pyo3::prelude::*;

use crate::blocking::{Call, Cancel, brief};
use crate::value::to_python;

/// The streams of a running container.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct Attachment {
    attachment: sampan::Attachment,
    streams: Mutex<[Option<OwnedFd>; 3]>,
}

impl Attachment {
    pub fn new(mut attachment: sampan::Attachment) -> Self {
        let streams = [attachment.take_stdin(), attachment.take_stdout(), attachment.take_stderr()];
        Attachment { attachment, streams: Mutex::new(streams) }
    }
}

#[pymethods]
impl Attachment {
    /// Descriptors of its input, output and errors, for the caller to close; a second call gives none.
    fn take(&self) -> [Option<i32>; 3] {
        let mut streams = self.streams.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        std::mem::take(&mut *streams).map(|fd| fd.map(IntoRawFd::into_raw_fd))
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

//! A command in a container, while it runs.

use pyo3::prelude::*;

use crate::blocking::{Call, Cancel, brief};
use crate::streams::Streams;
use crate::value::to_python;

/// A running command.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct Exec {
    exec: sampan::Exec,
    owner: u32,
    streams: Streams,
}

impl Exec {
    pub fn new(mut exec: sampan::Exec) -> Self {
        let streams = Streams::new([exec.take_stdin(), exec.take_stdout(), exec.take_stderr()]);
        Exec { exec, owner: std::process::id(), streams }
    }
}

#[pymethods]
impl Exec {
    #[getter]
    fn pid(&self) -> i32 {
        self.exec.pid()
    }

    /// Descriptors of its input, output and errors, for the caller to close; a second call gives none.
    fn take(&self) -> [Option<i32>; 3] {
        self.streams.take()
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<Bound<'py, PyAny>> {
        let call = Call { cancel, timeout, name: ("wait for command", ""), progress: None };
        to_python(py, &call.run(py, |_, cancel| self.exec.wait(cancel))?)
    }

    fn kill(&self, py: Python<'_>, signal: &str) -> PyResult<()> {
        brief(py, || self.exec.kill(signal))
    }

    /// Output and errors that nobody reads any more are thrown away. A forked child only closes copies, and says nothing.
    fn discard(&self, py: Python<'_>, stdout: bool, stderr: bool) -> PyResult<()> {
        if self.owner != std::process::id() {
            return Ok(());
        }
        brief(py, || {
            if stdout {
                self.exec.discard_stdout()?;
            }
            if stderr {
                self.exec.discard_stderr()?;
            }
            Ok(())
        })
    }

    fn resize(&self, py: Python<'_>, rows: u32, columns: u32) -> PyResult<()> {
        brief(py, || self.exec.resize(rows, columns))
    }
}

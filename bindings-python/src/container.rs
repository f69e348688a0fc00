//! `sampan::Container`, call by call.

use std::os::fd::{BorrowedFd, IntoRawFd};

use pyo3::exceptions::PyValueError;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use sampan::Progress;

use crate::attach::Attachment;
use crate::blocking::{Call, Cancel, brief};
use crate::engine::{list, stdio, without_stdin};
use crate::exec::Exec;
use crate::logs::LogStream;
use crate::stats::StatsStream;
use crate::value::{record, to_python};

/// A container by id.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct Container(pub sampan::Container);

impl Container {
    fn call<'a>(&'a self, operation: &'static str, cancel: Option<&'a Cancel>) -> Call<'a> {
        Call { cancel, name: (operation, self.0.id()), ..Call::default() }
    }
}

/// A descriptor that the caller keeps open for as long as the call lasts.
fn borrowed<'a>(fd: i32) -> PyResult<BorrowedFd<'a>> {
    match fd {
        // SAFETY: `python/sampan` has opened it, and closes it when the call has returned.
        0.. => Ok(unsafe { BorrowedFd::borrow_raw(fd) }),
        _ => Err(PyValueError::new_err("not a file descriptor")),
    }
}

#[pymethods]
impl Container {
    #[getter]
    fn id(&self) -> &str {
        self.0.id()
    }

    #[pyo3(signature = (streams=None, cancel=None))]
    fn start(&self, py: Python<'_>, streams: Option<&Bound<'_, PyDict>>, cancel: Option<&Cancel>) -> PyResult<()> {
        let streams = stdio(streams)?;
        self.call("start", cancel).run(py, |_, cancel| self.0.start(&streams, cancel))
    }

    #[pyo3(signature = (options, cancel=None))]
    fn stop(&self, py: Python<'_>, options: &Bound<'_, PyDict>, cancel: Option<&Cancel>) -> PyResult<()> {
        let options = record("stop", options)?;
        self.call("stop", cancel).run(py, |_, cancel| self.0.stop(&options, cancel))
    }

    #[pyo3(signature = (options, cancel=None))]
    fn restart(&self, py: Python<'_>, options: &Bound<'_, PyDict>, cancel: Option<&Cancel>) -> PyResult<()> {
        let options = record("restart", options)?;
        self.call("restart", cancel).run(py, |_, cancel| self.0.restart(&options, cancel))
    }

    fn kill(&self, py: Python<'_>, signal: &str) -> PyResult<()> {
        brief(py, || self.0.kill(signal))
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn wait<'py>(&self, py: Python<'py>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<Bound<'py, PyAny>> {
        let status = self.call("wait", cancel).run(py, |_, cancel| self.0.wait(timeout, cancel))?;
        to_python(py, &status)
    }

    #[pyo3(signature = (timeout=None, cancel=None))]
    fn wait_healthy(&self, py: Python<'_>, timeout: Option<f64>, cancel: Option<&Cancel>) -> PyResult<()> {
        self.call("wait", cancel).run(py, |_, cancel| self.0.wait_healthy(timeout, cancel))
    }

    fn logs(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<LogStream> {
        let options: sampan::LogOptions = record("logs", options)?;
        let stream = brief(py, || self.0.logs(&options))?;
        Ok(LogStream::new(stream, self.0.id(), options.follow))
    }

    fn inspect<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let mut info = brief(py, || self.0.inspect())?;
        let stdin = info.options.stdin.take();
        let dict = to_python(py, &info)?;
        if let Some(bytes) = stdin {
            dict.get_item("options")?.set_item("stdin", pyo3::types::PyBytes::new(py, &bytes))?;
        }
        Ok(dict)
    }

    fn rename(&self, py: Python<'_>, name: &str) -> PyResult<()> {
        brief(py, || self.0.rename(name))
    }

    fn remove(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<()> {
        let options = record("remove", options)?;
        self.call("remove", None).run(py, |_, _| self.0.remove(&options))
    }

    #[pyo3(signature = (cancel=None))]
    fn pause(&self, py: Python<'_>, cancel: Option<&Cancel>) -> PyResult<()> {
        self.call("pause", cancel).run(py, |_, cancel| self.0.pause(cancel))
    }

    fn unpause(&self, py: Python<'_>) -> PyResult<()> {
        brief(py, || self.0.unpause())
    }

    fn top<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, &brief(py, || self.0.top())?)
    }

    fn stats<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &brief(py, || self.0.stats())?)
    }

    fn stats_stream(&self, py: Python<'_>, interval: f64) -> PyResult<StatsStream> {
        let stream = brief(py, || self.0.stats_stream(interval))?;
        Ok(StatsStream::new(stream, self.0.id()))
    }

    fn update(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<()> {
        let options = record("update", options)?;
        brief(py, || self.0.update(&options))
    }

    #[pyo3(signature = (options, cancel=None))]
    fn exec_start(&self, py: Python<'_>, options: &Bound<'_, PyDict>, cancel: Option<&Cancel>) -> PyResult<Exec> {
        let options: sampan::ExecOptions = record("exec", options)?;
        let start = |_: &mut dyn Progress, cancel: &_| self.0.exec_start(&options, cancel);
        self.call("exec", cancel).run_or_undo(py, start, |exec| exec.kill("SIGKILL")).map(Exec::new)
    }

    #[pyo3(signature = (interactive, cancel=None))]
    fn attach(&self, py: Python<'_>, interactive: bool, cancel: Option<&Cancel>) -> PyResult<Attachment> {
        self.call("attach", cancel).run(py, |_, cancel| self.0.attach(interactive, cancel)).map(Attachment::new)
    }

    #[pyo3(signature = (options, cancel=None))]
    fn exec<'py>(
        &self,
        py: Python<'py>,
        options: &Bound<'py, PyDict>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let (options, stdin) = without_stdin(options)?;
        let mut record: sampan::ExecOptions = record("exec", &options)?;
        record.stdin = stdin;
        let output = self.call("exec", cancel).run(py, |_, cancel| self.0.exec(&record, cancel))?;
        let sampan::ExecOutput { code, signal, oom_killed, error, stdout, stderr } = output;
        let exit = sampan::ExitStatus { code, signal, oom_killed, error, ..Default::default() };
        let dict = PyDict::new(py);
        dict.set_item("id", self.0.id())?;
        dict.set_item("exit", to_python(py, &exit)?)?;
        dict.set_item("stdout", PyBytes::new(py, &stdout))?;
        dict.set_item("stderr", PyBytes::new(py, &stderr))?;
        Ok(dict)
    }

    #[pyo3(signature = (path, dest, options, cancel=None))]
    fn copy_from(
        &self,
        py: Python<'_>,
        path: &str,
        dest: &str,
        options: &Bound<'_, PyDict>,
        cancel: Option<&Cancel>,
    ) -> PyResult<()> {
        let options = record("copy", options)?;
        self.call("copy", cancel).run(py, |_, cancel| self.0.copy_from(path, dest, &options, cancel))
    }

    #[pyo3(signature = (src, path, options, cancel=None))]
    fn copy_to(
        &self,
        py: Python<'_>,
        src: &str,
        path: &str,
        options: &Bound<'_, PyDict>,
        cancel: Option<&Cancel>,
    ) -> PyResult<()> {
        let options = record("copy", options)?;
        self.call("copy", cancel).run(py, |_, cancel| self.0.copy_to(src, path, &options, cancel))
    }

    #[pyo3(signature = (path, options, cancel=None))]
    fn path_stat<'py>(
        &self,
        py: Python<'py>,
        path: &str,
        options: &Bound<'py, PyDict>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = record("copy", options)?;
        let stat = self.call("copy", cancel).run(py, |_, cancel| self.0.path_stat(path, &options, cancel))?;
        to_python(py, &stat)
    }

    #[pyo3(signature = (path, fd, options, cancel=None))]
    fn get_archive(
        &self,
        py: Python<'_>,
        path: &str,
        fd: i32,
        options: &Bound<'_, PyDict>,
        cancel: Option<&Cancel>,
    ) -> PyResult<()> {
        let (options, fd) = (record("copy", options)?, borrowed(fd)?);
        self.call("copy", cancel).run(py, |_, cancel| self.0.get_archive(path, fd, &options, cancel))
    }

    #[pyo3(signature = (path, fd, cancel=None))]
    fn put_archive(&self, py: Python<'_>, path: &str, fd: i32, cancel: Option<&Cancel>) -> PyResult<()> {
        let fd = borrowed(fd)?;
        self.call("copy", cancel).run(py, |_, cancel| self.0.put_archive(path, fd, cancel))
    }

    /// A descriptor, for the caller to close.
    #[pyo3(signature = (path, mode, cancel=None))]
    fn open(&self, py: Python<'_>, path: &str, mode: &str, cancel: Option<&Cancel>) -> PyResult<i32> {
        let file = self.call("open", cancel).run(py, |_, cancel| self.0.open(path, mode, cancel))?;
        Ok(file.into_raw_fd())
    }

    fn resize(&self, py: Python<'_>, rows: u32, columns: u32) -> PyResult<()> {
        brief(py, || self.0.resize(rows, columns))
    }
}

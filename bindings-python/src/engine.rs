//! `sampan::Engine`, call by call.

use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};
use sampan::{Progress, RemoveOptions, RunOptions, Stdio};

use crate::blocking::{Call, Cancel, brief};
use crate::container::Container;
use crate::events::EventStream;
use crate::value::{record, record_with, to_python};

/// An open store.
#[pyclass(frozen, module = "sampan._sampan")]
pub struct Engine(sampan::Engine);

/// Keywords of a run that the package turns into mounts, or refuses, before they come here.
const CONVERTED: &[&str] = &["volumes", "tmpfs", "ports"];

/// Those of a call that no record has: whoever misspells one may mean it.
const OF_RUN: &[&str] = &["input", "check", "timeout", "text", "detach", "progress", "cancel"];
const OF_SPAWN: &[&str] = &["stdin", "stdout", "stderr", "progress", "cancel"];
const OF_CREATE: &[&str] = &["progress", "cancel"];

/// Run options from a dict; the bytes of `stdin` are moved by hand.
fn run_options(options: &Bound<'_, PyDict>, of_call: &[&str]) -> PyResult<RunOptions> {
    let (options, stdin) = without_stdin(options)?;
    let mut record: RunOptions = record_with("run", &[CONVERTED, of_call].concat(), &options)?;
    record.stdin = stdin;
    Ok(record)
}

/// A record's bytes for standard input, apart from what passes as a record.
pub fn without_stdin<'py>(options: &Bound<'py, PyDict>) -> PyResult<(Bound<'py, PyDict>, Option<Vec<u8>>)> {
    let options = options.copy()?;
    let stdin = options.get_item("stdin")?.filter(|v| !v.is_none()).map(|v| v.extract::<Vec<u8>>());
    if stdin.is_some() {
        options.del_item("stdin")?;
    }
    Ok((options, stdin.transpose()?))
}

/// Descriptors as a dict of three numbers.
pub fn stdio(streams: Option<&Bound<'_, PyDict>>) -> PyResult<Stdio> {
    streams.map(|s| record("stdio", s)).transpose().map(Option::unwrap_or_default)
}

/// Records as a list of dicts.
pub fn list<'py, T: serde::Serialize>(py: Python<'py>, records: &[T]) -> PyResult<Bound<'py, PyList>> {
    let items = records.iter().map(|r| to_python(py, r)).collect::<PyResult<Vec<_>>>()?;
    PyList::new(py, items)
}

/// Takes back a container that nobody has a handle of.
fn remove(container: sampan::Container) -> sampan::Result<()> {
    container.remove(&RemoveOptions { force: true, volumes: true })
}

#[pymethods]
impl Engine {
    #[new]
    fn new(py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<Self> {
        let options = record("engine", options)?;
        brief(py, || sampan::Engine::open(&options)).map(Engine)
    }

    fn info<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &brief(py, || self.0.info())?)
    }

    fn doctor<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        let call = Call { name: ("doctor", ""), ..Call::default() };
        to_python(py, &call.run(py, |_, _| self.0.doctor())?)
    }

    #[pyo3(signature = (reference, options, progress=None, cancel=None))]
    fn pull<'py>(
        &self,
        py: Python<'py>,
        reference: &str,
        options: &Bound<'py, PyDict>,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Bound<'py, PyAny>> {
        let options = record("pull", options)?;
        let call = Call { progress, cancel, name: ("pull", reference), timeout: None };
        to_python(py, &call.run(py, |progress, cancel| self.0.pull(reference, &options, progress, cancel))?)
    }

    fn images<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        list(py, &brief(py, || self.0.images())?)
    }

    fn inspect_image<'py>(&self, py: Python<'py>, image: &str) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &brief(py, || self.0.inspect_image(image))?)
    }

    fn tag(&self, py: Python<'_>, image: &str, reference: &str) -> PyResult<()> {
        brief(py, || self.0.tag(image, reference))
    }

    fn remove_image<'py>(
        &self,
        py: Python<'py>,
        image: &str,
        options: &Bound<'py, PyDict>,
    ) -> PyResult<Bound<'py, PyList>> {
        let options = record("remove image", options)?;
        list(py, &brief(py, || self.0.remove_image(image, &options))?)
    }

    fn gc<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyAny>> {
        to_python(py, &brief(py, || self.0.gc())?)
    }

    #[pyo3(signature = (options, progress=None, cancel=None))]
    fn create(
        &self,
        py: Python<'_>,
        options: &Bound<'_, PyDict>,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Container> {
        let options = run_options(options, OF_CREATE)?;
        let call = Call { progress, cancel, name: ("create", &options.image), timeout: None };
        call.run_or_undo(py, |progress, cancel| self.0.create(&options, progress, cancel), remove).map(Container)
    }

    #[pyo3(signature = (options, streams=None, progress=None, cancel=None))]
    fn spawn(
        &self,
        py: Python<'_>,
        options: &Bound<'_, PyDict>,
        streams: Option<&Bound<'_, PyDict>>,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Cancel>,
    ) -> PyResult<Container> {
        let (options, streams) = (run_options(options, OF_SPAWN)?, stdio(streams)?);
        let call = Call { progress, cancel, name: ("run", &options.image), timeout: None };
        let spawn = |progress: &mut dyn Progress, cancel: &_| self.0.spawn(&options, &streams, progress, cancel);
        call.run_or_undo(py, spawn, remove).map(Container)
    }

    #[pyo3(signature = (options, progress=None, cancel=None, timeout=None))]
    fn run<'py>(
        &self,
        py: Python<'py>,
        options: &Bound<'py, PyDict>,
        progress: Option<Py<PyAny>>,
        cancel: Option<&Cancel>,
        timeout: Option<f64>,
    ) -> PyResult<Bound<'py, PyDict>> {
        let options = run_options(options, OF_RUN)?;
        let call = Call { progress, cancel, name: ("run", &options.image), timeout };
        let output = call.run(py, |progress, cancel| self.0.run(&options, progress, cancel))?;
        let dict = PyDict::new(py);
        dict.set_item("id", &output.id)?;
        dict.set_item("exit", to_python(py, &output.exit)?)?;
        dict.set_item("stdout", PyBytes::new(py, &output.stdout))?;
        dict.set_item("stderr", PyBytes::new(py, &output.stderr))?;
        Ok(dict)
    }

    fn events(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<EventStream> {
        let options = record("event", options)?;
        brief(py, || self.0.events(&options)).map(EventStream::new)
    }

    fn plan(&self, py: Python<'_>, options: &Bound<'_, PyDict>) -> PyResult<String> {
        let options = run_options(options, &[])?;
        brief(py, || self.0.plan(&options))
    }

    fn containers<'py>(&self, py: Python<'py>, options: &Bound<'py, PyDict>) -> PyResult<Bound<'py, PyList>> {
        let options = record("list", options)?;
        list(py, &brief(py, || self.0.containers(&options))?)
    }

    fn container(&self, py: Python<'_>, container: &str) -> PyResult<Container> {
        brief(py, || self.0.container(container)).map(Container)
    }
}

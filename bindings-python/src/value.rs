//! Python objects to the facade's records and back, through JSON's data model.
//!
//! Bytes don't pass here: they would become arrays of numbers. The few fields of bytes are moved by hand.

use pyo3::IntoPyObjectExt;
use pyo3::exceptions::{PyOverflowError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyBool, PyDict, PyFloat, PyInt, PyList, PyMapping, PySequence, PyString, PyTuple};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Number, Value};

use crate::error::raise;

/// Deeper than any record; stops a list that holds itself.
const MAX_DEPTH: usize = 16;

/// A record from a dict of its fields. `None` is as good as absent.
pub fn record<T: DeserializeOwned>(what: &'static str, options: &Bound<'_, PyDict>) -> PyResult<T> {
    record_with(what, &[], options)
}

/// The same, where the package takes the names `also` too and converts them.
pub fn record_with<T: DeserializeOwned>(what: &'static str, also: &[&str], options: &Bound<'_, PyDict>) -> PyResult<T> {
    let value = from_dict(options, MAX_DEPTH)?;
    sampan::given::read(what, also, value, str::to_owned).map_err(|e| raise(options.py(), e))
}

/// A record as a dict.
pub fn to_python<'py>(py: Python<'py>, record: &impl Serialize) -> PyResult<Bound<'py, PyAny>> {
    let value = serde_json::to_value(record).map_err(|e| PyTypeError::new_err(e.to_string()))?;
    from_json(py, value)
}

fn from_dict(dict: &Bound<'_, PyDict>, depth: usize) -> PyResult<Value> {
    let mut map = Map::new();
    for (key, value) in dict.iter() {
        if !value.is_none() {
            let key: String = key.extract()?;
            let value = to_json(&value, depth - 1).map_err(|e| name_field(&key, e, dict.py()))?;
            map.insert(key, value);
        }
    }
    Ok(Value::Object(map))
}

fn name_field(key: &str, error: PyErr, py: Python<'_>) -> PyErr {
    if error.is_instance_of::<PyTypeError>(py) {
        return PyTypeError::new_err(format!("{key}: {}", error.value(py)));
    }
    match error.is_instance_of::<PyOverflowError>(py) {
        true => PyOverflowError::new_err(format!("{key}: the number is out of range")),
        false => error,
    }
}

fn to_json(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if depth == 0 {
        return Err(PyTypeError::new_err("nested too deeply"));
    }
    if value.is_none() {
        return Ok(Value::Null);
    }
    // A bool is an int in Python, so it is asked for first.
    if value.is_instance_of::<PyBool>() {
        return Ok(Value::Bool(value.extract()?));
    }
    if value.is_instance_of::<PyInt>() {
        return integer(value);
    }
    if value.is_instance_of::<PyFloat>() {
        return Number::from_f64(value.extract()?)
            .map(Value::Number)
            .ok_or_else(|| PyTypeError::new_err("expected a finite number"));
    }
    if value.is_instance_of::<PyString>() {
        return Ok(Value::String(value.extract()?));
    }
    container(value, depth)
}

fn integer(value: &Bound<'_, PyAny>) -> PyResult<Value> {
    match value.extract::<i64>() {
        Ok(n) => Ok(n.into()),
        Err(_) => Ok(value.extract::<u64>()?.into()),
    }
}

fn container(value: &Bound<'_, PyAny>, depth: usize) -> PyResult<Value> {
    if let Ok(dict) = value.cast::<PyDict>() {
        return from_dict(dict, depth);
    }
    if value.cast::<PyList>().is_ok() || value.cast::<PyTuple>().is_ok() {
        return value.try_iter()?.map(|item| to_json(&item?, depth - 1)).collect();
    }
    if let Ok(path) = value.call_method0("__fspath__") {
        return Ok(Value::String(path.extract()?));
    }
    if let Ok(mapping) = value.cast::<PyMapping>() {
        let dict = PyDict::new(value.py());
        dict.update(mapping)?;
        return from_dict(&dict, depth);
    }
    if let Ok(sequence) = value.cast::<PySequence>() {
        return sequence.try_iter()?.map(|item| to_json(&item?, depth - 1)).collect();
    }
    Err(PyTypeError::new_err(format!("can't use a value of type {}", value.get_type().name()?)))
}

fn from_json(py: Python<'_>, value: Value) -> PyResult<Bound<'_, PyAny>> {
    match value {
        Value::Null => Ok(py.None().into_bound(py)),
        Value::Bool(b) => b.into_bound_py_any(py),
        Value::Number(n) => match (n.as_i64(), n.as_u64()) {
            (Some(i), _) => i.into_bound_py_any(py),
            (None, Some(u)) => u.into_bound_py_any(py),
            (None, None) => n.as_f64().into_bound_py_any(py),
        },
        Value::String(s) => s.into_bound_py_any(py),
        Value::Array(items) => {
            let list = PyList::empty(py);
            for item in items {
                list.append(from_json(py, item)?)?;
            }
            Ok(list.into_any())
        }
        Value::Object(map) => {
            let dict = PyDict::new(py);
            for (key, item) in map {
                dict.set_item(key, from_json(py, item)?)?;
            }
            Ok(dict.into_any())
        }
    }
}

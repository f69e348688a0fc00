//! The native half of the Python package: it converts, releases the GIL, and hears Ctrl-C.
//!
//! What a user sees is written in `python/sampan`; nothing here is public.

mod attach;
mod blocking;
mod container;
mod engine;
mod error;
mod events;
mod exec;
mod kept;
mod logs;
mod progress;
mod stats;
mod streams;
mod value;

use pyo3::prelude::*;

/// Loaded as `sampan._sampan`.
#[pymodule]
fn _sampan(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("version", sampan::Engine::version())?;
    module.add_class::<blocking::Cancel>()?;
    module.add_class::<engine::Engine>()?;
    module.add_class::<container::Container>()?;
    module.add_class::<exec::Exec>()?;
    module.add_class::<attach::Attachment>()?;
    module.add_class::<stats::StatsStream>()?;
    module.add_class::<events::EventStream>()?;
    module.add_class::<logs::LogStream>()
}

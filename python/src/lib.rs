//! What the Python package `audiodiff` has of the library. Values come checked for their type: `audiodiff/*.py` is the
//! interface, this its engine room.
//!
//! Nothing is computed in a thread of Python's: libtorch's number of threads is the thread's own, and the caller's torch keeps
//! the one that it has.

mod background;
mod convention;
mod exception;
mod files;
mod given;
mod measure;
mod stream;
mod vocoder;

use pyo3::prelude::*;

#[pymodule]
fn _audiodiff(module: &Bound<'_, PyModule>) -> PyResult<()> {
    module.add("LIBTORCH_VERSION", audiodiff::model::LIBTORCH_VERSION)?;
    module.add_class::<convention::Convention>()?;
    module.add_class::<stream::Stream>()?;
    module.add_class::<vocoder::Vocoder>()?;
    module.add_function(wrap_pyfunction!(convention::presets, module)?)?;
    module.add_function(wrap_pyfunction!(files::render_files, module)?)?;
    module.add_function(wrap_pyfunction!(given::recognise, module)?)?;
    module.add_function(wrap_pyfunction!(measure::mel, module)?)?;
    module.add_function(wrap_pyfunction!(measure::score, module)?)
}

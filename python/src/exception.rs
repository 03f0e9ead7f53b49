//! The library's errors as exceptions of `audiodiff.errors`.

use audiodiff::{Error, Fault};
use pyo3::{exceptions::PyKeyboardInterrupt, prelude::*};

pub fn exception(error: Error) -> PyErr {
    let class = match &error {
        Error::Io { .. } => "FileError",
        Error::Mel(_) => "MelError",
        Error::Audio(_) => "AudioError",
        Error::Model(_) => "ModelError",
        Error::Convention(_) => "ConventionError",
        Error::Manifest(_) => "ManifestError",
        Error::Data(_) | Error::Exists(_) => "OutputError",
        Error::Settings(_) => "SettingsError",
        Error::Device(_) | Error::Backend { .. } => "BackendError",
        Error::Bug(_) => "BugError",
        Error::Interrupted => return PyKeyboardInterrupt::new_err(()),
    };
    let text = error.to_string();
    // Its own constructor puts keywords in the place of the program's flags.
    let made = |py: Python| Ok(PyErr::from_value(py.import("audiodiff.errors")?.getattr(class)?.call1((text,))?));
    Python::attach(|py| made(py).unwrap_or_else(|error| error))
}

/// A setting that has another value than those allowed.
pub fn no_such(setting: &str, found: &str, expected: &str) -> Error {
    Error::Settings(Fault::new(setting, format!("is {found:?}")).expected(expected))
}

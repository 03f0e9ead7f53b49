//! Mel conventions, by name, file or fields.

use crate::exception::exception;
use audiodiff::{
    Error, Fault, Result,
    mel::{MelConvention, presets as table, user_convention},
};
use pyo3::prelude::*;
use serde_json::{Map, Value};

/// What a mel's numbers mean.
#[pyclass(frozen, module = "audiodiff._audiodiff")]
pub struct Convention(pub MelConvention);

#[pymethods]
impl Convention {
    /// A preset's name, or a file that describes one; with what of the file was not understood.
    #[staticmethod]
    fn named(name: &str) -> PyResult<(Self, Vec<String>)> {
        let described = user_convention::describe(name).map_err(exception)?;
        Ok((Self(described.convention), described.notes))
    }

    /// All fields, as `json` gives them.
    #[staticmethod]
    fn of_json(text: &str) -> PyResult<Self> {
        let convention = fields(text).and_then(|convention| convention.validate().map(|()| convention));
        convention.map(Self).map_err(exception)
    }

    fn json(&self) -> String {
        serde_json::json!(self.0).to_string()
    }
}

fn fields(text: &str) -> Result<MelConvention> {
    let read = |fields: Map<String, Value>| serde_json::from_value::<MelConvention>(Value::Object(fields));
    let fault = |subject: String, error: &serde_json::Error| {
        let fault = Fault::new(subject, format!("cannot be used ({error})"));
        Error::Convention(fault.expected("the fields that audiodiff.convention(\"f5-tts\") has"))
    };
    let given: Map<String, Value> = serde_json::from_str(text).map_err(|error| fault("convention".into(), &error))?;
    read(given.clone()).map_err(|error| {
        // serde does not say which field it was: the one that a whole convention cannot have either.
        let is_wrong = |name: &&String| match serde_json::json!(MelConvention::native()) {
            Value::Object(mut whole) => {
                whole.insert((*name).clone(), given[*name].clone());
                read(whole).is_err()
            }
            _ => false,
        };
        let wrong = given.keys().find(is_wrong);
        fault(wrong.map_or_else(|| "convention".into(), |name| format!("convention: {name}")), &error)
    })
}

/// Name, further names, what it is, all fields as JSON.
#[pyfunction]
pub fn presets() -> Vec<(String, Vec<&'static str>, &'static str, String)> {
    let shown = |preset: &table::Preset| {
        let json = serde_json::json!(preset.convention).to_string();
        (preset.name().to_owned(), preset.aliases.to_vec(), preset.about, json)
    };
    table::all().iter().map(shown).collect()
}

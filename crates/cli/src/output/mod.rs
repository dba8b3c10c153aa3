//! Printing: Tables, YAML, JSON, names, JSONPath, aligned text.
//!
//! In: values. Out: text. Never: a request.

pub mod align;
pub mod json;
pub mod jsonpath;
pub mod table;
pub mod yaml;

use crate::failure::Failure;

/// What `-o` asked for.
#[derive(Debug, Clone, PartialEq)]
pub enum Format {
    Table { wide: bool },
    Json,
    Yaml,
    Name,
    JsonPath(jsonpath::Template),
}

impl Format {
    /// `None`: the default table.
    pub fn parse(text: Option<&str>) -> Result<Self, Failure> {
        Ok(match text {
            None | Some("") => Self::Table { wide: false },
            Some("wide") => Self::Table { wide: true },
            Some("json") => Self::Json,
            Some("yaml") => Self::Yaml,
            Some("name") => Self::Name,
            Some(other) => match other.split_once('=') {
                Some(("jsonpath", template)) => Self::JsonPath(jsonpath::Template::parse(template).map_err(Failure::Usage)?),
                Some(("jsonpath-file", path)) => {
                    let template = std::fs::read_to_string(path).map_err(|e| Failure::usage(format!("{path} cannot be read: {e}")))?;
                    Self::JsonPath(jsonpath::Template::parse(template.trim_end()).map_err(Failure::Usage)?)
                }
                _ => {
                    return Err(Failure::usage(format!(
                        "unknown output format {other:?}: use json, yaml, name, wide or jsonpath=TEMPLATE"
                    )));
                }
            },
        })
    }
}

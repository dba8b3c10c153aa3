//! The published texts about types and fields. In: the second data file of `cargo xtask schema`, embedded. Out: texts by definition and field.
//! Parsed only when the first OpenAPI document is asked for.

use std::collections::BTreeMap;
use std::sync::OnceLock;

use serde::Deserialize;

const DATA: &str = include_str!("../../schema/descriptions.json");

/// Indices into `texts`: each text is stored once.
#[derive(Deserialize)]
struct Data {
    definitions: BTreeMap<String, (usize, BTreeMap<String, usize>)>,
    texts: Vec<String>,
}

fn data() -> &'static Data {
    static TEXTS: OnceLock<Data> = OnceLock::new();
    TEXTS.get_or_init(|| serde_json::from_str(DATA).expect("the embedded descriptions are written by `cargo xtask schema`"))
}

/// About a type; empty when nothing is published.
pub(super) fn of_definition(definition: &str) -> &'static str {
    let data = data();
    data.definitions.get(definition).and_then(|(text, _)| data.texts.get(*text)).map_or("", String::as_str)
}

/// About a field.
pub(super) fn of_field(definition: &str, field: &str) -> &'static str {
    let data = data();
    data.definitions.get(definition).and_then(|(_, fields)| data.texts.get(*fields.get(field)?)).map_or("", String::as_str)
}

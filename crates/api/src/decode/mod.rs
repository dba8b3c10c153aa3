//! From request bytes to an object of known shape (spec/api.md 6.7): JSON with duplicate keys noticed, types checked against the schema
//! with the field's path, unknown fields dropped and reported. In: bytes or a parsed value. Out: a value that holds only declared fields,
//! in the order of the input. Never: a panic on any input, a default filled in, a rule about values (that is `validation`).

mod check;
mod duplicates;
mod scalars;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{
    kinds::Kind,
    schema::{self, Definition},
    status::Status,
};

/// The most unknown and duplicate fields that one error or one response reports; the rest is only dropped.
pub const MAXIMUM_REPORTED_FIELDS: usize = 100;
/// Nesting of JSON bodies beyond which they are refused (the bound of the JSON parser).
pub const MAXIMUM_DEPTH: usize = 128;

/// What happens with unknown and duplicate fields (query parameter `fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldValidation {
    /// They are dropped.
    Ignore,
    /// They are dropped and each gives a warning.
    Warn,
    /// They are an error.
    Strict,
}

/// A decoded object; `warnings` are texts for `Warning: 299` headers (Warn mode only).
#[derive(Debug, Clone)]
pub struct Decoded {
    pub object: Value,
    pub warnings: Vec<String>,
}

/// JSON text to a value plus the paths of duplicate keys (`duplicate field "spec.x"` is reported by `object`). 400 when it is not JSON. Depth is bounded.
pub fn parse_json(bytes: &[u8]) -> Result<(Value, Vec<String>), Status> {
    duplicates::parse(bytes).map_err(|error| Status::bad_request(format!("the body of the request is not valid JSON: {error}")))
}

/// Checks a parsed value against the kind's schema: apiVersion and kind (filled in when absent; mismatch 400), types (400 with path), unknown and
/// duplicate fields by mode. Nulls and unknown fields are dropped; RFC 3339 times are normalised to UTC whole seconds with `Z` (MicroTime: six digits).
pub fn object(kind: &Kind, value: Value, duplicates: Vec<String>, mode: FieldValidation) -> Result<Decoded, Status> {
    let Some(definition) = schema::definition(kind.definition) else {
        return Err(Status::failure(500, "InternalError", format!("Internal error occurred: no schema for {}", kind.definition)));
    };
    let mut value = value;
    let Some(map) = value.as_object_mut() else {
        return Err(Status::bad_request(format!(
            "{} in version \"{}\" cannot be handled as a {}: json: cannot unmarshal {} into Go value of type {}",
            kind.kind,
            kind.version,
            kind.kind,
            scalars::json_kind(&value),
            definition.type_name()
        )));
    };
    let expected = kind.api_version();
    let given_kind = fill(map, "kind", kind.kind)?;
    let given_version = fill(map, "apiVersion", &expected)?;
    if given_version != expected {
        return Err(Status::bad_request(format!(
            "the API version in the data ({given_version}) does not match the expected API version ({expected})"
        )));
    }
    if given_kind != kind.kind {
        return Err(Status::bad_request(format!(
            "{given_kind} in version \"{}\" cannot be handled as a {}: the kind in the data ({given_kind}) does not match the expected kind ({})",
            kind.version, kind.kind, kind.kind
        )));
    }
    shaped(definition, kind.kind, kind.version, value, duplicates, mode)
}

/// The same for types that are not registered kinds, by schema definition (DeleteOptions, Binding, Eviction, ...).
pub fn by_definition(definition: &str, value: Value, mode: FieldValidation) -> Result<Value, Status> {
    let Some(definition) = schema::definition(definition) else {
        return Err(Status::failure(500, "InternalError", format!("Internal error occurred: no schema for {definition}")));
    };
    let version = definition.name.rsplit('.').nth(1).unwrap_or("v1");
    shaped(definition, definition.short_name(), version, value, Vec::new(), mode).map(|decoded| decoded.object)
}

fn shaped(
    definition: &'static Definition,
    kind: &str,
    version: &str,
    value: Value,
    duplicates: Vec<String>,
    mode: FieldValidation,
) -> Result<Decoded, Status> {
    let prefix = format!("{kind} in version \"{version}\" cannot be handled as a {kind}");
    let mut checker = check::Checker::new(definition);
    let object = checker.object(value).map_err(|error| Status::bad_request(format!("{prefix}: {error}")))?;
    if mode == FieldValidation::Ignore {
        return Ok(Decoded { object, warnings: Vec::new() });
    }
    let unknown = checker.into_unknown();
    // A duplicate below an unknown field is no news: the whole field is gone.
    let known_duplicates = duplicates.iter().filter(|path| !unknown.iter().any(|field| is_at_or_below(path, field)));
    let reports: Vec<String> = known_duplicates
        .map(|path| format!("duplicate field \"{path}\""))
        .chain(unknown.iter().map(|path| format!("unknown field \"{path}\"")))
        .take(MAXIMUM_REPORTED_FIELDS)
        .collect();
    if mode == FieldValidation::Strict && !reports.is_empty() {
        return Err(Status::bad_request(format!("{prefix}: strict decoding error: {}", reports.join(", "))));
    }
    Ok(Decoded { object, warnings: reports })
}

fn is_at_or_below(path: &str, ancestor: &str) -> bool {
    path.strip_prefix(ancestor).is_some_and(|rest| rest.is_empty() || rest.starts_with(['.', '[']))
}

/// Reads apiVersion or kind, putting it in front when it is absent, null or empty. 400 when it is no text.
fn fill(map: &mut serde_json::Map<String, Value>, key: &str, expected: &str) -> Result<String, Status> {
    match map.get(key) {
        Some(Value::String(text)) if !text.is_empty() => return Ok(text.clone()),
        None | Some(Value::Null | Value::String(_)) => {}
        Some(other) => {
            let kind = scalars::json_kind(other);
            return Err(Status::bad_request(format!(
                "couldn't get version/kind; json parse error: json: cannot unmarshal {kind} into Go struct field .{key} of type string"
            )));
        }
    }
    map.shift_remove(key);
    map.shift_insert(0, key.to_owned(), Value::String(expected.to_owned()));
    Ok(expected.to_owned())
}

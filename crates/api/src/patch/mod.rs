//! The patch types (spec/api.md 6.9): JSON patch, merge patch, strategic merge patch.
//! In: an object and a patch as values. Out: the patched object (unknown fields in it are for `decode` to report), or a finished Status.
//! Never: I/O, a change of the given object, output that grows beyond a bound of the input (JSON patch copies are metered).

mod json;
mod order;
mod strategic;

#[cfg(test)]
mod properties;
#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{schema, status::Status};

pub use json::{MAXIMUM_COPIED_BYTES, MAXIMUM_OPERATIONS};

/// Chosen by the request's Content-Type.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    /// RFC 6902.
    Json,
    /// RFC 7396.
    Merge,
    /// Lists merge by the schema's keys; directives begin with `$`.
    StrategicMerge,
}

/// Applies `patch` to `object` of schema type `definition`. Errors are finished Statuses (400 malformed, 422 with cause UnexpectedServerResponse for
/// JSON-patch operations that fail, 413 for too many operations, 415 for a strategic merge patch of a type without a schema).
pub fn apply(definition: &str, object: &Value, kind: PatchType, patch: Value) -> Result<Value, Status> {
    match kind {
        PatchType::Json => json::apply(object, patch),
        PatchType::Merge => {
            require_object(&patch)?;
            let mut result = object.clone();
            json_patch::merge(&mut result, &patch);
            Ok(result)
        }
        PatchType::StrategicMerge => {
            require_object(&patch)?;
            let Some(definition) = schema::definition(definition) else {
                let message = "the body of the request was in an unknown format - accepted media types include: application/json-patch+json, application/merge-patch+json";
                return Err(Status::failure(415, "UnsupportedMediaType", message));
            };
            strategic::apply(definition, object, patch).map_err(|error| Status::bad_request(error.to_string()))
        }
    }
}

fn require_object(patch: &Value) -> Result<(), Status> {
    if patch.is_object() {
        return Ok(());
    }
    Err(Status::bad_request("error decoding patch: the patch must be a JSON object"))
}

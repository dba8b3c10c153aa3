//! JSON patch, one operation after the other. In: the object and the list of operations. Out: the new object. The number of operations and the
//! bytes that `copy` multiplies are bounded, so that a small body cannot become a large object.

use json_patch::{Patch, PatchOperation};
use serde_json::Value;

use crate::status::{Cause, Details, Status};

/// The most operations of one patch (spec/api.md 6.9).
pub const MAXIMUM_OPERATIONS: usize = 10_000;
/// The most bytes (as JSON text) that all `copy` operations of one patch may add: the limit of a request body.
pub const MAXIMUM_COPIED_BYTES: usize = 3 * 1024 * 1024;

pub(super) fn apply(object: &Value, patch: Value) -> Result<Value, Status> {
    let count = patch.as_array().map_or(0, Vec::len);
    if count > MAXIMUM_OPERATIONS {
        let message =
            format!("Request entity too large: The allowed maximum operations in a JSON patch is {MAXIMUM_OPERATIONS}, got {count}");
        return Err(Status::failure(413, "RequestEntityTooLarge", message));
    }
    let Patch(operations) = serde_json::from_value(patch).map_err(|error| Status::bad_request(format!("error decoding patch: {error}")))?;
    let mut result = object.clone();
    let mut copied = 0;
    for operation in operations {
        if let PatchOperation::Copy(copy) = &operation
            && let Ok(source) = copy.from.resolve(&result)
        {
            copied += source.to_string().len();
            if copied > MAXIMUM_COPIED_BYTES {
                let message =
                    format!("Request entity too large: the copy operations of the patch add more than {MAXIMUM_COPIED_BYTES} bytes");
                return Err(Status::failure(413, "RequestEntityTooLarge", message));
            }
        }
        // `patch_unsafe` leaves a half-changed document on failure; `result` is dropped then.
        json_patch::patch_unsafe(&mut result, &[operation]).map_err(|error| failed(&error.to_string()))?;
    }
    Ok(result)
}

fn failed(why: &str) -> Status {
    let mut status = Status::failure(422, "Invalid", "the server rejected our request due to an error in our request");
    status.details = Some(Details {
        causes: vec![Cause { reason: "UnexpectedServerResponse".into(), message: why.to_owned(), ..Cause::default() }],
        ..Details::default()
    });
    status
}

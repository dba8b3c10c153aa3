//! Cases of the Status constructors: message, reason, code and details of spec/api.md 6.8. In: nothing. Never: anything but assertions.
#![allow(clippy::unwrap_used)]

use super::*;
use crate::kinds::by_kind;
use serde_json::json;

fn job() -> &'static Kind {
    by_kind("batch/v1", "Job").unwrap()
}
fn pod() -> &'static Kind {
    by_kind("v1", "Pod").unwrap()
}

#[test]
fn code_reason_message_and_details_kind() {
    let rows: Vec<(Status, u16, &str, &str, Option<&str>)> = vec![
        (Status::bad_request("bad"), 400, "BadRequest", "bad", None),
        (Status::unauthorized(), 401, "Unauthorized", "Unauthorized", None),
        (Status::forbidden(job(), "pi", "no"), 403, "Forbidden", r#"jobs.batch "pi" is forbidden: no"#, Some("jobs")),
        (Status::forbidden(job(), "", "no"), 403, "Forbidden", "jobs.batch is forbidden: no", Some("jobs")),
        (Status::forbidden_path("u", "get", "/x"), 403, "Forbidden", r#"forbidden: User "u" cannot get path "/x""#, Some("")),
        (Status::not_found(job(), "pi"), 404, "NotFound", r#"jobs.batch "pi" not found"#, Some("jobs")),
        (Status::not_found(pod(), "x"), 404, "NotFound", r#"pods "x" not found"#, Some("pods")),
        (
            Status::method_not_allowed("patch", job()),
            405,
            "MethodNotAllowed",
            r#"patch is not supported on resources of kind "jobs.batch""#,
            Some("jobs"),
        ),
        (Status::not_acceptable(&["a/b", "c/d"]), 406, "NotAcceptable", "only the following media types are accepted: a/b, c/d", None),
        (Status::already_exists(job(), "pi"), 409, "AlreadyExists", r#"jobs.batch "pi" already exists"#, Some("jobs")),
        (
            Status::object_modified(job(), "pi"),
            409,
            "Conflict",
            r#"Operation cannot be fulfilled on jobs.batch "pi": the object has been modified; please apply your changes to the latest version and try again"#,
            Some("jobs"),
        ),
        (Status::expired("too old resource version: 1 (5)"), 410, "Expired", "too old resource version: 1 (5)", None),
        (Status::too_large(3145728), 413, "RequestEntityTooLarge", "Request entity too large: limit is 3145728", None),
        (
            Status::unsupported_media_type(&["a", "b"]),
            415,
            "UnsupportedMediaType",
            "the body of the request was in an unknown format - accepted media types include: a, b",
            None,
        ),
        (Status::too_many_requests("slow down", 1), 429, "TooManyRequests", "slow down", Some("")),
        (Status::internal("boom"), 500, "InternalError", "Internal error occurred: boom", Some("")),
        (Status::unavailable("later"), 503, "ServiceUnavailable", "later", None),
        (Status::timeout("why", None), 504, "Timeout", "Timeout: why", None),
    ];
    for (status, code, reason, message, kind) in rows {
        assert_eq!((status.code, status.reason.as_str(), status.message.as_str()), (code, reason, message));
        assert_eq!(status.details.as_ref().map(|d| d.kind.as_str()), kind, "{message}");
        assert_eq!(status.status, "Failure");
        let back: Status = serde_json::from_value(serde_json::to_value(&status).unwrap()).unwrap();
        assert_eq!(back, status);
    }
}

#[test]
fn delete_success_is_exactly_the_wire_form() {
    let value = serde_json::to_value(Status::success(job(), "pi", "U")).unwrap();
    assert_eq!(
        value,
        json!({"kind": "Status", "apiVersion": "v1", "metadata": {}, "status": "Success",
               "details": {"name": "pi", "group": "batch", "kind": "jobs", "uid": "U"}})
    );
}

#[test]
fn field_errors_render_with_the_value_as_json() {
    for (error, text) in [
        (FieldError::invalid("spec.x", 5, "why"), "spec.x: Invalid value: 5: why"),
        (FieldError::invalid("spec.x", "a\"b", "why"), r#"spec.x: Invalid value: "a\"b": why"#),
        (FieldError::invalid("spec.x", json!({"a": [true]}), "why"), r#"spec.x: Invalid value: {"a":[true]}: why"#),
        (FieldError::required("a", "must be there"), "a: Required value: must be there"),
        (FieldError::required("a", ""), "a: Required value"),
        (FieldError::forbidden("a", "no"), "a: Forbidden: no"),
        (FieldError::not_supported("m", "X", &["A", "B"]), r#"m: Unsupported value: "X": supported values: "A", "B""#),
        (FieldError::duplicate("l[1]", "u"), r#"l[1]: Duplicate value: "u""#),
        (FieldError::not_found("v", "data"), r#"v: Not found: "data""#),
        (FieldError::too_long("m", 63), "m: Too long: may not be more than 63 bytes"),
        (FieldError::too_many("r", 21, 20), "r: Too many: 21: must have at most 20 items"),
    ] {
        assert_eq!(error.to_string(), text);
        assert_eq!(format!("{}: {}", error.path, error.cause().message), text);
    }
}

#[test]
fn invalid_names_the_kind_and_lists_every_cause() {
    let one = Status::invalid(job(), "pi", vec![FieldError::invalid("spec.x", 5, "why")]);
    assert_eq!(one.message, r#"Job.batch "pi" is invalid: spec.x: Invalid value: 5: why"#);
    let two = Status::invalid(job(), "pi", vec![FieldError::invalid("spec.x", 5, "why"), FieldError::required("spec.y", "z")]);
    assert_eq!(two.message, r#"Job.batch "pi" is invalid: [spec.x: Invalid value: 5: why, spec.y: Required value: z]"#);
    let details = two.details.unwrap();
    assert_eq!((details.kind.as_str(), details.group.as_str(), details.causes.len()), ("Job", "batch", 2));
    assert_eq!(
        details.causes[1],
        Cause { reason: "FieldValueRequired".into(), message: "Required value: z".into(), field: "spec.y".into() }
    );
    assert_eq!(Status::invalid(pod(), "p", vec![]).message, r#"Pod "p" is invalid"#);
    let options =
        Status::invalid_options("PodLogOptions", vec![FieldError::invalid("tailLines", -1, "must be greater than or equal to 0")]);
    assert_eq!(options.message, r#"PodLogOptions "" is invalid: tailLines: Invalid value: -1: must be greater than or equal to 0"#);
    assert_eq!(Status::invalid_options("ListOptions", vec![]).details.unwrap().group, "meta.k8s.io");
}

#[test]
fn causes_that_clients_look_for() {
    let status = Status::timeout("Too large resource version: 9, current: 5", Some(Status::version_too_large_cause()));
    assert!(status.has_cause("ResourceVersionTooLarge"));
    assert_eq!(status.retry_after_seconds(), Some(1));
    assert!(Status::namespace_terminating(job(), "pi", "n").has_cause("NamespaceTerminating"));
    assert!(Status::patch_rejected("test failed").has_cause("UnexpectedServerResponse"));
}

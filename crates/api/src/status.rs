//! `metav1.Status` and field errors: what bad input gets (spec/api.md 6.8).
//!
//! In: what went wrong, as values. Out: a finished Status with code, reason, message and details. Never: an HTTP type, a log line.

use crate::kinds::Kind;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::fmt;

/// The body of every error and of some successes.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub kind: String,
    pub api_version: String,
    #[serde(default)]
    pub metadata: Value,
    /// `Success` or `Failure`.
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    /// Machine-readable; kubectl branches on it.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<Details>,
    /// The HTTP status code. A plain 200 is left out of the body, as delete's Success answer has none.
    #[serde(default = "plain_ok", skip_serializing_if = "is_plain_ok")]
    pub code: u16,
}

fn plain_ok() -> u16 {
    200
}
fn is_plain_ok(code: &u16) -> bool {
    *code == plain_ok()
}

/// `details.kind` is the plural resource except for Invalid, where it is the Kind (spec/api.md 12, trap 8).
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Details {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<Cause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

/// One cause among several.
#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct Cause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Cause {
    /// A cause that names no field.
    pub fn new(reason: impl Into<String>, message: impl Into<String>) -> Self {
        Cause { reason: reason.into(), message: message.into(), field: String::new() }
    }
}

/// The kinds of broken rules.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    Required,
    Invalid,
    NotSupported,
    Duplicate,
    NotFound,
    Forbidden,
    TooLong,
    TooMany,
    TypeInvalid,
    Internal,
}

impl FieldErrorKind {
    /// The TYPE of the rendered text.
    pub fn text(self) -> &'static str {
        match self {
            Self::Required => "Required value",
            Self::Invalid | Self::TypeInvalid => "Invalid value",
            Self::NotSupported => "Unsupported value",
            Self::Duplicate => "Duplicate value",
            Self::NotFound => "Not found",
            Self::Forbidden => "Forbidden",
            Self::TooLong => "Too long",
            Self::TooMany => "Too many",
            Self::Internal => "Internal error",
        }
    }
    /// The cause's `reason`.
    pub fn cause_reason(self) -> &'static str {
        match self {
            Self::Required => "FieldValueRequired",
            Self::Invalid => "FieldValueInvalid",
            Self::NotSupported => "FieldValueNotSupported",
            Self::Duplicate => "FieldValueDuplicate",
            Self::NotFound => "FieldValueNotFound",
            Self::Forbidden => "FieldValueForbidden",
            Self::TooLong => "FieldValueTooLong",
            Self::TooMany => "FieldValueTooMany",
            Self::TypeInvalid => "FieldValueTypeInvalid",
            Self::Internal => "InternalError",
        }
    }
}

/// One broken rule: rendered as `PATH: TYPE[: VALUE]: DETAIL`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    /// `spec.template.spec.containers[0].image`.
    pub path: String,
    /// Shown as JSON; None for Required, Forbidden, Too long.
    pub value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    fn new(kind: FieldErrorKind, path: impl Into<String>, value: Option<Value>, detail: impl Into<String>) -> Self {
        FieldError { kind, path: path.into(), value, detail: detail.into() }
    }
    /// A value must be there. `detail` may be empty.
    pub fn required(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Required, path, None, detail)
    }
    /// The value breaks a rule.
    pub fn invalid(path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Invalid, path, Some(value.into()), detail)
    }
    /// The value is not one of a fixed list.
    pub fn not_supported(path: impl Into<String>, value: impl Into<Value>, supported: &[&str]) -> Self {
        let list: Vec<String> = supported.iter().map(|s| format!("\"{s}\"")).collect();
        Self::new(FieldErrorKind::NotSupported, path, Some(value.into()), format!("supported values: {}", list.join(", ")))
    }
    /// The value occurs twice.
    pub fn duplicate(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::Duplicate, path, Some(value.into()), "")
    }
    /// The value refers to something that is not there.
    pub fn not_found(path: impl Into<String>, value: impl Into<Value>) -> Self {
        Self::new(FieldErrorKind::NotFound, path, Some(value.into()), "")
    }
    /// The field may not be set (or changed) here.
    pub fn forbidden(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Forbidden, path, None, detail)
    }
    /// A text longer than `limit` bytes; the value is not echoed.
    pub fn too_long(path: impl Into<String>, limit: usize) -> Self {
        Self::new(FieldErrorKind::TooLong, path, None, format!("may not be more than {limit} bytes"))
    }
    /// A list of `actual` items where `limit` are allowed.
    pub fn too_many(path: impl Into<String>, actual: usize, limit: usize) -> Self {
        Self::new(FieldErrorKind::TooMany, path, Some(Value::from(actual)), format!("must have at most {limit} items"))
    }
    /// The value has the wrong type.
    pub fn type_invalid(path: impl Into<String>, value: impl Into<Value>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::TypeInvalid, path, Some(value.into()), detail)
    }
    /// A rule could not be checked.
    pub fn internal(path: impl Into<String>, detail: impl Into<String>) -> Self {
        Self::new(FieldErrorKind::Internal, path, None, detail)
    }
    /// `TYPE[: VALUE][: DETAIL]`: the cause's message, and the rendered text without its path.
    pub fn body(&self) -> String {
        let mut text = self.kind.text().to_owned();
        if let Some(value) = &self.value {
            text.push_str(": ");
            text.push_str(&value.to_string());
        }
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }
    /// As a cause of a Status.
    pub fn cause(&self) -> Cause {
        Cause { reason: self.kind.cause_reason().into(), message: self.body(), field: self.path.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}: {}", self.path, self.body())
    }
}

/// Clients are told to come back after this many seconds when a resource version is ahead of the server (spec/api.md 6.3).
pub const TOO_LARGE_VERSION_RETRY_SECONDS: u32 = 1;

impl Status {
    /// 400: the request itself makes no sense.
    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::failure(400, "BadRequest", message)
    }
    /// Any failure without details.
    pub fn failure(code: u16, reason: &str, message: impl Into<String>) -> Self {
        Status {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: Value::Object(Default::default()),
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            details: None,
            code,
        }
    }
    /// A bare Success (bindings: 201).
    pub fn ok(code: u16) -> Self {
        Status { status: "Success".into(), ..Self::failure(code, "", "") }
    }
    /// What a completed DELETE answers; `details.uid` lets kubectl tell a re-created object from one that is not gone yet.
    pub fn success(kind: &Kind, name: &str, uid: &str) -> Self {
        Self::ok(plain_ok()).with_details(Details { uid: uid.into(), ..resource_details(kind, name) })
    }
    fn with_details(mut self, details: Details) -> Self {
        self.details = Some(details);
        self
    }
    /// 401.
    pub fn unauthorized() -> Self {
        Self::failure(401, "Unauthorized", "Unauthorized")
    }
    /// 403: `jobs.batch "pi" is forbidden: why`; without a name `jobs.batch is forbidden: why`.
    pub fn forbidden(kind: &Kind, name: &str, why: &str) -> Self {
        let message = match name {
            "" => format!("{} is forbidden: {why}", kind.qualified_resource()),
            name => format!("{} \"{name}\" is forbidden: {why}", kind.qualified_resource()),
        };
        Self::failure(403, "Forbidden", message).with_details(resource_details(kind, name))
    }
    /// 403 for a creation in a namespace that is being deleted; controllers give up quietly on its cause (spec/jobs.md 7.3).
    pub fn namespace_terminating(kind: &Kind, name: &str, namespace: &str) -> Self {
        let why = format!("unable to create new content in namespace {namespace} because it is being terminated");
        let cause = Cause {
            reason: "NamespaceTerminating".into(),
            message: format!("namespace {namespace} is being terminated"),
            field: "metadata.namespace".into(),
        };
        Self::forbidden(kind, name, &why).with_cause(cause)
    }
    /// 403 for a path that is no resource.
    pub fn forbidden_path(user: &str, verb: &str, path: &str) -> Self {
        Self::failure(403, "Forbidden", format!("forbidden: User \"{user}\" cannot {verb} path \"{path}\""))
            .with_details(Details::default())
    }
    /// 404.
    pub fn not_found(kind: &Kind, name: &str) -> Self {
        Self::failure(404, "NotFound", format!("{} \"{name}\" not found", kind.qualified_resource()))
            .with_details(resource_details(kind, name))
    }
    /// 405.
    pub fn method_not_allowed(verb: &str, kind: &Kind) -> Self {
        let message = format!("{verb} is not supported on resources of kind \"{}\"", kind.qualified_resource());
        Self::failure(405, "MethodNotAllowed", message).with_details(resource_details(kind, ""))
    }
    /// 406.
    pub fn not_acceptable(accepted: &[&str]) -> Self {
        Self::failure(406, "NotAcceptable", format!("only the following media types are accepted: {}", accepted.join(", ")))
    }
    /// 409 on create.
    pub fn already_exists(kind: &Kind, name: &str) -> Self {
        Self::failure(409, "AlreadyExists", format!("{} \"{name}\" already exists", kind.qualified_resource()))
            .with_details(resource_details(kind, name))
    }
    /// 409 on update or delete.
    pub fn conflict(kind: &Kind, name: &str, why: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {} \"{name}\": {why}", kind.qualified_resource());
        Self::failure(409, "Conflict", message).with_details(resource_details(kind, name))
    }
    /// 409 for a stale resourceVersion.
    pub fn object_modified(kind: &Kind, name: &str) -> Self {
        Self::conflict(kind, name, "the object has been modified; please apply your changes to the latest version and try again")
    }
    /// 410 for lists and watches from a compacted revision.
    pub fn expired(message: impl Into<String>) -> Self {
        Self::failure(410, "Expired", message)
    }
    /// 413.
    pub fn too_large(limit_bytes: usize) -> Self {
        Self::failure(413, "RequestEntityTooLarge", format!("Request entity too large: limit is {limit_bytes}"))
    }
    /// 415.
    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let list = accepted.join(", ");
        Self::failure(
            415,
            "UnsupportedMediaType",
            format!("the body of the request was in an unknown format - accepted media types include: {list}"),
        )
    }
    /// 422 with one cause per error; the message shows one error bare, several as `[e1, e2]`.
    pub fn invalid(kind: &Kind, name: &str, errors: Vec<FieldError>) -> Self {
        Self::invalid_of(kind.group, kind.kind, name, errors)
    }
    /// 422 for query options and bodies that are no registered kind (`ListOptions`, `DeleteOptions`, `PodLogOptions`).
    pub fn invalid_options(kind_name: &str, errors: Vec<FieldError>) -> Self {
        const META_KINDS: &[&str] = &["ListOptions", "GetOptions", "DeleteOptions", "CreateOptions", "UpdateOptions", "PatchOptions"];
        Self::invalid_of(if META_KINDS.contains(&kind_name) { "meta.k8s.io" } else { "" }, kind_name, "", errors)
    }
    fn invalid_of(group: &str, kind: &str, name: &str, errors: Vec<FieldError>) -> Self {
        let qualified = if group.is_empty() { kind.to_owned() } else { format!("{kind}.{group}") };
        let mut message = format!("{qualified} \"{name}\" is invalid");
        let mut texts: Vec<String> = Vec::new();
        for text in errors.iter().map(ToString::to_string) {
            if !texts.contains(&text) {
                texts.push(text);
            }
        }
        match texts.as_slice() {
            [] => {}
            [one] => message.push_str(&format!(": {one}")),
            several => message.push_str(&format!(": [{}]", several.join(", "))),
        }
        Self::failure(422, "Invalid", message).with_details(Details {
            name: name.into(),
            group: group.into(),
            kind: kind.into(),
            causes: errors.iter().map(FieldError::cause).collect(),
            ..Details::default()
        })
    }
    /// 422 for a JSON patch whose operation fails (missing path, failed `test`): spec/api.md 6.8.
    pub fn patch_rejected(detail: impl Into<String>) -> Self {
        Self::failure(422, "Invalid", "the server rejected our request due to an error in our request")
            .with_cause(Cause::new("UnexpectedServerResponse", detail))
    }
    /// 429. The HTTP layer repeats the seconds in `Retry-After`.
    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        Self::failure(429, "TooManyRequests", message)
            .with_details(Details { retry_after_seconds: Some(retry_after_seconds), ..Details::default() })
    }
    /// 500.
    pub fn internal(message: impl Into<String>) -> Self {
        let message = message.into();
        Self::failure(500, "InternalError", format!("Internal error occurred: {message}")).with_cause(Cause::new("", message))
    }
    /// 503.
    pub fn unavailable(message: impl Into<String>) -> Self {
        Self::failure(503, "ServiceUnavailable", message)
    }
    /// 504. With a cause (`Status::version_too_large_cause()`) the client is told when to come back.
    pub fn timeout(message: impl Into<String>, cause: Option<Cause>) -> Self {
        let status = Self::failure(504, "Timeout", format!("Timeout: {}", message.into()));
        match cause {
            None => status,
            Some(cause) => status.with_details(Details {
                causes: vec![cause],
                retry_after_seconds: Some(TOO_LARGE_VERSION_RETRY_SECONDS),
                ..Details::default()
            }),
        }
    }
    /// The cause of a 504 for a resourceVersion that is ahead of the server.
    pub fn version_too_large_cause() -> Cause {
        Cause::new("ResourceVersionTooLarge", "Too large resource version")
    }
    /// Adds one cause.
    pub fn with_cause(mut self, cause: Cause) -> Self {
        self.details.get_or_insert_with(Details::default).causes.push(cause);
        self
    }
    /// Whether a cause of that reason is listed.
    pub fn has_cause(&self, reason: &str) -> bool {
        self.details.as_ref().is_some_and(|d| d.causes.iter().any(|c| c.reason == reason))
    }
    /// Seconds for the `Retry-After` header, if the client should come back.
    pub fn retry_after_seconds(&self) -> Option<u32> {
        self.details.as_ref().and_then(|d| d.retry_after_seconds)
    }
}

impl fmt::Display for Status {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.message.as_str() {
            "" => write!(formatter, "{} {} {}", self.status, self.code, self.reason),
            message => formatter.write_str(message),
        }
    }
}

impl std::error::Error for Status {}

fn resource_details(kind: &Kind, name: &str) -> Details {
    Details { name: name.into(), group: kind.group.into(), kind: kind.plural.into(), ..Details::default() }
}

#[cfg(test)]
#[path = "status_tests.rs"]
mod tests;

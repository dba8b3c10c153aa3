//! Responses.
//!
//! In: values, Statuses, texts, warnings. Out: HTTP responses with the headers of spec/api.md 1. Never: a decision about the request.

use axum::body::Body;
use bytes::Bytes;
use http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, header};
use http_body::Body as _;
use piecework_api::status::Status;
use serde::Serialize;
use serde_json::Value;

use crate::failure::Failure;

/// Most `Warning` headers of one response; the rest is dropped (clients bound the size of headers).
pub const MAX_WARNINGS: usize = 50;
/// Most bytes of one warning's text.
pub const MAX_WARNING_BYTES: usize = 1024;

/// An answer that a handler made: a JSON value with a code, and warnings.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) code: StatusCode,
    pub(crate) body: Value,
    pub(crate) warnings: Vec<String>,
}

impl Answer {
    pub(crate) fn ok(body: Value) -> Self {
        Answer { code: StatusCode::OK, body, warnings: Vec::new() }
    }

    pub(crate) fn created(body: Value) -> Self {
        Answer { code: StatusCode::CREATED, body, warnings: Vec::new() }
    }

    pub(crate) fn warned(mut self, warnings: Vec<String>) -> Self {
        self.warnings.extend(warnings);
        self
    }

    pub(crate) fn into_response(self) -> Response<Body> {
        let mut response = json(self.code, &self.body);
        warn(response.headers_mut(), &self.warnings);
        response
    }
}

pub(crate) fn json(code: StatusCode, body: &impl Serialize) -> Response<Body> {
    match serde_json::to_vec(body) {
        Ok(mut bytes) => {
            bytes.push(b'\n');
            with_type(code, "application/json", Bytes::from(bytes))
        }
        Err(error) => text(StatusCode::INTERNAL_SERVER_ERROR, &error.to_string()),
    }
}

pub(crate) fn text(code: StatusCode, body: &str) -> Response<Body> {
    with_type(code, "text/plain; charset=utf-8", Bytes::copy_from_slice(body.as_bytes()))
}

pub(crate) fn with_type(code: StatusCode, content_type: &'static str, body: Bytes) -> Response<Body> {
    let mut response = Response::new(Body::from(body));
    *response.status_mut() = code;
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    response
}

/// The response of a refusal. `nosniff` because a Status may quote the request.
pub(crate) fn failure(failure: &Failure) -> Response<Body> {
    let mut response = match failure {
        Failure::PageNotFound => text(StatusCode::NOT_FOUND, "404 page not found\n"),
        Failure::Status(status) => status_response(status),
    };
    response.headers_mut().insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
}

fn status_response(status: &Status) -> Response<Body> {
    let code = StatusCode::from_u16(status.code).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let mut response = json(code, status);
    // Clients retry 429 and 5xx only when this header is there (spec/api.md 6.8).
    if let Some(seconds) = status.details.as_ref().and_then(|details| details.retry_after_seconds) {
        response.headers_mut().insert(header::RETRY_AFTER, HeaderValue::from(seconds));
    }
    response
}

/// Adds `Warning: 299 - "text"` headers.
pub(crate) fn warn(headers: &mut HeaderMap, warnings: &[String]) {
    for warning in warnings.iter().take(MAX_WARNINGS) {
        let mut quoted = String::from("299 - \"");
        for character in warning.chars() {
            if quoted.len() >= MAX_WARNING_BYTES {
                break;
            }
            match character {
                '"' | '\\' => quoted.extend(['\\', character]),
                character if character.is_control() => quoted.push(' '),
                character => quoted.push(character),
            }
        }
        quoted.push('"');
        if let Ok(value) = HeaderValue::from_bytes(quoted.as_bytes()) {
            headers.append(header::WARNING, value);
        }
    }
}

/// Drops the body of an answer to HEAD, keeping its length: over HTTP/2 nobody else does.
pub(crate) fn head_only(response: &mut Response<Body>) {
    if let Some(length) = response.body().size_hint().exact() {
        response.headers_mut().insert(header::CONTENT_LENGTH, HeaderValue::from(length));
    }
    *response.body_mut() = Body::empty();
}

/// Headers that every response carries.
pub(crate) fn decorate(headers: &mut HeaderMap, audit_id: HeaderValue) {
    headers.insert(HeaderName::from_static("audit-id"), audit_id);
    headers.entry(header::CACHE_CONTROL).or_insert(HeaderValue::from_static("no-cache, private"));
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;

    #[test]
    fn warnings_are_quoted() {
        let mut headers = HeaderMap::new();
        warn(&mut headers, &["unknown field \"spec.zz\"".into(), "a\\b\nc".into()]);
        let all: Vec<&str> = headers.get_all(header::WARNING).iter().map(|v| v.to_str().unwrap()).collect();
        assert_eq!(all, [r#"299 - "unknown field \"spec.zz\"""#, r#"299 - "a\\b c""#]);
        warn(&mut headers, &vec!["x".repeat(5000); 500]);
        assert!(headers.len() <= MAX_WARNINGS + 2);
    }
}

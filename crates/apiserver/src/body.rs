//! Request bodies (spec/api.md 1, 1.1).
//!
//! In: a body stream and its Content-Type. Out: a JSON value and the paths of its duplicate keys. Never: more than `MAX_BODY_BYTES` in memory.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use http::{HeaderMap, header::CONTENT_TYPE};
use http_body_util::BodyExt;
use piecework_api::{decode, protobuf, status::Status};
use serde_json::Value;

use crate::failure::Outcome;

/// Largest accepted request body, in bytes; more is 413 (spec/api.md 1).
pub const MAX_BODY_BYTES: usize = 3 * 1024 * 1024;
/// How much of a body that is too large is read and thrown away before the answer, in bytes.
pub const MAX_DISCARDED_BYTES: usize = 16 * 1024 * 1024;

/// How object bodies may be written.
const OBJECT_TYPES: &[&str] = &["application/json", "application/yaml", "application/vnd.kubernetes.protobuf"];

/// Reads the whole body. One that is too large is read a little further, so that the client gets to see the 413 and not a broken connection.
pub(crate) async fn read(mut body: Body) -> Outcome<Bytes> {
    let mut kept = BytesMut::new();
    let mut discarded = 0;
    while let Some(frame) = body.frame().await {
        let frame = frame.map_err(|error| Status::bad_request(format!("the request body could not be read: {error}")))?;
        let Ok(data) = frame.into_data() else { continue };
        if discarded == 0 && kept.len() + data.len() <= MAX_BODY_BYTES {
            kept.extend_from_slice(&data);
            continue;
        }
        discarded += data.len();
        if discarded > MAX_DISCARDED_BYTES {
            break;
        }
    }
    if discarded > 0 { Err(Status::too_large(MAX_BODY_BYTES).into()) } else { Ok(kept.freeze()) }
}

/// The media type without parameters, in lower case; "" when none was sent.
pub(crate) fn media_type(headers: &HeaderMap) -> String {
    let text = headers.get(CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or("");
    text.split(';').next().unwrap_or("").trim().to_ascii_lowercase()
}

/// Parses an object body. A missing Content-Type is JSON (spec/api.md 1); an unknown one is 415.
pub(crate) fn parse(headers: &HeaderMap, bytes: &[u8]) -> Outcome<(Value, Vec<String>)> {
    match media_type(headers).as_str() {
        "" | "application/json" => Ok(decode::parse_json(bytes)?),
        "application/yaml" => yaml(bytes),
        "application/vnd.kubernetes.protobuf" => Ok((protobuf::decode(bytes)?, Vec::new())),
        _ => Err(Status::unsupported_media_type(OBJECT_TYPES).into()),
    }
}

/// YAML by way of JSON text, so that both pass the same checks of depth and shape.
pub(crate) fn yaml(bytes: &[u8]) -> Outcome<(Value, Vec<String>)> {
    let value: Value = serde_saphyr::from_slice(bytes)
        .map_err(|error| Status::bad_request(format!("the body is not valid YAML: {}", first_line(&error.to_string()))))?;
    let json = serde_json::to_vec(&value).map_err(|error| Status::bad_request(error.to_string()))?;
    Ok(decode::parse_json(&json)?)
}

fn first_line(text: &str) -> &str {
    text.lines().next().unwrap_or("")
}

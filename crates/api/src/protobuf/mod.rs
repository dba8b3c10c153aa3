//! `application/vnd.kubernetes.protobuf` request bodies to JSON values, driven by the schema's field numbers (spec/api.md 1.1).
//! In: the bytes of an envelope (`k8s\0` and a message `Unknown`). Out: the object as JSON, still to be checked by `decode::object`.
//! Never: a panic, a read past the input, memory beyond a multiple of the input's size.

mod message;
mod wire;

#[cfg(test)]
mod tests;

use serde_json::Value;

use crate::{schema, status::Status};

/// The first bytes of every envelope.
pub const MAGIC: &[u8; 4] = b"k8s\0";
/// Envelopes inside envelopes (embedded objects) beyond which a body is refused.
pub const MAXIMUM_ENVELOPES: usize = 8;

/// Why bytes are not an object.
#[derive(Debug, thiserror::Error)]
pub(crate) enum Malformed {
    #[error("the body does not begin with the prefix of a protobuf envelope")]
    NoMagic,
    #[error("the message ends too early")]
    Truncated,
    #[error("a number is longer than 64 bits")]
    LongNumber,
    #[error("field {0} has wire type {1}")]
    WireType(u32, u8),
    #[error("field {0} is not valid UTF-8")]
    Text(u32),
    #[error("field {0} holds a time out of range")]
    Time(u32),
    #[error("field {0} holds invalid JSON")]
    Json(u32),
    #[error("the content encoding {0:?} is not supported")]
    ContentEncoding(String),
    #[error("the content type {0:?} is not supported")]
    ContentType(String),
    #[error("no kind {kind:?} is registered for version {api_version:?}")]
    UnknownKind { api_version: String, kind: String },
    #[error("objects are embedded more than {MAXIMUM_ENVELOPES} deep")]
    Depth,
}

/// Decodes an envelope (`k8s\0` + Unknown). Out: the object as JSON with apiVersion and kind from the envelope's TypeMeta, empty
/// scalars dropped where the JSON form omits them. Errors: 400 for anything malformed (never panics, memory bounded by the input's size).
pub fn decode(bytes: &[u8]) -> Result<Value, Status> {
    envelope(bytes, MAXIMUM_ENVELOPES).map_err(|error| Status::bad_request(format!("unable to decode the protobuf body: {error}")))
}

fn envelope(bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let depth = depth.checked_sub(1).ok_or(Malformed::Depth)?;
    let mut reader = wire::Reader::new(bytes.strip_prefix(MAGIC).ok_or(Malformed::NoMagic)?);
    let (mut api_version, mut kind, mut raw) = (String::new(), String::new(), &[][..]);
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => {
                let mut type_meta = wire::Reader::new(value.bytes(number)?);
                while let Some((inner, value)) = type_meta.next()? {
                    match inner {
                        1 => api_version = value.text(inner)?.to_owned(),
                        2 => kind = value.text(inner)?.to_owned(),
                        _ => {}
                    }
                }
            }
            2 => raw = value.bytes(number)?,
            3 => match value.text(number)? {
                "" => {}
                other => return Err(Malformed::ContentEncoding(other.to_owned())),
            },
            4 => match value.text(number)? {
                "" | "application/vnd.kubernetes.protobuf" => {}
                other => return Err(Malformed::ContentType(other.to_owned())),
            },
            _ => {}
        }
    }
    let Some(definition) = schema::by_kind(&api_version, &kind) else {
        return Err(Malformed::UnknownKind { api_version, kind });
    };
    let mut object = serde_json::Map::new();
    object.insert("kind".to_owned(), Value::String(kind));
    object.insert("apiVersion".to_owned(), Value::String(api_version));
    message::fields(definition, &definition.numbers, raw, depth, &mut object)?;
    Ok(Value::Object(object))
}

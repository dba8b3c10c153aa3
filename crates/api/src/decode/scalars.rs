//! Scalars of the API as JSON values: numbers in range, times, quantities, base64. In: a type and a value. Out: the normalised value, None
//! for the zero time, or why it does not fit. Never: a null (the caller drops those).

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::schema::Type;

pub(super) enum Fault {
    /// A value of another JSON type; the text says which.
    Mismatch(String),
    /// The right JSON type, but not the right text.
    Malformed(String),
}

/// The first instant of year 1 in seconds: how Go programs write "no time".
const ZERO_TIME_SECONDS: i64 = -62_135_596_800;

/// The name of a value's JSON type as error messages spell it.
pub(super) fn json_kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

pub(super) fn check(expected: &Type, value: Value) -> Result<Option<Value>, Fault> {
    match (expected, value) {
        (Type::String, value @ Value::String(_)) | (Type::Bool, value @ Value::Bool(_)) | (Type::Any, value) => Ok(Some(value)),
        (Type::Int32 | Type::IntOrString, value @ Value::Number(_)) => {
            if value.as_i64().is_some_and(|number| i32::try_from(number).is_ok()) {
                Ok(Some(value))
            } else {
                Err(Fault::Mismatch(format!("number {value}")))
            }
        }
        (Type::IntOrString, value @ Value::String(_)) => Ok(Some(value)),
        (Type::Int64, value @ Value::Number(_)) => {
            if value.as_i64().is_some() {
                Ok(Some(value))
            } else {
                Err(Fault::Mismatch(format!("number {value}")))
            }
        }
        (Type::Double, value @ Value::Number(_)) => Ok(Some(value)),
        (Type::Quantity, Value::String(text)) => quantity(text),
        (Type::Quantity, Value::Number(number)) => quantity(number.to_string()),
        (Type::Bytes, Value::String(text)) => bytes(text),
        (Type::Time, Value::String(text)) => time(&text, "%Y-%m-%dT%H:%M:%SZ"),
        (Type::MicroTime, Value::String(text)) => time(&text, "%Y-%m-%dT%H:%M:%S.%6fZ"),
        (_, value) => Err(Fault::Mismatch(json_kind(&value).to_owned())),
    }
}

/// Stored in canonical form, as upstream does (`0.5` becomes `500m`).
fn quantity(text: String) -> Result<Option<Value>, Fault> {
    match crate::quantity::canonical(text.trim()) {
        Ok(canonical) => Ok(Some(Value::String(canonical))),
        Err(why) => Err(Fault::Malformed(format!("unable to parse quantity \"{text}\": {why}"))),
    }
}

/// Base64 with padding; line breaks inside are allowed and removed.
fn bytes(text: String) -> Result<Option<Value>, Fault> {
    let compact = if text.contains(['\n', '\r']) { text.replace(['\n', '\r'], "") } else { text };
    match STANDARD.decode(&compact) {
        Ok(_) => Ok(Some(Value::String(compact))),
        Err(error) => Err(Fault::Malformed(format!("illegal base64 data: {error}"))),
    }
}

/// RFC 3339 in any offset to UTC in the given format; the zero time is no time.
fn time(text: &str, format: &str) -> Result<Option<Value>, Fault> {
    let malformed = || Fault::Malformed(format!("parsing time \"{text}\" as RFC 3339 failed"));
    if !looks_like_rfc_3339(text.as_bytes()) {
        return Err(malformed());
    }
    let timestamp: Timestamp = text.parse().map_err(|_| malformed())?;
    if timestamp.as_second() == ZERO_TIME_SECONDS {
        return Ok(None);
    }
    Ok(Some(Value::String(timestamp.strftime(format).to_string())))
}

/// The parser of the time library takes more forms (spaces, zone names, short offsets); the API takes only this one.
fn looks_like_rfc_3339(text: &[u8]) -> bool {
    let shaped = |part: &[u8], pattern: &[u8]| {
        part.len() == pattern.len() && part.iter().zip(pattern).all(|(byte, p)| if *p == b'0' { byte.is_ascii_digit() } else { byte == p })
    };
    let Some((date_time, rest)) = text.split_at_checked(19) else { return false };
    if !shaped(date_time, b"0000-00-00T00:00:00") {
        return false;
    }
    let zone = match rest.strip_prefix(b".") {
        Some(fraction) => {
            let digits = fraction.iter().take_while(|b| b.is_ascii_digit()).count();
            if !(1..=9).contains(&digits) {
                return false;
            }
            &fraction[digits..]
        }
        None => rest,
    };
    zone == b"Z" || shaped(zone, b"+00:00") || shaped(zone, b"-00:00")
}

//! One message to a JSON object. In: a definition, its numbers and the bytes. Out: the fields that the schema knows, in wire order; fields
//! without a number in the schema are skipped, as every protobuf reader does. Recursion follows the schema, plus a counter for embedded objects.

use std::collections::BTreeMap;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Map, Value};

use super::wire::{Reader, WireValue};
use super::{MAGIC, Malformed, envelope};
use crate::schema::{Definition, Field, Number, Type};

pub(super) fn fields(
    definition: &'static Definition,
    numbers: &'static BTreeMap<u32, Number>,
    bytes: &[u8],
    depth: usize,
    object: &mut Map<String, Value>,
) -> Result<(), Malformed> {
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        match numbers.get(&number) {
            Some(Number::Field(index)) => field(&definition.fields[*index], number, value, depth, object)?,
            Some(Number::Flattened(inner)) => fields(definition, inner, value.bytes(number)?, depth, object)?,
            None => {}
        }
    }
    Ok(())
}

fn field(field: &'static Field, number: u32, value: WireValue, depth: usize, object: &mut Map<String, Value>) -> Result<(), Malformed> {
    match &field.field_type {
        Type::List(element) => {
            let list = object.entry(field.name.as_str()).or_insert_with(|| Value::Array(Vec::new()));
            if let Value::Array(list) = list {
                elements(element, number, value, depth, list)?;
            }
        }
        Type::Map(element) => {
            let map = object.entry(field.name.as_str()).or_insert_with(|| Value::Object(Map::new()));
            if let Value::Object(map) = map {
                let (key, value) = entry(field, element, number, value.bytes(number)?, depth)?;
                map.insert(key, value);
            }
        }
        Type::Object(id) => {
            // A message that comes in several parts is merged, as the format demands.
            let mut inner = match object.get_mut(&field.name).map(Value::take) {
                Some(Value::Object(map)) => map,
                _ => Map::new(),
            };
            fields(id.get(), &id.get().numbers, value.bytes(number)?, depth, &mut inner)?;
            object.insert(field.name.clone(), Value::Object(inner));
        }
        other => {
            if let Some(decoded) = scalar(other, number, value, depth)?
                && !(field.zero_is_absent && is_zero(&decoded))
            {
                object.insert(field.name.clone(), decoded);
            }
        }
    }
    Ok(())
}

/// One element, or several numbers packed into one field.
fn elements(element: &'static Type, number: u32, value: WireValue, depth: usize, list: &mut Vec<Value>) -> Result<(), Malformed> {
    if let (Type::Int32 | Type::Int64 | Type::Bool, WireValue::Bytes(packed)) = (element, value) {
        let mut reader = Reader::new(packed);
        while !reader.is_empty() {
            let value = WireValue::Varint(reader.varint()?);
            list.extend(scalar(element, number, value, depth)?);
        }
        return Ok(());
    }
    list.push(single(element, number, value, depth)?);
    Ok(())
}

/// A map travels as a list of entries {1: key, 2: value}.
fn entry(field: &'static Field, element: &'static Type, number: u32, bytes: &[u8], depth: usize) -> Result<(String, Value), Malformed> {
    let mut reader = Reader::new(bytes);
    let (mut key, mut found) = (String::new(), None);
    while let Some((inner, value)) = reader.next()? {
        match inner {
            1 => key = value.text(number)?.to_owned(),
            2 if field.wrapped => found = Some(wrapped(element, value.bytes(number)?, depth)?),
            2 => found = Some(single(element, number, value, depth)?),
            _ => {}
        }
    }
    let value = match found {
        Some(value) => value,
        None if field.wrapped => Value::Array(Vec::new()),
        // A value that was left out is the empty value.
        None => match element {
            Type::Int32 | Type::Int64 | Type::Bool => single(element, number, WireValue::Varint(0), depth)?,
            _ => single(element, number, WireValue::Bytes(&[]), depth)?,
        },
    };
    Ok((key, value))
}

/// A message {1: elements} around a list.
fn wrapped(list_type: &'static Type, bytes: &[u8], depth: usize) -> Result<Value, Malformed> {
    let mut list = Vec::new();
    if let Type::List(element) = list_type {
        let mut reader = Reader::new(bytes);
        while let Some((number, value)) = reader.next()? {
            if number == 1 {
                elements(element, number, value, depth, &mut list)?;
            }
        }
    }
    Ok(Value::Array(list))
}

/// A value that stands on its own: an element of a list or of a map.
fn single(element: &'static Type, number: u32, value: WireValue, depth: usize) -> Result<Value, Malformed> {
    match element {
        Type::Object(id) => {
            let mut inner = Map::new();
            fields(id.get(), &id.get().numbers, value.bytes(number)?, depth, &mut inner)?;
            Ok(Value::Object(inner))
        }
        other => Ok(scalar(other, number, value, depth)?.unwrap_or(Value::Null)),
    }
}

/// None for a value that JSON writes as null.
fn scalar(scalar_type: &Type, number: u32, value: WireValue, depth: usize) -> Result<Option<Value>, Malformed> {
    Ok(Some(match scalar_type {
        Type::String => Value::String(value.text(number)?.to_owned()),
        // Truncation is what the format defines for a 32-bit field.
        Type::Int32 => (value.signed(number)? as i32).into(),
        Type::Int64 => value.signed(number)?.into(),
        Type::Bool => Value::Bool(value.varint(number)? != 0),
        Type::Double => value.double(number)?.into(),
        Type::Bytes => Value::String(STANDARD.encode(value.bytes(number)?)),
        Type::Time | Type::MicroTime => return time(scalar_type, number, value.bytes(number)?),
        Type::Quantity => {
            let text = string_in(value.bytes(number)?, 1)?;
            Value::String(if text.is_empty() { "0".to_owned() } else { text })
        }
        Type::IntOrString => int_or_string(value.bytes(number)?)?,
        Type::Any => return any(number, value.bytes(number)?, depth),
        Type::Object(_) | Type::List(_) | Type::Map(_) => return Ok(None),
    }))
}

/// Time {1: seconds, 2: nanoseconds}; an empty message is no time.
fn time(time_type: &Type, number: u32, bytes: &[u8]) -> Result<Option<Value>, Malformed> {
    if bytes.is_empty() {
        return Ok(None);
    }
    let (mut seconds, mut nanoseconds) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((inner, value)) = reader.next()? {
        match inner {
            1 => seconds = value.signed(number)?,
            2 => nanoseconds = value.signed(number)? as i32,
            _ => {}
        }
    }
    let whole_seconds = *time_type == Type::Time;
    let timestamp = Timestamp::new(seconds, if whole_seconds { 0 } else { nanoseconds }).map_err(|_| Malformed::Time(number))?;
    let format = if whole_seconds { "%Y-%m-%dT%H:%M:%SZ" } else { "%Y-%m-%dT%H:%M:%S.%6fZ" };
    Ok(Some(Value::String(timestamp.strftime(format).to_string())))
}

fn string_in(bytes: &[u8], wanted: u32) -> Result<String, Malformed> {
    let mut text = String::new();
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        if number == wanted {
            value.text(number)?.clone_into(&mut text);
        }
    }
    Ok(text)
}

/// IntOrString {1: type, 2: number, 3: text}; type 1 is text.
fn int_or_string(bytes: &[u8]) -> Result<Value, Malformed> {
    let (mut kind, mut int) = (0, 0);
    let mut reader = Reader::new(bytes);
    while let Some((number, value)) = reader.next()? {
        match number {
            1 => kind = value.varint(number)?,
            2 => int = value.signed(number)? as i32,
            _ => {}
        }
    }
    Ok(if kind == 1 { Value::String(string_in(bytes, 3)?) } else { int.into() })
}

/// FieldsV1 and RawExtension {1: bytes}: JSON text, or another envelope.
fn any(number: u32, bytes: &[u8], depth: usize) -> Result<Option<Value>, Malformed> {
    let mut raw: &[u8] = &[];
    let mut reader = Reader::new(bytes);
    while let Some((inner, value)) = reader.next()? {
        if inner == 1 {
            raw = value.bytes(number)?;
        }
    }
    if raw.is_empty() {
        return Ok(None);
    }
    if raw.starts_with(MAGIC) {
        return envelope(raw, depth).map(Some);
    }
    serde_json::from_slice(raw).map(Some).map_err(|_| Malformed::Json(number))
}

fn is_zero(value: &Value) -> bool {
    match value {
        Value::String(text) => text.is_empty(),
        Value::Bool(flag) => !flag,
        Value::Number(number) => number.as_f64() == Some(0.0),
        _ => false,
    }
}

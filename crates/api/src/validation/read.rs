//! Reading fields of an object whose types were checked by `decode`.
//!
//! In: a value. Out: borrowed parts; absent, null and wrong types read as empty. Never: an error, a copy.

use crate::status::FieldError;
use serde_json::{Map, Value};

/// A text field, "" when absent.
pub fn text<'a>(object: &'a Value, field: &str) -> &'a str {
    object[field].as_str().unwrap_or("")
}
/// A list field, empty when absent.
pub fn list<'a>(object: &'a Value, field: &str) -> &'a [Value] {
    object[field].as_array().map_or(&[], Vec::as_slice)
}
/// An integer field.
pub fn int(object: &Value, field: &str) -> Option<i64> {
    object[field].as_i64()
}
/// Whether the field is there and not null.
pub fn present(object: &Value, field: &str) -> bool {
    !object[field].is_null()
}
/// The entries of a map.
pub fn entries(object: &Value) -> impl Iterator<Item = (&String, &Value)> {
    object.as_object().into_iter().flat_map(Map::iter)
}

/// What every number below zero gets.
pub const NON_NEGATIVE: &str = "must be greater than or equal to 0";

/// Reports a negative number.
pub fn non_negative(object: &Value, path: &str, field: &str, errors: &mut Vec<FieldError>) {
    if let Some(number) = int(object, field).filter(|n| *n < 0) {
        errors.push(FieldError::invalid(format!("{path}.{field}"), number, NON_NEGATIVE));
    }
}

/// Reports a number outside `low..=high`.
pub fn in_range(object: &Value, path: &str, field: &str, low: i64, high: i64, errors: &mut Vec<FieldError>) {
    if let Some(number) = int(object, field).filter(|n| !(low..=high).contains(n)) {
        errors.push(FieldError::invalid(format!("{path}.{field}"), number, format!("must be between {low} and {high}, inclusive")));
    }
}

/// Reports a text that is not one of `allowed`. "" is left to the caller.
pub fn one_of(object: &Value, path: &str, field: &str, allowed: &[&str], errors: &mut Vec<FieldError>) {
    let value = text(object, field);
    if !value.is_empty() && !allowed.contains(&value) {
        errors.push(FieldError::not_supported(format!("{path}.{field}"), value, allowed));
    }
}

/// Reports each sentence of a rule about a text field; "" is left to the caller.
pub fn shaped(object: &Value, path: &str, field: &str, rule: fn(&str) -> Vec<String>, errors: &mut Vec<FieldError>) {
    let value = text(object, field);
    if !value.is_empty() {
        errors.extend(rule(value).into_iter().map(|why| FieldError::invalid(format!("{path}.{field}"), value, why)));
    }
}

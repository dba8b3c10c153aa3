//! Rules of resource requests and limits (spec/jobs.md 9.10).
//!
//! In: a `resources` map. Out: field errors. Never: whether a node has that much (the scheduler's business).

use super::read::entries;
use crate::{names, quantity::Quantity, status::FieldError};
use serde_json::Value;

const STANDARD: &[&str] = &["cpu", "memory", "ephemeral-storage"];

/// Every rule of the resources at `path`.
pub fn all(resources: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for list in ["limits", "requests"] {
        for (name, value) in entries(&resources[list]) {
            one(name, value, &format!("{path}.{list}"), errors);
        }
    }
    for (name, request) in entries(&resources["requests"]) {
        let shown = resources["limits"][name].as_str();
        let (Some(request), Some(limit)) = (quantity(request), quantity(&resources["limits"][name])) else { continue };
        let path = format!("{path}.requests");
        if request > limit {
            let detail = format!("must be less than or equal to {name} limit of {}", shown.unwrap_or_default());
            errors.push(FieldError::invalid(path, resources["requests"][name].clone(), detail));
        } else if request != limit && (extended(name) || huge_pages(name)) {
            let detail = format!("must be equal to {name} limit of {}", shown.unwrap_or_default());
            errors.push(FieldError::invalid(path, resources["requests"][name].clone(), detail));
        }
    }
    for (name, _) in entries(&resources["requests"]) {
        if (extended(name) || huge_pages(name)) && resources["limits"][name].is_null() {
            errors.push(FieldError::required(format!("{path}.limits"), format!("limit must be set for {name}")));
        }
    }
}

fn one(name: &str, value: &Value, list: &str, errors: &mut Vec<FieldError>) {
    let path = format!("{list}[{name}]");
    errors.extend(names::qualified_name(name).into_iter().map(|why| FieldError::invalid(&path, name, why)));
    if !name.contains('/') && !STANDARD.contains(&name) && !huge_pages(name) {
        errors.push(FieldError::invalid(&path, name, "must be a standard resource for containers"));
    }
    match parse(value) {
        Err(why) => errors.push(FieldError::invalid(&path, value.clone(), why)),
        Ok(quantity) if quantity.negative() => errors.push(FieldError::invalid(&path, value.clone(), super::read::NON_NEGATIVE)),
        Ok(quantity) if extended(name) && !quantity.whole() => errors.push(FieldError::invalid(&path, value.clone(), "must be an integer")),
        Ok(_) => {}
    }
}

/// A quantity as text or as a JSON number.
pub fn parse(value: &Value) -> Result<Quantity, String> {
    match value {
        Value::String(text) => Quantity::parse(text),
        other => Quantity::parse(&other.to_string()),
    }
}

fn quantity(value: &Value) -> Option<Quantity> {
    if value.is_null() { None } else { parse(value).ok() }
}

fn extended(name: &str) -> bool {
    name.contains('/')
}

fn huge_pages(name: &str) -> bool {
    name.starts_with("hugepages-")
}

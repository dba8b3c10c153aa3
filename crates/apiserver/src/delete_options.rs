//! DeleteOptions (spec/api.md 4.5, 6.6).
//!
//! In: the body in any accepted type, or the query when the body is empty. Out: checked options. Never: a default policy; that is the kind's.

use bytes::Bytes;
use http::HeaderMap;
use piecework_api::{
    kinds::Propagation,
    status::{FieldError, Status},
};
use serde_json::Value;

use crate::{body, failure::Outcome, query::Query, write_options};

#[derive(Debug, Clone, Default)]
pub(crate) struct DeleteOptions {
    pub(crate) grace_period_seconds: Option<i64>,
    pub(crate) propagation: Option<Propagation>,
    /// The old form: true is Orphan, false Background.
    pub(crate) orphan_dependents: Option<bool>,
    pub(crate) uid: Option<String>,
    pub(crate) resource_version: Option<String>,
    pub(crate) dry_run: bool,
}

pub(crate) fn read(headers: &HeaderMap, query: &Query, bytes: &Bytes) -> Outcome<DeleteOptions> {
    if !bytes.is_empty() {
        let (value, _) = body::parse(headers, bytes)?;
        return from_value(&value);
    }
    let mut value = serde_json::Map::new();
    if let Some(seconds) = query.integer("gracePeriodSeconds")? {
        value.insert("gracePeriodSeconds".to_owned(), seconds.into());
    }
    if let Some(policy) = query.text("propagationPolicy") {
        value.insert("propagationPolicy".to_owned(), policy.into());
    }
    if let Some(orphan) = query.boolean("orphanDependents") {
        value.insert("orphanDependents".to_owned(), orphan.into());
    }
    value.insert("dryRun".to_owned(), query.all("dryRun").map(Value::from).collect());
    from_value(&Value::Object(value))
}

/// Options from their object form (also inside an Eviction).
pub(crate) fn from_value(value: &Value) -> Outcome<DeleteOptions> {
    let Some(fields) = value.as_object() else { return Err(Status::bad_request("delete options must be an object").into()) };
    if !matches!(fields.get("kind").and_then(Value::as_str), None | Some("" | "DeleteOptions")) {
        return Err(Status::bad_request("the body of a DELETE must be of kind DeleteOptions").into());
    }
    let wrong = |field: &str, expected: &str| Status::bad_request(format!("DeleteOptions.{field} must be {expected}"));
    let present = |field: &str| fields.get(field).filter(|value| !value.is_null());
    let mut errors = Vec::new();
    let mut options = DeleteOptions::default();
    if let Some(seconds) = present("gracePeriodSeconds") {
        options.grace_period_seconds = Some(seconds.as_i64().ok_or_else(|| wrong("gracePeriodSeconds", "a whole number"))?);
    }
    if let Some(orphan) = present("orphanDependents") {
        options.orphan_dependents = Some(orphan.as_bool().ok_or_else(|| wrong("orphanDependents", "a boolean"))?);
    }
    if let Some(policy) = present("propagationPolicy") {
        match policy.as_str() {
            Some("Orphan") => options.propagation = Some(Propagation::Orphan),
            Some("Background") => options.propagation = Some(Propagation::Background),
            Some("Foreground") => options.propagation = Some(Propagation::Foreground),
            Some(other) => {
                errors.push(FieldError::not_supported("propagationPolicy", other, &["Foreground", "Background", "Orphan", "nil"]));
            }
            None => return Err(wrong("propagationPolicy", "a string").into()),
        }
        if options.orphan_dependents.is_some() {
            let detail = "orphanDependents and deletionPropagation cannot be both set";
            errors.push(FieldError::invalid("propagationPolicy", policy.clone(), detail));
        }
    }
    // A precondition or a dryRun that cannot be read must stop the deletion, not be taken as absent.
    if let Some(preconditions) = present("preconditions") {
        let preconditions = preconditions.as_object().ok_or_else(|| wrong("preconditions", "an object"))?;
        let text = |field: &str| match preconditions.get(field) {
            None | Some(Value::Null) => Ok(None),
            Some(Value::String(text)) => Ok(Some(text.clone())),
            Some(_) => Err(wrong(&format!("preconditions.{field}"), "a string")),
        };
        options.uid = text("uid")?;
        options.resource_version = text("resourceVersion")?;
    }
    if let Some(values) = present("dryRun") {
        let list_of_strings = || wrong("dryRun", "a list of strings");
        let values: Option<Vec<&str>> = values.as_array().ok_or_else(list_of_strings)?.iter().map(Value::as_str).collect();
        options.dry_run = write_options::dry_run(values.ok_or_else(list_of_strings)?.into_iter(), &mut errors);
    }
    if errors.is_empty() { Ok(options) } else { Err(Status::invalid_options("DeleteOptions", errors).into()) }
}

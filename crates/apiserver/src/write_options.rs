//! Query options of writes (spec/api.md 6.1, 6.7).
//!
//! In: the query. Out: `dryRun` and `fieldValidation` as values. Never: a silently ignored value of a known option.

use piecework_api::{
    decode::FieldValidation,
    status::{FieldError, Status},
};

use crate::{failure::Outcome, query::Query};

/// Longest `fieldManager`, in characters (spec/api.md 6.10).
const MAX_FIELD_MANAGER: usize = 128;

#[derive(Debug, Clone, Copy)]
pub(crate) struct WriteOptions {
    pub(crate) dry_run: bool,
    pub(crate) validation: FieldValidation,
}

/// Reads the options; `kind` is `CreateOptions`, `UpdateOptions` or `PatchOptions`.
pub(crate) fn read(query: &Query, kind: &str) -> Outcome<WriteOptions> {
    let mut errors = Vec::new();
    let dry_run = dry_run(query.all("dryRun"), &mut errors);
    let validation = match query.text("fieldValidation") {
        None | Some("Warn") => FieldValidation::Warn,
        Some("Strict") => FieldValidation::Strict,
        Some("Ignore") => FieldValidation::Ignore,
        Some(other) => {
            errors.push(FieldError::not_supported("fieldValidation", other, &["Ignore", "Strict", "Warn"]));
            FieldValidation::Warn
        }
    };
    let manager = query.get("fieldManager").unwrap_or("");
    if manager.chars().count() > MAX_FIELD_MANAGER {
        errors.push(FieldError::too_long("fieldManager", MAX_FIELD_MANAGER));
    } else if manager.chars().any(char::is_control) {
        errors.push(FieldError::invalid("fieldManager", manager, "should only contain printable characters"));
    }
    if errors.is_empty() { Ok(WriteOptions { dry_run, validation }) } else { Err(Status::invalid_options(kind, errors).into()) }
}

/// Only `All` is a value of `dryRun`.
pub(crate) fn dry_run<'a>(values: impl Iterator<Item = &'a str>, errors: &mut Vec<FieldError>) -> bool {
    let mut asked = false;
    for value in values.filter(|value| !value.is_empty()) {
        if value == "All" {
            asked = true;
        } else {
            errors.push(FieldError::not_supported("dryRun", value, &["All"]));
        }
    }
    asked
}

//! Which fields this version honours. Every field is honoured or refused: a field (or value) in the table of refusals gives a Forbidden error
//! that names it. `JOB`, `POD` and the two lists of honoured fields are data, for `docs/compat.md` and its test to read.
//!
//! In: a Job, CronJob or Pod. Out: Forbidden errors, one per refused field. Never: a rule of the API itself (that is `validation`), never a silent drop.
//! Single rows go away as features arrive. Accepted without effect, because nothing could differ: `automountServiceAccountToken` (no Pod gets a
//! token yet; the account named must exist all the same), `enableServiceLinks` (there are no Services), `ports` without a host port (information
//! only, as in the API).

mod rows;

pub use rows::{HONOURED_JOB, HONOURED_POD, JOB, POD};

use crate::{kinds::Kind, status::FieldError};
use serde_json::Value;

/// One refusal.
#[derive(Debug, Clone, Copy)]
pub struct Refusal {
    /// Below the Job's or Pod's `spec`; `[]` goes through a list, as in `containers[].lifecycle`.
    pub pattern: &'static str,
    /// Which values are refused.
    pub when: When,
    /// Completes the sentence "piecework ...".
    pub say: &'static str,
}

/// The condition of a refusal.
#[derive(Debug, Clone, Copy)]
pub enum When {
    /// Anything but null.
    Present,
    /// Anything but null, "", [], {} and false; a number always counts.
    Set,
    /// Only `true`.
    True,
    /// Only `false`.
    False,
    /// Any number but 0.
    NotZero,
    /// A text outside the list; "" is always fine.
    Other(&'static [&'static str]),
    /// A map with a key outside the list: each such key is named.
    KeysOther(&'static [&'static str]),
}

/// What this version does not run of a Job, the Jobs of a CronJob, or a Pod; empty for other kinds.
pub fn refusals(kind: &Kind, object: &Value) -> Vec<FieldError> {
    let mut errors = vec![];
    match kind.kind {
        "Job" => {
            apply(JOB, &object["spec"], "spec", &mut errors);
            apply(POD, &object["spec"]["template"]["spec"], "spec.template.spec", &mut errors);
        }
        "CronJob" => {
            let job = &object["spec"]["jobTemplate"]["spec"];
            apply(JOB, job, "spec.jobTemplate.spec", &mut errors);
            apply(POD, &job["template"]["spec"], "spec.jobTemplate.spec.template.spec", &mut errors);
        }
        "Pod" => apply(POD, &object["spec"], "spec", &mut errors),
        _ => {}
    }
    errors
}

fn apply(rows: &[Refusal], spec: &Value, base: &str, errors: &mut Vec<FieldError>) {
    for row in rows {
        visit(spec, row.pattern, base.to_owned(), &mut |value, path| row.check(value, path, errors));
    }
}

/// Calls `found` with every value at the pattern, and its path.
fn visit(value: &Value, pattern: &str, path: String, found: &mut dyn FnMut(&Value, &str)) {
    if pattern.is_empty() {
        return found(value, &path);
    }
    let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    match segment.strip_suffix("[]") {
        None => visit(&value[segment], rest, format!("{path}.{segment}"), found),
        Some(list) => {
            for (index, item) in value[list].as_array().into_iter().flatten().enumerate() {
                visit(item, rest, format!("{path}.{list}[{index}]"), found);
            }
        }
    }
}

impl Refusal {
    fn check(&self, value: &Value, path: &str, errors: &mut Vec<FieldError>) {
        let mut refuse = |path: String| errors.push(FieldError::forbidden(path, format!("piecework {}", self.say)));
        let text = value.as_str().unwrap_or("");
        let refused = match self.when {
            When::Present => !value.is_null(),
            When::Set => is_set(value),
            When::True => *value == true,
            When::False => *value == false,
            When::NotZero => value.is_number() && *value != 0,
            When::Other(allowed) => !text.is_empty() && !allowed.contains(&text),
            When::KeysOther(allowed) => {
                for (key, _) in value.as_object().into_iter().flatten().filter(|(key, _)| !allowed.contains(&key.as_str())) {
                    refuse(format!("{path}[{key}]"));
                }
                false
            }
        };
        if refused {
            refuse(path.to_owned());
        }
    }
}

fn is_set(value: &Value) -> bool {
    match value {
        Value::Null | Value::Bool(false) => false,
        Value::Bool(true) | Value::Number(_) => true,
        Value::String(text) => !text.is_empty(),
        Value::Array(list) => !list.is_empty(),
        Value::Object(map) => !map.is_empty(),
    }
}

#[cfg(test)]
mod tests;

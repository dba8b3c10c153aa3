//! Rules of where a Pod may run: nodeSelector, node affinity, tolerations (spec/jobs.md 9.10).
//!
//! In: the spec. Out: field errors. Never: the rules of placement that `supported` refuses (Pod affinity, spreading).

use super::{
    metadata,
    read::{in_range, list, one_of, present, text},
};
use crate::{names, status::FieldError};
use serde_json::Value;

/// Every rule of placement.
pub fn all(spec: &Value, path: &str, errors: &mut Vec<FieldError>) {
    metadata::labels(&spec["nodeSelector"], &format!("{path}.nodeSelector"), errors);
    for (index, toleration) in list(spec, "tolerations").iter().enumerate() {
        self::toleration(toleration, &format!("{path}.tolerations[{index}]"), errors);
    }
    node_affinity(&spec["affinity"]["nodeAffinity"], &format!("{path}.affinity.nodeAffinity"), errors);
}

fn toleration(toleration: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let (key, operator, value) = (text(toleration, "key"), text(toleration, "operator"), text(toleration, "value"));
    if !key.is_empty() {
        errors.extend(names::qualified_name(key).into_iter().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
    } else if operator != "Exists" {
        errors.push(FieldError::invalid(
            format!("{path}.operator"),
            operator,
            "operator must be Exists when `key` is empty, which means \"match all values and all keys\"",
        ));
    }
    match operator {
        "" | "Equal" => {
            errors.extend(names::label_value(value).into_iter().map(|why| FieldError::invalid(format!("{path}.value"), value, why)));
        }
        "Exists" if !value.is_empty() => {
            errors.push(FieldError::invalid(format!("{path}.value"), value, "value must be empty when `operator` is 'Exists'"));
        }
        _ => {}
    }
    one_of(toleration, path, "operator", &["Equal", "Exists"], errors);
    one_of(toleration, path, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], errors);
    if present(toleration, "tolerationSeconds") && toleration["effect"] != "NoExecute" {
        errors.push(FieldError::invalid(
            format!("{path}.effect"),
            text(toleration, "effect"),
            "effect must be 'NoExecute' when `tolerationSeconds` is set",
        ));
    }
}

fn node_affinity(affinity: &Value, path: &str, errors: &mut Vec<FieldError>) {
    let required = &affinity["requiredDuringSchedulingIgnoredDuringExecution"];
    if !required.is_null() {
        let path = format!("{path}.requiredDuringSchedulingIgnoredDuringExecution.nodeSelectorTerms");
        let terms = list(required, "nodeSelectorTerms");
        if terms.is_empty() {
            errors.push(FieldError::required(&path, "must have at least one node selector term"));
        }
        for (index, term) in terms.iter().enumerate() {
            node_term(term, &format!("{path}[{index}]"), errors);
        }
    }
    for (index, preferred) in list(affinity, "preferredDuringSchedulingIgnoredDuringExecution").iter().enumerate() {
        let path = format!("{path}.preferredDuringSchedulingIgnoredDuringExecution[{index}]");
        in_range(preferred, &path, "weight", 1, 100, errors);
        node_term(&preferred["preference"], &format!("{path}.preference"), errors);
    }
}

fn node_term(term: &Value, path: &str, errors: &mut Vec<FieldError>) {
    for (index, expression) in list(term, "matchExpressions").iter().enumerate() {
        let path = format!("{path}.matchExpressions[{index}]");
        let (key, count) = (text(expression, "key"), list(expression, "values").len());
        match text(expression, "operator") {
            "In" | "NotIn" if count == 0 => {
                errors.push(FieldError::required(format!("{path}.values"), "must be specified when `operator` is 'In' or 'NotIn'"));
            }
            "Exists" | "DoesNotExist" if count > 0 => {
                errors.push(FieldError::forbidden(
                    format!("{path}.values"),
                    "may not be specified when `operator` is 'Exists' or 'DoesNotExist'",
                ));
            }
            "Gt" | "Lt" if count != 1 => {
                errors
                    .push(FieldError::required(format!("{path}.values"), "must be specified single value when `operator` is 'Lt' or 'Gt'"));
            }
            "In" | "NotIn" | "Exists" | "DoesNotExist" | "Gt" | "Lt" => {}
            other => errors.push(FieldError::invalid(format!("{path}.operator"), other, "not a valid selector operator")),
        }
        errors.extend(names::qualified_name(key).into_iter().map(|why| FieldError::invalid(format!("{path}.key"), key, why)));
    }
    for (index, field) in list(term, "matchFields").iter().enumerate() {
        let path = format!("{path}.matchFields[{index}]");
        if text(field, "key") != "metadata.name" {
            errors.push(FieldError::invalid(format!("{path}.key"), text(field, "key"), "not a valid field selector key"));
        }
        if !matches!(text(field, "operator"), "In" | "NotIn") {
            errors.push(FieldError::invalid(format!("{path}.operator"), text(field, "operator"), "not a valid selector operator"));
        }
        if list(field, "values").len() != 1 {
            errors.push(FieldError::required(
                format!("{path}.values"),
                "must be only one value when `operator` is 'In' or 'NotIn' for node field selector",
            ));
        }
    }
}

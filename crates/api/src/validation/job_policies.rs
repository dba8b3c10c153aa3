//! Rules of `podFailurePolicy` and `successPolicy` (spec/jobs.md 2.5).
//!
//! In: a Job's spec. Out: field errors. Never: a decision about a running Job (`piecework-reconcile` has these).

use super::{
    indexes,
    read::{int, list, non_negative, one_of, present, text},
};
use crate::{names, status::FieldError};
use serde_json::Value;
use std::collections::BTreeSet;

/// Most rules of either policy (spec/jobs.md, appendix B, as the next three).
const MAX_RULES: usize = 20;
/// Most exit codes of one rule.
const MAX_EXIT_CODES: usize = 255;
/// Most Pod conditions of one rule.
const MAX_CONDITIONS: usize = 20;
/// Longest index list of a success rule, in bytes.
const MAX_INDEX_TEXT_BYTES: usize = 65_536;

/// `podFailurePolicy`.
pub fn failure(spec: &Value, errors: &mut Vec<FieldError>) {
    let policy = &spec["podFailurePolicy"];
    if policy.is_null() {
        return;
    }
    let rules = list(policy, "rules");
    if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many("spec.podFailurePolicy.rules", rules.len(), MAX_RULES));
    }
    let containers: BTreeSet<&str> = ["containers", "initContainers"]
        .iter()
        .flat_map(|field| list(&spec["template"]["spec"], field))
        .map(|container| text(container, "name"))
        .collect();
    for (index, rule) in rules.iter().enumerate() {
        let path = format!("spec.podFailurePolicy.rules[{index}]");
        if text(rule, "action").is_empty() {
            errors.push(FieldError::required(format!("{path}.action"), "valid values: \"Count\", \"FailIndex\", \"FailJob\", \"Ignore\""));
        }
        one_of(rule, &path, "action", &["Count", "FailIndex", "FailJob", "Ignore"], errors);
        if rule["action"] == "FailIndex" && !present(spec, "backoffLimitPerIndex") {
            errors.push(FieldError::invalid(format!("{path}.action"), "FailIndex", "requires the backoffLimitPerIndex to be set"));
        }
        let conditions = list(rule, "onPodConditions");
        match (present(rule, "onExitCodes"), !conditions.is_empty()) {
            (true, true) => {
                errors.push(FieldError::invalid(&path, rule.clone(), "specifying both OnExitCodes and OnPodConditions is not supported"));
            }
            (false, false) => {
                errors.push(FieldError::invalid(&path, rule.clone(), "specifying one of OnExitCodes and OnPodConditions is required"));
            }
            _ => {}
        }
        exit_codes(&rule["onExitCodes"], &format!("{path}.onExitCodes"), &containers, errors);
        pod_conditions(conditions, &format!("{path}.onPodConditions"), errors);
    }
    let restart = text(&spec["template"]["spec"], "restartPolicy");
    if restart != "Never" {
        errors.push(FieldError::invalid(
            "spec.template.spec.restartPolicy",
            restart,
            "only \"Never\" is supported when podFailurePolicy is specified",
        ));
    }
}

fn exit_codes(codes: &Value, path: &str, containers: &BTreeSet<&str>, errors: &mut Vec<FieldError>) {
    if codes.is_null() {
        return;
    }
    if text(codes, "operator").is_empty() {
        errors.push(FieldError::required(format!("{path}.operator"), "valid values: \"In\", \"NotIn\""));
    }
    one_of(codes, path, "operator", &["In", "NotIn"], errors);
    if let Some(name) = codes["containerName"].as_str().filter(|name| !containers.contains(name)) {
        errors.push(FieldError::invalid(
            format!("{path}.containerName"),
            name,
            "must be one of the container or init container names in the pod template",
        ));
    }
    let values = list(codes, "values");
    let values_path = format!("{path}.values");
    if values.is_empty() {
        errors.push(FieldError::invalid(&values_path, codes["values"].clone(), "at least one value is required"));
    } else if values.len() > MAX_EXIT_CODES {
        errors.push(FieldError::too_many(&values_path, values.len(), MAX_EXIT_CODES));
    }
    let numbers: Vec<i64> = values.iter().filter_map(Value::as_i64).collect();
    let mut seen = BTreeSet::new();
    for (at, number) in numbers.iter().enumerate() {
        if !seen.insert(number) {
            errors.push(FieldError::duplicate(format!("{values_path}[{at}]"), *number));
        }
        if *number == 0 && codes["operator"] == "In" {
            errors.push(FieldError::invalid(format!("{values_path}[{at}]"), 0, "must not be 0 for the In operator"));
        }
    }
    if !numbers.is_sorted() {
        errors.push(FieldError::invalid(&values_path, codes["values"].clone(), "must be ordered"));
    }
}

fn pod_conditions(conditions: &[Value], path: &str, errors: &mut Vec<FieldError>) {
    if conditions.len() > MAX_CONDITIONS {
        errors.push(FieldError::too_many(path, conditions.len(), MAX_CONDITIONS));
    }
    for (at, pattern) in conditions.iter().enumerate() {
        let path = format!("{path}[{at}]");
        let kind = text(pattern, "type");
        errors.extend(names::qualified_name(kind).into_iter().map(|why| FieldError::invalid(format!("{path}.type"), kind, why)));
        if text(pattern, "status").is_empty() {
            errors.push(FieldError::required(format!("{path}.status"), "valid values: \"False\", \"True\", \"Unknown\""));
        }
        one_of(pattern, &path, "status", &["False", "True", "Unknown"], errors);
    }
}

/// `successPolicy`; its requirement of Indexed mode is reported with the mode.
pub fn success(spec: &Value, errors: &mut Vec<FieldError>) {
    let policy = &spec["successPolicy"];
    if policy.is_null() || text(spec, "completionMode") != "Indexed" {
        return;
    }
    let rules = list(policy, "rules");
    let path = "spec.successPolicy.rules";
    if rules.is_empty() {
        errors.push(FieldError::required(path, "at least one rule must be specified when the successPolicy is specified"));
    } else if rules.len() > MAX_RULES {
        errors.push(FieldError::too_many(path, rules.len(), MAX_RULES));
    }
    let completions = int(spec, "completions").unwrap_or(0);
    for (index, rule) in rules.iter().enumerate() {
        success_rule(rule, &format!("{path}[{index}]"), completions, errors);
    }
}

fn success_rule(rule: &Value, path: &str, completions: i64, errors: &mut Vec<FieldError>) {
    if !present(rule, "succeededCount") && !present(rule, "succeededIndexes") {
        errors.push(FieldError::required(path, "at least one of succeededCount or succeededIndexes must be specified"));
    }
    let mut total = None;
    if let Some(indexes) = rule["succeededIndexes"].as_str() {
        let path = format!("{path}.succeededIndexes");
        if indexes.len() > MAX_INDEX_TEXT_BYTES {
            errors.push(FieldError::too_long(&path, MAX_INDEX_TEXT_BYTES));
        } else {
            match indexes::parse(indexes, completions) {
                Ok(ranges) => total = Some(indexes::count(&ranges)),
                Err(why) => errors.push(FieldError::invalid(&path, indexes, format!("error parsing succeededIndexes: {why}"))),
            }
        }
    }
    non_negative(rule, path, "succeededCount", errors);
    if let Some(count) = int(rule, "succeededCount") {
        let path = format!("{path}.succeededCount");
        if count > completions {
            errors.push(FieldError::invalid(
                &path,
                count,
                format!("must be less than or equal to {completions} (the number of specified completions)"),
            ));
        }
        if let Some(total) = total.filter(|total| count > *total) {
            errors.push(FieldError::invalid(
                &path,
                count,
                format!("must be less than or equal to {total} (the number of indexes in the specified succeededIndexes field)"),
            ));
        }
    }
}

//! What a DELETE does to an object (spec/api.md 6.6): grace periods, finalizers, cascade policies. Pure.
//!
//! In: kind, stored object, options, now. Out: remove, store this, or keep as it is. Never: I/O; an object that still has finalizers removed.

use std::time::Duration;

use jiff::Timestamp;
use piecework_api::{
    kinds::{Kind, Propagation},
    meta,
};
use serde_json::{Value, json};

use crate::{clock, delete_options::DeleteOptions};

const ORPHAN: &str = "orphan";
const FOREGROUND: &str = "foregroundDeletion";
/// Grace period of a Pod that names none, in seconds (API reference, PodSpec).
const DEFAULT_GRACE_SECONDS: i64 = 30;
/// Longest grace period that is honoured, in seconds: beyond it, times leave the range that clients can print.
pub const MAX_GRACE_SECONDS: i64 = 100 * 365 * 24 * 3600;

/// The warning for Jobs deleted without a policy (spec/api.md 6.6, point 3).
const ORPHANED_BY_DEFAULT: &str = "child pods are preserved by default when jobs are deleted; set propagationPolicy=Background to remove them or set \
                                   propagationPolicy=Orphan to suppress this warning";

/// Outcome of a DELETE for one object.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Plan {
    /// Gone at once.
    Remove,
    /// Marked as being deleted; somebody else finishes.
    Store(Value),
    /// Already being deleted, and nothing in the options changes that.
    Keep,
}

/// Decides. The second value holds warnings for the client.
pub(crate) fn plan(kind: &Kind, object: &Value, options: &DeleteOptions, now: Timestamp) -> (Plan, Vec<String>) {
    let mut marked = object.clone();
    let warnings = set_policy_finalizer(kind, &mut marked, options);
    let deleting = meta::deleting(object);
    let grace = if kind.graceful { options.grace_period_seconds.map(shortened) } else { None };
    if !deleting {
        let seconds = if kind.graceful { first_grace(object, grace) } else { 0 };
        mark(kind, &mut marked, now, seconds);
    } else if kind.graceful {
        shorten(&mut marked, grace);
    }
    let plan = if complete(kind, &marked) {
        Plan::Remove
    } else if marked == *object {
        Plan::Keep
    } else {
        Plan::Store(marked)
    };
    (plan, warnings)
}

/// Whether nothing holds an object that is being deleted any more: no finalizer and no running grace period.
pub(crate) fn complete(kind: &Kind, object: &Value) -> bool {
    let namespace_held = kind.kind == "Namespace" && object["spec"]["finalizers"].as_array().is_some_and(|list| !list.is_empty());
    meta::deleting(object)
        && meta::finalizers(object).is_empty()
        && object["metadata"]["deletionGracePeriodSeconds"].as_i64().unwrap_or(0) == 0
        && !namespace_held
}

/// Negative is one second, as upstream has it.
fn shortened(seconds: i64) -> i64 {
    if seconds < 0 { 1 } else { seconds.min(MAX_GRACE_SECONDS) }
}

/// The grace period of a first deletion: none for a Pod that runs nowhere or has ended.
fn first_grace(pod: &Value, asked: Option<i64>) -> i64 {
    let unscheduled = pod["spec"]["nodeName"].as_str().unwrap_or("").is_empty();
    let ended = matches!(pod["status"]["phase"].as_str(), Some("Succeeded" | "Failed"));
    if unscheduled || ended {
        return 0;
    }
    asked.unwrap_or_else(|| shortened(pod["spec"]["terminationGracePeriodSeconds"].as_i64().unwrap_or(DEFAULT_GRACE_SECONDS)))
}

fn mark(kind: &Kind, object: &mut Value, now: Timestamp, grace: i64) {
    let at = now.checked_add(Duration::from_secs(grace.unsigned_abs())).unwrap_or(now);
    let generation = object["metadata"]["generation"].as_i64();
    let metadata = &mut object["metadata"];
    metadata["deletionTimestamp"] = Value::String(clock::whole_seconds(at));
    if kind.kind == "Namespace" {
        object["status"]["phase"] = json!("Terminating");
        return;
    }
    metadata["deletionGracePeriodSeconds"] = json!(grace);
    if let Some(generation) = generation.filter(|_| kind.has_generation) {
        metadata["generation"] = json!(generation + 1);
    }
}

/// A later deletion may only shorten the grace period.
fn shorten(object: &mut Value, asked: Option<i64>) {
    let metadata = &mut object["metadata"];
    let before = metadata["deletionGracePeriodSeconds"].as_i64().unwrap_or(0);
    let Some(asked) = asked.filter(|asked| *asked < before) else { return };
    let ends: Option<Timestamp> = metadata["deletionTimestamp"].as_str().and_then(|text| text.parse().ok());
    let sooner = ends.and_then(|ends| ends.checked_sub(Duration::from_secs((before - asked).unsigned_abs())).ok());
    if let Some(sooner) = sooner {
        metadata["deletionTimestamp"] = Value::String(clock::whole_seconds(sooner));
    }
    metadata["deletionGracePeriodSeconds"] = json!(asked);
}

fn set_policy_finalizer(kind: &Kind, object: &mut Value, options: &DeleteOptions) -> Vec<String> {
    let mut finalizers: Vec<String> = meta::finalizers(object).into_iter().map(str::to_owned).collect();
    let explicit =
        options.propagation.or(options.orphan_dependents.map(|orphan| if orphan { Propagation::Orphan } else { Propagation::Background }));
    let mut warnings = Vec::new();
    let policy = match explicit {
        Some(policy) => policy,
        // A finalizer that is already there decides.
        None if finalizers.iter().any(|f| f == ORPHAN || f == FOREGROUND) => return warnings,
        None => {
            if kind.kind == "Job" && kind.default_propagation == Propagation::Orphan {
                warnings.push(ORPHANED_BY_DEFAULT.to_owned());
            }
            kind.default_propagation
        }
    };
    let wanted = match policy {
        Propagation::Orphan => Some(ORPHAN),
        Propagation::Foreground => Some(FOREGROUND),
        Propagation::Background => None,
    };
    finalizers.retain(|finalizer| (finalizer != ORPHAN && finalizer != FOREGROUND) || Some(finalizer.as_str()) == wanted);
    if let Some(wanted) = wanted.filter(|wanted| !finalizers.iter().any(|finalizer| finalizer == wanted)) {
        finalizers.push(wanted.to_owned());
    }
    if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
        if finalizers.is_empty() {
            metadata.shift_remove("finalizers");
        } else {
            metadata.insert("finalizers".to_owned(), json!(finalizers));
        }
    }
    warnings
}

#[cfg(test)]
#[path = "deletion_tests.rs"]
mod tests;

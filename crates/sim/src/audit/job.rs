//! Laws of Jobs: every Pod is counted once, counters never fall, an end is an end.
//!
//! In: a Job before and after a change. Out: the law that was broken. Never: the product's own arithmetic.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Audit, Violation, broken,
    object::{condition, deleting, finished, number, text, texts},
};

#[derive(Debug, Clone, Default)]
pub struct JobRecord {
    pub name: String,
    pub most_parallel: i64,
    /// Uids ever in `uncountedTerminatedPods`, and whether as succeeded.
    pub noted: BTreeMap<String, bool>,
    /// Uids that have left the lists.
    pub counted: BTreeSet<String>,
    pub present: bool,
    pub was_deleting: bool,
    pub finished: bool,
    pub succeeded: i64,
    pub failed: i64,
}

const LISTS: [(&str, bool); 2] = [("succeeded", true), ("failed", false)];

impl Audit {
    pub(super) fn job(&mut self, before: Option<&Value>, after: Option<&Value>) -> Result<(), Violation> {
        let Some(newest) = after.or(before) else { return Ok(()) };
        let uid = text(&newest["metadata"]["uid"]).to_owned();
        let name = text(&newest["metadata"]["name"]).to_owned();
        let record = self.jobs.entry(uid.clone()).or_default();
        record.name = name;
        record.present = after.is_some();
        let Some(after) = after else { return Ok(()) };
        let parallelism = after["spec"]["parallelism"].as_i64().unwrap_or(1);
        record.most_parallel = record.most_parallel.max(parallelism);
        record.was_deleting |= deleting(after);
        record.finished |= finished(after);
        record.succeeded = number(&after["status"]["succeeded"]);
        record.failed = number(&after["status"]["failed"]);
        let nothing = Value::Null;
        let before = before.unwrap_or(&nothing);
        self.counters(&uid, before, after)?;
        ends(before, after)
    }

    /// A uid enters one list once, leaves it when its Pod has lost the finalizer, and raises the counter by exactly one.
    fn counters(&mut self, job: &str, before: &Value, after: &Value) -> Result<(), Violation> {
        let name = text(&after["metadata"]["name"]).to_owned();
        let failing = condition(after, "FailureTarget").is_some();
        for (list, succeeded) in LISTS {
            let uncounted = |object: &Value| texts(&object["status"]["uncountedTerminatedPods"][list]);
            let (old, new) = (uncounted(before), uncounted(after));
            let listed = after["status"]["uncountedTerminatedPods"][list].as_array().map_or(0, Vec::len);
            if listed != new.len() {
                return broken("a Pod is counted once", format!("Job {name}: a uid is twice in uncounted {list}"));
            }
            for uid in new.difference(&old) {
                let record = self.jobs.entry(job.to_owned()).or_default();
                if let Some(as_succeeded) = record.noted.insert(uid.clone(), succeeded) {
                    return broken(
                        "a Pod is counted once",
                        format!("Job {name}: Pod {uid} is noted as {list}, and was noted before (succeeded: {as_succeeded})"),
                    );
                }
                let Some(pod) = self.pods.get(uid).filter(|pod| pod.job.as_deref() == Some(job)) else {
                    return broken("only own Pods are counted", format!("Job {name}: {uid} in {list}"));
                };
                let fits = match pod.phase.as_str() {
                    // Decided on when it still ran, it may have succeeded meanwhile (upstream's race too).
                    "Succeeded" => succeeded || failing || pod.was_deleting,
                    "Failed" => !succeeded,
                    _ => !succeeded && (pod.was_deleting || !pod.present || failing),
                };
                if !fits {
                    return broken(
                        "a Pod is counted for what it is",
                        format!("Job {name}: Pod {} ({}) is noted as {list}", pod.name, pod.phase),
                    );
                }
            }
            let mut left = 0;
            for uid in old.difference(&new) {
                left += 1;
                if self.pods.get(uid).is_some_and(|pod| pod.present && pod.tracked) {
                    return broken("counters rise after the finalizer is gone", format!("Job {name}: Pod {uid} is still tracked"));
                }
                self.jobs.entry(job.to_owned()).or_default().counted.insert(uid.clone());
            }
            let rise = number(&after["status"][list]) - number(&before["status"][list]);
            if rise != left {
                return broken("counters rise by what leaves the lists", format!("Job {name}: {list} rose by {rise}, {left} uids left"));
            }
        }
        Ok(())
    }
}

/// Conditions, completion time, and what must not change after the end.
fn ends(before: &Value, after: &Value) -> Result<(), Violation> {
    let name = text(&after["metadata"]["name"]);
    let has = |object: &Value, kind: &str| condition(object, kind).is_some();
    let (complete, failed) = (has(after, "Complete"), has(after, "Failed"));
    if complete && failed {
        return broken("a Job ends one way", format!("Job {name} is Complete and Failed"));
    }
    for kind in ["Complete", "Failed", "SuccessCriteriaMet", "FailureTarget"] {
        if has(before, kind) && !has(after, kind) {
            return broken("terminal conditions are permanent", format!("Job {name} lost {kind}"));
        }
    }
    for (terminal, interim) in [("Complete", "SuccessCriteriaMet"), ("Failed", "FailureTarget")] {
        if has(after, terminal) && !has(after, interim) {
            return broken("the interim condition comes first", format!("Job {name} is {terminal} without {interim}"));
        }
    }
    if complete != after["status"]["completionTime"].is_string() {
        return broken("completionTime exactly when Complete", format!("Job {name}"));
    }
    for time in ["startTime", "completionTime"] {
        let (was, is) = (&before["status"][time], &after["status"][time]);
        if was.is_string() && was != is {
            return broken("times of a Job stay", format!("Job {name}: {time} went from {was} to {is}"));
        }
    }
    if !(complete || failed) {
        return Ok(());
    }
    let status = &after["status"];
    for number_ in ["active", "terminating"] {
        if number(&status[number_]) != 0 {
            return broken("a finished Job has no Pods under way", format!("Job {name}: {number_} is {}", status[number_]));
        }
    }
    if LISTS.iter().any(|(list, _)| !texts(&status["uncountedTerminatedPods"][list]).is_empty()) {
        return broken("a finished Job has counted everything", format!("Job {name}"));
    }
    if finished(before) {
        for counter in ["succeeded", "failed"] {
            if before["status"][counter] != status[counter] {
                return broken("counters of a finished Job stay", format!("Job {name}: {counter}"));
            }
        }
    }
    let succeeded = number(&status["succeeded"]);
    let wanted = after["spec"]["completions"].as_i64().unwrap_or(1);
    if complete && succeeded < wanted {
        return broken("Complete means enough successes", format!("Job {name}: {succeeded} of {wanted}"));
    }
    let reason = condition(after, "Failed").map_or("", |failed| text(&failed["reason"]));
    if failed && !matches!(reason, "BackoffLimitExceeded" | "DeadlineExceeded") {
        return broken("Failed has a reason", format!("Job {name}: {reason:?}"));
    }
    Ok(())
}

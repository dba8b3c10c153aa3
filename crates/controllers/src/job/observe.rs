//! What the Job controller's shell counts for `/metrics` (spec/jobs.md 5.2).
//!
//! In: plans, statuses before and after a write, changes of Pods. Out: observations. Never: a part in what is decided; a counter lost in a crash is lost.

use crate::metrics::{Action, Metrics};
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec, JobStatus},
    core::v1::Pod,
};
use piecework_reconcile::{
    job::{
        Known, Plan, Settings, Stage,
        conditions::{self, FAILED},
        failure_policy::{Verdict, verdict},
        managed,
    },
    ownership::{self, TRACKING_FINALIZER},
};

pub fn completion_mode(job: &Job) -> &str {
    job.spec.as_ref().and_then(|spec| spec.completion_mode.as_deref()).unwrap_or("NonIndexed")
}

/// Whether syncs of this Job are counted: it is this controller's and not finished.
pub fn counts(job: &Job, settings: &Settings) -> bool {
    managed(job, settings) && !conditions::finished(job)
}

/// The cache has not shown this controller's last write of the Job yet.
pub fn stale(job: &Job, known: &Known) -> bool {
    let shown = job.metadata.resource_version.as_deref().and_then(|version| version.parse::<u64>().ok());
    let overtaken = shown.zip(known.written).is_some_and(|(shown, written)| shown < written);
    overtaken || known.finished.as_deref() == Some(ownership::uid(&job.metadata))
}

/// `waiting`: for the caches to show earlier creations or deletions.
pub fn action(plan: &Plan, waiting: bool) -> Action {
    let any = |wanted: fn(&Stage) -> bool| plan.stages.iter().any(wanted);
    if any(|stage| matches!(stage, Stage::CreatePods(_))) {
        Action::PodsCreated
    } else if any(|stage| matches!(stage, Stage::DeletePods { .. })) {
        Action::PodsDeleted
    } else if waiting {
        Action::Reconciling
    } else {
        Action::Tracking
    }
}

/// A status write that the API server took.
pub fn status_written(metrics: &Metrics, before: &Job, after: &Job, terminal: bool) {
    let nothing = JobStatus::default();
    let (old, new) = (before.status.as_ref().unwrap_or(&nothing), after.status.as_ref().unwrap_or(&nothing));
    let mode = completion_mode(after);
    let rise = |old: Option<i32>, new: Option<i32>| u64::try_from(i64::from(new.unwrap_or(0)) - i64::from(old.unwrap_or(0))).unwrap_or(0);
    metrics.pods_counted(mode, rise(old.succeeded, new.succeeded), rise(old.failed, new.failed));
    if mode == "Indexed" {
        let more = |old: &Option<String>, new: &Option<String>| indexes(new.as_deref()).saturating_sub(indexes(old.as_deref()));
        let per_index = after.spec.as_ref().is_some_and(|spec| spec.backoff_limit_per_index.is_some());
        metrics.indexes_finished(
            per_index,
            more(&old.completed_indexes, &new.completed_indexes),
            more(&old.failed_indexes, &new.failed_indexes),
        );
    }
    if terminal {
        let failure = conditions::holds(new, FAILED).map(|condition| condition.reason.as_deref().unwrap_or_default());
        metrics.job_finished(mode, failure);
    }
}

/// How many indexes a text such as `1,3-5` names.
fn indexes(text: Option<&str>) -> u64 {
    let one = |part: &str| {
        let (first, last) = part.split_once('-').unwrap_or((part, part));
        let (first, last) = (first.parse::<u64>().ok()?, last.parse::<u64>().ok()?);
        Some(last.checked_sub(first)? + 1)
    };
    text.unwrap_or_default().split(',').filter_map(one).sum()
}

/// Why Pods are created now, the `reason` label.
pub fn creation_reason(job: &Job) -> &'static str {
    let status = job.status.as_ref();
    let uncounted =
        status.and_then(|status| status.uncounted_terminated_pods.as_ref()?.failed.as_ref()).is_some_and(|uids| !uids.is_empty());
    let failed = uncounted || status.is_some_and(|status| status.failed.unwrap_or(0) > 0);
    let terminating = status.is_some_and(|status| status.terminating.unwrap_or(0) > 0);
    let only_failed = job.spec.as_ref().is_some_and(|spec| spec.pod_replacement_policy.as_deref() == Some("Failed"));
    match (failed, terminating) {
        (true, _) if only_failed => "recreate_failed",
        (false, false) => "new",
        _ => "recreate_terminating_or_failed",
    }
}

/// A change of a Pod of some Job in the cache.
pub fn pod_changed(metrics: &Metrics, old: Option<&Pod>, new: Option<&Pod>) {
    let (was, is) = (old.is_some_and(finished_and_tracked), new.is_some_and(finished_and_tracked));
    if was != is {
        metrics.finished_pod_tracked(is);
    }
}

/// A failed Pod that was counted, which shows by its finalizer being gone; told once per Pod, if a rule of the Job's failure policy matches it.
pub fn policy_applied(metrics: &Metrics, job: &Job, old: Option<&Pod>, new: Option<&Pod>) {
    let counted = old.is_some_and(finished_and_tracked) && !new.is_some_and(finished_and_tracked);
    let failed = old.filter(|pod| counted && pod.status.as_ref().and_then(|status| status.phase.as_deref()) == Some("Failed"));
    if let (Some(pod), Some(spec)) = (failed, &job.spec)
        && let Some(action) = rule_action(spec, pod)
    {
        metrics.failure_handled_by_policy(action);
    }
}

fn rule_action(spec: &JobSpec, pod: &Pod) -> Option<&'static str> {
    let mut policy = spec.pod_failure_policy.clone()?;
    match verdict(spec, pod) {
        Verdict::FailJob(_) => Some("FailJob"),
        Verdict::FailIndex => Some("FailIndex"),
        Verdict::Ignore => Some("Ignore"),
        Verdict::Count => {
            // Either a rule said so, or none matched: with Ignore in place of Count the two differ.
            policy.rules.iter_mut().filter(|rule| rule.action == "Count").for_each(|rule| rule.action = "Ignore".into());
            let probe =
                JobSpec { pod_failure_policy: Some(policy), backoff_limit_per_index: spec.backoff_limit_per_index, ..JobSpec::default() };
            (verdict(&probe, pod) == Verdict::Ignore).then_some("Count")
        }
    }
}

fn finished_and_tracked(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed")) && ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER)
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use serde_json::{Value, json};

    fn job(spec: Value, status: Value) -> Job {
        serde_json::from_value(json!({"metadata": {"name": "j", "uid": "u", "resourceVersion": "7"}, "spec": spec, "status": status}))
            .unwrap()
    }

    /// The lines of the text without comments.
    fn lines(metrics: &Metrics) -> Vec<String> {
        metrics.text().lines().filter(|line| !line.starts_with('#')).map(str::to_owned).collect()
    }

    fn spec(more: Value) -> Value {
        let mut spec = json!({"template": {}});
        more.as_object().unwrap().iter().for_each(|(key, value)| spec[key] = value.clone());
        spec
    }

    #[test]
    fn a_status_write_is_counted_by_its_difference() {
        let metrics = Metrics::default();
        let plain = spec(json!({}));
        let failed = json!([{"type": "Failed", "status": "True", "reason": "BackoffLimitExceeded"}]);
        let write = |before: Value, after: Value, terminal| {
            status_written(&metrics, &job(plain.clone(), before), &job(plain.clone(), after), terminal)
        };
        write(json!({}), json!({"succeeded": 2, "failed": 1}), false);
        write(json!({"succeeded": 2, "failed": 1}), json!({"succeeded": 2, "failed": 3}), false);
        write(json!({"failed": 3}), json!({"failed": 3, "conditions": failed}), true);
        write(json!({"succeeded": 3}), json!({"succeeded": 3, "conditions": [{"type": "Complete", "status": "True"}]}), true);
        assert_eq!(
            lines(&metrics),
            [
                r#"job_controller_jobs_finished_total{completion_mode="NonIndexed",result="failed",reason="BackoffLimitExceeded"} 1"#,
                r#"job_controller_jobs_finished_total{completion_mode="NonIndexed",result="succeeded",reason=""} 1"#,
                r#"job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="failed"} 3"#,
                r#"job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 2"#,
            ]
        );
    }

    #[test]
    fn indexes_are_counted_from_their_texts() {
        for (text, count) in [("", 0), ("0", 1), ("1,3-5,7", 5), ("0-99999", 100_000), ("5-3", 0), ("x", 0)] {
            assert_eq!(indexes(Some(text)), count, "{text}");
        }
        for (more, label) in [(json!({}), "global"), (json!({"backoffLimitPerIndex": 1}), "perIndex")] {
            let metrics = Metrics::default();
            let mut spec = spec(more);
            spec["completionMode"] = json!("Indexed");
            let (before, after) = (json!({"completedIndexes": "0,2"}), json!({"completedIndexes": "0-3", "failedIndexes": "7"}));
            status_written(&metrics, &job(spec.clone(), before), &job(spec, after), false);
            let line = |status: &str, count: u64| {
                format!("job_controller_job_finished_indexes_total{{status=\"{status}\",backoffLimit=\"{label}\"}} {count}")
            };
            assert_eq!(lines(&metrics), [line("failed", 1), line("succeeded", 2)]);
        }
    }

    #[test]
    fn reasons_of_creations() {
        let replacing = |policy: &str| spec(json!({"podReplacementPolicy": policy}));
        let rows = [
            (spec(json!({})), json!({}), "new"),
            (replacing("Failed"), json!({"terminating": 0}), "new"),
            (spec(json!({})), json!({"failed": 1}), "recreate_terminating_or_failed"),
            (replacing("TerminatingOrFailed"), json!({"terminating": 1}), "recreate_terminating_or_failed"),
            (replacing("Failed"), json!({"failed": 1}), "recreate_failed"),
            (replacing("Failed"), json!({"uncountedTerminatedPods": {"failed": ["p"]}}), "recreate_failed"),
        ];
        for (spec, status, reason) in rows {
            assert_eq!(creation_reason(&job(spec.clone(), status.clone())), reason, "{spec} {status}");
        }
    }

    #[test]
    fn finished_pods_come_and_go() {
        let pod = |phase: &str, tracked: bool| -> Pod {
            let finalizers = if tracked { json!([TRACKING_FINALIZER]) } else { json!([]) };
            serde_json::from_value(json!({"metadata": {"finalizers": finalizers}, "status": {"phase": phase}})).unwrap()
        };
        let (running, ended, counted) = (pod("Running", true), pod("Failed", true), pod("Failed", false));
        // (before, after, event)
        let rows = [
            (None, Some(&running), None),
            (Some(&running), Some(&ended), Some("add")),
            (None, Some(&ended), Some("add")),
            (Some(&ended), Some(&ended), None),
            (Some(&ended), Some(&counted), Some("delete")),
            (Some(&ended), None, Some("delete")),
            (Some(&counted), None, None),
            (Some(&running), None, None),
        ];
        for (number, (old, new, event)) in rows.into_iter().enumerate() {
            let metrics = Metrics::default();
            pod_changed(&metrics, old, new);
            let line = event.map(|event| format!("job_controller_terminated_pods_tracking_finalizer_total{{event=\"{event}\"}} 1"));
            assert_eq!(lines(&metrics), line.into_iter().collect::<Vec<_>>(), "row {number}");
        }
    }

    #[test]
    fn failures_are_counted_by_the_rule_that_matches() {
        let pod = |code: i32, finalizers: Value| -> Pod {
            let container = json!({"name": "c", "image": "i", "imageID": "", "ready": false, "restartCount": 0,
                "state": {"terminated": {"exitCode": code}}});
            let status = json!({"phase": "Failed", "containerStatuses": [container]});
            serde_json::from_value(json!({"metadata": {"finalizers": finalizers}, "status": status})).unwrap()
        };
        let rule = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
        let rules = [rule("Count", 1), rule("Ignore", 2), rule("FailJob", 3), rule("FailIndex", 4), rule("Ignore", 1)];
        let with_policy = json!({"podFailurePolicy": {"rules": rules}, "backoffLimitPerIndex": 1});
        // (spec, exit code, action)
        let rows = [
            (with_policy.clone(), 1, Some("Count")),
            (with_policy.clone(), 2, Some("Ignore")),
            (with_policy.clone(), 3, Some("FailJob")),
            (with_policy.clone(), 4, Some("FailIndex")),
            (with_policy, 5, None),
            (json!({}), 1, None),
        ];
        for (more, code, action) in rows {
            let (metrics, job) = (Metrics::default(), job(spec(more), json!({})));
            let (tracked, counted) = (pod(code, json!([TRACKING_FINALIZER])), pod(code, json!([])));
            policy_applied(&metrics, &job, None, Some(&tracked));
            policy_applied(&metrics, &job, Some(&tracked), Some(&tracked));
            policy_applied(&metrics, &job, Some(&tracked), Some(&counted));
            policy_applied(&metrics, &job, Some(&counted), None);
            let line = |action| format!("job_controller_pod_failures_handled_by_failure_policy_total{{action=\"{action}\"}} 1");
            assert_eq!(lines(&metrics), action.map(line).into_iter().collect::<Vec<_>>(), "{code}");
        }
    }

    #[test]
    fn what_a_sync_did() {
        let pod = || Pod::default();
        let rows = [
            (vec![], false, Action::Tracking),
            (vec![], true, Action::Reconciling),
            (vec![Stage::RemoveFinalizers(vec![])], false, Action::Tracking),
            (vec![Stage::DeletePods { pods: vec![], uncounted: true }], false, Action::PodsDeleted),
            (vec![Stage::RemoveFinalizers(vec![]), Stage::CreatePods(vec![pod()])], false, Action::PodsCreated),
        ];
        for (stages, waiting, expected) in rows {
            assert_eq!(action(&Plan { stages, ..Plan::default() }, waiting), expected);
        }
        let unfinished = job(spec(json!({})), json!({}));
        // (version of the last own write, UID of the Job finished last, stale)
        for (written, finished, expected) in
            [(None, None, false), (Some(7), None, false), (Some(8), None, true), (None, Some("u"), true), (None, Some("v"), false)]
        {
            let known = Known { written, finished: finished.map(str::to_owned), ..Known::default() };
            assert_eq!(stale(&unfinished, &known), expected, "{written:?} {finished:?}");
        }
        assert!(counts(&unfinished, &Settings::default()));
        assert!(!counts(&job(spec(json!({"managedBy": "example.com/other"})), json!({})), &Settings::default()));
    }
}

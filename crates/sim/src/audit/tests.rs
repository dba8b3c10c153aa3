//! Each law catches the history that breaks it, and passes the one that keeps it.
//!
//! In: short histories of one Job and its Pod. Out: assertions. Never: a component of the product.
#![allow(clippy::unwrap_used)]

use piecework_store::{Change, Entry};
use serde_json::{Value, json};

use super::*;

/// A history, written change by change.
#[derive(Default)]
struct History {
    audit: Audit,
    revision: u64,
}

fn pod(phase: &str, tracked: bool, deleting: bool) -> Value {
    let mut pod = json!({"metadata": {"name": "p", "uid": "pod", "ownerReferences": [{"kind": "Job", "uid": "job", "controller": true}]},
        "status": {"phase": phase}});
    if tracked {
        pod["metadata"]["finalizers"] = json!(["batch.kubernetes.io/job-tracking"]);
    }
    if deleting {
        pod["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
    }
    pod
}

fn job(status: Value) -> Value {
    json!({"metadata": {"name": "j", "uid": "job"}, "spec": {"parallelism": 1, "completions": 1}, "status": status})
}

fn conditions(names: &[&str]) -> Value {
    names.iter().map(|name| json!({"type": name, "status": "True", "reason": "BackoffLimitExceeded"})).collect()
}

const POD: &str = "/core/pods/default/p";
const JOB: &str = "/batch/jobs/default/j";

impl History {
    fn write(&mut self, key: &str, value: Option<Value>) -> Result<(), Violation> {
        tokio::runtime::Builder::new_current_thread().enable_time().start_paused(true).build().unwrap().block_on(async {
            self.revision += 1;
            let entry = value.map(|value| Entry {
                key: key.into(),
                value: value.to_string().into(),
                create_revision: 1,
                mod_revision: self.revision,
            });
            let change = Change { key: key.into(), revision: self.revision, entry, previous: None };
            self.audit.take(&[change], &Journal::default(), &SimulatedClock::start())
        })
    }

    /// The law that the history breaks, at its last step.
    fn of(steps: &[(&str, Option<Value>)]) -> Option<&'static str> {
        let mut history = History::default();
        let (last, first) = steps.split_last().unwrap();
        for (key, value) in first {
            history.write(key, value.clone()).unwrap();
        }
        history.write(last.0, last.1.clone()).err().map(|violation| violation.law)
    }
}

#[test]
fn histories() {
    let running = || (POD, Some(pod("Running", true, false)));
    let succeeded = || (POD, Some(pod("Succeeded", true, false)));
    let freed = || (POD, Some(pod("Succeeded", false, false)));
    let new = || (JOB, Some(job(json!({}))));
    let noted = || (JOB, Some(job(json!({"uncountedTerminatedPods": {"succeeded": ["pod"]}}))));
    let counted = || (JOB, Some(job(json!({"succeeded": 1}))));
    let done = |more: Value| {
        let mut status = json!({"succeeded": 1, "completionTime": "t", "conditions": conditions(&["SuccessCriteriaMet", "Complete"])});
        more.as_object().unwrap().iter().for_each(|(key, value)| status[key] = value.clone());
        (JOB, Some(job(status)))
    };
    let good = || vec![new(), running(), succeeded(), noted(), freed(), counted(), done(json!({}))];
    let with = |steps: usize, more: &[(&'static str, Option<Value>)]| -> Vec<(&str, Option<Value>)> {
        good().into_iter().take(steps).chain(more.iter().cloned()).collect()
    };
    let status = |status: Value| (JOB, Some(job(status)));
    let cases = [
        (good(), None),
        (with(3, &[(POD, Some(pod("Failed", true, false)))]), Some("terminal phases are final")),
        (with(3, &[freed()]), Some("a Pod is noted before it is freed")),
        (with(4, &[counted()]), Some("counters rise after the finalizer is gone")),
        (with(6, &[noted()]), Some("a Pod is counted once")),
        (with(6, &[status(json!({"succeeded": 2}))]), Some("counters rise by what leaves the lists")),
        (with(6, &[status(json!({}))]), Some("counters rise by what leaves the lists")),
        (with(4, &[status(json!({"uncountedTerminatedPods": {"succeeded": ["pod"], "failed": ["pod"]}}))]), Some("a Pod is counted once")),
        (with(1, &[noted()]), Some("only own Pods are counted")),
        (with(2, &[noted()]), Some("a Pod is counted for what it is")),
        (with(7, &[counted()]), Some("terminal conditions are permanent")),
        (with(6, &[status(json!({"succeeded": 1, "conditions": conditions(&["Complete"])}))]), Some("the interim condition comes first")),
        (
            with(6, &[status(json!({"succeeded": 1, "conditions": conditions(&["SuccessCriteriaMet", "Complete"])}))]),
            Some("completionTime exactly when Complete"),
        ),
        (
            with(6, &[done(json!({"conditions": conditions(&["SuccessCriteriaMet", "Complete", "FailureTarget", "Failed"])}))]),
            Some("a Job ends one way"),
        ),
        (with(6, &[done(json!({"active": 1}))]), Some("a finished Job has no Pods under way")),
        (with(7, &[done(json!({"completionTime": "later"}))]), Some("times of a Job stay")),
        (with(1, &[done(json!({"succeeded": 0}))]), Some("Complete means enough successes")),
        (
            with(
                2,
                &[(
                    "/core/pods/default/q",
                    Some({
                        let mut second = pod("Pending", true, false);
                        second["metadata"]["uid"] = json!("second");
                        second
                    }),
                )],
            ),
            Some("active Pods are at most parallelism"),
        ),
    ];
    for (number, (steps, law)) in cases.into_iter().enumerate() {
        assert_eq!(History::of(&steps), law, "case {number}");
    }
}

#[test]
fn a_crash_may_lose_events_and_nothing_else() {
    let entry = |key: &str, revision| Entry { key: key.into(), value: "{}".into(), create_revision: 1, mod_revision: revision };
    let mut history = History::default();
    history.write(JOB, Some(json!({}))).unwrap();
    history.write("/core/events/default/e", Some(json!({}))).unwrap();
    assert_eq!(history.audit.compare(&[entry(JOB, 1)], 5), Ok(()));
    let lost = history.audit.compare(&[], 6).unwrap_err();
    assert_eq!(lost.law, "acknowledged writes survive a crash");
    let other = history.audit.compare(&[entry(JOB, 2)], 6).unwrap_err();
    assert_eq!(other.law, "acknowledged writes survive a crash");
    assert_eq!(history.audit.compare(&[entry(JOB, 1)], 4).unwrap_err().law, "no revision is given out twice");
}

#[test]
fn at_rest_the_books_are_right() {
    let mut history = History::default();
    history.write(JOB, Some(job(json!({})))).unwrap();
    history.write(POD, Some(pod("Running", true, false))).unwrap();
    assert!(history.audit.unsettled().unwrap().contains("Job j has not ended"));
    history.write(POD, Some(pod("Succeeded", true, false))).unwrap();
    history.write(JOB, Some(job(json!({"uncountedTerminatedPods": {"succeeded": ["pod"]}})))).unwrap();
    history.write(POD, Some(pod("Succeeded", false, false))).unwrap();
    let done = json!({"succeeded": 1, "completionTime": "t", "conditions": conditions(&["SuccessCriteriaMet", "Complete"])});
    history.write(JOB, Some(job(done))).unwrap();
    assert_eq!(history.audit.unsettled(), None);
    assert_eq!(history.audit.settle(&["pod_c_0".into()], &[]), Ok(()));
    let twice = history.audit.settle(&["pod_c_0".into(), "pod_c_0".into()], &[]).unwrap_err();
    assert_eq!(twice.law, "no attempt starts twice");
    let stray = history.audit.settle(&[], &["pod_c_0".into()]).unwrap_err();
    assert_eq!(stray.law, "nothing runs without a Pod");
    history.audit.jobs.get_mut("job").unwrap().succeeded = 2;
    assert_eq!(history.audit.settle(&[], &[]).unwrap_err().law, "counters are the truth");
}

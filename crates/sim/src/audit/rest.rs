//! Laws at rest: after all faults have ended, every Job has ended, and the books are right.
//!
//! In: what the auditors saw, what the machine did. Out: what still has to happen, or the law that was broken. Never: patience (the caller has it).

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;

use super::{
    Audit, JOBS, PODS, Violation, broken,
    object::{deleting, finished, number, owner, terminal, text, tracked},
    pod::Counts,
};

impl Audit {
    /// What is not settled yet; None at rest.
    pub fn unsettled(&self) -> Option<String> {
        for job in self.present(JOBS) {
            let name = text(&job["metadata"]["name"]);
            if deleting(job) {
                return Some(format!("Job {name} is being deleted: {}", job["metadata"]["finalizers"]));
            }
            if !finished(job) {
                return Some(format!("Job {name} has not ended: {} {}", job["spec"]["parallelism"], job["status"]));
            }
        }
        let jobs: BTreeSet<&str> = self.present(JOBS).map(|job| text(&job["metadata"]["uid"])).collect();
        for pod in self.present(PODS) {
            let name = text(&pod["metadata"]["name"]);
            if tracked(pod) {
                return Some(format!("Pod {name} keeps the tracking finalizer ({})", text(&pod["status"]["phase"])));
            }
            if deleting(pod) {
                return Some(format!("Pod {name} is being deleted"));
            }
            // Without an owner nobody promises its end: OnFailure restarts for ever.
            if !terminal(pod) && owner(pod).is_some() {
                return Some(format!("Pod {name} has not ended"));
            }
            if owner(pod).is_some_and(|job| !jobs.contains(job)) {
                return Some(format!("Pod {name} has outlived its Job"));
            }
        }
        None
    }

    /// The counters against a count of the Pods themselves, and the machine's record against the API's.
    pub fn settle(&self, starts: &[String], running: &[String]) -> Result<(), Violation> {
        for (uid, job) in &self.jobs {
            if !job.finished || job.was_deleting || !job.present {
                continue;
            }
            let (mut succeeded, mut failed, mut perhaps) = (0, 0, 0);
            for pod in self.pods.values().filter(|pod| pod.job.as_deref() == Some(uid)) {
                match pod.counts {
                    Some(Counts::Succeeded) => succeeded += 1,
                    Some(Counts::Failed) => failed += 1,
                    Some(Counts::Perhaps) => perhaps += 1,
                    Some(Counts::No) | None => {}
                }
            }
            let fits = |counter: i64, truth: i64| counter >= truth && counter <= truth + perhaps;
            if !fits(job.succeeded, succeeded) || !fits(job.failed, failed) {
                return broken(
                    "counters are the truth",
                    format!(
                        "Job {}: succeeded {} failed {}, its Pods say {succeeded} and {failed} (and perhaps {perhaps})",
                        job.name, job.succeeded, job.failed
                    ),
                );
            }
        }
        let mut seen = BTreeMap::new();
        for id in starts {
            if seen.insert(id, ()).is_some() {
                return broken("no attempt starts twice", id.clone());
            }
        }
        let alive: BTreeSet<&str> = self.present(PODS).filter(|pod| !terminal(pod)).map(|pod| text(&pod["metadata"]["uid"])).collect();
        for id in running {
            if !alive.iter().any(|uid| !uid.is_empty() && id.starts_with(uid)) {
                return broken("nothing runs without a Pod", id.clone());
            }
        }
        for job in self.present(JOBS) {
            let live = self.active(job);
            if live != number(&job["status"]["active"]) {
                return broken("status.active is the truth at rest", format!("Job {}", text(&job["metadata"]["name"])));
            }
        }
        Ok(())
    }

    /// All Jobs as one line each, for the end of a report.
    pub fn summary(&self) -> Vec<String> {
        self.present(JOBS).map(|job: &Value| format!("{} {}", text(&job["metadata"]["name"]), job["status"])).collect()
    }
}

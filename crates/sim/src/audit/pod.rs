//! Laws of Pods: terminal phases are final, no Pod is freed before it is counted, no more run than the Job allows.
//!
//! In: a Pod before and after a change. Out: the law that was broken; what each Pod has to count for. Never: the product's own notion of these.

use serde_json::Value;

use super::{
    Audit, Violation, broken,
    object::{condition, deleting, finished, owner, phase, terminal, text, tracked},
};

/// What a Pod has to count for, decided when its tracking finalizer goes (spec/jobs.md 4.10).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Counts {
    Succeeded,
    Failed,
    /// Either is right: its Job was going away, or had enough already.
    Perhaps,
    No,
}

#[derive(Debug, Clone, Default)]
pub struct PodRecord {
    pub name: String,
    /// The Job that first controlled it.
    pub job: Option<String>,
    pub phase: String,
    pub tracked: bool,
    pub was_deleting: bool,
    pub present: bool,
    pub counts: Option<Counts>,
}

impl Audit {
    pub(super) fn pod(&mut self, before: Option<&Value>, after: Option<&Value>) -> Result<(), Violation> {
        let Some(newest) = after.or(before) else { return Ok(()) };
        let uid = text(&newest["metadata"]["uid"]).to_owned();
        if let (Some(before), Some(after)) = (before, after)
            && before["metadata"]["uid"] != after["metadata"]["uid"]
        {
            return broken("a name changes hands only through a deletion", uid);
        }
        if let Some(before) = before
            && let Some(after) = after
        {
            if terminal(before) && phase(before) != phase(after) {
                return broken(
                    "terminal phases are final",
                    format!("Pod {} went from {} to {}", text(&after["metadata"]["name"]), phase(before), phase(after)),
                );
            }
            if deleting(before) && !deleting(after) {
                return broken("a deletion is not taken back", text(&after["metadata"]["name"]));
            }
        }
        if after.is_some() && before.is_none() && self.pods.contains_key(&uid) {
            return broken("uids are unique", uid);
        }
        let freed = before.is_some_and(tracked) && !after.is_some_and(tracked);
        let counts = if freed { Some(self.counts_for(&uid, after.unwrap_or(newest))?) } else { None };
        let record = self.pods.entry(uid).or_default();
        record.name = text(&newest["metadata"]["name"]).to_owned();
        record.job = record.job.take().or_else(|| owner(newest).map(str::to_owned));
        record.phase = phase(newest).to_owned();
        record.was_deleting |= deleting(newest);
        record.tracked = after.is_some_and(tracked);
        record.present = after.is_some();
        record.counts = counts.or(record.counts);
        let job = record.job.clone();
        if before.is_none()
            && let Some(job) = job
        {
            self.active_bound(&job)?;
        }
        Ok(())
    }

    /// What a Pod that is freed now has to count for; one that has ended must have been noted before.
    fn counts_for(&self, uid: &str, pod: &Value) -> Result<Counts, Violation> {
        let job = owner(pod).or_else(|| self.pods.get(uid).and_then(|record| record.job.as_deref()));
        let Some((job_uid, job)) = job.and_then(|uid| Some((uid, self.present_job(uid)?))) else { return Ok(Counts::No) };
        let record = self.jobs.get(job_uid);
        let noted = record.is_some_and(|record| record.noted.contains_key(uid));
        if finished(job) {
            return Ok(if noted { Counts::Perhaps } else { Counts::No });
        }
        if deleting(job) {
            return Ok(Counts::Perhaps);
        }
        let failing = condition(job, "FailureTarget").is_some();
        let as_failed = record.is_some_and(|record| record.noted.get(uid) == Some(&false));
        let counts = match phase(pod) {
            // It may have succeeded after its Job, or its deletion, was decided on (see `counters`).
            "Succeeded" if as_failed && (failing || deleting(pod)) => Counts::Failed,
            "Succeeded" => Counts::Succeeded,
            "Failed" => Counts::Failed,
            _ if condition(job, "SuccessCriteriaMet").is_some() => Counts::Perhaps,
            _ if deleting(pod) || failing => Counts::Failed,
            // Taken away before its end because fewer are wanted.
            _ => Counts::No,
        };
        if matches!(counts, Counts::Succeeded | Counts::Failed) && !noted {
            let name = text(&pod["metadata"]["name"]);
            return broken("a Pod is noted before it is freed", format!("Pod {name} {uid} ({}) lost its finalizer", phase(pod)));
        }
        Ok(counts)
    }

    /// Pods that run for a Job are never more than it allows, except where an answer was lost.
    fn active_bound(&self, job: &str) -> Result<(), Violation> {
        let Some(record) = self.jobs.get(job) else { return Ok(()) };
        let active = self
            .pods
            .values()
            .filter(|pod| {
                pod.job.as_deref() == Some(job) && pod.present && !pod.was_deleting && pod.phase != "Succeeded" && pod.phase != "Failed"
            })
            .count();
        let allowed = record.most_parallel + self.surplus;
        if active as i64 > allowed {
            return broken(
                "active Pods are at most parallelism",
                format!("Job {} has {active} active Pods, parallelism was at most {allowed}", record.name),
            );
        }
        Ok(())
    }

    /// Active Pods of a Job as the store has them.
    pub(super) fn active(&self, job: &Value) -> i64 {
        let uid = text(&job["metadata"]["uid"]);
        let pods = self.present(super::PODS).filter(|pod| owner(pod) == Some(uid) && !terminal(pod) && !deleting(pod));
        i64::try_from(pods.count()).unwrap_or(i64::MAX)
    }
}

//! Whether the Job is to finish, and how (spec/jobs.md 4.6; first match wins).
//!
//! In: the Job, its Pods, the totals so far, the time. Out: an outcome with the reason and message of its conditions. Never: deletes or counts.

use super::{
    conditions,
    failure_policy::{self, Verdict},
    indexed::Progress,
    pods, replacement, success_policy, suspend,
};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::{
    batch::v1::{JobCondition, JobSpec, JobStatus},
    core::v1::Pod,
};
use std::sync::Arc;

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    Success { reason: String, message: String },
    Failure { reason: String, message: String },
}

impl Outcome {
    pub fn completions_reached() -> Self {
        Outcome::Success { reason: "CompletionsReached".into(), message: "Reached expected number of succeeded pods".into() }
    }

    /// A success policy ends the Job although Pods may still run.
    pub fn early(&self) -> bool {
        matches!(self, Outcome::Success { reason, .. } if reason == SUCCESS_POLICY)
    }

    fn failure(reason: &str, message: &str) -> Self {
        Outcome::Failure { reason: reason.into(), message: message.into() }
    }

    /// (interim condition, terminal condition, reason, message).
    pub fn parts(&self) -> (&'static str, &'static str, &str, &str) {
        match self {
            Outcome::Success { reason, message } => (conditions::SUCCESS_CRITERIA_MET, conditions::COMPLETE, reason, message),
            Outcome::Failure { reason, message } => (conditions::FAILURE_TARGET, conditions::FAILED, reason, message),
        }
    }
}

/// When the Job's own deadline passes; None while suspended or without one.
pub fn deadline(spec: &JobSpec, status: &JobStatus) -> Option<Timestamp> {
    let seconds = spec.active_deadline_seconds.filter(|_| !suspend::suspended(spec))?;
    let start = status.start_time.as_ref()?.0;
    Some(start.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(Timestamp::MAX))
}

/// The outcome that does not depend on managing Pods first. `failed`: failures so far; `progress`: that of an Indexed Job, with this sync's Pods.
pub fn decide(
    spec: &JobSpec,
    status: &JobStatus,
    mine: &[Arc<Pod>],
    failed: i64,
    progress: Option<&Progress>,
    now: Timestamp,
) -> Option<Outcome> {
    let text = |condition: &JobCondition| (condition.reason.clone().unwrap_or_default(), condition.message.clone().unwrap_or_default());
    if let Some(condition) = conditions::holds(status, conditions::SUCCESS_CRITERIA_MET) {
        let (reason, message) = text(condition);
        return Some(Outcome::Success { reason, message });
    }
    if let Some(condition) = conditions::holds(status, conditions::FAILURE_TARGET) {
        let (reason, message) = text(condition);
        return Some(Outcome::Failure { reason, message });
    }
    let only_terminal = replacement::only_terminal(spec);
    // All Pods that are still there are looked at, counted or not.
    let verdicts = mine.iter().filter(|pod| pods::failed(pod, only_terminal)).map(|pod| failure_policy::verdict(spec, pod));
    let fatal = verdicts.into_iter().find_map(|verdict| if let Verdict::FailJob(message) = verdict { Some(message) } else { None });
    if let Some(message) = fatal {
        return Some(Outcome::failure("PodFailurePolicy", &message));
    }
    let unset = if spec.backoff_limit_per_index.is_some() { i32::MAX } else { DEFAULT_BACKOFF_LIMIT };
    let limit = i64::from(spec.backoff_limit.unwrap_or(unset));
    if failed > limit || restart_budget_used(spec, limit, mine) {
        return Some(Outcome::failure("BackoffLimitExceeded", "Job has reached the specified backoff limit"));
    }
    if deadline(spec, status).is_some_and(|deadline| deadline <= now) {
        return Some(Outcome::failure("DeadlineExceeded", "Job was active longer than specified deadline"));
    }
    let progress = progress?;
    if let Some(outcome) = failed_indexes(spec, progress) {
        return Some(outcome);
    }
    let rule = success_policy::matched(spec, progress)?;
    Some(Outcome::Success { reason: SUCCESS_POLICY.into(), message: format!("Matched rules at index {rule}") })
}

/// Step 6: too many indexes were given up, or nothing is left to run and some were.
fn failed_indexes(spec: &JobSpec, progress: &Progress) -> Option<Outcome> {
    let failed = progress.failed.len();
    if spec.max_failed_indexes.is_some_and(|most| failed > i64::from(most)) {
        let message = "Job has exceeded the specified maximal number of failed indexes";
        return Some(Outcome::failure("MaxFailedIndexesExceeded", message));
    }
    let over = failed > 0 && failed + progress.completed.len() >= i64::from(progress.limit);
    over.then(|| Outcome::failure("FailedIndexes", "Job has failed indexes"))
}

const SUCCESS_POLICY: &str = "SuccessPolicy";

/// Default of `spec.backoffLimit` without a limit per index (seed: 6).
pub const DEFAULT_BACKOFF_LIMIT: i32 = 6;

/// 4.7.3: in-place restarts under `restartPolicy: OnFailure` use up the retry budget.
fn restart_budget_used(spec: &JobSpec, limit: i64, mine: &[Arc<Pod>]) -> bool {
    let policy = spec.template.spec.as_ref().and_then(|spec| spec.restart_policy.as_deref());
    if policy != Some("OnFailure") {
        return false;
    }
    let restarts: i64 = mine.iter().filter(|pod| !pods::terminal(pod)).map(|pod| pods::restarts(pod)).sum();
    if limit == 0 { restarts > 0 } else { restarts >= limit }
}

//! What one Pod means to its Job: active, ready, terminating, failed, when it ended (spec/jobs.md, words at the top, and 4.5, 4.7.1).
//!
//! In: a Pod. Out: plain answers. Never: a decision about the Job.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

pub fn succeeded(pod: &Pod) -> bool {
    phase(pod) == "Succeeded"
}

pub fn terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub fn deleting(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Being deleted and not yet ended.
pub fn terminating(pod: &Pod) -> bool {
    deleting(pod) && !terminal(pod)
}

pub fn active(pod: &Pod) -> bool {
    !deleting(pod) && !terminal(pod)
}

pub fn ready(pod: &Pod) -> bool {
    ready_condition(pod).is_some_and(|(status, _)| status == "True")
}

/// Status and transition time of the Ready condition.
pub fn ready_condition(pod: &Pod) -> Option<(&str, Option<Timestamp>)> {
    let conditions = pod.status.as_ref()?.conditions.as_ref()?;
    let condition = conditions.iter().find(|condition| condition.type_ == "Ready")?;
    Some((condition.status.as_str(), condition.last_transition_time.as_ref().map(|time| time.0)))
}

/// The failed test of 4.5. `only_terminal`: the Job waits until a Pod has really ended (replacement policy `Failed` or a failure policy).
pub fn failed(pod: &Pod, only_terminal: bool) -> bool {
    match phase(pod) {
        "Failed" => true,
        "Succeeded" => false,
        _ => !only_terminal && deleting(pod),
    }
}

fn statuses(pod: &Pod) -> impl Iterator<Item = &ContainerStatus> {
    let status = pod.status.as_ref();
    let main = status.and_then(|s| s.container_statuses.as_ref());
    let init = status.and_then(|s| s.init_container_statuses.as_ref());
    init.into_iter().flatten().chain(main.into_iter().flatten())
}

/// Restarts of all init and app containers.
pub fn restarts(pod: &Pod) -> i64 {
    statuses(pod).map(|status| i64::from(status.restart_count)).sum()
}

/// When the Pod ended, by the best evidence there is (4.7.1).
pub fn finish_time(pod: &Pod) -> Timestamp {
    let status = pod.status.as_ref();
    let containers = status.and_then(|s| s.container_statuses.as_deref()).unwrap_or_default();
    let ends: Option<Vec<Timestamp>> =
        containers.iter().map(|c| c.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref().map(|time| time.0)).collect();
    if let Some(latest) = ends.and_then(|ends| ends.into_iter().max()) {
        return latest;
    }
    if let Some(("False", Some(at))) = ready_condition(pod) {
        return at;
    }
    if let Some(at) = pod.metadata.deletion_timestamp.as_ref() {
        let grace = SignedDuration::from_secs(pod.metadata.deletion_grace_period_seconds.unwrap_or(0));
        return at.0.saturating_sub(grace).unwrap_or(at.0);
    }
    created(pod)
}

pub fn created(pod: &Pod) -> Timestamp {
    pod.metadata.creation_timestamp.as_ref().map_or(Timestamp::UNIX_EPOCH, |time| time.0)
}

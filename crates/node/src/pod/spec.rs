//! Reads of the Pod object that the machine needs, with the API's defaults.
//!
//! In: a Pod. Out: plain values. Never: an observation of the machine.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Container, Pod, PodSpec};

use crate::limits::DEFAULT_GRACE_SECONDS;

/// When an ended container is run again (spec/jobs.md 9.3).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RestartPolicy {
    Always,
    OnFailure,
    Never,
}

impl RestartPolicy {
    /// Of the Pod's app containers. An empty field means Always, as the API defaults it.
    pub fn of(spec: &PodSpec) -> Self {
        match spec.restart_policy.as_deref() {
            Some("Never") => RestartPolicy::Never,
            Some("OnFailure") => RestartPolicy::OnFailure,
            _ => RestartPolicy::Always,
        }
    }

    /// Of its init containers: Always means OnFailure for them, because they have to end.
    pub fn of_init(spec: &PodSpec) -> Self {
        match Self::of(spec) {
            RestartPolicy::Always => RestartPolicy::OnFailure,
            other => other,
        }
    }

    /// Is a container run again that ended with this code?
    pub fn restarts(self, exit_code: i32) -> bool {
        match self {
            RestartPolicy::Always => true,
            RestartPolicy::OnFailure => exit_code != 0,
            RestartPolicy::Never => false,
        }
    }
}

pub fn init_containers(spec: &PodSpec) -> &[Container] {
    spec.init_containers.as_deref().unwrap_or_default()
}

/// Init containers, then app containers.
pub fn all_containers(spec: &PodSpec) -> impl Iterator<Item = &Container> {
    init_containers(spec).iter().chain(spec.containers.iter())
}

pub fn find_container<'a>(pod: &'a Pod, name: &str) -> Option<&'a Container> {
    pod.spec.as_ref().and_then(|spec| all_containers(spec).find(|container| container.name == name))
}

pub fn phase(pod: &Pod) -> &str {
    pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending")
}

/// Terminal phases are final (spec/jobs.md 9.1).
pub fn is_terminal(pod: &Pod) -> bool {
    matches!(phase(pod), "Succeeded" | "Failed")
}

pub fn is_deleted(pod: &Pod) -> bool {
    pod.metadata.deletion_timestamp.is_some()
}

/// Time between SIGTERM and SIGKILL: what the DELETE said, else the Pod's own.
pub fn grace(pod: &Pod) -> SignedDuration {
    let own = pod.spec.as_ref().and_then(|spec| spec.termination_grace_period_seconds);
    let seconds = pod.metadata.deletion_grace_period_seconds.or(own).unwrap_or(DEFAULT_GRACE_SECONDS).max(0);
    SignedDuration::from_secs(seconds)
}

/// When the Pod's own `activeDeadlineSeconds`, counted from its start time, is over (spec/jobs.md 9.5).
pub fn deadline(pod: &Pod, accepted_at: Timestamp) -> Option<Timestamp> {
    let seconds = pod.spec.as_ref()?.active_deadline_seconds?;
    start_time(pod, accepted_at).checked_add(SignedDuration::from_secs(seconds)).ok()
}

/// `status.startTime`, or the time the agent accepted the Pod, in whole seconds as the API keeps it.
pub fn start_time(pod: &Pod, accepted_at: Timestamp) -> Timestamp {
    pod.status.as_ref().and_then(|status| status.start_time.as_ref()).map_or_else(|| whole_seconds(accepted_at), |time| time.0)
}

/// The API keeps times of this kind in whole seconds; comparing anything finer would see changes that aren't there.
pub fn whole_seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

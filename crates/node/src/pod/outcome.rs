//! Decisions that `step` and `status` share: why a Pod is being stopped, how it ended, when something is tried again.
//!
//! In: the Pod, what was observed, the time. Out: small values.
//! Never: an action; a difference between what is done and what is reported.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::{Pod, PodSpec};
use piecework_runtime::Exit;

use super::observed::{AttemptState, Container, Observed};
use super::spec::{self, RestartPolicy};
use crate::limits::{BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, BACKOFF_RESET_SECONDS};

/// Why no container of the Pod may be started any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Stop {
    /// Its phase is terminal in the API: set by this agent, or by someone else while containers run.
    Terminal,
    Deleted,
    /// Its own `activeDeadlineSeconds` is over.
    Deadline,
    /// This node cannot run it.
    Refused(String),
}

/// The end of a Pod.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Ending {
    pub succeeded: bool,
    pub reason: Option<&'static str>,
    pub message: Option<String>,
}

/// What a container does next if nothing stops its Pod.
#[derive(Debug, Clone, PartialEq)]
pub enum Next {
    /// An attempt is running or being started.
    Live,
    /// It has ended and is not run again.
    Ended(Exit),
    /// It runs (again) from this time on, as this attempt.
    Start { attempt: u32, not_before: Option<Timestamp>, delay_seconds: i64 },
}

/// Why the Pod is being stopped, if it is.
pub fn stop(pod: &Pod, observed: &Observed, now: Timestamp) -> Option<Stop> {
    if spec::is_terminal(pod) {
        return Some(Stop::Terminal);
    }
    if let Some(message) = &observed.refused {
        return Some(Stop::Refused(message.clone()));
    }
    if spec::is_deleted(pod) {
        return Some(Stop::Deleted);
    }
    spec::deadline(pod, observed.accepted_at).filter(|deadline| *deadline <= now).map(|_| Stop::Deadline)
}

/// How the Pod ended, once nothing of it runs and nothing will.
pub fn ending(pod: &Pod, observed: &Observed, now: Timestamp) -> Option<Ending> {
    let pod_spec = pod.spec.as_ref()?;
    if observed.live().next().is_some() {
        return None;
    }
    let stop = stop(pod, observed, now);
    if let Some(Stop::Refused(message)) = stop {
        return Some(Ending { succeeded: false, reason: Some("UnexpectedAdmissionError"), message: Some(message) });
    }
    let natural = natural_ending(pod_spec, observed);
    match stop {
        Some(Stop::Deadline) => {
            // A Pod whose containers had all ended before the deadline ended by itself, however late this is noticed.
            let deadline = spec::deadline(pod, observed.accepted_at).unwrap_or(now);
            match natural {
                Some(ending) if last_exit(observed).is_some_and(|last| last <= deadline) => Some(ending),
                _ => Some(Ending {
                    succeeded: false,
                    reason: Some("DeadlineExceeded"),
                    message: Some("Pod was active on the node longer than its activeDeadlineSeconds".into()),
                }),
            }
        }
        Some(_) => {
            let succeeded = pod_spec.containers.iter().all(|container| last_code(observed, &container.name) == Some(0));
            Some(Ending { succeeded, reason: None, message: None })
        }
        None => natural,
    }
}

/// All app containers have ended and none is run again, or an init container failed for good.
fn natural_ending(pod_spec: &PodSpec, observed: &Observed) -> Option<Ending> {
    let failed = Ending { succeeded: false, reason: None, message: None };
    for container in spec::init_containers(pod_spec) {
        match next(RestartPolicy::of_init(pod_spec), observed.containers.get(&container.name)) {
            Next::Ended(exit) if exit.exit_code != 0 => return Some(failed),
            Next::Ended(_) => {}
            _ => return None,
        }
    }
    let policy = RestartPolicy::of(pod_spec);
    let mut succeeded = true;
    for container in &pod_spec.containers {
        match next(policy, observed.containers.get(&container.name)) {
            Next::Ended(exit) => succeeded &= exit.exit_code == 0,
            _ => return None,
        }
    }
    Some(Ending { succeeded, ..failed })
}

fn last_code(observed: &Observed, name: &str) -> Option<i32> {
    match &observed.containers.get(name)?.newest()?.1.state {
        AttemptState::Exited(exit) => Some(exit.exit_code),
        _ => None,
    }
}

fn last_exit(observed: &Observed) -> Option<Timestamp> {
    observed
        .containers
        .values()
        .filter_map(|container| match &container.newest()?.1.state {
            AttemptState::Exited(exit) => Some(exit.finished_at),
            _ => None,
        })
        .max()
}

/// What a container does next under its restart policy.
pub fn next(policy: RestartPolicy, container: Option<&Container>) -> Next {
    let first = Next::Start { attempt: 0, not_before: None, delay_seconds: 0 };
    let Some(container) = container else { return first };
    let Some((number, attempt)) = container.attempts.last_key_value() else { return first };
    match &attempt.state {
        AttemptState::Starting | AttemptState::Running { .. } => Next::Live,
        AttemptState::Exited(exit) if policy.restarts(exit.exit_code) => {
            let delay_seconds = restart_delay(container);
            let not_before = (delay_seconds > 0).then(|| later(exit.finished_at, delay_seconds));
            Next::Start { attempt: number + 1, not_before, delay_seconds }
        }
        AttemptState::Exited(exit) => Next::Ended(exit.clone()),
    }
}

/// Seconds between the last exit and the next start: 0, then 10 doubling to 300; a long run starts the count again (spec/jobs.md 9.3).
fn restart_delay(container: &Container) -> i64 {
    let mut restarts: u32 = 0;
    for attempt in container.attempts.values() {
        if let AttemptState::Exited(exit) = &attempt.state {
            let ran = exit.started_at.map_or(0, |started| exit.finished_at.duration_since(started).as_secs());
            restarts = if ran >= BACKOFF_RESET_SECONDS { 1 } else { restarts + 1 };
        }
    }
    // The first restart is immediate; after it every one waits.
    if restarts <= 1 { 0 } else { backoff_seconds(restarts - 1, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS) }
}

/// Delay after the n-th failure in a row (n from 1): `base`, doubling, at most `cap`.
pub fn backoff_seconds(failures: u32, base: i64, cap: i64) -> i64 {
    let doubled = base.saturating_mul(1_i64.checked_shl(failures.saturating_sub(1).min(40)).unwrap_or(i64::MAX));
    doubled.min(cap)
}

/// When something that failed at `at` for the n-th time in a row is tried again.
pub fn retry_at(at: Timestamp, failures: u32, base: i64, cap: i64) -> Timestamp {
    later(at, backoff_seconds(failures, base, cap))
}

fn later(at: Timestamp, seconds: i64) -> Timestamp {
    at.saturating_add(SignedDuration::from_secs(seconds)).unwrap_or(at)
}

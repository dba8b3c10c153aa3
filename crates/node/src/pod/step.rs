//! `step`: what to do next for one Pod.
//!
//! In: the Pod as the API has it (None: it is gone), what was observed, the time. Out: actions, complete for this moment; what is already under
//! way is not asked for again. Never: I/O; a start after a terminal phase or deletion; two live attempts of one container.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Container as ContainerSpec, Pod, PodSpec, PodStatus};

use super::observed::{AttemptState, Image, ImageFailure, Observed, Sandbox};
use super::outcome::{self, Next, Stop};
use super::spec::{self, RestartPolicy};
use super::{patch, status};
use crate::limits::{BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS, SANDBOX_BACKOFF_BASE_SECONDS, SANDBOX_BACKOFF_CAP_SECONDS};

/// One thing to do. The shell marks it as under way in `Observed` before it begins.
#[derive(Debug, Clone, PartialEq)]
pub enum PodAction {
    /// Namespaces, network, parent cgroup; also confirms a sandbox that was found on disk.
    CreateSandbox,
    /// Make the image of this container available as its pull policy says.
    PullImage {
        container: String,
    },
    StartContainer {
        container: String,
        attempt: u32,
    },
    /// The polite signal (SIGTERM or the image's own).
    Terminate {
        container: String,
        attempt: u32,
        id: String,
    },
    /// SIGKILL.
    Kill {
        container: String,
        attempt: u32,
        id: String,
    },
    /// Removes what is left of containers, network, cgroups and volumes. Logs stay.
    RemoveSandbox,
    /// Removes logs and volumes: the Pod object is gone.
    Discard,
    /// Write this status.
    UpdateStatus(Box<PodStatus>),
    /// DELETE with grace 0 and the uid as precondition.
    FinalDelete,
    /// Ask again at this time even if nothing happens.
    WakeAt(Timestamp),
}

/// The next actions for a Pod. `desired` None: the object is gone from the API, whatever the agent had planned.
pub fn step(desired: Option<&Pod>, observed: &Observed, now: Timestamp) -> Vec<PodAction> {
    let Some(pod) = desired else { return gone(observed, now) };
    let Some(pod_spec) = pod.spec.as_ref() else { return Vec::new() };
    let mut actions = Vec::new();

    let next_status = status::status(pod, observed, now);
    let written = patch::status_patch(pod, &next_status).is_none();
    if !written {
        actions.push(PodAction::UpdateStatus(Box::new(next_status)));
    }

    match outcome::stop(pod, observed, now) {
        Some(stop) => {
            stop_containers(pod, observed, now, &mut actions);
            let over = observed.live().next().is_none();
            // The sandbox holds the exit records: it goes only when the final status is in the API.
            if over && written && stop == Stop::Terminal {
                finish(pod, observed, now, &mut actions);
            }
        }
        None => {
            if outcome::ending(pod, observed, now).is_none() {
                progress(pod_spec, observed, now, &mut actions);
                if let Some(deadline) = spec::deadline(pod, observed.accepted_at) {
                    actions.push(PodAction::WakeAt(deadline));
                }
            }
        }
    }
    keep_earliest_wake(actions)
}

/// The object is gone: kill, clean, forget. No grace: whoever forced the deletion waived it.
fn gone(observed: &Observed, now: Timestamp) -> Vec<PodAction> {
    let mut actions = Vec::new();
    if observed.live().any(|(_, _, attempt)| attempt.state == AttemptState::Starting)
        || matches!(observed.sandbox, Sandbox::Creating { .. })
    {
        // What is being made is waited for, so that it cannot appear after the removal.
        return actions;
    }
    match observed.sandbox {
        Sandbox::Absent | Sandbox::Removed => {
            if !observed.discarded {
                actions.push(PodAction::Discard);
            }
        }
        _ => remove_sandbox(observed, now, &mut actions),
    }
    actions
}

/// Signals to what still runs.
fn stop_containers(pod: &Pod, observed: &Observed, now: Timestamp, actions: &mut Vec<PodAction>) {
    let grace = spec::grace(pod);
    for (container, attempt, live) in observed.live() {
        if live.state == AttemptState::Starting || live.killed_at.is_some() {
            continue;
        }
        let kill_at = live.terminated_at.and_then(|sent| sent.saturating_add(grace).ok());
        match kill_at {
            None if grace.is_zero() => {
                actions.push(PodAction::Kill { container: container.to_owned(), attempt, id: live.id.clone() });
            }
            None => actions.push(PodAction::Terminate { container: container.to_owned(), attempt, id: live.id.clone() }),
            Some(kill_at) if kill_at <= now => {
                actions.push(PodAction::Kill { container: container.to_owned(), attempt, id: live.id.clone() });
            }
            Some(kill_at) => actions.push(PodAction::WakeAt(kill_at)),
        }
    }
}

/// After the end: the sandbox, then, when deletion was asked for, the object.
fn finish(pod: &Pod, observed: &Observed, now: Timestamp, actions: &mut Vec<PodAction>) {
    match observed.sandbox {
        // A sandbox that is still being made is removed when it is there.
        Sandbox::Creating { .. } => {}
        Sandbox::Absent | Sandbox::Removed => {
            if spec::is_deleted(pod) && !observed.final_delete_done {
                actions.push(PodAction::FinalDelete);
            }
        }
        _ => remove_sandbox(observed, now, actions),
    }
}

fn remove_sandbox(observed: &Observed, now: Timestamp, actions: &mut Vec<PodAction>) {
    match &observed.sandbox {
        Sandbox::Removing { .. } => {}
        Sandbox::RemoveFailed { failures, at } => {
            let again = outcome::retry_at(*at, *failures, SANDBOX_BACKOFF_BASE_SECONDS, SANDBOX_BACKOFF_CAP_SECONDS);
            actions.push(if again <= now { PodAction::RemoveSandbox } else { PodAction::WakeAt(again) });
        }
        _ => actions.push(PodAction::RemoveSandbox),
    }
}

/// Towards running: sandbox and images at the same time, then init containers one after the other, then all app containers.
fn progress(pod_spec: &PodSpec, observed: &Observed, now: Timestamp, actions: &mut Vec<PodAction>) {
    let ready = matches!(observed.sandbox, Sandbox::Ready { current: true, .. });
    let due: Vec<(&ContainerSpec, u32)> = due_containers(pod_spec, observed, now, actions);
    match &observed.sandbox {
        Sandbox::Absent => actions.push(PodAction::CreateSandbox),
        Sandbox::Ready { current: false, .. } if !due.is_empty() => actions.push(PodAction::CreateSandbox),
        Sandbox::Failed { failures, at, .. } => {
            let again = outcome::retry_at(*at, *failures, SANDBOX_BACKOFF_BASE_SECONDS, SANDBOX_BACKOFF_CAP_SECONDS);
            actions.push(if again <= now { PodAction::CreateSandbox } else { PodAction::WakeAt(again) });
        }
        _ => {}
    }
    for (container, attempt) in due {
        let known = observed.containers.get(&container.name);
        match known.map_or(&Image::Unknown, |known| &known.image) {
            Image::Unknown => actions.push(PodAction::PullImage { container: container.name.clone() }),
            Image::Pulling { .. } => {}
            Image::Failed { reason: ImageFailure::InvalidName, .. } => {}
            Image::Failed { failures, at, .. } => {
                let again = outcome::retry_at(*at, *failures, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS);
                actions.push(if again <= now {
                    PodAction::PullImage { container: container.name.clone() }
                } else {
                    PodAction::WakeAt(again)
                });
            }
            Image::Ready => {
                let refusal = known.and_then(|known| known.refusal.as_ref());
                let again = refusal
                    .map(|refusal| outcome::retry_at(refusal.at, refusal.failures, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS))
                    .filter(|again| *again > now);
                match again {
                    Some(again) => actions.push(PodAction::WakeAt(again)),
                    None if ready => actions.push(PodAction::StartContainer { container: container.name.clone(), attempt }),
                    None => {}
                }
            }
        }
    }
}

/// Containers whose next attempt may start now; for those that have to wait a wake-up is added.
fn due_containers<'a>(
    pod_spec: &'a PodSpec,
    observed: &Observed,
    now: Timestamp,
    actions: &mut Vec<PodAction>,
) -> Vec<(&'a ContainerSpec, u32)> {
    let mut due = Vec::new();
    let mut consider = |policy: RestartPolicy, container: &'a ContainerSpec| -> bool {
        match outcome::next(policy, observed.containers.get(&container.name)) {
            Next::Start { not_before: Some(time), .. } if time > now => {
                actions.push(PodAction::WakeAt(time));
                false
            }
            Next::Start { attempt, .. } => {
                due.push((container, attempt));
                false
            }
            Next::Live => false,
            Next::Ended(exit) => exit.exit_code == 0,
        }
    };
    for container in spec::init_containers(pod_spec) {
        if !consider(RestartPolicy::of_init(pod_spec), container) {
            return due;
        }
    }
    for container in &pod_spec.containers {
        consider(RestartPolicy::of(pod_spec), container);
    }
    due
}

/// One wake-up is enough: at every one everything is looked at again.
fn keep_earliest_wake(actions: Vec<PodAction>) -> Vec<PodAction> {
    let earliest = actions.iter().filter_map(|action| if let PodAction::WakeAt(time) = action { Some(*time) } else { None }).min();
    let mut kept: Vec<PodAction> = actions.into_iter().filter(|action| !matches!(action, PodAction::WakeAt(_))).collect();
    kept.extend(earliest.map(PodAction::WakeAt));
    kept
}

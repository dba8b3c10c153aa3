//! Joins what is on disk with what the API says, after an agent restart.
//!
//! In: the Pod, the runtime's record of its sandbox, the time. Out: `Observed` as if the agent had never stopped.
//! Never: forgets a run that the API knows of, even if the machine lost every trace: it would be run twice.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use piecework_runtime::{Exit, SandboxStatus};

use super::observed::{AttemptState, Observation, Observed, Sandbox};

/// What is known of a Pod when the agent first meets it.
pub fn join(pod: Option<&Pod>, on_disk: Option<&SandboxStatus>, now: Timestamp) -> Observed {
    let mut observed = Observed::new(now);
    if let Some(sandbox) = on_disk {
        observed.sandbox = Sandbox::Ready { ip: sandbox.ip.clone(), current: false };
        for container in sandbox.containers.values() {
            observed.apply(Observation::State {
                container: container.name.clone(),
                attempt: container.attempt,
                id: container.id.clone(),
                image: container.image.clone(),
                image_id: container.image_id.clone(),
                state: AttemptState::from(container.state.clone()),
            });
        }
    }
    let Some(status) = pod.and_then(|pod| pod.status.as_ref()) else { return observed };
    for container in status.init_container_statuses.iter().chain(&status.container_statuses).flatten() {
        let Some((attempt, exit)) = recorded_run(container, now) else { continue };
        let newest = observed.containers.get(&container.name).and_then(|known| known.attempts.last_key_value()).map(|(number, _)| *number);
        if newest.is_none_or(|newest| newest < attempt) {
            observed.apply(Observation::State {
                container: container.name.clone(),
                attempt,
                id: plain_id(container.container_id.as_deref()),
                image: container.image.clone(),
                image_id: container.image_id.clone(),
                state: AttemptState::Exited(exit),
            });
        }
    }
    observed
}

/// The newest run that the API knows of and that the machine may have lost; one that had not ended there has ended unseen.
fn recorded_run(container: &ContainerStatus, now: Timestamp) -> Option<(u32, Exit)> {
    let id = container.container_id.as_ref()?;
    let attempt = u32::try_from(container.restart_count).ok()?;
    let state = container.state.as_ref();
    let ended = state.and_then(|state| state.terminated.as_ref()).or_else(|| {
        container.last_state.as_ref().and_then(|last| last.terminated.as_ref()).filter(|last| last.container_id.as_ref() == Some(id))
    });
    let exit = match ended {
        Some(ended) => Exit {
            exit_code: ended.exit_code,
            signal: ended.signal,
            oom_killed: ended.reason.as_deref() == Some("OOMKilled"),
            start_error: (ended.reason.as_deref() == Some("StartError")).then(|| ended.message.clone().unwrap_or_default()),
            lost: ended.reason.as_deref() == Some("ContainerStatusUnknown"),
            started_at: ended.started_at.as_ref().map(|time| time.0),
            finished_at: ended.finished_at.as_ref().map_or(now, |time| time.0),
            termination_message: ended.message.clone().unwrap_or_default(),
        },
        None => Exit {
            exit_code: 137,
            signal: None,
            oom_killed: false,
            start_error: None,
            lost: true,
            started_at: state.and_then(|state| state.running.as_ref()).and_then(|running| running.started_at.as_ref()).map(|time| time.0),
            finished_at: now,
            termination_message: String::new(),
        },
    };
    Some((attempt, exit))
}

fn plain_id(id: Option<&str>) -> String {
    let id = id.unwrap_or_default();
    id.strip_prefix("piecework://").unwrap_or(id).to_owned()
}

//! The status of one container (spec/jobs.md 9.2).
//!
//! In: the container of the Pod, what was observed of it, whether the Pod is being stopped or over. Out: a `ContainerStatus`.
//! Never: a decision; everything it says was decided in `outcome`.

use k8s_openapi::api::core::v1::{
    Container as ContainerSpec, ContainerState, ContainerStateRunning, ContainerStateTerminated, ContainerStateWaiting, ContainerStatus,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use piecework_runtime::Exit;

use super::observed::{Attempt, AttemptState, Container, Image, ImageFailure};
use super::outcome::{self, Next};
use super::spec::{RestartPolicy, whole_seconds};
use crate::limits::{BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS};

/// Where the Pod is, as far as one of its containers cares.
#[derive(Debug, Clone, Copy)]
pub struct Surroundings<'a> {
    pub policy: RestartPolicy,
    /// `name_namespace(uid)`, as it appears in messages.
    pub pod: &'a str,
    /// It waits for init containers.
    pub initializing: bool,
    /// Nothing is started any more.
    pub stopping: bool,
    /// Nothing runs any more and nothing will; what never ran is accounted for as lost.
    pub over: bool,
}

/// The status of one container.
pub fn container_status(spec: &ContainerSpec, known: Option<&Container>, around: Surroundings<'_>) -> ContainerStatus {
    let mut status = ContainerStatus {
        name: spec.name.clone(),
        image: spec.image.clone().unwrap_or_default(),
        last_state: Some(ContainerState::default()),
        started: Some(false),
        ..ContainerStatus::default()
    };
    let Some((container, (number, attempt))) = known.and_then(|known| Some((known, known.newest()?))) else {
        status.state = Some(if around.over { lost() } else { waiting_first(known, around.initializing) });
        return status;
    };
    status.restart_count = i32::try_from(number).unwrap_or(i32::MAX);
    status.container_id = Some(container_id(&attempt.id));
    if !attempt.image.is_empty() {
        status.image.clone_from(&attempt.image);
        status.image_id.clone_from(&attempt.image_id);
    }
    if let Some(Attempt { id, state: AttemptState::Exited(exit), .. }) = container.before(number) {
        status.last_state = Some(terminated(id, exit));
    }
    match &attempt.state {
        AttemptState::Running { started_at } => {
            status.state = Some(ContainerState {
                running: Some(ContainerStateRunning { started_at: Some(Time(whole_seconds(*started_at))) }),
                ..ContainerState::default()
            });
            status.ready = true;
            status.started = Some(true);
        }
        AttemptState::Exited(exit) => {
            let ended = terminated(&attempt.id, exit);
            match restart_wait(spec, container, around) {
                Some(wait) => {
                    status.state = Some(wait);
                    status.last_state = Some(ended);
                }
                None => status.state = Some(ended),
            }
        }
        AttemptState::Starting => {}
    }
    status
}

/// The waiting state of a container that has ended and runs again later; None: it shows how it ended.
fn restart_wait(spec: &ContainerSpec, container: &Container, around: Surroundings<'_>) -> Option<ContainerState> {
    if around.stopping || around.over {
        return None;
    }
    let Next::Start { delay_seconds, .. } = outcome::next(around.policy, Some(container)) else { return None };
    if let Some(problem) = problem(container) {
        return Some(problem);
    }
    (delay_seconds > 0).then(|| {
        waiting("CrashLoopBackOff", Some(format!("back-off {delay_seconds}s restarting failed container={} pod={}", spec.name, around.pod)))
    })
}

fn waiting_first(known: Option<&Container>, initializing: bool) -> ContainerState {
    if initializing {
        return waiting("PodInitializing", None);
    }
    known.and_then(problem).unwrap_or_else(|| waiting("ContainerCreating", None))
}

/// What keeps the next attempt from being made.
fn problem(container: &Container) -> Option<ContainerState> {
    match &container.image {
        Image::Failed { reason: ImageFailure::InvalidName, message, .. } => Some(waiting("InvalidImageName", Some(message.clone()))),
        Image::Failed { reason: ImageFailure::NeverPull, message, .. } => Some(waiting("ErrImageNeverPull", Some(message.clone()))),
        Image::Failed { reason: ImageFailure::Pull, failures: 1, message, .. } => Some(waiting("ErrImagePull", Some(message.clone()))),
        Image::Failed { reason: ImageFailure::Pull, failures, message, .. } => {
            let delay = outcome::backoff_seconds(*failures, BACKOFF_BASE_SECONDS, BACKOFF_CAP_SECONDS);
            Some(waiting("ImagePullBackOff", Some(format!("back-off {delay}s pulling image: {message}"))))
        }
        Image::Pulling { failures } if *failures > 0 => Some(waiting("ImagePullBackOff", None)),
        _ => container.refusal.as_ref().map(|refusal| waiting(refusal.reason, Some(refusal.message.clone()))),
    }
}

fn waiting(reason: &str, message: Option<String>) -> ContainerState {
    ContainerState { waiting: Some(ContainerStateWaiting { reason: Some(reason.to_owned()), message }), ..ContainerState::default() }
}

fn container_id(id: &str) -> String {
    format!("piecework://{id}")
}

/// The API form of an exit.
pub fn terminated(id: &str, exit: &Exit) -> ContainerState {
    let (reason, message) = match &exit.start_error {
        Some(error) => ("StartError", Some(error.clone())),
        None if exit.lost => ("ContainerStatusUnknown", Some("The container ended while its exit could not be recorded".to_owned())),
        None => {
            let reason = match exit.exit_code {
                _ if exit.oom_killed => "OOMKilled",
                0 => "Completed",
                _ => "Error",
            };
            (reason, (!exit.termination_message.is_empty()).then(|| exit.termination_message.clone()))
        }
    };
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            container_id: Some(container_id(id)),
            exit_code: exit.exit_code,
            signal: exit.signal,
            reason: Some(reason.to_owned()),
            message,
            started_at: exit.started_at.map(|time| Time(whole_seconds(time))),
            finished_at: Some(Time(whole_seconds(exit.finished_at))),
        }),
        ..ContainerState::default()
    }
}

/// A container that never ran when its Pod was stopped (spec/jobs.md 9.2: 137, state lost).
fn lost() -> ContainerState {
    ContainerState {
        terminated: Some(ContainerStateTerminated {
            exit_code: 137,
            reason: Some("ContainerStatusUnknown".to_owned()),
            message: Some("The container had not been started when its Pod was stopped".to_owned()),
            ..ContainerStateTerminated::default()
        }),
        ..ContainerState::default()
    }
}

//! What the agent knows of one Pod on this machine: sandbox, images, attempts of containers.
//!
//! In: observations, one at a time, in any order. Out: the state that `step` and `status` read.
//! Never: goes back (an exit stays an exit, a later attempt never disappears); decides anything.

use std::collections::BTreeMap;

use jiff::Timestamp;
use piecework_runtime::{ContainerState, Exit};

use crate::limits::ATTEMPTS_REMEMBERED;

/// Everything known about one Pod on this node.
#[derive(Debug, Clone, PartialEq)]
pub struct Observed {
    /// When this agent first saw the Pod; becomes `status.startTime` when the Pod has none.
    pub accepted_at: Timestamp,
    pub sandbox: Sandbox,
    /// By container name, init containers too.
    pub containers: BTreeMap<String, Container>,
    /// The object was deleted with grace 0 by this agent (finalizers may keep it).
    pub final_delete_done: bool,
    /// The Pod cannot run on this node at all (`UnexpectedAdmissionError`): why.
    pub refused: Option<String>,
    /// Files and logs were removed.
    pub discarded: bool,
}

/// The Pod's namespaces, network and parent cgroup.
#[derive(Debug, Clone, PartialEq)]
pub enum Sandbox {
    Absent,
    Creating {
        failures: u32,
    },
    /// `current`: made or confirmed by this agent process. One that was found on disk is confirmed before anything starts in it.
    Ready {
        ip: Option<String>,
        current: bool,
    },
    Failed {
        failures: u32,
        message: String,
        at: Timestamp,
    },
    Removing {
        failures: u32,
    },
    RemoveFailed {
        failures: u32,
        at: Timestamp,
    },
    Removed,
}

/// One container of the Pod, all its attempts.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Container {
    pub image: Image,
    /// By attempt number, from 0; the newest `ATTEMPTS_REMEMBERED`.
    pub attempts: BTreeMap<u32, Attempt>,
    /// Why the next attempt could not be made; nothing was run.
    pub refusal: Option<Refusal>,
}

/// The image of the next attempt.
#[derive(Debug, Clone, Default, PartialEq)]
pub enum Image {
    #[default]
    Unknown,
    Pulling {
        failures: u32,
    },
    Ready,
    Failed {
        failures: u32,
        reason: ImageFailure,
        message: String,
        at: Timestamp,
    },
}

/// Why an image is not there (waiting reasons of spec/jobs.md 9.2).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ImageFailure {
    Pull,
    NeverPull,
    InvalidName,
}

/// A container that could not be made: `CreateContainerConfigError` or `CreateContainerError`.
#[derive(Debug, Clone, PartialEq)]
pub struct Refusal {
    pub failures: u32,
    pub reason: &'static str,
    pub message: String,
    pub at: Timestamp,
}

/// One run of one container.
#[derive(Debug, Clone, PartialEq)]
pub struct Attempt {
    pub id: String,
    pub image: String,
    pub image_id: String,
    pub state: AttemptState,
    /// SIGTERM (or the image's stop signal) was sent.
    pub terminated_at: Option<Timestamp>,
    /// SIGKILL was sent.
    pub killed_at: Option<Timestamp>,
}

#[derive(Debug, Clone, PartialEq)]
pub enum AttemptState {
    /// `start_container` was called and has not answered.
    Starting,
    Running {
        started_at: Timestamp,
    },
    Exited(Exit),
}

impl AttemptState {
    fn rank(&self) -> u8 {
        match self {
            AttemptState::Starting => 0,
            AttemptState::Running { .. } => 1,
            AttemptState::Exited(_) => 2,
        }
    }
}

impl From<ContainerState> for AttemptState {
    fn from(state: ContainerState) -> Self {
        match state {
            ContainerState::Running { started_at } => AttemptState::Running { started_at },
            ContainerState::Exited(exit) => AttemptState::Exited(exit),
        }
    }
}

/// One thing that happened.
#[derive(Debug, Clone, PartialEq)]
pub enum Observation {
    SandboxCreating,
    SandboxReady {
        ip: Option<String>,
    },
    SandboxFailed {
        message: String,
        at: Timestamp,
    },
    SandboxRemoving,
    SandboxRemoved,
    SandboxRemoveFailed {
        at: Timestamp,
    },
    ImagePulling {
        container: String,
    },
    ImageReady {
        container: String,
    },
    ImageFailed {
        container: String,
        reason: ImageFailure,
        message: String,
        at: Timestamp,
    },
    Starting {
        container: String,
        attempt: u32,
        id: String,
    },
    /// The attempt could not be made and left no trace: the same number is free again.
    StartRefused {
        container: String,
        attempt: u32,
        reason: &'static str,
        message: String,
        at: Timestamp,
    },
    State {
        container: String,
        attempt: u32,
        id: String,
        image: String,
        image_id: String,
        state: AttemptState,
    },
    TerminateSent {
        container: String,
        attempt: u32,
        at: Timestamp,
    },
    KillSent {
        container: String,
        attempt: u32,
        at: Timestamp,
    },
    FinalDeleteDone,
    Discarded,
}

impl Observed {
    /// A Pod of which nothing exists on this machine yet.
    pub fn new(accepted_at: Timestamp) -> Self {
        Observed {
            accepted_at,
            sandbox: Sandbox::Absent,
            containers: BTreeMap::new(),
            final_delete_done: false,
            refused: None,
            discarded: false,
        }
    }

    /// Takes in one observation. Late ones never undo newer ones.
    pub fn apply(&mut self, observation: Observation) {
        match observation {
            Observation::SandboxCreating => self.sandbox = Sandbox::Creating { failures: self.sandbox.failures() },
            Observation::SandboxReady { ip } => {
                if !matches!(self.sandbox, Sandbox::Removing { .. } | Sandbox::RemoveFailed { .. } | Sandbox::Removed) {
                    self.sandbox = Sandbox::Ready { ip, current: true };
                }
            }
            Observation::SandboxFailed { message, at } => {
                if let Sandbox::Creating { failures } = self.sandbox {
                    self.sandbox = Sandbox::Failed { failures: failures + 1, message, at };
                }
            }
            Observation::SandboxRemoving => self.sandbox = Sandbox::Removing { failures: self.sandbox.removal_failures() },
            Observation::SandboxRemoved => self.sandbox = Sandbox::Removed,
            Observation::SandboxRemoveFailed { at } => {
                if let Sandbox::Removing { failures } = self.sandbox {
                    self.sandbox = Sandbox::RemoveFailed { failures: failures + 1, at };
                }
            }
            Observation::ImagePulling { container } => {
                let image = &mut self.container(container).image;
                *image = Image::Pulling { failures: image.failures() };
            }
            Observation::ImageReady { container } => self.container(container).image = Image::Ready,
            Observation::ImageFailed { container, reason, message, at } => {
                let image = &mut self.container(container).image;
                *image = Image::Failed { failures: image.failures() + 1, reason, message, at };
            }
            Observation::Starting { container, attempt, id } => {
                let container = self.container(container);
                container.attempts.entry(attempt).or_insert_with(|| Attempt {
                    id,
                    image: String::new(),
                    image_id: String::new(),
                    state: AttemptState::Starting,
                    terminated_at: None,
                    killed_at: None,
                });
                // The next attempt looks at its image again: the pull policy may be Always, and the image may have been removed.
                container.image = Image::Unknown;
                container.forget_old();
            }
            Observation::StartRefused { container, attempt, reason, message, at } => {
                let container = self.container(container);
                if container.attempts.get(&attempt).is_some_and(|known| known.state == AttemptState::Starting) {
                    container.attempts.remove(&attempt);
                    let failures = container.refusal.as_ref().map_or(0, |refusal| refusal.failures) + 1;
                    container.refusal = Some(Refusal { failures, reason, message, at });
                }
            }
            Observation::State { container, attempt, id, image, image_id, state } => {
                self.container(container).take_state(attempt, id, image, image_id, state);
            }
            Observation::TerminateSent { container, attempt, at } => {
                if let Some(known) = self.container(container).attempts.get_mut(&attempt) {
                    known.terminated_at.get_or_insert(at);
                }
            }
            Observation::KillSent { container, attempt, at } => {
                if let Some(known) = self.container(container).attempts.get_mut(&attempt) {
                    known.killed_at.get_or_insert(at);
                }
            }
            Observation::FinalDeleteDone => self.final_delete_done = true,
            Observation::Discarded => self.discarded = true,
        }
    }

    fn container(&mut self, name: String) -> &mut Container {
        self.containers.entry(name).or_default()
    }

    /// Attempts that have not ended: being started, or running.
    pub fn live(&self) -> impl Iterator<Item = (&str, u32, &Attempt)> {
        self.containers.iter().flat_map(|(name, container)| {
            container
                .attempts
                .iter()
                .filter(|(_, attempt)| !matches!(attempt.state, AttemptState::Exited(_)))
                .map(move |(number, attempt)| (name.as_str(), *number, attempt))
        })
    }
}

impl Sandbox {
    fn failures(&self) -> u32 {
        match self {
            Sandbox::Creating { failures } | Sandbox::Failed { failures, .. } => *failures,
            _ => 0,
        }
    }

    fn removal_failures(&self) -> u32 {
        match self {
            Sandbox::Removing { failures } | Sandbox::RemoveFailed { failures, .. } => *failures,
            _ => 0,
        }
    }
}

impl Image {
    fn failures(&self) -> u32 {
        match self {
            Image::Pulling { failures } | Image::Failed { failures, .. } => *failures,
            _ => 0,
        }
    }
}

impl Container {
    /// The newest attempt that was really made; one whose start has not answered does not count yet.
    pub fn newest(&self) -> Option<(u32, &Attempt)> {
        self.attempts.iter().rev().find(|(_, attempt)| attempt.state != AttemptState::Starting).map(|(number, attempt)| (*number, attempt))
    }

    /// The attempt before `number`.
    pub fn before(&self, number: u32) -> Option<&Attempt> {
        self.attempts.range(..number).next_back().map(|(_, attempt)| attempt)
    }

    fn take_state(&mut self, number: u32, id: String, image: String, image_id: String, state: AttemptState) {
        let known = self.attempts.entry(number).or_insert_with(|| Attempt {
            id: id.clone(),
            image: String::new(),
            image_id: String::new(),
            state: AttemptState::Starting,
            terminated_at: None,
            killed_at: None,
        });
        if state.rank() > known.state.rank() {
            known.state = state;
        }
        known.id = id;
        if !image.is_empty() {
            known.image = image;
            known.image_id = image_id;
        }
        self.refusal = None;
        self.forget_old();
    }

    fn forget_old(&mut self) {
        while self.attempts.len() > ATTEMPTS_REMEMBERED {
            self.attempts.pop_first();
        }
    }
}

//! A runtime without processes, for tests and simulation: containers do what a script says, on tokio's (pausable) time.
//!
//! In: behaviours by image or container name, or commands through the handle. Out: the same contract as the Linux runtime.
//! Never: starts a process or a thread, reads a clock other than tokio's, depends on hash order.

mod behaviour;

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use jiff::{SignedDuration, Timestamp};
use tokio::{sync::watch, time::Instant};

pub use self::behaviour::{Behaviour, Outcome};
use crate::{ContainerSpec, ContainerState, ContainerStatus, Error, Exit, Runtime, SandboxSpec, SandboxStatus};

/// Second byte pair of scripted Pod addresses; the low 16 bits count sandboxes.
const ADDRESS_PREFIX: &str = "10.254";

/// The scripted runtime and the handle of the test in one. Clones share the same machine, so a clone stands for an agent after a restart.
#[derive(Clone)]
pub struct ScriptedRuntime {
    machine: Arc<Mutex<Machine>>,
    started: Instant,
    epoch: Timestamp,
}

#[derive(Default)]
struct Machine {
    behaviours: BTreeMap<String, Behaviour>,
    fallback: Behaviour,
    sandboxes: BTreeMap<String, Sandbox>,
    addresses: u32,
    /// Container ids in the order in which they were really started.
    starts: Vec<String>,
    signals: Vec<(String, i32)>,
    refusals: BTreeMap<String, u32>,
}

struct Sandbox {
    spec: SandboxSpec,
    ip: Option<String>,
    created_at: Timestamp,
    containers: BTreeMap<String, Container>,
}

struct Container {
    spec: ContainerSpec,
    behaviour: Behaviour,
    state: watch::Sender<ContainerState>,
}

impl ScriptedRuntime {
    /// `epoch`: the wall-clock time that the start of this runtime stands for. Without a script every container exits 0 at once.
    pub fn new(epoch: Timestamp) -> Self {
        ScriptedRuntime { machine: Arc::default(), started: Instant::now(), epoch }
    }

    fn machine(&self) -> MutexGuard<'_, Machine> {
        self.machine.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now(&self) -> Timestamp {
        let elapsed = SignedDuration::try_from(self.started.elapsed()).unwrap_or(SignedDuration::ZERO);
        self.epoch.checked_add(elapsed).unwrap_or(Timestamp::MAX)
    }

    /// What containers of this image do from now on. A container name (`name:NAME`) goes before the image.
    pub fn script(&self, image: &str, behaviour: Behaviour) {
        self.machine().behaviours.insert(image.to_owned(), behaviour);
    }

    /// What all other containers do.
    pub fn script_default(&self, behaviour: Behaviour) {
        self.machine().fallback = behaviour;
    }

    /// The next `times` starts of this image fail with `Error::Failed`, before anything is recorded.
    pub fn refuse(&self, image: &str, times: u32) {
        self.machine().refusals.insert(image.to_owned(), times);
    }

    /// Ends a running container now; false if it is not running.
    pub fn finish(&self, id: &str, outcome: Outcome) -> bool {
        let now = self.now();
        let machine = self.machine();
        machine.container(id).is_some_and(|container| container.end(&outcome, now))
    }

    /// Ends every running container as if its shim had vanished: a machine that was reset.
    pub fn lose_all(&self) {
        let now = self.now();
        let machine = self.machine();
        for container in machine.sandboxes.values().flat_map(|sandbox| sandbox.containers.values()) {
            container.end(&Outcome::Lost, now);
        }
    }

    /// Ids of the containers that run, in order.
    pub fn running(&self) -> Vec<String> {
        let machine = self.machine();
        let containers = machine.sandboxes.values().flat_map(|sandbox| &sandbox.containers);
        containers.filter(|(_, container)| container.is_running()).map(|(id, _)| id.clone()).collect()
    }

    /// Ids of all containers ever started, in the order of their starts; each at most once.
    pub fn starts(&self) -> Vec<String> {
        self.machine().starts.clone()
    }

    /// All signals sent to running containers.
    pub fn signals(&self) -> Vec<(String, i32)> {
        self.machine().signals.clone()
    }

    /// The specification that a container was started with.
    pub fn spec(&self, id: &str) -> Option<ContainerSpec> {
        self.machine().container(id).map(|container| container.spec.clone())
    }

    /// Lets a container end after its scripted time.
    fn schedule(&self, id: String, after: std::time::Duration, outcome: Outcome) {
        let runtime = self.clone();
        tokio::spawn(async move {
            tokio::time::sleep(after).await;
            runtime.finish(&id, outcome);
        });
    }
}

impl Machine {
    fn container(&self, id: &str) -> Option<&Container> {
        self.sandboxes.values().find_map(|sandbox| sandbox.containers.get(id))
    }

    fn behaviour(&self, spec: &ContainerSpec) -> Behaviour {
        let by_name = self.behaviours.get(&format!("name:{}", spec.name));
        by_name.or_else(|| self.behaviours.get(&spec.image)).unwrap_or(&self.fallback).clone()
    }
}

impl Container {
    fn is_running(&self) -> bool {
        matches!(*self.state.borrow(), ContainerState::Running { .. })
    }

    /// The first end counts.
    fn end(&self, outcome: &Outcome, now: Timestamp) -> bool {
        self.state.send_if_modified(|state| {
            let ContainerState::Running { started_at } = *state else { return false };
            *state = ContainerState::Exited(outcome.exit(Some(started_at), now));
            true
        })
    }

    fn status(&self) -> ContainerStatus {
        ContainerStatus {
            id: self.spec.id.clone(),
            name: self.spec.name.clone(),
            attempt: self.spec.attempt,
            image: self.spec.image.clone(),
            image_id: self.spec.image_id.clone(),
            state: self.state.borrow().clone(),
        }
    }
}

impl Sandbox {
    fn status(&self) -> SandboxStatus {
        SandboxStatus {
            id: self.spec.id.clone(),
            ip: self.ip.clone(),
            created_at: self.created_at,
            containers: self.containers.iter().map(|(id, container)| (id.clone(), container.status())).collect(),
        }
    }
}

#[async_trait::async_trait]
impl Runtime for ScriptedRuntime {
    fn version(&self) -> String {
        concat!("scripted://", env!("CARGO_PKG_VERSION")).to_owned()
    }

    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, Error> {
        let now = self.now();
        let mut machine = self.machine();
        if let Some(sandbox) = machine.sandboxes.get(&spec.id) {
            return Ok(sandbox.status());
        }
        machine.addresses += u32::from(spec.own_network);
        let ip = spec.own_network.then(|| format!("{ADDRESS_PREFIX}.{}.{}", machine.addresses >> 8 & 0xff, machine.addresses & 0xff));
        let sandbox = Sandbox { spec: spec.clone(), ip, created_at: now, containers: BTreeMap::new() };
        let status = sandbox.status();
        machine.sandboxes.insert(spec.id.clone(), sandbox);
        Ok(status)
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        let now = self.now();
        let removed = self.machine().sandboxes.remove(id);
        for container in removed.iter().flat_map(|sandbox| sandbox.containers.values()) {
            container.end(&Outcome::Signal(libc::SIGKILL), now);
        }
        Ok(())
    }

    async fn start_container(&self, spec: &ContainerSpec) -> Result<ContainerStatus, Error> {
        let now = self.now();
        let mut guard = self.machine();
        let machine = &mut *guard;
        let behaviour = machine.behaviour(spec);
        let sandbox = machine.sandboxes.get_mut(&spec.sandbox).ok_or_else(|| Error::NotFound(spec.sandbox.clone()))?;
        if let Some(container) = sandbox.containers.get(&spec.id) {
            return Ok(container.status());
        }
        if let Some(times) = machine.refusals.get_mut(&spec.image).filter(|times| **times > 0) {
            *times -= 1;
            return Err(Error::Failed(format!("scripted refusal of image {}", spec.image)));
        }
        let state = match &behaviour.end {
            Some((after, Outcome::StartError(text))) if after.is_zero() => ContainerState::Exited(Exit::start_error(text.clone(), now)),
            Some((after, outcome)) if after.is_zero() => ContainerState::Exited(outcome.exit(Some(now), now)),
            _ => ContainerState::Running { started_at: now },
        };
        let timer = behaviour.end.clone().filter(|(after, _)| !after.is_zero());
        let container = Container { spec: spec.clone(), behaviour, state: watch::Sender::new(state) };
        let status = container.status();
        sandbox.containers.insert(spec.id.clone(), container);
        machine.starts.push(spec.id.clone());
        drop(guard);
        if let Some((after, outcome)) = timer {
            self.schedule(spec.id.clone(), after, outcome);
        }
        Ok(status)
    }

    async fn wait_container(&self, id: &str) -> Result<Exit, Error> {
        let mut state = match self.machine().container(id) {
            Some(container) => container.state.subscribe(),
            None => return Err(Error::NotFound(id.to_owned())),
        };
        loop {
            if let ContainerState::Exited(exit) = &*state.borrow_and_update() {
                return Ok(exit.clone());
            }
            if state.changed().await.is_err() {
                // Removed: the last value is the exit.
                if let ContainerState::Exited(exit) = &*state.borrow() {
                    return Ok(exit.clone());
                }
                return Err(Error::NotFound(id.to_owned()));
            }
        }
    }

    async fn signal_container(&self, id: &str, signal: i32) -> Result<(), Error> {
        let (reaction, delay) = {
            let mut machine = self.machine();
            let container = machine.container(id).ok_or_else(|| Error::NotFound(id.to_owned()))?;
            if !container.is_running() {
                return Ok(());
            }
            let reaction = container.behaviour.reaction(signal);
            machine.signals.push((id.to_owned(), signal));
            match reaction {
                Some((delay, outcome)) => (outcome, delay),
                None => return Ok(()),
            }
        };
        if delay.is_zero() {
            self.finish(id, reaction);
        } else {
            self.schedule(id.to_owned(), delay, reaction);
        }
        Ok(())
    }

    async fn list(&self) -> Result<Vec<SandboxStatus>, Error> {
        Ok(self.machine().sandboxes.values().map(Sandbox::status).collect())
    }
}

#[cfg(test)]
mod tests;

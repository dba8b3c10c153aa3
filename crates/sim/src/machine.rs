//! The machine under the agent: scripted containers whose behaviour the seed decides, start by start.
//!
//! In: calls of the agent, the scripts of the workload. Out: what `ScriptedRuntime` answers, sometimes late or refused.
//! Never: a second start of one attempt (the scripted runtime keeps the record that the auditors read).

use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use piecework_runtime::{
    ContainerSpec, ContainerStatus, Error, Exit, Runtime, SandboxSpec, SandboxStatus,
    scripted::{Behaviour, Outcome, ScriptedRuntime},
};

use crate::{clock::SimulatedClock, random::Random};

/// What the containers of one Job do.
#[derive(Debug, Clone)]
pub struct Script {
    /// Containers that fail, of a thousand.
    pub failing: u64,
    /// How long a container runs, in milliseconds: one of these.
    pub milliseconds: Vec<u64>,
    /// Whether SIGTERM is ignored.
    pub stubborn: bool,
}

/// On Linux.
const SIGSEGV: i32 = 11;

pub struct Machine {
    pub scripted: ScriptedRuntime,
    seed: u64,
    /// Starts that take a while or fail once, of a thousand.
    slow: u64,
    refused: u64,
    scripts: Mutex<BTreeMap<String, (Script, u64)>>,
}

impl Machine {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::of(seed, "machine", 0);
        Machine {
            scripted: ScriptedRuntime::new(SimulatedClock::epoch()),
            seed,
            slow: random.pick(&[0, 100, 500]),
            refused: random.pick(&[0, 0, 50, 200]),
            scripts: Mutex::default(),
        }
    }

    /// Decides what containers of this name do.
    pub fn script(&self, container: &str, script: Script) {
        self.scripts.lock().unwrap_or_else(PoisonError::into_inner).insert(container.to_owned(), (script, 0));
    }

    /// The behaviour of the next start of this container name, and the numbers for its delay.
    fn next(&self, container: &str) -> (Behaviour, Random) {
        let mut scripts = self.scripts.lock().unwrap_or_else(PoisonError::into_inner);
        let Some((script, starts)) = scripts.get_mut(container) else {
            return (Behaviour::default(), Random::of(self.seed, container, 0));
        };
        *starts += 1;
        let mut random = Random::of(self.seed, container, *starts);
        let after = Duration::from_millis(random.pick(&script.milliseconds));
        let outcome = if random.chance(script.failing) {
            match random.between(0, 9) {
                0 => Outcome::OutOfMemory,
                1 if after.is_zero() => Outcome::StartError("simulated: cannot execute".into()),
                2 => Outcome::Signal(SIGSEGV),
                code => Outcome::Code(code as i32 + 1),
            }
        } else {
            Outcome::Code(0)
        };
        let behaviour = Behaviour::ends(after, outcome);
        (if script.stubborn { behaviour.ignores_term() } else { behaviour }, random)
    }
}

#[async_trait::async_trait]
impl Runtime for Machine {
    fn version(&self) -> String {
        self.scripted.version()
    }

    async fn create_sandbox(&self, spec: &SandboxSpec) -> Result<SandboxStatus, Error> {
        let mut random = Random::of(self.seed, &spec.id, 0);
        if random.chance(self.slow) {
            tokio::time::sleep(Duration::from_millis(random.between(1, 1500))).await;
        }
        self.scripted.create_sandbox(spec).await
    }

    async fn remove_sandbox(&self, id: &str) -> Result<(), Error> {
        self.scripted.remove_sandbox(id).await
    }

    async fn start_container(&self, spec: &ContainerSpec) -> Result<ContainerStatus, Error> {
        let (behaviour, mut random) = self.next(&spec.name);
        if random.chance(self.slow) {
            tokio::time::sleep(Duration::from_millis(random.between(1, 1500))).await;
        }
        if random.chance(self.refused) {
            return Err(Error::Failed("simulated: the machine refuses this start".into()));
        }
        // The behaviour of a name holds from its setting to the start, and nothing comes between the two.
        self.scripted.script(&format!("name:{}", spec.name), behaviour);
        self.scripted.start_container(spec).await
    }

    async fn wait_container(&self, id: &str) -> Result<Exit, Error> {
        self.scripted.wait_container(id).await
    }

    async fn signal_container(&self, id: &str, signal: i32) -> Result<(), Error> {
        self.scripted.signal_container(id, signal).await
    }

    async fn list(&self) -> Result<Vec<SandboxStatus>, Error> {
        self.scripted.list().await
    }
}

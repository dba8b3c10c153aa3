//! The house of one simulation: server, controllers and agent, each of which can crash and start again.
//!
//! In: orders to start and to crash. Out: running parts over faulty clients. Never: a part that outlives its crash and is still heard.

use std::{fmt::Display, sync::Arc};

use piecework_apiserver::{ApiServer, Options as ServerOptions};
use piecework_client::clock::Clock;
use piecework_controllers::Options as ControllerOptions;
use piecework_node::{Options as NodeOptions, Tuning};
use piecework_store::EmbeddedStore;
use tokio::{
    sync::watch,
    task::{JoinError, JoinHandle},
};

use crate::{
    clock::SimulatedClock,
    disk::Disk,
    fixture::Fixture,
    machine::Machine,
    random::Random,
    wire::{Link, Wire},
};

/// Pods that the node takes at a time: few enough that some wait in some seeds.
const MAX_PODS: [u32; 4] = [2, 4, 10, 110];

struct Part<T> {
    link: Arc<Link>,
    task: JoinHandle<T>,
    /// Kept so that the agent does not see its end.
    _stop: Option<watch::Sender<bool>>,
}

impl<T> Part<T> {
    /// Ends it wherever it is; what it has on its way stays unanswered.
    async fn crash(self) -> Result<(), String> {
        self.link.cut();
        self.task.abort();
        match self.task.await {
            Err(error) if error.is_panic() => Err(panicked(error)),
            Err(_) => Ok(()),
            Ok(_) => Err("a component had ended by itself".into()),
        }
    }
}

pub struct House {
    seed: u64,
    fixture: Arc<Fixture>,
    pub wire: Arc<Wire>,
    pub clock: SimulatedClock,
    pub disk: Disk,
    pub machine: Arc<Machine>,
    store: Option<Arc<EmbeddedStore>>,
    controllers: Option<Part<()>>,
    agent: Option<Part<Result<(), String>>>,
    history: usize,
    max_pods: u32,
}

fn text(error: impl Display) -> String {
    error.to_string()
}

fn panicked(error: JoinError) -> String {
    let payload = error.into_panic();
    let message = payload.downcast_ref::<String>().cloned().or_else(|| payload.downcast_ref::<&str>().map(|text| (*text).to_owned()));
    format!("a component panicked: {}", message.unwrap_or_default())
}

impl House {
    pub fn new(seed: u64, fixture: Arc<Fixture>, wire: Arc<Wire>, clock: SimulatedClock) -> Result<Self, String> {
        let mut random = Random::of(seed, "house", 0);
        Ok(House {
            seed,
            fixture,
            wire,
            clock,
            disk: Disk::new().map_err(text)?,
            machine: Arc::new(Machine::new(seed)),
            store: None,
            controllers: None,
            agent: None,
            // A short history makes watches expire that were away for a while.
            history: random.pick(&[40, 400, 100_000]),
            max_pods: random.pick(&MAX_PODS),
        })
    }

    /// Opens what the disk has; None when the server is up already.
    pub fn open_store(&mut self) -> Result<Option<Arc<EmbeddedStore>>, String> {
        if self.store.is_some() {
            return Ok(None);
        }
        let store = self.disk.open(self.history)?;
        self.store = Some(Arc::clone(&store));
        Ok(Some(store))
    }

    /// Starts the API server on the open store.
    pub async fn start_api(&mut self) -> Result<(), String> {
        let Some(store) = self.store.clone() else { return Err("the store is not open".into()) };
        let options = ServerOptions { store, advertise: "127.0.0.1:6443".into(), kubelet_client: self.fixture.kubelet_client.clone() };
        let clock = self.clock.clone();
        let identifiers = Random::of(self.seed, "identifiers", u64::from(self.disk.lives())).next();
        let server = ApiServer::replayable(options, Arc::new(move || clock.now()), identifiers).await?;
        self.wire.serve(server);
        Ok(())
    }

    /// The power goes: connections break, unsynced writes are lost.
    pub fn crash_server(&mut self) -> Result<(), String> {
        if self.store.is_none() {
            return Ok(());
        }
        self.wire.take_down();
        self.disk.crash().map_err(text)?;
        self.store = None;
        Ok(())
    }

    pub fn start_controllers(&mut self) {
        if self.controllers.is_some() {
            return;
        }
        let (client, link) = self.wire.client("controllers", true);
        let task = tokio::spawn(piecework_controllers::run(client, Arc::new(self.clock.clone()), ControllerOptions::default()));
        self.controllers = Some(Part { link, task, _stop: None });
    }

    pub async fn crash_controllers(&mut self) -> Result<(), String> {
        match self.controllers.take() {
            Some(part) => part.crash().await,
            None => Ok(()),
        }
    }

    pub fn start_agent(&mut self) {
        if self.agent.is_some() {
            return;
        }
        let (client, link) = self.wire.client("agent", true);
        let options = NodeOptions { node_name: "node-1".into(), data_dir: self.disk.path("node"), tls: self.fixture.agent.clone() };
        let (stop, stopped) = watch::channel(false);
        let runtime: Arc<Machine> = Arc::clone(&self.machine);
        let run = piecework_node::run_with(
            options,
            Tuning { max_pods: self.max_pods },
            client,
            runtime,
            self.fixture.images.clone(),
            Arc::new(self.clock.clone()),
            stopped,
        );
        self.agent = Some(Part { link, task: tokio::spawn(run), _stop: Some(stop) });
    }

    pub async fn crash_agent(&mut self) -> Result<(), String> {
        match self.agent.take() {
            Some(part) => part.crash().await,
            None => Ok(()),
        }
    }

    /// A part that ended by itself is a fault of its own.
    pub async fn check_alive(&mut self) -> Result<(), String> {
        if self.controllers.as_ref().is_some_and(|part| part.task.is_finished()) {
            self.crash_controllers().await?;
        }
        if self.agent.as_ref().is_some_and(|part| part.task.is_finished()) {
            self.crash_agent().await?;
        }
        Ok(())
    }
}

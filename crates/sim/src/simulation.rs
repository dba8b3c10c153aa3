//! One simulation: users and faults act, then everything heals, and all must come to rest with the right numbers.
//!
//! In: the house, the workload. Out: the first broken law. Never: real time.

use std::{sync::Arc, time::Duration};

use piecework_store::{Store, Watch};
use tokio::{
    sync::mpsc::UnboundedReceiver,
    time::{Instant, sleep_until},
};

use crate::{
    audit::{Audit, Violation, broken},
    clock::SimulatedClock,
    faults::{Faults, Kind},
    fixture::Fixture,
    house::House,
    journal::Journal,
    users::Users,
    wire::Wire,
    workload::{Action, Component, Workload},
};

/// Simulated time after the last fault within which everything must be at rest.
pub const SETTLING: Duration = Duration::from_secs(3600);
/// Simulated time at rest in which no Job and no Pod is written.
pub const CALM: Duration = Duration::from_secs(20);
/// How often the auditors look whether everything is at rest.
const LOOK: Duration = Duration::from_secs(1);
/// Users try again to create a Job after this long.
const CREATE_RETRY_MILLISECONDS: u64 = 2000;
/// Creations whose answers a crash of the server may swallow.
const CREATIONS_IN_FLIGHT: i64 = 8;

pub struct Simulation {
    house: House,
    workload: Workload,
    users: Users,
    pub audit: Audit,
    journal: Journal,
    clock: SimulatedClock,
    begun: Instant,
    changes: Option<Watch>,
    faults_seen: usize,
    crashes: u64,
    /// Crashes in the middle of a request.
    wanted: UnboundedReceiver<(Kind, u64)>,
    restarts: Vec<(Instant, Component)>,
}

/// What the simulation has to do next.
enum Next {
    Batch(Option<Result<Vec<piecework_store::Change>, piecework_store::Error>>),
    Crash(Kind, u64),
    Time,
}

fn harness(error: impl ToString) -> Violation {
    Violation { law: "the house stands", details: error.to_string() }
}

impl Simulation {
    pub fn new(seed: u64, fixture: Arc<Fixture>, faults: Faults, journal: Journal) -> Result<Self, Violation> {
        let clock = SimulatedClock::start();
        let (wire, wanted) = Wire::new(faults, clock.clone(), journal.clone());
        let house = House::new(seed, fixture, Arc::clone(&wire), clock.clone()).map_err(harness)?;
        let (client, _) = wire.client("users", false);
        Ok(Simulation {
            house,
            workload: Workload::new(seed),
            users: Users::new(client),
            audit: Audit::default(),
            journal,
            clock,
            begun: Instant::now(),
            changes: None,
            faults_seen: 0,
            crashes: 0,
            wanted,
            restarts: Vec::new(),
        })
    }

    pub fn take_faults(&self) -> Vec<crate::faults::Injected> {
        std::mem::take(&mut self.house.wire.faults().injected)
    }

    pub async fn run(&mut self) -> Result<(), Violation> {
        self.start_server().await?;
        self.house.start_controllers();
        self.house.start_agent();
        for job in &self.workload.jobs {
            self.house.machine.script(&job.container, job.script.clone());
        }
        let mut timeline = std::mem::take(&mut self.workload.timeline);
        timeline.reverse();
        while let Some((at, action)) = timeline.pop() {
            self.follow_until(self.begun + Duration::from_millis(at)).await?;
            if let Some(again) = self.act(action).await? {
                let at = at + CREATE_RETRY_MILLISECONDS;
                if at > self.workload.chaos {
                    continue;
                }
                let place = timeline.partition_point(|(other, _)| *other > at);
                timeline.insert(place, (at, again));
            }
        }
        self.follow_until(self.begun + Duration::from_millis(self.workload.chaos)).await?;
        self.heal().await?;
        self.come_to_rest().await
    }

    async fn start_server(&mut self) -> Result<(), Violation> {
        let Some(store) = self.house.open_store().map_err(harness)? else { return Ok(()) };
        let page = store.list("", None, 0, None).await.map_err(harness)?;
        if self.audit.revision > 0 {
            self.audit.compare(&page.entries, page.revision)?;
        }
        self.changes = Some(store.watch("", page.revision).await.map_err(harness)?);
        self.house.start_api().await.map_err(harness)
    }

    /// Audits everything that happens until then.
    async fn follow_until(&mut self, until: Instant) -> Result<(), Violation> {
        loop {
            let restart = self.restarts.iter().map(|(at, _)| *at).min().filter(|at| *at < until);
            let next = {
                let changes = &mut self.changes;
                let batch = async {
                    match changes {
                        Some(changes) => changes.recv().await,
                        None => std::future::pending().await,
                    }
                };
                tokio::select! {
                    biased;
                    batch = batch => Next::Batch(batch),
                    Some((kind, downtime)) = self.wanted.recv() => Next::Crash(kind, downtime),
                    () = sleep_until(restart.unwrap_or(until)) => Next::Time,
                }
            };
            match (next, restart) {
                (Next::Batch(batch), _) => self.take(batch)?,
                (Next::Crash(kind, downtime), _) => {
                    let component = match kind {
                        Kind::CrashAgent => Component::Agent,
                        Kind::CrashServer => Component::Server,
                        _ => Component::Controllers,
                    };
                    self.crash(component).await?;
                    self.restarts.push((Instant::now() + Duration::from_millis(downtime), component));
                }
                (Next::Time, Some(now)) => {
                    let due: Vec<Component> = self.restarts.extract_if(.., |(at, _)| *at <= now).map(|(_, component)| component).collect();
                    for component in due {
                        self.restart(component).await?;
                    }
                }
                (Next::Time, None) => break,
            }
        }
        self.house.check_alive().await.map_err(harness)
    }

    async fn crash(&mut self, component: Component) -> Result<(), Violation> {
        self.journal.note(&self.clock, || format!("crash of {component:?}"));
        match component {
            Component::Controllers => self.house.crash_controllers().await.map_err(harness),
            Component::Agent => self.house.crash_agent().await.map_err(harness),
            Component::Server => self.crash_server(),
        }
    }

    async fn restart(&mut self, component: Component) -> Result<(), Violation> {
        self.journal.note(&self.clock, || format!("start of {component:?}"));
        match component {
            Component::Controllers => self.house.start_controllers(),
            Component::Agent => self.house.start_agent(),
            Component::Server => self.start_server().await?,
        }
        Ok(())
    }

    fn take(&mut self, batch: Option<Result<Vec<piecework_store::Change>, piecework_store::Error>>) -> Result<(), Violation> {
        self.surplus();
        match batch {
            Some(Ok(changes)) => self.audit.take(&changes, &self.journal, &self.clock),
            Some(Err(error)) => broken("every change reaches the auditors", error.to_string()),
            None => broken("every change reaches the auditors", "the watch ended"),
        }
    }

    /// Pods that may exist beyond parallelism because somebody was not told of their creation.
    fn surplus(&mut self) {
        let faults = self.house.wire.faults();
        for fault in &faults.injected[self.faults_seen..] {
            let creation = fault.what.starts_with("POST") && fault.what.ends_with("/pods");
            self.audit.surplus += match fault.kind {
                Kind::LoseAnswer | Kind::Duplicate if creation => 1,
                Kind::CrashServer => CREATIONS_IN_FLIGHT,
                _ => 0,
            };
        }
        self.faults_seen = faults.injected.len();
    }

    /// Does it; answers with what has to be tried again.
    async fn act(&mut self, action: Action) -> Result<Option<Action>, Violation> {
        let fault = match action {
            Action::Crash(Component::Controllers) => Some(Kind::CrashControllers),
            Action::Crash(Component::Agent) => Some(Kind::CrashAgent),
            Action::Crash(Component::Server) => Some(Kind::CrashServer),
            Action::ResetMachine => Some(Kind::ResetMachine),
            Action::Leap(_) => Some(Kind::ClockJump),
            _ => None,
        };
        if let Some(kind) = fault {
            self.crashes += 1;
            if !self.house.wire.faults().inject(format!("house#{}", self.crashes), kind, &format!("{action:?}")) {
                return Ok(None);
            }
        }
        self.journal.note(&self.clock, || format!("action {action:?}"));
        let mut refused = None;
        match &action {
            Action::CreateJob(index) => {
                let manifest = self.workload.jobs[*index].manifest.clone();
                match self.users.create(&manifest).await {
                    Ok(()) => {}
                    Err(kube::Error::Api(status)) if status.code == 409 => return Ok(Some(action)),
                    Err(kube::Error::Api(status)) => return broken("the API accepts the workload", status.message.clone()),
                    Err(_) => return Ok(Some(action)),
                }
            }
            Action::DeleteJob(index, policy) => refused = self.users.delete_job(&self.workload.jobs[*index].name, policy).await.err(),
            Action::Parallelism(index, number) => refused = self.users.parallelism(&self.workload.jobs[*index].name, *number).await.err(),
            Action::DeletePod { job, choice, grace } => {
                refused = self.users.delete_pod(&self.workload.jobs[*job].name, *choice, *grace).await.err();
            }
            Action::Crash(component) => self.crash(*component).await?,
            Action::Restart(component) => self.restart(*component).await?,
            Action::ResetMachine => self.house.machine.scripted.lose_all(),
            Action::Leap(seconds) => self.clock.leap(i64::try_from(*seconds).unwrap_or(0)),
        }
        if let Some(error) = refused {
            self.journal.note(&self.clock, || format!("refused: {error}"));
        }
        Ok(None)
    }

    fn crash_server(&mut self) -> Result<(), Violation> {
        while let Some(Ok(batch)) = self.changes.as_mut().map(Watch::try_recv) {
            self.take(Some(batch))?;
        }
        self.changes = None;
        self.house.crash_server().map_err(harness)
    }

    /// Everything runs, nothing is lost any more, and every Job may run.
    async fn heal(&mut self) -> Result<(), Violation> {
        self.journal.note(&self.clock, || "healed".into());
        self.house.wire.faults().heal();
        for component in [Component::Server, Component::Controllers, Component::Agent] {
            self.restart(component).await?;
        }
        for job in &self.workload.jobs {
            // A Job that is gone or has ended takes no harm.
            let _ = self.users.parallelism(&job.name, 2).await;
        }
        Ok(())
    }

    async fn come_to_rest(&mut self) -> Result<(), Violation> {
        let deadline = Instant::now() + SETTLING;
        loop {
            self.follow_until(Instant::now() + LOOK).await?;
            match self.audit.unsettled() {
                None => break,
                Some(why) if Instant::now() >= deadline => return broken("everything comes to rest", why),
                Some(_) => {}
            }
        }
        self.audit.busy = 0;
        self.follow_until(Instant::now() + CALM).await?;
        if self.audit.busy > 0 {
            return broken("at rest nothing is written", format!("{} writes of Jobs and Pods", self.audit.busy));
        }
        let machine = &self.house.machine.scripted;
        self.audit.settle(&machine.starts(), &machine.running())
    }
}

//! The whole control plane in one thread under paused time: store, API server, controllers, scheduler and agent, with faults between them.
//!
//! In: a seed. Out: the first law that was broken, with its story; the same for the same seed, always. Never: part of the product; real time,
//! a thread, chance that does not come from the seed.

pub mod audit;
mod clock;
mod disk;
pub mod faults;
pub mod fixture;
mod house;
mod journal;
mod machine;
mod random;
pub mod search;
mod simulation;
mod users;
mod wire;
mod workload;

#[cfg(test)]
mod tests;

use std::{collections::BTreeSet, panic::AssertUnwindSafe, sync::Arc};

use audit::Violation;
use faults::{Faults, Injected};
use fixture::Fixture;
use futures::FutureExt;
use journal::Journal;
use simulation::Simulation;

pub use simulation::{CALM, SETTLING};

/// What one simulation did.
#[derive(Debug)]
pub struct Report {
    pub seed: u64,
    pub faults: Vec<Injected>,
    pub journal: Vec<String>,
    pub violation: Option<Violation>,
    pub jobs: usize,
    pub pods: usize,
    pub revisions: u64,
}

/// Simulates a seed. `allowed`: only these of its faults happen (None: all).
///
/// # Panics
/// When the operating system refuses an event loop.
pub fn simulate(fixture: &Arc<Fixture>, seed: u64, allowed: Option<Arc<BTreeSet<String>>>) -> Report {
    let mut runtime = tokio::runtime::Builder::new_current_thread();
    // Nothing works on other threads here; should anything do so, its answers come when nothing else can be done.
    let runtime = runtime.enable_all().start_paused(true).max_blocking_threads(1).global_queue_interval(u32::MAX).build();
    let runtime = runtime.expect("the operating system has an event loop for this process");
    let journal = Journal::default();
    let report = runtime.block_on(async {
        let faults = Faults::new(seed, allowed);
        let mut report = Report { seed, faults: Vec::new(), journal: Vec::new(), violation: None, jobs: 0, pods: 0, revisions: 0 };
        match Simulation::new(seed, Arc::clone(fixture), faults, journal.clone()) {
            Err(violation) => report.violation = Some(violation),
            Ok(mut simulation) => {
                let outcome = AssertUnwindSafe(simulation.run()).catch_unwind().await;
                let panicked = Err(Violation { law: "nothing panics", details: "see stderr".into() });
                report.violation = outcome.unwrap_or(panicked).err();
                report.faults = simulation.take_faults();
                (report.jobs, report.pods) = simulation.audit.counts();
                report.revisions = simulation.audit.revision;
                if report.violation.is_some() {
                    for line in simulation.audit.summary() {
                        journal.note_plain(line);
                    }
                }
            }
        }
        report
    });
    drop(runtime);
    Report { journal: journal.take(), ..report }
}

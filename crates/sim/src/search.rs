//! Many seeds, and fewer faults for one that fails.
//!
//! In: seeds, a failing report. Out: the faults that the failure needs. Never: a verdict of its own; it only runs simulations.

use std::{
    collections::BTreeSet,
    sync::{
        Arc, Mutex, PoisonError,
        atomic::{AtomicUsize, Ordering},
    },
};

use crate::{Report, faults::Injected, fixture::Fixture, simulate};

/// Runs that shrinking may take.
pub const SHRINKING_RUNS: usize = 60;

/// Seeds that found a fault once: always run first. One per line, what follows the number says what it found.
pub fn kept_seeds() -> Vec<u64> {
    let lines = include_str!("../seeds.txt").lines();
    lines.filter(|line| !line.starts_with('#')).filter_map(|line| line.split_whitespace().next()?.parse().ok()).collect()
}

/// Simulates all seeds, one thread per simulation and as many as the machine has cores. The reports come in the order in which they are done.
pub fn simulate_all(fixture: &Arc<Fixture>, seeds: &[u64], take: impl FnMut(Report) + Send) {
    let (take, next) = (Mutex::new(take), AtomicUsize::new(0));
    let threads = std::thread::available_parallelism().map_or(1, usize::from);
    std::thread::scope(|scope| {
        for _ in 0..threads {
            scope.spawn(|| {
                while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let report = simulate(fixture, *seed, None);
                    let mut take = take.lock().unwrap_or_else(PoisonError::into_inner);
                    (*take)(report);
                }
            });
        }
    });
}

/// Switches off halves, quarters, … of the faults while the same law is still broken. Out: the last failing report.
pub fn shrink(fixture: &Arc<Fixture>, report: Report) -> Report {
    let Some(law) = report.violation.as_ref().map(|violation| violation.law) else { return report };
    let mut best = report;
    let mut runs = 0;
    let mut parts = 1;
    loop {
        let faults = best.faults.clone();
        let size = faults.len().div_ceil(parts).max(1);
        let mut smaller = None;
        for without in faults.chunks(size) {
            if runs >= SHRINKING_RUNS {
                return best;
            }
            runs += 1;
            let gone: BTreeSet<&str> = without.iter().map(|fault| fault.id.as_str()).collect();
            let kept = faults.iter().filter(|fault| !gone.contains(fault.id.as_str())).map(|fault: &Injected| fault.id.clone()).collect();
            let again = simulate(fixture, best.seed, Some(Arc::new(kept)));
            if again.violation.as_ref().is_some_and(|violation| violation.law == law) && again.faults.len() < faults.len() {
                smaller = Some(again);
                break;
            }
        }
        match smaller {
            Some(report) => {
                best = report;
                parts = parts.saturating_sub(1).max(2);
            }
            None if size <= 1 => return best,
            None => parts = (parts * 2).min(faults.len()),
        }
        if best.faults.is_empty() {
            return best;
        }
    }
}

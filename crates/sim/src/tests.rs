//! Seeds in the test suite, and that a seed is a replay.
//!
//! In: seeds. Out: assertions. Never: a measure of real time.
#![allow(clippy::unwrap_used)]

use std::sync::Arc;

use crate::{fixture::Fixture, search, simulate};

/// Seeds of every test run, beside the kept ones.
const SEEDS: u64 = 60;

fn fixture() -> Arc<Fixture> {
    Arc::new(Fixture::new().unwrap())
}

#[test]
fn seeds_keep_every_law() {
    let fixture = fixture();
    let seeds: Vec<u64> = search::kept_seeds().into_iter().chain(1..=SEEDS).collect();
    let (mut faults, mut pods, mut broken) = (0, 0, Vec::new());
    search::simulate_all(&fixture, &seeds, |report| {
        faults += report.faults.len();
        pods += report.pods;
        if let Some(violation) = &report.violation {
            let last = report.journal.len().saturating_sub(40);
            broken.push(format!("seed {}: {violation:?}\n{}", report.seed, report.journal[last..].join("\n")));
        }
    });
    assert!(broken.is_empty(), "{}", broken.join("\n\n"));
    assert!(faults > 1000 && pods > 100, "{faults} faults and {pods} Pods: this proves nothing");
}

/// A seed whose run has crashes, faults and Pods gives the same journal twice: every revision with its key and value, every fault, every time.
#[test]
fn a_seed_is_a_replay() {
    let fixture = fixture();
    let mut compared = 0;
    for seed in [1, 2, 3, 5, 8] {
        let (first, second) = (simulate(&fixture, seed, None), simulate(&fixture, seed, None));
        for (number, (one, other)) in first.journal.iter().zip(&second.journal).enumerate() {
            assert_eq!(one, other, "seed {seed}, line {number}");
        }
        assert_eq!(first.journal.len(), second.journal.len(), "seed {seed}");
        assert_eq!(first.faults, second.faults, "seed {seed}");
        compared += first.journal.len();
    }
    assert!(compared > 500, "{compared} lines compare nothing");
}

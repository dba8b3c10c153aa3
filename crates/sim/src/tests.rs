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
    let mut faults = 0;
    let mut pods = 0;
    for seed in search::kept_seeds().into_iter().chain(1..=SEEDS) {
        let report = simulate(&fixture, seed, None);
        faults += report.faults.len();
        pods += report.pods;
        if let Some(violation) = &report.violation {
            let last = report.journal.len().saturating_sub(40);
            panic!("seed {seed}: {violation:?}\n{}", report.journal[last..].join("\n"));
        }
    }
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

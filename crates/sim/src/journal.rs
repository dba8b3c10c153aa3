//! What happened, in order: for the reader of a failure, and to compare two runs of one seed.
//!
//! In: lines, with the simulated time. Out: all of them. Never: a value that differs between two runs of one seed.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::clock::SimulatedClock;

/// Clones write the same journal.
#[derive(Debug, Clone, Default)]
pub struct Journal(Arc<Mutex<Vec<String>>>);

impl Journal {
    fn lines(&self) -> MutexGuard<'_, Vec<String>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, clock: &SimulatedClock, line: impl FnOnce() -> String) {
        let at = clock.elapsed();
        self.lines().push(format!("{:>5}.{:03} {}", at.as_secs(), at.subsec_millis(), line()));
    }

    /// A line without a time.
    pub fn note_plain(&self, line: String) {
        self.lines().push(line);
    }

    pub fn take(&self) -> Vec<String> {
        std::mem::take(&mut *self.lines())
    }
}

//! The `Known` of every Job, shared by the applier, the workers and the watch handlers.
//!
//! In: facts. Out: copies of what is known. Never: held across an await; grows beyond the Jobs that exist and were synced once.

use piecework_reconcile::job::{Fact, Known, Settings};
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Clone)]
pub struct Memory {
    settings: Settings,
    known: Arc<Mutex<BTreeMap<String, Known>>>,
}

impl Memory {
    pub fn new(settings: Settings) -> Self {
        Memory { settings, known: Arc::default() }
    }

    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, Known>> {
        self.known.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// What is known of the Job with this UID; from then on, facts about it are kept.
    pub fn of(&self, job_uid: &str) -> Known {
        let mut known = self.lock();
        known.entry(job_uid.to_owned()).or_insert_with(|| Known::new(self.settings.clone())).clone()
    }

    /// Facts about a Job that was never synced, or that is gone, say nothing.
    pub fn learn_all(&self, job_uid: &str, facts: impl IntoIterator<Item = Fact>) {
        if let Some(known) = self.lock().get_mut(job_uid) {
            facts.into_iter().for_each(|fact| known.learn(fact));
        }
    }

    pub fn learn(&self, job_uid: &str, fact: Fact) {
        self.learn_all(job_uid, [fact]);
    }

    /// Learns a fact unless the cache has overtaken it. Handlers learn after the cache shows a change, so looking at the cache under the lock decides it.
    pub fn learn_unless(&self, job_uid: &str, fact: Fact, overtaken: impl FnOnce() -> bool) {
        if let Some(known) = self.lock().get_mut(job_uid)
            && !overtaken()
        {
            known.learn(fact);
        }
    }

    pub fn forget(&self, job_uid: &str) {
        self.lock().remove(job_uid);
    }
}

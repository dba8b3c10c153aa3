//! Workqueue: keys to work on, each at most once at a time, with delays and per-key exponential retry (spec/jobs.md 4.1).
//!
//! In: keys, now or later, from informer handlers and workers. Out: keys in a deterministic order: first in, first out; delayed ones by due time.
//! Never: hands a key to two workers at once; loses a key that was added while it was being worked on; reads the wall clock.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

pub use crate::backoff::RetryLimits;

/// Delays are cut to this (a year), so that a due time always exists.
const DELAY_LIMIT: Duration = Duration::from_secs(365 * 24 * 3600);

/// When a delayed key is due, and its place among those due at the same time.
type Due = (Instant, u64);

#[derive(Debug)]
struct State<K> {
    /// Keys to hand out, oldest first; none is in it twice.
    ready: VecDeque<K>,
    /// Keys that wait: in `ready`, or added while being worked on.
    dirty: BTreeSet<K>,
    processing: BTreeSet<K>,
    delayed: BTreeMap<Due, K>,
    due_of: BTreeMap<K, Due>,
    next_sequence: u64,
    failures: BTreeMap<K, u32>,
    shut_down: bool,
}

#[derive(Debug)]
struct Shared<K> {
    state: Mutex<State<K>>,
    changed: Notify,
    limits: RetryLimits,
}

/// A handle to a queue; clones share it.
#[derive(Debug)]
pub struct Workqueue<K> {
    shared: Arc<Shared<K>>,
}

impl<K> Clone for Workqueue<K> {
    fn clone(&self) -> Self {
        Workqueue { shared: Arc::clone(&self.shared) }
    }
}

impl<K: Ord + Clone> State<K> {
    fn add(&mut self, key: K) {
        if !self.dirty.insert(key.clone()) || self.processing.contains(&key) {
            return;
        }
        self.ready.push_back(key);
    }

    fn add_at(&mut self, key: K, at: Instant) {
        if let Some(due) = self.due_of.get(&key) {
            if due.0 <= at {
                return;
            }
            self.delayed.remove(due);
        }
        let due = (at, self.next_sequence);
        self.next_sequence += 1;
        self.due_of.insert(key.clone(), due);
        self.delayed.insert(due, key);
    }

    fn release_due(&mut self, now: Instant) {
        while let Some(first) = self.delayed.first_entry() {
            if first.key().0 > now {
                return;
            }
            let key = first.remove();
            self.due_of.remove(&key);
            self.add(key);
        }
    }
}

impl<K: Ord + Clone> Workqueue<K> {
    pub fn new(limits: RetryLimits) -> Self {
        Workqueue {
            shared: Arc::new(Shared {
                state: Mutex::new(State {
                    ready: VecDeque::new(),
                    dirty: BTreeSet::new(),
                    processing: BTreeSet::new(),
                    delayed: BTreeMap::new(),
                    due_of: BTreeMap::new(),
                    next_sequence: 0,
                    failures: BTreeMap::new(),
                    shut_down: false,
                }),
                changed: Notify::new(),
                limits,
            }),
        }
    }

    fn state(&self) -> MutexGuard<'_, State<K>> {
        self.shared.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Adds the key to the end. A key that waits already stays where it is; one being worked on comes again after `done`.
    pub fn add(&self, key: K) {
        let mut state = self.state();
        if !state.shut_down {
            state.add(key);
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Adds the key after `delay`. Of several pending times for one key the earliest wins; a key that waits already is not held back.
    pub fn add_after(&self, key: K, delay: Duration) {
        if delay.is_zero() {
            return self.add(key);
        }
        let at = Instant::now() + delay.min(DELAY_LIMIT);
        let mut state = self.state();
        if !state.shut_down {
            state.add_at(key, at);
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Adds the key after its backoff, which doubles with each call until `forget`.
    pub fn add_rate_limited(&self, key: K) {
        let mut state = self.state();
        let failures = state.failures.entry(key.clone()).or_default();
        let delay = self.shared.limits.delay(*failures);
        *failures = failures.saturating_add(1);
        drop(state);
        self.add_after(key, delay);
    }

    /// Starts the key's backoff over. Does not take it out of the queue.
    pub fn forget(&self, key: &K) {
        self.state().failures.remove(key);
    }

    /// How many times in a row the key was added rate limited.
    pub fn retries(&self, key: &K) -> u32 {
        self.state().failures.get(key).copied().unwrap_or(0)
    }

    /// The next key, which then counts as being worked on until `done`. None once the queue is shut down and empty.
    /// Dropping the future loses nothing.
    pub async fn get(&self) -> Option<K> {
        loop {
            let changed = self.shared.changed.notified();
            tokio::pin!(changed);
            // Registered before looking, so that no change in between is missed.
            changed.as_mut().enable();
            let next_due = {
                let mut state = self.state();
                state.release_due(Instant::now());
                if let Some(key) = state.ready.pop_front() {
                    state.dirty.remove(&key);
                    state.processing.insert(key.clone());
                    let more = !state.ready.is_empty() || !state.delayed.is_empty();
                    drop(state);
                    if more {
                        // Another worker takes the rest, or watches over the next due time.
                        self.shared.changed.notify_one();
                    }
                    return Some(key);
                }
                if state.shut_down {
                    return None;
                }
                state.delayed.first_key_value().map(|(due, _)| due.0)
            };
            match next_due {
                None => changed.await,
                Some(at) => {
                    tokio::select! {
                        biased;
                        () = changed => {}
                        () = tokio::time::sleep_until(at) => {}
                    }
                }
            }
        }
    }

    /// The key's work is finished; if it was added meanwhile it comes again.
    pub fn done(&self, key: &K) {
        let mut state = self.state();
        if state.processing.remove(key) && state.dirty.contains(key) {
            state.ready.push_back(key.clone());
            drop(state);
            self.shared.changed.notify_one();
        }
    }

    /// Accepts no more keys and forgets delayed ones; `get` hands out what is ready and then ends.
    pub fn shut_down(&self) {
        let mut state = self.state();
        state.shut_down = true;
        state.delayed.clear();
        state.due_of.clear();
        drop(state);
        self.shared.changed.notify_waiters();
        self.shared.changed.notify_one();
    }

    /// Keys that could be handed out now (not the delayed ones, not those being worked on).
    pub fn len(&self) -> usize {
        self.state().ready.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: RetryLimits = RetryLimits { base: Duration::from_secs(1), cap: Duration::from_secs(5) };

    fn seconds(seconds: u64) -> Duration {
        Duration::from_secs(seconds)
    }

    async fn take(queue: &Workqueue<&'static str>) -> &'static str {
        let key = queue.get().await.expect("the queue is open");
        queue.done(&key);
        key
    }

    #[tokio::test(start_paused = true)]
    async fn first_in_first_out_and_once() {
        let queue = Workqueue::new(LIMITS);
        for key in ["b", "a", "b", "c", "a"] {
            queue.add(key);
        }
        assert_eq!(queue.len(), 3);
        let order = [take(&queue).await, take(&queue).await, take(&queue).await];
        assert_eq!(order, ["b", "a", "c"]);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_key_is_with_one_worker_at_a_time() {
        let queue = Workqueue::new(LIMITS);
        queue.add("a");
        assert_eq!(queue.get().await, Some("a"));
        queue.add("a");
        queue.add("a");
        assert!(queue.is_empty());
        queue.done(&"a");
        assert_eq!(queue.len(), 1);
        assert_eq!(queue.get().await, Some("a"));
        queue.done(&"a");
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn delays_order_by_due_time_then_by_call() {
        let queue = Workqueue::new(LIMITS);
        let start = Instant::now();
        for (key, delay) in [("late", 9), ("x", 3), ("a", 3), ("soon", 1), ("now", 0)] {
            queue.add_after(key, seconds(delay));
        }
        for (key, at) in [("now", 0), ("soon", 1), ("x", 3), ("a", 3), ("late", 9)] {
            assert_eq!(take(&queue).await, key);
            assert_eq!(start.elapsed().as_secs(), at, "{key}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn the_earliest_pending_time_wins() {
        let queue = Workqueue::new(LIMITS);
        let start = Instant::now();
        for delay in [7, 2, 5] {
            queue.add_after("a", seconds(delay));
        }
        queue.add_after("end", seconds(20));
        assert_eq!(take(&queue).await, "a");
        assert_eq!(start.elapsed().as_secs(), 2);
        // The later times are gone with the earliest.
        assert_eq!(take(&queue).await, "end");
        assert_eq!(start.elapsed().as_secs(), 20);
    }

    #[tokio::test(start_paused = true)]
    async fn an_earlier_delay_wakes_a_waiting_worker() {
        let queue = Workqueue::new(LIMITS);
        queue.add_after("late", seconds(100));
        let worker = tokio::spawn({
            let queue = queue.clone();
            async move { (queue.get().await, queue.get().await) }
        });
        tokio::task::yield_now().await;
        queue.add_after("soon", seconds(1));
        assert_eq!(worker.await.expect("the worker ends"), (Some("soon"), Some("late")));
    }

    #[tokio::test(start_paused = true)]
    async fn retries_back_off_until_forgotten() {
        let queue = Workqueue::new(LIMITS);
        let mut last = Instant::now();
        for expected in [1, 2, 4, 5, 5] {
            queue.add_rate_limited("a");
            assert_eq!(take(&queue).await, "a");
            assert_eq!(last.elapsed().as_secs(), expected);
            last = Instant::now();
        }
        assert_eq!(queue.retries(&"a"), 5);
        queue.forget(&"a");
        assert_eq!(queue.retries(&"a"), 0);
        queue.add_rate_limited("a");
        assert_eq!(take(&queue).await, "a");
        assert_eq!(last.elapsed().as_secs(), 1);
    }

    #[tokio::test(start_paused = true)]
    async fn several_workers_get_everything_once() {
        let queue = Workqueue::new(LIMITS);
        let workers: Vec<_> = (0..4)
            .map(|_| {
                let queue = queue.clone();
                tokio::spawn(async move {
                    let mut got = Vec::new();
                    while let Some(key) = queue.get().await {
                        got.push(key);
                        tokio::time::sleep(Duration::from_millis(1)).await;
                        queue.done(&key);
                    }
                    got
                })
            })
            .collect();
        tokio::task::yield_now().await;
        for key in 0..50u64 {
            queue.add(key);
            queue.add_after(100 + key, Duration::from_millis(key));
        }
        tokio::time::sleep(seconds(10)).await;
        queue.shut_down();
        let mut all = Vec::new();
        for worker in workers {
            let got = worker.await.expect("the worker ends");
            assert!(!got.is_empty(), "all four get some");
            all.extend(got);
        }
        all.sort_unstable();
        assert_eq!(all, (0..50).chain(100..150).collect::<Vec<_>>());
    }

    #[tokio::test(start_paused = true)]
    async fn shutting_down_hands_out_what_is_ready() {
        let queue = Workqueue::new(LIMITS);
        queue.add("a");
        queue.add_after("b", seconds(1));
        queue.shut_down();
        queue.add("c");
        assert_eq!(queue.get().await, Some("a"));
        assert_eq!(queue.get().await, None);
        assert_eq!(queue.get().await, None);
    }

    #[tokio::test(start_paused = true)]
    async fn a_dropped_get_loses_nothing() {
        let queue = Workqueue::new(LIMITS);
        for _ in 0..3 {
            let outcome = tokio::time::timeout(seconds(1), queue.get()).await;
            assert!(outcome.is_err());
        }
        queue.add("a");
        assert_eq!(take(&queue).await, "a");
        queue.add_after("huge", Duration::MAX);
        assert!(queue.is_empty());
    }
}

//! Who may work on which sandbox or container at a time.
//!
//! In: ids. Out: locks that callers of this process share. Never: grows: a lock that nobody holds is dropped.

use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, PoisonError},
};

use tokio::sync::RwLock;

/// Locks by id. Sandbox: shared to start containers, alone to create and remove. Container: alone to start.
#[derive(Default)]
pub struct Locks(Mutex<BTreeMap<String, Arc<RwLock<()>>>>);

impl Locks {
    pub fn sandbox(&self, id: &str) -> Arc<RwLock<()>> {
        self.get(format!("sandbox/{id}"))
    }

    pub fn container(&self, id: &str) -> Arc<RwLock<()>> {
        self.get(format!("container/{id}"))
    }

    fn get(&self, key: String) -> Arc<RwLock<()>> {
        let mut locks = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        locks.retain(|_, lock| Arc::strong_count(lock) > 1);
        locks.entry(key).or_default().clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_id_gets_the_same_lock_while_someone_has_it() {
        let locks = Locks::default();
        let first = locks.sandbox("a");
        assert!(Arc::ptr_eq(&first, &locks.sandbox("a")));
        assert!(!Arc::ptr_eq(&first, &locks.container("a")));
        drop(first);
        let _other = locks.sandbox("b");
        assert_eq!(locks.0.lock().unwrap_or_else(PoisonError::into_inner).len(), 1);
    }
}

//! Which version of a CronJob this controller wrote last, so that a decision is never made on an older one from the cache.
//!
//! In: stored objects. Out: whether a cached one is behind. Never: held across an await; grows beyond the CronJobs that exist.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use piecework_reconcile::ownership;
use std::{
    collections::BTreeMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

#[derive(Clone, Default)]
pub struct Written {
    versions: Arc<Mutex<BTreeMap<String, u64>>>,
}

/// resourceVersions of one server compare as numbers (API conventions since 1.35).
fn version(meta: &ObjectMeta) -> u64 {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok()).unwrap_or(0)
}

impl Written {
    fn lock(&self) -> MutexGuard<'_, BTreeMap<String, u64>> {
        self.versions.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub fn note(&self, stored: &ObjectMeta) {
        self.lock().insert(ownership::uid(stored).to_owned(), version(stored));
    }

    /// Whether a later version than this one was written.
    pub fn is_after(&self, cached: &ObjectMeta) -> bool {
        let mut versions = self.lock();
        let uid = ownership::uid(cached);
        match versions.get(uid) {
            Some(written) if *written > version(cached) => true,
            // The cache has caught up: nothing is left to remember.
            Some(_) => {
                versions.remove(uid);
                false
            }
            None => false,
        }
    }

    pub fn forget(&self, uid: &str) {
        self.lock().remove(uid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cache_is_behind_until_it_shows_what_was_written() {
        let meta = |version: &str| ObjectMeta { uid: Some("u".into()), resource_version: Some(version.into()), ..ObjectMeta::default() };
        let written = Written::default();
        assert!(!written.is_after(&meta("7")));
        written.note(&meta("10"));
        for (cached, after) in [("9", true), ("9", true), ("10", false), ("9", false)] {
            assert_eq!(written.is_after(&meta(cached)), after, "{cached}");
        }
        written.note(&meta("12"));
        written.forget("u");
        assert!(!written.is_after(&meta("11")));
    }
}

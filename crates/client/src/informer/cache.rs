//! The informer's cache: objects of one kind by key, with indexes.
//!
//! In: lists and watch events, from the informer alone. Out: shared objects in key order, and the deltas each input made.
//! Never: a half-applied list; readers see it whole.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use kube::Resource;
use tokio::sync::SetOnce;

/// What changed for one object. Handlers see it after the cache shows it.
#[derive(Debug)]
pub enum Delta<K> {
    Added(Arc<K>),
    Updated {
        old: Arc<K>,
        new: Arc<K>,
    },
    /// The last state that is known: from the watch event, or from the cache when a list no longer had the object.
    Deleted(Arc<K>),
}

impl<K> Clone for Delta<K> {
    fn clone(&self) -> Self {
        match self {
            Delta::Added(object) => Delta::Added(Arc::clone(object)),
            Delta::Updated { old, new } => Delta::Updated { old: Arc::clone(old), new: Arc::clone(new) },
            Delta::Deleted(object) => Delta::Deleted(Arc::clone(object)),
        }
    }
}

impl<K> Delta<K> {
    /// The object's newest known state.
    pub fn object(&self) -> &Arc<K> {
        match self {
            Delta::Added(object) | Delta::Deleted(object) => object,
            Delta::Updated { new, .. } => new,
        }
    }
}

/// "namespace/name", or "name" for an object without a namespace.
pub fn object_key<K: Resource>(object: &K) -> String {
    let metadata = object.meta();
    let name = metadata.name.as_deref().unwrap_or_default();
    match metadata.namespace.as_deref() {
        Some(namespace) if !namespace.is_empty() => format!("{namespace}/{name}"),
        _ => name.to_owned(),
    }
}

type IndexFunction<K> = Box<dyn Fn(&K) -> Vec<String> + Send + Sync>;

struct Index<K> {
    function: IndexFunction<K>,
    /// Keys by index value.
    keys: BTreeMap<String, BTreeSet<String>>,
}

impl<K> Index<K> {
    fn insert(&mut self, key: &str, object: &K) {
        for value in (self.function)(object) {
            self.keys.entry(value).or_default().insert(key.to_owned());
        }
    }

    fn remove(&mut self, key: &str, object: &K) {
        for value in (self.function)(object) {
            if let Some(keys) = self.keys.get_mut(&value) {
                keys.remove(key);
                if keys.is_empty() {
                    self.keys.remove(&value);
                }
            }
        }
    }
}

struct Contents<K> {
    objects: BTreeMap<String, Arc<K>>,
    indexes: BTreeMap<String, Index<K>>,
}

/// A handle to the cache; clones share it. Reads never wait for the network.
pub struct Cache<K> {
    contents: Arc<RwLock<Contents<K>>>,
    /// Wakes those who wait in the order in which they came (a `watch` channel would wake them in random order, and runs would not replay).
    synced: Arc<SetOnce<()>>,
}

impl<K> Clone for Cache<K> {
    fn clone(&self) -> Self {
        Cache { contents: Arc::clone(&self.contents), synced: Arc::clone(&self.synced) }
    }
}

impl<K> std::fmt::Debug for Cache<K> {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Cache").field("objects", &self.read().objects.len()).field("synced", &self.synced.initialized()).finish()
    }
}

impl<K> Cache<K> {
    fn read(&self) -> RwLockReadGuard<'_, Contents<K>> {
        self.contents.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Contents<K>> {
        self.contents.write().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn new(synced: Arc<SetOnce<()>>) -> Self {
        Cache { contents: Arc::new(RwLock::new(Contents { objects: BTreeMap::new(), indexes: BTreeMap::new() })), synced }
    }

    /// The object named "namespace/name" ("name" without a namespace).
    pub fn get(&self, key: &str) -> Option<Arc<K>> {
        self.read().objects.get(key).map(Arc::clone)
    }

    /// All objects in key order.
    pub fn list(&self) -> Vec<Arc<K>> {
        self.read().objects.values().map(Arc::clone).collect()
    }

    pub fn len(&self) -> usize {
        self.read().objects.len()
    }

    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The objects for which the index `name` gives `value`, in key order.
    ///
    /// # Panics
    /// When no such index was added: an empty answer would look like "no objects" and make controllers create them again.
    pub fn by_index(&self, name: &str, value: &str) -> Vec<Arc<K>> {
        let contents = self.read();
        let Some(index) = contents.indexes.get(name) else {
            panic!("the informer has no index {name}");
        };
        let keys = index.keys.get(value).into_iter().flatten();
        keys.filter_map(|key| contents.objects.get(key).map(Arc::clone)).collect()
    }

    /// Resolves when the first list is in the cache and was given to the handlers. Never resolves if the informer is dropped before.
    pub async fn synced(&self) {
        self.synced.wait().await;
    }

    /// Whether `synced` would resolve at once.
    pub fn is_synced(&self) -> bool {
        self.synced.initialized()
    }

    pub(super) fn add_index(&self, name: String, function: IndexFunction<K>) {
        let mut contents = self.write();
        let mut index = Index { function, keys: BTreeMap::new() };
        for (key, object) in &contents.objects {
            index.insert(key, object);
        }
        contents.indexes.insert(name, index);
    }
}

impl<K: Resource> Contents<K> {
    fn put(&mut self, key: String, object: K) -> Vec<Delta<K>> {
        let old = self.objects.get(&key).map(Arc::clone);
        let version = |object: &K| object.meta().resource_version.clone();
        if let Some(old) = &old {
            if version(old).is_some() && version(old) == version(&object) {
                return Vec::new();
            }
            for index in self.indexes.values_mut() {
                index.remove(&key, old);
            }
        }
        for index in self.indexes.values_mut() {
            index.insert(&key, &object);
        }
        let new = Arc::new(object);
        self.objects.insert(key, Arc::clone(&new));
        match old {
            None => vec![Delta::Added(new)],
            Some(old) if old.meta().uid == new.meta().uid => vec![Delta::Updated { old, new }],
            // The name was given to another object while nobody watched.
            Some(old) => vec![Delta::Deleted(old), Delta::Added(new)],
        }
    }

    fn remove(&mut self, key: &str) -> Option<Arc<K>> {
        let old = self.objects.remove(key)?;
        for index in self.indexes.values_mut() {
            index.remove(key, &old);
        }
        Some(old)
    }
}

impl<K: Resource> Cache<K> {
    /// Makes the cache equal to a whole list; what is missing in it was deleted. Deletes first, then the rest, each in key order.
    pub(super) fn replace(&self, objects: Vec<K>) -> Vec<Delta<K>> {
        let objects: BTreeMap<String, K> = objects.into_iter().map(|object| (object_key(&object), object)).collect();
        let mut contents = self.write();
        let gone: Vec<String> = contents.objects.keys().filter(|key| !objects.contains_key(*key)).cloned().collect();
        let mut deltas: Vec<Delta<K>> = gone.iter().filter_map(|key| contents.remove(key)).map(Delta::Deleted).collect();
        for (key, object) in objects {
            deltas.extend(contents.put(key, object));
        }
        deltas
    }

    pub(super) fn put(&self, object: K) -> Vec<Delta<K>> {
        self.write().put(object_key(&object), object)
    }

    pub(super) fn delete(&self, object: K) -> Vec<Delta<K>> {
        let removed = self.write().remove(&object_key(&object));
        removed.map(|_| Delta::Deleted(Arc::new(object))).into_iter().collect()
    }
}

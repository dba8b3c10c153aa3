//! The kinds whose owners and dependents the garbage collector follows, behind one face.
//!
//! In: the shared caches. Out: metadata by key or by owner. Never: a request.

use super::{Key, names};
use crate::informers::{BY_OWNER, Informers};
use futures::future::{BoxFuture, FutureExt};
use k8s_openapi::{
    Metadata,
    apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference},
};
use kube::{Resource, core::ApiResource};
use piecework_client::informer::Cache;

trait Objects: Send + Sync {
    fn get(&self, key: &str) -> Option<ObjectMeta>;
    fn owned_by(&self, uid: &str) -> Vec<ObjectMeta>;
    fn synced(&self) -> BoxFuture<'_, ()>;
}

impl<K: Metadata<Ty = ObjectMeta> + Send + Sync + 'static> Objects for Cache<K> {
    fn get(&self, key: &str) -> Option<ObjectMeta> {
        Cache::get(self, key).map(|object| object.metadata().clone())
    }

    fn owned_by(&self, uid: &str) -> Vec<ObjectMeta> {
        self.by_index(BY_OWNER, uid).iter().map(|object| object.metadata().clone()).collect()
    }

    fn synced(&self) -> BoxFuture<'_, ()> {
        Cache::synced(self).boxed()
    }
}

struct Kind {
    resource: ApiResource,
    namespaced: bool,
    objects: Box<dyn Objects>,
}

pub struct Kinds {
    kinds: Vec<Kind>,
}

fn kind<K>(cache: &Cache<K>, namespaced: bool) -> Kind
where
    K: Resource<DynamicType = ()> + Metadata<Ty = ObjectMeta> + Send + Sync + 'static,
{
    Kind { resource: ApiResource::erase::<K>(&()), namespaced, objects: Box::new(cache.clone()) }
}

/// Same kind in the same group; the version may differ.
pub fn of_kind(api_version: &str, kind: &str, other_version: &str, other: &str) -> bool {
    let group = |api_version: &str| api_version.split_once('/').map_or(String::new(), |(group, _)| group.to_owned());
    kind == other && group(api_version) == group(other_version)
}

impl Kinds {
    pub fn new(informers: &Informers) -> Self {
        Kinds {
            kinds: vec![
                kind(&informers.pods.cache, true),
                kind(&informers.jobs.cache, true),
                kind(&informers.cron_jobs.cache, true),
                kind(&informers.config_maps.cache, true),
                kind(&informers.secrets.cache, true),
                kind(&informers.service_accounts.cache, true),
                kind(&informers.nodes.cache, false),
            ],
        }
    }

    pub async fn synced(&self) {
        for kind in &self.kinds {
            kind.objects.synced().await;
        }
    }

    pub fn index(&self, api_version: &str, name: &str) -> Option<usize> {
        self.kinds.iter().position(|kind| of_kind(api_version, name, &kind.resource.api_version, &kind.resource.kind))
    }

    pub fn resource(&self, kind: usize) -> &ApiResource {
        &self.kinds[kind].resource
    }

    pub fn namespaced(&self, kind: usize) -> bool {
        self.kinds[kind].namespaced
    }

    /// Kinds that can have owners in a namespace.
    pub fn dependent_kinds(&self) -> impl Iterator<Item = usize> + use<> {
        let namespaced: Vec<usize> = (0..self.kinds.len()).filter(|kind| self.kinds[*kind].namespaced).collect();
        namespaced.into_iter()
    }

    pub fn get(&self, kind: usize, key: &str) -> Option<ObjectMeta> {
        self.kinds.get(kind)?.objects.get(key)
    }

    /// Objects that refer to `owner` and may: in its namespace, or anywhere if it has none.
    pub fn dependents(&self, owner: &ObjectMeta) -> Vec<(usize, ObjectMeta)> {
        let uid = owner.uid.as_deref().unwrap_or_default();
        let reachable = |meta: &ObjectMeta| owner.namespace.is_none() || meta.namespace == owner.namespace;
        self.kinds
            .iter()
            .enumerate()
            .flat_map(|(index, kind)| kind.objects.owned_by(uid).into_iter().map(move |meta| (index, meta)))
            .filter(|(_, meta)| reachable(meta))
            .collect()
    }

    /// Where the owner would be; None for a kind that is not followed.
    pub fn owner_key(&self, owner: &OwnerReference, namespace: Option<&str>) -> Option<Key> {
        let index = self.kinds.iter().position(|kind| names(owner, &kind.resource.api_version, &kind.resource.kind))?;
        let key = match namespace.filter(|_| self.kinds[index].namespaced) {
            Some(namespace) => format!("{namespace}/{}", owner.name),
            None => owner.name.clone(),
        };
        Some((index, key))
    }
}

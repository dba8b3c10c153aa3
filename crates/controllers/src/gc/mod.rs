//! The garbage collector's shell: follows owners and dependents of every kind it knows (spec/jobs.md 8, spec/api.md 6.6).
//!
//! In: metadata changes. Out: deletions, dropped references, removed finalizers. Never: takes an owner for absent without asking the API server, or an
//! owner of a kind it does not know for absent at all.

mod kinds;
#[cfg(test)]
mod tests;

use crate::{
    Tasks,
    informers::{Informers, Watched},
    limits,
    work::{Again, work},
    writes,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};
use kinds::{Kinds, of_kind};
use kube::{
    Api, Client,
    api::{ListParams, PropagationPolicy},
    core::DynamicObject,
};
use piecework_client::{backoff::RetryLimits, informer::Delta, workqueue::Workqueue};
use piecework_reconcile::{
    gc::{Action, FOREGROUND_FINALIZER, ORPHAN_FINALIZER, OwnerState, Propagation, Step, collect},
    ownership::{self, has_finalizer},
};
use std::sync::Arc;

/// An object: index into the table of kinds, and "namespace/name" or "name".
type Key = (usize, String);

const RETRY: RetryLimits = RetryLimits { base: limits::CATCH_UP_BASE, cap: limits::RETRY_CAP };

pub(crate) fn start(informers: &mut Informers, client: &Client, tasks: &mut Tasks) {
    let queue: Workqueue<Key> = Workqueue::new(RETRY);
    let kinds = Arc::new(Kinds::new(informers));
    follow(&mut informers.pods, &kinds, &queue);
    follow(&mut informers.jobs, &kinds, &queue);
    follow(&mut informers.cron_jobs, &kinds, &queue);
    follow(&mut informers.nodes, &kinds, &queue);
    follow(&mut informers.config_maps, &kinds, &queue);
    follow(&mut informers.secrets, &kinds, &queue);
    follow(&mut informers.service_accounts, &kinds, &queue);
    let collector = Arc::new(Collector { client: client.clone(), kinds });
    for _ in 0..limits::GC_WORKERS {
        let (collector, queue) = (collector.clone(), queue.clone());
        tasks.spawn(async move {
            collector.kinds.synced().await;
            work(queue, "garbage", |key| collector.sync(key)).await;
        });
    }
}

fn follow<K>(watched: &mut Watched<K>, kinds: &Arc<Kinds>, queue: &Workqueue<Key>)
where
    K: kube::Resource<DynamicType = ()>
        + k8s_openapi::Metadata<Ty = ObjectMeta>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    let (kinds, queue) = (kinds.clone(), queue.clone());
    let Some(kind) = kinds.index(&K::api_version(&()), &K::kind(&())) else { return };
    watched.informer.add_handler(move |delta: &Delta<K>| {
        let meta = k8s_openapi::Metadata::metadata(&**delta.object());
        let (changed, gone) = match delta {
            Delta::Added(_) => (true, false),
            Delta::Updated { old, .. } => (decisive(k8s_openapi::Metadata::metadata(&**old)) != decisive(meta), false),
            Delta::Deleted(_) => (true, true),
        };
        if !changed {
            return;
        }
        let owned = meta.owner_references.iter().flatten().next().is_some();
        if !gone && (owned || meta.deletion_timestamp.is_some()) {
            queue.add((kind, key(meta)));
        }
        // An owner that waits may have waited for this one; dependents of one that goes are next.
        for owner in meta.owner_references.iter().flatten() {
            if let Some(owner_key) = kinds.owner_key(owner, meta.namespace.as_deref()) {
                queue.add(owner_key);
            }
        }
        if gone || meta.deletion_timestamp.is_some() {
            for (kind, dependent) in kinds.dependents(meta) {
                queue.add((kind, key(&dependent)));
            }
        }
    });
}

/// The part of the metadata that garbage collection depends on.
fn decisive(meta: &ObjectMeta) -> (&Option<Vec<OwnerReference>>, &Option<Vec<String>>, bool) {
    (&meta.owner_references, &meta.finalizers, meta.deletion_timestamp.is_some())
}

fn key(meta: &ObjectMeta) -> String {
    let name = meta.name.as_deref().unwrap_or_default();
    meta.namespace.as_deref().map_or_else(|| name.to_owned(), |namespace| format!("{namespace}/{name}"))
}

struct Collector {
    client: Client,
    kinds: Arc<Kinds>,
}

impl Collector {
    async fn sync(&self, (kind, key): Key) -> Result<Again, kube::Error> {
        let Some(object) = self.kinds.get(kind, &key) else { return Ok(Again::No) };
        let orphaning = object.deletion_timestamp.is_some() && has_finalizer(&object, ORPHAN_FINALIZER);
        let dependents = if orphaning { self.live_dependents(&object).await? } else { self.kinds.dependents(&object) };
        let mut owners = Vec::new();
        if object.deletion_timestamp.is_none() {
            for owner in object.owner_references.iter().flatten() {
                owners.push(self.state(owner, object.namespace.as_deref()).await?);
            }
        }
        let metas: Vec<&ObjectMeta> = dependents.iter().map(|(_, meta)| meta).collect();
        for Step { dependent, action } in collect(&object, &owners, &metas) {
            let kind = dependent.and_then(|index| dependents.get(index)).map_or(kind, |(kind, _)| *kind);
            self.act(kind, action).await?;
        }
        Ok(Again::No)
    }

    fn api(&self, kind: usize, namespace: Option<&str>) -> Api<DynamicObject> {
        let resource = self.kinds.resource(kind);
        match namespace.filter(|namespace| !namespace.is_empty()) {
            Some(namespace) => Api::namespaced_with(self.client.clone(), namespace, resource),
            None => Api::all_with(self.client.clone(), resource),
        }
    }

    /// Orphaning must not miss a dependent that the caches do not show yet: it would be deleted later, as one whose owner is gone.
    async fn live_dependents(&self, owner: &ObjectMeta) -> Result<Vec<(usize, ObjectMeta)>, kube::Error> {
        let uid = ownership::uid(owner);
        let mut found = Vec::new();
        for kind in self.kinds.dependent_kinds() {
            let list = self.api(kind, owner.namespace.as_deref()).list(&ListParams::default()).await?;
            let owned = |object: &DynamicObject| object.metadata.owner_references.iter().flatten().any(|reference| reference.uid == uid);
            found.extend(list.items.into_iter().filter(owned).map(|object| (kind, object.metadata)));
        }
        Ok(found)
    }

    async fn state(&self, owner: &OwnerReference, namespace: Option<&str>) -> Result<OwnerState, kube::Error> {
        let Some((kind, key)) = self.kinds.owner_key(owner, namespace) else { return Ok(OwnerState::Solid) };
        let found = match self.kinds.get(kind, &key).filter(|found| ownership::uid(found) == owner.uid) {
            Some(found) => Some(found),
            None => {
                let namespace = namespace.filter(|_| self.kinds.namespaced(kind));
                self.api(kind, namespace).get_opt(&owner.name).await?.map(|object| object.metadata)
            }
        };
        Ok(match found {
            Some(found) if ownership::uid(&found) == owner.uid => {
                let waiting = found.deletion_timestamp.is_some() && has_finalizer(&found, FOREGROUND_FINALIZER);
                if waiting { OwnerState::Waiting } else { OwnerState::Solid }
            }
            _ => OwnerState::Absent,
        })
    }

    async fn act(&self, kind: usize, action: Action) -> Result<(), kube::Error> {
        match action {
            Action::DropOwners { object, owner_uids } => {
                writes::drop_owners(&self.api(kind, Some(&object.namespace)), &object, &owner_uids, &[]).await.map(drop)
            }
            Action::Delete { object, propagation } => {
                let policy = match propagation {
                    Propagation::Background => PropagationPolicy::Background,
                    Propagation::Foreground => PropagationPolicy::Foreground,
                    Propagation::Orphan => PropagationPolicy::Orphan,
                };
                writes::delete_as_seen(&self.api(kind, Some(&object.namespace)), &object, policy).await.map(drop)
            }
            Action::RemoveFinalizer { object, finalizer } => {
                writes::remove_finalizer(&self.api(kind, Some(&object.namespace)), &object, finalizer, true).await.map(drop)
            }
        }
    }
}

/// Whether a reference names this kind.
fn names(owner: &OwnerReference, api_version: &str, kind: &str) -> bool {
    of_kind(&owner.api_version, &owner.kind, api_version, kind)
}

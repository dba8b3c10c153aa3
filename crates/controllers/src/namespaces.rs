//! Empties namespaces that are being deleted and then lets them go (spec/jobs.md 8, spec/api.md 6.6).
//!
//! In: namespaces in phase Terminating. Out: deletions of everything in them, then `PUT finalize`. Never: finalizes one in which anything is left.

use crate::{
    Tasks,
    informers::Informers,
    limits,
    work::{Again, work},
    writes,
};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    coordination::v1::Lease,
    core::v1::{ConfigMap, Event, Namespace, Pod, Secret, ServiceAccount},
};
use kube::{
    Api, Client,
    api::{ListParams, PostParams, PropagationPolicy},
    core::{ApiResource, DynamicObject},
};
use piecework_client::{
    backoff::RetryLimits,
    informer::{Cache, Delta},
    patch::{is_conflict, is_not_found},
    workqueue::Workqueue,
};
use piecework_reconcile::ownership::ObjectRef;
use std::sync::Arc;

/// `spec.finalizers` entry that this controller takes away.
const FINALIZER: &str = "kubernetes";
const RETRY: RetryLimits = RetryLimits { base: limits::CATCH_UP_BASE, cap: limits::RETRY_CAP };

pub(crate) fn start(informers: &mut Informers, client: &Client, tasks: &mut Tasks) {
    let queue: Workqueue<String> = Workqueue::new(RETRY);
    let namespaces = informers.namespaces.cache.clone();
    let added = queue.clone();
    informers.namespaces.informer.add_handler(move |delta: &Delta<Namespace>| {
        let namespace = delta.object();
        if terminating(namespace) {
            added.add(namespace.metadata.name.clone().unwrap_or_default());
        }
    });
    // Jobs and Pods may take their time; everything else goes at once.
    let (emptied, known) = (queue.clone(), namespaces.clone());
    informers
        .pods
        .informer
        .add_handler(move |delta: &Delta<Pod>| wake(&emptied, &known, delta, delta.object().metadata.namespace.as_deref()));
    let (emptied, known) = (queue.clone(), namespaces.clone());
    informers
        .jobs
        .informer
        .add_handler(move |delta: &Delta<Job>| wake(&emptied, &known, delta, delta.object().metadata.namespace.as_deref()));
    let shell = Arc::new(Shell { client: client.clone(), namespaces });
    tasks.spawn(async move {
        shell.namespaces.synced().await;
        work(queue, "namespace", |key| shell.sync(key)).await;
    });
}

fn wake<K>(queue: &Workqueue<String>, namespaces: &Cache<Namespace>, delta: &Delta<K>, namespace: Option<&str>) {
    let Some(namespace) = namespace.filter(|_| matches!(delta, Delta::Deleted(_))) else { return };
    if namespaces.get(namespace).is_some_and(|namespace| terminating(&namespace)) {
        queue.add(namespace.to_owned());
    }
}

fn terminating(namespace: &Namespace) -> bool {
    namespace.metadata.deletion_timestamp.is_some()
}

struct Shell {
    client: Client,
    namespaces: Cache<Namespace>,
}

impl Shell {
    async fn sync(&self, name: String) -> Result<Again, kube::Error> {
        if !self.namespaces.get(&name).is_some_and(|namespace| terminating(&namespace)) {
            return Ok(Again::No);
        }
        let namespaces: Api<Namespace> = Api::all(self.client.clone());
        let Some(mut namespace) = namespaces.get_opt(&name).await?.filter(terminating) else { return Ok(Again::No) };
        let mut left = 0;
        for resource in contents() {
            let api: Api<DynamicObject> = Api::namespaced_with(self.client.clone(), &name, &resource);
            for object in api.list(&ListParams::default()).await?.items {
                if object.metadata.deletion_timestamp.is_none() {
                    writes::delete(&api, &ObjectRef::of(&object.metadata), PropagationPolicy::Background, None).await?;
                }
            }
            left += api.list(&ListParams::default().limit(1)).await?.items.len();
        }
        if left > 0 {
            // Whatever is left wakes this again when it goes; the delay is for kinds that are not watched.
            return Ok(Again::After(limits::RETRY_BASE));
        }
        if let Some(finalizers) = namespace.spec.as_mut().and_then(|spec| spec.finalizers.as_mut()) {
            finalizers.retain(|finalizer| finalizer != FINALIZER);
        }
        match namespaces.replace_subresource("finalize", &name, &PostParams::default(), &namespace).await {
            Err(error) if is_not_found(&error) => Ok(Again::No),
            Err(error) if is_conflict(&error) => Ok(Again::After(limits::CATCH_UP_BASE)),
            outcome => outcome.map(|_| Again::No),
        }
    }
}

/// Everything that lives in a namespace; owners before what they own, Events last.
fn contents() -> [ApiResource; 8] {
    [
        ApiResource::erase::<CronJob>(&()),
        ApiResource::erase::<Job>(&()),
        ApiResource::erase::<Pod>(&()),
        ApiResource::erase::<ConfigMap>(&()),
        ApiResource::erase::<Secret>(&()),
        ApiResource::erase::<ServiceAccount>(&()),
        ApiResource::erase::<Lease>(&()),
        ApiResource::erase::<Event>(&()),
    ]
}

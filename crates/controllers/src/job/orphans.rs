//! Frees Pods that keep the tracking finalizer although no Job counts them (spec/jobs.md 4.12).
//!
//! In: keys of Pods. Out: finalizers removed. Never: trusts the cache that a Job is gone; it asks the API server.

use crate::{informers::BY_NAMESPACE, work::Again, writes};
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::{Api, Client};
use piecework_client::informer::Cache;
use piecework_reconcile::{
    job::{Settings, orphan},
    ownership::{self, ObjectRef, TRACKING_FINALIZER},
};

pub struct Orphans {
    pub client: Client,
    pub jobs: Cache<Job>,
    pub pods: Cache<Pod>,
    pub settings: Settings,
}

impl Orphans {
    pub async fn synced(&self) {
        self.jobs.synced().await;
        self.pods.synced().await;
    }

    pub async fn sync(&self, key: String) -> Result<Again, kube::Error> {
        let Some(pod) = self.pods.get(&key) else { return Ok(Again::No) };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        let job = match ownership::controller(&pod.metadata) {
            Some(owner) if owner.kind == "Job" => Api::<Job>::namespaced(self.client.clone(), namespace).get_opt(&owner.name).await?,
            _ => None,
        };
        let others = self.jobs.by_index(BY_NAMESPACE, namespace);
        if orphan::strip(&pod, job.as_ref(), others.iter().map(AsRef::as_ref), &self.settings) {
            let pods: Api<Pod> = Api::namespaced(self.client.clone(), namespace);
            writes::remove_finalizer(&pods, &ObjectRef::of(&pod.metadata), TRACKING_FINALIZER, false).await?;
        }
        Ok(Again::No)
    }
}

//! The caches that all shells share, one watch per kind.
//!
//! In: a client. Out: informers to add handlers to before they run, caches to read. Never: a second watch of the same kind.

use crate::Tasks;
use k8s_openapi::{
    Metadata,
    api::{
        batch::v1::{CronJob, Job},
        core::v1::{ConfigMap, Namespace, Node, Pod, Secret, ServiceAccount},
    },
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{Api, Client, api::ListParams};
use piecework_client::informer::{Cache, Informer};
use piecework_reconcile::ownership;

/// Index of Pods by the UID of the Job that controls them.
pub const BY_JOB: &str = "job";
/// Index of Pods without a controller by namespace.
pub const UNCONTROLLED: &str = "uncontrolled";
/// Index of Jobs by namespace.
pub const BY_NAMESPACE: &str = "namespace";
/// Index of any object by the UIDs of its owners.
pub const BY_OWNER: &str = "owner";

pub struct Watched<K> {
    pub informer: Informer<K>,
    pub cache: Cache<K>,
}

pub struct Informers {
    pub jobs: Watched<Job>,
    pub cron_jobs: Watched<CronJob>,
    pub pods: Watched<Pod>,
    pub nodes: Watched<Node>,
    pub namespaces: Watched<Namespace>,
    pub config_maps: Watched<ConfigMap>,
    pub secrets: Watched<Secret>,
    pub service_accounts: Watched<ServiceAccount>,
}

impl<K> Watched<K>
where
    K: kube::Resource<DynamicType = ()>
        + Metadata<Ty = ObjectMeta>
        + Clone
        + serde::de::DeserializeOwned
        + std::fmt::Debug
        + Send
        + Sync
        + 'static,
{
    fn new(client: &Client) -> Self {
        let (mut informer, cache) = Informer::new(Api::all(client.clone()), ListParams::default());
        informer.add_index(BY_OWNER, |object: &K| owner_uids(Metadata::metadata(object)));
        Watched { informer, cache }
    }

    fn run(self, tasks: &mut Tasks) {
        let informer = self.informer;
        tasks.spawn(async move {
            informer.run().await;
        });
    }
}

fn owner_uids(meta: &ObjectMeta) -> Vec<String> {
    meta.owner_references.iter().flatten().map(|owner| owner.uid.clone()).collect()
}

impl Informers {
    pub fn new(client: &Client) -> Self {
        let mut jobs = Watched::<Job>::new(client);
        jobs.informer.add_index(BY_NAMESPACE, |job: &Job| job.metadata.namespace.iter().cloned().collect());
        let mut pods = Watched::<Pod>::new(client);
        pods.informer.add_index(BY_JOB, |pod: &Pod| {
            ownership::controller(&pod.metadata).filter(|owner| owner.kind == "Job").map(|owner| owner.uid.clone()).into_iter().collect()
        });
        pods.informer.add_index(UNCONTROLLED, |pod: &Pod| match ownership::controller(&pod.metadata) {
            None => pod.metadata.namespace.iter().cloned().collect(),
            Some(_) => Vec::new(),
        });
        Informers {
            jobs,
            cron_jobs: Watched::new(client),
            pods,
            nodes: Watched::new(client),
            namespaces: Watched::new(client),
            config_maps: Watched::new(client),
            secrets: Watched::new(client),
            service_accounts: Watched::new(client),
        }
    }

    pub fn run(self, tasks: &mut Tasks) {
        self.jobs.run(tasks);
        self.cron_jobs.run(tasks);
        self.pods.run(tasks);
        self.nodes.run(tasks);
        self.namespaces.run(tasks);
        self.config_maps.run(tasks);
        self.secrets.run(tasks);
        self.service_accounts.run(tasks);
    }
}

//! Wakes Jobs whose ServiceAccount has appeared: their Pods could not be created before (spec/api.md 6.12).
//!
//! In: new ServiceAccounts. Out: keys of Jobs that use them. Never: the only way back: a failed sync is tried again anyway, just later.

use crate::informers::{BY_NAMESPACE, Informers};
use k8s_openapi::api::{batch::v1::Job, core::v1::ServiceAccount};
use piecework_client::{
    informer::{Delta, object_key},
    workqueue::Workqueue,
};
use piecework_reconcile::job::conditions;

pub fn watch(informers: &mut Informers, queue: &Workqueue<String>) {
    let (queue, jobs) = (queue.clone(), informers.jobs.cache.clone());
    informers.service_accounts.informer.add_handler(move |delta: &Delta<ServiceAccount>| {
        let Delta::Added(account) = delta else { return };
        let name = account.metadata.name.as_deref().unwrap_or_default();
        for job in jobs.by_index(BY_NAMESPACE, account.metadata.namespace.as_deref().unwrap_or_default()) {
            if uses(&job, name) && !conditions::finished(&job) {
                queue.add(object_key(&*job));
            }
        }
    });
}

fn uses(job: &Job, account: &str) -> bool {
    let template = job.spec.as_ref().and_then(|spec| spec.template.spec.as_ref());
    template.and_then(|pod| pod.service_account_name.as_deref()).unwrap_or("default") == account
}

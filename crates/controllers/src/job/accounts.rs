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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::{Tasks, job::applier_tests::api_server};
    use kube::{Api, Client, api::PostParams};
    use piecework_client::backoff::RetryLimits;
    use serde_json::{Value, json};
    use std::time::Duration;

    #[tokio::test]
    async fn a_new_account_wakes_the_jobs_that_use_it() {
        let (router, _directory) = api_server().await;
        let client = Client::new(router, "default");
        let jobs: Api<Job> = Api::default_namespaced(client.clone());
        let job = |name: &str, account: Value| {
            let spec = json!({"restartPolicy": "Never", "serviceAccountName": account, "containers": [{"name": "c", "image": "i"}]});
            serde_json::from_value(json!({"metadata": {"name": name}, "spec": {"template": {"spec": spec}}})).unwrap()
        };
        for (name, account) in [("plain", Value::Null), ("waiting", json!("builder")), ("other", json!("tester"))] {
            jobs.create(&PostParams::default(), &job(name, account)).await.unwrap();
        }
        let queue: Workqueue<String> = Workqueue::new(RetryLimits { base: Duration::from_secs(1), cap: Duration::from_secs(1) });
        let (mut informers, mut tasks) = (Informers::new(&client), Tasks::default());
        watch(&mut informers, &queue);
        let (cached, accounts) = (informers.jobs.cache.clone(), informers.service_accounts.cache.clone());
        informers.run(&mut tasks);
        cached.synced().await;
        accounts.synced().await;
        let api: Api<ServiceAccount> = Api::default_namespaced(client.clone());
        for name in ["builder", "tester"] {
            let account = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
            api.create(&PostParams::default(), &account).await.unwrap();
        }
        // The account `default` may have been listed before the Jobs were, or after.
        let mut woken = Vec::new();
        while woken.len() < 2 {
            let key = queue.get().await.unwrap();
            queue.done(&key);
            woken.extend(Some(key).filter(|key| key != "default/plain"));
        }
        assert_eq!(woken, ["default/waiting", "default/other"]);
    }
}

//! The Pod garbage collector's shell (spec/jobs.md 9.8): looks every 20 s.
//!
//! In: the Pod and Node caches, the clock. Out: Pods failed and force-deleted. Never: takes a node for gone without asking the API server.

use crate::{
    Tasks,
    informers::Informers,
    writes::{self, FIELD_MANAGER},
};
use k8s_openapi::api::core::v1::{Node, Pod};
use kube::{Api, Client, api::PropagationPolicy};
use piecework_client::{
    clock::Clock,
    informer::{Cache, object_key},
    patch::{Patch, is_not_found, patch_status},
};
use piecework_reconcile::podgc::{self, Cause, INTERVAL, NODE_GONE_MESSAGE, Removal, TERMINATED_THRESHOLD};
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
    time::Duration,
};

pub(crate) fn start(informers: &mut Informers, client: &Client, clock: &Arc<dyn Clock>, tasks: &mut Tasks) {
    let shell =
        Shell { client: client.clone(), clock: clock.clone(), pods: informers.pods.cache.clone(), nodes: informers.nodes.cache.clone() };
    tasks.spawn(async move {
        shell.pods.synced().await;
        shell.nodes.synced().await;
        let mut missing = BTreeMap::new();
        let mut ticks = tokio::time::interval(Duration::try_from(INTERVAL).unwrap_or(Duration::from_secs(20)));
        loop {
            ticks.tick().await;
            missing = shell.look(missing).await;
        }
    });
}

struct Shell {
    client: Client,
    clock: Arc<dyn Clock>,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
}

impl Shell {
    async fn look(&self, missing: BTreeMap<String, jiff::Timestamp>) -> BTreeMap<String, jiff::Timestamp> {
        let now = self.clock.now();
        let pods = self.pods.list();
        let nodes: BTreeSet<String> = self.nodes.list().iter().map(|node| object_key(&**node)).collect();
        let missing = podgc::missing(&pods, &nodes, &missing, now);
        for removal in podgc::collect(&pods, &nodes, &missing, TERMINATED_THRESHOLD, now) {
            if let Err(error) = self.remove(&removal, &pods, now).await {
                tracing::debug!(pod = removal.pod.name, %error, "Pod not collected; the next look tries again");
            }
        }
        missing
    }

    async fn remove(&self, removal: &Removal, pods: &[Arc<Pod>], now: jiff::Timestamp) -> Result<(), kube::Error> {
        if removal.cause == Cause::NodeGone && self.node_exists(removal, pods).await? {
            return Ok(());
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &removal.pod.namespace);
        if removal.fail_first {
            let document = json!({"metadata": {"uid": removal.pod.uid}, "status": failure(removal.cause, now)});
            match patch_status::<Pod>(&api, &removal.pod.name, FIELD_MANAGER, &Patch::Strategic(document)).await {
                Err(error) if is_not_found(&error) => return Ok(()),
                outcome => drop(outcome?),
            }
        }
        writes::delete(&api, &removal.pod, PropagationPolicy::Background, Some(0)).await.map(drop)
    }

    async fn node_exists(&self, removal: &Removal, pods: &[Arc<Pod>]) -> Result<bool, kube::Error> {
        let pod = pods.iter().find(|pod| pod.metadata.uid.as_deref() == Some(&removal.pod.uid));
        let Some(node) = pod.and_then(|pod| pod.spec.as_ref()?.node_name.clone()) else { return Ok(true) };
        Ok(Api::<Node>::all(self.client.clone()).get_opt(&node).await?.is_some())
    }
}

fn failure(cause: Cause, now: jiff::Timestamp) -> Value {
    match cause {
        Cause::NodeGone => json!({"phase": "Failed", "conditions": [{
            "type": "DisruptionTarget", "status": "True", "reason": "DeletionByPodGC", "message": NODE_GONE_MESSAGE,
            "lastTransitionTime": now.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()}]}),
        Cause::Threshold | Cause::Unscheduled => json!({"phase": "Failed"}),
    }
}

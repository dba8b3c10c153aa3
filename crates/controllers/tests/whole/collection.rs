//! Deletion with its cascades, and namespaces.

use crate::cluster::{Cluster, finished, job, list_when, object_when};
use k8s_openapi::api::core::v1::{Namespace, Pod};
use kube::{
    Api,
    api::{DeleteParams, PostParams},
};
use piecework_reconcile::ownership::{TRACKING_FINALIZER, controller, has_finalizer};
use serde_json::json;

fn running(pods: &[Pod], count: usize) -> bool {
    pods.iter().filter(|pod| pod.status.as_ref().is_some_and(|status| status.phase.as_deref() == Some("Running"))).count() == count
}

async fn gone(cluster: &Cluster, name: &str) {
    list_when(&cluster.jobs(), |jobs| !jobs.contains_key(name)).await;
}

#[tokio::test]
async fn background_deletion_takes_running_pods_along() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("a", None, json!({"parallelism": 3, "completions": 3}))).await;
    cluster.pods_when(|pods| running(pods, 3)).await;
    cluster.jobs().delete("a", &DeleteParams::background()).await.unwrap();
    gone(&cluster, "a").await;
    cluster.pods_when(|pods| pods.is_empty()).await;
}

#[tokio::test]
async fn foreground_deletion_waits_for_the_pods() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("a", None, json!({"parallelism": 2, "completions": 2}))).await;
    cluster.pods_when(|pods| running(pods, 2)).await;
    cluster.jobs().delete("a", &DeleteParams::foreground()).await.unwrap();
    gone(&cluster, "a").await;
    assert!(cluster.pods_when(|_| true).await.is_empty(), "the Job went last");
}

#[tokio::test]
async fn orphans_stay_and_a_new_job_adopts_them() {
    let cluster = Cluster::with_node().await;
    let old = cluster.create_job(job("old", None, json!({}))).await;
    cluster.pods_when(|pods| running(pods, 1)).await;
    cluster.jobs().delete("old", &DeleteParams::orphan()).await.unwrap();
    gone(&cluster, "old").await;
    let free = |pod: &Pod| {
        controller(&pod.metadata).is_none()
            && !has_finalizer(&pod.metadata, TRACKING_FINALIZER)
            && pod.metadata.deletion_timestamp.is_none()
    };
    let pods = cluster.pods_when(|pods| pods.len() == 1 && free(&pods[0])).await;
    let spec = old.spec.unwrap();
    let labels = spec.template.metadata.unwrap().labels;
    let mut new = job("new", None, json!({"manualSelector": true, "selector": spec.selector}));
    new["spec"]["template"]["metadata"]["labels"] = json!(labels);
    cluster.create_job(new).await;
    let name = pods[0].metadata.name.clone().unwrap();
    let adopted = object_when(&cluster.pods(), &name, |pod| controller(&pod.metadata).is_some_and(|owner| owner.name == "new")).await;
    assert!(has_finalizer(&adopted.metadata, TRACKING_FINALIZER));
    cluster.job_when("new", |job| job.status.as_ref().is_some_and(|status| status.active == Some(1))).await;
    assert_eq!(cluster.pods_when(|_| true).await.len(), 1);
}

#[tokio::test]
async fn deleting_pods_of_a_finished_job_changes_nothing() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("a", Some(0), json!({}))).await;
    let before = cluster.job_when("a", finished).await;
    let pod = cluster.pods_when(|pods| pods.len() == 1).await.remove(0);
    cluster.pods().delete(pod.metadata.name.as_ref().unwrap(), &DeleteParams::default()).await.unwrap();
    cluster.pods_when(|pods| pods.is_empty()).await;
    // A second Job completes after the first one saw the deletion, in the same queue.
    cluster.create_job(job("b", Some(0), json!({}))).await;
    cluster.job_when("b", finished).await;
    assert_eq!(cluster.jobs().get("a").await.unwrap(), before);
}

#[tokio::test]
async fn a_namespace_is_emptied() {
    let cluster = Cluster::with_node().await;
    let namespaces: Api<Namespace> = Api::all(cluster.client.clone());
    let namespace = serde_json::from_value(json!({"metadata": {"name": "work"}})).unwrap();
    namespaces.create(&PostParams::default(), &namespace).await.unwrap();
    let jobs: Api<k8s_openapi::api::batch::v1::Job> = Api::namespaced(cluster.client.clone(), "work");
    jobs.create(&PostParams::default(), &serde_json::from_value(job("a", None, json!({"parallelism": 2, "completions": 2}))).unwrap())
        .await
        .unwrap();
    let pods: Api<Pod> = Api::namespaced(cluster.client.clone(), "work");
    list_when(&pods, |pods| running(&pods.values().cloned().collect::<Vec<_>>(), 2)).await;
    namespaces.delete("work", &DeleteParams::default()).await.unwrap();
    list_when(&namespaces, |all| !all.contains_key("work")).await;
    assert!(pods.list(&Default::default()).await.unwrap().items.is_empty());
    assert!(jobs.list(&Default::default()).await.unwrap().items.is_empty());
}

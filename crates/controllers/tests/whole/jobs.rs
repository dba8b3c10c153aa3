//! Jobs through the whole control plane.

use crate::cluster::{Cluster, conditions, finished, job, object_when};
use futures::TryStreamExt;
use k8s_openapi::api::core::v1::Pod;
use kube::api::WatchParams;
use piecework_client::patch::{Patch, patch};
use piecework_reconcile::ownership::{TRACKING_FINALIZER, controller, has_finalizer};
use serde_json::json;

#[tokio::test]
async fn one_pod_completes() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("pi", Some(0), json!({}))).await;
    let done = cluster.job_when("pi", finished).await;
    assert_eq!(conditions(&done), ["SuccessCriteriaMet", "Complete"]);
    let status = done.status.unwrap();
    assert_eq!((status.succeeded, status.failed, status.active, status.ready, status.terminating), (Some(1), None, None, Some(0), Some(0)));
    assert!(status.completion_time.is_some() && status.start_time.is_some());
    let pods = cluster.pods_when(|pods| pods.len() == 1).await;
    assert!(!has_finalizer(&pods[0].metadata, TRACKING_FINALIZER));
    assert!(pods[0].metadata.name.as_ref().unwrap().starts_with("pi-"));
    assert_eq!(cluster.told("SuccessfulCreate").await, format!("Created pod: {}", pods[0].metadata.name.as_ref().unwrap()));
    assert_eq!(cluster.told("Completed").await, "Job completed");
    assert!(cluster.told("Scheduled").await.ends_with("to node-1"));
}

#[tokio::test]
async fn a_fixed_number_completes_and_nothing_is_counted_twice() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("many", Some(0), json!({"completions": 40, "parallelism": 7}))).await;
    let done = cluster.job_when("many", finished).await;
    assert_eq!(done.status.unwrap().succeeded, Some(40));
    assert_eq!(cluster.pods_when(|_| true).await.len(), 40);
}

#[tokio::test]
async fn failures_use_up_the_limit() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("bad", Some(1), json!({"backoffLimit": 2}))).await;
    let done = cluster.job_when("bad", finished).await;
    assert_eq!(conditions(&done), ["FailureTarget", "Failed"]);
    let status = done.status.unwrap();
    assert_eq!((status.failed, status.completion_time), (Some(3), None));
    assert_eq!(cluster.told("BackoffLimitExceeded").await, "Job has reached the specified backoff limit");
    assert_eq!(cluster.pods_when(|_| true).await.len(), 3);
}

#[tokio::test]
async fn the_deadline_ends_running_pods() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("slow", None, json!({"activeDeadlineSeconds": 1, "parallelism": 3, "completions": 6}))).await;
    let done = cluster.job_when("slow", finished).await;
    let status = done.status.unwrap();
    assert_eq!((status.failed, status.active, status.terminating), (Some(3), None, Some(0)));
    assert_eq!(status.conditions.unwrap()[1].reason.as_deref(), Some("DeadlineExceeded"));
    cluster.pods_when(|pods| pods.is_empty()).await;
}

#[tokio::test]
async fn parallelism_changes_while_running() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("wide", None, json!({"parallelism": 4, "completions": 10}))).await;
    let active = |wanted: i32| {
        move |job: &k8s_openapi::api::batch::v1::Job| {
            job.status.as_ref().is_some_and(|s| s.active.unwrap_or(0) == wanted && s.terminating == Some(0))
        }
    };
    cluster.job_when("wide", active(4)).await;
    for parallelism in [1, 6, 0] {
        let document = Patch::Merge(json!({"spec": {"parallelism": parallelism}}));
        patch::<k8s_openapi::api::batch::v1::Job>(&cluster.jobs(), "wide", "test", &document).await.unwrap();
        let job = cluster.job_when("wide", active(parallelism)).await;
        assert_eq!(job.status.unwrap().failed, None, "scaling down is no failure");
    }
}

#[tokio::test]
async fn an_orphan_is_adopted_and_a_stranger_released() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("keeper", None, json!({}))).await;
    let pods =
        cluster.pods_when(|pods| pods.iter().any(|pod| pod.status.as_ref().is_some_and(|s| s.phase.as_deref() == Some("Running")))).await;
    let name = pods[0].metadata.name.clone().unwrap();
    let orphaned = Patch::Merge(json!({"metadata": {"ownerReferences": null, "finalizers": null}}));
    patch::<Pod>(&cluster.pods(), &name, "test", &orphaned).await.unwrap();
    let tracked = |pod: &Pod| controller(&pod.metadata).is_some() && has_finalizer(&pod.metadata, TRACKING_FINALIZER);
    object_when(&cluster.pods(), &name, tracked).await;
    let renamed = Patch::Merge(json!({"metadata": {"labels": null}}));
    patch::<Pod>(&cluster.pods(), &name, "test", &renamed).await.unwrap();
    let released = object_when(&cluster.pods(), &name, |pod| controller(&pod.metadata).is_none()).await;
    assert!(!has_finalizer(&released.metadata, TRACKING_FINALIZER));
    cluster.pods_when(|pods| pods.len() == 2 && pods.iter().filter(|pod| tracked(pod)).count() == 1).await;
}

/// Killed after every few changes of any Pod, wherever they are in a plan: nothing is lost and nothing is counted twice.
#[tokio::test]
async fn controllers_are_killed_again_and_again() {
    let mut cluster = Cluster::with_node().await;
    cluster.create_job(job("tough", Some(0), json!({"completions": 30, "parallelism": 5}))).await;
    let pods = cluster.pods();
    let mut changes = Box::pin(pods.watch(&WatchParams::default(), "0").await.unwrap());
    let mut kills = 0;
    for every in [1, 2, 3, 5, 8, 13].iter().cycle().take(24) {
        // Waiting for changes makes sure that the controllers before this kill got somewhere.
        for _ in 0..*every {
            tokio::select! {
                biased;
                change = changes.try_next() => drop(change.unwrap()),
                _ = cluster.job_when("tough", finished) => {}
            }
        }
        if finished(&cluster.jobs().get("tough").await.unwrap()) {
            break;
        }
        cluster.restart_controllers();
        kills += 1;
    }
    let done = cluster.job_when("tough", finished).await;
    let status = done.status.unwrap();
    assert!(kills > 5, "only {kills} kills");
    assert_eq!((status.succeeded, status.failed), (Some(30), None));
    let pods = cluster.pods_when(|pods| pods.iter().all(|pod| !has_finalizer(&pod.metadata, TRACKING_FINALIZER))).await;
    assert_eq!(pods.len(), 30);
}

/// Refused writes and lost answers: the count stays exact, and at most a lost creation makes a Pod too many, which is removed uncounted or ends unneeded.
#[tokio::test]
async fn faults_change_no_count() {
    for every in [4, 7] {
        let cluster = Cluster::with_faults(every).await;
        cluster.create_job(job("faulty", Some(0), json!({"completions": 8, "parallelism": 2}))).await;
        cluster.create_job(job("failing", Some(1), json!({"backoffLimit": 2}))).await;
        let done = cluster.job_when("faulty", finished).await;
        assert_eq!(conditions(&done), ["SuccessCriteriaMet", "Complete"]);
        let failed = cluster.job_when("failing", finished).await;
        assert_eq!(conditions(&failed), ["FailureTarget", "Failed"]);
        let pods = cluster.pods_when(|pods| pods.iter().all(|pod| !has_finalizer(&pod.metadata, TRACKING_FINALIZER))).await;
        let ended = |job: &str, phase: &str| {
            let of = |pod: &&Pod| controller(&pod.metadata).is_some_and(|owner| owner.name == job);
            pods.iter().filter(of).filter(|pod| pod.status.as_ref().unwrap().phase.as_deref() == Some(phase)).count() as i32
        };
        assert_eq!(done.status.unwrap().succeeded, Some(ended("faulty", "Succeeded")));
        assert_eq!(failed.status.unwrap().failed, Some(ended("failing", "Failed")));
    }
}

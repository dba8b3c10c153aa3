//! Waiting for nodes and for room.

use crate::cluster::{Cluster, finished, job};
use k8s_openapi::api::core::v1::{Pod, PodCondition};
use serde_json::json;

fn unscheduled(pod: &Pod) -> Option<&PodCondition> {
    pod.status.as_ref()?.conditions.as_ref()?.iter().find(|condition| condition.type_ == "PodScheduled" && condition.status == "False")
}

#[tokio::test]
async fn a_pod_waits_for_a_node_that_fits() {
    let cluster = Cluster::start().await;
    let mut big = job("big", Some(0), json!({}));
    big["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "4"}});
    cluster.create_job(big).await;
    let pods = cluster.pods_when(|pods| pods.iter().any(|pod| unscheduled(pod).is_some())).await;
    let condition = unscheduled(&pods[0]).unwrap();
    assert_eq!(condition.reason.as_deref(), Some("Unschedulable"));
    assert_eq!(condition.message.as_deref(), Some("no nodes available to schedule pods"));
    assert_eq!(cluster.told("FailedScheduling").await, "no nodes available to schedule pods");
    cluster.add_node("small", "2").await;
    let short = |pod: &Pod| {
        unscheduled(pod).is_some_and(|condition| condition.message.as_deref() == Some("0/1 nodes are available: 1 Insufficient cpu."))
    };
    cluster.pods_when(|pods| pods.iter().any(short)).await;
    cluster.add_node("large", "4").await;
    cluster.job_when("big", finished).await;
    let pods = cluster.pods_when(|_| true).await;
    assert_eq!(pods[0].spec.as_ref().unwrap().node_name.as_deref(), Some("large"));
    assert!(unscheduled(&pods[0]).is_none());
}

#[tokio::test]
async fn room_that_becomes_free_is_used() {
    let cluster = Cluster::start().await;
    cluster.add_node("only", "2").await;
    let mut wide = job("wide", Some(0), json!({"parallelism": 5, "completions": 5}));
    wide["spec"]["template"]["spec"]["containers"][0]["resources"] = json!({"requests": {"cpu": "1500m"}});
    cluster.create_job(wide).await;
    let done = cluster.job_when("wide", finished).await;
    assert_eq!(done.status.unwrap().succeeded, Some(5));
}

//! What the controllers count, over whole Jobs (spec/jobs.md 5.2).

use crate::cluster::{Cluster, finished, job};
use piecework_reconcile::ownership::{TRACKING_FINALIZER, has_finalizer};
use serde_json::json;

#[tokio::test]
async fn jobs_and_their_pods_are_counted_once() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("good", Some(0), json!({"completions": 5, "parallelism": 2}))).await;
    cluster.create_job(job("bad", Some(1), json!({"backoffLimit": 2}))).await;
    cluster.job_when("good", finished).await;
    cluster.job_when("bad", finished).await;
    cluster.pods_when(|pods| pods.iter().all(|pod| !has_finalizer(&pod.metadata, TRACKING_FINALIZER))).await;
    let text = cluster.metrics.text();
    for line in [
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\",reason=\"\"} 1",
        "job_controller_jobs_finished_total{completion_mode=\"NonIndexed\",result=\"failed\",reason=\"BackoffLimitExceeded\"} 1",
        "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"succeeded\"} 5",
        "job_controller_job_pods_finished_total{completion_mode=\"NonIndexed\",result=\"failed\"} 3",
        "job_controller_job_pods_creation_total{reason=\"recreate_terminating_or_failed\",status=\"succeeded\"} 2",
        "job_controller_job_pods_creation_total{reason=\"new\",status=\"succeeded\"} 6",
        "job_controller_terminated_pods_tracking_finalizer_total{event=\"add\"} 8",
    ] {
        assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
    }
    for name in ["job_controller_job_syncs_total", "job_controller_job_sync_duration_seconds_count"] {
        let start = format!("{name}{{completion_mode=\"NonIndexed\",result=\"success\",action=\"pods_created\"}} ");
        assert!(text.lines().any(|line| line.starts_with(&start)), "{start} in\n{text}");
    }
}

//! What the controllers count, over whole Jobs (spec/jobs.md 5.2).

use crate::cluster::{Cluster, job, object_when};
use k8s_openapi::api::batch::v1::CronJob;
use kube::{Api, api::PostParams};
use piecework_reconcile::ownership::{TRACKING_FINALIZER, has_finalizer};
use serde_json::json;

#[tokio::test]
async fn jobs_and_their_pods_are_counted_once() {
    let cluster = Cluster::with_node().await;
    cluster.create_job(job("good", Some(0), json!({"completions": 5, "parallelism": 2}))).await;
    cluster.create_job(job("bad", Some(1), json!({"backoffLimit": 2}))).await;
    // Told after the last status write was answered, and so counted.
    cluster.told("Completed").await;
    cluster.told("BackoffLimitExceeded").await;
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

#[tokio::test]
async fn the_delay_of_a_cron_jobs_start_is_measured() {
    let cluster = Cluster::with_node().await;
    let cron_jobs: Api<CronJob> = Api::default_namespaced(cluster.client.clone());
    let template = job("tick", Some(0), json!({}))["spec"].clone();
    let cron_job = json!({"metadata": {"name": "tick"}, "spec": {"schedule": "@every 1s", "jobTemplate": {"spec": template}}});
    cron_jobs.create(&PostParams::default(), &serde_json::from_value(cron_job).unwrap()).await.unwrap();
    // The status is written after the Job was created and counted.
    object_when(&cron_jobs, "tick", |tick: &CronJob| tick.status.as_ref().is_some_and(|status| status.last_schedule_time.is_some())).await;
    let text = cluster.metrics.text();
    let counted = text.lines().find_map(|line| line.strip_prefix("cronjob_controller_job_creation_skew_duration_seconds_count "));
    assert!(counted.is_some_and(|count| count.parse::<u32>().unwrap() >= 1), "{text}");
}

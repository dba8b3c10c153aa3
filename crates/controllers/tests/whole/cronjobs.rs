//! CronJobs through the whole control plane. Intervals are the machine's own seconds: the pure crate has the tables.

use crate::cluster::{Cluster, EXIT, finished, list_when, object_when};
use k8s_openapi::api::{
    batch::v1::{CronJob, Job},
    core::v1::Event,
};
use kube::{
    Api,
    api::{DeleteParams, PostParams, PropagationPolicy},
};
use piecework_client::patch::{Patch, patch};
use piecework_reconcile::ownership::controller;
use serde_json::{Value, json};
use std::collections::{BTreeMap, BTreeSet};

fn cron_jobs(cluster: &Cluster) -> Api<CronJob> {
    Api::namespaced(cluster.client.clone(), "default")
}

/// `tick`; its Pods exit with `exit`, or run until they are deleted.
async fn create(cluster: &Cluster, schedule: &str, exit: Option<i32>, more: Value) -> CronJob {
    let annotations = exit.map_or(json!({}), |code| json!({EXIT: code.to_string()}));
    let template = json!({"metadata": {"annotations": annotations}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "perl"}]}});
    let mut spec = json!({"schedule": schedule, "jobTemplate": {"metadata": {"labels": {"made": "by-tick"}}, "spec": {"backoffLimit": 0, "template": template}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    let object = serde_json::from_value(json!({"metadata": {"name": "tick"}, "spec": spec})).unwrap();
    cron_jobs(cluster).create(&PostParams::default(), &object).await.unwrap()
}

fn active(cron_job: &CronJob) -> Vec<String> {
    let status = cron_job.status.iter().flat_map(|status| status.active.iter().flatten());
    status.filter_map(|entry| entry.name.clone()).collect()
}

/// Every Job that ever existed, told by the Events about its creation.
async fn created(cluster: &Cluster, at_least: usize) -> Vec<String> {
    let events: Api<Event> = Api::namespaced(cluster.client.clone(), "default");
    let names = |events: &BTreeMap<String, Event>| -> Vec<String> {
        let told = events.values().filter_map(|event| event.message.as_deref()?.strip_prefix("Created job "));
        told.map(str::to_owned).collect()
    };
    names(&list_when(&events, |events| names(events).len() >= at_least).await)
}

#[tokio::test]
async fn jobs_start_again_and_again_and_the_history_stays_short() {
    let cluster = Cluster::with_node().await;
    let cron_job = create(&cluster, "@every 1s", Some(0), json!({"successfulJobsHistoryLimit": 2})).await;
    let names = created(&cluster, 5).await;
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len(), "each planned time once: {names:?}");
    cluster.told("SuccessfulDelete").await;
    let paused = patch::<CronJob>(&cron_jobs(&cluster), "tick", "test", &Patch::Merge(json!({"spec": {"suspend": true}}))).await.unwrap();
    assert_eq!(paused.metadata.generation, Some(2));
    let settled = list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| jobs.len() == 2 && jobs.values().all(finished)).await;
    for job in settled.values() {
        let owner = controller(&job.metadata).unwrap();
        assert_eq!(
            (owner.kind.as_str(), &owner.uid, owner.block_owner_deletion),
            ("CronJob", cron_job.metadata.uid.as_ref().unwrap(), Some(true))
        );
        assert_eq!(job.metadata.labels.as_ref().unwrap()["made"], "by-tick");
    }
    let last = object_when(&cron_jobs(&cluster), "tick", |cron_job| active(cron_job).is_empty()).await.status.unwrap();
    assert!(last.last_schedule_time.is_some() && last.last_successful_time.is_some());
    assert!(cluster.told("SawCompletedJob").await.ends_with(", condition: Complete"));
}

#[tokio::test]
async fn failed_jobs_have_a_limit_of_their_own() {
    let cluster = Cluster::with_node().await;
    create(&cluster, "@every 1s", Some(1), json!({})).await;
    assert!(cluster.told("SuccessfulDelete").await.starts_with("Deleted job tick-"));
    assert!(cluster.told("SawCompletedJob").await.ends_with(", condition: Failed"));
}

#[tokio::test]
async fn forbid_waits_and_allow_does_not() {
    let cluster = Cluster::with_node().await;
    create(&cluster, "@every 1s", None, json!({"concurrencyPolicy": "Forbid"})).await;
    assert!(cluster.told("JobAlreadyActive").await.starts_with("Not starting job because prior execution is running"));
    let jobs = list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| !jobs.is_empty()).await;
    assert_eq!(jobs.len(), 1);
    patch::<CronJob>(&cron_jobs(&cluster), "tick", "test", &Patch::Merge(json!({"spec": {"concurrencyPolicy": "Allow"}}))).await.unwrap();
    object_when(&cron_jobs(&cluster), "tick", |cron_job| active(cron_job).len() >= 3).await;
}

#[tokio::test]
async fn replace_ends_the_one_before() {
    let cluster = Cluster::with_node().await;
    create(&cluster, "@every 1s", None, json!({"concurrencyPolicy": "Replace"})).await;
    let first = active(&object_when(&cron_jobs(&cluster), "tick", |cron_job| !active(cron_job).is_empty()).await);
    let second =
        active(&object_when(&cron_jobs(&cluster), "tick", |cron_job| !active(cron_job).is_empty() && active(cron_job) != first).await);
    assert_eq!((first.len(), second.len()), (1, 1));
    list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| !jobs.contains_key(&first[0])).await;
    // Their Pods go with them.
    cluster.pods_when(|pods| !pods.iter().any(|pod| controller(&pod.metadata).is_some_and(|owner| owner.name == first[0]))).await;
}

#[tokio::test]
async fn a_job_made_by_hand_is_seen_but_not_counted() {
    let cluster = Cluster::with_node().await;
    let cron_job = create(&cluster, "0 0 1 1 *", None, json!({})).await;
    let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "tick", "uid": cron_job.metadata.uid, "controller": true});
    let mut job = crate::cluster::job("by-hand", None, json!({}));
    job["metadata"]["annotations"] = json!({"cronjob.kubernetes.io/instantiate": "manual"});
    job["metadata"]["ownerReferences"] = json!([owner]);
    let made = cluster.create_job(job).await;
    assert_eq!(controller(&made.metadata).unwrap().uid, cron_job.metadata.uid.unwrap());
    assert_eq!(cluster.told("UnexpectedJob").await, "Saw a job that the controller did not create or forgot: by-hand");
    assert!(active(&cron_jobs(&cluster).get("tick").await.unwrap()).is_empty());
    // It goes with its CronJob.
    cron_jobs(&cluster).delete("tick", &DeleteParams::default()).await.unwrap();
    list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| jobs.is_empty()).await;
    cluster.pods_when(|pods| pods.is_empty()).await;
}

#[tokio::test]
async fn a_listed_job_that_vanished_is_taken_off() {
    let cluster = Cluster::with_node().await;
    create(&cluster, "@every 1s", None, json!({"concurrencyPolicy": "Forbid"})).await;
    let cron_job = object_when(&cron_jobs(&cluster), "tick", |cron_job| !active(cron_job).is_empty()).await;
    let parameters = DeleteParams { propagation_policy: Some(PropagationPolicy::Background), ..DeleteParams::default() };
    cluster.jobs().delete(&active(&cron_job)[0], &parameters).await.unwrap();
    assert_eq!(cluster.told("MissingJob").await, format!("Active job went missing: {}", active(&cron_job)[0]));
    object_when(&cron_jobs(&cluster), "tick", |now| !active(now).is_empty() && active(now) != active(&cron_job)).await;
}

/// Worked case 18, with seconds for minutes: after a stop of the controllers one Job makes up for all that was missed.
#[tokio::test]
async fn after_a_stop_one_job_makes_up_for_all() {
    let mut cluster = Cluster::with_node().await;
    create(&cluster, "0 0 1 1 *", Some(0), json!({"suspend": true})).await;
    // Two hours ago, as if the controllers had been down since.
    let two_hours_ago = jiff::Timestamp::from_second(now().as_second() - 7200).unwrap();
    let status = json!({"status": {"lastScheduleTime": two_hours_ago}});
    piecework_client::patch::patch_status::<CronJob>(&cron_jobs(&cluster), "tick", "test", &Patch::Merge(status)).await.unwrap();
    cluster.restart_controllers();
    let before = now();
    let change = json!({"spec": {"suspend": false, "schedule": "*/5 * * * *"}});
    patch::<CronJob>(&cron_jobs(&cluster), "tick", "test", &Patch::Merge(change)).await.unwrap();
    cluster.restart_controllers();
    let cron_job = object_when(&cron_jobs(&cluster), "tick", |cron_job| {
        cron_job.status.as_ref().is_some_and(|status| status.last_schedule_time.as_ref().is_some_and(|last| last.0 > two_hours_ago))
    })
    .await;
    let planned = cron_job.status.unwrap().last_schedule_time.unwrap().0;
    assert!(planned.as_second() % 300 == 0 && before.as_second() - planned.as_second() < 300 && planned <= now());
    // By its Jobs: an Event may be lost with the controllers that were stopped.
    let jobs = list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| !jobs.is_empty()).await;
    assert_eq!(jobs.into_keys().collect::<Vec<_>>(), [format!("tick-{}", planned.as_second() / 60)]);
}

#[allow(clippy::disallowed_methods)] // The controllers under test use the machine's clock.
fn now() -> jiff::Timestamp {
    jiff::Timestamp::now()
}

#[tokio::test]
async fn lost_answers_and_refusals_make_no_second_job() {
    let cluster = Cluster::with_faults(3).await;
    create(&cluster, "@every 2s", Some(0), json!({"successfulJobsHistoryLimit": 50})).await;
    let jobs = list_when(&cluster.jobs(), |jobs: &BTreeMap<String, Job>| jobs.values().filter(|job| finished(job)).count() >= 4).await;
    let planned: Vec<&String> =
        jobs.values().map(|job| &job.metadata.annotations.as_ref().unwrap()["batch.kubernetes.io/cronjob-scheduled-timestamp"]).collect();
    assert_eq!(planned.iter().collect::<BTreeSet<_>>().len(), planned.len(), "{planned:?}");
}

//! The TTL shell against an API server in this process, with a clock that the test sets. Nothing waits for the passing of time.
#![allow(clippy::unwrap_used)]

use super::*;
use axum::{Router, extract::Request, http::Method, response::Response};
use futures::{StreamExt, TryStreamExt};
use jiff::SignedDuration;
use k8s_openapi::api::core::v1::Pod;
use kube::{
    Resource,
    api::{ListParams, Patch, PatchParams, PostParams, WatchEvent, WatchParams},
};
use piecework_apiserver::{ApiServer, Identity, Options as ServerOptions, pki::Pki};
use piecework_store::{EmbeddedOptions, EmbeddedStore};
use serde_json::{Value, json};
use std::{convert::Infallible, fmt::Debug, sync::Mutex};
use tower::ServiceExt;

/// The time, and the one that comes as soon as this one was read.
#[derive(Clone)]
struct SetClock(Arc<Mutex<(Timestamp, Option<Timestamp>)>>);

impl SetClock {
    fn at(seconds: i64) -> Self {
        SetClock(Arc::new(Mutex::new((seconds_after_finish(seconds), None))))
    }
}

impl Clock for SetClock {
    fn now(&self) -> Timestamp {
        let mut clock = self.0.lock().unwrap();
        let now = clock.0;
        clock.0 = clock.1.take().unwrap_or(now);
        now
    }
}

struct World {
    client: Client,
    jobs: Api<Job>,
    clock: SetClock,
    metrics: Arc<Metrics>,
    /// Method, path and body of every DELETE.
    deletes: Arc<Mutex<Vec<(String, Value)>>>,
    _running: Tasks,
    _directory: tempfile::TempDir,
}

const FINISHED: &str = "2026-01-01T00:00:00Z";

fn seconds_after_finish(seconds: i64) -> Timestamp {
    FINISHED.parse::<Timestamp>().unwrap() + SignedDuration::from_secs(seconds)
}

/// The TTL and garbage-collection shells at `seconds` after the Jobs finished.
async fn world(seconds: i64) -> World {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&directory.path().join("store"), EmbeddedOptions::default()).unwrap();
    let kubelet_client = Pki::open(directory.path()).unwrap().client_config("system:apiserver", &["system:masters"]).unwrap();
    let server = ApiServer::new(ServerOptions { store, advertise: "127.0.0.1:6443".into(), kubelet_client }).await.unwrap();
    let router = server.in_process(Identity { user: "admin".into(), groups: vec!["system:masters".into()] });
    let deletes = Arc::new(Mutex::new(Vec::new()));
    let client = Client::new(recording(router, deletes.clone()), "default");
    let clock = SetClock::at(seconds);
    let metrics = Arc::new(Metrics::default());
    let options = Options { metrics: metrics.clone(), ..Options::default() };
    let (mut informers, mut tasks) = (Informers::new(&client), Tasks::default());
    let shared: Arc<dyn Clock> = Arc::new(clock.clone());
    start(&mut informers, &client, &shared, &options, &mut tasks);
    crate::gc::start(&mut informers, &client, &mut tasks);
    informers.run(&mut tasks);
    World { jobs: Api::default_namespaced(client.clone()), client, clock, metrics, deletes, _running: tasks, _directory: directory }
}

fn recording(
    router: Router,
    deletes: Arc<Mutex<Vec<(String, Value)>>>,
) -> impl tower::Service<Request<kube::client::Body>, Response = Response, Error = Infallible, Future: Send> + Clone {
    tower::service_fn(move |request: Request<kube::client::Body>| {
        let (router, deletes) = (router.clone(), deletes.clone());
        async move {
            if request.method() != Method::DELETE {
                return router.oneshot(request.map(axum::body::Body::new)).await;
            }
            let (parts, body) = request.into_parts();
            let bytes = body.collect_bytes().await.unwrap();
            deletes.lock().unwrap().push((parts.uri.path().to_owned(), serde_json::from_slice(&bytes).unwrap_or_default()));
            router.oneshot(Request::from_parts(parts, axum::body::Body::from(bytes))).await
        }
    })
}

impl World {
    /// A Job that no Job controller looks at, so that its end is the test's word.
    async fn create(&self, name: &str, ttl: Value) -> Job {
        let spec = json!({"parallelism": 0, "ttlSecondsAfterFinished": ttl,
            "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}});
        let job = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        self.jobs.create(&PostParams::default(), &job).await.unwrap()
    }

    async fn finish(&self, name: &str) {
        let condition = |type_: &str| json!({"type": type_, "status": "True", "reason": "BackoffLimitExceeded", "message": "", "lastProbeTime": FINISHED, "lastTransitionTime": FINISHED});
        let document = json!({"status": {"startTime": FINISHED, "conditions": [condition("FailureTarget"), condition("Failed")]}});
        self.jobs.patch_status(name, &PatchParams::default(), &Patch::Merge(document)).await.unwrap();
    }

    async fn set_ttl(&self, name: &str, ttl: Value) {
        let document = json!({"spec": {"ttlSecondsAfterFinished": ttl}});
        self.jobs.patch(name, &PatchParams::default(), &Patch::Merge(document)).await.unwrap();
    }

    fn set(&self, seconds: i64) {
        *self.clock.0.lock().unwrap() = (seconds_after_finish(seconds), None);
    }

    /// Returns when the object is gone.
    async fn gone<K>(&self, api: &Api<K>, name: &str)
    where
        K: Resource + Clone + Debug + serde::de::DeserializeOwned,
    {
        let listed = api.list(&ListParams::default().fields(&format!("metadata.name={name}"))).await.unwrap();
        if listed.items.is_empty() {
            return;
        }
        let from = listed.metadata.resource_version.unwrap();
        let watch = api.watch(&WatchParams::default().fields(&format!("metadata.name={name}")), &from).await.unwrap();
        let deleted = watch.try_filter(|event| futures::future::ready(matches!(event, WatchEvent::Deleted(_))));
        std::pin::pin!(deleted).next().await.unwrap().unwrap();
    }

    /// Returns when this line is told: the shell counts after the answer, which the watch may overtake.
    async fn counted(&self, line: &str) {
        while !self.metrics.text().lines().any(|told| told == line) {
            tokio::task::yield_now().await;
        }
    }

    fn deleted(&self, name: &str) -> Vec<Value> {
        let path = format!("/apis/batch/v1/namespaces/default/jobs/{name}");
        self.deletes.lock().unwrap().iter().filter(|(deleted, _)| *deleted == path).map(|(_, body)| body.clone()).collect()
    }
}

#[tokio::test]
async fn an_expired_job_goes_in_the_foreground_with_its_pods() {
    let world = world(1000).await;
    let job = world.create("over", json!(100)).await;
    let owner = json!({"apiVersion": "batch/v1", "kind": "Job", "name": "over", "uid": job.metadata.uid, "controller": true, "blockOwnerDeletion": true});
    let pod = json!({"metadata": {"name": "over-pod", "ownerReferences": [owner]}, "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}});
    let pods: Api<Pod> = Api::default_namespaced(world.client.clone());
    pods.create(&PostParams::default(), &serde_json::from_value(pod).unwrap()).await.unwrap();
    world.finish("over").await;
    world.gone(&world.jobs, "over").await;
    assert!(pods.get_opt("over-pod").await.unwrap().is_none(), "in the foreground the Pods go first");
    let deletes = world.deleted("over");
    assert_eq!(deletes.len(), 1, "{deletes:?}");
    assert_eq!((&deletes[0]["propagationPolicy"], &deletes[0]["preconditions"]), (&json!("Foreground"), &json!({"uid": job.metadata.uid})));
    world.counted("ttl_after_finished_controller_job_deletion_duration_seconds_sum 900").await;
}

#[tokio::test]
async fn zero_means_at_once() {
    let world = world(0).await;
    world.create("zero", json!(0)).await;
    world.finish("zero").await;
    world.gone(&world.jobs, "zero").await;
}

/// Jobs that must stay are finished first; when the Job that comes last is gone, the queue has passed them all.
#[tokio::test]
async fn what_has_time_left_stays_and_a_changed_ttl_counts() {
    let world = world(1000).await;
    for (name, ttl) in
        [("no-ttl", Value::Null), ("long", json!(5000)), ("running", json!(0)), ("raised", json!(2000)), ("lowered", json!(5000))]
    {
        world.create(name, ttl).await;
        if name != "running" {
            world.finish(name).await;
        }
    }
    world.set_ttl("raised", json!(5000)).await;
    world.set_ttl("lowered", json!(10)).await;
    world.gone(&world.jobs, "lowered").await;
    world.set(3000);
    for number in 0..2 {
        let name = format!("last-{number}");
        world.create(&name, json!(0)).await;
        world.finish(&name).await;
        world.gone(&world.jobs, &name).await;
    }
    for name in ["no-ttl", "long", "running", "raised"] {
        assert_eq!(world.deleted(name), [Value::Null; 0], "{name}");
        assert!(world.jobs.get(name).await.unwrap().metadata.deletion_timestamp.is_none(), "{name}");
    }
}

/// The first look comes 30 ms too early; nothing but the queue's own timer causes the second.
#[tokio::test]
async fn the_timer_brings_an_unexpired_job_back() {
    let world = world(1000).await;
    let expiry = seconds_after_finish(1000);
    *world.clock.0.lock().unwrap() = (expiry - SignedDuration::from_millis(30), Some(expiry));
    world.create("soon", json!(1000)).await;
    world.finish("soon").await;
    world.gone(&world.jobs, "soon").await;
    world.counted("ttl_after_finished_controller_job_deletion_duration_seconds_sum 0").await;
}

/// The cache shows an expired Job, the API server a raised TTL: the fresh read saves it.
#[tokio::test]
async fn a_fresh_read_decides() {
    let world = world(1000).await;
    world.create("saved", json!(5000)).await;
    world.finish("saved").await;
    let raised = world.jobs.get("saved").await.unwrap();
    let (informer, cache) = piecework_client::informer::Informer::<Job>::new(world.jobs.clone(), ListParams::default());
    let following = tokio::spawn(informer.run());
    cache.synced().await;
    following.abort();
    let _ = following.await;
    assert_eq!(cache.get("default/saved").unwrap().metadata.resource_version, raised.metadata.resource_version);
    let cleaner = Cleaner { client: world.client.clone(), jobs: cache, clock: Arc::new(SetClock::at(6000)), metrics: Arc::default() };
    world.set_ttl("saved", json!(9000)).await;
    assert_eq!(cleaner.sync("default/saved".into()).await.unwrap(), Again::After(Duration::from_secs(3000)));
    world.set_ttl("saved", Value::Null).await;
    assert_eq!(cleaner.sync("default/saved".into()).await.unwrap(), Again::No);
    assert_eq!(world.deleted("saved"), [Value::Null; 0]);
    // Another Job of that name is none of the cache's business.
    world.jobs.delete("saved", &kube::api::DeleteParams::background()).await.unwrap();
    world.gone(&world.jobs, "saved").await;
    world.create("saved", json!(0)).await;
    assert_eq!(cleaner.sync("default/saved".into()).await.unwrap(), Again::No);
    assert!(world.jobs.get("saved").await.unwrap().metadata.deletion_timestamp.is_none());
}

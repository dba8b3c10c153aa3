//! The applier alone, against an API server in this process, with a cache whose state the test chooses.
#![allow(clippy::unwrap_used)]

use super::{applier::Applier, memory::Memory};
use axum::{
    Json, Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Pod},
};
use kube::{
    Api, Client,
    api::{DeleteParams, ListParams, PostParams},
};
use piecework_apiserver::{ApiServer, Identity, Options, pki::Pki};
use piecework_client::{
    clock::{Clock, SystemClock},
    informer::{Cache, Informer},
    recorder::Recorder,
};
use piecework_reconcile::{
    job::{Plan, Settings, Stage, template},
    ownership::{self, ObjectRef},
};
use piecework_store::{EmbeddedOptions, EmbeddedStore};
use serde_json::{Value, json};
use std::{convert::Infallible, sync::Arc};
use tower::ServiceExt;

pub(crate) async fn api_server() -> (Router, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    let store = EmbeddedStore::open(&directory.path().join("store"), EmbeddedOptions::default()).unwrap();
    let kubelet_client = Pki::open(directory.path()).unwrap().client_config("system:apiserver", &["system:masters"]).unwrap();
    let server = ApiServer::new(Options { store, advertise: "127.0.0.1:6443".into(), kubelet_client }).await.unwrap();
    (server.in_process(Identity { user: "admin".into(), groups: vec!["system:masters".into()] }), directory)
}

async fn create_job(client: &Client) -> Job {
    let job = json!({"metadata": {"name": "j"}, "spec": {"template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "i"}]}}}});
    Api::default_namespaced(client.clone()).create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap()
}

fn applier(client: &Client, pods: Cache<Pod>) -> (Applier, Recorder, Memory) {
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let (memory, recorder) = (Memory::new(Settings::default()), Recorder::new(client.clone(), "test", clock.clone()));
    (Applier::new(client.clone(), recorder.clone(), pods, memory.clone(), clock, Arc::default()), recorder, memory)
}

/// A cache that has seen everything up to now and then stands still.
async fn frozen_cache(client: &Client) -> Cache<Pod> {
    let (informer, cache) = Informer::<Pod>::new(Api::default_namespaced(client.clone()), ListParams::default());
    let following = tokio::spawn(informer.run());
    cache.synced().await;
    following.abort();
    cache
}

async fn told(client: &Client, recorder: &Recorder) -> Vec<String> {
    recorder.flush().await;
    let events: Api<Event> = Api::default_namespaced(client.clone());
    let line = |event: Event| format!("{}: {}", event.reason.unwrap_or_default(), event.message.unwrap_or_default());
    events.list(&ListParams::default()).await.unwrap().items.into_iter().map(line).collect()
}

/// A Pod that somebody deletes between the decision to delete it and the request: the cache has shown that deletion already and will not show it
/// again, so the Job must not wait for it (the expectation would hold it up for five minutes).
#[tokio::test]
async fn a_deletion_that_the_cache_shows_already_is_not_waited_for() {
    let (router, _directory) = api_server().await;
    let client = Client::new(router, "default");
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let mut decided = Vec::new();
    for name in ["deleted-meanwhile", "running"] {
        let spec = json!({"restartPolicy": "Never", "nodeName": "n", "containers": [{"name": "c", "image": "i"}]});
        let pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        decided.push(pods.create(&PostParams::default(), &pod).await.unwrap());
    }
    pods.delete("deleted-meanwhile", &DeleteParams::default()).await.unwrap();
    let cache = frozen_cache(&client).await;
    assert!(cache.get("default/deleted-meanwhile").unwrap().metadata.deletion_timestamp.is_some());

    let job = create_job(&client).await;
    let uid = ownership::uid(&job.metadata);
    let (applier, _, memory) = applier(&client, cache);
    memory.of(uid);
    let victims = decided.iter().map(|pod| ObjectRef::of(&pod.metadata)).collect();
    let plan = Plan { stages: vec![Stage::DeletePods { pods: victims, uncounted: false }], ..Plan::default() };
    applier.apply(&job, plan).await.unwrap();
    let waited_for: Vec<String> = memory.of(uid).deletions.into_iter().collect();
    assert_eq!(waited_for, [ownership::uid(&decided[1].metadata)], "only the deletion that the cache has yet to show");
}

/// Scaling down is conditional on the Pod as it was decided on; one that has changed since is left for the next sync, without a Warning.
#[tokio::test]
async fn a_pod_that_has_changed_is_no_failed_delete() {
    let (router, _directory) = api_server().await;
    let client = Client::new(router, "default");
    let job = create_job(&client).await;
    let pods: Api<Pod> = Api::default_namespaced(client.clone());
    let pod = pods.create(&PostParams::default(), &template::pod(&job).unwrap()).await.unwrap();
    let stale = ObjectRef { resource_version: "1".into(), ..ObjectRef::of(&pod.metadata) };
    let (applier, recorder, memory) = applier(&client, frozen_cache(&client).await);
    memory.of(ownership::uid(&job.metadata));
    let plan = Plan { stages: vec![Stage::DeletePods { pods: vec![stale], uncounted: true }], ..Plan::default() };
    applier.apply(&job, plan).await.unwrap_err();
    assert_eq!(told(&client, &recorder).await, [""; 0]);
    assert!(memory.of(ownership::uid(&job.metadata)).deletions.is_empty());
    assert!(pods.get(pod.metadata.name.as_deref().unwrap()).await.unwrap().metadata.deletion_timestamp.is_none());
}

/// spec/jobs.md 5.1: `Error creating: <error>` in the server's words, and nothing when the namespace is going away.
#[tokio::test]
async fn refused_creations_are_told_in_the_servers_words() {
    let quota = r#"pods "j-x" is forbidden: exceeded quota: few"#;
    let leaving = r#"pods "j-x" is forbidden: unable to create new content in namespace default because it is being terminated"#;
    let cause = json!({"causes": [{"reason": "NamespaceTerminating", "message": "namespace default is being terminated", "field": "metadata.namespace"}]});
    // (message, details, Events)
    let rows = [(quota, json!({}), vec![format!("FailedCreate: Error creating: {quota}")]), (leaving, cause, vec![])];
    for (message, details, expected) in rows {
        let (router, _directory) = api_server().await;
        let refusal = json!({"kind": "Status", "apiVersion": "v1", "status": "Failure", "reason": "Forbidden", "code": 403, "message": message, "details": details});
        let client = Client::new(refusing_pods(router, refusal), "default");
        let job = create_job(&client).await;
        let uid = ownership::uid(&job.metadata);
        let (applier, recorder, memory) = applier(&client, frozen_cache(&client).await);
        memory.of(uid);
        let plan = Plan { stages: vec![Stage::CreatePods(vec![template::pod(&job).unwrap(); 3])], ..Plan::default() };
        applier.apply(&job, plan).await.unwrap_err();
        assert_eq!(told(&client, &recorder).await, expected);
        assert_eq!(memory.of(uid).creations, 0, "nothing is waited for");
    }
}

fn refusing_pods(
    router: Router,
    refusal: Value,
) -> impl tower::Service<Request<kube::client::Body>, Response = Response, Error = Infallible, Future: Send> + Clone {
    tower::service_fn(move |request: Request<kube::client::Body>| {
        let (router, refusal) = (router.clone(), refusal.clone());
        async move {
            if request.method() == Method::POST && request.uri().path().ends_with("/pods") {
                return Ok((StatusCode::FORBIDDEN, Json(refusal)).into_response());
            }
            router.oneshot(request.map(axum::body::Body::new)).await
        }
    })
}

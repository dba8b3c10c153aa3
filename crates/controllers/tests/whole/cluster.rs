//! One API server, all controllers, one scripted node agent.

use axum::{
    Router,
    extract::Request,
    http::{Method, StatusCode},
    response::{IntoResponse, Response},
};
use futures::TryStreamExt;
use k8s_openapi::api::{
    batch::v1::Job,
    core::v1::{Event, Node, Pod},
};
use kube::{
    Api, Client, Resource,
    api::{DeleteParams, ListParams, PostParams, Preconditions, WatchEvent, WatchParams},
};
use piecework_apiserver::{ApiServer, Identity, Options, pki::Pki};
use piecework_client::{
    clock::SystemClock,
    informer::{Delta, Informer},
    patch::{Patch, patch_status},
};
use piecework_controllers::metrics::Metrics;
use piecework_store::{EmbeddedOptions, EmbeddedStore};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::{collections::BTreeMap, fmt::Debug, sync::Arc, time::Duration};
use tokio::{sync::mpsc, task::JoinSet};
use tower::ServiceExt;

/// A test that waits longer than this has failed.
const PATIENCE: Duration = Duration::from_secs(30);
/// Annotation of a Pod: the exit codes of its containers' runs; without it the Pod runs until it is deleted.
pub const EXIT: &str = "test/exit";

pub struct Cluster {
    pub client: Client,
    /// What the controllers use; may be faulty.
    controllers_client: Client,
    controllers: JoinSet<()>,
    /// What the controllers have counted, over restarts.
    pub metrics: Arc<Metrics>,
    _agent: JoinSet<()>,
    _directory: tempfile::TempDir,
}

impl Cluster {
    pub async fn start() -> Cluster {
        Cluster::start_with(None).await
    }

    /// Every so many writes of the controllers fail, in turn before and after they took effect.
    pub async fn with_faults(every: usize) -> Cluster {
        let cluster = Cluster::start_with(Some(every)).await;
        cluster.add_node("node-1", "8").await;
        cluster
    }

    async fn start_with(faults: Option<usize>) -> Cluster {
        let directory = tempfile::tempdir().unwrap();
        let store = EmbeddedStore::open(&directory.path().join("store"), EmbeddedOptions::default()).unwrap();
        let pki = Pki::open(directory.path()).unwrap();
        let kubelet_client = pki.client_config("system:apiserver", &["system:masters"]).unwrap();
        let server = ApiServer::new(Options { store, advertise: "127.0.0.1:6443".into(), kubelet_client }).await.unwrap();
        let admin = Identity { user: "admin".into(), groups: vec!["system:masters".into()] };
        let router = server.in_process(admin);
        let client = Client::new(router.clone(), "default");
        let controllers_client = faults.map_or_else(|| client.clone(), |every| Client::new(faulty(router, every), "default"));
        let mut agents = JoinSet::new();
        agents.spawn(agent(client.clone()));
        let mut cluster = Cluster {
            client,
            controllers_client,
            controllers: JoinSet::new(),
            metrics: Arc::default(),
            _agent: agents,
            _directory: directory,
        };
        cluster.restart_controllers();
        cluster
    }

    /// Kills all controllers wherever they are and starts them anew.
    pub fn restart_controllers(&mut self) {
        self.controllers = JoinSet::new();
        // No delay between retries: the delays are tested in the pure crate.
        let options =
            piecework_controllers::Options { job_backoff_cap: Duration::ZERO, metrics: self.metrics.clone(), ..Default::default() };
        self.controllers.spawn(piecework_controllers::run(self.controllers_client.clone(), Arc::new(SystemClock), options));
    }

    pub async fn with_node() -> Cluster {
        let cluster = Cluster::start().await;
        cluster.add_node("node-1", "8").await;
        cluster
    }

    pub async fn add_node(&self, name: &str, cpu: &str) {
        let nodes: Api<Node> = Api::all(self.client.clone());
        let node = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        nodes.create(&PostParams::default(), &node).await.unwrap();
        let status = json!({"status": {"allocatable": {"cpu": cpu, "memory": "16Gi", "pods": "1000"}, "capacity": {"cpu": cpu, "memory": "16Gi", "pods": "1000"},
            "conditions": [{"type": "Ready", "status": "True", "reason": "KubeletReady", "message": "", "lastHeartbeatTime": "2026-01-01T00:00:00Z",
                "lastTransitionTime": "2026-01-01T00:00:00Z"}]}});
        patch_status::<Node>(&nodes, name, "test", &Patch::Merge(status)).await.unwrap();
    }

    pub fn jobs(&self) -> Api<Job> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), "default")
    }

    pub async fn create_job(&self, job: Value) -> Job {
        self.jobs().create(&PostParams::default(), &serde_json::from_value(job).unwrap()).await.unwrap()
    }

    /// Waits until the Job looks as wanted.
    pub async fn job_when(&self, name: &str, wanted: impl Fn(&Job) -> bool) -> Job {
        object_when(&self.jobs(), name, wanted).await
    }

    /// Waits until the list of Pods looks as wanted.
    pub async fn pods_when(&self, wanted: impl Fn(&[Pod]) -> bool) -> Vec<Pod> {
        let found = list_when(&self.pods(), |pods: &BTreeMap<String, Pod>| wanted(&pods.values().cloned().collect::<Vec<_>>())).await;
        found.into_values().collect()
    }

    /// Waits for an Event with this reason; its message.
    pub async fn told(&self, reason: &str) -> String {
        let events: Api<Event> = Api::namespaced(self.client.clone(), "default");
        let with = |event: &Event| event.reason.as_deref() == Some(reason);
        let found = list_when(&events, |events: &BTreeMap<String, Event>| events.values().any(with)).await;
        found.into_values().find(with).and_then(|event| event.message).unwrap()
    }
}

/// `pi` with one container; `more` is merged into the spec.
pub fn job(name: &str, exit: Option<i32>, more: Value) -> Value {
    let annotations = exit.map(|code| json!({EXIT: code.to_string()})).unwrap_or(json!({}));
    let mut job = json!({"metadata": {"name": name}, "spec": {"template": {"metadata": {"annotations": annotations},
        "spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "perl"}]}}}});
    for (key, value) in more.as_object().into_iter().flatten() {
        job["spec"][key] = value.clone();
    }
    job
}

pub fn conditions(job: &Job) -> Vec<String> {
    let status = job.status.clone().unwrap_or_default();
    status
        .conditions
        .unwrap_or_default()
        .into_iter()
        .filter(|condition| condition.status == "True")
        .map(|condition| condition.type_)
        .collect()
}

pub fn finished(job: &Job) -> bool {
    conditions(job).iter().any(|condition| condition == "Complete" || condition == "Failed")
}

pub async fn object_when<K>(api: &Api<K>, name: &str, wanted: impl Fn(&K) -> bool) -> K
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let mut found = list_when(api, |all: &BTreeMap<String, K>| all.get(name).is_some_and(&wanted)).await;
    found.remove(name).unwrap()
}

/// List and watch until the collection looks as wanted.
pub async fn list_when<K>(api: &Api<K>, wanted: impl Fn(&BTreeMap<String, K>) -> bool) -> BTreeMap<String, K>
where
    K: Resource<DynamicType = ()> + Clone + Debug + DeserializeOwned,
{
    let name = |object: &K| object.meta().name.clone().unwrap_or_default();
    let list = api.list(&ListParams::default()).await.unwrap();
    let mut all: BTreeMap<String, K> = list.items.into_iter().map(|object| (name(&object), object)).collect();
    let version = list.metadata.resource_version.unwrap();
    let mut changes = std::pin::pin!(api.watch(&WatchParams::default(), &version).await.unwrap());
    while !wanted(&all) {
        let change = tokio::time::timeout(PATIENCE, changes.try_next()).await;
        match change.unwrap_or_else(|_| panic!("still waiting: {all:#?}")).unwrap() {
            Some(WatchEvent::Added(object) | WatchEvent::Modified(object)) => drop(all.insert(name(&object), object)),
            Some(WatchEvent::Deleted(object)) => drop(all.remove(&name(&object))),
            Some(WatchEvent::Bookmark(_)) => {}
            other => panic!("the watch ended: {other:?}"),
        }
    }
    all
}

/// Starts every Pod bound to any node, ends it as its annotation says, and stops what is deleted.
async fn agent(client: Client) {
    let (mut informer, _cache) = Informer::<Pod>::new(Api::all(client.clone()), ListParams::default());
    let (sender, mut changed) = mpsc::unbounded_channel();
    informer.add_handler(move |delta: &Delta<Pod>| {
        if !matches!(delta, Delta::Deleted(_)) {
            let _ = sender.send(delta.object().clone());
        }
    });
    let mut tasks = JoinSet::new();
    tasks.spawn(async move {
        informer.run().await;
    });
    while let Some(pod) = changed.recv().await {
        step(&client, &pod).await;
    }
}

async fn step(client: &Client, pod: &Pod) {
    if pod.spec.as_ref().unwrap().node_name.is_none() {
        return;
    }
    let name = pod.metadata.name.as_deref().unwrap();
    let api: Api<Pod> = Api::namespaced(client.clone(), pod.metadata.namespace.as_deref().unwrap());
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref()).unwrap_or("Pending");
    let exit = pod.metadata.annotations.as_ref().and_then(|annotations| annotations.get(EXIT)).map(|code| code.parse::<i32>().unwrap());
    let deleting = pod.metadata.deletion_timestamp.is_some();
    let status = match (phase, deleting, exit) {
        ("Succeeded" | "Failed", true, _) => {
            let uid = Preconditions { uid: pod.metadata.uid.clone(), resource_version: None };
            let _ = api
                .delete(name, &DeleteParams { grace_period_seconds: Some(0), preconditions: Some(uid), ..DeleteParams::default() })
                .await;
            return;
        }
        ("Succeeded" | "Failed", false, _) => return,
        (_, true, _) => ended(143),
        ("Pending", false, _) => json!({"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}],
            "containerStatuses": [status("running", json!({"startedAt": "2026-01-01T00:00:00Z"}), true)]}),
        (_, false, Some(code)) => ended(code),
        (_, false, None) => return,
    };
    // A Pod that is gone meanwhile needs nothing.
    let _ = patch_status::<Pod>(&api, name, "agent", &Patch::Strategic(json!({"status": status}))).await;
}

fn ended(code: i32) -> Value {
    let reason = if code == 0 { "Completed" } else { "Error" };
    let terminated = json!({"exitCode": code, "reason": reason, "startedAt": "2026-01-01T00:00:00Z", "finishedAt": "2026-01-01T00:00:01Z"});
    json!({"phase": if code == 0 { "Succeeded" } else { "Failed" }, "conditions": [{"type": "Ready", "status": "False"}],
        "containerStatuses": [status("terminated", terminated, false)]})
}

fn status(state: &str, detail: Value, ready: bool) -> Value {
    json!({"name": "c", "image": "perl", "imageID": "", "ready": ready, "restartCount": 0, "state": {"$patch": "replace", state: detail}})
}

fn faulty(
    router: Router,
    every: usize,
) -> impl tower::Service<Request<kube::client::Body>, Response = Response, Error = std::convert::Infallible, Future: Send> + Clone {
    let writes = Arc::new(AtomicUsize::new(0));
    tower::service_fn(move |request: Request<kube::client::Body>| {
        let (router, writes) = (router.clone(), writes.clone());
        async move {
            let event = request.uri().path().ends_with("/events");
            let number = if request.method() == Method::GET || event { 1 } else { writes.fetch_add(1, Ordering::Relaxed) + 1 };
            let fails = number.is_multiple_of(every);
            if fails && (number / every).is_multiple_of(2) {
                return Ok((StatusCode::SERVICE_UNAVAILABLE, "refused").into_response());
            }
            let answer = router.oneshot(request.map(axum::body::Body::new)).await?;
            Ok(if fails { (StatusCode::INTERNAL_SERVER_ERROR, "the answer was lost").into_response() } else { answer })
        }
    })
}

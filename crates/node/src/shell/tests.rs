//! The whole agent against the real API server in this process, with a runtime that runs scripts instead of processes.
#![allow(clippy::unwrap_used)]

use std::path::Path;
use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Event, Node, Pod, Secret};
use kube::Api;
use kube::api::{DeleteParams, ListParams, LogParams, PostParams};
use piecework_apiserver::pki::Pki;
use piecework_apiserver::{ApiServer, Identity};
use piecework_client::clock::{Clock, SystemClock};
use piecework_client::informer::{Cache, Delta, Informer};
use piecework_images::ImageStore;
use piecework_runtime::Runtime;
use piecework_runtime::scripted::{Behaviour, Outcome, ScriptedRuntime};
use piecework_store::embedded::{EmbeddedOptions, EmbeddedStore};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use tempfile::TempDir;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinHandle;

use crate::{Options, run};

const NODE: &str = "node-1";
/// What the seed's clusters have; created on first use.
const NAMESPACE: &str = "default";

/// How to stop it, and its task.
type RunningAgent = (watch::Sender<bool>, JoinHandle<Result<(), String>>);

struct House {
    directory: TempDir,
    client: kube::Client,
    pki: Pki,
    runtime: ScriptedRuntime,
    images: ImageStore,
    pods: Cache<Pod>,
    changes: mpsc::UnboundedReceiver<Delta<Pod>>,
    agent: Option<RunningAgent>,
}

impl House {
    async fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let pki = Pki::open(&directory.path().join("pki")).unwrap();
        let store = EmbeddedStore::open(&directory.path().join("store"), EmbeddedOptions::default()).unwrap();
        let kubelet_client = pki.client_config("kube-apiserver", &["system:masters"]).unwrap();
        let options = piecework_apiserver::Options { store, advertise: "127.0.0.1:1".into(), kubelet_client };
        let server = ApiServer::new(options).await.unwrap();
        let identity = Identity { user: "test".into(), groups: vec!["system:masters".into(), "system:authenticated".into()] };
        let client = kube::Client::new(server.in_process(identity), NAMESPACE);
        let images = ImageStore::open(&directory.path().join("images")).unwrap();
        image_layout(&directory.path().join("layout"));
        images.import(&directory.path().join("layout"), Some("busybox")).await.unwrap();
        let (mut informer, pods) = Informer::new(Api::<Pod>::all(client.clone()), ListParams::default());
        let (sender, changes) = mpsc::unbounded_channel();
        informer.add_handler(move |delta| drop(sender.send(delta.clone())));
        tokio::spawn(informer.run());
        pods.synced().await;
        let runtime = ScriptedRuntime::new(SystemClock.now());
        House { directory, client, pki, runtime, images, pods, changes, agent: None }
    }

    fn start_agent(&mut self) {
        let tls = self.pki.server_config(&["127.0.0.1".into(), NODE.into()]).unwrap();
        let options = Options { node_name: NODE.into(), data_dir: self.directory.path().join("node"), tls };
        let (stop, stopped) = watch::channel(false);
        let runtime = Arc::new(self.runtime.clone());
        let task = tokio::spawn(run(options, self.client.clone(), runtime, self.images.clone(), Arc::new(SystemClock), stopped));
        self.agent = Some((stop, task));
    }

    async fn stop_agent(&mut self) {
        let (stop, task) = self.agent.take().unwrap();
        stop.send(true).unwrap();
        task.await.unwrap().unwrap();
    }

    fn api(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), NAMESPACE)
    }

    async fn create(&self, name: &str, spec: Value) -> Pod {
        let mut spec = spec;
        spec["nodeName"] = json!(NODE);
        if spec["containers"].is_null() {
            spec["containers"] = json!([{"name": "main", "image": "busybox", "command": ["true"]}]);
        }
        let pod = serde_json::from_value(json!({"metadata": {"name": name}, "spec": spec})).unwrap();
        self.api().create(&PostParams::default(), &pod).await.unwrap()
    }

    /// Waits until the Pod is as wanted.
    async fn until(&mut self, name: &str, wanted: impl Fn(&Pod) -> bool) -> Arc<Pod> {
        let key = format!("{NAMESPACE}/{name}");
        loop {
            if let Some(pod) = self.pods.get(&key).filter(|pod| wanted(pod)) {
                return pod;
            }
            self.changes.recv().await.unwrap();
        }
    }

    async fn until_gone(&mut self, name: &str) {
        while self.pods.get(&format!("{NAMESPACE}/{name}")).is_some() {
            self.changes.recv().await.unwrap();
        }
    }

    fn logs(&self, pod: &Pod) -> std::path::PathBuf {
        super::paths::Paths::new(self.directory.path().join("node")).pod_logs(pod)
    }
}

fn phase(pod: &Pod) -> &str {
    crate::pod::spec::phase(pod)
}

fn is(wanted: &str) -> impl Fn(&Pod) -> bool + '_ {
    move |pod| phase(pod) == wanted
}

fn state(pod: &Pod) -> Value {
    serde_json::to_value(&pod.status.as_ref().unwrap().container_statuses.as_ref().unwrap()[0]).unwrap()
}

fn waits_for(reason: &str) -> impl Fn(&Pod) -> bool + '_ {
    move |pod| {
        pod.status.as_ref().is_some_and(|status| status.container_statuses.is_some()) && state(pod)["state"]["waiting"]["reason"] == reason
    }
}

/// An image with one empty layer.
fn image_layout(root: &Path) {
    let blobs = root.join("blobs/sha256");
    std::fs::create_dir_all(&blobs).unwrap();
    let put = |bytes: &[u8]| {
        let digest = hex::encode(Sha256::digest(bytes));
        std::fs::write(blobs.join(&digest), bytes).unwrap();
        (format!("sha256:{digest}"), bytes.len())
    };
    let (layer, layer_size) = put(&[0; 1024]);
    let config = json!({"architecture": "amd64", "os": "linux", "config": {"Env": ["PATH=/bin"], "Cmd": ["sh"]},
                        "rootfs": {"type": "layers", "diff_ids": [layer]}});
    let (config, config_size) = put(config.to_string().as_bytes());
    let manifest = json!({"schemaVersion": 2, "mediaType": "application/vnd.oci.image.manifest.v1+json",
        "config": {"mediaType": "application/vnd.oci.image.config.v1+json", "digest": config, "size": config_size},
        "layers": [{"mediaType": "application/vnd.oci.image.layer.v1.tar", "digest": layer, "size": layer_size}]});
    let (manifest, manifest_size) = put(manifest.to_string().as_bytes());
    let index = json!({"schemaVersion": 2, "manifests": [
        {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": manifest, "size": manifest_size}]});
    std::fs::write(root.join("index.json"), index.to_string()).unwrap();
    std::fs::write(root.join("oci-layout"), r#"{"imageLayoutVersion": "1.0.0"}"#).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pod_runs_to_its_end() {
    let mut house = House::new().await;
    house.runtime.script("name:fails", Behaviour::ends(std::time::Duration::ZERO, Outcome::Code(7)));
    house.start_agent();
    let created = house.create("ok", json!({"restartPolicy": "Never"})).await;
    let pod = house.until("ok", is("Succeeded")).await;
    assert_eq!(state(&pod)["state"]["terminated"]["reason"], "Completed");
    assert_eq!(state(&pod)["imageID"].as_str().unwrap().len(), 71);
    let uid = created.metadata.uid.clone().unwrap();
    assert_eq!(house.runtime.starts(), [format!("{uid}_main_0")]);
    house
        .create("bad", json!({"restartPolicy": "Never", "containers": [{"name": "fails", "image": "busybox", "command": ["false"]}]}))
        .await;
    let bad = house.until("bad", is("Failed")).await;
    assert_eq!(state(&bad)["state"]["terminated"]["exitCode"], 7);

    // Node and Lease are there, and so is the Pod's story.
    let node = Api::<Node>::all(house.client.clone()).get(NODE).await.unwrap();
    let status = node.status.unwrap();
    let capacity = status.capacity.unwrap();
    assert_eq!(piecework_api::quantity::Quantity::parse(&capacity["pods"].0).unwrap().value(), 1000);
    assert!(status.daemon_endpoints.is_some());
    assert!(status.conditions.unwrap().iter().any(|condition| condition.type_ == "Ready" && condition.status == "True"));
    house.stop_agent().await;
    let lease = Api::<Lease>::namespaced(house.client.clone(), "kube-node-lease").get(NODE).await.unwrap();
    assert_eq!(lease.spec.unwrap().lease_duration_seconds, Some(40));
    let events = Api::<Event>::namespaced(house.client.clone(), NAMESPACE).list(&ListParams::default()).await.unwrap();
    let mut reasons: Vec<String> = events
        .items
        .into_iter()
        .filter(|event| event.involved_object.uid.as_ref() == Some(&uid))
        .map(|event| event.reason.unwrap())
        .collect();
    reasons.sort();
    assert_eq!(reasons, ["Created", "Pulled", "Started"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn logs_come_through_the_api_server_and_stay_until_the_pod_is_gone() {
    let mut house = House::new().await;
    house.runtime.script_default(Behaviour::runs());
    house.start_agent();
    house.create("p", json!({"restartPolicy": "Never"})).await;
    let pod = house.until("p", is("Running")).await;
    let id = format!("{}_main_0", pod.metadata.uid.as_deref().unwrap());
    let log = house.runtime.spec(&id).unwrap().log_path;
    std::fs::write(&log, "2024-01-01T00:00:01Z stdout F 3.14\n").unwrap();
    assert_eq!(house.api().logs("p", &LogParams::default()).await.unwrap(), "3.14\n");
    let followed = {
        let api = house.api();
        tokio::spawn(async move { api.logs("p", &LogParams { follow: true, ..LogParams::default() }).await })
    };
    house.runtime.finish(&id, Outcome::Code(0));
    assert_eq!(followed.await.unwrap().unwrap(), "3.14\n");
    let pod = house.until("p", is("Succeeded")).await;
    assert_eq!(house.api().logs("p", &LogParams::default()).await.unwrap(), "3.14\n");
    house.api().delete("p", &DeleteParams::default()).await.unwrap();
    house.until_gone("p").await;
    // Stopping waits for what is being removed.
    house.stop_agent().await;
    house.start_agent();
    house.create("next", json!({"restartPolicy": "Never"})).await;
    house.until("next", is("Running")).await;
    house.stop_agent().await;
    assert!(!house.logs(&pod).exists());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn deletion_asks_then_kills_then_removes() {
    let mut house = House::new().await;
    house.runtime.script_default(Behaviour::runs().ignores_term());
    house.start_agent();
    let pod = house.create("stubborn", json!({"restartPolicy": "Never", "terminationGracePeriodSeconds": 1})).await;
    house.until("stubborn", is("Running")).await;
    house.api().delete("stubborn", &DeleteParams::default()).await.unwrap();
    house.until("stubborn", is("Failed")).await;
    house.until_gone("stubborn").await;
    let id = format!("{}_main_0", pod.metadata.uid.unwrap());
    assert_eq!(house.runtime.signals(), [(id.clone(), libc::SIGTERM), (id, libc::SIGKILL)]);
    assert!(house.runtime.list().await.unwrap().is_empty());
    house.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_agent_that_comes_back_finds_everything_again() {
    let mut house = House::new().await;
    house.runtime.script_default(Behaviour::runs());
    house.start_agent();
    for name in ["goes-on", "ends", "vanishes"] {
        house.create(name, json!({"restartPolicy": "Never"})).await;
        house.until(name, is("Running")).await;
    }
    house.stop_agent().await;
    assert_eq!(house.runtime.running().len(), 3, "containers outlive the agent");
    let id = |pod: &Pod| format!("{}_main_0", pod.metadata.uid.as_deref().unwrap());
    let ends = house.until("ends", |_| true).await;
    house.runtime.finish(&id(&ends), Outcome::Message(3, "why".into()));
    house.api().delete("vanishes", &DeleteParams::default().grace_period(0)).await.unwrap();
    house.until_gone("vanishes").await;

    house.start_agent();
    let ended = house.until("ends", is("Failed")).await;
    assert_eq!(state(&ended)["state"]["terminated"]["exitCode"], 3);
    assert_eq!(state(&ended)["state"]["terminated"]["message"], "why");
    let goes_on = house.until("goes-on", is("Running")).await;
    house.runtime.finish(&id(&goes_on), Outcome::Code(0));
    house.until("goes-on", is("Succeeded")).await;
    assert_eq!(house.runtime.starts().len(), 3, "nothing ran twice");
    house.stop_agent().await;
    crate::drain(&house.runtime).await.unwrap();
    assert!(house.runtime.list().await.unwrap().is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn failures_restart_in_place_and_back_off() {
    let mut house = House::new().await;
    house.runtime.script_default(Behaviour::ends(std::time::Duration::ZERO, Outcome::Code(1)));
    house.start_agent();
    house.create("again", json!({"restartPolicy": "OnFailure"})).await;
    let pod = house.until("again", waits_for("CrashLoopBackOff")).await;
    assert_eq!((phase(&pod), state(&pod)["restartCount"].as_i64()), ("Running", Some(1)));
    assert_eq!(state(&pod)["lastState"]["terminated"]["exitCode"], 1);
    assert_eq!(house.runtime.starts().len(), 2);
    house.stop_agent().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_missing_is_named_and_waited_for() {
    let mut house = House::new().await;
    house.start_agent();
    let container = |extra: Value| {
        let mut container = json!({"name": "main", "image": "busybox", "command": ["true"]});
        extra.as_object().unwrap().iter().for_each(|(key, value)| container[key] = value.clone());
        json!({"restartPolicy": "Never", "containers": [container]})
    };
    let cases = [
        ("never", json!({"image": "absent", "imagePullPolicy": "Never"}), "ErrImageNeverPull", "pull policy of Never"),
        ("invalid", json!({"image": "not/A/Name:::"}), "InvalidImageName", "couldn't parse image name"),
        ("root", json!({"securityContext": {"runAsNonRoot": true}}), "CreateContainerConfigError", "will run as root"),
        (
            "secret",
            json!({"env": [{"name": "V", "valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}]}),
            "CreateContainerConfigError",
            "secret \"s\" not found",
        ),
    ];
    for (name, extra, reason, message) in cases {
        house.create(name, container(extra)).await;
        let pod = house.until(name, waits_for(reason)).await;
        assert!(state(&pod)["state"]["waiting"]["message"].as_str().unwrap().contains(message), "{}", state(&pod));
        assert_eq!(phase(&pod), "Pending");
    }
    assert!(house.runtime.starts().is_empty());
    // A restart of the agent tries at once what waited.
    house.stop_agent().await;
    let secret: Secret = serde_json::from_value(json!({"metadata": {"name": "s"}, "stringData": {"k": "v"}})).unwrap();
    Api::<Secret>::namespaced(house.client.clone(), NAMESPACE).create(&PostParams::default(), &secret).await.unwrap();
    house.runtime.script_default(Behaviour::runs());
    house.start_agent();
    let pod = house.until("secret", is("Running")).await;
    let specification = house.runtime.spec(&format!("{}_main_0", pod.metadata.uid.as_deref().unwrap())).unwrap();
    assert_eq!(specification.env, [("PATH".to_owned(), "/bin".to_owned()), ("V".to_owned(), "v".to_owned())]);
    house.stop_agent().await;
}

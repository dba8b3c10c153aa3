//! The scheduler's shell: waiting Pods and nodes in, bindings and conditions out (spec/jobs.md 11).
//!
//! In: the Pod and Node caches. Out: POST `pods/binding`, PodScheduled=False, Events. Never: decides; binds a Pod twice; polls.
//! One round decides all waiting Pods at once; bindings that the cache does not show yet are assumed.

use crate::{Tasks, informers::Informers, limits, writes::FIELD_MANAGER};
use futures::{StreamExt, stream};
use k8s_openapi::api::core::v1::{Binding, Node, ObjectReference, Pod};
use kube::{Api, Client, api::PostParams};
use piecework_client::{
    backoff::{Backoff, RetryLimits},
    clock::Clock,
    informer::{Cache, Delta},
    owner::object_reference,
    patch::{Patch, is_conflict, is_not_found, patch_status},
    recorder::{EventNote, EventType, Recorder},
};
use piecework_reconcile::ownership;
use piecework_scheduler::{Decision, SCHEDULER_NAME, node_of, schedule, waits};
use serde_json::{Value, json};
use std::{collections::BTreeMap, sync::Arc, time::Duration};
use tokio::sync::Notify;

/// Index of Pods by whether they wait for a node or take room on one.
const BY_PLACE: &str = "place";
const WAITING: &str = "waiting";
const PLACED: &str = "placed";
const RETRY: RetryLimits = RetryLimits { base: limits::SCHEDULING_RETRY_BASE, cap: limits::SCHEDULING_RETRY_CAP };

pub(crate) fn start(informers: &mut Informers, client: &Client, clock: &Arc<dyn Clock>, tasks: &mut Tasks) {
    let changed = Arc::new(Notify::new());
    informers.pods.informer.add_index(BY_PLACE, |pod: &Pod| place(pod).map(str::to_owned).into_iter().collect());
    let wake = changed.clone();
    informers.pods.informer.add_handler(move |delta: &Delta<Pod>| {
        let moved = match delta {
            Delta::Updated { old, new } => place(old) != place(new),
            Delta::Added(_) | Delta::Deleted(_) => true,
        };
        if moved {
            wake.notify_one();
        }
    });
    let wake = changed.clone();
    informers.nodes.informer.add_handler(move |delta: &Delta<Node>| {
        let matters = match delta {
            Delta::Updated { old, new } => decisive(old) != decisive(new),
            Delta::Added(_) | Delta::Deleted(_) => true,
        };
        if matters {
            wake.notify_one();
        }
    });
    let mut shell = Shell {
        client: client.clone(),
        clock: clock.clone(),
        recorder: Recorder::new(client.clone(), SCHEDULER_NAME, clock.clone()),
        pods: informers.pods.cache.clone(),
        nodes: informers.nodes.cache.clone(),
        assumed: BTreeMap::new(),
        told: BTreeMap::new(),
        backoff: Backoff::new(RETRY),
    };
    tasks.spawn(async move {
        shell.pods.synced().await;
        shell.nodes.synced().await;
        loop {
            let again = shell.round().await;
            tokio::select! {
                biased;
                () = changed.notified() => {}
                () = tokio::time::sleep(again) => {}
            }
        }
    });
}

fn place(pod: &Pod) -> Option<&'static str> {
    let ended = matches!(pod.status.as_ref().and_then(|status| status.phase.as_deref()), Some("Succeeded" | "Failed"));
    if waits(pod) {
        Some(WAITING)
    } else if node_of(pod).is_some() && !ended {
        Some(PLACED)
    } else {
        None
    }
}

/// What of a node scheduling depends on; heartbeats change nothing.
fn decisive(node: &Node) -> Value {
    let status = node.status.as_ref();
    let ready = status.and_then(|status| {
        status.conditions.as_ref()?.iter().find(|condition| condition.type_ == "Ready").map(|ready| ready.status.clone())
    });
    json!([node.metadata.labels, node.spec, status.and_then(|status| status.allocatable.clone()), ready])
}

struct Shell {
    client: Client,
    clock: Arc<dyn Clock>,
    recorder: Recorder,
    pods: Cache<Pod>,
    nodes: Cache<Node>,
    /// Pods by UID as bound, until the cache shows it.
    assumed: BTreeMap<String, Arc<Pod>>,
    /// The last message of each Pod that could not be placed.
    told: BTreeMap<String, String>,
    backoff: Backoff,
}

impl Shell {
    /// Decides everything that waits; how long to sleep if nothing changes.
    async fn round(&mut self) -> Duration {
        let mut waiting = self.pods.by_index(BY_PLACE, WAITING);
        let uids: BTreeMap<&str, ()> = waiting.iter().map(|pod| (ownership::uid(&pod.metadata), ())).collect();
        self.assumed.retain(|uid, _| uids.contains_key(uid.as_str()));
        self.told.retain(|uid, _| uids.contains_key(uid.as_str()));
        waiting.retain(|pod| !self.assumed.contains_key(ownership::uid(&pod.metadata)));
        if waiting.is_empty() {
            return limits::UNSCHEDULABLE_RETRY;
        }
        let mut placed = self.pods.by_index(BY_PLACE, PLACED);
        placed.extend(self.assumed.values().cloned());
        let decisions = schedule(&self.nodes.list(), &placed, &waiting);
        let shell = &*self;
        let outcomes: Vec<Outcome> =
            stream::iter(decisions).map(|decision| shell.carry_out(decision)).buffered(limits::BINDING_WORKERS).collect().await;
        let mut failed = false;
        for outcome in outcomes {
            match outcome {
                Outcome::Bound(pod) => {
                    self.assumed.insert(ownership::uid(&pod.metadata).to_owned(), pod);
                }
                Outcome::Told { pod_uid, message } => {
                    self.told.insert(pod_uid, message);
                }
                Outcome::Gone => {}
                Outcome::Failed => failed = true,
            }
        }
        if failed {
            return self.backoff.fail();
        }
        self.backoff.reset();
        limits::UNSCHEDULABLE_RETRY
    }

    async fn carry_out(&self, decision: Decision) -> Outcome {
        let (pod, outcome) = match decision {
            Decision::Bind { pod, node } => (pod.clone(), self.bind(pod, node).await),
            Decision::Unschedulable { pod, message } => (pod.clone(), self.tell(pod, message).await),
        };
        match outcome {
            Ok(outcome) => outcome,
            // Deleted, or bound by somebody else: the watch will say so.
            Err(error) if is_not_found(&error) || is_conflict(&error) => Outcome::Gone,
            Err(error) => {
                tracing::debug!(pod = pod.metadata.name, %error, "scheduling failed; it will be tried again");
                Outcome::Failed
            }
        }
    }

    async fn bind(&self, pod: Arc<Pod>, node: String) -> Result<Outcome, kube::Error> {
        let namespace = pod.metadata.namespace.clone().unwrap_or_default();
        let name = pod.metadata.name.clone().unwrap_or_default();
        let api: Api<Pod> = Api::namespaced(self.client.clone(), &namespace);
        let mut binding = Binding {
            target: ObjectReference {
                kind: Some("Node".into()),
                api_version: Some("v1".into()),
                name: Some(node.clone()),
                ..ObjectReference::default()
            },
            ..Binding::default()
        };
        binding.metadata.name = Some(name.clone());
        binding.metadata.namespace = Some(namespace.clone());
        binding.metadata.uid = pod.metadata.uid.clone();
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let _: Value = api.create_subresource("binding", &name, &parameters, &binding).await?;
        self.note(&pod, EventType::Normal, "Scheduled", format!("Successfully assigned {namespace}/{name} to {node}"));
        let mut bound = (*pod).clone();
        bound.spec.get_or_insert_default().node_name = Some(node);
        Ok(Outcome::Bound(Arc::new(bound)))
    }

    async fn tell(&self, pod: Arc<Pod>, message: String) -> Result<Outcome, kube::Error> {
        let pod_uid = ownership::uid(&pod.metadata).to_owned();
        if self.told.get(&pod_uid) == Some(&message) {
            return Ok(Outcome::Gone);
        }
        let api: Api<Pod> = Api::namespaced(self.client.clone(), pod.metadata.namespace.as_deref().unwrap_or_default());
        let now = self.clock.now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let mut condition = json!({"type": "PodScheduled", "status": "False", "reason": "Unschedulable", "message": message});
        if !self.told.contains_key(&pod_uid) {
            condition["lastTransitionTime"] = Value::from(now);
        }
        let document = json!({"metadata": {"uid": pod_uid}, "status": {"conditions": [condition]}});
        patch_status::<Pod>(&api, pod.metadata.name.as_deref().unwrap_or_default(), FIELD_MANAGER, &Patch::Strategic(document)).await?;
        self.note(&pod, EventType::Warning, "FailedScheduling", message.clone());
        Ok(Outcome::Told { pod_uid, message })
    }

    fn note(&self, pod: &Pod, event_type: EventType, reason: &str, message: String) {
        self.recorder.publish(EventNote { object: object_reference(pod), event_type, reason: reason.to_owned(), message });
    }
}

enum Outcome {
    Bound(Arc<Pod>),
    Told { pod_uid: String, message: String },
    Gone,
    Failed,
}

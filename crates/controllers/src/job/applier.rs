//! Carries out a Job's plan, stage by stage, through the API.
//!
//! In: the Job the plan was made for, the plan. Out: writes, facts for the memory, Events after success. Never: another order, a stage after a failed one.

use super::{memory::Memory, observe};
use crate::{
    limits::REQUESTS_PER_STAGE,
    metrics::Metrics,
    writes::{self, Done, FIELD_MANAGER},
};
use futures::{StreamExt, future::join_all, stream};
use k8s_openapi::{
    api::{batch::v1::Job, core::v1::Pod},
    apimachinery::pkg::apis::meta::v1::ObjectMeta,
};
use kube::{
    Api, Client,
    api::{PostParams, PropagationPolicy},
};
use piecework_client::{
    clock::Clock,
    informer::Cache,
    owner::object_reference,
    patch::{Patch, is_conflict, patch},
    recorder::{EventNote, EventType, Recorder},
};
use piecework_reconcile::{
    job::{Fact, Plan, Stage, StatusWrite, claim},
    ownership::{self, ObjectRef, TRACKING_FINALIZER},
};
use serde_json::json;
use std::{future::Future, sync::Arc};

#[derive(Debug, thiserror::Error)]
pub enum ApplyError {
    #[error("{what}: {source}")]
    Request { what: &'static str, source: Box<kube::Error> },
    #[error("the Job was deleted or replaced since it was read; no Pod is adopted")]
    JobChanged,
}

fn request(what: &'static str) -> impl Fn(kube::Error) -> ApplyError {
    move |source| ApplyError::Request { what, source: Box::new(source) }
}

pub struct Applier {
    client: Client,
    recorder: Recorder,
    pods: Cache<Pod>,
    memory: Memory,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

/// One plan on its way.
struct Run<'a> {
    applier: &'a Applier,
    /// With the resourceVersion of the last write.
    job: Job,
    uid: String,
    jobs: Api<Job>,
    pods: Api<Pod>,
}

impl Applier {
    pub fn new(client: Client, recorder: Recorder, pods: Cache<Pod>, memory: Memory, clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        Applier { client, recorder, pods, memory, clock, metrics }
    }

    pub async fn apply(&self, job: &Job, plan: Plan) -> Result<(), ApplyError> {
        let namespace = job.metadata.namespace.as_deref().unwrap_or_default();
        let mut run = Run {
            applier: self,
            uid: ownership::uid(&job.metadata).to_owned(),
            job: job.clone(),
            jobs: Api::namespaced(self.client.clone(), namespace),
            pods: Api::namespaced(self.client.clone(), namespace),
        };
        for problem in &plan.problems {
            run.tell(EventType::Warning, "UnsupportedField", problem.message.clone());
        }
        let mut events = plan.events.into_iter().peekable();
        while let Some(event) = events.next_if(|event| event.after_stage.is_none()) {
            run.tell(kind(event.warning), &event.reason, event.message);
        }
        for (index, stage) in plan.stages.into_iter().enumerate() {
            run.stage(stage).await?;
            while let Some(event) = events.next_if(|event| event.after_stage <= Some(index)) {
                run.tell(kind(event.warning), &event.reason, event.message);
            }
        }
        Ok(())
    }
}

fn kind(warning: bool) -> EventType {
    if warning { EventType::Warning } else { EventType::Normal }
}

impl Run<'_> {
    fn tell(&self, event_type: EventType, reason: &str, message: String) {
        let note = EventNote { object: object_reference(&self.job), event_type, reason: reason.to_owned(), message };
        self.applier.recorder.publish(note);
    }

    fn learn(&self, fact: Fact) {
        self.applier.memory.learn(&self.uid, fact);
    }

    /// The Pod as the cache shows it now.
    fn shown(&self, pod: &ObjectRef) -> Option<Arc<Pod>> {
        let key = format!("{}/{}", pod.namespace, pod.name);
        self.applier.pods.get(&key).filter(|shown| ownership::uid(&shown.metadata) == pod.uid)
    }

    async fn stage(&mut self, stage: Stage) -> Result<(), ApplyError> {
        match stage {
            Stage::ReleasePods(pods) => {
                let owner = [self.uid.clone()];
                let requests = pods.iter().map(|pod| writes::drop_owners(&self.pods, pod, &owner, &[TRACKING_FINALIZER]));
                each(requests.collect()).await.map_err(request("release a Pod"))
            }
            Stage::AdoptPods(pods) => self.adopt(&pods).await,
            Stage::DeletePods { pods, uncounted } => each(pods.iter().map(|pod| self.delete(pod, uncounted)).collect()).await,
            Stage::WriteStatus(write) => self.write_status(*write).await,
            Stage::RemoveFinalizers(pods) => each(pods.iter().map(|pod| self.strip(pod, false)).collect()).await,
            Stage::CreatePods(pods) => self.create(pods).await,
        }
    }

    async fn adopt(&self, pods: &[ObjectRef]) -> Result<(), ApplyError> {
        let name = self.job.metadata.name.as_deref().unwrap_or_default();
        let fresh = self.jobs.get_opt(name).await.map_err(request("read the Job before adopting"))?;
        if !fresh.is_some_and(|fresh| ownership::uid(&fresh.metadata) == self.uid && fresh.metadata.deletion_timestamp.is_none()) {
            return Err(ApplyError::JobChanged);
        }
        let owner = claim::owner_reference(&self.job);
        let adopt = |pod: &ObjectRef| {
            let document = json!({"metadata": {
                "uid": pod.uid, "resourceVersion": pod.resource_version, "ownerReferences": [owner], "finalizers": [TRACKING_FINALIZER]}});
            let (api, name) = (self.pods.clone(), pod.name.clone());
            async move { patch::<Pod>(&api, &name, FIELD_MANAGER, &Patch::Strategic(document)).await }
        };
        each(pods.iter().map(adopt).collect()).await.map_err(request("adopt a Pod"))
    }

    async fn strip(&self, pod: &ObjectRef, unchanged: bool) -> Result<(), ApplyError> {
        let stored =
            writes::remove_finalizer(&self.pods, pod, TRACKING_FINALIZER, unchanged).await.map_err(request("remove a finalizer"))?;
        let overtaken = || match self.shown(pod) {
            None => true,
            Some(shown) => {
                let written = stored.as_ref().and_then(|stored| version(&stored.metadata));
                version(&shown.metadata).zip(written).is_some_and(|(shown, written)| shown >= written)
            }
        };
        self.applier.memory.learn_unless(&self.uid, Fact::FinalizerRemoved { pod_uid: pod.uid.clone() }, overtaken);
        Ok(())
    }

    async fn delete(&self, pod: &ObjectRef, uncounted: bool) -> Result<(), ApplyError> {
        let pod_uid = pod.uid.clone();
        // Somebody else's deletion may have come into the cache since the decision; waiting to see it once more would hold the Job up.
        let overtaken = || self.shown(pod).is_none_or(|shown| shown.metadata.deletion_timestamp.is_some());
        let asked = Fact::DeletionAsked { pod_uid: pod_uid.clone(), at: self.applier.clock.now() };
        self.applier.memory.learn_unless(&self.uid, asked, overtaken);
        let outcome = async {
            if uncounted {
                self.strip(pod, true).await?;
            }
            writes::delete(&self.pods, pod, PropagationPolicy::Background, None).await.map_err(request("delete a Pod"))
        };
        match outcome.await {
            Ok(Done::Now) => {
                self.tell(EventType::Normal, "SuccessfulDelete", format!("Deleted pod: {}", pod.name));
                Ok(())
            }
            Ok(Done::WasGone) => {
                self.learn(Fact::DeletionFailed { pod_uid });
                Ok(())
            }
            Err(error) => {
                self.learn(Fact::DeletionFailed { pod_uid });
                // A Pod that has changed since the decision is looked at again when the cache shows it; nothing went wrong.
                if let ApplyError::Request { source, .. } = &error
                    && !is_conflict(source)
                {
                    self.tell(EventType::Warning, "FailedDelete", format!("Error deleting: {}", said(source)));
                }
                Err(error)
            }
        }
    }

    async fn write_status(&mut self, write: StatusWrite) -> Result<(), ApplyError> {
        let name = self.job.metadata.name.clone().unwrap_or_default();
        let job = Job { status: Some(write.status), ..self.job.clone() };
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let written = self.jobs.replace_status(&name, &parameters, &job).await.map_err(request("write the status"))?;
        observe::status_written(&self.applier.metrics, &self.job, &written, write.terminal);
        self.job = written;
        self.learn(Fact::StatusWritten {
            job_uid: self.uid.clone(),
            resource_version: self.job.metadata.resource_version.clone().unwrap_or_default(),
            backoff: write.backoff,
            terminal: write.terminal,
        });
        Ok(())
    }

    async fn create(&self, pods: Vec<Pod>) -> Result<(), ApplyError> {
        let asked = |count: usize| u32::try_from(count).unwrap_or(u32::MAX);
        self.learn(Fact::CreationsAsked { count: asked(pods.len()), at: self.applier.clock.now() });
        let parameters = PostParams { field_manager: Some(FIELD_MANAGER.into()), ..PostParams::default() };
        let (mut rest, mut batch) = (pods.as_slice(), 1);
        while !rest.is_empty() {
            let (now, later) = rest.split_at(batch.min(rest.len()));
            let outcomes = join_all(now.iter().map(|pod| self.pods.create(&parameters, pod))).await;
            let mut failed = Vec::new();
            for outcome in outcomes {
                match outcome {
                    Ok(pod) => {
                        self.tell(EventType::Normal, "SuccessfulCreate", format!("Created pod: {}", pod.metadata.name.unwrap_or_default()))
                    }
                    Err(error) => failed.push(error),
                }
            }
            let count = failed.len();
            self.applier.metrics.pods_created(observe::creation_reason(&self.job), (now.len() - count) as u64, count as u64);
            if let Some(error) = failed.into_iter().next() {
                self.learn(Fact::CreationsFailed { count: asked(count + later.len()) });
                if !namespace_terminating(&error) {
                    self.tell(EventType::Warning, "FailedCreate", format!("Error creating: {}", said(&error)));
                }
                return Err(request("create a Pod")(error));
            }
            (rest, batch) = (later, batch * 2);
        }
        Ok(())
    }
}

/// resourceVersions of one server compare as numbers (API conventions since 1.35); one that is no number counts as not seen yet.
fn version(meta: &ObjectMeta) -> Option<u64> {
    meta.resource_version.as_deref().and_then(|version| version.parse().ok())
}

/// The server's own words; kube's text repeats the whole Status in the notation of a debugger.
pub fn said(error: &kube::Error) -> String {
    match error {
        kube::Error::Api(status) if !status.message.is_empty() => status.message.clone(),
        other => other.to_string(),
    }
}

/// A creation refused because the namespace is going away is no news (spec/jobs.md 4.8).
pub fn namespace_terminating(error: &kube::Error) -> bool {
    let kube::Error::Api(status) = error else { return false };
    status.details.iter().flat_map(|details| &details.causes).any(|cause| cause.reason == "NamespaceTerminating")
}

/// Runs all, a bounded number at a time; the first error is told when all have ended.
async fn each<R, E, F>(requests: Vec<F>) -> Result<(), E>
where
    F: Future<Output = Result<R, E>>,
{
    let outcomes: Vec<Result<R, E>> = stream::iter(requests).buffered(REQUESTS_PER_STAGE).collect().await;
    outcomes.into_iter().try_for_each(|outcome| outcome.map(drop))
}

//! The Job controller's shell: what wakes a Job, its workers, what is remembered (spec/jobs.md 4.1, 4.2, 4.12).
//!
//! In: changes of Jobs and Pods. Out: syncs: snapshot, `reconcile`, apply. Never: decides anything itself.
//! Difference to upstream: Pod events are not held back for a second; they coalesce in the queue while a sync of the same Job runs.

mod accounts;
mod applier;
#[cfg(test)]
pub(crate) mod applier_tests;
mod memory;
mod observe;
mod orphans;

use crate::{
    Options, Tasks,
    informers::{BY_JOB, BY_NAMESPACE, Informers, UNCONTROLLED},
    limits,
    metrics::Metrics,
    work::{Again, work},
};
use applier::{Applier, ApplyError};
pub(crate) use applier::{namespace_terminating, said};
use jiff::SignedDuration;
use k8s_openapi::api::{batch::v1::Job, core::v1::Pod};
use kube::Client;
use memory::Memory;
use piecework_client::{
    backoff::RetryLimits,
    clock::Clock,
    informer::{Cache, Delta, object_key},
    recorder::Recorder,
    workqueue::Workqueue,
};
use piecework_reconcile::{
    job::{OWN_MANAGER, Settings, conditions, known, reconcile},
    label_selector,
    ownership::{self, TRACKING_FINALIZER},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

/// Source component of the Job controller's Events (spec/jobs.md 5.1).
pub const COMPONENT: &str = "job-controller";

const RETRY: RetryLimits = RetryLimits { base: limits::RETRY_BASE, cap: limits::RETRY_CAP };

pub(crate) fn start(informers: &mut Informers, client: &Client, clock: &Arc<dyn Clock>, options: &Options, tasks: &mut Tasks) {
    let cap = SignedDuration::try_from(options.job_backoff_cap).unwrap_or(SignedDuration::MAX);
    let settings = Settings { backoff_cap: cap, ..Settings::default() };
    let memory = Memory::new(settings.clone());
    let queue: Workqueue<String> = Workqueue::new(RETRY);
    let orphan_queue: Workqueue<String> = Workqueue::new(RETRY);
    let (jobs, pods) = (informers.jobs.cache.clone(), informers.pods.cache.clone());
    let metrics = options.metrics.clone();
    watch_jobs(informers, &queue, &orphan_queue, &memory, &metrics);
    watch_pods(informers, &queue, &orphan_queue, &memory, clock, &metrics);
    accounts::watch(informers, &queue);
    let recorder = Recorder::new(client.clone(), COMPONENT, clock.clone());
    let controller = Arc::new(Controller {
        jobs: jobs.clone(),
        pods: pods.clone(),
        memory: memory.clone(),
        clock: clock.clone(),
        applier: Applier::new(client.clone(), recorder, pods.clone(), memory, clock.clone(), metrics.clone()),
        metrics,
    });
    for _ in 0..options.job_workers.max(1) {
        let (controller, queue) = (controller.clone(), queue.clone());
        tasks.spawn(async move {
            controller.synced().await;
            work(queue, "job", |key| controller.sync(key)).await;
        });
    }
    let orphans = Arc::new(orphans::Orphans { client: client.clone(), jobs, pods, settings });
    tasks.spawn(async move {
        orphans.synced().await;
        work(orphan_queue, "orphan pod", |key| orphans.sync(key)).await;
    });
}

struct Controller {
    jobs: Cache<Job>,
    pods: Cache<Pod>,
    memory: Memory,
    clock: Arc<dyn Clock>,
    applier: Applier,
    metrics: Arc<Metrics>,
}

impl Controller {
    async fn synced(&self) {
        self.jobs.synced().await;
        self.pods.synced().await;
    }

    async fn sync(&self, key: String) -> Result<Again, ApplyError> {
        let Some(job) = self.jobs.get(&key) else { return Ok(Again::No) };
        // What is known is read before the Pods: a fact learnt in between only makes this sync wait for the next event.
        let known = self.memory.of(ownership::uid(&job.metadata));
        let mut pods = self.pods.by_index(BY_JOB, ownership::uid(&job.metadata));
        pods.extend(self.pods.by_index(UNCONTROLLED, job.metadata.namespace.as_deref().unwrap_or_default()));
        let (now, began) = (self.clock.now(), Instant::now());
        let plan = reconcile(&job, &pods, &known, now);
        let counts = observe::counts(&job, &known.settings);
        if counts && observe::stale(&job, &known) {
            self.metrics.stale_sync_skipped();
        }
        let action = observe::action(&plan, known.waits_until(&job, now).is_some());
        let requeue = plan.requeue_at.map(|at| Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO));
        let outcome = self.applier.apply(&job, plan).await;
        if counts {
            self.metrics.job_synced(observe::completion_mode(&job), outcome.is_ok(), action, began.elapsed());
        }
        outcome?;
        Ok(requeue.map_or(Again::No, Again::After))
    }
}

fn watch_jobs(
    informers: &mut Informers,
    queue: &Workqueue<String>,
    orphan_queue: &Workqueue<String>,
    memory: &Memory,
    metrics: &Arc<Metrics>,
) {
    let (queue, orphan_queue, memory, metrics) = (queue.clone(), orphan_queue.clone(), memory.clone(), metrics.clone());
    let pods = informers.pods.cache.clone();
    informers.jobs.informer.add_handler(move |delta: &Delta<Job>| {
        let job = delta.object();
        let uid = ownership::uid(&job.metadata);
        let gone = matches!(delta, Delta::Deleted(_));
        if let Delta::Added(job) = delta
            && let Some(manager) = job.spec.as_ref().and_then(|spec| spec.managed_by.as_deref()).filter(|manager| *manager != OWN_MANAGER)
        {
            metrics.external_job_seen(manager);
        }
        if gone {
            memory.forget(uid);
        }
        if gone || conditions::finished(job) {
            for pod in pods.by_index(BY_JOB, uid) {
                if ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) {
                    orphan_queue.add(object_key(&*pod));
                }
            }
        }
        queue.add(object_key(&**job));
    });
}

fn watch_pods(
    informers: &mut Informers,
    queue: &Workqueue<String>,
    orphan_queue: &Workqueue<String>,
    memory: &Memory,
    clock: &Arc<dyn Clock>,
    metrics: &Arc<Metrics>,
) {
    let (queue, orphan_queue, memory, clock) = (queue.clone(), orphan_queue.clone(), memory.clone(), clock.clone());
    let metrics = metrics.clone();
    let jobs = informers.jobs.cache.clone();
    informers.pods.informer.add_handler(move |delta: &Delta<Pod>| {
        let (old, new) = match delta {
            Delta::Added(new) => (None, Some(new)),
            Delta::Updated { old, new } => (Some(old), Some(new)),
            Delta::Deleted(old) => (Some(old), None),
        };
        let now = clock.now();
        let mut owners: Vec<_> = [old, new].into_iter().flatten().filter_map(|pod| ownership::controller(&pod.metadata)).collect();
        owners.dedup();
        if owners.iter().any(|owner| owner.kind == "Job") {
            observe::pod_changed(&metrics, old.map(Arc::as_ref), new.map(Arc::as_ref));
        }
        for owner in owners.into_iter().filter(|owner| owner.kind == "Job") {
            memory.learn_all(&owner.uid, known::facts(old.map(Arc::as_ref), new.map(Arc::as_ref), now));
            let namespace = delta.object().metadata.namespace.as_deref().unwrap_or_default();
            let key = format!("{namespace}/{}", owner.name);
            if let Some(job) = jobs.get(&key).filter(|job| ownership::uid(&job.metadata) == owner.uid) {
                observe::policy_applied(&metrics, &job, old.map(Arc::as_ref), new.map(Arc::as_ref));
                queue.add(key);
            }
        }
        let Some(pod) = new else { return };
        let namespace = pod.metadata.namespace.as_deref().unwrap_or_default();
        if ownership::controller(&pod.metadata).is_none() {
            for job in jobs.by_index(BY_NAMESPACE, namespace) {
                let selector = job.spec.as_ref().and_then(|spec| spec.selector.as_ref());
                if label_selector::matches(selector, pod.metadata.labels.as_ref()) {
                    queue.add(object_key(&*job));
                }
            }
        }
        if ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) && !has_live_job(&jobs, pod) {
            orphan_queue.add(object_key(&**pod));
        }
    });
}

/// Whether the cache shows the Job that is to count this Pod; if not, the orphan worker takes a closer look.
fn has_live_job(jobs: &Cache<Job>, pod: &Pod) -> bool {
    let Some(owner) = ownership::controller(&pod.metadata) else { return false };
    let key = format!("{}/{}", pod.metadata.namespace.as_deref().unwrap_or_default(), owner.name);
    jobs.get(&key).is_some_and(|job| ownership::uid(&job.metadata) == owner.uid && !conditions::finished(&job))
}

//! The CronJob controller's shell: what wakes a CronJob, its timer, what is looked up before a decision (spec/jobs.md 7.3).
//!
//! In: changes of CronJobs and their Jobs, due times. Out: syncs: look up, `reconcile`, apply. Never: decides anything itself.

mod applier;
mod written;

use crate::{
    Options, Tasks,
    informers::{BY_OWNER, Informers},
    limits,
    work::{Again, work},
};
use applier::Applier;
use jiff::{Timestamp, tz::TimeZone};
use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::{Api, Client};
use piecework_client::{
    backoff::RetryLimits,
    clock::Clock,
    informer::{Cache, Delta, object_key},
    recorder::Recorder,
    workqueue::Workqueue,
};
use piecework_reconcile::{
    cron::{
        self, Settings,
        edit::{Edit, edited},
    },
    ownership,
};
use std::{collections::BTreeSet, sync::Arc, time::Duration};
use written::Written;

/// Source component of the CronJob controller's Events (spec/jobs.md 7.7).
pub const COMPONENT: &str = "cronjob-controller";

const RETRY: RetryLimits = RetryLimits { base: limits::RETRY_BASE, cap: limits::RETRY_CAP };

/// The machine's zone, for CronJobs that name none; UTC where the machine does not say.
pub fn machine_zone() -> TimeZone {
    TimeZone::try_system().unwrap_or(TimeZone::UTC)
}

pub(crate) fn start(informers: &mut Informers, client: &Client, clock: &Arc<dyn Clock>, options: &Options, tasks: &mut Tasks) {
    let settings = Settings { local_zone: options.local_zone.clone() };
    let queue: Workqueue<String> = Workqueue::new(RETRY);
    let recorder = Recorder::new(client.clone(), COMPONENT, clock.clone());
    let written = Written::default();
    let controller = Arc::new(Controller {
        client: client.clone(),
        cron_jobs: informers.cron_jobs.cache.clone(),
        jobs: informers.jobs.cache.clone(),
        clock: clock.clone(),
        settings,
        applier: Applier::new(client.clone(), recorder, written.clone(), options.metrics.clone()),
        written,
    });
    watch_cron_jobs(informers, &queue, &controller);
    watch_jobs(informers, &queue);
    for _ in 0..limits::CRON_JOB_WORKERS {
        let (controller, queue) = (controller.clone(), queue.clone());
        tasks.spawn(async move {
            controller.cron_jobs.synced().await;
            controller.jobs.synced().await;
            work(queue, "cronjob", |key| controller.sync(key)).await;
        });
    }
}

struct Controller {
    client: Client,
    cron_jobs: Cache<CronJob>,
    jobs: Cache<Job>,
    clock: Arc<dyn Clock>,
    settings: Settings,
    applier: Applier,
    written: Written,
}

impl Controller {
    async fn sync(&self, key: String) -> Result<Again, kube::Error> {
        let Some(cached) = self.cron_jobs.get(&key) else { return Ok(Again::No) };
        let uid = ownership::uid(&cached.metadata);
        let jobs = self.jobs.by_index(BY_OWNER, uid);
        let fresh = if self.written.is_after(&cached.metadata) || cron::forgotten(&cached, &jobs) {
            let api: Api<CronJob> = Api::namespaced(self.client.clone(), cached.metadata.namespace.as_deref().unwrap_or_default());
            api.get_opt(cached.metadata.name.as_deref().unwrap_or_default()).await?.map(Arc::new)
        } else {
            Some(cached.clone())
        };
        let Some(cron_job) = fresh.filter(|fresh| ownership::uid(&fresh.metadata) == uid) else { return Ok(Again::No) };
        let gone = self.gone(&cron_job, &jobs).await?;
        let now = self.clock.now();
        let plan = cron::reconcile(&cron_job, &jobs, &gone, &self.settings, now);
        let requeue_at = plan.requeue_at;
        self.applier.apply(&cron_job, plan).await?;
        Ok(requeue_at.map_or(Again::No, |at| Again::After(wait(now, at))))
    }

    /// Listed Jobs that are not in the cache, and not at the API server either.
    async fn gone(&self, cron_job: &CronJob, jobs: &[Arc<Job>]) -> Result<BTreeSet<String>, kube::Error> {
        let api: Api<Job> = Api::namespaced(self.client.clone(), cron_job.metadata.namespace.as_deref().unwrap_or_default());
        let mut gone = BTreeSet::new();
        for entry in cron::unseen(cron_job, jobs) {
            let (name, uid) = (entry.name.unwrap_or_default(), entry.uid.unwrap_or_default());
            let found = if name.is_empty() { None } else { api.get_opt(&name).await? };
            if found.is_none_or(|job| ownership::uid(&job.metadata) != uid) {
                gone.insert(uid);
            }
        }
        Ok(gone)
    }
}

fn wait(now: Timestamp, until: Timestamp) -> Duration {
    Duration::try_from(until.duration_since(now)).unwrap_or(Duration::ZERO)
}

fn watch_cron_jobs(informers: &mut Informers, queue: &Workqueue<String>, controller: &Arc<Controller>) {
    let (queue, controller) = (queue.clone(), controller.clone());
    informers.cron_jobs.informer.add_handler(move |delta: &Delta<CronJob>| match delta {
        Delta::Added(cron_job) => queue.add(object_key(&**cron_job)),
        Delta::Updated { old, new } => {
            let now = controller.clock.now();
            match edited(old, new, &controller.settings, now) {
                Edit::SyncNow => queue.add(object_key(&**new)),
                Edit::SyncAt(at) => queue.add_after(object_key(&**new), wait(now, at)),
                Edit::Unusable(event) => controller.applier.tell(new, event),
            }
        }
        Delta::Deleted(cron_job) => controller.written.forget(ownership::uid(&cron_job.metadata)),
    });
}

fn watch_jobs(informers: &mut Informers, queue: &Workqueue<String>) {
    let (queue, cron_jobs) = (queue.clone(), informers.cron_jobs.cache.clone());
    informers.jobs.informer.add_handler(move |delta: &Delta<Job>| {
        let (old, new) = match delta {
            Delta::Added(new) => (None, Some(new)),
            Delta::Updated { old, new } => (Some(old), Some(new)),
            Delta::Deleted(old) => (Some(old), None),
        };
        for job in [old, new].into_iter().flatten() {
            let Some(owner) = ownership::controller(&job.metadata).filter(|owner| owner.kind == "CronJob") else { continue };
            let key = format!("{}/{}", job.metadata.namespace.as_deref().unwrap_or_default(), owner.name);
            if cron_jobs.get(&key).is_some_and(|cron_job| ownership::uid(&cron_job.metadata) == owner.uid) {
                queue.add(key);
            }
        }
    });
}

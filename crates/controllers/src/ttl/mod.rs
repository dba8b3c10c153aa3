//! The TTL controller's shell: deletes finished Jobs when their `ttlSecondsAfterFinished` is over (spec/jobs.md 6).
//!
//! In: changes of Jobs, the clock. Out: a deletion in the foreground of exactly the Job that was read last. Never: polls; deletes on what a cache shows.

#[cfg(test)]
mod tests;

use crate::{
    Options, Tasks,
    informers::Informers,
    limits,
    metrics::Metrics,
    work::{Again, work},
    writes::{self, Done},
};
use jiff::Timestamp;
use k8s_openapi::api::batch::v1::Job;
use kube::{Api, Client, api::PropagationPolicy};
use piecework_client::{
    backoff::RetryLimits,
    clock::Clock,
    informer::{Cache, Delta, object_key},
    workqueue::Workqueue,
};
use piecework_reconcile::{
    ownership::{self, ObjectRef},
    ttl::{Decision, decide},
};
use std::{sync::Arc, time::Duration};

const RETRY: RetryLimits = RetryLimits { base: limits::RETRY_BASE, cap: limits::RETRY_CAP };

#[derive(Debug, thiserror::Error)]
enum TtlError {
    #[error(transparent)]
    Request(#[from] Box<kube::Error>),
    #[error("the Job is finished, but its condition has no lastTransitionTime")]
    Undated,
}

impl From<kube::Error> for TtlError {
    fn from(error: kube::Error) -> Self {
        TtlError::Request(Box::new(error))
    }
}

pub(crate) fn start(informers: &mut Informers, client: &Client, clock: &Arc<dyn Clock>, options: &Options, tasks: &mut Tasks) {
    let queue: Workqueue<String> = Workqueue::new(RETRY);
    watch(informers, &queue);
    let cleaner = Arc::new(Cleaner {
        client: client.clone(),
        jobs: informers.jobs.cache.clone(),
        clock: clock.clone(),
        metrics: options.metrics.clone(),
    });
    for _ in 0..limits::TTL_WORKERS {
        let (cleaner, queue) = (cleaner.clone(), queue.clone());
        tasks.spawn(async move {
            cleaner.jobs.synced().await;
            work(queue, "ttl after finished", |key| cleaner.sync(key)).await;
        });
    }
}

/// Every change of a Job that could ever be cleaned wakes it; a changed TTL too. An older, earlier time in the queue only makes it look once more.
fn watch(informers: &mut Informers, queue: &Workqueue<String>) {
    let queue = queue.clone();
    informers.jobs.informer.add_handler(move |delta: &Delta<Job>| {
        if !matches!(delta, Delta::Deleted(_)) && decide(delta.object(), Timestamp::MAX) != Decision::Keep {
            queue.add(object_key(&**delta.object()));
        }
    });
}

struct Cleaner {
    client: Client,
    jobs: Cache<Job>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
}

impl Cleaner {
    async fn sync(&self, key: String) -> Result<Again, TtlError> {
        let Some(cached) = self.jobs.get(&key) else { return Ok(Again::No) };
        let now = self.clock.now();
        match decide(&cached, now) {
            Decision::Keep => return Ok(Again::No),
            Decision::LookAgain(at) => return Ok(later(now, at)),
            Decision::Undated => return Err(TtlError::Undated),
            Decision::Delete { .. } => {}
        }
        // The TTL may have been raised or removed since: the API server's word counts.
        let api: Api<Job> = Api::namespaced(self.client.clone(), cached.metadata.namespace.as_deref().unwrap_or_default());
        let fresh = api.get_opt(cached.metadata.name.as_deref().unwrap_or_default()).await?;
        let Some(fresh) = fresh.filter(|fresh| ownership::uid(&fresh.metadata) == ownership::uid(&cached.metadata)) else {
            return Ok(Again::No);
        };
        let now = self.clock.now();
        match decide(&fresh, now) {
            Decision::Keep => Ok(Again::No),
            Decision::LookAgain(at) => Ok(later(now, at)),
            Decision::Undated => Err(TtlError::Undated),
            Decision::Delete { since } => {
                let outcome = writes::delete(&api, &ObjectRef::of(&fresh.metadata), PropagationPolicy::Foreground, None).await?;
                if outcome == Done::Now {
                    tracing::info!(job = key, "deleted: its TTL after finishing is over");
                    self.metrics.job_cleaned_after(Duration::try_from(self.clock.now().duration_since(since)).unwrap_or(Duration::ZERO));
                }
                Ok(Again::No)
            }
        }
    }
}

fn later(now: Timestamp, at: Timestamp) -> Again {
    Again::After(Duration::try_from(at.duration_since(now)).unwrap_or(Duration::ZERO))
}

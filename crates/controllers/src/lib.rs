//! Thin shells: informers -> reconcile -> apply. They speak only the Kubernetes API.
//!
//! In: a client over any service, a clock. Out: writes through the front door. Never: a decision about an object (that is `reconcile` and `scheduler`),
//! a private wire to the store, two workers on one key.

pub mod cronjob;
pub mod gc;
mod informers;
pub mod job;
pub mod limits;
pub mod metrics;
pub mod namespaces;
pub mod podgc;
pub mod scheduling;
mod ttl;
mod work;
mod writes;

use informers::Informers;
use piecework_client::clock::Clock;
use std::{future::Future, sync::Arc};
use tokio::task::JoinSet;

#[derive(Debug, Clone)]
pub struct Options {
    /// Cap of the Pod failure back-off: the seed's six minutes by default.
    pub job_backoff_cap: std::time::Duration,
    pub job_workers: usize,
    /// Zone of CronJobs that name none: the machine's by default (spec/jobs.md 7.1).
    pub local_zone: jiff::tz::TimeZone,
    /// What the controllers count; whoever starts them shows its text.
    pub metrics: Arc<metrics::Metrics>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            job_backoff_cap: limits::JOB_BACKOFF_CAP,
            job_workers: limits::JOB_WORKERS,
            local_zone: cronjob::machine_zone(),
            metrics: Arc::default(),
        }
    }
}

/// Runs job, CronJob, TTL, garbage-collection, Pod-GC, namespace and scheduler shells until dropped. One client per component so that User-Agent and identity differ.
pub async fn run(client: kube::Client, clock: Arc<dyn Clock>, options: Options) {
    let mut informers = Informers::new(&client);
    let mut tasks = Tasks::default();
    job::start(&mut informers, &client, &clock, &options, &mut tasks);
    cronjob::start(&mut informers, &client, &clock, &options, &mut tasks);
    ttl::start(&mut informers, &client, &clock, &options, &mut tasks);
    gc::start(&mut informers, &client, &mut tasks);
    podgc::start(&mut informers, &client, &clock, &mut tasks);
    namespaces::start(&mut informers, &client, &mut tasks);
    scheduling::start(&mut informers, &client, &clock, &mut tasks);
    informers.run(&mut tasks);
    tasks.wait().await;
}

/// What runs until `run` is dropped.
#[derive(Default)]
pub struct Tasks {
    set: JoinSet<()>,
}

impl Tasks {
    fn spawn(&mut self, task: impl Future<Output = ()> + Send + 'static) {
        self.set.spawn(task);
    }

    /// Never returns while all is well; a panic in a shell goes on in the caller.
    async fn wait(mut self) {
        while let Some(outcome) = self.set.join_next().await {
            if let Err(error) = outcome
                && error.is_panic()
            {
                std::panic::resume_unwind(error.into_panic());
            }
        }
    }
}

//! Named limits of the controllers (docs/limits.md lists them). The limits of decisions are beside the decisions in `piecework-reconcile`.
//!
//! In: nothing. Out: constants. Never: a value that a test depends on for its speed.

use std::time::Duration;

/// Default cap of the back-off between retries of a Job's Pods (seed: six minutes).
pub const JOB_BACKOFF_CAP: Duration = Duration::from_secs(360);
/// Jobs worked on at the same time by default (spec/jobs.md 4.1).
pub const JOB_WORKERS: usize = 5;
/// CronJobs worked on at the same time (spec/jobs.md, appendix B).
pub const CRON_JOB_WORKERS: usize = 5;
/// Finished Jobs looked at for their TTL at the same time.
pub const TTL_WORKERS: usize = 2;
/// Objects worked on at the same time by the garbage collector.
pub const GC_WORKERS: usize = 5;
/// Pods bound, or told unschedulable, at the same time.
pub const BINDING_WORKERS: usize = 16;
/// Requests in flight for one stage of one plan.
pub const REQUESTS_PER_STAGE: usize = 32;
/// First delay after a failed sync; doubles (spec/jobs.md 4.1).
pub const RETRY_BASE: Duration = Duration::from_secs(1);
/// Longest delay after failed syncs (spec/jobs.md 4.1).
pub const RETRY_CAP: Duration = Duration::from_secs(60);
/// First delay after a conflict in the garbage collector and the namespace controller, whose caches only have to catch up.
pub const CATCH_UP_BASE: Duration = Duration::from_millis(20);
/// How often unschedulable Pods are tried again without any change of the cluster (spec/jobs.md 11).
pub const UNSCHEDULABLE_RETRY: Duration = Duration::from_secs(300);
/// Delay after a binding failed; doubles up to the cap (spec/jobs.md 11).
pub const SCHEDULING_RETRY_BASE: Duration = Duration::from_secs(1);
/// Longest delay between tries of a binding.
pub const SCHEDULING_RETRY_CAP: Duration = Duration::from_secs(10);

//! Counters of the controllers under their upstream names, in the Prometheus text format (spec/jobs.md 5.2).
//!
//! In: observations of the shells. Out: text that the process shows beside the API server's own. Never: a label with unbounded values (names, UIDs), except
//! the manager of foreign Jobs, of which only the first `MANAGERS` are told apart.

use std::{
    collections::BTreeMap,
    fmt::Write,
    sync::{Mutex, MutexGuard, PoisonError},
    time::Duration,
};

/// Foreign values of `spec.managedBy` that get a counter of their own; the rest share one named `other`.
pub const MANAGERS: usize = 100;

/// One family: name, help, and for histograms the first bound in seconds, which doubles `BUCKETS - 1` times.
struct Family {
    name: &'static str,
    help: &'static str,
    first_bound: Option<f64>,
}

const fn counter(name: &'static str, help: &'static str) -> Family {
    Family { name, help, first_bound: None }
}

const fn histogram(name: &'static str, help: &'static str, first_bound: f64) -> Family {
    Family { name, help, first_bound: Some(first_bound) }
}

/// Bounds of every histogram (spec/jobs.md 5.2: 0.004 * 2^k, k = 0..14).
const BUCKETS: usize = 15;

const SYNCS: Family = counter("job_controller_job_syncs_total", "Syncs of Jobs.");
const SYNC_SECONDS: Family = histogram("job_controller_job_sync_duration_seconds", "Duration of a sync of a Job.", 0.004);
const FINISHED: Family = counter("job_controller_jobs_finished_total", "Jobs that reached Complete or Failed.");
const PODS_FINISHED: Family = counter("job_controller_job_pods_finished_total", "Finished Pods that were counted.");
const POLICY: Family =
    counter("job_controller_pod_failures_handled_by_failure_policy_total", "Failed Pods that a rule of a Pod failure policy matched.");
const TRACKED: Family = counter(
    "job_controller_terminated_pods_tracking_finalizer_total",
    "Finished Pods seen with the tracking finalizer (add) and without it again (delete).",
);
const INDEXES: Family = counter("job_controller_job_finished_indexes_total", "Indexes of Indexed Jobs that finished.");
const CREATIONS: Family = counter("job_controller_job_pods_creation_total", "Pods that the Job controller asked for.");
const EXTERNAL: Family = counter("job_controller_jobs_by_external_controller_total", "Jobs seen that another controller manages.");
const STALE: Family =
    counter("job_controller_stale_sync_skips_total", "Syncs put off because the cache did not show the last own write yet.");
const TTL_SECONDS: Family =
    histogram("ttl_after_finished_controller_job_deletion_duration_seconds", "Time from the end of a Job's TTL to its deletion.", 0.1);
const CRON_SKEW: Family = histogram(
    "cronjob_controller_job_creation_skew_duration_seconds",
    "Time from a CronJob's planned time to the creation of the Job.",
    1.0,
);

#[derive(Debug, Clone, Default)]
struct Histogram {
    /// Not cumulative; the text adds them up.
    buckets: [u64; BUCKETS],
    count: u64,
    seconds: f64,
}

#[derive(Debug, Default)]
struct Observed {
    /// By family name and rendered labels.
    counters: BTreeMap<(&'static str, String), u64>,
    histograms: BTreeMap<(&'static str, String), Histogram>,
    managers: usize,
}

/// The counters of the controllers of one process.
#[derive(Debug, Default)]
pub struct Metrics(Mutex<Observed>);

/// What a sync of a Job did, the `action` label.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Action {
    /// Waited for the caches to show what was asked for before.
    Reconciling,
    /// Nothing to create or delete.
    Tracking,
    PodsCreated,
    PodsDeleted,
}

impl Action {
    fn text(self) -> &'static str {
        match self {
            Action::Reconciling => "reconciling",
            Action::Tracking => "tracking",
            Action::PodsCreated => "pods_created",
            Action::PodsDeleted => "pods_deleted",
        }
    }
}

fn result(good: bool, yes: &'static str, no: &'static str) -> &'static str {
    if good { yes } else { no }
}

impl Metrics {
    fn observed(&self) -> MutexGuard<'_, Observed> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn count(&self, family: &Family, labels: &[(&str, &str)], by: u64) {
        if by > 0 {
            *self.observed().counters.entry((family.name, rendered(labels))).or_default() += by;
        }
    }

    fn time(&self, family: &Family, labels: &[(&str, &str)], took: Duration) {
        let mut observed = self.observed();
        let histogram = observed.histograms.entry((family.name, rendered(labels))).or_default();
        let seconds = took.as_secs_f64();
        histogram.count += 1;
        histogram.seconds += seconds;
        let fits = bounds(family.first_bound.unwrap_or_default()).position(|bound| seconds <= bound);
        if let Some(bucket) = fits.and_then(|place| histogram.buckets.get_mut(place)) {
            *bucket += 1;
        }
    }

    /// One sync of a Job. `completion_mode`: `Indexed` or `NonIndexed`.
    pub fn job_synced(&self, completion_mode: &str, good: bool, action: Action, took: Duration) {
        let labels = [("completion_mode", completion_mode), ("result", result(good, "success", "error")), ("action", action.text())];
        self.count(&SYNCS, &labels, 1);
        self.time(&SYNC_SECONDS, &labels, took);
    }

    /// `failure`: the reason of the condition `Failed`; None: the Job is complete.
    pub fn job_finished(&self, completion_mode: &str, failure: Option<&str>) {
        let labels = [
            ("completion_mode", completion_mode),
            ("result", result(failure.is_none(), "succeeded", "failed")),
            ("reason", failure.unwrap_or_default()),
        ];
        self.count(&FINISHED, &labels, 1);
    }

    pub fn pods_counted(&self, completion_mode: &str, succeeded: u64, failed: u64) {
        for (text, by) in [("succeeded", succeeded), ("failed", failed)] {
            self.count(&PODS_FINISHED, &[("completion_mode", completion_mode), ("result", text)], by);
        }
    }

    /// `action` as the rule says it: `FailJob`, `FailIndex`, `Ignore` or `Count`.
    pub fn failure_handled_by_policy(&self, action: &str) {
        self.count(&POLICY, &[("action", action)], 1);
    }

    /// A finished Pod came with the tracking finalizer (`added`), or lost it.
    pub fn finished_pod_tracked(&self, added: bool) {
        self.count(&TRACKED, &[("event", result(added, "add", "delete"))], 1);
    }

    pub fn indexes_finished(&self, per_index: bool, succeeded: u64, failed: u64) {
        for (text, by) in [("succeeded", succeeded), ("failed", failed)] {
            self.count(&INDEXES, &[("status", text), ("backoffLimit", result(per_index, "perIndex", "global"))], by);
        }
    }

    /// `reason`: `new`, `recreate_terminating_or_failed` or `recreate_failed`.
    pub fn pods_created(&self, reason: &str, succeeded: u64, failed: u64) {
        for (text, by) in [("succeeded", succeeded), ("failed", failed)] {
            self.count(&CREATIONS, &[("reason", reason), ("status", text)], by);
        }
    }

    pub fn external_job_seen(&self, manager: &str) {
        let labels = rendered(&[("controller_name", manager)]);
        let mut observed = self.observed();
        let known = observed.counters.contains_key(&(EXTERNAL.name, labels.clone()));
        let labels = if known || observed.managers < MANAGERS { labels } else { rendered(&[("controller_name", "other")]) };
        if !known {
            observed.managers += 1;
        }
        *observed.counters.entry((EXTERNAL.name, labels)).or_default() += 1;
    }

    pub fn stale_sync_skipped(&self) {
        self.count(&STALE, &[], 1);
    }

    /// A Job was deleted this long after its TTL was over.
    pub fn job_cleaned_after(&self, late: Duration) {
        self.time(&TTL_SECONDS, &[], late);
    }

    /// A CronJob's Job was created this long after its planned time.
    pub fn cron_job_started_after(&self, late: Duration) {
        self.time(&CRON_SKEW, &[], late);
    }

    /// The exposition text; families without an observation are left out.
    pub fn text(&self) -> String {
        let observed = self.observed();
        let mut out = String::new();
        for family in [
            &SYNCS,
            &SYNC_SECONDS,
            &FINISHED,
            &PODS_FINISHED,
            &POLICY,
            &TRACKED,
            &INDEXES,
            &CREATIONS,
            &EXTERNAL,
            &STALE,
            &TTL_SECONDS,
            &CRON_SKEW,
        ] {
            match family.first_bound {
                None => write_counters(&mut out, family, &observed),
                Some(first) => write_histograms(&mut out, family, first, &observed),
            }
        }
        out
    }
}

fn bounds(first: f64) -> impl Iterator<Item = f64> {
    std::iter::successors(Some(first), |bound| Some(bound * 2.0)).take(BUCKETS)
}

fn head(out: &mut String, family: &Family, kind: &str) {
    let _ = writeln!(out, "# HELP {} {}\n# TYPE {} {kind}", family.name, family.help, family.name);
}

fn write_counters(out: &mut String, family: &Family, observed: &Observed) {
    let mut rows = observed.counters.iter().filter(|((name, _), _)| *name == family.name).peekable();
    if rows.peek().is_some() {
        head(out, family, "counter");
    }
    for ((name, labels), count) in rows {
        let _ = writeln!(out, "{name}{} {count}", braced(labels));
    }
}

fn write_histograms(out: &mut String, family: &Family, first: f64, observed: &Observed) {
    let mut rows = observed.histograms.iter().filter(|((name, _), _)| *name == family.name).peekable();
    if rows.peek().is_some() {
        head(out, family, "histogram");
    }
    for ((name, labels), histogram) in rows {
        let separator = if labels.is_empty() { "" } else { "," };
        let mut below = 0;
        for (bound, bucket) in bounds(first).zip(histogram.buckets) {
            below += bucket;
            let _ = writeln!(out, "{name}_bucket{{{labels}{separator}le=\"{bound}\"}} {below}");
        }
        let _ = writeln!(out, "{name}_bucket{{{labels}{separator}le=\"+Inf\"}} {}", histogram.count);
        let _ = writeln!(out, "{name}_sum{} {}\n{name}_count{} {}", braced(labels), histogram.seconds, braced(labels), histogram.count);
    }
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn rendered(labels: &[(&str, &str)]) -> String {
    let one =
        |(name, value): &(&str, &str)| format!("{name}=\"{}\"", value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n"));
    labels.iter().map(one).collect::<Vec<_>>().join(",")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_observed_is_told() {
        let metrics = Metrics::default();
        assert_eq!(metrics.text(), "", "nothing observed, nothing told");
        metrics.job_synced("Indexed", true, Action::PodsCreated, Duration::from_millis(5));
        metrics.job_synced("Indexed", true, Action::PodsCreated, Duration::from_secs(3600));
        metrics.job_finished("NonIndexed", None);
        metrics.job_finished("NonIndexed", Some("BackoffLimitExceeded"));
        metrics.pods_counted("NonIndexed", 3, 0);
        metrics.pods_created("recreate_failed", 0, 2);
        metrics.indexes_finished(true, 1, 0);
        metrics.finished_pod_tracked(true);
        metrics.stale_sync_skipped();
        metrics.external_job_seen("example.com/\"x\\");
        metrics.job_cleaned_after(Duration::from_millis(100));
        let text = metrics.text();
        let sync = r#"completion_mode="Indexed",result="success",action="pods_created""#;
        for line in [
            "# TYPE job_controller_job_syncs_total counter".to_owned(),
            format!("job_controller_job_syncs_total{{{sync}}} 2"),
            format!("job_controller_job_sync_duration_seconds_bucket{{{sync},le=\"0.004\"}} 0"),
            format!("job_controller_job_sync_duration_seconds_bucket{{{sync},le=\"0.008\"}} 1"),
            format!("job_controller_job_sync_duration_seconds_bucket{{{sync},le=\"65.536\"}} 1"),
            format!("job_controller_job_sync_duration_seconds_bucket{{{sync},le=\"+Inf\"}} 2"),
            format!("job_controller_job_sync_duration_seconds_sum{{{sync}}} 3600.005"),
            r#"job_controller_jobs_finished_total{completion_mode="NonIndexed",result="succeeded",reason=""} 1"#.to_owned(),
            r#"job_controller_jobs_finished_total{completion_mode="NonIndexed",result="failed",reason="BackoffLimitExceeded"} 1"#
                .to_owned(),
            r#"job_controller_job_pods_finished_total{completion_mode="NonIndexed",result="succeeded"} 3"#.to_owned(),
            r#"job_controller_job_pods_creation_total{reason="recreate_failed",status="failed"} 2"#.to_owned(),
            r#"job_controller_job_finished_indexes_total{status="succeeded",backoffLimit="perIndex"} 1"#.to_owned(),
            r#"job_controller_terminated_pods_tracking_finalizer_total{event="add"} 1"#.to_owned(),
            "job_controller_stale_sync_skips_total 1".to_owned(),
            r#"job_controller_jobs_by_external_controller_total{controller_name="example.com/\"x\\"} 1"#.to_owned(),
            r#"ttl_after_finished_controller_job_deletion_duration_seconds_bucket{le="0.1"} 1"#.to_owned(),
            "ttl_after_finished_controller_job_deletion_duration_seconds_count 1".to_owned(),
        ] {
            assert!(text.lines().any(|shown| shown == line), "{line} in\n{text}");
        }
        assert!(!text.contains("succeeded\"} 0"), "{text}");
    }

    #[test]
    fn managers_beyond_the_bound_share_a_counter() {
        let metrics = Metrics::default();
        for number in 0..MANAGERS + 5 {
            metrics.external_job_seen(&format!("example.com/{number}"));
        }
        metrics.external_job_seen("example.com/0");
        let text = metrics.text();
        assert_eq!(text.lines().filter(|line| !line.starts_with('#')).count(), MANAGERS + 1);
        assert!(text.contains("{controller_name=\"other\"} 5\n") && text.contains("{controller_name=\"example.com/0\"} 2\n"), "{text}");
    }
}

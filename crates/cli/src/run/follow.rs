//! Follows the Jobs of a run and their Pods until every Job has ended.
//!
//! In: watches of Jobs and Pods, log lines. Out: progress, printed logs, outcomes. Never: an end before the Job's own condition says so.

use super::{
    COMPLETE, FAILED,
    logs::{Item, Logs},
    outcome::{Outcome, containers, is_parallel, obstacles, outcome, summary},
    progress::Progress,
    submit::Created,
};
use crate::{
    Context,
    failure::Failure,
    limits::{LOG_DRAIN_TIMEOUT, LOG_LINES_PER_TURN},
    server::Server,
    watching::{Change, follow, list},
};
use futures::{
    FutureExt, Stream, StreamExt,
    stream::{SelectAll, select_all},
};
use serde_json::Value;
use std::{
    collections::{BTreeMap, BTreeSet},
    pin::Pin,
};

enum Seen {
    Job(Change),
    Pod(Change),
}

type ChangeStream = Pin<Box<dyn Stream<Item = (usize, Result<Seen, Failure>)> + Send>>;
type Changes = SelectAll<ChangeStream>;

struct Followed {
    created: Created,
    job: Value,
    outcome: Option<Outcome>,
}

/// A container run that failed, for the report.
#[derive(Debug, Clone)]
struct FailedRun {
    job: usize,
    pod: String,
    container: String,
    exit_code: i64,
    reason: String,
}

pub struct Follower {
    server: Server,
    jobs: Vec<Followed>,
    changes: Changes,
    logs: Logs,
    pods: BTreeSet<String>,
    prefix: bool,
    told: BTreeSet<(String, String)>,
    failed: BTreeMap<(String, String), FailedRun>,
    latest_failed: Option<(String, String)>,
    started: tokio::time::Instant,
}

impl Follower {
    pub fn new(context: &Context, jobs: &[Created]) -> Self {
        let mut streams: Vec<ChangeStream> = Vec::new();
        for (at, job) in jobs.iter().enumerate() {
            streams.push(Box::pin(follow(&context.server, &job.object.narrowed()).map(move |change| (at, change.map(Seen::Job)))));
            streams.push(Box::pin(follow(&context.server, &job.pods).map(move |change| (at, change.map(Seen::Pod)))));
        }
        Self {
            prefix: jobs.len() > 1 || jobs.iter().any(|job| is_parallel(&job.job)),
            jobs: jobs.iter().map(|created| Followed { created: created.clone(), job: created.job.clone(), outcome: None }).collect(),
            changes: select_all(streams),
            logs: Logs::new(&context.server),
            pods: BTreeSet::new(),
            told: BTreeSet::new(),
            failed: BTreeMap::new(),
            latest_failed: None,
            started: tokio::time::Instant::now(),
            server: context.server.clone(),
        }
    }

    /// Returns when every Job has its outcome.
    pub async fn until_finished(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        let mut lines = 0;
        while self.jobs.iter().any(|job| job.outcome.is_none()) {
            // A container that prints without end must not hide what happens to the others.
            let due = lines >= LOG_LINES_PER_TURN;
            if due {
                lines = 0;
            }
            if due && let Some(change) = self.changes.next().now_or_never() {
                self.changed(change, progress)?;
                continue;
            }
            tokio::select! {
                biased;
                // Lines first: they were printed before the change that ends the Job.
                item = self.logs.next() => {
                    lines += 1;
                    self.item(item, progress)?;
                }
                change = self.changes.next() => self.changed(change, progress)?,
            }
        }
        Ok(())
    }

    fn changed(&mut self, change: Option<(usize, Result<Seen, Failure>)>, progress: &mut Progress) -> Result<(), Failure> {
        match change {
            Some((at, Ok(seen))) => {
                self.seen(at, seen, progress);
                Ok(())
            }
            Some((_, Err(failure))) => Err(failure),
            None => Err(Failure::Connection("all watches ended".into())),
        }
    }

    /// Prints one item of the logs.
    pub fn item(&mut self, item: Item, progress: &Progress) -> Result<(), Failure> {
        match item {
            Item::Line { pod, container, text } => {
                let prefix = if self.prefix { format!("[{pod}/{container}] ") } else { String::new() };
                progress.output(&[prefix.as_bytes(), &text, b"\n"].concat())
            }
            Item::Broken(message) => {
                progress.note(&message);
                Ok(())
            }
            Item::Ended => Ok(()),
        }
    }

    /// Log lines while something else is waited for.
    pub async fn next_item(&mut self) -> Item {
        self.logs.next().await
    }

    fn seen(&mut self, at: usize, seen: Seen, progress: &mut Progress) {
        match seen {
            Seen::Job(change) => {
                let ours = |job: &Value| job["metadata"]["uid"] == *self.jobs[at].created.uid;
                let (present, gone) = match change {
                    Change::Listed(items) => {
                        let found = items.into_iter().find(ours);
                        let gone = found.is_none();
                        (found, gone)
                    }
                    Change::Changed(job) => (ours(&job).then_some(job), false),
                    Change::Deleted(job) => (None, ours(&job)),
                };
                let job = &mut self.jobs[at];
                if let Some(present) = present {
                    job.outcome = outcome(&present);
                    job.job = present;
                } else if gone && job.outcome.is_none() {
                    job.outcome = Some(Outcome::Deleted);
                }
                self.show_state(progress);
            }
            Seen::Pod(Change::Listed(pods)) => pods.iter().for_each(|pod| self.pod(at, pod, progress)),
            Seen::Pod(Change::Changed(pod) | Change::Deleted(pod)) => self.pod(at, &pod, progress),
        }
    }

    fn show_state(&self, progress: &mut Progress) {
        let states: Vec<String> = self.jobs.iter().map(|job| format!("{}: {}", job.created.object.title(), summary(&job.job))).collect();
        progress.state(states.join("; "));
    }

    fn pod(&mut self, at: usize, pod: &Value, progress: &Progress) {
        let text = |field: &str| pod["metadata"][field].as_str().unwrap_or_default().to_string();
        let (uid, name) = (text("uid"), text("name"));
        self.pods.insert(uid.clone());
        // A retry's lines must be told from those of the Pod before.
        self.prefix |= self.pods.len() > 1;
        self.logs.see(pod);
        for (kind, message) in obstacles(pod) {
            if self.told.insert((uid.clone(), kind)) {
                progress.note(&message);
            }
        }
        for container in containers(pod) {
            if let Some((exit_code, reason)) = container.failed {
                let key = (uid.clone(), container.name.clone());
                let run = FailedRun { job: at, pod: name.clone(), container: container.name, exit_code, reason };
                if self.failed.insert(key.clone(), run).is_none() {
                    self.latest_failed = Some(key);
                }
            }
        }
    }

    /// After the end: what the Pods printed last and nobody has read yet.
    pub async fn drain(&mut self, progress: &mut Progress) -> Result<(), Failure> {
        for at in 0..self.jobs.len() {
            // Pods may be gone already; then their logs are as complete as they can be.
            if let Ok((pods, _)) = list(&self.server, &self.jobs[at].created.pods).await {
                pods.iter().for_each(|pod| self.pod(at, pod, progress));
            }
        }
        let deadline = tokio::time::Instant::now() + LOG_DRAIN_TIMEOUT;
        while !self.logs.is_idle() {
            match tokio::time::timeout_at(deadline, self.logs.next()).await {
                Ok(item) => self.item(item, progress)?,
                Err(_) => {
                    progress.note(&format!("some logs did not end within {} s after their Job", LOG_DRAIN_TIMEOUT.as_secs()));
                    return Ok(());
                }
            }
        }
        Ok(())
    }

    /// Says how it ended; the exit code.
    pub fn report(&self, progress: &mut Progress) -> u8 {
        progress.finish();
        let mut code = COMPLETE;
        for (at, job) in self.jobs.iter().enumerate() {
            let title = job.created.object.title();
            match &job.outcome {
                Some(Outcome::Complete) => {
                    let seconds = self.started.elapsed().as_secs();
                    progress.note(&format!(
                        "{title} complete after {}",
                        piecework_api::duration::human(i64::try_from(seconds).unwrap_or(i64::MAX))
                    ));
                }
                Some(Outcome::Failed(reason, message)) => {
                    code = FAILED;
                    progress.note(&format!("{title} failed: {reason}: {message}"));
                    self.report_pod(at, progress);
                }
                Some(Outcome::Deleted) | None => {
                    code = FAILED;
                    progress.note(&format!("{title} was deleted before it ended"));
                }
            }
        }
        code
    }

    fn report_pod(&self, at: usize, progress: &Progress) {
        let latest = self.latest_failed.as_ref().and_then(|key| self.failed.get(key)).filter(|run| run.job == at);
        let Some(run) = latest.or_else(|| self.failed.values().rfind(|run| run.job == at)) else { return };
        let reason = if run.reason.is_empty() { String::new() } else { format!(" ({})", run.reason) };
        let lines: Vec<&[u8]> = self.logs.last_lines(&run.pod, &run.container).collect();
        let what = format!("pod/{}, container {}: exit code {}{reason}", run.pod, run.container, run.exit_code);
        if lines.is_empty() {
            return progress.note(&format!("{what}; it printed nothing"));
        }
        progress.note(&format!("{what}; its last lines:"));
        for line in lines {
            progress.note(&format!("  {}", String::from_utf8_lossy(line)));
        }
    }
}

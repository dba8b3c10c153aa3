//! One Pod's worker: asks `step`, carries out its actions side by side, feeds the results back, until nothing of the Pod is left.
//!
//! In: versions of the Pod, the record of an earlier agent. Out: calls, writes, Events. Never: two writes of one Pod's status at a time; a second
//! start while one is under way (each action is marked in `Observed` before it begins).

use std::collections::BTreeSet;
use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use piecework_client::backoff::{Backoff, RetryLimits};
use piecework_client::patch::{is_conflict, is_not_found};
use piecework_runtime::{Error, SandboxStatus};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::Instant;

use super::context::Context;
use super::desired::Desired;
use super::{deletion, events, follow, image, sandbox, start};
use crate::limits::{WRITE_RETRY_BASE, WRITE_RETRY_CAP};
use crate::pod::join::join;
use crate::pod::observed::{AttemptState, Observation, Observed, Sandbox};
use crate::pod::outcome::{self, Next};
use crate::pod::spec::{self, RestartPolicy};
use crate::pod::step::{PodAction, step};
use crate::resolve::container::container_id;
use crate::resolve::supported::unsupported_field;

const SIGTERM: i32 = libc::SIGTERM;
const SIGKILL: i32 = libc::SIGKILL;

/// What a finished task brings back.
enum Done {
    Observed(Observation),
    StatusWritten(Box<Result<Option<Pod>, kube::Error>>),
    Failed(Write, String),
}

/// Calls without an answer of their own that are tried again after a delay.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Write {
    Delete,
    Signal,
}

/// A write that may be under way, or has to wait after a failure.
struct Gate {
    busy: bool,
    not_before: Option<Instant>,
    backoff: Backoff,
}

impl Gate {
    fn new() -> Self {
        Gate { busy: false, not_before: None, backoff: Backoff::new(RetryLimits { base: WRITE_RETRY_BASE, cap: WRITE_RETRY_CAP }) }
    }

    fn open(&self, now: Instant) -> bool {
        !self.busy && self.not_before.is_none_or(|time| time <= now)
    }

    fn succeeded(&mut self) {
        *self = Gate::new();
    }

    fn failed(&mut self, now: Instant) {
        self.busy = false;
        self.not_before = Some(now + self.backoff.fail());
    }
}

/// The state of one worker.
pub struct Worker {
    context: Arc<Context>,
    uid: String,
    updates: watch::Receiver<Option<Arc<Pod>>>,
    desired: Desired,
    observed: Observed,
    /// Actions that must not be cut off half-way when the agent stops.
    making: JoinSet<Done>,
    /// Waits, pulls and writes, which may be.
    waiting: JoinSet<Done>,
    followed: BTreeSet<String>,
    signalled: BTreeSet<String>,
    status: Gate,
    delete: Gate,
    signal: Gate,
}

impl Worker {
    pub fn new(context: Arc<Context>, uid: String, updates: watch::Receiver<Option<Arc<Pod>>>, on_disk: Option<&SandboxStatus>) -> Self {
        let first = updates.borrow().clone();
        let mut observed = join(first.as_deref(), on_disk, context.clock.now());
        observed.refused = first
            .as_deref()
            .filter(|pod| !spec::is_terminal(pod) && observed.containers.is_empty())
            .and_then(unsupported_field)
            .map(|field| format!("this node does not support the field {field}"));
        let mut desired = Desired::default();
        desired.watched(first);
        Worker {
            context,
            uid,
            updates,
            desired,
            observed,
            making: JoinSet::new(),
            waiting: JoinSet::new(),
            followed: BTreeSet::new(),
            signalled: BTreeSet::new(),
            status: Gate::new(),
            delete: Gate::new(),
            signal: Gate::new(),
        }
    }

    /// Works until nothing of the Pod is left (then answers with its uid) or until shutdown.
    pub async fn run(mut self, mut shutdown: watch::Receiver<bool>) -> String {
        if let (Some(message), Some(pod)) = (self.observed.refused.clone(), self.desired.newest()) {
            events::warning(&self.context, &pod, None, "UnexpectedAdmissionError", message);
        }
        loop {
            let wake = self.act();
            if self.observed.discarded && self.making.is_empty() {
                return self.uid;
            }
            tokio::select! {
                biased;
                _ = shutdown.wait_for(|stop| *stop) => break,
                changed = self.updates.changed() => {
                    if changed.is_err() {
                        break;
                    }
                    let newest = self.updates.borrow_and_update().clone();
                    self.desired.watched(newest);
                }
                Some(done) = self.making.join_next() => self.take(done),
                Some(done) = self.waiting.join_next() => self.take(done),
                () = tokio::time::sleep_until(wake.unwrap_or_else(Instant::now)), if wake.is_some() => {}
            }
        }
        self.waiting.abort_all();
        while self.making.join_next().await.is_some() {}
        self.uid
    }

    /// Begins everything that is due; answers with the time of the next look.
    fn act(&mut self) -> Option<Instant> {
        let now = self.context.clock.now();
        let instant = Instant::now();
        let pod = self.desired.newest();
        let mut wake: Option<Instant> = None;
        for action in step(pod.as_deref(), &self.observed, now) {
            self.begin(action, pod.as_ref(), now, instant, &mut wake);
        }
        self.follow_running(pod.as_ref());
        for gate in [&self.status, &self.delete, &self.signal] {
            if let Some(time) = gate.not_before.filter(|time| *time > instant) {
                wake = Some(wake.map_or(time, |earlier| earlier.min(time)));
            }
        }
        wake
    }

    fn begin(&mut self, action: PodAction, pod: Option<&Arc<Pod>>, now: Timestamp, instant: Instant, wake: &mut Option<Instant>) {
        let context = Arc::clone(&self.context);
        let uid = self.uid.clone();
        match (action, pod.cloned()) {
            (PodAction::WakeAt(time), _) => {
                let wait = Duration::try_from(time.duration_since(now)).unwrap_or_default();
                *wake = Some(instant + wait);
            }
            (PodAction::CreateSandbox, Some(pod)) => {
                self.observed.apply(Observation::SandboxCreating);
                self.make(async move { sandbox::create(&context, &pod).await });
            }
            (PodAction::PullImage { container }, Some(pod)) => {
                let Some(specification) = spec::find_container(&pod, &container).cloned() else { return };
                self.observed.apply(Observation::ImagePulling { container });
                self.waiting.spawn(async move { Done::Observed(image::ensure(&context, &pod, &specification).await) });
            }
            (PodAction::StartContainer { container, attempt }, Some(pod)) => {
                let Some(specification) = spec::find_container(&pod, &container).cloned() else { return };
                let id = container_id(&uid, &container, attempt);
                self.observed.apply(Observation::Starting { container, attempt, id });
                let ip = match &self.observed.sandbox {
                    Sandbox::Ready { ip: Some(ip), .. } => Some(ip.clone()),
                    _ => Some(crate::pod::status::HOST_IP.to_owned()),
                };
                self.make(async move { start::start(&context, &pod, &specification, attempt, ip).await });
            }
            (PodAction::Terminate { container, attempt, id }, Some(pod)) => {
                if self.send_signal(&container, attempt, id, false, instant) {
                    events::normal(&context, &pod, &container, "Killing", format!("Stopping container {container}"));
                }
            }
            (PodAction::Kill { container, attempt, id }, _) => {
                self.send_signal(&container, attempt, id, true, instant);
            }
            (PodAction::RemoveSandbox, _) => {
                self.observed.apply(Observation::SandboxRemoving);
                self.make(async move { sandbox::remove(&context, &uid).await });
            }
            (PodAction::Discard, _) => {
                // Marked at once: `step` must not ask again while it runs, and `run` waits for what is being made.
                self.observed.apply(Observation::Discarded);
                self.make(async move { sandbox::discard(&context, &uid).await });
            }
            (PodAction::UpdateStatus(status), Some(pod)) => self.write_status(pod, status, instant),
            (PodAction::FinalDelete, Some(pod)) => {
                if !self.delete.open(instant) {
                    return;
                }
                self.delete.busy = true;
                self.waiting.spawn(async move {
                    match deletion::final_delete(&context, &pod).await {
                        Ok(()) => Done::Observed(Observation::FinalDeleteDone),
                        Err(error) => Done::Failed(Write::Delete, error.to_string()),
                    }
                });
            }
            (_, None) => {}
        }
    }

    fn make(&mut self, work: impl Future<Output = Observation> + Send + 'static) {
        self.making.spawn(async move { Done::Observed(work.await) });
    }

    fn write_status(&mut self, pod: Arc<Pod>, status: Box<PodStatus>, instant: Instant) {
        if !self.status.open(instant) {
            return;
        }
        self.status.busy = true;
        let context = Arc::clone(&self.context);
        self.waiting.spawn(async move { Done::StatusWritten(Box::new(deletion::write_status(&context, &pod, &status).await)) });
    }

    /// False: it is under way, or has to wait after a failure.
    fn send_signal(&mut self, container: &str, attempt: u32, id: String, kill: bool, instant: Instant) -> bool {
        let key = format!("{id} {kill}");
        if self.signal.not_before.is_some_and(|time| time > instant) || !self.signalled.insert(key) {
            return false;
        }
        let context = Arc::clone(&self.context);
        let container = container.to_owned();
        let image =
            self.observed.containers.get(&container).and_then(|known| known.attempts.get(&attempt)).map(|known| known.image.clone());
        self.making.spawn(async move {
            let signal = if kill { SIGKILL } else { stop_signal(&context, image.as_deref()).await };
            let at = context.clock.now();
            let sent = match context.runtime.signal_container(&id, signal).await {
                // Whoever waits for it learns how it ended.
                Err(Error::NotFound(_)) => Ok(()),
                other => other,
            };
            match sent {
                Ok(()) if kill => Done::Observed(Observation::KillSent { container, attempt, at }),
                Ok(()) => Done::Observed(Observation::TerminateSent { container, attempt, at }),
                Err(error) => Done::Failed(Write::Signal, error.to_string()),
            }
        });
        true
    }

    /// Every running attempt is waited for, once.
    fn follow_running(&mut self, pod: Option<&Arc<Pod>>) {
        let running: Vec<(String, u32, String, String, String)> = self
            .observed
            .live()
            .filter(|(_, _, attempt)| matches!(attempt.state, AttemptState::Running { .. }))
            .filter(|(_, _, attempt)| !self.followed.contains(&attempt.id))
            .map(|(name, number, attempt)| (name.to_owned(), number, attempt.id.clone(), attempt.image.clone(), attempt.image_id.clone()))
            .collect();
        for (container, attempt, id, image, image_id) in running {
            self.followed.insert(id.clone());
            let context = Arc::clone(&self.context);
            let pod = pod.cloned();
            self.waiting.spawn(async move {
                let specification = pod.as_deref().and_then(|pod| spec::find_container(pod, &container));
                let log = pod.as_deref().map(|pod| context.paths.log(pod, &container, attempt)).unwrap_or_default();
                let exit = follow::exit_of(&context, &id, specification, &log).await;
                Done::Observed(Observation::State { container, attempt, id, image, image_id, state: AttemptState::Exited(exit) })
            });
        }
    }

    fn take(&mut self, done: Result<Done, tokio::task::JoinError>) {
        let instant = Instant::now();
        match done {
            Ok(Done::Observed(observation)) => self.observe(observation),
            Ok(Done::StatusWritten(result)) => match *result {
                Ok(pod) => {
                    self.status.succeeded();
                    if let Some(pod) = pod {
                        self.desired.answered(pod);
                    }
                }
                Err(error) => {
                    // A Pod that is gone is no news: the watch is about to say so.
                    if is_not_found(&error) || is_conflict(&error) {
                        tracing::debug!(uid = %self.uid, %error, "a Pod's status was not written");
                    } else {
                        tracing::warn!(uid = %self.uid, %error, "a Pod's status was not written; trying again");
                    }
                    self.status.failed(instant);
                }
            },
            Ok(Done::Failed(write, error)) => {
                tracing::warn!(uid = %self.uid, ?write, error, "trying again");
                match write {
                    Write::Delete => self.delete.failed(instant),
                    Write::Signal => {
                        self.signalled.clear();
                        self.signal.failed(instant);
                    }
                }
            }
            Err(error) => tracing::error!(uid = %self.uid, %error, "a task of a Pod worker broke"),
        }
    }

    fn observe(&mut self, observation: Observation) {
        let ended = match &observation {
            Observation::State { container, state: AttemptState::Exited(_), .. } => Some(container.clone()),
            _ => None,
        };
        match &observation {
            Observation::FinalDeleteDone => self.delete.succeeded(),
            Observation::TerminateSent { .. } | Observation::KillSent { .. } => self.signal.succeeded(),
            _ => {}
        }
        self.observed.apply(observation);
        if let Some(name) = ended {
            self.tell_backoff(&name);
        }
    }

    /// The Event that goes with CrashLoopBackOff.
    fn tell_backoff(&self, name: &str) {
        let Some(pod) = self.desired.newest() else { return };
        let Some(pod_spec) = pod.spec.as_ref() else { return };
        if outcome::stop(&pod, &self.observed, self.context.clock.now()).is_some() {
            return;
        }
        let init = spec::init_containers(pod_spec).iter().any(|container| container.name == name);
        let policy = if init { RestartPolicy::of_init(pod_spec) } else { RestartPolicy::of(pod_spec) };
        if let Next::Start { delay_seconds, .. } = outcome::next(policy, self.observed.containers.get(name))
            && delay_seconds > 0
        {
            let (pod_name, namespace) =
                (pod.metadata.name.as_deref().unwrap_or_default(), pod.metadata.namespace.as_deref().unwrap_or_default());
            let message = format!("Back-off restarting failed container {name} in pod {pod_name}_{namespace}({})", self.uid);
            events::warning(&self.context, &pod, Some(name), "BackOff", message);
        }
    }
}

/// The image's own stop signal, else SIGTERM.
async fn stop_signal(context: &Context, image: Option<&str>) -> i32 {
    let Some(image) = image.filter(|image| !image.is_empty()) else { return SIGTERM };
    match context.images.get(image).await {
        Ok(Some(image)) => image.config.stop_signal.as_deref().and_then(signal_number).unwrap_or(SIGTERM),
        _ => SIGTERM,
    }
}

/// `SIGINT`, `INT` or `2`.
fn signal_number(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (1..=64).contains(&number).then_some(number);
    }
    let name = if text.starts_with("SIG") { text.to_owned() } else { format!("SIG{text}") };
    name.parse::<nix::sys::signal::Signal>().ok().map(|signal| signal as i32)
}

#[cfg(test)]
mod tests {
    use super::signal_number;

    #[test]
    fn stop_signals() {
        let cases = [("SIGINT", Some(2)), ("QUIT", Some(3)), ("15", Some(15)), ("0", None), ("SIGNOPE", None), ("37", Some(37))];
        for (text, number) in cases {
            assert_eq!(signal_number(text), number, "{text}");
        }
    }
}

//! A model of everything around `reconcile`: an API server in memory, caches that may lag, Pods that do what the test says (tests only).
//!
//! In: plans. Out: states, and panics where a write breaks what the API promises (3.4) or counts a Pod twice. Never: time of its own.

#![allow(clippy::unwrap_used)]

use super::{plan::Stage, *};
use crate::ownership::TRACKING_FINALIZER;
use jiff::SignedDuration;
use k8s_openapi::{
    api::core::v1::{ContainerState, ContainerStateTerminated, ContainerStatus, PodCondition, PodSpec, PodStatus, PodTemplateSpec},
    apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta},
};
use std::collections::{BTreeMap, VecDeque};

pub const GRACE: i64 = 30;

#[derive(Clone)]
pub struct World {
    pub job: Job,
    pub pods: BTreeMap<String, Pod>,
    pub known: Known,
    pub now: Timestamp,
    pub told: Vec<String>,
    /// Creation time of every Pod ever made.
    pub created: Vec<Timestamp>,
    pub most_active: usize,
    pub most_uncounted: usize,
    pub counted: BTreeSet<String>,
    /// Pods that reached a terminal phase with the tracking finalizer on.
    pub ended: BTreeMap<String, Pod>,
    /// The smallest number of completions there ever was; indexes above come and go.
    pub least_completions: i32,
    job_changes: VecDeque<Job>,
    pod_changes: VecDeque<(String, Option<Pod>)>,
    cached_job: Job,
    cached_pods: BTreeMap<String, Pod>,
    serial: u64,
}

impl World {
    pub fn job(change: impl FnOnce(&mut JobSpec)) -> World {
        let labels: BTreeMap<String, String> = [("app".to_owned(), "pi".to_owned())].into();
        let mut spec = JobSpec {
            parallelism: Some(1),
            completions: Some(1),
            backoff_limit: Some(6),
            selector: Some(LabelSelector { match_labels: Some(labels.clone()), ..LabelSelector::default() }),
            template: PodTemplateSpec {
                metadata: Some(ObjectMeta { labels: Some(labels), ..ObjectMeta::default() }),
                spec: Some(PodSpec { restart_policy: Some("Never".into()), ..PodSpec::default() }),
            },
            ..JobSpec::default()
        };
        change(&mut spec);
        let least_completions = spec.completions.unwrap_or(0);
        let metadata = ObjectMeta {
            name: Some("pi".into()),
            namespace: Some("default".into()),
            uid: Some("job-uid".into()),
            resource_version: Some("1".into()),
            ..ObjectMeta::default()
        };
        let job = Job { metadata, spec: Some(spec), status: None };
        World {
            cached_job: job.clone(),
            job,
            pods: BTreeMap::new(),
            known: Known::default(),
            now: Timestamp::from_second(1_000_000).unwrap(),
            told: Vec::new(),
            created: Vec::new(),
            most_active: 0,
            most_uncounted: 0,
            counted: BTreeSet::new(),
            ended: BTreeMap::new(),
            least_completions,
            job_changes: VecDeque::new(),
            pod_changes: VecDeque::new(),
            cached_pods: BTreeMap::new(),
            serial: 1,
        }
    }

    pub fn status(&self) -> JobStatus {
        self.job.status.clone().unwrap_or_default()
    }

    /// (succeeded, failed, active, terminating)
    pub fn numbers(&self) -> (i32, i32, i32, i32) {
        let status = self.status();
        (status.succeeded.unwrap_or(0), status.failed.unwrap_or(0), status.active.unwrap_or(0), status.terminating.unwrap_or(0))
    }

    /// `Type/Reason` of the conditions that are True, in order.
    pub fn conditions(&self) -> Vec<String> {
        let status = self.status();
        status
            .conditions
            .iter()
            .flatten()
            .filter(|c| c.status == "True")
            .map(|c| format!("{}/{}", c.type_, c.reason.clone().unwrap_or_default()))
            .collect()
    }

    pub fn indexed(&self) -> bool {
        indexed::indexed(self.job.spec.as_ref().unwrap())
    }

    /// Whether this Pod, which ended with the finalizer on, has left its mark in the status.
    pub fn accounted(&self, uid: &str, pod: &Pod) -> bool {
        let spec = self.job.spec.as_ref().unwrap();
        if self.counted.contains(uid) || failure_policy::verdict(spec, pod) == Verdict::Ignore {
            return true;
        }
        if !self.indexed() {
            return false;
        }
        let status = self.status();
        let early =
            conditions::holds(&status, conditions::COMPLETE).is_some_and(|complete| complete.reason.as_deref() == Some("SuccessPolicy"));
        if early && pods::deleting(pod) {
            return true;
        }
        let marked = |index: i32| {
            [&status.completed_indexes, &status.failed_indexes].iter().any(|text| index_audit::read(text.as_deref()).contains(&index))
        };
        index_audit::index_of(pod).is_none_or(|index| index >= self.least_completions || (pods::succeeded(pod) && marked(index)))
    }

    /// UIDs of the active Pods of an index.
    pub fn of_index(&self, index: i32) -> Vec<String> {
        self.active().into_iter().filter(|uid| index_audit::index_of(&self.pods[uid]) == Some(index)).collect()
    }

    pub fn active(&self) -> Vec<String> {
        let ours = |pod: &Pod| ownership::controller(&pod.metadata).is_some_and(|owner| owner.uid == "job-uid");
        self.pods.iter().filter(|(_, pod)| pods::active(pod) && ours(pod)).map(|(uid, _)| uid.clone()).collect()
    }

    pub fn plan(&self) -> Plan {
        let pods: Vec<Arc<Pod>> = self.cached_pods.values().cloned().map(Arc::new).collect();
        reconcile(&self.cached_job, &pods, &self.known, self.now)
    }

    pub fn cached(&self) -> (Job, Vec<Arc<Pod>>) {
        (self.cached_job.clone(), self.cached_pods.values().cloned().map(Arc::new).collect())
    }

    /// Sees everything, reconciles until nothing is left to do now; the wait it ended with.
    pub fn settle(&mut self) -> Option<Timestamp> {
        for _ in 0..100 {
            self.observe_all();
            let plan = self.plan();
            assert!(plan.problems.is_empty(), "{:?}", plan.problems);
            if plan.is_empty() {
                return plan.requeue_at;
            }
            assert!(self.apply(&plan, usize::MAX), "nobody else writes: {plan:?}");
        }
        panic!("does not settle: {:?}", self.plan());
    }

    pub fn advance(&mut self, seconds: i64) {
        self.now = self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap();
    }

    /// Loses what is only in memory; a new controller starts with full caches.
    pub fn crash(&mut self) {
        self.observe_all();
        self.known = Known::new(self.known.settings.clone());
    }

    /// Applies up to `stages` stages the way the applier does; false when one failed.
    pub fn apply(&mut self, plan: &Plan, stages: usize) -> bool {
        let mut version = self.cached_job.metadata.resource_version.clone();
        for (index, stage) in plan.stages.iter().enumerate().take(stages) {
            if !self.apply_stage(stage, &mut version) {
                return false;
            }
            self.told.extend(plan.events.iter().filter(|event| event.after_stage == Some(index)).map(|event| event.reason.clone()));
        }
        true
    }

    fn apply_stage(&mut self, stage: &Stage, version: &mut Option<String>) -> bool {
        match stage {
            Stage::AdoptPods(list) | Stage::ReleasePods(list) => {
                for reference in list {
                    let Some(pod) = self.pods.get(&reference.uid).cloned() else { return false };
                    if pod.metadata.resource_version.as_deref() != Some(&reference.resource_version) {
                        return false;
                    }
                    let adopt = matches!(stage, Stage::AdoptPods(_));
                    let pod = if adopt { claim::adopted(&self.job, &pod) } else { released(pod) };
                    self.put(&reference.uid, pod);
                }
            }
            Stage::DeletePods { pods, uncounted } => {
                assert!(pods.len() <= manage::PODS_PER_SYNC || !uncounted);
                for pod in pods {
                    if *uncounted {
                        let seen = |found: &Pod| found.metadata.resource_version.as_deref() == Some(&pod.resource_version);
                        if self.pods.get(&pod.uid).is_some_and(|found| !seen(found)) {
                            return false;
                        }
                        self.strip(&pod.uid);
                    }
                    if self.pods.contains_key(&pod.uid) {
                        self.known.learn(Fact::DeletionAsked { pod_uid: pod.uid.clone(), at: self.now });
                        self.delete(&pod.uid);
                    }
                }
            }
            Stage::WriteStatus(write) => {
                if *version != self.job.metadata.resource_version {
                    return false;
                }
                self.audit(&write.status);
                self.job.status = Some(write.status.clone());
                self.touch_job();
                *version = self.job.metadata.resource_version.clone();
                self.known.learn(Fact::StatusWritten {
                    job_uid: "job-uid".into(),
                    resource_version: version.clone().unwrap(),
                    backoff: write.backoff.clone(),
                    terminal: write.terminal,
                });
            }
            Stage::RemoveFinalizers(list) => {
                for pod in list {
                    // One that ends after it was freed (the Job had succeeded, or is being deleted) need not count.
                    if self.cached_pods.get(&pod.uid).is_some_and(|seen| !pods::terminal(seen)) {
                        self.ended.remove(&pod.uid);
                    }
                    self.strip(&pod.uid);
                    self.known.learn(Fact::FinalizerRemoved { pod_uid: pod.uid.clone() });
                }
            }
            Stage::CreatePods(list) => {
                let parallelism = self.cached_job.spec.as_ref().unwrap().parallelism.unwrap();
                assert!(list.len() <= manage::PODS_PER_SYNC);
                assert!(self.active().len() + list.len() <= parallelism as usize, "more Pods than parallelism");
                self.known.learn(Fact::CreationsAsked { count: list.len() as u32, at: self.now });
                for pod in list {
                    if self.indexed() {
                        // A stale size is no fault: what is too many goes away once it is seen.
                        let completions = self.cached_job.spec.as_ref().and_then(|spec| spec.completions);
                        index_audit::creation(&self.job, completions, &self.pods, pod);
                    }
                    self.create(pod.clone());
                }
                self.most_active = self.most_active.max(self.active().len());
            }
        }
        true
    }

    /// What every status write must keep (3.4, 4.10).
    fn audit(&mut self, new: &JobStatus) {
        let old = self.status();
        let number = |value: Option<i32>| value.unwrap_or(0);
        assert!(!conditions::finished(&self.job), "a finished Job is never written again");
        assert!(number(new.failed) >= number(old.failed), "a counter fell");
        assert!(self.indexed() || number(new.succeeded) >= number(old.succeeded), "a counter fell");
        if self.indexed() {
            index_audit::status_write(&self.job, &self.pods, new);
        }
        let lists = |status: &JobStatus| {
            let lists = status.uncounted_terminated_pods.clone().unwrap_or_default();
            (lists.succeeded.unwrap_or_default(), lists.failed.unwrap_or_default())
        };
        let (before, after) = (lists(&old), lists(new));
        for (which, before, after, old, new) in [
            ("succeeded", before.0, after.0.clone(), old.succeeded, new.succeeded),
            ("failed", before.1, after.1.clone(), old.failed, new.failed),
        ] {
            let dropped: Vec<&String> = before.iter().filter(|uid| !after.contains(uid)).collect();
            // Successes of an Indexed Job are audited by index.
            if self.indexed() && which == "succeeded" {
                continue;
            }
            assert_eq!(number(new) - number(old), dropped.len() as i32, "one count per UID");
            for uid in dropped {
                assert!(self.counted.insert(uid.clone()), "{uid} counted twice");
                let finalizer = self.pods.get(uid).is_some_and(|pod| ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER));
                assert!(!finalizer, "{uid} counted before its finalizer was gone");
            }
        }
        let held: Vec<&String> = after.0.iter().chain(&after.1).collect();
        let distinct: BTreeSet<&&String> = held.iter().collect();
        assert_eq!(distinct.len(), held.len(), "a UID is held once");
        assert!(held.iter().all(|uid| !self.counted.contains(*uid)), "a counted UID came back");
        self.most_uncounted = self.most_uncounted.max(held.len());
        assert!(held.len() <= count::UNCOUNTED_LIMIT);
        assert!(number(new.ready) <= number(new.active));
        let job = Job { status: Some(new.clone()), ..Job::default() };
        if conditions::finished(&job) {
            assert!(held.is_empty() && number(new.active) == 0 && number(new.terminating) == 0 && new.start_time.is_some());
            assert_eq!(new.completion_time.is_some(), conditions::holds(new, conditions::COMPLETE).is_some());
        }
        for interim in [conditions::FAILURE_TARGET, conditions::SUCCESS_CRITERIA_MET] {
            assert!(conditions::holds(&old, interim).is_none() || conditions::holds(new, interim).is_some());
        }
    }

    pub fn touch_job(&mut self) {
        self.serial += 1;
        self.job.metadata.resource_version = Some(self.serial.to_string());
        self.job_changes.push_back(self.job.clone());
    }

    pub fn change_spec(&mut self, change: impl FnOnce(&mut JobSpec)) {
        let spec = self.job.spec.as_mut().unwrap();
        change(spec);
        self.least_completions = self.least_completions.min(spec.completions.unwrap_or(0));
        self.touch_job();
    }

    pub fn put(&mut self, uid: &str, mut pod: Pod) {
        self.serial += 1;
        pod.metadata.resource_version = Some(self.serial.to_string());
        if pods::terminal(&pod) && ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER) {
            self.ended.insert(uid.to_owned(), pod.clone());
        }
        let gone = pod.metadata.deletion_grace_period_seconds == Some(0) && pod.metadata.finalizers.iter().flatten().next().is_none();
        if gone {
            self.pods.remove(uid);
        } else {
            self.pods.insert(uid.to_owned(), pod.clone());
        }
        self.pod_changes.push_back((uid.to_owned(), (!gone).then_some(pod)));
    }

    pub fn create(&mut self, mut pod: Pod) -> String {
        let uid = format!("pod-{:05}", self.serial);
        pod.metadata.uid = Some(uid.clone());
        pod.metadata.name = Some(uid.clone());
        pod.metadata.creation_timestamp = Some(Time(self.now));
        pod.status = Some(PodStatus { phase: Some("Pending".into()), ..PodStatus::default() });
        self.created.push(self.now);
        self.put(&uid, pod);
        uid
    }

    fn strip(&mut self, uid: &str) {
        if let Some(mut pod) = self.pods.get(uid).cloned() {
            pod.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != TRACKING_FINALIZER);
            self.put(uid, pod);
        }
    }

    /// DELETE: graceful for a bound Pod that has not ended.
    pub fn delete(&mut self, uid: &str) {
        let Some(mut pod) = self.pods.get(uid).cloned() else { return };
        let bound = pod.spec.as_ref().is_some_and(|spec| spec.node_name.is_some());
        let grace = if bound && !pods::terminal(&pod) { GRACE } else { 0 };
        if pod.metadata.deletion_timestamp.is_none() {
            pod.metadata.deletion_timestamp = Some(Time(self.now.saturating_add(SignedDuration::from_secs(grace)).unwrap()));
            pod.metadata.deletion_grace_period_seconds = Some(grace);
            self.put(uid, pod);
        }
    }

    /// The node agent starts it.
    pub fn start(&mut self, uid: &str) {
        let Some(mut pod) = self.pods.get(uid).filter(|pod| pods::active(pod)).cloned() else { return };
        pod.spec.get_or_insert_default().node_name = Some("node".into());
        let ready = PodCondition {
            type_: "Ready".into(),
            status: "True".into(),
            last_transition_time: Some(Time(self.now)),
            ..PodCondition::default()
        };
        pod.status = Some(PodStatus { phase: Some("Running".into()), conditions: Some(vec![ready]), ..PodStatus::default() });
        self.put(uid, pod);
    }

    /// It ends with this exit code; a Pod being deleted goes away once nothing holds it.
    pub fn end(&mut self, uid: &str, code: i32) {
        let Some(mut pod) = self.pods.get(uid).filter(|pod| !pods::terminal(pod)).cloned() else { return };
        pod.spec.get_or_insert_default().node_name = Some("node".into());
        let terminated =
            ContainerStateTerminated { exit_code: code, finished_at: Some(Time(self.now)), ..ContainerStateTerminated::default() };
        let container = ContainerStatus {
            state: Some(ContainerState { terminated: Some(terminated), ..ContainerState::default() }),
            ..ContainerStatus::default()
        };
        let phase = if code == 0 { "Succeeded" } else { "Failed" };
        let conditions = pod.status.take().and_then(|status| status.conditions).unwrap_or_default();
        let conditions = conditions.into_iter().filter(|condition| condition.type_ != "Ready").collect();
        let containers = Some(vec![container]);
        pod.status = Some(PodStatus {
            phase: Some(phase.into()),
            container_statuses: containers,
            conditions: Some(conditions),
            ..PodStatus::default()
        });
        if pods::deleting(&pod) {
            pod.metadata.deletion_grace_period_seconds = Some(0);
        }
        self.put(uid, pod);
    }

    /// Something is about to end it that is not its fault.
    pub fn disrupt(&mut self, uid: &str) {
        let Some(mut pod) = self.pods.get(uid).filter(|pod| !pods::terminal(pod)).cloned() else { return };
        let target = PodCondition { type_: "DisruptionTarget".into(), status: "True".into(), ..PodCondition::default() };
        pod.status.get_or_insert_default().conditions.get_or_insert_default().push(target);
        self.put(uid, pod);
    }

    pub fn restarted(&mut self, uid: &str, restarts: i32) {
        let mut pod = self.pods[uid].clone();
        let container = ContainerStatus { restart_count: restarts, ..ContainerStatus::default() };
        pod.status.as_mut().unwrap().container_statuses = Some(vec![container]);
        self.put(uid, pod);
    }

    pub fn end_all(&mut self, code: i32) {
        let unended: Vec<String> = self.pods.iter().filter(|(_, pod)| !pods::terminal(pod)).map(|(uid, _)| uid.clone()).collect();
        for uid in unended {
            self.end(&uid, code);
        }
    }

    pub fn observe_all(&mut self) {
        self.observe(usize::MAX, usize::MAX);
    }

    /// The caches see that many more changes of the Job and of Pods, and the facts in them are learnt.
    pub fn observe(&mut self, job_changes: usize, pod_changes: usize) {
        for _ in 0..job_changes {
            let Some(job) = self.job_changes.pop_front() else { break };
            self.cached_job = job;
        }
        for _ in 0..pod_changes {
            let Some((uid, new)) = self.pod_changes.pop_front() else { break };
            let old = self.cached_pods.get(&uid);
            for fact in known::facts(old, new.as_ref(), self.now) {
                self.known.learn(fact);
            }
            match new {
                Some(pod) => self.cached_pods.insert(uid, pod),
                None => self.cached_pods.remove(&uid),
            };
        }
    }
}

fn released(mut pod: Pod) -> Pod {
    pod.metadata.owner_references.get_or_insert_default().retain(|owner| owner.uid != "job-uid");
    pod.metadata.finalizers.get_or_insert_default().retain(|finalizer| finalizer != TRACKING_FINALIZER);
    pod
}

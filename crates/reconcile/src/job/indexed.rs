//! Indexed Jobs: the index of a Pod, which indexes are done, which are next, which Pods are surplus (spec/jobs.md 4.9.1).
//!
//! In: the Job, its status, its Pods. Out: sets of indexes, Pods dressed with an index. Never: counts UIDs (that is `count`), reads a clock.

use super::{index_set::IndexSet, per_index, pods, template};
use crate::ownership;
use k8s_openapi::api::{
    batch::v1::{Job, JobSpec, JobStatus},
    core::v1::{Container, EnvVar, EnvVarSource, ObjectFieldSelector, Pod},
};
use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

/// Annotation and label that carry a Pod's index.
pub const COMPLETION_INDEX: &str = "batch.kubernetes.io/job-completion-index";
/// The variable every container of an Indexed Job finds its index in.
pub const INDEX_VARIABLE: &str = "JOB_COMPLETION_INDEX";

pub fn indexed(spec: &JobSpec) -> bool {
    spec.completion_mode.as_deref() == Some("Indexed")
}

/// How far an Indexed Job has come.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Progress {
    /// `spec.completions`: every index is below.
    pub limit: i32,
    pub completed: IndexSet,
    /// Given up for good; stays empty without `backoffLimitPerIndex`.
    pub failed: IndexSet,
    per_index: bool,
}

impl Progress {
    /// What the status says, cut at the present number of completions; None for other Jobs.
    pub fn stored(spec: &JobSpec, status: &JobStatus) -> Option<Self> {
        let limit = spec.completions.filter(|_| indexed(spec))?.max(0);
        let read = |text: &Option<String>| IndexSet::parse(text.as_deref().unwrap_or_default(), limit);
        let completed = read(&status.completed_indexes);
        Some(Progress { limit, completed, failed: read(&status.failed_indexes), per_index: spec.backoff_limit_per_index.is_some() })
    }

    /// With what the Pods that still carry the finalizer add. An index that was given up stays so, even if a late Pod of it succeeds; one that
    /// succeeds and fails in the same sync is completed.
    pub fn with_pods(&self, spec: &JobSpec, tracked: &[&Pod], uncounted_failed: &[String], only_terminal: bool) -> Self {
        let noted_failed: BTreeSet<&str> = uncounted_failed.iter().map(String::as_str).collect();
        let succeeded = tracked.iter().filter(|pod| pods::succeeded(pod) && !noted_failed.contains(ownership::uid(&pod.metadata)));
        let completed = self.completed.with(succeeded.filter_map(|pod| self.index_of(pod)).filter(|index| !self.failed.contains(*index)));
        let given_up = tracked
            .iter()
            .filter(|pod| pods::failed(pod, only_terminal) && per_index::gives_up(spec, pod))
            .filter_map(|pod| self.index_of(pod))
            .filter(|index| !completed.contains(*index));
        let failed = self.failed.with(given_up);
        Progress { completed, failed, ..self.clone() }
    }

    /// The index of a Pod, if it has a good one.
    pub fn index_of(&self, pod: &Pod) -> Option<i32> {
        let text = pod.metadata.annotations.as_ref()?.get(COMPLETION_INDEX)?;
        let digits = !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        digits.then(|| text.parse().ok())?.filter(|index| *index < self.limit)
    }

    /// Neither completed nor given up.
    pub fn open(&self, index: i32) -> bool {
        !self.completed.contains(index) && !self.failed.contains(index)
    }

    /// The lowest open indexes that nobody works on, at most `count`.
    pub fn pending(&self, busy: &BTreeSet<i32>, count: usize) -> Vec<i32> {
        let mut found = Vec::new();
        let mut index = 0;
        while index < self.limit && found.len() < count {
            // Whole ranges are stepped over, so a Job of many indexes costs as much as its lists have ranges.
            if let Some(end) = self.completed.run_end(index).or_else(|| self.failed.run_end(index)) {
                index = end;
            } else if !busy.contains(&index) {
                found.push(index);
            }
            index = index.saturating_add(1);
        }
        found
    }

    /// Splits active Pods, given in removal order, into those that must go (no or bad index, all but the last of an index) and the others.
    pub fn surplus<'a>(&self, order: Vec<&'a Arc<Pod>>) -> (Vec<&'a Arc<Pod>>, Vec<&'a Arc<Pod>>) {
        let mut keeper = BTreeMap::new();
        for (at, pod) in order.iter().enumerate() {
            if let Some(index) = self.index_of(pod) {
                keeper.insert(index, at);
            }
        }
        let (go, stay): (Vec<_>, Vec<_>) =
            order.into_iter().enumerate().partition(|(at, pod)| self.index_of(pod).is_none_or(|index| keeper.get(&index) != Some(at)));
        (go.into_iter().map(|(_, pod)| pod).collect(), stay.into_iter().map(|(_, pod)| pod).collect())
    }

    pub fn write(&self, status: &mut JobStatus) {
        status.completed_indexes = (!self.completed.is_empty()).then(|| self.completed.text());
        status.failed_indexes = self.per_index.then(|| self.failed.text());
    }
}

/// Indexes that have an active Pod, or at least one that has not ended.
#[derive(Debug, Default)]
pub struct Busy {
    pub active: BTreeSet<i32>,
    pub active_or_ending: BTreeSet<i32>,
}

impl Busy {
    pub fn of(progress: &Progress, mine: &[Arc<Pod>]) -> Self {
        let indexes = |which: fn(&Pod) -> bool| mine.iter().filter(move |pod| which(pod)).filter_map(|pod| progress.index_of(pod));
        let active: BTreeSet<i32> = indexes(pods::active).collect();
        let active_or_ending = active.iter().copied().chain(indexes(pods::terminating)).collect();
        Busy { active, active_or_ending }
    }
}

/// The Pod for one index.
pub fn pod(job: &Job, index: i32) -> Option<Pod> {
    let mut pod = template::pod(job)?;
    let name = job.metadata.name.as_deref().unwrap_or_default();
    let text = index.to_string();
    pod.metadata.generate_name = Some(template::prefix(name, &format!("-{index}-")));
    pod.metadata.annotations.get_or_insert_default().insert(COMPLETION_INDEX.into(), text.clone());
    pod.metadata.labels.get_or_insert_default().insert(COMPLETION_INDEX.into(), text);
    let spec = pod.spec.as_mut()?;
    spec.hostname = Some(format!("{name}-{index}"));
    spec.containers.iter_mut().chain(spec.init_containers.iter_mut().flatten()).for_each(give_variable);
    Some(pod)
}

fn give_variable(container: &mut Container) {
    let variables = container.env.get_or_insert_default();
    if variables.iter().any(|variable| variable.name == INDEX_VARIABLE) {
        return;
    }
    let label = ObjectFieldSelector { field_path: format!("metadata.labels['{COMPLETION_INDEX}']"), ..ObjectFieldSelector::default() };
    let source = EnvVarSource { field_ref: Some(label), ..EnvVarSource::default() };
    variables.push(EnvVar { name: INDEX_VARIABLE.into(), value_from: Some(source), ..EnvVar::default() });
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;
    use crate::job::world::World;

    fn progress(limit: i32, completed: &str, failed: &str) -> Progress {
        Progress { limit, completed: IndexSet::parse(completed, limit), failed: IndexSet::parse(failed, limit), per_index: true }
    }

    fn with_index(text: &str) -> Arc<Pod> {
        let mut pod = Pod::default();
        pod.metadata.annotations = Some([(COMPLETION_INDEX.to_owned(), text.to_owned())].into());
        Arc::new(pod)
    }

    #[test]
    fn lowest_pending_first() {
        // (completions, completed, failed, busy, wanted, pending)
        type Row = (i32, &'static str, &'static str, &'static [i32], usize, &'static [i32]);
        let rows: [Row; 7] = [
            (5, "", "", &[], 3, &[0, 1, 2]),
            (5, "0-2", "", &[3], 3, &[4]),
            (6, "1", "0,2", &[4], 9, &[3, 5]),
            (5, "0-4", "", &[], 3, &[]),
            (0, "", "", &[], 3, &[]),
            (100_000, "0-99997", "99998", &[], 3, &[99_999]),
            (5, "", "", &[], 0, &[]),
        ];
        for (limit, completed, failed, busy, wanted, expected) in rows {
            let found = progress(limit, completed, failed).pending(&busy.iter().copied().collect(), wanted);
            assert_eq!(found, expected, "{limit} {completed} {failed}");
        }
    }

    #[test]
    fn bad_and_doubled_indexes_are_surplus() {
        let pods: Vec<Arc<Pod>> = ["0", "1", "0", "x", "7", "-1", "", "2"].iter().map(|text| with_index(text)).collect();
        let (go, stay) = progress(3, "", "").surplus(pods.iter().collect());
        let texts = |pods: Vec<&Arc<Pod>>| -> Vec<String> {
            pods.iter().map(|pod| pod.metadata.annotations.as_ref().unwrap()[COMPLETION_INDEX].clone()).collect()
        };
        assert_eq!(
            (texts(go), texts(stay)),
            (["0", "x", "7", "-1", ""].map(String::from).to_vec(), ["1", "0", "2"].map(String::from).to_vec())
        );
    }

    #[test]
    fn a_pod_knows_its_index() {
        let own = EnvVar { name: INDEX_VARIABLE.into(), value: Some("mine".into()), ..EnvVar::default() };
        let world = World::job(|spec| {
            let container = |name: &str, env| Container { name: name.into(), env, ..Container::default() };
            let pod = spec.template.spec.as_mut().unwrap();
            pod.containers = vec![container("a", None), container("b", Some(vec![own.clone()]))];
            pod.init_containers = Some(vec![container("c", None)]);
            pod.hostname = Some("other".into());
        });
        let pod = pod(&world.job, 7).unwrap();
        assert_eq!(pod.metadata.generate_name.as_deref(), Some("pi-7-"));
        assert_eq!(pod.metadata.annotations.as_ref().unwrap()[COMPLETION_INDEX], "7");
        assert_eq!(pod.metadata.labels.as_ref().unwrap()[COMPLETION_INDEX], "7");
        let spec = pod.spec.unwrap();
        assert_eq!(spec.hostname.as_deref(), Some("pi-7"));
        assert_eq!(spec.containers[1].env.as_deref(), Some([own].as_slice()));
        for container in [&spec.containers[0], &spec.init_containers.unwrap()[0]] {
            let variable = &container.env.as_ref().unwrap()[0];
            assert_eq!(variable.name, "JOB_COMPLETION_INDEX");
            let path = &variable.value_from.as_ref().unwrap().field_ref.as_ref().unwrap().field_path;
            assert_eq!(path, "metadata.labels['batch.kubernetes.io/job-completion-index']");
        }
    }
}

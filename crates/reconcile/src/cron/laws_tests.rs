//! Laws over random lives of a CronJob against a model of the API server, with crashes between any two stages and stale caches:
//! never two Jobs for one planned time, at most one run for many missed ones, a second look changes nothing.
#![allow(clippy::unwrap_used)]

use super::{
    child::started,
    scenario_tests::{at, cron_job, settings},
    *,
};
use k8s_openapi::api::batch::v1::{JobCondition, JobStatus};
use proptest::prelude::*;
use serde_json::json;
use std::collections::BTreeMap;

struct World {
    now: Timestamp,
    cron_job: CronJob,
    /// What the cache shows of the CronJob.
    cached: CronJob,
    jobs: BTreeMap<String, Arc<Job>>,
    /// Planned times for which a Job was ever created.
    created: Vec<String>,
    serial: u64,
}

impl World {
    fn new(schedule: &str, policy: &str, history: i32) -> World {
        let spec = json!({"concurrencyPolicy": policy, "successfulJobsHistoryLimit": history, "failedJobsHistoryLimit": history});
        let cron_job = cron_job(schedule, spec, json!({}));
        World { now: at("12:00:00"), cached: cron_job.clone(), cron_job, jobs: BTreeMap::new(), created: Vec::new(), serial: 10 }
    }

    fn look(&self) -> Plan {
        let jobs: Vec<Arc<Job>> = self.jobs.values().cloned().collect();
        // The shell never decides on a version older than its own last write; a restart begins with a fresh list.
        let cron_job = if forgotten(&self.cached, &jobs) { &self.cron_job } else { &self.cached };
        let uids: BTreeSet<&str> = self.jobs.values().map(|job| ownership::uid(&job.metadata)).collect();
        let gone = unseen(cron_job, &jobs).into_iter().filter_map(|entry| entry.uid).filter(|uid| !uids.contains(uid.as_str())).collect();
        reconcile(cron_job, &jobs, &gone, &settings(), self.now)
    }

    fn write(&mut self, status: CronJobStatus) {
        let last = |status: Option<&CronJobStatus>| status.and_then(|status| status.last_schedule_time.clone()).map(|time| time.0);
        assert!(last(Some(&status)) >= last(self.cron_job.status.as_ref()), "the last planned time went back");
        self.cron_job.status = Some(status);
        self.cached = self.cron_job.clone();
    }

    /// Applies so many steps; a write and what precedes it are steps of their own.
    fn sync(&mut self, mut steps: usize) -> Plan {
        let plan = self.look();
        let mut step = || {
            let left = steps > 0;
            steps = steps.saturating_sub(1);
            left
        };
        for stage in plan.stages.clone() {
            match stage {
                Stage::WriteStatus { status, .. } if step() => self.write(status),
                Stage::DeleteJobs(jobs) => {
                    for job in jobs {
                        if step() {
                            self.jobs.remove(&job.name);
                        }
                    }
                }
                Stage::Start(start) if step() => {
                    let job = self.create(&start.job);
                    if step() {
                        self.write(started(&start.status, &job, start.planned));
                    }
                }
                _ => return plan,
            }
        }
        plan
    }

    fn create(&mut self, job: &Job) -> Arc<Job> {
        let name = job.metadata.name.clone().unwrap();
        if let Some(exists) = self.jobs.get(&name) {
            return exists.clone();
        }
        assert!(!self.created.contains(&name), "{name} was created twice");
        self.created.push(name.clone());
        self.serial += 1;
        let mut job = job.clone();
        job.metadata.uid = Some(format!("uid-{}", self.serial));
        job.metadata.resource_version = Some(self.serial.to_string());
        job.status = Some(JobStatus { start_time: Some(Time(self.now)), ..JobStatus::default() });
        let job = Arc::new(job);
        self.jobs.insert(name, job.clone());
        job
    }

    fn running(&self) -> Vec<String> {
        self.jobs.iter().filter(|(_, job)| history::succeeded(job).is_none()).map(|(name, _)| name.clone()).collect()
    }

    fn end(&mut self, which: usize, well: bool) {
        let running = self.running();
        let Some(name) = running.get(which % running.len().max(1)) else { return };
        let mut job = Job::clone(&self.jobs[name]);
        let status = job.status.as_mut().unwrap();
        let type_ = if well { "Complete" } else { "Failed" };
        status.conditions = Some(vec![JobCondition { type_: type_.into(), status: "True".into(), ..JobCondition::default() }]);
        status.completion_time = well.then_some(Time(self.now));
        self.jobs.insert(name.clone(), Arc::new(job));
    }
}

#[derive(Debug, Clone)]
enum Act {
    Pass(i64),
    Sync,
    Crash(usize),
    End(usize, bool),
    /// Somebody deletes a running Job.
    Delete(usize),
}

fn act() -> impl Strategy<Value = Act> {
    prop_oneof![
        3 => (1..900_i64).prop_map(Act::Pass),
        1 => (900..90_000_i64).prop_map(Act::Pass),
        4 => Just(Act::Sync),
        3 => (0..4_usize).prop_map(Act::Crash),
        3 => (any::<usize>(), any::<bool>()).prop_map(|(which, well)| Act::End(which, well)),
        1 => any::<usize>().prop_map(Act::Delete),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(500))]

    #[test]
    fn every_planned_time_at_most_once(
        schedule in prop::sample::select(vec!["* * * * *", "*/5 * * * *", "3,4 * * * *", "@every 20s", "@every 7m", "0 0 * * *"]),
        policy in prop::sample::select(vec!["Allow", "Forbid", "Replace"]),
        limit in 0..3_i32,
        acts in prop::collection::vec(act(), 1..60),
    ) {
        let mut world = World::new(schedule, policy, limit);
        for act in acts {
            match act {
                Act::Pass(seconds) => world.now += SignedDuration::from_secs(seconds),
                Act::End(which, well) => world.end(which, well),
                Act::Delete(which) => {
                    let running = world.running();
                    // Not one that the status has not seen: then nothing remembers it, as when the controller is down.
                    let known = |name: &String| listed(world.cron_job.status.as_ref(), &world.jobs[name]);
                    let chosen = running.get(which % running.len().max(1)).filter(|name| known(name)).cloned();
                    if let Some(name) = chosen {
                        world.jobs.remove(&name);
                    }
                }
                Act::Crash(steps) => {
                    world.sync(steps);
                }
                Act::Sync => {
                    let before = world.created.len();
                    world.sync(usize::MAX);
                    prop_assert!(world.created.len() <= before + 1, "one run for many missed ones");
                    let again = world.look();
                    prop_assert_eq!(&again.stages, &vec![], "a second look changes something");
                    prop_assert!(again.requeue_at.is_some_and(|at| at > world.now));
                    if policy != "Allow" {
                        prop_assert!(world.running().len() <= 1, "{:?}", world.running());
                    }
                    let finished = |well| world.jobs.values().filter(|job| history::succeeded(job) == Some(well)).count();
                    prop_assert!(finished(true) <= limit as usize && finished(false) <= limit as usize);
                    let active = world.cron_job.status.iter().flat_map(|status| status.active.iter().flatten());
                    let mut active: Vec<String> = active.filter_map(|entry| entry.name.clone()).collect();
                    active.sort();
                    prop_assert_eq!(active, world.running());
                }
            }
        }
    }
}

//! When a finished Job is to be deleted by itself (spec/jobs.md 6; the seed's "TTL mechanism for finished Jobs").
//!
//! In: one Job, the time. Out: what its `ttlSecondsAfterFinished` asks for now. Never: a look at who owns or manages the Job: every finished Job is cleaned alike.

use crate::job::conditions::{self, COMPLETE, FAILED};
use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::batch::v1::Job;

/// What to do about one Job.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// No TTL, not finished, or being deleted already.
    Keep,
    /// Look again then. A finish time in the future (clock skew) only puts this off.
    LookAgain(Timestamp),
    /// Delete it; it could have been deleted since then.
    Delete { since: Timestamp },
    /// It finished, but its condition does not say when: nothing is deleted on a guess.
    Undated,
}

pub fn decide(job: &Job, now: Timestamp) -> Decision {
    let Some(ttl) = job.spec.as_ref().and_then(|spec| spec.ttl_seconds_after_finished) else { return Decision::Keep };
    let terminal = job.status.as_ref().and_then(|status| conditions::holds(status, COMPLETE).or_else(|| conditions::holds(status, FAILED)));
    let Some(terminal) = terminal.filter(|_| job.metadata.deletion_timestamp.is_none()) else { return Decision::Keep };
    let Some(finished) = &terminal.last_transition_time else { return Decision::Undated };
    let expiry = finished.0.saturating_add(SignedDuration::from_secs(i64::from(ttl.max(0)))).unwrap_or(Timestamp::MAX);
    if expiry > now { Decision::LookAgain(expiry) } else { Decision::Delete { since: expiry } }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::{
        api::batch::v1::{JobCondition, JobSpec, JobStatus},
        apimachinery::pkg::apis::meta::v1::{OwnerReference, Time},
    };

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap_or_default()
    }

    fn condition(type_: &str, value: &str, second: Option<i64>) -> JobCondition {
        let last_transition_time = second.map(|second| Time(at(second)));
        JobCondition { type_: type_.into(), status: value.into(), last_transition_time, ..JobCondition::default() }
    }

    fn job(ttl: Option<i32>, conditions: Vec<JobCondition>) -> Job {
        Job {
            spec: Some(JobSpec { ttl_seconds_after_finished: ttl, ..JobSpec::default() }),
            status: Some(JobStatus { conditions: Some(conditions), ..JobStatus::default() }),
            ..Job::default()
        }
    }

    #[test]
    fn decisions() {
        use Decision::{Delete, Keep, LookAgain, Undated};
        let delete = |second| Delete { since: at(second) };
        // (ttl, type and status of the condition, its time, now, decision)
        let rows = [
            (None, "Complete", "True", Some(1000), 9999, Keep),
            (Some(100), "Complete", "True", Some(1000), 1000, LookAgain(at(1100))),
            (Some(100), "Complete", "True", Some(1000), 1099, LookAgain(at(1100))),
            (Some(100), "Complete", "True", Some(1000), 1100, delete(1100)),
            (Some(100), "Failed", "True", Some(1000), 1101, delete(1100)),
            (Some(0), "Complete", "True", Some(1000), 1000, delete(1000)),
            (Some(0), "Failed", "True", Some(1000), 1001, delete(1000)),
            // Not finished, however near: terminal is only Complete or Failed.
            (Some(0), "Complete", "False", Some(1000), 2000, Keep),
            (Some(0), "SuccessCriteriaMet", "True", Some(1000), 2000, Keep),
            (Some(0), "FailureTarget", "True", Some(1000), 2000, Keep),
            (Some(0), "Suspended", "True", Some(1000), 2000, Keep),
            // Clock skew: finished an hour from now.
            (Some(0), "Complete", "True", Some(4600), 1000, LookAgain(at(4600))),
            (Some(10), "Complete", "True", Some(4600), 1000, LookAgain(at(4610))),
            (Some(i32::MAX), "Complete", "True", Some(1000), 2000, LookAgain(at(1000 + i64::from(i32::MAX)))),
            (Some(0), "Complete", "True", None, 2000, Undated),
        ];
        for (ttl, type_, value, time, now, decision) in rows {
            let job = job(ttl, vec![condition(type_, value, time)]);
            assert_eq!(decide(&job, at(now)), decision, "{ttl:?} {type_}={value} at {time:?}, now {now}");
        }
    }

    #[test]
    fn the_terminal_condition_dates_the_end_not_the_interim_one() {
        let job = job(Some(10), vec![condition("SuccessCriteriaMet", "True", Some(500)), condition("Complete", "True", Some(1000))]);
        assert_eq!(decide(&job, at(600)), Decision::LookAgain(at(1010)));
    }

    #[test]
    fn owners_and_managers_do_not_matter_and_deletion_ends_it() {
        let mut job = job(Some(0), vec![condition("Failed", "True", Some(1000))]);
        job.spec.get_or_insert_default().managed_by = Some("example.com/other".into());
        job.metadata.owner_references = Some(vec![OwnerReference { kind: "CronJob".into(), ..OwnerReference::default() }]);
        assert_eq!(decide(&job, at(1000)), Decision::Delete { since: at(1000) });
        job.metadata.deletion_timestamp = Some(Time(at(1000)));
        assert_eq!(decide(&job, at(1000)), Decision::Keep);
        assert_eq!(decide(&Job::default(), at(1000)), Decision::Keep);
    }
}

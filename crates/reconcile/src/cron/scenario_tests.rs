//! Cases of one reconciliation: policies, deadlines, history, status, events (spec/jobs.md 7.3 to 7.7, worked case 18).
#![allow(clippy::unwrap_used)]

use super::{
    child::{SCHEDULED_TIMESTAMP, started},
    edit::{Edit, edited},
    *,
};
use serde_json::{Value, json};

pub fn at(text: &str) -> Timestamp {
    format!("2026-11-23T{text}Z").parse().unwrap()
}

pub fn settings() -> Settings {
    Settings { local_zone: TimeZone::UTC }
}

/// Created at 12:00:00; `more` is merged into the spec.
pub fn cron_job(schedule: &str, more: Value, status: Value) -> CronJob {
    let mut spec = json!({"schedule": schedule, "concurrencyPolicy": "Allow", "suspend": false, "successfulJobsHistoryLimit": 3,
        "failedJobsHistoryLimit": 1, "jobTemplate": {"metadata": {"labels": {"a": "b"}, "annotations": {"c": "d"}}, "spec": {"backoffLimit": 2,
        "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}}});
    for (key, value) in more.as_object().unwrap() {
        spec[key] = value.clone();
    }
    serde_json::from_value(json!({"metadata": {"name": "hello", "namespace": "ns", "uid": "cron-uid", "resourceVersion": "5",
        "creationTimestamp": "2026-11-23T12:00:00Z"}, "spec": spec, "status": status}))
    .unwrap()
}

/// A Job of the CronJob: `ended` is Complete or Failed at a time, or None while it runs.
pub fn job(name: &str, started: Option<&str>, ended: Option<(&str, &str)>) -> Arc<Job> {
    let mut status = json!({});
    if let Some(time) = started {
        status["startTime"] = json!(at(time));
    }
    if let Some((condition, time)) = ended {
        status["conditions"] = json!([{"type": condition, "status": "True"}]);
        if condition == "Complete" {
            status["completionTime"] = json!(at(time));
        }
    }
    let owner = json!({"apiVersion": "batch/v1", "kind": "CronJob", "name": "hello", "uid": "cron-uid", "controller": true});
    Arc::new(
        serde_json::from_value(
            json!({"metadata": {"name": name, "namespace": "ns", "uid": format!("{name}-uid"), "ownerReferences": [owner]},
            "spec": {"template": {}}, "status": status}),
        )
        .unwrap(),
    )
}

fn listing(names: &[&str]) -> Value {
    json!({"active": names.iter().map(|name| json!({"kind": "Job", "name": name, "namespace": "ns", "uid": format!("{name}-uid")})).collect::<Vec<_>>()})
}

fn plan(cron_job: &CronJob, jobs: &[Arc<Job>], now: &str) -> Plan {
    reconcile(cron_job, jobs, &BTreeSet::new(), &settings(), at(now))
}

fn reasons(plan: &Plan) -> Vec<&'static str> {
    let written = plan.stages.iter().flat_map(|stage| match stage {
        Stage::WriteStatus { events, .. } => events.as_slice(),
        _ => &[],
    });
    plan.events.iter().chain(written).map(|event| event.reason).collect()
}

fn start(plan: &Plan) -> Option<&Start> {
    plan.stages.iter().find_map(|stage| match stage {
        Stage::Start(start) => Some(start.as_ref()),
        _ => None,
    })
}

fn deleted(plan: &Plan) -> Vec<&str> {
    let jobs = plan.stages.iter().filter_map(|stage| match stage {
        Stage::DeleteJobs(jobs) => Some(jobs),
        _ => None,
    });
    jobs.flatten().map(|job| job.name.as_str()).collect()
}

#[test]
fn a_planned_time_makes_a_job() {
    let cron = cron_job("*/5 * * * *", json!({}), json!({}));
    let early = plan(&cron, &[], "12:04:59.999");
    assert_eq!((early.stages.len(), early.requeue_at), (0, Some(at("12:05:00.1"))));
    let due = plan(&cron, &[], "12:05:00.1");
    let Start { job, planned, status } = start(&due).unwrap();
    assert_eq!((due.stages.len(), due.events.len(), due.requeue_at), (1, 0, Some(at("12:10:00.1"))));
    assert_eq!(*planned, at("12:05:00"));
    let minutes = at("12:05:00").as_second() / 60;
    assert_eq!(
        serde_json::to_value(job).unwrap(),
        json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": format!("hello-{minutes}"), "namespace": "ns", "labels": {"a": "b"},
            "annotations": {"c": "d", SCHEDULED_TIMESTAMP: "2026-11-23T12:05:00Z"},
            "ownerReferences": [{"apiVersion": "batch/v1", "kind": "CronJob", "name": "hello", "uid": "cron-uid", "controller": true,
                "blockOwnerDeletion": true}]},
            "spec": {"backoffLimit": 2, "template": {"spec": {"restartPolicy": "Never", "containers": [{"name": "c", "image": "x"}]}}}})
    );
    let stored: Job = Job { metadata: ObjectMetaOf::stored(job), ..job.clone() };
    let after = started(status, &stored, *planned);
    assert_eq!(
        serde_json::to_value(&after).unwrap(),
        json!({"active": [{"apiVersion": "batch/v1", "kind": "Job", "namespace": "ns", "name": format!("hello-{minutes}"), "uid": "job-uid",
            "resourceVersion": "9"}], "lastScheduleTime": "2026-11-23T12:05:00Z"})
    );
}

/// What the API server adds to a created Job.
struct ObjectMetaOf;

impl ObjectMetaOf {
    fn stored(job: &Job) -> k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta {
        let mut meta = job.metadata.clone();
        meta.uid = Some("job-uid".into());
        meta.resource_version = Some("9".into());
        meta
    }
}

#[test]
fn worked_case_18_two_hours_down() {
    let cron = cron_job("*/5 * * * *", json!({}), json!({"lastScheduleTime": at("12:00:00")}));
    let back = plan(&cron, &[], "14:02:30");
    let Start { job, planned, .. } = start(&back).unwrap();
    assert_eq!((back.stages.len(), *planned), (1, at("14:00:00")));
    assert_eq!(job.metadata.name.as_deref().unwrap(), format!("hello-{}", at("14:00:00").as_second() / 60));
    assert_eq!(reasons(&back), Vec::<&str>::new());
    // With a shorter interval more than a hundred are missed: told, and the latest still runs.
    let back = plan(&cron_job("* * * * *", json!({}), json!({"lastScheduleTime": at("12:00:00")})), &[], "14:02:30");
    assert_eq!((start(&back).unwrap().planned, reasons(&back)), (at("14:02:00"), vec!["TooManyMissedTimes"]));
}

#[test]
fn names_and_annotations() {
    for (schedule, more, now, name, annotation) in [
        ("0 * * * *", json!({"timeZone": "Asia/Kolkata"}), "12:45:00", "hello-29923950", "2026-11-23T18:00:00+05:30"),
        ("0 * * * *", json!({"timeZone": "America/New_York"}), "13:00:01", "hello-29923980", "2026-11-23T08:00:00-05:00"),
        ("0 * * * *", json!({"timeZone": "Europe/London"}), "13:00:01", "hello-29923980", "2026-11-23T13:00:00Z"),
        ("@every 90s", json!({}), "12:02:00", "hello-29923921", "2026-11-23T12:01:30Z"),
        // Several runs in one minute need names of their own.
        ("@every 5s", json!({}), "12:00:06", "hello-1795435205", "2026-11-23T12:00:05Z"),
        // A zone inside the schedule is obeyed; the annotation speaks of timeZone.
        ("TZ=Asia/Kolkata 0 18 * * *", json!({}), "12:45:00", "hello-29923950", "2026-11-23T12:30:00Z"),
    ] {
        let plan = plan(&cron_job(schedule, more, json!({})), &[], now);
        let job = &start(&plan).unwrap().job;
        assert_eq!(job.metadata.name.as_deref(), Some(name), "{schedule}");
        assert_eq!(job.metadata.annotations.as_ref().unwrap()[SCHEDULED_TIMESTAMP], annotation, "{schedule}");
        let expected: &[&str] = if schedule.starts_with("TZ") { &["UnsupportedSchedule"] } else { &[] };
        assert_eq!(reasons(&plan), expected);
    }
}

#[test]
fn the_local_zone_decides_without_a_time_zone() {
    let settings = Settings { local_zone: cron::find_zone("Asia/Kolkata").unwrap() };
    let cron = cron_job("0 18 * * *", json!({}), json!({}));
    let plan = reconcile(&cron, &[], &BTreeSet::new(), &settings, at("12:45:00"));
    assert_eq!(start(&plan).unwrap().planned, at("12:30:00"));
    assert_eq!(start(&plan).unwrap().job.metadata.annotations.as_ref().unwrap()[SCHEDULED_TIMESTAMP], "2026-11-23T12:30:00Z");
}

#[test]
fn concurrency_policies() {
    let running = job("hello-1", Some("12:00:00"), None);
    for (policy, started, replaced, told) in
        [("Allow", true, &[][..], &[][..]), ("Forbid", false, &[], &["JobAlreadyActive"]), ("Replace", true, &["hello-1"], &[])]
    {
        let cron = cron_job("*/5 * * * *", json!({"concurrencyPolicy": policy}), listing(&["hello-1"]));
        let plan = plan(&cron, std::slice::from_ref(&running), "12:05:00.1");
        assert_eq!((start(&plan).is_some(), deleted(&plan), reasons(&plan)), (started, replaced.to_vec(), told.to_vec()), "{policy}");
        assert_eq!(plan.requeue_at, Some(at("12:10:00.1")));
        let left = start(&plan).map(|start| start.status.active.clone().unwrap_or_default().len());
        assert_eq!(
            left,
            match policy {
                "Allow" => Some(1),
                "Replace" => Some(0),
                _ => None,
            }
        );
    }
    // When the running one ends, the latest missed run starts.
    let cron = cron_job("*/5 * * * *", json!({"concurrencyPolicy": "Forbid"}), listing(&["hello-1"]));
    let ended = plan(&cron, &[job("hello-1", Some("12:00:00"), Some(("Complete", "12:17:00")))], "12:17:01");
    assert_eq!((start(&ended).unwrap().planned, reasons(&ended)), (at("12:15:00"), vec!["SawCompletedJob"]));
    // But not beyond its starting deadline.
    let mut strict = cron.clone();
    strict.spec.starting_deadline_seconds = Some(60);
    let ended = plan(&strict, &[job("hello-1", Some("12:00:00"), Some(("Complete", "12:17:00")))], "12:17:01");
    assert_eq!((start(&ended).is_some(), reasons(&ended)), (false, vec!["MissSchedule", "SawCompletedJob"]));
    assert_eq!(ended.events[0].message, "Missed scheduled time to start a job: Mon, 23 Nov 2026 12:15:00 +0000");
}

#[test]
fn what_stops_a_schedule() {
    for (schedule, more, told, message) in [
        ("*/5 * * * *", json!({"suspend": true}), "", ""),
        (
            "*/5 * * * *",
            json!({"timeZone": "Mars/Base"}),
            "UnknownTimeZone",
            "invalid timeZone: \"Mars/Base\": unknown time zone Mars/Base",
        ),
        ("*/5 * * *", json!({}), "UnparseableSchedule", "unparseable schedule: \"*/5 * * *\": expected exactly 5 fields"),
        ("0 0 31 2 *", json!({}), "InvalidSchedule", "the schedule \"0 0 31 2 *\" has no time within 5 years"),
    ] {
        let found = plan(&cron_job(schedule, more, json!({})), &[], "12:20:00");
        assert_eq!((found.stages.len(), found.requeue_at), (0, None), "{schedule}");
        assert_eq!(reasons(&found), if told.is_empty() { vec![] } else { vec![told] });
        assert!(found.events.iter().all(|event| event.warning && event.message.starts_with(message)), "{:?}", found.events);
    }
}

#[test]
fn resuming_starts_the_latest_missed_run() {
    let mut cron = cron_job("*/5 * * * *", json!({"suspend": true}), json!({"lastScheduleTime": at("12:00:00")}));
    assert_eq!(plan(&cron, &[], "12:33:00").stages.len(), 0);
    cron.spec.suspend = Some(false);
    assert_eq!(start(&plan(&cron, &[], "12:33:00")).unwrap().planned, at("12:30:00"));
    cron.spec.starting_deadline_seconds = Some(60);
    assert!(start(&plan(&cron, &[], "12:33:00")).is_none());
}

#[test]
fn one_that_is_being_deleted_only_writes_status() {
    let mut cron = cron_job("*/5 * * * *", json!({}), listing(&["hello-1"]));
    cron.metadata.deletion_timestamp = Some(Time(at("12:01:00")));
    let plan = plan(&cron, &[job("hello-1", Some("12:00:00"), Some(("Failed", "12:03:00")))], "12:05:01");
    assert!(matches!(&plan.stages[..], [Stage::WriteStatus { status, .. }] if status.active.is_none()), "{plan:?}");
    assert_eq!(plan.requeue_at, None);
}

#[test]
fn what_becomes_of_jobs_is_told_and_written() {
    let jobs = [
        job("done", Some("12:00:00"), Some(("Complete", "12:02:00"))),
        job("later", Some("12:00:00"), Some(("Complete", "12:03:00"))),
        job("bad", Some("12:00:00"), Some(("Failed", "12:02:00"))),
        job("running", Some("12:00:00"), None),
        job("strange", Some("12:00:00"), None),
    ];
    let cron = cron_job("0 0 * * *", json!({}), listing(&["done", "bad", "running", "vanished", "unseen"]));
    assert!(forgotten(&cron, &jobs));
    assert_eq!(unseen(&cron, &jobs).iter().map(|entry| entry.name.as_deref().unwrap()).collect::<Vec<_>>(), ["vanished", "unseen"]);
    let gone = BTreeSet::from(["vanished-uid".to_owned()]);
    let plan = reconcile(&cron, &jobs, &gone, &settings(), at("12:05:00"));
    let [Stage::WriteStatus { status, events }] = &plan.stages[..] else { panic!("{plan:?}") };
    let left: Vec<_> = status.active.iter().flatten().map(|entry| entry.name.as_deref().unwrap()).collect();
    assert_eq!((left, status.last_successful_time.clone()), (vec!["running", "unseen"], Some(Time(at("12:03:00")))));
    assert_eq!(
        events.iter().map(|event| event.message.as_str()).collect::<Vec<_>>(),
        ["Saw completed job: bad, condition: Failed", "Saw completed job: done, condition: Complete", "Active job went missing: vanished"]
    );
    assert!(events.iter().all(|event| !event.warning));
    let unexpected = Event::warning("UnexpectedJob", "Saw a job that the controller did not create or forgot: strange");
    assert_eq!(plan.events, [unexpected]);
    // The latest success stays, whatever is seen later.
    let mut later = cron.clone();
    later.status.as_mut().unwrap().last_successful_time = Some(Time(at("12:04:00")));
    let plan = reconcile(&later, &jobs, &gone, &settings(), at("12:05:00"));
    assert!(matches!(&plan.stages[0], Stage::WriteStatus { status, .. } if status.last_successful_time == Some(Time(at("12:04:00")))));
}

#[test]
fn only_its_own_jobs_count() {
    let mut other = Job::clone(&job("other", None, None));
    other.metadata.owner_references.as_mut().unwrap()[0].uid = "another-uid".into();
    let mut owned = Job::clone(&job("owned", None, None));
    owned.metadata.owner_references.as_mut().unwrap()[0].controller = None;
    let mut elsewhere = Job::clone(&job("elsewhere", None, None));
    elsewhere.metadata.namespace = Some("other".into());
    let jobs = [Arc::new(other), Arc::new(owned), Arc::new(elsewhere)];
    let cron = cron_job("0 0 * * *", json!({}), json!({}));
    assert!(!forgotten(&cron, &jobs));
    assert_eq!(plan(&cron, &jobs, "12:05:00").events, []);
}

#[test]
fn history_limits() {
    let ended = |name: &str, started: Option<&str>, condition| job(name, started, Some((condition, "12:30:00")));
    let jobs = [
        ended("e", None, "Complete"),
        ended("d", Some("12:03:00"), "Complete"),
        ended("c", Some("12:01:00"), "Complete"),
        ended("b", Some("12:02:00"), "Complete"),
        ended("a", Some("12:02:00"), "Complete"),
        ended("y", Some("12:05:00"), "Failed"),
        ended("x", Some("12:04:00"), "Failed"),
        job("running", Some("12:00:00"), None),
    ];
    for (successful, failed, expected) in [
        (json!(3), json!(1), vec!["c", "a", "x"]),
        (json!(0), json!(0), vec!["c", "a", "b", "d", "e", "x", "y"]),
        (json!(1), json!(9), vec!["c", "a", "b", "d"]),
        (Value::Null, Value::Null, vec![]),
    ] {
        let limits = json!({"successfulJobsHistoryLimit": successful, "failedJobsHistoryLimit": failed});
        let found = plan(&cron_job("0 0 * * *", limits, listing(&["running"])), &jobs, "12:31:00");
        assert_eq!(deleted(&found), expected);
    }
    // One that is on its way out already is not deleted again.
    let mut leaving = Job::clone(&jobs[2]);
    leaving.metadata.deletion_timestamp = Some(Time(at("12:30:30")));
    let found = plan(&cron_job("0 0 * * *", json!({"successfulJobsHistoryLimit": 0}), json!({})), &[Arc::new(leaving)], "12:31:00");
    assert_eq!(deleted(&found), Vec::<&str>::new());
}

#[test]
fn a_job_that_was_created_before_a_crash_is_taken_over() {
    let name = format!("hello-{}", at("12:05:00").as_second() / 60);
    let cron = cron_job("*/5 * * * *", json!({"successfulJobsHistoryLimit": 0, "concurrencyPolicy": "Forbid"}), json!({}));
    let made = |ended| {
        let mut job = Job::clone(&job(&name, Some("12:05:00"), ended));
        job.metadata.annotations = Some([(SCHEDULED_TIMESTAMP.to_owned(), "2026-11-23T13:05:00+01:00".to_owned())].into());
        Arc::new(job)
    };
    // It still runs, maybe beyond the next planned time.
    let found = plan(&cron, &[made(None)], "12:16:00");
    assert_eq!(reasons(&found), ["JobAlreadyActive"]);
    let early = plan(&cron, &[made(None)], "12:06:00");
    assert_eq!((&early.stages, reasons(&early)), (&found.stages, vec![]));
    let [Stage::WriteStatus { status, .. }] = &found.stages[..] else { panic!("{found:?}") };
    assert_eq!(status.last_schedule_time, Some(Time(at("12:05:00"))));
    assert_eq!(status.active.as_ref().unwrap()[0].name.as_ref(), Some(&name));
    // It has ended: first the status remembers it, then the history forgets it.
    let found = plan(&cron, &[made(Some(("Complete", "12:05:09")))], "12:06:00");
    let [Stage::WriteStatus { status, .. }, Stage::DeleteJobs(_)] = &found.stages[..] else { panic!("{found:?}") };
    assert_eq!((status.last_schedule_time.clone(), status.active.clone()), (Some(Time(at("12:05:00"))), None));
}

#[test]
fn edits() {
    let old = cron_job("0 0 * * *", json!({}), json!({}));
    let with = |schedule: &str, more: Value| cron_job(schedule, more, json!({}));
    for (new, expected) in [
        (with("0 0 * * *", json!({"suspend": true})), Edit::SyncNow),
        (with("*/5 * * * *", json!({})), Edit::SyncAt(at("12:05:00.1"))),
        (with("0 0 * * *", json!({"timeZone": "Asia/Kolkata"})), Edit::SyncAt(at("18:30:00.1"))),
        // These have something to tell, or nothing to wait for.
        (with("0 0 31 2 *", json!({})), Edit::SyncNow),
        (with("*/5 * * * *", json!({"suspend": true})), Edit::SyncNow),
        (with("*/5 * * * *", json!({"timeZone": "Mars/Base"})), Edit::SyncNow),
    ] {
        assert_eq!(edited(&old, &new, &settings(), at("12:01:00")), expected);
    }
    let Edit::Unusable(event) = edited(&old, &with("x", json!({})), &settings(), at("12:01:00")) else { panic!() };
    assert_eq!((event.warning, event.reason), (true, "UnParseableCronJobSchedule"));
}

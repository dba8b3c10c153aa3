//! Worked cases of spec/jobs.md appendix C (numbers in the names) and the seed's sentences, played in the model world.

#![allow(clippy::unwrap_used)]

use super::{world::World, *};
use crate::ownership::TRACKING_FINALIZER;
use jiff::SignedDuration;

fn seconds_between(earlier: Timestamp, later: Timestamp) -> i64 {
    later.duration_since(earlier).as_secs()
}

#[test]
fn case_1_fixed_completion_count() {
    let mut world = World::job(|spec| {
        spec.completions = Some(7);
        spec.parallelism = Some(3);
    });
    let mut done = 0;
    while !conditions::finished(&world.job) {
        world.settle();
        let Some(uid) = world.active().first().cloned() else { break };
        if done == 5 {
            assert_eq!(world.active().len(), 2);
        }
        world.start(&uid);
        world.end(&uid, 0);
        done += 1;
        world.settle();
    }
    assert_eq!(world.most_active, 3);
    assert_eq!(world.numbers(), (7, 0, 0, 0));
    assert_eq!(world.conditions(), ["SuccessCriteriaMet/CompletionsReached", "Complete/CompletionsReached"]);
    let status = world.status();
    assert_eq!(status.completion_time, status.conditions.unwrap()[1].last_transition_time);
    assert_eq!(world.told, ["Completed"]);
    assert_eq!(world.created.len(), 7);
}

#[test]
fn case_2_retries_with_delays() {
    let mut world = World::job(|spec| spec.backoff_limit = Some(2));
    let mut finished = Vec::new();
    for _ in 0..3 {
        if let Some(at) = world.settle() {
            assert!(world.active().is_empty());
            world.now = at;
            world.settle();
        }
        let uid = world.active().pop().unwrap();
        world.start(&uid);
        world.advance(1);
        finished.push(world.now);
        world.end(&uid, 1);
    }
    assert_eq!(world.settle(), None);
    assert_eq!(seconds_between(finished[0], world.created[1]), 10);
    assert_eq!(seconds_between(finished[1], world.created[2]), 20);
    assert_eq!(world.numbers(), (0, 3, 0, 0));
    assert_eq!(world.conditions(), ["FailureTarget/BackoffLimitExceeded", "Failed/BackoffLimitExceeded"]);
    assert_eq!(world.status().completion_time, None);
    assert_eq!(world.told, ["BackoffLimitExceeded"]);
    assert_eq!(world.pods.len(), 3);
    for pod in world.pods.values() {
        assert_eq!(pods::phase(pod), "Failed");
        assert!(!ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER));
    }
}

#[test]
fn case_3_work_queue() {
    let mut world = World::job(|spec| {
        spec.completions = None;
        spec.parallelism = Some(4);
    });
    world.settle();
    let pods = world.active();
    assert_eq!(pods.len(), 4);
    world.end(&pods[0], 0);
    world.settle();
    assert_eq!(world.active().len(), 3, "none deleted, none created");
    assert!(world.conditions().is_empty());
    world.end(&pods[1], 1);
    world.settle();
    assert_eq!((world.created.len(), world.active().len()), (4, 2));
    world.end(&pods[2], 0);
    world.end(&pods[3], 0);
    world.settle();
    assert_eq!(world.numbers(), (3, 1, 0, 0));
    assert_eq!(world.conditions()[1], "Complete/CompletionsReached");
}

#[test]
fn case_4_deadline() {
    let mut world = World::job(|spec| {
        spec.active_deadline_seconds = Some(5);
        spec.parallelism = Some(3);
        spec.completions = Some(6);
    });
    let start = world.now;
    let wait = world.settle();
    assert_eq!(wait.map(|at| seconds_between(start, at)), Some(5));
    for uid in world.active() {
        world.start(&uid);
    }
    world.advance(5);
    world.settle();
    assert_eq!(world.numbers(), (0, 3, 0, 3));
    assert_eq!(world.conditions(), ["FailureTarget/DeadlineExceeded"]);
    world.advance(3);
    world.end_all(143);
    world.settle();
    assert_eq!(world.numbers(), (0, 3, 0, 0));
    assert_eq!(world.conditions(), ["FailureTarget/DeadlineExceeded", "Failed/DeadlineExceeded"]);
    assert!(world.pods.is_empty());
}

#[test]
fn deadline_beats_the_back_off_limit() {
    let mut world = World::job(|spec| spec.active_deadline_seconds = Some(5));
    world.settle();
    world.end_all(1);
    let wait = world.settle().unwrap();
    assert_eq!(seconds_between(world.now, wait), 5, "the deadline comes before the retry");
    world.now = wait;
    world.settle();
    assert_eq!(world.conditions()[1], "Failed/DeadlineExceeded");
    assert_eq!(world.created.len(), 1);
}

#[test]
fn case_11_adoption_and_release() {
    let mut world = World::job(|_| {});
    world.settle();
    let uid = world.active().pop().unwrap();
    world.start(&uid);
    let mut pod = world.pods[&uid].clone();
    pod.metadata.owner_references = None;
    pod.metadata.finalizers = None;
    world.put(&uid, pod);
    world.settle();
    let adopted = &world.pods[&uid];
    assert_eq!(ownership::controller(&adopted.metadata).unwrap().uid, "job-uid");
    assert!(ownership::has_finalizer(&adopted.metadata, TRACKING_FINALIZER));
    assert_eq!(world.created.len(), 1);

    let mut pod = adopted.clone();
    pod.metadata.labels = None;
    world.put(&uid, pod);
    world.settle();
    let released = &world.pods[&uid];
    assert!(ownership::controller(&released.metadata).is_none());
    assert!(!ownership::has_finalizer(&released.metadata, TRACKING_FINALIZER));
    assert!(pods::active(released), "keeps running");
    assert_eq!(world.created.len(), 2, "replaced");
}

#[test]
fn terminating_pods_and_pods_of_others_are_not_adopted() {
    let mut world = World::job(|spec| spec.parallelism = Some(0));
    let mut orphan = template::pod(&world.job).unwrap();
    orphan.metadata.owner_references = None;
    orphan.metadata.deletion_timestamp = Some(Time(world.now));
    world.create(orphan.clone());
    orphan.metadata.deletion_timestamp = None;
    orphan.metadata.owner_references = Some(vec![claim::owner_reference(&world.job)]);
    orphan.metadata.owner_references.as_mut().unwrap()[0].uid = "somebody".into();
    world.create(orphan);
    world.observe_all();
    let plan = world.plan();
    assert!(plan.stages.iter().all(|stage| matches!(stage, Stage::WriteStatus(_))), "{plan:?}");
}

#[test]
fn an_adopted_pod_that_had_ended_counts() {
    let mut world = World::job(|_| {});
    let mut orphan = template::pod(&world.job).unwrap();
    orphan.metadata.owner_references = None;
    orphan.metadata.finalizers = None;
    let uid = world.create(orphan);
    world.end(&uid, 0);
    world.settle();
    assert_eq!(world.numbers(), (1, 0, 0, 0));
    assert_eq!(world.created.len(), 1);
    assert!(conditions::finished(&world.job));
}

/// Case 12: a crash after every stage of every plan changes nothing in the end.
#[test]
fn case_12_crashes_between_stages() {
    let script = |crash_after: Option<usize>| {
        let mut world = World::job(|spec| {
            spec.completions = Some(3);
            spec.parallelism = Some(2);
        });
        let mut applied = 0;
        let mut code = 1;
        for _ in 0..60 {
            world.observe_all();
            let plan = world.plan();
            let here = crash_after.filter(|at| (applied..applied + plan.stages.len()).contains(at));
            if let Some(at) = here {
                world.apply(&plan, at - applied + 1);
                world.crash();
                applied = usize::MAX / 2;
                continue;
            }
            applied += plan.stages.len();
            world.apply(&plan, usize::MAX);
            if plan.is_empty() {
                if let Some(uid) = world.active().first().cloned() {
                    world.end(&uid, code);
                    code = 0;
                }
                world.advance(20);
            }
        }
        (world.numbers(), world.created.len(), world.conditions(), applied)
    };
    let (numbers, created, conditions, stages) = script(None);
    assert_eq!((numbers, created), ((3, 1, 0, 0), 4));
    for crash_after in 0..stages {
        let crashed = script(Some(crash_after));
        assert_eq!((crashed.0, crashed.1, &crashed.2), (numbers, created, &conditions), "crash after stage {crash_after} of {stages}");
    }
}

#[test]
fn case_14_foreign_manager() {
    let mut world = World::job(|spec| {
        spec.managed_by = Some("example.com/other".into());
        spec.active_deadline_seconds = Some(1);
    });
    world.advance(100);
    assert_eq!(world.plan(), Plan::default());
    world.change_spec(|spec| spec.managed_by = Some(OWN_MANAGER.into()));
    world.observe_all();
    assert!(!world.plan().is_empty());
}

#[test]
fn case_16_deleting_finished_pods_changes_no_count() {
    let mut world = World::job(|spec| spec.completions = Some(2));
    world.settle();
    let first = world.active().pop().unwrap();
    world.end(&first, 0);
    world.settle();
    world.delete(&first);
    world.settle();
    assert!(!world.pods.contains_key(&first));
    assert_eq!(world.numbers(), (1, 0, 1, 0));
    world.end_all(0);
    world.settle();
    let status = world.status();
    for uid in world.pods.keys().cloned().collect::<Vec<_>>() {
        world.delete(&uid);
    }
    world.settle();
    assert!(world.pods.is_empty());
    assert_eq!(world.status(), status);
}

#[test]
fn a_finished_pod_deleted_before_it_is_counted_still_counts() {
    let mut world = World::job(|spec| spec.completions = Some(2));
    world.settle();
    let uid = world.active().pop().unwrap();
    world.end(&uid, 0);
    world.delete(&uid);
    assert!(world.pods.contains_key(&uid), "the finalizer holds it");
    world.settle();
    assert_eq!(world.numbers(), (1, 0, 1, 0));
}

#[test]
fn case_17_six_hundred_at_once() {
    let mut world = World::job(|spec| {
        spec.completions = Some(600);
        spec.parallelism = Some(600);
    });
    world.settle();
    assert_eq!(world.active().len(), 600);
    world.end_all(0);
    world.observe_all();
    let plan = world.plan();
    world.apply(&plan, usize::MAX);
    assert_eq!(world.numbers().0, 500);
    assert!(plan.requeue_at.is_some_and(|at| at <= world.now));
    assert!(!conditions::finished(&world.job));
    world.settle();
    assert_eq!(world.numbers(), (600, 0, 0, 0));
    assert_eq!(world.most_uncounted, 500);
    assert!(conditions::finished(&world.job));
}

#[test]
fn parallelism_changes_while_running() {
    let mut world = World::job(|spec| {
        spec.completions = Some(10);
        spec.parallelism = Some(0);
    });
    // (parallelism, active)
    for (parallelism, active) in [(0, 0), (4, 4), (1, 1), (20, 10), (0, 0)] {
        world.change_spec(|spec| spec.parallelism = Some(parallelism));
        world.settle();
        assert_eq!(world.active().len(), active, "parallelism {parallelism}");
        assert_eq!(world.numbers(), (0, 0, active as i32, 0));
    }
    assert!(world.conditions().is_empty());
}

#[test]
fn no_completions_wanted() {
    let mut world = World::job(|spec| spec.completions = Some(0));
    world.settle();
    assert_eq!(world.conditions()[1], "Complete/CompletionsReached");
    assert!(world.created.is_empty());
}

#[test]
fn too_many_succeeded() {
    let mut world = World::job(|spec| {
        spec.completions = Some(2);
        spec.parallelism = Some(2);
    });
    for _ in 0..3 {
        let mut extra = template::pod(&world.job).unwrap();
        extra.metadata.owner_references = None;
        let uid = world.create(extra);
        world.end(&uid, 0);
    }
    world.settle();
    assert_eq!(world.numbers(), (3, 0, 0, 0));
    assert_eq!(world.told, ["TooManySucceededPods", "Completed"]);
}

#[test]
fn restart_budget_under_on_failure() {
    // (backoffLimit, restarts, fails)
    for (limit, restarts, fails) in [(0, 0, false), (0, 1, true), (3, 2, false), (3, 3, true)] {
        let mut world = World::job(|spec| {
            spec.backoff_limit = Some(limit);
            spec.template.spec.as_mut().unwrap().restart_policy = Some("OnFailure".into());
        });
        world.settle();
        let uid = world.active().pop().unwrap();
        world.start(&uid);
        world.restarted(&uid, restarts);
        world.settle();
        assert_eq!(world.conditions() == ["FailureTarget/BackoffLimitExceeded"], fails, "{limit} {restarts}");
        assert_eq!(pods::deleting(&world.pods[&uid]), fails);
    }
}

#[test]
fn a_deleted_pod_is_replaced_at_once_and_resets_the_delay() {
    let mut world = World::job(|_| {});
    world.settle();
    for code in [1, 1] {
        world.end_all(code);
        let wait = world.settle();
        world.now = wait.unwrap();
        world.settle();
    }
    assert_eq!(world.known.backoff.failures, 2);
    let uid = world.active().pop().unwrap();
    world.start(&uid);
    world.delete(&uid);
    assert_eq!(world.settle(), None);
    assert_eq!(world.known.backoff.failures, 0);
    assert_eq!(world.numbers(), (0, 3, 1, 1), "counted failed, replaced, still ending");
    world.end(&uid, 143);
    world.settle();
    assert_eq!(world.numbers(), (0, 3, 1, 0));
    world.end_all(1);
    let wait = world.settle().unwrap();
    assert_eq!(seconds_between(world.now, wait), 10, "the count began anew");
}

#[test]
fn a_success_resets_the_delay() {
    let mut world = World::job(|spec| spec.completions = Some(2));
    world.settle();
    world.end_all(1);
    world.now = world.settle().unwrap();
    world.settle();
    world.advance(1);
    world.end_all(0);
    assert_eq!(world.settle(), None);
    assert_eq!((world.known.backoff.failures, world.numbers()), (0, (1, 1, 1, 0)));
}

#[test]
fn delays_are_capped_at_six_minutes() {
    let mut world = World::job(|spec| spec.backoff_limit = Some(20));
    let mut delays = Vec::new();
    for _ in 0..8 {
        world.settle();
        world.end_all(1);
        let wait = world.settle().unwrap();
        delays.push(seconds_between(world.now, wait));
        world.now = wait;
    }
    assert_eq!(delays, [10, 20, 40, 80, 160, 320, 360, 360]);
    world.known.settings.backoff_cap = SignedDuration::from_mins(10);
    world.now = world.settle().unwrap();
    world.settle();
    world.end_all(1);
    let wait = world.settle().unwrap();
    assert_eq!(seconds_between(world.now, wait), 600);
}

#[test]
fn a_job_being_deleted_gets_no_pods_and_frees_them() {
    let mut world = World::job(|spec| {
        spec.completions = Some(3);
        spec.parallelism = Some(3);
    });
    world.settle();
    let pods = world.active();
    world.end(&pods[0], 0);
    world.start(&pods[1]);
    world.delete(&pods[2]);
    world.job.metadata.deletion_timestamp = Some(Time(world.now));
    world.touch_job();
    world.settle();
    assert_eq!(world.created.len(), 3);
    assert_eq!((world.numbers().0, world.numbers().1), (1, 1));
    assert!(world.pods.values().all(|pod| !ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER)));
    assert!(!world.pods.contains_key(&pods[2]));
}

#[test]
fn replacement_policy_failed_waits_for_the_end() {
    let mut world = World::job(|spec| spec.pod_replacement_policy = Some("Failed".into()));
    world.settle();
    let uid = world.active().pop().unwrap();
    world.start(&uid);
    world.delete(&uid);
    world.settle();
    assert_eq!((world.numbers(), world.created.len()), ((0, 0, 0, 1), 1));
    world.end(&uid, 1);
    world.settle();
    assert_eq!((world.numbers(), world.created.len()), ((0, 1, 1, 0), 2));
}

#[test]
fn case_10_suspend_and_resume() {
    let mut world = World::job(|spec| {
        spec.completions = Some(8);
        spec.parallelism = Some(4);
        spec.active_deadline_seconds = Some(100);
    });
    world.settle();
    let pods = world.active();
    for uid in &pods {
        world.start(uid);
    }
    world.end(&pods[0], 1);
    world.settle();
    world.change_spec(|spec| spec.suspend = Some(true));
    world.settle();
    assert_eq!(world.numbers(), (0, 1, 0, 3));
    assert_eq!(world.conditions(), ["Suspended/JobSuspended"]);
    assert_eq!(world.status().start_time, None);
    world.end_all(143);
    world.advance(500);
    world.settle();
    assert_eq!(world.numbers(), (0, 1, 0, 0));
    world.change_spec(|spec| spec.suspend = Some(false));
    let wait = world.settle().unwrap();
    assert_eq!(seconds_between(world.now, wait), 100, "the deadline counts from the resumption");
    assert_eq!(world.numbers(), (0, 1, 4, 0));
    assert_eq!(world.status().start_time, Some(Time(world.now)));
    assert!(world.conditions().is_empty());
    assert_eq!(world.told, ["Suspended", "Resumed"]);
}

fn with_rule(rule: serde_json::Value) -> World {
    World::job(|spec| {
        spec.backoff_limit = Some(0);
        spec.pod_failure_policy = serde_json::from_value(serde_json::json!({ "rules": [rule] })).ok();
    })
}

#[test]
fn case_13_an_ignored_failure_is_replaced_and_not_counted() {
    let rule = serde_json::json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
    for (disrupted, numbers) in [(true, (0, 0, 1, 0)), (false, (0, 1, 0, 0))] {
        let mut world = with_rule(rule.clone());
        world.settle();
        let uid = world.active().pop().unwrap();
        world.start(&uid);
        world.end(&uid, 137);
        let mut pod = world.pods[&uid].clone();
        if disrupted {
            let target =
                k8s_openapi::api::core::v1::PodCondition { type_: "DisruptionTarget".into(), status: "True".into(), ..Default::default() };
            pod.status.as_mut().unwrap().conditions = Some(vec![target]);
        }
        world.put(&uid, pod);
        if let Some(at) = world.settle() {
            world.now = at;
            world.settle();
        }
        assert_eq!(world.numbers(), numbers, "disrupted: {disrupted}");
        assert!(!ownership::has_finalizer(&world.pods[&uid].metadata, TRACKING_FINALIZER));
        if disrupted {
            world.end_all(0);
            world.settle();
            assert_eq!((world.numbers(), world.conditions()[1].as_str()), ((1, 0, 0, 0), "Complete/CompletionsReached"));
        } else {
            assert_eq!(world.conditions()[1], "Failed/BackoffLimitExceeded");
        }
    }
}

#[test]
fn a_fail_job_rule_ends_the_job() {
    let mut world = with_rule(serde_json::json!({"action": "FailJob", "onExitCodes": {"operator": "In", "values": [42]}}));
    world.change_spec(|spec| {
        spec.backoff_limit = Some(6);
        spec.parallelism = Some(2);
        spec.completions = Some(2);
    });
    world.settle();
    let pods = world.active();
    world.end(&pods[0], 42);
    world.settle();
    assert_eq!(world.conditions(), ["FailureTarget/PodFailurePolicy", "Failed/PodFailurePolicy"]);
    assert_eq!(world.numbers(), (0, 2, 0, 0), "the other Pod was stopped and counts");
    assert_eq!(world.told, ["PodFailurePolicy"]);
}

#[test]
fn what_is_not_built_is_named() {
    let mut world = World::job(|spec| spec.scheduling = Some(Default::default()));
    world.observe_all();
    let plan = world.plan();
    assert!(plan.stages.is_empty());
    assert_eq!(plan.problems[0].field, "spec.scheduling");
}

#[test]
fn an_unknown_completion_mode_is_left_alone() {
    let mut world = World::job(|spec| spec.completion_mode = Some("Odd".into()));
    world.observe_all();
    let plan = world.plan();
    assert!(plan.stages.is_empty());
    assert_eq!(plan.events[0].reason, "UnknownCompletionMode");
}

/// A suspended Job has no start time, yet it may end: here by a Pod that was being deleted before the Job was suspended.
#[test]
fn a_suspended_job_can_still_fail_and_has_a_start_time_then() {
    let mut world = World::job(|spec| {
        spec.backoff_limit = Some(0);
        spec.pod_replacement_policy = Some("Failed".into());
    });
    world.settle();
    let uid = world.active().pop().unwrap();
    world.start(&uid);
    world.delete(&uid);
    world.change_spec(|spec| spec.suspend = Some(true));
    world.settle();
    assert_eq!((world.status().start_time, world.conditions()), (None, vec!["Suspended/JobSuspended".to_owned()]));
    world.end(&uid, 1);
    world.settle();
    assert_eq!(world.conditions()[2], "Failed/BackoffLimitExceeded");
    assert!(world.status().start_time.is_some());
}

/// The Pod ends before the status has shown it: the status stays as it is, and yet the delay must hold.
#[test]
fn an_ignored_failure_lengthens_the_delay_even_if_the_status_does_not_change() {
    let mut world = with_rule(serde_json::json!({"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}));
    world.observe_all();
    let plan = world.plan();
    let creation = plan.stages.iter().position(|stage| matches!(stage, Stage::CreatePods(_))).unwrap();
    world.apply(&plan, creation + 1);
    world.end_all(7);
    for seconds in [10, 20] {
        let wait = world.settle().unwrap();
        assert_eq!((seconds_between(world.now, wait), world.numbers()), (seconds, (0, 0, 0, 0)));
        world.now = wait;
        world.settle();
        world.end_all(7);
    }
    assert_eq!(world.created.len(), 3);
}

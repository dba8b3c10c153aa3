//! Worked cases of spec/jobs.md appendix C that are about Indexed Jobs and their policies, played in the model world.

#![allow(clippy::unwrap_used)]

use super::{index_audit::index_of, world::World, *};
use crate::ownership::TRACKING_FINALIZER;
use serde_json::json;

fn indexed_job(completions: i32, parallelism: i32, change: impl FnOnce(&mut JobSpec)) -> World {
    World::job(|spec| {
        spec.completion_mode = Some("Indexed".into());
        spec.completions = Some(completions);
        spec.parallelism = Some(parallelism);
        change(spec);
    })
}

/// (completedIndexes, failedIndexes)
fn lists(world: &World) -> (String, Option<String>) {
    let status = world.status();
    (status.completed_indexes.unwrap_or_default(), status.failed_indexes)
}

/// Lets time pass and Pods end with what `code` says for their index, until the Job has finished.
fn run(world: &mut World, code: impl Fn(i32) -> i32) {
    for _ in 0..100 {
        let wait = world.settle();
        if conditions::finished(&world.job) {
            return;
        }
        let active = world.active();
        for uid in &active {
            let code = code(index_of(&world.pods[uid]).unwrap());
            world.start(uid);
            world.end(uid, code);
        }
        if active.is_empty() {
            world.now = world.now.max(wait.expect("something to wait for"));
        }
    }
    panic!("does not finish: {:?}", world.status());
}

fn annotations(world: &World, index: i32, name: &str) -> Vec<Option<String>> {
    let mut pods: Vec<&Pod> = world.pods.values().filter(|pod| index_of(pod) == Some(index)).collect();
    pods.sort_by_key(|pod| (pods::created(pod), pod.metadata.uid.clone()));
    pods.iter().map(|pod| pod.metadata.annotations.as_ref().unwrap().get(name).cloned()).collect()
}

#[test]
fn lowest_indexes_first_and_each_once() {
    let mut world = indexed_job(5, 2, |_| {});
    world.settle();
    let active: Vec<_> = world.active().iter().map(|uid| index_of(&world.pods[uid]).unwrap()).collect();
    assert_eq!(active, [0, 1]);
    let uid = world.of_index(1).pop().unwrap();
    world.end(&uid, 0);
    world.settle();
    assert_eq!((lists(&world), world.of_index(2).len()), (("1".into(), None), 1));
    run(&mut world, |_| 0);
    assert_eq!((world.numbers(), lists(&world), world.created.len()), ((5, 0, 0, 0), ("0-4".into(), None), 5));
    assert_eq!(world.conditions(), ["SuccessCriteriaMet/CompletionsReached", "Complete/CompletionsReached"]);
}

#[test]
fn a_failed_index_is_tried_again_after_the_delay() {
    let mut world = indexed_job(2, 2, |_| {});
    world.settle();
    let uid = world.of_index(1).pop().unwrap();
    world.end(&uid, 1);
    let wait = world.settle().unwrap();
    assert_eq!(wait.duration_since(world.now).as_secs(), 10);
    world.now = wait;
    world.settle();
    assert_eq!((world.of_index(1).len(), world.numbers()), (1, (0, 1, 2, 0)));
}

#[test]
fn doubled_and_bad_indexes_are_removed_uncounted() {
    let mut world = indexed_job(3, 3, |_| {});
    world.settle();
    for uid in world.active() {
        world.start(&uid);
    }
    let mut twin = indexed::pod(&world.job, 1).unwrap();
    world.create(twin.clone());
    twin.metadata.annotations = None;
    world.create(twin);
    world.settle();
    assert_eq!(world.active().len(), 3);
    assert!((0..3).all(|index| world.of_index(index).len() == 1));
    assert_eq!((world.numbers(), world.created.len()), ((0, 0, 3, 0), 5));
}

#[test]
fn two_pods_of_an_index_that_succeed_count_once() {
    let mut world = indexed_job(2, 2, |_| {});
    world.settle();
    let twin = world.create(indexed::pod(&world.job, 0).unwrap());
    world.end(&twin, 0);
    let first = world.of_index(0).pop().unwrap();
    world.end(&first, 0);
    world.settle();
    assert_eq!((world.numbers(), lists(&world).0.as_str()), ((1, 0, 1, 0), "0"));
    assert!(!ownership::has_finalizer(&world.pods[&twin].metadata, TRACKING_FINALIZER));
}

#[test]
fn seven_hundred_indexes_at_once() {
    let mut world = indexed_job(700, 700, |_| {});
    world.settle();
    world.end_all(0);
    world.observe_all();
    let plan = world.plan();
    world.apply(&plan, usize::MAX);
    assert_eq!((world.numbers().0, lists(&world).0.as_str(), conditions::finished(&world.job)), (500, "0-499", false));
    assert!(plan.requeue_at.is_some_and(|at| at <= world.now));
    world.settle();
    assert_eq!((world.numbers(), lists(&world).0.as_str()), ((700, 0, 0, 0), "0-699"));
    assert!(conditions::finished(&world.job));
}

#[test]
fn case_5_two_indexes_fail() {
    let mut world = indexed_job(6, 6, |spec| {
        spec.backoff_limit = None;
        spec.backoff_limit_per_index = Some(2);
    });
    run(&mut world, |index| i32::from(matches!(index, 0 | 3)));
    assert_eq!(lists(&world), ("1,2,4,5".into(), Some("0,3".into())));
    assert_eq!(world.numbers(), (4, 6, 0, 0));
    assert_eq!(world.conditions(), ["FailureTarget/FailedIndexes", "Failed/FailedIndexes"]);
    assert_eq!(annotations(&world, 0, per_index::FAILURE_COUNT), ["0", "1", "2"].map(|count| Some(count.to_owned())));
    assert!(world.pods.values().all(|pod| !ownership::has_finalizer(&pod.metadata, TRACKING_FINALIZER)));
}

#[test]
fn case_6_too_many_failed_indexes() {
    let mut world = indexed_job(8, 1, |spec| {
        spec.backoff_limit_per_index = Some(0);
        spec.max_failed_indexes = Some(1);
    });
    run(&mut world, |_| 1);
    assert_eq!((world.created.len(), lists(&world), world.numbers()), (2, (String::new(), Some("0,1".into())), (0, 2, 0, 0)));
    assert_eq!(world.conditions()[1], "Failed/MaxFailedIndexesExceeded");
}

#[test]
fn case_7_an_exit_code_fails_the_index() {
    let mut world = indexed_job(3, 3, |spec| {
        spec.backoff_limit_per_index = Some(4);
        let rule = json!({"rules": [{"action": "FailIndex", "onExitCodes": {"operator": "In", "values": [42]}}]});
        spec.pod_failure_policy = serde_json::from_value(rule).ok();
    });
    run(&mut world, |index| if index == 1 { 42 } else { 0 });
    assert_eq!((world.created.len(), lists(&world), world.numbers()), (3, ("0,2".into(), Some("1".into())), (2, 1, 0, 0)));
    assert_eq!(world.conditions()[1], "Failed/FailedIndexes");
}

#[test]
fn the_count_of_an_index_survives_a_restart_and_ignored_failures_are_kept_apart() {
    let mut world = indexed_job(1, 1, |spec| {
        spec.backoff_limit_per_index = Some(1);
        let rule = json!({"rules": [{"action": "Ignore", "onExitCodes": {"operator": "In", "values": [7]}}]});
        spec.pod_failure_policy = serde_json::from_value(rule).ok();
    });
    // (exit code, seconds until the next try); the third failure that counts would be one too many, so would the second.
    for (code, delay) in [(7, 10), (1, 20), (7, 40)] {
        world.settle();
        let uid = world.active().pop().unwrap();
        world.end(&uid, code);
        world.crash();
        let wait = world.settle().unwrap();
        assert_eq!(wait.duration_since(world.now).as_secs(), delay);
        assert!(ownership::has_finalizer(&world.pods[&uid].metadata, TRACKING_FINALIZER), "hands its count over");
        world.now = wait;
        world.settle();
        assert!(!ownership::has_finalizer(&world.pods[&uid].metadata, TRACKING_FINALIZER));
    }
    assert_eq!(annotations(&world, 0, per_index::FAILURE_COUNT), ["0", "0", "1", "1"].map(|count| Some(count.to_owned())));
    let ignored = [None, Some("1"), Some("1"), Some("2")].map(|count| count.map(str::to_owned));
    assert_eq!(annotations(&world, 0, per_index::IGNORED_FAILURE_COUNT), ignored);
    assert_eq!(world.numbers(), (0, 1, 1, 0));
    world.end_all(1);
    world.settle();
    assert_eq!((lists(&world).1.unwrap().as_str(), world.numbers()), ("0", (0, 2, 0, 0)));
}

#[test]
fn case_8_success_policy() {
    let mut world = indexed_job(6, 6, |spec| {
        let rules = json!({"rules": [{"succeededIndexes": "2-4", "succeededCount": 2}]});
        spec.success_policy = serde_json::from_value(rules).ok();
    });
    world.settle();
    for uid in world.active() {
        world.start(&uid);
    }
    for index in [0, 2, 4] {
        let uid = world.of_index(index).pop().unwrap();
        world.end(&uid, 0);
        world.settle();
    }
    let status = world.status();
    assert_eq!(status.conditions.as_ref().unwrap()[0].message.as_deref(), Some("Matched rules at index 0"));
    assert_eq!((world.conditions(), world.numbers()), (vec!["SuccessCriteriaMet/SuccessPolicy".to_owned()], (3, 0, 0, 3)));
    world.end_all(143);
    world.settle();
    assert_eq!((world.conditions()[1].as_str(), world.numbers()), ("Complete/SuccessPolicy", (3, 0, 0, 0)));
    assert_eq!(lists(&world).0, "0,2,4");
    assert!(world.status().completion_time.is_some());
}

#[test]
fn case_8_crashes_between_stages() {
    for cut in 0..4 {
        let mut world = indexed_job(3, 3, |spec| {
            spec.success_policy = serde_json::from_value(json!({"rules": [{"succeededCount": 1}]})).ok();
        });
        world.settle();
        for uid in world.active() {
            world.start(&uid);
        }
        let uid = world.of_index(1).pop().unwrap();
        world.end(&uid, 0);
        world.observe_all();
        let plan = world.plan();
        world.apply(&plan, cut);
        world.crash();
        world.settle();
        world.end_all(143);
        world.settle();
        assert_eq!((world.numbers(), world.conditions()[1].as_str()), ((1, 0, 0, 0), "Complete/SuccessPolicy"), "cut after {cut}");
    }
}

#[test]
fn failures_beat_the_success_policy() {
    let mut world = indexed_job(3, 3, |spec| {
        spec.backoff_limit = Some(0);
        spec.success_policy = serde_json::from_value(json!({"rules": [{"succeededCount": 1}]})).ok();
    });
    world.settle();
    let (one, other) = (world.of_index(0).pop().unwrap(), world.of_index(1).pop().unwrap());
    world.end(&one, 0);
    world.end(&other, 1);
    world.settle();
    assert_eq!(world.conditions()[0], "FailureTarget/BackoffLimitExceeded");
}

#[test]
fn case_15_elastic() {
    let mut world = indexed_job(5, 5, |_| {});
    world.settle();
    for index in [0, 4] {
        let uid = world.of_index(index).pop().unwrap();
        world.end(&uid, 0);
    }
    world.settle();
    assert_eq!((lists(&world).0.as_str(), world.numbers()), ("0,4", (2, 0, 3, 0)));
    let resize = |world: &mut World, size: i32| {
        world.change_spec(|spec| (spec.completions, spec.parallelism) = (Some(size), Some(size)));
        world.settle();
    };
    resize(&mut world, 3);
    assert_eq!((lists(&world).0.as_str(), world.numbers(), world.of_index(3).len()), ("0", (1, 0, 2, 0), 0));
    resize(&mut world, 5);
    assert_eq!((world.numbers(), world.of_index(3).len(), world.of_index(4).len()), ((1, 0, 4, 0), 1, 1));
    resize(&mut world, 1);
    assert_eq!((world.conditions()[1].as_str(), world.numbers()), ("Complete/CompletionsReached", (1, 0, 0, 0)));
}

#[test]
fn indexes_survive_suspension() {
    let mut world = indexed_job(4, 2, |spec| spec.backoff_limit_per_index = Some(0));
    world.settle();
    let (done, lost) = (world.of_index(0).pop().unwrap(), world.of_index(1).pop().unwrap());
    world.end(&done, 0);
    world.end(&lost, 1);
    world.settle();
    world.change_spec(|spec| spec.suspend = Some(true));
    world.settle();
    assert_eq!((lists(&world), world.numbers()), (("0".into(), Some("1".into())), (1, 1, 0, 0)));
    world.change_spec(|spec| spec.suspend = Some(false));
    run(&mut world, |_| 0);
    assert_eq!((lists(&world), world.created.len()), (("0,2,3".into(), Some("1".into())), 6));
}

//! The five laws of `reconcile` as properties over generated histories: idempotent, order-free, monotone, bounded, stale-safe.
//! Monotone, bounded and exactly-once are asserted by the model world on every write.

#![allow(clippy::unwrap_used)]

use super::{world::World, *};
use k8s_openapi::api::batch::v1::{SuccessPolicy, SuccessPolicyRule};
use proptest::prelude::*;
use serde_json::json;

#[derive(Debug, Clone)]
enum Step {
    /// Reconcile on the caches as they are; apply that many stages.
    Sync(usize),
    Observe {
        job: usize,
        pods: usize,
    },
    Start(usize),
    End(usize, i32),
    Delete(usize),
    Advance(i64),
    Crash,
    Parallelism(i32),
    /// Both of an Indexed Job at once.
    Resize(i32),
    Suspend(bool),
    /// The Pod is marked as disrupted.
    Disrupt(usize),
    DeleteJob,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        8 => (0usize..8).prop_map(|stages| Step::Sync(if stages > 4 { usize::MAX } else { stages })),
        6 => (0usize..3, 0usize..6).prop_map(|(job, pods)| Step::Observe { job, pods }),
        2 => (0usize..8).prop_map(Step::Start),
        6 => (0usize..8, prop::sample::select(&[0, 0, 0, 0, 1, 1, 1, 7, 7, 42, 9][..])).prop_map(|(pod, code)| Step::End(pod, code)),
        1 => (0usize..8).prop_map(Step::Delete),
        3 => (0i64..60).prop_map(Step::Advance),
        1 => Just(Step::Crash),
        1 => (0i32..6).prop_map(Step::Parallelism),
        1 => (0i32..7).prop_map(Step::Resize),
        1 => any::<bool>().prop_map(Step::Suspend),
        1 => (0usize..8).prop_map(Step::Disrupt),
        1 => Just(Step::DeleteJob).prop_filter("seldom", |_| true),
    ]
}

#[derive(Debug, Clone)]
struct Shape {
    completions: Option<i32>,
    parallelism: i32,
    backoff_limit: i32,
    deadline: Option<i64>,
    only_terminal: bool,
    suspended: bool,
    failure_policy: bool,
    indexed: Option<Indexed>,
}

/// The policies of an Indexed Job.
#[derive(Debug, Clone)]
struct Indexed {
    per_index: Option<i32>,
    most_failed: Option<i32>,
    /// Indexes and count of a success rule.
    success: Option<(Option<&'static str>, Option<i32>)>,
}

fn shape() -> impl Strategy<Value = Shape> {
    let numbers = (prop::option::of(0i32..7), 0i32..6, 0i32..5, prop::option::weighted(0.2, 0i64..200));
    let switches = (any::<bool>(), prop::bool::weighted(0.1), prop::bool::weighted(0.3));
    (numbers, switches, prop::option::of(indexed())).prop_map(
        |((completions, parallelism, backoff_limit, deadline), (only_terminal, suspended, failure_policy), indexed)| Shape {
            completions: if indexed.is_some() { completions.or(Some(5)) } else { completions },
            parallelism,
            backoff_limit,
            deadline,
            only_terminal,
            suspended,
            failure_policy,
            indexed,
        },
    )
}

fn indexed() -> impl Strategy<Value = Indexed> {
    let rule = (prop::option::of(prop::sample::select(&["", "1", "0,2", "1-3"][..])), prop::option::of(0i32..4));
    (prop::option::of(0i32..3), prop::option::of(0i32..4), prop::option::weighted(0.3, rule)).prop_map(
        |(per_index, most_failed, success)| Indexed { per_index, most_failed: most_failed.filter(|_| per_index.is_some()), success },
    )
}

fn world(shape: &Shape) -> World {
    World::job(|spec| {
        spec.completions = shape.completions;
        spec.parallelism = Some(shape.parallelism);
        spec.backoff_limit = Some(shape.backoff_limit);
        spec.active_deadline_seconds = shape.deadline;
        spec.suspend = Some(shape.suspended);
        spec.pod_replacement_policy = Some(if shape.only_terminal { "Failed" } else { "TerminatingOrFailed" }.into());
        let per_index = shape.indexed.as_ref().and_then(|indexed| indexed.per_index);
        if shape.failure_policy {
            let rule = |action: &str, code: i32| json!({"action": action, "onExitCodes": {"operator": "In", "values": [code]}});
            let disrupted = json!({"action": "Ignore", "onPodConditions": [{"type": "DisruptionTarget", "status": "True"}]});
            let fatal = if per_index.is_some() { "FailIndex" } else { "Count" };
            let rules = json!({"rules": [disrupted, rule("Ignore", 7), rule(fatal, 42), rule("FailJob", 9)]});
            spec.pod_failure_policy = serde_json::from_value(rules).unwrap();
        }
        if let Some(indexed) = &shape.indexed {
            spec.completion_mode = Some("Indexed".into());
            spec.backoff_limit_per_index = per_index;
            spec.max_failed_indexes = indexed.most_failed;
            if per_index.is_some() {
                spec.backoff_limit = Some(i32::MAX);
            }
            if let Some((indexes, count)) = indexed.success {
                let rule = SuccessPolicyRule { succeeded_indexes: indexes.map(str::to_owned), succeeded_count: count };
                spec.success_policy = Some(SuccessPolicy { rules: vec![rule] });
            }
        }
    })
}

fn nth(world: &World, index: usize) -> Option<String> {
    let uids: Vec<&String> = world.pods.keys().collect();
    (!uids.is_empty()).then(|| uids[index % uids.len()].clone())
}

fn play(world: &mut World, step: &Step) {
    match step {
        Step::Sync(stages) => {
            let plan = world.plan();
            world.apply(&plan, *stages);
        }
        Step::Observe { job, pods } => world.observe(*job, *pods),
        Step::Advance(seconds) => world.advance(*seconds),
        Step::Crash => world.crash(),
        Step::Resize(size) => {
            if world.indexed() {
                world.change_spec(|spec| (spec.completions, spec.parallelism) = (Some(*size), Some(*size)));
            }
        }
        Step::Suspend(suspend) => world.change_spec(|spec| spec.suspend = Some(*suspend)),
        Step::Disrupt(index) => {
            if let Some(uid) = nth(world, *index) {
                world.disrupt(&uid);
            }
        }
        Step::Parallelism(parallelism) => world.change_spec(|spec| spec.parallelism = Some(*parallelism)),
        Step::DeleteJob => {
            // One in a few histories: a Job that is being deleted hides most other behaviour.
            if world.created.len() > 6 && world.job.metadata.deletion_timestamp.is_none() {
                world.job.metadata.deletion_timestamp = Some(Time(world.now));
                world.touch_job();
            }
        }
        Step::Start(index) => {
            if let Some(uid) = nth(world, *index) {
                world.start(&uid);
            }
        }
        Step::End(index, code) => {
            if let Some(uid) = nth(world, *index) {
                world.end(&uid, *code);
            }
        }
        Step::Delete(index) => {
            if let Some(uid) = nth(world, *index) {
                world.delete(&uid);
            }
        }
    }
}

/// Lets every Pod end well and time pass until the Job rests.
fn heal(world: &mut World) {
    let spec = world.job.spec.as_ref().unwrap();
    if spec.parallelism == Some(0) || spec.suspend == Some(true) {
        world.change_spec(|spec| {
            spec.suspend = Some(false);
            spec.parallelism = spec.parallelism.filter(|parallelism| *parallelism > 0).or(Some(2));
        });
    }
    for _ in 0..50 {
        let wait = world.settle();
        if conditions::finished(&world.job) || world.job.metadata.deletion_timestamp.is_some() {
            break;
        }
        if let Some(at) = wait {
            world.now = world.now.max(at);
        }
        world.end_all(0);
    }
    world.end_all(0);
    world.settle();
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 600, ..ProptestConfig::default() })]

    /// Stale-safe, monotone, bounded, exactly-once: whatever is stale, cut or lost, the audits of the world hold, and healed Jobs settle.
    #[test]
    fn every_history_settles_with_exact_counts(shape in shape(), steps in prop::collection::vec(step(), 0..80)) {
        let mut world = world(&shape);
        for step in &steps {
            play(&mut world, step);
        }
        heal(&mut world);
        let deleting = world.job.metadata.deletion_timestamp.is_some();
        prop_assert!(deleting || conditions::finished(&world.job), "{:?} {:?}", world.status(), world.plan());
        let uncounted: Vec<&String> = world.ended.iter().filter(|(uid, pod)| !world.accounted(uid, pod)).map(|(uid, _)| uid).collect();
        prop_assert!(uncounted.is_empty(), "ended and never counted: {uncounted:?}");
        for pod in world.pods.values() {
            prop_assert!(!ownership::has_finalizer(&pod.metadata, crate::ownership::TRACKING_FINALIZER));
        }
        if let Some(complete) = conditions::holds(&world.status(), conditions::COMPLETE) {
            let early = complete.reason.as_deref() == Some("SuccessPolicy");
            let enough = if shape.completions.is_some() { world.least_completions } else { 1 };
            prop_assert!(early || deleting || world.numbers().0 >= enough);
            // A Job that was complete for a while with fewer indexes stays so.
            let resized = shape.completions.is_some_and(|completions| world.least_completions < completions);
            let failed = world.status().failed_indexes.unwrap_or_default();
            prop_assert!(failed.is_empty() || early || resized, "{failed}");
        }
    }

    /// Idempotent: with everything applied and seen, the next plan is empty unless a limit cut this one. Pods that vanish because the plan freed or
    /// deleted them are a change of the world; about those one more status write is due.
    #[test]
    fn applied_plans_leave_nothing_to_do(shape in shape(), steps in prop::collection::vec(step(), 0..60)) {
        let mut world = world(&shape);
        for step in &steps {
            play(&mut world, step);
        }
        world.observe_all();
        let plan = world.plan();
        let mut seen: BTreeSet<String> = world.pods.keys().cloned().collect();
        prop_assert!(world.apply(&plan, usize::MAX), "{plan:?}");
        world.observe_all();
        let mut next = world.plan();
        // Two things of Indexed Jobs take one sync more: after surplus Pods went, missing ones are made; and a replacement that is there frees the
        // failed Pod whose count it took over.
        let removed = plan.stages.iter().any(|stage| matches!(stage, Stage::DeletePods { uncounted: true, .. }));
        for allowed in [removed && world.indexed(), shape.indexed.as_ref().is_some_and(|indexed| indexed.per_index.is_some())] {
            let creates = next.stages.iter().any(|stage| matches!(stage, Stage::CreatePods(_)));
            if allowed && (removed || !creates) {
                prop_assert!(!next.stages.iter().any(|stage| matches!(stage, Stage::DeletePods { .. })), "{plan:#?}\nthen\n{next:#?}");
                seen.extend(world.pods.keys().cloned());
                prop_assert!(world.apply(&next, usize::MAX));
                world.observe_all();
                next = world.plan();
            }
        }
        let vanished = seen.iter().any(|uid| !world.pods.contains_key(uid)) && next.stages.iter().all(|stage| matches!(stage, Stage::WriteStatus(_)));
        prop_assert!(next.is_empty() || vanished || plan.requeue_at.is_some_and(|at| at <= world.now), "{plan:#?}\nthen\n{next:#?}");
    }

    /// Order-free: the order of the Pods does not change the plan.
    #[test]
    fn the_order_of_pods_does_not_matter(shape in shape(), steps in prop::collection::vec(step(), 0..60), rotation in 0usize..7) {
        let mut world = world(&shape);
        for step in &steps {
            play(&mut world, step);
        }
        let (job, mut pods) = world.cached();
        let plan = reconcile(&job, &pods, &world.known, world.now);
        pods.reverse();
        let turn = if pods.is_empty() { 0 } else { rotation % pods.len() };
        pods.rotate_left(turn);
        prop_assert_eq!(plan, reconcile(&job, &pods, &world.known, world.now));
    }
}

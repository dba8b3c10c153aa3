//! Tables of states and what the API shows for them (spec/jobs.md 9).
#![allow(clippy::unwrap_used)]

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Pod, PodStatus};
use piecework_runtime::Exit;
use serde_json::{Value, json};

use super::observed::{AttemptState, ImageFailure, Observation, Observed};
use super::outcome::backoff_seconds;
use super::patch::status_patch;
use super::status::status;
use super::step::{PodAction, step};

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + seconds).unwrap()
}

fn pod(policy: &str, containers: &[&str], extra: Value) -> Pod {
    let containers: Vec<Value> = containers.iter().map(|name| json!({"name": name, "image": "busybox"})).collect();
    let mut pod = json!({"metadata": {"name": "p", "namespace": "n", "uid": "u", "generation": 1},
                         "spec": {"restartPolicy": policy, "containers": containers}});
    for (key, value) in extra.as_object().unwrap() {
        match key.as_str() {
            "metadata" => value.as_object().unwrap().iter().for_each(|(key, value)| pod["metadata"][key] = value.clone()),
            "status" => pod["status"] = value.clone(),
            _ => pod["spec"][key] = value.clone(),
        }
    }
    serde_json::from_value(pod).unwrap()
}

fn exit(code: i32, started: i64, finished: i64) -> Exit {
    Exit {
        exit_code: code,
        signal: None,
        oom_killed: false,
        start_error: None,
        lost: false,
        started_at: Some(at(started)),
        finished_at: at(finished),
        termination_message: String::new(),
    }
}

fn run(container: &str, attempt: u32, state: AttemptState) -> Observation {
    let (image, image_id) = ("docker.io/library/busybox:latest".into(), "sha256:1".into());
    Observation::State { container: container.into(), attempt, id: format!("u_{container}_{attempt}"), image, image_id, state }
}

fn exited(container: &str, attempt: u32, code: i32, started: i64, finished: i64) -> Observation {
    run(container, attempt, AttemptState::Exited(exit(code, started, finished)))
}

fn running(container: &str, attempt: u32, started: i64) -> Observation {
    run(container, attempt, AttemptState::Running { started_at: at(started) })
}

fn observed(observations: Vec<Observation>) -> Observed {
    let mut observed = Observed::new(at(0));
    observed.apply(Observation::SandboxReady { ip: Some("10.0.0.9".into()) });
    observations.into_iter().for_each(|observation| observed.apply(observation));
    observed
}

/// `phase; container=state, …; Ready reason`.
fn summary(status: &PodStatus) -> String {
    let states = status.container_statuses.iter().flatten().map(|container| {
        let state = container.state.clone().unwrap_or_default();
        let text = match (state.waiting, state.running, state.terminated) {
            (Some(waiting), ..) => waiting.reason.unwrap(),
            (_, Some(_), _) => "running".into(),
            (.., Some(ended)) => format!("{}({})", ended.reason.unwrap(), ended.exit_code),
            _ => "none".into(),
        };
        format!("{}={text} r{}", container.name, container.restart_count)
    });
    let ready = status.conditions.iter().flatten().find(|condition| condition.type_ == "Ready").unwrap();
    format!(
        "{}; {}; {}",
        status.phase.as_deref().unwrap(),
        states.collect::<Vec<_>>().join(", "),
        ready.reason.as_deref().unwrap_or(&ready.status)
    )
}

#[test]
fn phases_and_container_states() {
    let failed_pull = |failures: usize| {
        (0..failures)
            .map(|_| Observation::ImageFailed { container: "a".into(), reason: ImageFailure::Pull, message: "no".into(), at: at(0) })
            .collect::<Vec<_>>()
    };
    let mut out_of_memory = exit(137, 0, 1);
    out_of_memory.oom_killed = true;
    let mut no_program = exit(128, 0, 1);
    no_program.start_error = Some("no such file".into());
    let mut lost = exit(137, 0, 1);
    lost.lost = true;
    let ended = |exit: Exit| vec![run("a", 0, AttemptState::Exited(exit))];
    let cases: Vec<(&str, &[&str], Vec<Observation>, &str)> = vec![
        ("Never", &["a"], vec![], "Pending; a=ContainerCreating r0; ContainersNotReady"),
        ("Never", &["a"], failed_pull(1), "Pending; a=ErrImagePull r0; ContainersNotReady"),
        ("Never", &["a"], failed_pull(2), "Pending; a=ImagePullBackOff r0; ContainersNotReady"),
        ("Never", &["a"], vec![running("a", 0, 0)], "Running; a=running r0; True"),
        ("Never", &["a", "b"], vec![running("a", 0, 0)], "Pending; a=running r0, b=ContainerCreating r0; ContainersNotReady"),
        ("Never", &["a"], vec![exited("a", 0, 0, 0, 1)], "Succeeded; a=Completed(0) r0; PodCompleted"),
        ("Never", &["a"], vec![exited("a", 0, 3, 0, 1)], "Failed; a=Error(3) r0; PodFailed"),
        (
            "Never",
            &["a", "b"],
            vec![exited("a", 0, 3, 0, 1), running("b", 0, 0)],
            "Running; a=Error(3) r0, b=running r0; ContainersNotReady",
        ),
        ("Never", &["a"], ended(out_of_memory), "Failed; a=OOMKilled(137) r0; PodFailed"),
        ("Never", &["a"], ended(no_program), "Failed; a=StartError(128) r0; PodFailed"),
        ("Never", &["a"], ended(lost), "Failed; a=ContainerStatusUnknown(137) r0; PodFailed"),
        ("OnFailure", &["a"], vec![exited("a", 0, 0, 0, 1)], "Succeeded; a=Completed(0) r0; PodCompleted"),
        // The first restart is immediate, the second waits.
        ("OnFailure", &["a"], vec![exited("a", 0, 1, 0, 1)], "Running; a=Error(1) r0; ContainersNotReady"),
        ("OnFailure", &["a"], vec![exited("a", 0, 1, 0, 1), exited("a", 1, 1, 2, 3)], "Running; a=CrashLoopBackOff r1; ContainersNotReady"),
        ("OnFailure", &["a"], vec![exited("a", 0, 1, 0, 1), exited("a", 1, 0, 2, 3)], "Succeeded; a=Completed(0) r1; PodCompleted"),
        ("Always", &["a"], vec![exited("a", 0, 0, 0, 1)], "Running; a=Completed(0) r0; ContainersNotReady"),
    ];
    for (policy, containers, observations, wanted) in cases {
        let got = status(&pod(policy, containers, json!({})), &observed(observations), at(5));
        assert_eq!(summary(&got), wanted, "{policy}");
    }
}

#[test]
fn addresses_times_and_conditions() {
    let got = status(&pod("Never", &["a"], json!({})), &observed(vec![running("a", 0, 1)]), at(5));
    assert_eq!(got.pod_ip.as_deref(), Some("10.0.0.9"));
    assert_eq!(got.host_ip.as_deref(), Some("127.0.0.1"));
    assert_eq!(got.start_time.unwrap().0, at(0));
    assert_eq!(got.observed_generation, Some(1));
    assert_eq!(got.qos_class.as_deref(), Some("BestEffort"));
    let container = &got.container_statuses.as_ref().unwrap()[0];
    assert_eq!(container.container_id.as_deref(), Some("piecework://u_a_0"));
    assert_eq!((container.image.as_str(), container.image_id.as_str()), ("docker.io/library/busybox:latest", "sha256:1"));
    let types: Vec<(&str, &str)> =
        got.conditions.as_ref().unwrap().iter().map(|condition| (condition.type_.as_str(), condition.status.as_str())).collect();
    let wanted = ["PodReadyToStartContainers", "Initialized", "Ready", "ContainersReady", "PodScheduled"].map(|type_| (type_, "True"));
    assert_eq!(types, wanted);
}

#[test]
fn init_containers_run_before_the_others() {
    let extra = || json!({"initContainers": [{"name": "i", "image": "busybox"}, {"name": "j", "image": "busybox"}]});
    let pod = pod("Never", &["a"], extra());
    let ready = |name: &str| Observation::ImageReady { container: name.into() };
    let all_images = || vec![ready("i"), ready("j"), ready("a")];
    let starts = |observations: Vec<Observation>| -> Vec<String> {
        let known = observed([all_images(), observations].concat());
        step(Some(&pod), &known, at(5))
            .into_iter()
            .filter_map(|action| if let PodAction::StartContainer { container, .. } = action { Some(container) } else { None })
            .collect()
    };
    assert_eq!(starts(vec![]), ["i"]);
    assert!(starts(vec![running("i", 0, 0)]).is_empty());
    assert_eq!(starts(vec![exited("i", 0, 0, 0, 1)]), ["j"]);
    assert_eq!(starts(vec![exited("i", 0, 0, 0, 1), exited("j", 0, 0, 1, 2)]), ["a"]);
    let failed = status(&pod, &observed(vec![exited("i", 0, 1, 0, 1)]), at(5));
    assert_eq!(summary(&failed), "Failed; a=PodInitializing r0; PodFailed");
    let waiting = status(&pod, &observed(vec![running("i", 0, 0)]), at(5));
    assert_eq!(summary(&waiting), "Pending; a=PodInitializing r0; ContainersNotReady");
    let initialized = waiting.conditions.unwrap().into_iter().find(|condition| condition.type_ == "Initialized").unwrap();
    assert_eq!(initialized.message.as_deref(), Some("containers with incomplete status: [i j]"));
}

#[test]
fn delays_before_restarts() {
    // ends of attempts (code, ran seconds), delay before the next start
    let cases: Vec<(Vec<(i32, i64)>, i64)> = vec![
        (vec![(1, 1)], 0),
        (vec![(1, 1); 2], 10),
        (vec![(1, 1); 3], 20),
        (vec![(1, 1); 6], 160),
        (vec![(1, 1); 7], 300),
        (vec![(1, 1); 16], 300),
        (vec![(1, 1), (1, 1), (1, 600)], 0),
        (vec![(1, 1), (1, 1), (1, 599)], 20),
    ];
    for (ends, wanted) in cases {
        let mut time = 0;
        let mut observations = vec![Observation::ImageReady { container: "a".into() }];
        for (number, (code, ran)) in ends.iter().enumerate() {
            observations.push(exited("a", u32::try_from(number).unwrap(), *code, time, time + ran));
            time += ran;
        }
        let actions = step(Some(&pod("OnFailure", &["a"], json!({}))), &observed(observations), at(time));
        let next = PodAction::StartContainer { container: "a".into(), attempt: u32::try_from(ends.len()).unwrap() };
        if wanted == 0 {
            assert!(actions.contains(&next), "{ends:?} {actions:?}");
        } else {
            assert!(actions.contains(&PodAction::WakeAt(at(time + wanted))), "{ends:?} {actions:?}");
            assert!(!actions.contains(&next));
        }
    }
    assert_eq!([1, 2, 5, 6, 99].map(|failures| backoff_seconds(failures, 10, 300)), [10, 20, 160, 300, 300]);
}

#[test]
fn the_deadline_of_a_pod() {
    let extra = || json!({"activeDeadlineSeconds": 10, "terminationGracePeriodSeconds": 5});
    let pod = pod("Never", &["a"], extra());
    let live = observed(vec![running("a", 0, 0)]);
    assert!(step(Some(&pod), &live, at(9)).contains(&PodAction::WakeAt(at(10))));
    let terminate = PodAction::Terminate { container: "a".into(), attempt: 0, id: "u_a_0".into() };
    assert!(step(Some(&pod), &live, at(10)).contains(&terminate));
    let mut signalled = live.clone();
    signalled.apply(Observation::TerminateSent { container: "a".into(), attempt: 0, at: at(10) });
    let kill = PodAction::Kill { container: "a".into(), attempt: 0, id: "u_a_0".into() };
    assert!(step(Some(&pod), &signalled, at(14)).contains(&PodAction::WakeAt(at(15))));
    assert!(step(Some(&pod), &signalled, at(15)).contains(&kill));
    signalled.apply(exited("a", 0, 143, 0, 15));
    let ended = status(&pod, &signalled, at(15));
    assert_eq!(ended.reason.as_deref(), Some("DeadlineExceeded"));
    assert_eq!(summary(&ended), "Failed; a=Error(143) r0; PodFailed");
    // One that ended before is not failed because the agent looked late.
    let early = status(&pod, &observed(vec![exited("a", 0, 0, 0, 9)]), at(50));
    assert_eq!((early.phase.as_deref(), early.reason), (Some("Succeeded"), None));
}

#[test]
fn deletion_in_order() {
    let deleted = |status: Value| {
        pod(
            "Never",
            &["a"],
            json!({"metadata": {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": 30}, "status": status}),
        )
    };
    let mut known = observed(vec![exited("a", 0, 143, 0, 1)]);
    // First the status …
    let first = step(Some(&deleted(json!({}))), &known, at(5));
    let [PodAction::UpdateStatus(written)] = first.as_slice() else { panic!("{first:?}") };
    assert_eq!(summary(written), "Failed; a=Error(143) r0; PodFailed");
    // … then the sandbox …
    let pod = deleted(serde_json::to_value(written).unwrap());
    assert_eq!(step(Some(&pod), &known, at(6)), [PodAction::RemoveSandbox]);
    known.apply(Observation::SandboxRemoving);
    assert!(step(Some(&pod), &known, at(6)).is_empty());
    known.apply(Observation::SandboxRemoved);
    // … then the object; with finalizers it stays, and is not deleted again.
    assert_eq!(step(Some(&pod), &known, at(7)), [PodAction::FinalDelete]);
    known.apply(Observation::FinalDeleteDone);
    assert!(step(Some(&pod), &known, at(8)).is_empty());
    assert_eq!(step(None, &known, at(9)), [PodAction::Discard]);
}

#[test]
fn a_pod_deleted_before_it_ran() {
    let pod = pod("Never", &["a"], json!({"metadata": {"deletionTimestamp": "2023-11-14T22:13:50Z", "deletionGracePeriodSeconds": 30}}));
    let got = status(&pod, &Observed::new(at(0)), at(1));
    assert_eq!(summary(&got), "Failed; a=ContainerStatusUnknown(137) r0; PodFailed");
}

#[test]
fn a_pod_failed_by_someone_else_is_stopped_and_stays_failed() {
    let pod = pod("OnFailure", &["a"], json!({"status": {"phase": "Failed", "reason": "NodeLost"}}));
    let mut known = observed(vec![running("a", 0, 0)]);
    let actions = step(Some(&pod), &known, at(5));
    assert!(actions.contains(&PodAction::Terminate { container: "a".into(), attempt: 0, id: "u_a_0".into() }), "{actions:?}");
    known.apply(exited("a", 0, 0, 0, 6));
    let got = status(&pod, &known, at(6));
    assert_eq!((summary(&got).as_str(), got.reason.as_deref()), ("Failed; a=Completed(0) r0; PodFailed", Some("NodeLost")));
}

#[test]
fn patches_hold_what_changed() {
    let mut pod = pod("Never", &["a"], json!({}));
    let scheduled = json!({"type": "PodScheduled", "status": "True", "lastTransitionTime": "2023-01-01T00:00:00Z"});
    pod.status = serde_json::from_value(json!({"phase": "Pending", "conditions": [scheduled]})).unwrap();
    let live = status(&pod, &observed(vec![running("a", 0, 0)]), at(5));
    let patch = status_patch(&pod, &live).unwrap();
    assert_eq!(patch["metadata"]["uid"], "u");
    let types: Vec<&str> = patch["status"]["conditions"].as_array().unwrap().iter().map(|c| c["type"].as_str().unwrap()).collect();
    assert!(!types.contains(&"PodScheduled"), "conditions of others are not sent: {types:?}");
    pod.status = Some(live.clone());
    assert_eq!(status_patch(&pod, &live), None);
    let later = status(&pod, &observed(vec![running("a", 0, 0)]), at(500));
    assert_eq!(status_patch(&pod, &later), None, "time alone changes nothing");
    let ended = status(&pod, &observed(vec![exited("a", 0, 0, 0, 6)]), at(7));
    let patch = status_patch(&pod, &ended).unwrap();
    let keys: Vec<&String> = patch["status"].as_object().unwrap().keys().collect();
    assert_eq!(keys.len(), 3, "phase, conditions and containerStatuses: {keys:?}");
}

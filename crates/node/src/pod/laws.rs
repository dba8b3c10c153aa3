//! Laws of the Pod machine, checked on random lives of Pods: a small world carries out the actions, fails some, and restarts the agent.
#![allow(clippy::unwrap_used)]

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use piecework_runtime::{ContainerState, ContainerStatus, Exit, SandboxStatus};
use proptest::prelude::*;
use serde_json::json;

use super::join::join;
use super::observed::{AttemptState, ImageFailure, Observation, Observed, Sandbox};
use super::patch::status_patch;
use super::spec;
use super::step::{PodAction, step};

fn exit(code: i32, started_at: Option<Timestamp>, finished_at: Timestamp) -> Exit {
    Exit {
        exit_code: code,
        signal: None,
        oom_killed: false,
        start_error: None,
        lost: false,
        started_at,
        finished_at,
        termination_message: String::new(),
    }
}

/// What the machine and the API server really hold, and what the agent believes.
struct World {
    now: Timestamp,
    pod: Option<Pod>,
    observed: Observed,
    sandbox: bool,
    /// Really made, by container and attempt.
    runs: BTreeMap<(String, u32), ContainerState>,
    under_way: Vec<PodAction>,
    signalled: BTreeSet<(String, bool)>,
    ended_as: Option<String>,
}

impl World {
    fn new(policy: &str, containers: usize, init: usize, deadline: Option<i64>) -> Self {
        let list = |prefix: &str, count: usize| {
            (0..count).map(|index| json!({"name": format!("{prefix}{index}"), "image": "i"})).collect::<Vec<_>>()
        };
        let pod = serde_json::from_value(json!({
            "metadata": {"name": "p", "namespace": "n", "uid": "u"},
            "spec": {"restartPolicy": policy, "containers": list("c", containers), "initContainers": list("i", init),
                     "activeDeadlineSeconds": deadline, "terminationGracePeriodSeconds": 30}
        }))
        .unwrap();
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        World {
            now,
            pod: Some(pod),
            observed: Observed::new(now),
            sandbox: false,
            runs: BTreeMap::new(),
            under_way: Vec::new(),
            signalled: BTreeSet::new(),
            ended_as: None,
        }
    }

    fn is_live(&self, container: &str) -> bool {
        self.runs.iter().any(|((name, _), state)| name == container && matches!(state, ContainerState::Running { .. }))
    }

    /// Asks `step`, checks the laws, marks what begins. Answers with the time to wake.
    fn act(&mut self) -> Option<Timestamp> {
        let mut wake = None;
        for action in step(self.pod.as_ref(), &self.observed, self.now) {
            match &action {
                PodAction::WakeAt(time) => {
                    assert!(*time > self.now, "a wake-up in the past would spin");
                    wake = Some(*time);
                    continue;
                }
                PodAction::StartContainer { container, attempt } => {
                    let pod = self.pod.as_ref().expect("never a start for a Pod that is gone");
                    assert!(!spec::is_deleted(pod) && !spec::is_terminal(pod), "never a start after deletion or the end");
                    assert!(!self.is_live(container), "never two live attempts of one container");
                    assert!(!self.runs.contains_key(&(container.clone(), *attempt)), "no attempt is made twice");
                    assert!(!self.under_way.contains(&action), "asked for twice");
                    let id = format!("{container}_{attempt}");
                    self.observed.apply(Observation::Starting { container: container.clone(), attempt: *attempt, id });
                }
                PodAction::CreateSandbox => self.observed.apply(Observation::SandboxCreating),
                PodAction::RemoveSandbox => self.observed.apply(Observation::SandboxRemoving),
                PodAction::PullImage { container } => self.observed.apply(Observation::ImagePulling { container: container.clone() }),
                PodAction::Discard => self.observed.apply(Observation::Discarded),
                PodAction::Terminate { id, .. } | PodAction::Kill { id, .. } => {
                    let kill = matches!(action, PodAction::Kill { .. });
                    if !self.signalled.insert((id.clone(), kill)) {
                        continue;
                    }
                }
                // One write at a time, as the worker's gates have it.
                PodAction::UpdateStatus(_) if self.under_way.iter().any(|other| matches!(other, PodAction::UpdateStatus(_))) => continue,
                PodAction::FinalDelete if self.under_way.contains(&action) => continue,
                _ => {}
            }
            self.under_way.push(action);
        }
        for action in step(self.pod.as_ref(), &self.observed, self.now) {
            let gated = matches!(
                action,
                PodAction::WakeAt(_)
                    | PodAction::UpdateStatus(_)
                    | PodAction::FinalDelete
                    | PodAction::Terminate { .. }
                    | PodAction::Kill { .. }
            );
            assert!(gated, "asked again for what is under way: {action:?}");
        }
        wake
    }

    /// Ends one thing that is under way.
    fn complete(&mut self, index: usize, works: bool) {
        if self.under_way.is_empty() {
            return;
        }
        let action = self.under_way.remove(index % self.under_way.len());
        let at = self.now;
        match action {
            PodAction::CreateSandbox if works => {
                self.sandbox = true;
                self.observed.apply(Observation::SandboxReady { ip: Some("10.0.0.1".into()) });
            }
            PodAction::CreateSandbox => self.observed.apply(Observation::SandboxFailed { message: "no".into(), at }),
            PodAction::RemoveSandbox if works => {
                self.sandbox = false;
                self.observed.apply(Observation::SandboxRemoved);
                let live: Vec<(String, u32)> = self.runs.keys().cloned().collect();
                for (container, attempt) in live {
                    self.end(&container, attempt, 137);
                }
            }
            PodAction::RemoveSandbox => self.observed.apply(Observation::SandboxRemoveFailed { at }),
            PodAction::PullImage { container } if works => self.observed.apply(Observation::ImageReady { container }),
            PodAction::PullImage { container } => {
                self.observed.apply(Observation::ImageFailed { container, reason: ImageFailure::Pull, message: "no".into(), at });
            }
            PodAction::StartContainer { container, attempt } if works => {
                assert!(self.sandbox, "a container needs a sandbox");
                assert!(!self.is_live(&container), "never two live attempts of one container");
                let state = ContainerState::Running { started_at: at };
                assert!(self.runs.insert((container.clone(), attempt), state.clone()).is_none(), "no attempt runs twice");
                self.tell(&container, attempt, state);
            }
            PodAction::StartContainer { container, attempt } => {
                self.observed.apply(Observation::StartRefused {
                    container,
                    attempt,
                    reason: "CreateContainerError",
                    message: "no".into(),
                    at,
                });
            }
            PodAction::Terminate { container, attempt, .. } => {
                self.observed.apply(Observation::TerminateSent { container: container.clone(), attempt, at });
                if works {
                    self.end(&container, attempt, 143);
                }
            }
            PodAction::Kill { container, attempt, .. } => {
                self.observed.apply(Observation::KillSent { container: container.clone(), attempt, at });
                self.end(&container, attempt, 137);
            }
            PodAction::UpdateStatus(status) => {
                if let Some(pod) = self.pod.as_mut().filter(|_| works) {
                    pod.status = Some(*status.clone());
                    assert_eq!(status_patch(pod, &status), None, "a written status is not written again");
                    let phase = spec::phase(pod).to_owned();
                    if let Some(before) = &self.ended_as {
                        assert_eq!(*before, phase, "a terminal phase is final");
                    }
                    if spec::is_terminal(pod) {
                        assert!(!self.runs.values().any(|state| matches!(state, ContainerState::Running { .. })), "terminal while running");
                        self.ended_as = Some(phase);
                    }
                }
            }
            PodAction::FinalDelete if works => {
                assert!(!self.sandbox, "the object goes last");
                assert!(self.ended_as.is_some(), "a Pod is terminal before it is removed");
                self.pod = None;
                self.observed.apply(Observation::FinalDeleteDone);
            }
            _ => {}
        }
    }

    fn end(&mut self, container: &str, attempt: u32, code: i32) {
        let Some(state) = self.runs.get_mut(&(container.to_owned(), attempt)) else { return };
        if let ContainerState::Running { started_at } = *state {
            *state = ContainerState::Exited(exit(code, Some(started_at), self.now));
            let state = state.clone();
            self.tell(container, attempt, state);
        }
    }

    fn end_some(&mut self, index: usize, code: i32) {
        let live: Vec<(String, u32)> =
            self.runs.iter().filter(|(_, state)| matches!(state, ContainerState::Running { .. })).map(|(key, _)| key.clone()).collect();
        if let Some((container, attempt)) = live.get(index % live.len().max(1)).cloned() {
            self.end(&container, attempt, code);
        }
    }

    fn tell(&mut self, container: &str, attempt: u32, state: ContainerState) {
        let (container, id) = (container.to_owned(), format!("{container}_{attempt}"));
        self.observed.apply(Observation::State {
            container,
            attempt,
            id,
            image: "i".into(),
            image_id: "sha256:1".into(),
            state: AttemptState::from(state),
        });
    }

    fn delete(&mut self, grace: i64) {
        if let Some(pod) = &mut self.pod {
            if pod.metadata.deletion_timestamp.is_none() {
                pod.metadata.deletion_timestamp = Some(Time(self.now.saturating_add(SignedDuration::from_secs(grace)).unwrap()));
            }
            let before = pod.metadata.deletion_grace_period_seconds.unwrap_or(i64::MAX);
            pod.metadata.deletion_grace_period_seconds = Some(grace.min(before));
        }
    }

    /// The agent forgets everything but what is on disk; starts that were under way may or may not have happened.
    fn restart_agent(&mut self) {
        for action in std::mem::take(&mut self.under_way) {
            if let PodAction::StartContainer { container, attempt } = action
                && attempt % 2 == 0
                && self.sandbox
            {
                self.runs.insert((container, attempt), ContainerState::Running { started_at: self.now });
            }
        }
        let on_disk = self.sandbox.then(|| SandboxStatus {
            id: "u".into(),
            ip: Some("10.0.0.1".into()),
            created_at: self.now,
            containers: self
                .runs
                .iter()
                .map(|((name, attempt), state)| {
                    let id = format!("{name}_{attempt}");
                    let (image, image_id) = ("i".into(), "sha256:1".into());
                    (id.clone(), ContainerStatus { id, name: name.clone(), attempt: *attempt, image, image_id, state: state.clone() })
                })
                .collect(),
        });
        self.signalled.clear();
        self.observed = join(self.pod.as_ref(), on_disk.as_ref(), self.now);
    }

    fn pass(&mut self, seconds: i64) {
        self.now = self.now.saturating_add(SignedDuration::from_secs(seconds)).unwrap();
    }
}

#[derive(Debug, Clone)]
enum Event {
    Complete { index: usize, works: bool },
    End { index: usize, code: i32 },
    Delete { grace: i64 },
    Gone,
    Pass(i64),
    RestartAgent,
}

fn event() -> impl Strategy<Value = Event> {
    prop_oneof![
        12 => (0..8_usize, prop::bool::weighted(0.8)).prop_map(|(index, works)| Event::Complete { index, works }),
        4 => (0..4_usize, prop_oneof![Just(0), Just(1), Just(137)]).prop_map(|(index, code)| Event::End { index, code }),
        1 => (0..40_i64).prop_map(|grace| Event::Delete { grace }),
        1 => Just(Event::Gone),
        4 => (1..400_i64).prop_map(Event::Pass),
        1 => Just(Event::RestartAgent),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    #[test]
    fn laws_hold_in_every_life(
        policy in prop_oneof![Just("Never"), Just("OnFailure"), Just("Always")],
        containers in 1..4_usize,
        init in 0..3_usize,
        deadline in prop::option::of(1..2000_i64),
        events in prop::collection::vec(event(), 0..120),
        forced in prop::bool::weighted(0.2),
    ) {
        let mut world = World::new(policy, containers, init, deadline);
        world.act();
        for event in events {
            match event {
                Event::Complete { index, works } => world.complete(index, works),
                Event::End { index, code } => world.end_some(index, code),
                Event::Delete { grace } => world.delete(grace),
                Event::Gone if forced => world.pod = None,
                Event::Gone => {}
                Event::Pass(seconds) => world.pass(seconds),
                Event::RestartAgent => world.restart_agent(),
            }
            world.act();
        }
        // From here on everything works: a deleted Pod must go, with all that belongs to it.
        world.delete(30);
        for _ in 0..200 {
            let wake = world.act();
            if !world.under_way.is_empty() {
                world.complete(0, true);
            } else if let Some(wake) = wake {
                world.now = wake;
            } else {
                break;
            }
        }
        prop_assert!(world.pod.is_none(), "the Pod is gone");
        prop_assert!(!world.sandbox && !world.observed.live().any(|_| true), "nothing is left");
        prop_assert!(world.observed.discarded && matches!(world.observed.sandbox, Sandbox::Removed | Sandbox::Absent));
    }

    #[test]
    fn a_pod_that_is_left_alone_ends(containers in 1..4_usize, init in 0..3_usize, codes in prop::collection::vec(0..2_i32, 12), never: bool) {
        let mut world = World::new(if never { "Never" } else { "OnFailure" }, containers, init, None);
        let mut codes = codes.into_iter();
        for _ in 0..400 {
            let wake = world.act();
            if !world.under_way.is_empty() {
                world.complete(0, true);
            } else if world.runs.values().any(|state| matches!(state, ContainerState::Running { .. })) {
                world.end_some(0, codes.next().unwrap_or(0));
            } else if let Some(wake) = wake {
                world.now = wake;
            } else {
                break;
            }
        }
        prop_assert!(world.ended_as.is_some(), "terminal");
        prop_assert!(!world.sandbox, "its network and cgroups are released");
        prop_assert!(never || world.ended_as.as_deref() == Some("Succeeded"));
    }

    #[test]
    fn observations_of_runs_are_order_free(
        states in prop::collection::vec((0..2_usize, 0..3_u32, 0..3_u8), 1..12),
        order in prop::collection::vec(any::<u32>(), 12),
    ) {
        let now = Timestamp::from_second(1_700_000_000).unwrap();
        let observations: Vec<Observation> = states
            .iter()
            .map(|(container, attempt, rank)| Observation::State {
                container: format!("c{container}"),
                attempt: *attempt,
                id: format!("c{container}_{attempt}"),
                image: "i".into(),
                image_id: "x".into(),
                state: match rank {
                    0 => AttemptState::Starting,
                    1 => AttemptState::Running { started_at: now },
                    _ => AttemptState::Exited(exit(0, Some(now), now)),
                },
            })
            .collect();
        let mut shuffled: Vec<(u32, Observation)> = observations.iter().cloned().enumerate().map(|(index, o)| (order[index], o)).collect();
        shuffled.sort_by_key(|(key, _)| *key);
        let mut one = Observed::new(now);
        observations.into_iter().for_each(|o| one.apply(o));
        let mut other = Observed::new(now);
        shuffled.into_iter().for_each(|(_, o)| other.apply(o));
        prop_assert_eq!(one, other);
    }
}

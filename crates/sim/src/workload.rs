//! What users do: Jobs of every accepted shape, changed and deleted at random moments.
//!
//! In: the seed. Out: manifests with the scripts of their containers, and a timeline of actions. Never: a Job that could not end once faults have ended.

use serde_json::{Value, json};

use crate::{fixture::IMAGE, machine::Script, random::Random};

/// Longest time in which users and faults act, in milliseconds.
pub const CHAOS_MILLISECONDS: (u64, u64) = (15_000, 90_000);

#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Action {
    CreateJob(usize),
    /// With propagation policy.
    DeleteJob(usize, &'static str),
    Parallelism(usize, u64),
    /// A Pod of the Job, chosen by the number, with a grace period or the Pod's own.
    DeletePod {
        job: usize,
        choice: u64,
        grace: Option<u64>,
    },
    Crash(Component),
    /// Whatever is down comes back.
    Restart(Component),
    ResetMachine,
    /// Seconds.
    Leap(u64),
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Component {
    Controllers,
    Agent,
    Server,
}

pub struct PlannedJob {
    pub name: String,
    pub manifest: Value,
    pub container: String,
    pub script: Script,
}

pub struct Workload {
    pub jobs: Vec<PlannedJob>,
    /// Milliseconds since the start, and what is done; in order.
    pub timeline: Vec<(u64, Action)>,
    pub chaos: u64,
}

impl Workload {
    pub fn new(seed: u64) -> Self {
        let mut random = Random::of(seed, "workload", 0);
        let chaos = random.between(CHAOS_MILLISECONDS.0, CHAOS_MILLISECONDS.1);
        let jobs: Vec<PlannedJob> = (0..random.between(1, 4)).map(|number| planned(seed, number)).collect();
        let mut timeline = Vec::new();
        for (index, job) in jobs.iter().enumerate() {
            let created = random.between(0, chaos / 2);
            timeline.push((created, Action::CreateJob(index)));
            let later = |random: &mut Random| random.between(created, chaos);
            if random.chance(250) {
                let at = later(&mut random);
                // Orphans that always fail and restart would keep their place on the node for ever.
                let endless = job.script.failing == 1000 && job.manifest["spec"]["template"]["spec"]["restartPolicy"] == "OnFailure";
                let policy = random.pick(if endless { &["Background", "Foreground"] } else { &["Background", "Foreground", "Orphan"] });
                timeline.push((at, Action::DeleteJob(index, policy)));
                if random.chance(500) {
                    // The name is used again, while the old one may still be on its way out.
                    timeline.push((random.between(at, chaos), Action::CreateJob(index)));
                }
            }
            for _ in 0..random.pick(&[0, 0, 1, 3]) {
                timeline.push((later(&mut random), Action::Parallelism(index, random.between(0, 5))));
            }
            for _ in 0..random.pick(&[0, 0, 1, 3]) {
                let grace = random.pick(&[None, Some(0), Some(1)]);
                timeline.push((later(&mut random), Action::DeletePod { job: index, choice: random.next(), grace }));
            }
        }
        crashes(seed, chaos, &mut timeline);
        timeline.sort_by_key(|(at, _)| *at);
        Workload { jobs, timeline, chaos }
    }
}

fn crashes(seed: u64, chaos: u64, timeline: &mut Vec<(u64, Action)>) {
    let mut random = Random::of(seed, "crashes", 0);
    for component in [Component::Controllers, Component::Agent, Component::Server] {
        for _ in 0..random.pick(&[0, 0, 1, 2, 4]) {
            let at = random.between(0, chaos);
            timeline.push((at, Action::Crash(component)));
            timeline.push((at + random.pick(&[10, 500, 3000, 30_000]), Action::Restart(component)));
        }
    }
    if random.chance(100) {
        timeline.push((random.between(0, chaos), Action::ResetMachine));
    }
    for _ in 0..random.pick(&[0, 0, 0, 1, 2]) {
        timeline.push((random.between(0, chaos), Action::Leap(random.between(1, 120))));
    }
}

fn planned(seed: u64, number: u64) -> PlannedJob {
    let mut random = Random::of(seed, "job", number);
    let (name, container) = (format!("job-{number}"), format!("work-{number}"));
    let mut spec = json!({"template": {"spec": {
        "restartPolicy": random.pick(&["Never", "OnFailure"]),
        "terminationGracePeriodSeconds": random.pick(&[0, 1, 5, 30]),
        "containers": [{"name": container, "image": IMAGE, "command": ["work"]}],
    }}});
    match random.between(0, 2) {
        // One Pod.
        0 => {}
        // Fixed completions.
        1 => {
            spec["completions"] = json!(random.between(1, 6));
            spec["parallelism"] = json!(random.between(1, 4));
        }
        // A work queue.
        _ => spec["parallelism"] = json!(random.between(2, 4)),
    }
    // The default of 6 retries takes its time, with fewer more happens.
    spec["backoffLimit"] = json!(random.pick(&[0, 1, 2, 3]));
    if random.chance(200) {
        spec["activeDeadlineSeconds"] = json!(random.between(1, 60));
    }
    if random.chance(50) {
        spec["template"]["spec"]["activeDeadlineSeconds"] = json!(random.between(1, 20));
    }
    let script = Script {
        failing: random.pick(&[0, 0, 200, 500, 1000]),
        milliseconds: random.pick(&[vec![0], vec![0, 200, 1500], vec![3000], vec![500, 5000, 20_000], vec![45_000]]),
        stubborn: random.chance(150),
    };
    let manifest = json!({"apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": name}, "spec": spec});
    PlannedJob { name, manifest, container, script }
}

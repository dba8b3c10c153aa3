//! `status`: the whole status of a Pod as the agent sees it (spec/jobs.md 9.1-9.5).
//!
//! In: the Pod as the API has it, what was observed, the time. Out: the status to have.
//! Never: moves a Pod out of a terminal phase or a terminated container of such a Pod out of that state; loses a field that someone else wrote.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{ContainerStatus, HostIP, Pod, PodIP, PodSpec, PodStatus};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use super::condition::{self, Verdict};
use super::container_status::{Surroundings, container_status};
use super::observed::{AttemptState, Observed, Sandbox};
use super::outcome::{self, Ending, Next, Stop};
use super::spec::{self, RestartPolicy};
use crate::resolve::resources;

/// Every node's address while piecework listens on loopback only.
pub const HOST_IP: &str = "127.0.0.1";

/// The status of a Pod.
pub fn status(pod: &Pod, observed: &Observed, now: Timestamp) -> PodStatus {
    let old = pod.status.clone().unwrap_or_default();
    let Some(pod_spec) = pod.spec.as_ref() else { return old };
    let terminal = spec::is_terminal(pod);
    let stop = outcome::stop(pod, observed, now);
    let ending = if terminal { None } else { outcome::ending(pod, observed, now) };
    let over = terminal || ending.is_some();
    let refused = matches!(stop, Some(Stop::Refused(_)));

    let mut new = old.clone();
    new.phase = Some(phase(pod, pod_spec, observed, ending.as_ref()));
    if let Some((reason, ending)) = ending.as_ref().and_then(|ending| Some((ending.reason?, ending))) {
        new.reason = Some(reason.to_owned());
        new.message.clone_from(&ending.message);
    }
    new.start_time = Some(Time(spec::start_time(pod, observed.accepted_at)));
    new.host_ip = Some(HOST_IP.to_owned());
    new.host_ips = Some(vec![HostIP { ip: HOST_IP.to_owned() }]);
    new.observed_generation = pod.metadata.generation.or(old.observed_generation);
    if new.qos_class.is_none() {
        new.qos_class = Some(resources::qos_class(pod_spec).as_str().to_owned());
    }
    if let Some(ip) = pod_ip(pod_spec, observed) {
        new.pod_ips = Some(vec![PodIP { ip: ip.clone() }]);
        new.pod_ip = Some(ip);
    }
    // A Pod that was refused has no containers to report on; of one that had ended before this agent began, all is said already.
    let reported = refused || (terminal && observed.containers.is_empty());
    if !reported {
        let initialized = initialized(pod_spec, observed);
        let title = format!(
            "{}_{}({})",
            pod.metadata.name.as_deref().unwrap_or_default(),
            pod.metadata.namespace.as_deref().unwrap_or_default(),
            pod.metadata.uid.as_deref().unwrap_or_default()
        );
        let live = observed.live().next().is_some();
        // A Pod that was stopped before its containers could run has no other account of them; one whose init container failed does.
        let accounted = over && !live && stop.is_some() && initialized;
        let around = |policy, initializing| Surroundings { policy, pod: &title, initializing, stopping: stop.is_some(), over: accounted };
        let of = |container: &k8s_openapi::api::core::v1::Container, list: Option<&Vec<ContainerStatus>>, policy, initializing| {
            settled(list, &container.name, terminal)
                .unwrap_or_else(|| container_status(container, observed.containers.get(&container.name), around(policy, initializing)))
        };
        let mut first_unfinished = true;
        let mut init_statuses = Vec::new();
        for container in spec::init_containers(pod_spec) {
            let policy = RestartPolicy::of_init(pod_spec);
            let mut status = of(container, old.init_container_statuses.as_ref(), policy, !first_unfinished);
            let succeeded = status.state.as_ref().and_then(|state| state.terminated.as_ref()).is_some_and(|ended| ended.exit_code == 0);
            status.ready = succeeded;
            first_unfinished &= succeeded;
            init_statuses.push(status);
        }
        new.init_container_statuses = (!init_statuses.is_empty()).then_some(init_statuses);
        new.container_statuses = Some(
            pod_spec
                .containers
                .iter()
                .map(|container| of(container, old.container_statuses.as_ref(), RestartPolicy::of(pod_spec), !initialized))
                .collect(),
        );
    }
    let verdicts = verdicts(pod_spec, observed, &new, &old);
    let known = old.conditions.unwrap_or_default();
    new.conditions = Some(condition::merge(&known, verdicts, pod.metadata.generation, now));
    new
}

/// The terminated state of a container of a terminal Pod is never rewritten.
fn settled(list: Option<&Vec<ContainerStatus>>, name: &str, terminal: bool) -> Option<ContainerStatus> {
    let known = list?.iter().find(|status| status.name == name)?;
    (terminal && known.state.as_ref()?.terminated.is_some()).then(|| known.clone())
}

fn phase(pod: &Pod, pod_spec: &PodSpec, observed: &Observed, ending: Option<&Ending>) -> String {
    if spec::is_terminal(pod) {
        return spec::phase(pod).to_owned();
    }
    let phase = match ending {
        Some(ending) if ending.succeeded => "Succeeded",
        Some(_) => "Failed",
        // Pending ends when every app container was made once, and never comes back.
        None if spec::phase(pod) == "Running" => "Running",
        None => {
            let made = |name: &str| observed.containers.get(name).is_some_and(|container| container.newest().is_some());
            if pod_spec.containers.iter().all(|container| made(&container.name)) { "Running" } else { "Pending" }
        }
    };
    phase.to_owned()
}

fn initialized(pod_spec: &PodSpec, observed: &Observed) -> bool {
    spec::init_containers(pod_spec).iter().all(|container| {
        matches!(outcome::next(RestartPolicy::of_init(pod_spec), observed.containers.get(&container.name)), Next::Ended(exit) if exit.exit_code == 0)
    })
}

fn pod_ip(pod_spec: &PodSpec, observed: &Observed) -> Option<String> {
    let Sandbox::Ready { ip, .. } = &observed.sandbox else { return None };
    if pod_spec.host_network == Some(true) { Some(HOST_IP.to_owned()) } else { ip.clone() }
}

fn verdicts(pod_spec: &PodSpec, observed: &Observed, new: &PodStatus, old: &PodStatus) -> Vec<Verdict> {
    let phase = new.phase.as_deref().unwrap_or_default();
    let ended = match phase {
        "Succeeded" => Some("PodCompleted"),
        "Failed" => Some("PodFailed"),
        _ => None,
    };
    let live = observed.live().any(|(_, _, attempt)| matches!(attempt.state, AttemptState::Running { .. }));
    let sandbox_up = matches!(observed.sandbox, Sandbox::Ready { .. }) && (ended.is_none() || live);
    let ready_to_start = Verdict { type_: "PodReadyToStartContainers", holds: sandbox_up, reason: None, message: None };

    let unfinished: Vec<&str> =
        new.init_container_statuses.iter().flatten().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let init = if unfinished.is_empty() && (new.init_container_statuses.is_some() || spec::init_containers(pod_spec).is_empty()) {
        Verdict { reason: ended.filter(|reason| *reason == "PodCompleted"), ..Verdict::holds("Initialized") }
    } else {
        let message = format!("containers with incomplete status: [{}]", unfinished.join(" "));
        Verdict::fails("Initialized", ended.unwrap_or("ContainersNotInitialized"), Some(message))
    };

    let unready: Vec<&str> =
        new.container_statuses.iter().flatten().filter(|status| !status.ready).map(|status| status.name.as_str()).collect();
    let ready = |type_| match ended {
        Some(reason) => Verdict::fails(type_, reason, None),
        None if unready.is_empty() && new.container_statuses.is_some() => Verdict::holds(type_),
        None => Verdict::fails(type_, "ContainersNotReady", Some(format!("containers with unready status: [{}]", unready.join(" ")))),
    };
    let mut verdicts = vec![ready_to_start, init, ready("Ready"), ready("ContainersReady")];
    let scheduled = old.conditions.iter().flatten().any(|condition| condition.type_ == "PodScheduled");
    if !scheduled {
        // A Pod that was created with a node name never met a scheduler.
        verdicts.push(Verdict::holds("PodScheduled"));
    }
    verdicts
}

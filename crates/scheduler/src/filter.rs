//! Why a node cannot take a Pod.
//!
//! In: a Pod, its demand, a node with the room that is left. Out: reasons in upstream's words; none means it fits. Never: a preference.

use crate::{
    affinity,
    demand::{self, Amounts, Demand},
    taint,
};
use k8s_openapi::api::core::v1::{Node, Pod, Taint};
use piecework_api::quantity::Quantity;

/// A node and what is taken of it.
pub struct Room<'a> {
    pub node: &'a Node,
    pub taints: Vec<Taint>,
    pub allocatable: Amounts,
    pub used: Amounts,
    /// cpu and memory in use by the measure of `Demand::assumed`.
    pub assumed: Amounts,
    pub pods: i64,
}

pub fn name(node: &Node) -> &str {
    node.metadata.name.as_deref().unwrap_or_default()
}

impl<'a> Room<'a> {
    pub fn of(node: &'a Node) -> Self {
        let allocatable = demand::amounts(node.status.as_ref().and_then(|status| status.allocatable.as_ref()));
        Room { node, taints: taint::of(node), allocatable, used: Amounts::new(), assumed: Amounts::new(), pods: 0 }
    }

    pub fn take(&mut self, demand: &Demand) {
        demand::add(&mut self.used, &demand.requests);
        for resource in ["cpu", "memory"] {
            demand::add(&mut self.assumed, &[(resource.to_owned(), demand.assumed(resource))].into());
        }
        self.pods += 1;
    }

    fn lacks(&self, resource: &str, asked: Quantity) -> bool {
        let used = self.used.get(resource).copied().unwrap_or_default();
        asked > Quantity::default() && used.plus(asked) > self.allocatable.get(resource).copied().unwrap_or_default()
    }
}

/// The first filter that refuses says why; the resource filter names every resource that is short.
pub fn refusals(pod: &Pod, demand: &Demand, room: &Room<'_>) -> Vec<String> {
    let Some(spec) = pod.spec.as_ref() else { return vec!["pod without a spec".into()] };
    let tolerations = spec.tolerations.as_deref().unwrap_or_default();
    let cordon = Taint { key: "node.kubernetes.io/unschedulable".into(), effect: "NoSchedule".into(), ..Taint::default() };
    let cordoned = room.node.spec.as_ref().and_then(|spec| spec.unschedulable) == Some(true);
    if cordoned && !taint::tolerated(&cordon, tolerations) {
        return vec!["node(s) were unschedulable".into()];
    }
    if spec.node_name.as_deref().is_some_and(|wanted| !wanted.is_empty() && wanted != name(room.node)) {
        return vec!["node(s) didn't match the requested node name".into()];
    }
    let hard = |taint: &&Taint| matches!(taint.effect.as_str(), "NoSchedule" | "NoExecute");
    if let Some(taint) = room.taints.iter().filter(hard).find(|taint| !taint::tolerated(taint, tolerations)) {
        return vec![format!("node(s) had untolerated taint {{{}: {}}}", taint.key, taint.value.as_deref().unwrap_or(""))];
    }
    if !affinity::matches(spec, room.node) {
        return vec!["node(s) didn't match Pod's node affinity/selector".into()];
    }
    let mut short = Vec::new();
    if room.lacks_pod() {
        short.push("Too many pods".to_owned());
    }
    short.extend(
        demand
            .requests
            .iter()
            .filter(|(resource, asked)| room.lacks(resource, **asked))
            .map(|(resource, _)| format!("Insufficient {resource}")),
    );
    short
}

impl Room<'_> {
    fn lacks_pod(&self) -> bool {
        Quantity::from_value(self.pods + 1) > self.allocatable.get("pods").copied().unwrap_or_default()
    }
}

/// A hard constraint that this scheduler does not know, by its field.
pub fn not_built(pod: &Pod) -> Option<&'static str> {
    let spec = pod.spec.as_ref()?;
    let affinity = spec.affinity.as_ref();
    let containers = spec.containers.iter().chain(spec.init_containers.iter().flatten());
    if affinity.is_some_and(|affinity| affinity.pod_affinity.is_some()) {
        Some("spec.affinity.podAffinity")
    } else if affinity.is_some_and(|affinity| affinity.pod_anti_affinity.is_some()) {
        Some("spec.affinity.podAntiAffinity")
    } else if spec.topology_spread_constraints.iter().flatten().next().is_some() {
        Some("spec.topologySpreadConstraints")
    } else if spec.resource_claims.iter().flatten().next().is_some() {
        Some("spec.resourceClaims")
    } else if containers.flat_map(|container| container.ports.iter().flatten()).any(|port| port.host_port.unwrap_or(0) != 0) {
        Some("spec.containers[].ports[].hostPort")
    } else {
        None
    }
}

//! Which node runs which Pod (spec/jobs.md 11): filters, then the least allocated node, ties by name.
//!
//! In: all nodes, the Pods bound to them, the Pods that wait. Out: one decision per waiting Pod, in the order of the queue. Never: a clock, randomness, I/O.
//! A constraint that is not built makes a Pod unschedulable with a message that names the field; it is never ignored.

pub mod affinity;
pub mod demand;
pub mod filter;
pub mod score;
pub mod taint;

use demand::Demand;
use filter::Room;
use k8s_openapi::api::core::v1::{Node, Pod};
use std::{collections::BTreeMap, sync::Arc};

#[derive(Debug, Clone)]
pub enum Decision {
    Bind {
        pod: Arc<Pod>,
        node: String,
    },
    /// `message` is what the condition and the event say.
    Unschedulable {
        pod: Arc<Pod>,
        message: String,
    },
}

/// Decides all `pending` Pods (no nodeName, not ended), each seeing the room that the ones before it took. Pods with scheduling gates, of another
/// scheduler, or being deleted get no decision. `bound` may hold ended Pods; they take no room.
pub fn schedule(nodes: &[Arc<Node>], bound: &[Arc<Pod>], pending: &[Arc<Pod>]) -> Vec<Decision> {
    let mut rooms: BTreeMap<&str, Room<'_>> = nodes.iter().map(|node| (filter::name(node), Room::of(node))).collect();
    for pod in bound {
        if let Some(room) = node_of(pod).filter(|_| !ended(pod)).and_then(|node| rooms.get_mut(node)) {
            room.take(&Demand::of(pod));
        }
    }
    let mut queue: Vec<&Arc<Pod>> = pending.iter().filter(|pod| waits(pod)).collect();
    queue.sort_by_cached_key(|pod| {
        let priority = pod.spec.as_ref().and_then(|spec| spec.priority).unwrap_or(0);
        (std::cmp::Reverse(priority), pod.metadata.creation_timestamp.clone(), pod.metadata.namespace.clone(), pod.metadata.name.clone())
    });
    queue.into_iter().map(|pod| decide(pod, &mut rooms)).collect()
}

/// The name of the scheduler that Pods ask for by default.
pub const SCHEDULER_NAME: &str = "default-scheduler";

/// Whether the Pod is waiting for this scheduler.
pub fn waits(pod: &Pod) -> bool {
    let Some(spec) = pod.spec.as_ref() else { return false };
    node_of(pod).is_none()
        && !ended(pod)
        && pod.metadata.deletion_timestamp.is_none()
        && spec.scheduling_gates.iter().flatten().next().is_none()
        && spec.scheduler_name.as_deref().is_none_or(|name| name == SCHEDULER_NAME)
}

pub fn node_of(pod: &Pod) -> Option<&str> {
    pod.spec.as_ref()?.node_name.as_deref().filter(|node| !node.is_empty())
}

fn ended(pod: &Pod) -> bool {
    let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
    matches!(phase, Some("Succeeded" | "Failed"))
}

fn decide(pod: &Arc<Pod>, rooms: &mut BTreeMap<&str, Room<'_>>) -> Decision {
    let unschedulable = |message| Decision::Unschedulable { pod: pod.clone(), message };
    if rooms.is_empty() {
        return unschedulable("no nodes available to schedule pods".into());
    }
    if let Some(field) = filter::not_built(pod) {
        return unschedulable(format!("0/{} nodes are available: {field} is not supported by this scheduler.", rooms.len()));
    }
    let demand = Demand::of(pod);
    let mut refusals: BTreeMap<String, usize> = BTreeMap::new();
    let mut best: Option<(score::Score, &str)> = None;
    for (name, room) in rooms.iter() {
        let reasons = filter::refusals(pod, &demand, room);
        if reasons.is_empty() {
            let candidate = (score::score(pod, &demand, room), *name);
            // Names ascend, so the first of equal scores stays.
            if best.as_ref().is_none_or(|best| candidate.0 > best.0) {
                best = Some(candidate);
            }
        }
        for reason in reasons {
            *refusals.entry(reason).or_default() += 1;
        }
    }
    match best.map(|(_, name)| name) {
        Some(name) => {
            if let Some(room) = rooms.get_mut(name) {
                room.take(&demand);
            }
            Decision::Bind { pod: pod.clone(), node: name.to_owned() }
        }
        None => {
            let mut reasons: Vec<String> = refusals.into_iter().map(|(reason, count)| format!("{count} {reason}")).collect();
            reasons.sort();
            unschedulable(format!("0/{} nodes are available: {}.", rooms.len(), reasons.join(", ")))
        }
    }
}

#[cfg(test)]
mod tests;

//! How well a node that fits suits a Pod.
//!
//! In: a Pod, a node with its room. Out: an order. Never: a refusal.

use crate::{affinity, demand::Demand, filter::Room, taint};
use k8s_openapi::api::core::v1::Pod;
use std::cmp::Reverse;

/// Larger is better: fewer soft taints, more preferred labels, more free cpu and memory (in thousandths), fewer Pods.
pub type Score = (Reverse<usize>, i64, i128, Reverse<i64>);

pub fn score(pod: &Pod, demand: &Demand, room: &Room<'_>) -> Score {
    let spec = pod.spec.as_ref();
    let tolerations = spec.and_then(|spec| spec.tolerations.as_deref()).unwrap_or_default();
    let soft = room.taints.iter().filter(|taint| taint.effect == "PreferNoSchedule" && !taint::tolerated(taint, tolerations)).count();
    let preference = spec.map_or(0, |spec| affinity::preference(spec, room.node));
    let free: i128 = ["cpu", "memory"].iter().map(|resource| free_share(demand, room, resource)).sum();
    (Reverse(soft), preference, free, Reverse(room.pods))
}

/// What stays free of a resource with the Pod on the node, in thousandths of it.
fn free_share(demand: &Demand, room: &Room<'_>, resource: &str) -> i128 {
    let allocatable = room.allocatable.get(resource).copied().unwrap_or_default().nano;
    let used = room.assumed.get(resource).copied().unwrap_or_default().plus(demand.assumed(resource)).nano;
    if allocatable <= 0 { 0 } else { (allocatable - used).max(0).saturating_mul(1000) / allocatable }
}

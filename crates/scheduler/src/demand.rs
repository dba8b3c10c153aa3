//! What a Pod asks for: the effective resource requests (spec/jobs.md 11).
//!
//! In: a Pod. Out: amounts per resource. Never: an error; a quantity that does not parse was refused by the API and counts as zero here.

use k8s_openapi::{
    api::core::v1::{Container, Pod, ResourceRequirements},
    apimachinery::pkg::api::resource::Quantity as Text,
};
use piecework_api::quantity::Quantity;
use std::collections::BTreeMap;

pub type Amounts = BTreeMap<String, Quantity>;

/// cpu assumed for scoring when a Pod asks for none, in thousandths.
pub const ASSUMED_CPU_MILLI: i64 = 100;
/// Bytes of memory assumed for scoring when a Pod asks for none.
pub const ASSUMED_MEMORY_BYTES: i64 = 200 * 1024 * 1024;

#[derive(Debug, Clone, Default)]
pub struct Demand {
    pub requests: Amounts,
}

pub fn amounts(texts: Option<&BTreeMap<String, Text>>) -> Amounts {
    texts.into_iter().flatten().map(|(name, text)| (name.clone(), Quantity::parse(&text.0).unwrap_or_default())).collect()
}

/// Requests, with limits standing in for what is missing (the API's defaulting does the same).
fn requests(resources: Option<&ResourceRequirements>) -> Amounts {
    let mut result = amounts(resources.and_then(|resources| resources.limits.as_ref()));
    result.extend(amounts(resources.and_then(|resources| resources.requests.as_ref())));
    result
}

pub fn add(to: &mut Amounts, more: &Amounts) {
    for (name, amount) in more {
        let sum = to.get(name).copied().unwrap_or_default().plus(*amount);
        to.insert(name.clone(), sum);
    }
}

fn raise(to: &mut Amounts, other: &Amounts) {
    for (name, amount) in other {
        let larger = to.get(name).copied().unwrap_or_default().max(*amount);
        to.insert(name.clone(), larger);
    }
}

fn sidecar(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

impl Demand {
    /// Sum of app containers and sidecars, or what the start-up needs at its peak if that is more; overhead on top. Pod-level requests replace the sum.
    pub fn of(pod: &Pod) -> Self {
        let Some(spec) = pod.spec.as_ref() else { return Demand::default() };
        let mut running = Amounts::new();
        for container in &spec.containers {
            add(&mut running, &requests(container.resources.as_ref()));
        }
        let mut sidecars = Amounts::new();
        let mut peak = Amounts::new();
        for container in spec.init_containers.iter().flatten() {
            let own = requests(container.resources.as_ref());
            let mut now = sidecars.clone();
            add(&mut now, &own);
            raise(&mut peak, &now);
            if sidecar(container) {
                sidecars = now;
            }
        }
        add(&mut running, &sidecars);
        raise(&mut running, &peak);
        running.extend(requests(spec.resources.as_ref()));
        add(&mut running, &amounts(spec.overhead.as_ref()));
        Demand { requests: running }
    }

    /// The amount for scoring: what is asked for, or what a Pod is assumed to need.
    pub fn assumed(&self, resource: &str) -> Quantity {
        let asked = self.requests.get(resource).copied().unwrap_or_default();
        match resource {
            _ if asked > Quantity::default() => asked,
            "cpu" => Quantity::from_milli(ASSUMED_CPU_MILLI),
            "memory" => Quantity::from_value(ASSUMED_MEMORY_BYTES),
            _ => asked,
        }
    }
}

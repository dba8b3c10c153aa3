//! Requests and limits as cgroup values; the Pod's quality of service class (API reference, ResourceRequirements).
//!
//! In: the resources of containers. Out: `Resources` for a container and for the whole Pod.
//! Never: a limit that nobody asked for, except the number of processes of a Pod.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Container, PodSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity as ApiQuantity;
use piecework_api::quantity::Quantity;
use piecework_runtime::Resources;

use super::ConfigError;
use crate::limits::POD_PIDS_LIMIT;
use crate::pod::spec::{all_containers, init_containers};

/// cgroup v1 `cpu.shares` of one CPU, and the least the kernel takes.
const SHARES_PER_CPU: i64 = 1024;
const LEAST_SHARES: i64 = 2;
/// CFS period of the quota: 100 ms; a thousandth of a CPU is 100 µs of it. The kernel takes no quota below 1 ms.
const QUOTA_MICROS_PER_MILLI: i64 = 100;
const LEAST_QUOTA_MICROS: i64 = 1000;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum QosClass {
    Guaranteed,
    Burstable,
    BestEffort,
}

impl QosClass {
    pub fn as_str(self) -> &'static str {
        match self {
            QosClass::Guaranteed => "Guaranteed",
            QosClass::Burstable => "Burstable",
            QosClass::BestEffort => "BestEffort",
        }
    }
}

/// One resource of one list; an unreadable quantity counts as absent (the API server refuses them).
pub fn amount(list: Option<&BTreeMap<String, ApiQuantity>>, name: &str) -> Option<Quantity> {
    list?.get(name).and_then(|quantity| Quantity::parse(&quantity.0).ok())
}

/// What a container asks for; a limit stands in for a missing request, as API defaulting does.
fn request(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    let resources = resources?;
    amount(resources.requests.as_ref(), name).or_else(|| amount(resources.limits.as_ref(), name))
}

fn limit(resources: Option<&ResourceRequirements>, name: &str) -> Option<Quantity> {
    amount(resources?.limits.as_ref(), name)
}

/// Guaranteed: cpu and memory limited in every container with requests equal to limits. BestEffort: none asks for anything.
pub fn qos_class(spec: &PodSpec) -> QosClass {
    let mut asked = false;
    let mut guaranteed = true;
    for container in all_containers(spec) {
        for name in ["cpu", "memory"] {
            let requested = request(container.resources.as_ref(), name).filter(|quantity| quantity.nano != 0);
            let limited = limit(container.resources.as_ref(), name).filter(|quantity| quantity.nano != 0);
            asked |= requested.is_some() || limited.is_some();
            guaranteed &= limited.is_some() && requested == limited;
        }
    }
    match (asked, guaranteed) {
        (false, _) => QosClass::BestEffort,
        (true, true) => QosClass::Guaranteed,
        (true, false) => QosClass::Burstable,
    }
}

/// The cgroup values of one container. `node_memory_bytes` scales the OOM score of Burstable Pods.
pub fn container_resources(spec: &PodSpec, container: &Container, node_memory_bytes: i64) -> Result<Resources, ConfigError> {
    let resources = container.resources.as_ref();
    let memory = limit(resources, "memory").map(|quantity| quantity.value()).filter(|bytes| *bytes > 0);
    Ok(Resources {
        cpu_shares: Some(shares(request(resources, "cpu").map_or(0, |quantity| quantity.milli()))),
        cpu_quota_micros: limit(resources, "cpu").map(|quantity| quantity.milli()).filter(|milli| *milli > 0).map(quota),
        memory_limit_bytes: memory,
        pids_limit: None,
        oom_score_adj: Some(oom_score(
            qos_class(spec),
            request(resources, "memory").map_or(0, |quantity| quantity.value()),
            node_memory_bytes,
        )),
    })
}

/// The cgroup values of the whole Pod: the sum of its app containers or its greediest init container; limited only if every container is.
pub fn pod_resources(spec: &PodSpec) -> Resources {
    let total = |of: &dyn Fn(&Container) -> Option<i64>| -> Option<i64> {
        let mut sum: i64 = 0;
        for container in &spec.containers {
            sum = sum.saturating_add(of(container)?);
        }
        for container in init_containers(spec) {
            sum = sum.max(of(container)?);
        }
        Some(sum)
    };
    let asked = total(&|container| Some(request(container.resources.as_ref(), "cpu").map_or(0, |quantity| quantity.milli())));
    let cpu = total(&|container| limit(container.resources.as_ref(), "cpu").map(|quantity| quantity.milli()).filter(|milli| *milli > 0));
    let memory =
        total(&|container| limit(container.resources.as_ref(), "memory").map(|quantity| quantity.value()).filter(|bytes| *bytes > 0));
    Resources {
        cpu_shares: Some(shares(asked.unwrap_or(0))),
        cpu_quota_micros: cpu.map(quota),
        memory_limit_bytes: memory,
        pids_limit: Some(POD_PIDS_LIMIT),
        oom_score_adj: None,
    }
}

fn shares(milli: i64) -> u64 {
    u64::try_from((milli.saturating_mul(SHARES_PER_CPU) / 1000).max(LEAST_SHARES)).unwrap_or(2)
}

fn quota(milli: i64) -> i64 {
    milli.saturating_mul(QUOTA_MICROS_PER_MILLI).max(LEAST_QUOTA_MICROS)
}

/// Guaranteed Pods die last, BestEffort ones first; between them, who asked for more memory dies later.
fn oom_score(class: QosClass, memory_request: i64, node_memory: i64) -> i32 {
    match class {
        QosClass::Guaranteed => -997,
        QosClass::BestEffort => 1000,
        QosClass::Burstable => {
            let share = i128::from(memory_request) * 1000 / i128::from(node_memory.max(1));
            i32::try_from((1000 - share).clamp(3, 999)).unwrap_or(999)
        }
    }
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use serde_json::json;

    use super::*;

    fn pod(containers: serde_json::Value) -> PodSpec {
        serde_json::from_value(json!({"containers": containers})).unwrap()
    }

    #[test]
    fn cgroup_values() {
        let gibibyte = 1 << 30;
        // resources, shares, quota, memory, oom_score_adj
        let cases = [
            (json!({}), 2, None, None, 1000),
            (json!({"requests": {"cpu": "100m"}}), 102, None, None, 999),
            (json!({"limits": {"cpu": "500m"}}), 512, Some(50_000), None, 999),
            (json!({"limits": {"cpu": "1m"}}), 2, Some(1000), None, 999),
            (json!({"limits": {"cpu": "1", "memory": "256Mi"}}), 1024, Some(100_000), Some(256 << 20), -997),
            (json!({"requests": {"cpu": "1", "memory": "256Mi"}, "limits": {"memory": "512Mi"}}), 1024, None, Some(512 << 20), 750),
            (json!({"requests": {"memory": "4Gi"}}), 2, None, None, 3),
            (json!({"limits": {"cpu": "0.1", "memory": "100M"}}), 102, Some(10_000), Some(100_000_000), -997),
        ];
        for (resources, shares, quota, memory, score) in cases {
            let spec = pod(json!([{"name": "a", "resources": resources}]));
            let got = container_resources(&spec, &spec.containers[0], gibibyte).unwrap();
            assert_eq!(
                (got.cpu_shares, got.cpu_quota_micros, got.memory_limit_bytes, got.oom_score_adj),
                (Some(shares), quota, memory, Some(score)),
                "{resources}"
            );
        }
    }

    #[test]
    fn pod_limits_only_when_every_container_is_limited() {
        let spec = pod(json!([{"name": "a", "resources": {"limits": {"memory": "1Mi", "cpu": "1"}}},
                              {"name": "b", "resources": {"limits": {"memory": "2Mi"}}}]));
        let got = pod_resources(&spec);
        assert_eq!((got.memory_limit_bytes, got.cpu_quota_micros), (Some(3 << 20), None));
        assert_eq!(got.pids_limit, Some(POD_PIDS_LIMIT));
    }

    #[test]
    fn classes() {
        let cases = [
            (json!([{"name": "a"}]), "BestEffort"),
            (json!([{"name": "a", "resources": {"requests": {"cpu": "0"}}}]), "BestEffort"),
            (json!([{"name": "a", "resources": {"requests": {"cpu": "1"}}}]), "Burstable"),
            (json!([{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}]), "Guaranteed"),
            (json!([{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}}}, {"name": "b"}]), "Burstable"),
            (
                json!([{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1000m", "memory": "1024Mi"}}}]),
                "Guaranteed",
            ),
            (json!([{"name": "a", "resources": {"limits": {"cpu": "1", "memory": "1Gi"}, "requests": {"cpu": "1m"}}}]), "Burstable"),
        ];
        for (containers, wanted) in cases {
            assert_eq!(qos_class(&pod(containers.clone())).as_str(), wanted, "{containers}");
        }
    }
}

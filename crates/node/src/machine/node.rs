//! The Node object of this machine (spec/api.md 9).
//!
//! In: facts, name, port, the conditions that stand in the API. Out: documents to create and to patch. Never: a request.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::{Value, json};

use super::facts::Facts;
use crate::pod::spec::whole_seconds;
use crate::pod::status::HOST_IP;

/// What the agent announces.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Announcement {
    pub name: String,
    pub facts: Facts,
    pub max_pods: u32,
    /// Port of the logs server.
    pub port: u16,
    /// `name://version` of the runtime.
    pub runtime: String,
}

/// Version that the agent claims for itself: the API level that it implements, and its own.
const AGENT_VERSION: &str = concat!("v1.37.0+piecework.", env!("CARGO_PKG_VERSION"));

/// Conditions in upstream's order: type, status, reason, message.
const CONDITIONS: [(&str, &str, &str, &str); 4] = [
    ("MemoryPressure", "False", "KubeletHasSufficientMemory", "the node agent has sufficient memory available"),
    ("DiskPressure", "False", "KubeletHasNoDiskPressure", "the node agent has no disk pressure"),
    ("PIDPressure", "False", "KubeletHasSufficientPID", "the node agent has sufficient PID available"),
    ("Ready", "True", "KubeletReady", "the node agent is ready"),
];

impl Announcement {
    /// To create, when there is no such Node.
    pub fn node(&self) -> Value {
        json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": self.name, "labels": self.labels()}, "spec": {}})
    }

    /// To patch into an existing Node; labels and taints of others stay.
    pub fn metadata_patch(&self) -> Value {
        json!({"metadata": {"labels": self.labels()}})
    }

    fn labels(&self) -> Value {
        json!({
            "kubernetes.io/hostname": self.name,
            "kubernetes.io/os": "linux",
            "kubernetes.io/arch": self.facts.architecture,
            "beta.kubernetes.io/os": "linux",
            "beta.kubernetes.io/arch": self.facts.architecture,
        })
    }

    /// The strategic patch for `nodes/status`. `ready` false: the agent is going away.
    pub fn status_patch(&self, current: &Node, ready: bool, now: Timestamp) -> Value {
        let resources = json!({
            "cpu": self.facts.cpus.to_string(),
            "memory": format!("{}Ki", self.facts.memory_bytes / 1024),
            "pods": self.max_pods.to_string(),
            "ephemeral-storage": format!("{}Ki", self.facts.storage_bytes / 1024),
        });
        json!({"status": {
            "capacity": resources,
            "allocatable": resources,
            "addresses": [{"type": "InternalIP", "address": HOST_IP}, {"type": "Hostname", "address": self.name}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": self.port}},
            "nodeInfo": {
                "architecture": self.facts.architecture,
                "bootID": self.facts.boot_id,
                "containerRuntimeVersion": self.runtime,
                "kernelVersion": self.facts.kernel,
                "kubeProxyVersion": "",
                "kubeletVersion": AGENT_VERSION,
                "machineID": self.facts.machine_id,
                "operatingSystem": "linux",
                "osImage": self.facts.os_image,
                "systemUUID": self.facts.system_uuid,
            },
            "conditions": conditions(current, ready, now),
        }})
    }
}

fn conditions(current: &Node, ready: bool, now: Timestamp) -> Vec<Value> {
    let known = current.status.as_ref().and_then(|status| status.conditions.as_deref()).unwrap_or_default();
    CONDITIONS
        .iter()
        .map(|(type_, status, reason, message)| {
            let (status, reason, message) = match (*type_, ready) {
                ("Ready", false) => ("False", "KubeletNotReady", "the node agent has stopped"),
                _ => (*status, *reason, *message),
            };
            let transition = known
                .iter()
                .find(|condition| condition.type_ == *type_ && condition.status == status)
                .and_then(|condition| condition.last_transition_time.as_ref())
                .map_or_else(|| whole_seconds(now), |time| time.0);
            json!({
                "type": type_, "status": status, "reason": reason, "message": message,
                "lastHeartbeatTime": whole_seconds(now).to_string(), "lastTransitionTime": transition.to_string(),
            })
        })
        .collect()
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]
    use super::*;

    fn announcement() -> Announcement {
        let facts = Facts { cpus: 2, memory_bytes: 4096, storage_bytes: 8192, architecture: "amd64", ..Facts::default() };
        Announcement { name: "n".into(), facts, max_pods: 1000, port: 4242, runtime: "piecework://0.1.0".into() }
    }

    #[test]
    fn a_transition_keeps_its_time_until_the_next() {
        let first: Timestamp = "2024-01-01T00:00:00.7Z".parse().unwrap();
        let later: Timestamp = "2024-01-01T00:05:00Z".parse().unwrap();
        let patch = announcement().status_patch(&Node::default(), true, first);
        let mut node = announcement().node();
        node["status"] = patch["status"].clone();
        let node: Node = serde_json::from_value(node).unwrap();
        let again = announcement().status_patch(&node, true, later);
        let ready = &again["status"]["conditions"][3];
        assert_eq!(ready["lastTransitionTime"], "2024-01-01T00:00:00Z");
        assert_eq!(ready["lastHeartbeatTime"], "2024-01-01T00:05:00Z");
        let stopped = announcement().status_patch(&node, false, later);
        assert_eq!(stopped["status"]["conditions"][3]["status"], "False");
        assert_eq!(stopped["status"]["conditions"][3]["lastTransitionTime"], "2024-01-01T00:05:00Z");
        assert_eq!(stopped["status"]["conditions"][0]["lastTransitionTime"], "2024-01-01T00:00:00Z");
        assert_eq!(node.status.unwrap().daemon_endpoints.unwrap().kubelet_endpoint.unwrap().port, 4242);
    }
}

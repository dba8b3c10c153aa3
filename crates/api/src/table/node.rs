//! Nodes (spec/api.md 5).
//!
//! In: a Node and the time. Out: its cells. Never: a judgement of the lease (the node controller writes the condition).

use super::{AGE, Column, NAME, NONE, UNKNOWN, created, text};
use crate::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Status", "string", false, "Whether the node is ready, and whether it takes new pods."),
    ("Roles", "string", false, "Roles from the node's labels."),
    AGE,
    ("Version", "string", false, "Version of the node agent."),
    ("Internal-IP", "string", true, "Address inside."),
    ("External-IP", "string", true, "Address outside."),
    ("OS-Image", "string", true, "Operating system."),
    ("Kernel-Version", "string", true, "Kernel."),
    ("Container-Runtime", "string", true, "What runs the containers."),
];

const ROLE_PREFIX: &str = "node-role.kubernetes.io/";
const ROLE_LABEL: &str = "kubernetes.io/role";

pub(super) fn cells(node: &Value, now: Timestamp) -> Vec<Value> {
    let info = &node["status"]["nodeInfo"];
    let address = |kind: &str| {
        let list = node["status"]["addresses"].as_array();
        list.and_then(|list| list.iter().find(|a| a["type"] == kind)).map_or(NONE, |a| text(&a["address"], NONE))
    };
    vec![
        json!(meta::name(node)),
        json!(status(node)),
        json!(roles(node)),
        created(node, now),
        json!(text(&info["kubeletVersion"], "")),
        json!(address("InternalIP")),
        json!(address("ExternalIP")),
        json!(text(&info["osImage"], UNKNOWN)),
        json!(text(&info["kernelVersion"], UNKNOWN)),
        json!(text(&info["containerRuntimeVersion"], UNKNOWN)),
    ]
}

fn status(node: &Value) -> String {
    let conditions = node["status"]["conditions"].as_array();
    let ready = match conditions.and_then(|list| list.iter().find(|c| c["type"] == "Ready")) {
        None => "Unknown",
        Some(condition) if condition["status"] == "True" => "Ready",
        Some(_) => "NotReady",
    };
    if node["spec"]["unschedulable"] == true { format!("{ready},SchedulingDisabled") } else { ready.to_owned() }
}

fn roles(node: &Value) -> String {
    let mut roles: Vec<&str> = vec![];
    for (key, value) in meta::labels(node).into_iter().flatten() {
        match key.strip_prefix(ROLE_PREFIX) {
            Some(role) if !role.is_empty() => roles.push(role),
            None if key == ROLE_LABEL => roles.push(text(value, "")),
            _ => {}
        }
    }
    roles.retain(|role| !role.is_empty());
    roles.sort_unstable();
    roles.dedup();
    if roles.is_empty() { NONE.to_owned() } else { roles.join(",") }
}

//! A Pod. In: the object. Out: lines in kubectl's order. Never: events.

use super::{
    job::joined,
    template::{containers, tolerations, volumes},
    text::{Text, controlled_by, scalar, time},
};
use serde_json::Value;

pub fn pod(pod: &Value, out: &mut Text) {
    let (metadata, spec, status) = (&pod["metadata"], &pod["spec"], &pod["status"]);
    out.line(0, "Name", scalar(&metadata["name"]));
    out.line(0, "Namespace", scalar(&metadata["namespace"]));
    if let Some(priority) = spec["priority"].as_i64() {
        out.line(0, "Priority", priority.to_string());
    }
    out.line(0, "Service Account", or_none(scalar(&spec["serviceAccountName"])));
    let node = match (scalar(&spec["nodeName"]), scalar(&status["hostIP"])) {
        (node, _) if node.is_empty() => "<none>".into(),
        (node, ip) => format!("{node}/{ip}"),
    };
    out.line(0, "Node", node);
    if !status["startTime"].is_null() {
        out.line(0, "Start Time", time(&status["startTime"]));
    }
    out.map(0, "Labels", &metadata["labels"]);
    out.annotations(0, &metadata["annotations"]);
    if metadata["deletionTimestamp"].is_string() && !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
        out.line(0, "Status", format!("Terminating (since {})", time(&metadata["deletionTimestamp"])));
        if let Some(seconds) = metadata["deletionGracePeriodSeconds"].as_i64() {
            out.line(0, "Termination Grace Period", format!("{seconds}s"));
        }
    } else {
        out.line(0, "Status", scalar(&status["phase"]));
    }
    for (title, field) in [("Reason", "reason"), ("Message", "message")] {
        if !scalar(&status[field]).is_empty() {
            out.line(0, title, scalar(&status[field]));
        }
    }
    out.line(0, "IP", scalar(&status["podIP"]));
    let addresses: Vec<String> = status["podIPs"].as_array().into_iter().flatten().map(|ip| scalar(&ip["ip"])).collect();
    if addresses.is_empty() {
        out.line(0, "IPs", "<none>");
    } else {
        out.raw(0, "IPs:");
        for address in addresses {
            out.line(1, "IP", address);
        }
    }
    if let Some(owner) = controlled_by(pod) {
        out.line(0, "Controlled By", owner);
    }
    if spec["initContainers"].as_array().is_some_and(|c| !c.is_empty()) {
        containers(0, "Init Containers", &spec["initContainers"], Some(&status["initContainerStatuses"]), out);
    }
    containers(0, "Containers", &spec["containers"], Some(&status["containerStatuses"]), out);
    let conditions: Vec<&Value> = status["conditions"].as_array().into_iter().flatten().collect();
    if !conditions.is_empty() {
        out.raw(0, "Conditions:");
        out.raw(1, "Type\tStatus");
        for condition in conditions {
            // The space before the tab is kubectl's too.
            out.raw(1, &format!("{} \t{}", scalar(&condition["type"]), scalar(&condition["status"])));
        }
    }
    volumes(0, &spec["volumes"], out);
    out.line(0, "QoS Class", scalar(&status["qosClass"]));
    out.line(0, "Node-Selectors", joined(&spec["nodeSelector"]));
    out.entries(0, "Tolerations", tolerations(&spec["tolerations"]));
}

fn or_none(text: String) -> String {
    if text.is_empty() { "<none>".into() } else { text }
}

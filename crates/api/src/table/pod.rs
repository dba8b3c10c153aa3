//! Pods: ready, status, restarts (spec/jobs.md 10.3; spec/api.md 5).
//!
//! In: a Pod and the time. Out: its cells and the row condition of finished Pods. Never: a phase of its own making.

use super::{AGE, Column, NAME, NONE, age, created, instant, text};
use crate::meta;
use jiff::Timestamp;
use serde_json::{Value, json};

pub(super) const COLUMNS: &[Column] = &[
    NAME,
    ("Ready", "string", false, "Containers that are ready out of all."),
    ("Status", "string", false, "What the pod is doing, or how it ended."),
    ("Restarts", "string", false, "Restarts of the containers, and the time since the last one."),
    AGE,
    ("IP", "string", true, "Address of the pod."),
    ("Node", "string", true, "Node that the pod is bound to."),
    ("Nominated Node", "string", true, "Node that room is being made on."),
    ("Readiness Gates", "string", true, "Extra conditions that count for readiness."),
];

pub(super) fn cells(pod: &Value, now: Timestamp) -> Vec<Value> {
    let (spec, status) = (&pod["spec"], &pod["status"]);
    let summary = Summary::of(pod);
    let gates = spec["readinessGates"].as_array().filter(|gates| !gates.is_empty());
    vec![
        json!(meta::name(pod)),
        json!(format!("{}/{}", summary.ready, summary.total)),
        json!(summary.reason),
        json!(restarts(&summary, now)),
        created(pod, now),
        json!(text(&status["podIPs"][0]["ip"], text(&status["podIP"], NONE))),
        json!(text(&spec["nodeName"], NONE)),
        json!(text(&status["nominatedNodeName"], NONE)),
        json!(gates.map_or_else(|| NONE.to_owned(), |gates| passed_gates(gates, status))),
    ]
}

/// Finished Pods carry a condition by which kubectl can hide them.
pub(super) fn conditions(pod: &Value) -> Option<Value> {
    let phase = pod["status"]["phase"].as_str().filter(|phase| matches!(*phase, "Succeeded" | "Failed"))?;
    let message = if phase == "Succeeded" { "The pod has completed successfully." } else { "The pod failed." };
    Some(json!([{"type": "Completed", "status": "True", "reason": phase, "message": message}]))
}

fn restarts(summary: &Summary, now: Timestamp) -> String {
    match &summary.last_restart {
        Some(time) if summary.restarts > 0 => format!("{} ({} ago)", summary.restarts, age(time, now)),
        _ => summary.restarts.to_string(),
    }
}

fn passed_gates(gates: &[Value], status: &Value) -> String {
    let conditions = status["conditions"].as_array();
    let passed = gates
        .iter()
        .filter(|gate| conditions.is_some_and(|list| list.iter().any(|c| c["type"] == gate["conditionType"] && c["status"] == "True")));
    format!("{}/{}", passed.count(), gates.len())
}

struct Summary {
    reason: String,
    ready: usize,
    total: usize,
    restarts: i64,
    last_restart: Option<Value>,
}

impl Summary {
    fn of(pod: &Value) -> Self {
        let (spec, status) = (&pod["spec"], &pod["status"]);
        let mut summary = Summary {
            reason: text(&status["reason"], text(&status["phase"], "")).to_owned(),
            ready: 0,
            total: spec["containers"].as_array().map_or(0, Vec::len),
            restarts: 0,
            last_restart: None,
        };
        if has_condition(status, "PodScheduled", |c| c["reason"] == "SchedulingGated") {
            summary.reason = "SchedulingGated".into();
        }
        let initialising = summary.init_containers(spec, status);
        if !initialising || has_condition(status, "Initialized", |c| c["status"] == "True") {
            summary.containers(status);
        }
        if meta::deleting(pod) {
            if status["reason"] == "NodeLost" {
                summary.reason = "Unknown".into();
            } else if !matches!(status["phase"].as_str(), Some("Succeeded" | "Failed")) {
                summary.reason = "Terminating".into();
            }
        }
        summary
    }

    fn count(&mut self, container: &Value) {
        self.restarts += container["restartCount"].as_i64().unwrap_or(0);
        let finished = &container["lastState"]["terminated"]["finishedAt"];
        let newer = match (&self.last_restart, instant(finished)) {
            (_, None) => false,
            (None, Some(_)) => true,
            (Some(known), Some(time)) => instant(known).is_none_or(|known| known < time),
        };
        if newer {
            self.last_restart = Some(finished.clone());
        }
    }

    /// Whether an init container is still to finish; the reason then says so.
    fn init_containers(&mut self, spec: &Value, status: &Value) -> bool {
        let declared = spec["initContainers"].as_array().map_or(&[] as &[Value], Vec::as_slice);
        let sidecar = |name: &Value| declared.iter().any(|c| c["name"] == *name && c["restartPolicy"] == "Always");
        self.total += declared.iter().filter(|c| c["restartPolicy"] == "Always").count();
        let mut unfinished = None;
        for (index, container) in status["initContainerStatuses"].as_array().into_iter().flatten().enumerate() {
            self.count(container);
            let is_sidecar = sidecar(&container["name"]);
            if is_sidecar && container["ready"] == true {
                self.ready += 1;
            }
            let ended = &container["state"]["terminated"];
            if unfinished.is_some() || ended["exitCode"] == 0 || (is_sidecar && container["started"] == true) {
                continue;
            }
            let waiting = text(&container["state"]["waiting"]["reason"], "");
            unfinished = Some(if !ended.is_null() {
                match text(&ended["reason"], "") {
                    "" => format!("Init:{}", end_code(ended)),
                    reason => format!("Init:{reason}"),
                }
            } else if !waiting.is_empty() && waiting != "PodInitializing" {
                format!("Init:{waiting}")
            } else {
                format!("Init:{index}/{}", declared.len())
            });
        }
        match unfinished {
            Some(reason) => {
                self.reason = reason;
                true
            }
            None => false,
        }
    }

    /// The reason of the first container that has one, found from the last to the first.
    fn containers(&mut self, status: &Value) {
        let mut running = false;
        for container in status["containerStatuses"].as_array().into_iter().flatten().rev() {
            self.count(container);
            let state = &container["state"];
            if !state["running"].is_null() {
                running = true;
                if container["ready"] == true {
                    self.ready += 1;
                }
            }
            let waiting = text(&state["waiting"]["reason"], "");
            if !waiting.is_empty() {
                self.reason = waiting.to_owned();
            } else if !state["terminated"].is_null() {
                self.reason = match text(&state["terminated"]["reason"], "") {
                    "" => end_code(&state["terminated"]),
                    reason => reason.to_owned(),
                };
            }
        }
        if self.reason == "Completed" && running {
            let ready = has_condition(status, "Ready", |c| c["status"] == "True");
            self.reason = if ready { "Running" } else { "NotReady" }.into();
        }
    }
}

fn end_code(ended: &Value) -> String {
    match ended["signal"].as_i64() {
        Some(signal) if signal != 0 => format!("Signal:{signal}"),
        _ => format!("ExitCode:{}", ended["exitCode"].as_i64().unwrap_or(0)),
    }
}

fn has_condition(status: &Value, kind: &str, test: impl Fn(&Value) -> bool) -> bool {
    status["conditions"].as_array().is_some_and(|list| list.iter().any(|c| c["type"] == kind && test(c)))
}

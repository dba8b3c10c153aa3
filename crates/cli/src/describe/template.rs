//! The Pod template of a Job and the containers of a Pod. In: a template or a Pod with status. Out: lines. Never: labels of the owner.

use super::{
    job::joined,
    text::{Text, pairs, scalar, time},
};
use serde_json::Value;

pub fn template(template: &Value, out: &mut Text) {
    let spec = &template["spec"];
    out.raw(0, "Pod Template:");
    out.map(1, "Labels", &template["metadata"]["labels"]);
    if template["metadata"]["annotations"].as_object().is_some_and(|a| !a.is_empty()) {
        out.annotations(1, &template["metadata"]["annotations"]);
    }
    if let Some(account) = spec["serviceAccountName"].as_str().filter(|name| !name.is_empty()) {
        out.line(1, "Service Account", account);
    }
    if spec["initContainers"].as_array().is_some_and(|c| !c.is_empty()) {
        containers(1, "Init Containers", &spec["initContainers"], None, out);
    }
    containers(1, "Containers", &spec["containers"], None, out);
    volumes(1, &spec["volumes"], out);
    if let Some(class) = spec["priorityClassName"].as_str().filter(|name| !name.is_empty()) {
        out.line(1, "Priority Class Name", class);
    }
    out.line(1, "Node-Selectors", joined(&spec["nodeSelector"]));
    out.entries(1, "Tolerations", tolerations(&spec["tolerations"]));
}

/// kubectl sets names of containers and volumes off by two or three spaces, their fields always by four.
fn name_indent(depth: usize) -> &'static str {
    if depth == 0 { "  " } else { "   " }
}

/// `statuses`: those of a Pod, for state and restarts.
pub fn containers(depth: usize, title: &str, containers: &Value, statuses: Option<&Value>, out: &mut Text) {
    out.raw(depth, &format!("{title}:"));
    for container in containers.as_array().into_iter().flatten() {
        out.raw(0, &format!("{}{}:", name_indent(depth), scalar(&container["name"])));
        let mut fields = Text::default();
        let empty = Value::Null;
        let status = statuses.and_then(|list| list.as_array()?.iter().find(|status| status["name"] == container["name"])).unwrap_or(&empty);
        fields_of(container, statuses.map(|_| status), &mut fields);
        for line in fields.finish().lines() {
            out.raw(2, line);
        }
    }
}

fn fields_of(container: &Value, status: Option<&Value>, out: &mut Text) {
    if let Some(status) = status {
        out.line(0, "Container ID", scalar(&status["containerID"]));
    }
    out.line(0, "Image", scalar(&container["image"]));
    if let Some(status) = status {
        out.line(0, "Image ID", scalar(&status["imageID"]));
    }
    let ports = container["ports"].as_array().filter(|p| !p.is_empty());
    let port = |field: &str| -> Vec<String> {
        let protocol = |p: &Value| p["protocol"].as_str().unwrap_or("TCP").to_string();
        ports.into_iter().flatten().map(|p| format!("{}/{}", p[field].as_i64().unwrap_or(0), protocol(p))).collect()
    };
    match ports {
        None => {
            out.line(0, "Port", "<none>");
            out.line(0, "Host Port", "<none>");
        }
        Some(list) => {
            let plural = if list.len() > 1 { "s" } else { "" };
            out.line(0, &format!("Port{plural}"), port("containerPort").join(", "));
            out.line(0, &format!("Host Port{plural}"), port("hostPort").join(", "));
        }
    }
    for (title, field) in [("Command", "command"), ("Args", "args")] {
        let words: Vec<&Value> = container[field].as_array().into_iter().flatten().collect();
        if !words.is_empty() {
            out.raw(0, &format!("{title}:"));
            for word in words {
                for line in scalar(word).lines() {
                    out.raw(1, line);
                }
            }
        }
    }
    if let Some(status) = status {
        state("State", &status["state"], out);
        if status["lastState"].as_object().is_some_and(|s| !s.is_empty()) {
            state("Last State", &status["lastState"], out);
        }
        out.line(0, "Ready", if status["ready"] == true { "True" } else { "False" });
        out.line(0, "Restart Count", status["restartCount"].as_i64().unwrap_or(0).to_string());
    }
    for (title, field) in [("Limits", "limits"), ("Requests", "requests")] {
        let amounts = pairs(&container["resources"][field]);
        if !amounts.is_empty() {
            out.raw(0, &format!("{title}:"));
            for (name, amount) in amounts {
                out.line(1, &name, amount);
            }
        }
    }
    environment(container, out);
    let mounts = container["volumeMounts"].as_array().into_iter().flatten();
    let lines: Vec<String> = mounts
        .map(|mount| {
            let mode = if mount["readOnly"] == true { "ro" } else { "rw" };
            let path = mount["subPath"].as_str().map(|p| format!(",path=\"{p}\"")).unwrap_or_default();
            format!("{} from {} ({mode}{path})", scalar(&mount["mountPath"]), scalar(&mount["name"]))
        })
        .collect();
    list_below("Mounts", lines, out);
}

fn environment(container: &Value, out: &mut Text) {
    let from = container["envFrom"].as_array().into_iter().flatten().map(|source| {
        let (kind, reference) =
            if source["secretRef"].is_object() { ("Secret", &source["secretRef"]) } else { ("ConfigMap", &source["configMapRef"]) };
        format!("{}\t{kind}\tOptional: {}", scalar(&reference["name"]), reference["optional"] == true)
    });
    let from: Vec<String> = from.collect();
    if !from.is_empty() {
        list_below("Environment Variables from", from, out);
    }
    let lines: Vec<String> = container["env"]
        .as_array()
        .into_iter()
        .flatten()
        .map(|variable| {
            let source = &variable["valueFrom"];
            let value = if let Some(field) = source["fieldRef"]["fieldPath"].as_str() {
                format!(" ({}:{field})", source["fieldRef"]["apiVersion"].as_str().unwrap_or("v1"))
            } else if let Some(resource) = source["resourceFieldRef"]["resource"].as_str() {
                format!("({resource})")
            } else if source["secretKeyRef"].is_object() {
                let key = &source["secretKeyRef"];
                format!(
                    "<set to the key '{}' in secret '{}'>\tOptional: {}",
                    scalar(&key["key"]),
                    scalar(&key["name"]),
                    key["optional"] == true
                )
            } else if source["configMapKeyRef"].is_object() {
                let key = &source["configMapKeyRef"];
                format!(
                    "<set to the key '{}' of config map '{}'>\tOptional: {}",
                    scalar(&key["key"]),
                    scalar(&key["name"]),
                    key["optional"] == true
                )
            } else {
                scalar(&variable["value"]).replace('\n', "\\n")
            };
            format!("{}:\t{value}", scalar(&variable["name"]))
        })
        .collect();
    list_below("Environment", lines, out);
}

/// `Title:<tab><none>`, or the title and one line each below.
fn list_below(title: &str, lines: Vec<String>, out: &mut Text) {
    if lines.is_empty() {
        return out.line(0, title, "<none>");
    }
    out.raw(0, &format!("{title}:"));
    for line in lines {
        out.raw(1, &line);
    }
}

fn state(title: &str, state: &Value, out: &mut Text) {
    if state["running"].is_object() {
        out.line(0, title, "Running");
        out.line(1, "Started", time(&state["running"]["startedAt"]));
    } else if state["terminated"].is_object() {
        let ended = &state["terminated"];
        out.line(0, title, "Terminated");
        if !scalar(&ended["reason"]).is_empty() {
            out.line(1, "Reason", scalar(&ended["reason"]));
        }
        if !scalar(&ended["message"]).is_empty() {
            out.line(1, "Message", scalar(&ended["message"]).trim_end().replace('\n', " "));
        }
        out.line(1, "Exit Code", ended["exitCode"].as_i64().unwrap_or(0).to_string());
        if let Some(signal) = ended["signal"].as_i64().filter(|s| *s > 0) {
            out.line(1, "Signal", signal.to_string());
        }
        out.line(1, "Started", time(&ended["startedAt"]));
        out.line(1, "Finished", time(&ended["finishedAt"]));
    } else {
        out.line(0, title, "Waiting");
        if !scalar(&state["waiting"]["reason"]).is_empty() {
            out.line(1, "Reason", scalar(&state["waiting"]["reason"]));
        }
    }
}

/// Each volume with its source and the source's plain fields.
pub fn volumes(depth: usize, volumes: &Value, out: &mut Text) {
    let volumes: Vec<&Value> = volumes.as_array().into_iter().flatten().collect();
    if volumes.is_empty() {
        return out.line(depth, "Volumes", "<none>");
    }
    out.raw(depth, "Volumes:");
    for volume in volumes {
        out.raw(0, &format!("{}{}:", name_indent(depth), scalar(&volume["name"])));
        for (kind, source) in volume.as_object().into_iter().flatten().filter(|(key, _)| *key != "name") {
            out.line(2, "Type", kind);
            for (name, value) in pairs(source) {
                out.line(2, &name, value);
            }
        }
    }
}

/// `key=value:Effect op=Exists for 300s`.
pub fn tolerations(list: &Value) -> Vec<String> {
    let mut lines: Vec<String> = list
        .as_array()
        .into_iter()
        .flatten()
        .map(|toleration| {
            let mut line = scalar(&toleration["key"]);
            for (before, field) in [("=", "value"), (":", "effect")] {
                let text = scalar(&toleration[field]);
                if !text.is_empty() {
                    line = format!("{line}{before}{text}");
                }
            }
            if toleration["operator"] == "Exists" {
                line = format!("{line} op=Exists").trim_start().to_string();
            }
            if let Some(seconds) = toleration["tolerationSeconds"].as_i64() {
                line = format!("{line} for {seconds}s");
            }
            line
        })
        .collect();
    lines.sort();
    lines
}

//! `pods/binding` and POST of `bindings` (spec/api.md 6.11).
//!
//! In: a Binding. Out: the Pod assigned to a node, once. Never: a Pod moved from one node to another.

use axum::body::Body;
use piecework_api::{
    kinds::{self, Kind},
    meta,
    status::{FieldError, Status},
};
use piecework_store::{Error as StoreError, Expect, Op, Transaction};
use serde_json::{Value, json};

use crate::{
    body, clock,
    failure::Outcome,
    keys,
    respond::Answer,
    state::{Exchange, State},
    update::{self, MAX_WRITE_RETRIES},
    write_options,
};

pub(crate) async fn bind(exchange: &Exchange, namespace: &str, pod: Option<&str>, content: Body) -> Outcome<Answer> {
    let options = write_options::read(&exchange.query, "CreateOptions")?;
    let bytes = body::read(content).await?;
    let (binding, _) = body::parse(&exchange.headers, &bytes)?;
    let Some(kind) = kinds::by_kind("v1", "Pod") else { return Err(crate::failure::Failure::PageNotFound) };
    let name = match (pod, meta::name(&binding)) {
        (Some(pod), "") => pod,
        (Some(pod), written) if written != pod => {
            let why = format!("the name of the object ({written}) does not match the name on the URL ({pod})");
            return Err(Status::bad_request(why).into());
        }
        (_, written) => written,
    };
    let written = meta::namespace(&binding);
    if !(written.is_empty() || written == namespace) {
        let why = "the namespace of the provided object does not match the namespace sent on the request";
        return Err(Status::bad_request(why).into());
    }
    let target = target(name, &binding)?;
    assign(&exchange.state, kind, namespace, name, target, &binding, options.dry_run).await?;
    let status = serde_json::to_value(Status::ok(201)).map_err(|error| Status::internal(error.to_string()))?;
    Ok(Answer::created(status))
}

fn target<'a>(name: &str, binding: &'a Value) -> Outcome<&'a str> {
    let target = &binding["target"];
    let mut errors = Vec::new();
    if !matches!(target["kind"].as_str(), None | Some("" | "Node")) {
        errors.push(FieldError::not_supported("target.kind", target["kind"].clone(), &["Node", "<empty>"]));
    }
    let node = target["name"].as_str().unwrap_or("");
    if node.is_empty() {
        errors.push(FieldError::required("target.name", ""));
    }
    if errors.is_empty() { Ok(node) } else { Err(Status::invalid_options("Binding", errors).with_name(name).into()) }
}

/// A Status about a named object that is no registered kind.
trait Named {
    fn with_name(self, name: &str) -> Self;
}

impl Named for Status {
    fn with_name(mut self, name: &str) -> Self {
        if let Some(details) = &mut self.details {
            details.name = name.to_owned();
        }
        self
    }
}

async fn assign(state: &State, kind: &Kind, namespace: &str, name: &str, node: &str, binding: &Value, dry_run: bool) -> Outcome<()> {
    let key = keys::object(kind, Some(namespace), name);
    let mut entry = state.store.get(&key).await?.0;
    for _ in 0..=MAX_WRITE_RETRIES {
        let Some(current) = entry else { return Err(Status::not_found(kind, name).into()) };
        let mut pod = keys::decode(kind, &current)?;
        update::check_uid(kind, name, meta::uid(binding), meta::uid(&pod))?;
        if let Some(why) = refusal(&pod) {
            return Err(Status::conflict(kind, name, &why).into());
        }
        set_node(&mut pod, node, binding, &clock::whole_seconds(state.now()));
        if dry_run {
            return Ok(());
        }
        let op = Op::Put { key: key.as_str().into(), expect: Expect::Revision(current.mod_revision), value: keys::encode(&pod)? };
        match state.store.commit(Transaction { ops: vec![op], relaxed: false }).await {
            Ok(_) => return Ok(()),
            Err(StoreError::Conflict { actual, .. }) => entry = actual,
            Err(error) => return Err(error.into()),
        }
    }
    Err(Status::object_modified(kind, name).into())
}

/// Why this Pod cannot be bound.
fn refusal(pod: &Value) -> Option<String> {
    let name = meta::name(pod);
    let assigned = pod["spec"]["nodeName"].as_str().unwrap_or("");
    if meta::deleting(pod) {
        Some(format!("pod {name} is being deleted, cannot be assigned to a host"))
    } else if !assigned.is_empty() {
        Some(format!("pod {name} is already assigned to node {assigned:?}"))
    } else if pod["spec"]["schedulingGates"].as_array().is_some_and(|gates| !gates.is_empty()) {
        Some(format!("pod {name} has non-empty .spec.schedulingGates"))
    } else {
        None
    }
}

fn set_node(pod: &mut Value, node: &str, binding: &Value, now: &str) {
    pod["spec"]["nodeName"] = json!(node);
    for field in ["labels", "annotations"] {
        for (key, value) in binding["metadata"][field].as_object().into_iter().flatten() {
            pod["metadata"][field][key.as_str()] = value.clone();
        }
    }
    let condition = json!({"type": "PodScheduled", "status": "True", "lastProbeTime": null, "lastTransitionTime": now});
    let mut conditions: Vec<Value> = pod["status"]["conditions"].as_array().cloned().unwrap_or_default();
    conditions.retain(|condition| condition["type"] != "PodScheduled");
    conditions.push(condition);
    pod["status"]["conditions"] = Value::Array(conditions);
}
